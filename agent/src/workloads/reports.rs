//! What became of allocations, on its way to the gateway: a full account when a session begins, then changes.
//!
//! There is one entry for each allocation: however often it changes while the gateway is slow or away, it is sent once,
//! in its newest form. So nothing is dropped, and memory is bounded by the number of allocations.

use omni_common::ids::AllocationId;
use omni_common::wire::{AllocationReport, MAX_REASON, MAX_REPORT_LOG};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A stretch of an account on its way to the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// A full account begins.
    pub all: bool,
    /// What there is to say.
    pub reports: Vec<AllocationReport>,
    /// More of the same account follows.
    pub more: bool,
}

/// The newest report of each allocation.
#[derive(Debug, Default)]
pub struct Reports {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<AllocationId, AllocationReport>,
    /// Allocations of which nothing is left on the host: forgotten once their last report was sent.
    over: BTreeSet<AllocationId>,
    /// Whose newest form the gateway does not have.
    unsent: BTreeSet<AllocationId>,
    /// Whether anything is known: not before the host was looked at for the first time.
    begun: bool,
    all: bool,
    /// The full account under way goes on after this allocation.
    account: Option<BTreeSet<AllocationId>>,
}

impl Reports {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up the newest account of all allocations; those that are missing in it are left as they were.
    pub fn update(&self, reports: impl IntoIterator<Item = AllocationReport>) {
        let mut inner = self.lock();
        inner.begun = true;
        for mut report in reports {
            fit(&mut report);
            inner.over.remove(&report.id);
            if inner.known.get(&report.id) != Some(&report) {
                inner.unsent.insert(report.id);
                inner.known.insert(report.id, report);
            }
        }
        self.wake(&inner);
    }

    /// Nothing of this allocation is left on the host: the given report is its last.
    pub fn conclude(&self, last: AllocationReport) {
        let id = last.id;
        self.update([last]);
        let mut inner = self.lock();
        if inner.unsent.contains(&id) {
            inner.over.insert(id);
        } else {
            inner.known.remove(&id);
        }
    }

    /// The allocations that something is known of.
    pub fn known(&self) -> BTreeMap<AllocationId, AllocationReport> {
        self.lock().known.clone()
    }

    /// A session begins: the next account is a full one.
    pub fn rewind(&self) {
        let mut inner = self.lock();
        inner.all = true;
        inner.account = None;
        self.wake(&inner);
    }

    /// The next stretch, of at most `max` reports; absent while there is nothing new.
    pub fn take(&self, max: usize) -> Option<Account> {
        let mut inner = self.lock();
        if !inner.has_news() {
            return None;
        }
        let all = std::mem::take(&mut inner.all);
        if all {
            inner.account = Some(inner.known.keys().copied().collect());
        }
        let waiting = inner.account.as_ref().unwrap_or(&inner.unsent);
        let ids: Vec<AllocationId> = waiting.iter().copied().take(max).collect();
        let mut account = Account { all, ..Account::default() };
        for id in ids {
            account.reports.extend(inner.sent(id));
        }
        account.more = inner.account.as_ref().is_some_and(|rest| !rest.is_empty());
        if !account.more {
            inner.account = None;
        }
        Some(account)
    }

    /// Resolves when `take` may have something.
    pub async fn changed(&self) {
        if self.lock().has_news() {
            return;
        }
        self.changed.notified().await;
    }

    fn wake(&self, inner: &Inner) {
        if inner.has_news() {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each method leaves a whole state behind at every step: a panic costs at most a report sent twice.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn has_news(&self) -> bool {
        self.begun && (self.all || self.account.is_some() || !self.unsent.is_empty())
    }

    fn sent(&mut self, id: AllocationId) -> Option<AllocationReport> {
        self.unsent.remove(&id);
        if let Some(rest) = &mut self.account {
            rest.remove(&id);
        }
        if self.over.remove(&id) { self.known.remove(&id) } else { self.known.get(&id).cloned() }
    }
}

/// Cuts a report so that a full frame of them fits: the beginning of the reason, the end of the log.
fn fit(report: &mut AllocationReport) {
    if let Some(reason) = &mut report.reason {
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
    }
    if let Some(log) = &mut report.log {
        let cut = log.ceil_char_boundary(log.len().saturating_sub(MAX_REPORT_LOG));
        log.drain(..cut);
    }
}
