//! Samples waiting to be sent: the newest few. A sample that finds the box full pushes out the oldest, and the
//! next one to leave says how many were lost.

use omni_common::domain::{ContainerSample, HostSample};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most samples that a real host keeps: five minutes at the usual pace of ten seconds.
pub const MAX_SAMPLES: usize = 30;
/// Most container readings kept over all samples together, so that a host with thousands of containers keeps
/// fewer samples instead of more memory (about 150 bytes each).
const MAX_READINGS: usize = 16_384;
/// Most container readings in one sample: at about 150 bytes each they keep well below the frame limit.
const MAX_CONTAINERS_PER_SAMPLE: usize = 4096;
/// Most entries of any other list in a sample.
const MAX_ENTRIES: usize = 1024;

/// The samples waiting to be sent.
#[derive(Debug)]
pub struct Outbox {
    max_samples: usize,
    inner: Mutex<Inner>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<HostSample>,
    readings: usize,
    dropped: u32,
    dropped_ever: u64,
}

impl Outbox {
    /// An empty box with room for this many samples.
    pub fn new(max_samples: usize) -> Self {
        Self { max_samples, inner: Mutex::default(), filled: Notify::new() }
    }

    /// Adds the newest sample, dropping the oldest when there is no room.
    pub fn push(&self, mut sample: HostSample) {
        fit(&mut sample);
        let mut inner = self.lock();
        inner.readings += sample.containers.len();
        inner.waiting.push_back(sample);
        while inner.waiting.len() > 1 && inner.is_over(self.max_samples) {
            inner.drop_oldest();
        }
        self.filled.notify_one();
    }

    /// Takes the oldest waiting sample, with the number that were dropped before it.
    pub fn pop(&self) -> Option<HostSample> {
        let mut inner = self.lock();
        let mut sample = inner.waiting.pop_front()?;
        inner.readings -= sample.containers.len();
        sample.dropped = std::mem::take(&mut inner.dropped);
        Some(sample)
    }

    /// Samples dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped_ever
    }

    /// Resolves when there may be a sample.
    pub async fn filled(&self) {
        if !self.lock().waiting.is_empty() {
            return;
        }
        self.filled.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_over(&self, max_samples: usize) -> bool {
        self.waiting.len() > max_samples || self.readings > MAX_READINGS
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.waiting.pop_front() {
            self.readings -= oldest.containers.len();
            self.dropped = self.dropped.saturating_add(1).saturating_add(oldest.dropped);
            self.dropped_ever += 1;
        }
    }
}

/// Cuts a sample so that it fits a frame: the busiest containers stay.
fn fit(sample: &mut HostSample) {
    if sample.containers.len() > MAX_CONTAINERS_PER_SAMPLE {
        sample.containers.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        sample.containers.truncate(MAX_CONTAINERS_PER_SAMPLE);
    }
    sample.disks.truncate(MAX_ENTRIES);
    sample.filesystems.truncate(MAX_ENTRIES);
    sample.networks.truncate(MAX_ENTRIES);
    sample.temperatures.truncate(MAX_ENTRIES);
    for gpu in &mut sample.gpus {
        gpu.processes.truncate(MAX_ENTRIES);
    }
}

/// How much a container matters when not all fit: its CPU time first, then its memory in GiB.
fn weight(sample: &ContainerSample) -> f64 {
    let memory = sample.memory_used.unwrap_or(0) as f64 / (1u64 << 30) as f64;
    f64::from(sample.cpu_percent.unwrap_or(0.0)) + memory
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::clock::Time;

    fn sample(secs: i64, containers: usize) -> HostSample {
        let reading = |number: usize| ContainerSample {
            id: number.to_string(),
            cpu_percent: Some(number as f32),
            memory_used: None,
            memory_limit: None,
            rx_bytes: None,
            tx_bytes: None,
            read_bytes: None,
            write_bytes: None,
            pids: None,
        };
        HostSample {
            at: Time::from_secs(secs),
            containers: (0..containers).map(reading).collect(),
            ..HostSample::default()
        }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let outbox = Outbox::new(MAX_SAMPLES);
        for secs in 0..MAX_SAMPLES as i64 + 5 {
            outbox.push(sample(secs, 0));
        }
        let first = outbox.pop().expect("full");
        assert_eq!((first.at, first.dropped), (Time::from_secs(5), 5));
        assert_eq!(outbox.pop().expect("more").dropped, 0);
        let left = std::iter::from_fn(|| outbox.pop()).count();
        assert_eq!(left, MAX_SAMPLES - 2);
        assert_eq!(outbox.dropped(), 5);
    }

    #[test]
    fn large_samples_take_more_room() {
        let outbox = Outbox::new(MAX_SAMPLES);
        for secs in 0..10 {
            outbox.push(sample(secs, 4000));
        }
        assert_eq!(outbox.pop().expect("some").dropped, 6);
        outbox.push(sample(11, 1_000_000));
        assert!(outbox.lock().readings <= MAX_READINGS);
    }

    #[test]
    fn the_busiest_containers_stay() {
        let outbox = Outbox::new(MAX_SAMPLES);
        outbox.push(sample(1, 10_000));
        let kept = outbox.pop().expect("one").containers;
        assert_eq!(kept.len(), MAX_CONTAINERS_PER_SAMPLE);
        assert_eq!(kept[0].id, "9999");
    }

    #[test]
    fn the_largest_sample_fits_a_frame() {
        let outbox = Outbox::new(MAX_SAMPLES);
        let mut largest = sample(1, MAX_CONTAINERS_PER_SAMPLE);
        for reading in &mut largest.containers {
            reading.id = "f".repeat(64);
            reading.memory_used = Some(u64::MAX);
            reading.memory_limit = Some(u64::MAX);
            reading.rx_bytes = Some(1.0);
            reading.tx_bytes = Some(1.0);
            reading.read_bytes = Some(1.0);
            reading.write_bytes = Some(1.0);
            reading.pids = Some(u32::MAX);
        }
        outbox.push(largest);
        let frame = omni_common::wire::TelemetryFrame::Sample(outbox.pop().expect("one"));
        assert!(omni_common::codec::encode(&frame).expect("fits").len() < omni_common::codec::MAX_FRAME);
    }
}
