//! Reading a range: which records, and then a bounded chunk of them at a time.

use super::record::decode;
use super::segment::{Entry, Source};
use super::{HistoryError, Shared};
use omni_common::clock::Time;
use omni_common::domain::HostSample;
use tracing::warn;

/// Most samples that [`super::History::query`] holds in memory at once: some ten megabytes with thirty
/// containers. Longer answers are read in [`Chunks`].
pub const MAX_COLLECTED: usize = 2000;
/// A chunk holds about this many bytes as they lie on disk, one record at least. Encoded into a frame it is
/// as long again, far below the limit.
const CHUNK_BYTES: usize = 256 << 10;

/// One record, wherever it is.
#[derive(Clone, Debug)]
pub(super) enum Position {
    OnDisk { entry: Entry, file: usize },
    InMemory(Shared),
}

impl Position {
    pub(super) fn on_disk(entry: Entry, file: usize) -> Self {
        Self::OnDisk { entry, file }
    }

    pub(super) fn in_memory(record: Shared) -> Self {
        Self::InMemory(record)
    }

    fn at(&self) -> Time {
        match self {
            Self::OnDisk { entry, .. } => entry.at,
            Self::InMemory(record) => record.at,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::OnDisk { entry, .. } => entry.size as usize,
            Self::InMemory(record) => record.bytes.len(),
        }
    }
}

/// The samples of a range, oldest first, in chunks of some 256 KiB. Damaged ones are left out, which is
/// logged once for each range.
#[derive(Debug)]
pub struct Chunks {
    files: Vec<Source>,
    positions: std::vec::IntoIter<Position>,
    damage_logged: bool,
}

impl Chunks {
    pub(super) fn new(files: Vec<Source>, mut positions: Vec<Position>, max: usize) -> Self {
        // Segments follow each other in time unless the clock was set back.
        positions.sort_by_key(Position::at);
        Self { files, positions: thin(positions, max).into_iter(), damage_logged: false }
    }

    /// How many samples are still to come, damaged ones included.
    pub fn remaining(&self) -> usize {
        self.positions.len()
    }

    fn read(&mut self, position: &Position) -> Result<Option<HostSample>, HistoryError> {
        let sample = match position {
            Position::OnDisk { entry, file } => decode(&self.files[*file].read(*entry)?),
            Position::InMemory(record) => decode(&record.bytes),
        };
        if sample.is_none() && !std::mem::replace(&mut self.damage_logged, true) {
            warn!(at = %position.at(), "a recorded sample is damaged and is left out, as may be others");
        }
        Ok(sample)
    }
}

impl Iterator for Chunks {
    type Item = Result<Vec<HostSample>, HistoryError>;

    /// The next chunk; after an error there is no more.
    fn next(&mut self) -> Option<Self::Item> {
        let (mut samples, mut bytes) = (Vec::new(), 0);
        while let Some(position) = self.positions.as_slice().first().cloned() {
            bytes += position.size();
            if bytes > CHUNK_BYTES && !samples.is_empty() {
                break;
            }
            self.positions.next();
            match self.read(&position) {
                Ok(sample) => samples.extend(sample),
                Err(error) => {
                    self.positions = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
        (!samples.is_empty()).then_some(Ok(samples))
    }
}

/// At most `max` of the items, spread evenly, the last always among them, and the first when there is room
/// for two.
fn thin<T>(items: Vec<T>, max: usize) -> Vec<T> {
    let count = items.len();
    if count <= max {
        return items;
    }
    let mut wanted = (0..max).map(|step| nth(step, max, count)).peekable();
    let kept = |(index, item)| (wanted.next_if_eq(&index)).map(|_| item);
    items.into_iter().enumerate().filter_map(kept).collect()
}

/// Index of the `step`th of `max` items out of `count`, where `max` is below `count`.
fn nth(step: usize, max: usize, count: usize) -> usize {
    match max {
        1 => count - 1,
        _ => step * (count - 1) / (max - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thinning_keeps_the_ends() {
        assert_eq!(thin((0..10).collect(), 4), [0, 3, 6, 9]);
        assert_eq!(thin((0..10).collect(), 1), [9]);
        assert_eq!(thin((0..10).collect(), 0), Vec::<i32>::new());
        assert_eq!(thin((0..3).collect(), 5), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn thinning_is_even(count in 1usize..2000, max in 2usize..500) {
            let kept = thin((0..count).collect::<Vec<_>>(), max);
            prop_assert_eq!(kept.len(), count.min(max));
            prop_assert_eq!((kept[0], kept[kept.len() - 1]), (0, count - 1));
            let gaps: Vec<usize> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if let (Some(least), Some(most)) = (gaps.iter().min(), gaps.iter().max()) {
                prop_assert!(most - least <= 1, "{gaps:?}");
            }
        }
    }
}
