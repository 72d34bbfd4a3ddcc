//! What agents say of their allocations, on its way into the log. Nothing of it is dropped: the newest report of each
//! allocation waits until it is committed, or until the session in which it was said is over: the next one, wherever it
//! is, begins with a full account, and what was said before must not be heard after it.

use super::accept::Gateway;
use crate::state::{Actor, Command};
use omni_common::ids::{AllocationId, HostId, SessionId};
use omni_common::wire::{AllocationReport, MAX_ALLOCATIONS_PER_HOST};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Reports that could not be committed are tried again this soon.
const RETRY: Duration = Duration::from_millis(250);

/// Reports that wait, by host.
#[derive(Default)]
pub(crate) struct Reports {
    waiting: Mutex<BTreeMap<HostId, Account>>,
    filled: Notify,
}

/// One host's reports.
#[derive(Clone, Debug, PartialEq)]
struct Account {
    session: SessionId,
    /// It is the host's full account.
    all: bool,
    reports: BTreeMap<AllocationId, AllocationReport>,
}

impl Account {
    /// Takes in what came after it.
    fn extend(&mut self, later: Self) {
        if later.all || later.session != self.session {
            *self = later;
        } else {
            self.reports.extend(later.reports);
        }
    }
}

/// A full account as it arrives, frame by frame.
#[derive(Debug)]
pub(super) struct Arriving {
    account: Account,
}

impl Arriving {
    /// Nothing yet, of a session.
    pub(super) fn of(session: SessionId) -> Self {
        Self { account: Account { session, all: false, reports: BTreeMap::new() } }
    }

    /// Takes the next frame; true when the account is complete. An error when it is longer than a host may have.
    pub(super) fn take(&mut self, all: bool, reports: Vec<AllocationReport>, more: bool) -> Result<bool, ()> {
        if all {
            (self.account.all, self.account.reports) = (true, BTreeMap::new());
        }
        self.account.reports.extend(reports.into_iter().map(|report| (report.id, report)));
        // Those that have just stopped are reported beside as many that run.
        if self.account.reports.len() > 2 * MAX_ALLOCATIONS_PER_HOST {
            return Err(());
        }
        Ok(!more)
    }
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Account>> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    /// Notes what a host says.
    pub(super) fn note(&self, host: HostId, arrived: &mut Arriving) {
        let next = Arriving::of(arrived.account.session);
        let account = std::mem::replace(arrived, next).account;
        match self.lock().entry(host) {
            Entry::Occupied(mut waiting) => waiting.get_mut().extend(account),
            Entry::Vacant(place) => drop(place.insert(account)),
        }
        self.filled.notify_one();
    }

    /// A session is over: nothing that was said in it is worth waiting any longer.
    pub(super) fn forget(&self, host: HostId, session: SessionId) {
        let mut waiting = self.lock();
        if waiting.get(&host).is_some_and(|account| account.session == session) {
            waiting.remove(&host);
        }
    }

    /// Commits what waits until told to stop.
    pub(crate) async fn run(&self, gateway: &Arc<Gateway>) {
        loop {
            tokio::select! {
                () = self.filled.notified() => {}
                () = gateway.stop.cancelled() => return,
            }
            while let Some((host, account)) = self.next() {
                if let Err(error) = commit(gateway, host, &account).await {
                    tracing::debug!(node = %host, error, "reports wait for the log");
                    if gateway.sessions.get(host).is_some_and(|open| open.id == account.session) {
                        self.put_back(host, account);
                    }
                    tokio::time::sleep(RETRY).await;
                }
                if gateway.stop.is_cancelled() {
                    return;
                }
            }
        }
    }

    fn next(&self) -> Option<(HostId, Account)> {
        self.lock().pop_first()
    }

    /// What came meanwhile is newer.
    fn put_back(&self, host: HostId, mut account: Account) {
        let mut waiting = self.lock();
        if let Some(later) = waiting.remove(&host) {
            account.extend(later);
        }
        waiting.insert(host, account);
    }
}

async fn commit(gateway: &Gateway, host: HostId, account: &Account) -> Result<(), String> {
    let reports: Vec<_> = account.reports.values().cloned().collect();
    if reports.is_empty() && !account.all {
        return Ok(());
    }
    let command = Command::RecordAllocations { host, all: account.all, reports };
    gateway
        .propose(Actor::system(), command)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|no| no.message)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_common::domain::AllocationState;

    fn report(id: u128, state: AllocationState) -> AllocationReport {
        AllocationReport { id: AllocationId::from_u128(id), epoch: 1, state, reason: None, log: None }
    }

    fn arrive(reports: &Reports, all: bool, list: Vec<AllocationReport>) {
        let mut arriving = Arriving::of(SessionId::from_u128(1));
        assert_eq!(arriving.take(all, list, false), Ok(true));
        reports.note(HostId::from_u128(1), &mut arriving);
    }

    #[test]
    fn the_newest_report_of_each_allocation_waits() {
        let reports = Reports::default();
        arrive(&reports, true, vec![report(1, AllocationState::Starting)]);
        arrive(
            &reports,
            false,
            vec![report(1, AllocationState::Healthy), report(2, AllocationState::Failed)],
        );
        let (host, account) = reports.next().expect("one host");
        assert!(account.all);
        assert_eq!(account.reports.len(), 2);
        assert_eq!(account.reports[&AllocationId::from_u128(1)].state, AllocationState::Healthy);
        arrive(&reports, false, vec![report(2, AllocationState::Stopped)]);
        reports.put_back(host, account);
        let (_, merged) = reports.next().expect("put back");
        assert!(merged.all);
        assert_eq!(merged.reports[&AllocationId::from_u128(2)].state, AllocationState::Stopped);
        assert_eq!(reports.next(), None);
    }

    #[test]
    fn what_was_said_in_a_session_is_forgotten_with_it() {
        let (reports, host) = (Reports::default(), HostId::from_u128(1));
        arrive(&reports, true, vec![report(1, AllocationState::Starting)]);
        reports.forget(host, SessionId::from_u128(2));
        let (_, account) = reports.next().expect("of another session");
        reports.put_back(host, account);
        reports.forget(host, SessionId::from_u128(1));
        assert_eq!(reports.next(), None);
    }

    #[test]
    fn an_account_may_come_in_parts_and_is_bounded() {
        let mut arriving = Arriving::of(SessionId::from_u128(1));
        assert_eq!(arriving.take(true, vec![report(1, AllocationState::Healthy)], true), Ok(false));
        assert_eq!(arriving.take(false, vec![report(2, AllocationState::Healthy)], false), Ok(true));
        assert_eq!(arriving.account.reports.len(), 2);
        let many = (0..3_000).map(|id| report(id, AllocationState::Healthy)).collect();
        assert_eq!(arriving.take(false, many, true), Err(()));
    }
}
