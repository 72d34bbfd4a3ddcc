//! Samples that are not on disk yet.

use super::Shared;
use super::record::Record;
use omni_common::clock::Time;
use std::collections::VecDeque;
use std::sync::Arc;

/// An hour of samples.
const MAX_RECORDS: usize = 360;
/// The agent's memory is small: on a host with many containers fewer samples wait.
const MAX_BYTES: usize = 2 << 20;

/// A queue that drops its oldest sample when it is full.
#[derive(Debug, Default)]
pub(super) struct Tail {
    records: VecDeque<Shared>,
    bytes: usize,
    dropped: u64,
}

impl Tail {
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.bytes.len();
        self.records.push_back(Arc::new(record));
        while self.records.len() > MAX_RECORDS || (self.bytes > MAX_BYTES && self.records.len() > 1) {
            self.pop();
            self.dropped += 1;
        }
    }

    /// The oldest.
    pub(super) fn front(&self) -> Option<Shared> {
        self.records.front().cloned()
    }

    pub(super) fn pop(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= record.bytes.len();
        }
    }

    /// Records in a range of time.
    pub(super) fn between(&self, from: Time, to: Time) -> impl Iterator<Item = Shared> {
        self.records.iter().filter(move |record| (from..=to).contains(&record.at)).cloned()
    }

    /// How many were dropped since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
