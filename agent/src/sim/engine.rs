//! What a simulated host runs: allocations that come up, fail and stop by the clock of the simulation.
//!
//! It is to the simulated agent what Docker and the disk are to a real one: both outlive the agent's process. A killed
//! agent leaves everything running ([`SimEngine`] is handed to its next start), a power cut does not
//! ([`SimEngine::power_cut`]).
//!
//! An image decides how its service does, by the beginning of its name: `fail` cannot be pulled, `sick` runs and never
//! becomes healthy, everything else becomes healthy after a while.

use super::runs::Tally;
use crate::images::Uplink;
use crate::runs::{Keeper, Kept};
use crate::session::{LeaseState, Monotonic};
use crate::workloads::{Depot, Reports, Wish, Workloads};
use async_trait::async_trait;
use omni_common::domain::AllocationState;
use omni_common::domain::app::AppSpec;
use omni_common::ids::{AllocationId, RunId};
use omni_common::wire::{AllocationReport, DesiredAllocation};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long things take on a simulated host.
#[derive(Clone, Copy, Debug)]
pub struct SimPace {
    /// Getting images and files ready.
    pub prepare: Duration,
    /// From the start to healthy.
    pub start: Duration,
    /// From the request to stop until nothing runs. For the end of a lease it is cut to [`FENCE`].
    pub stop: Duration,
}

/// The longest that an exclusive allocation goes on after its lease ended, as on a real host.
pub const FENCE: Duration = Duration::from_millis(1_500);

impl Default for SimPace {
    fn default() -> Self {
        Self {
            prepare: Duration::from_millis(200),
            start: Duration::from_millis(800),
            stop: Duration::from_millis(300),
        }
    }
}

/// An allocation on a simulated host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimAllocation {
    /// As it was desired when it was started.
    pub allocation: DesiredAllocation,
    /// How far it is.
    pub state: AllocationState,
    /// Why it is not further.
    pub reason: Option<String>,
    /// When its next state is reached; absent when it stays in this one.
    until: Option<Instant>,
}

impl SimAllocation {
    /// Whether its processes run and could write.
    pub fn runs(&self) -> bool {
        use AllocationState::{Healthy, Starting, Stopping, Unhealthy};
        matches!(self.state, Starting | Healthy | Unhealthy | Stopping)
    }
}

/// A simulated host's engine and disk.
pub struct SimEngine {
    pace: SimPace,
    depot: Depot,
    reports: Reports,
    uplink: Uplink,
    kept: Arc<Mutex<Kept>>,
    done: Tally,
    here: Mutex<BTreeMap<AllocationId, SimAllocation>>,
    changes: watch::Sender<u64>,
}

impl Default for SimEngine {
    fn default() -> Self {
        Self::new(SimPace::default())
    }
}

impl SimEngine {
    /// Nothing runs and nothing is on disk.
    pub fn new(pace: SimPace) -> Self {
        Self {
            pace,
            depot: Depot::in_memory(),
            reports: Reports::new(),
            uplink: Uplink::default(),
            kept: Arc::default(),
            done: Tally::default(),
            here: Mutex::default(),
            changes: watch::Sender::default(),
        }
    }

    /// Where its agent keeps what came of runs.
    pub fn keeper(&self) -> Keeper {
        Keeper::Memory(self.kept.clone())
    }

    /// Where its agent counts runs that it did to their end.
    pub(super) fn tally(&self) -> Tally {
        self.done.clone()
    }

    /// How often a run was done here to its end, by whichever of its agents.
    pub fn times_done(&self, run: RunId) -> u32 {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(&run).copied().unwrap_or(0)
    }

    /// What is on the host now, in id order.
    pub fn allocations(&self) -> Vec<SimAllocation> {
        self.lock().values().cloned().collect()
    }

    /// Those whose processes run now.
    pub fn running(&self) -> Vec<SimAllocation> {
        self.lock().values().filter(|here| here.runs()).cloned().collect()
    }

    /// Counts up with each change of what is on the host.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The host loses its power: nothing runs any more, and what is on disk stays. The agent is to be dropped as well.
    pub fn power_cut(&self) {
        self.lock().clear();
        self.changes.send_modify(|count| *count += 1);
    }

    /// A container of this allocation breaks: what was healthy is unhealthy from now on, until it is replaced.
    pub fn sicken(&self, id: AllocationId) {
        if let Some(here) = self.lock().get_mut(&id).filter(|here| here.state == AllocationState::Healthy) {
            here.state = AllocationState::Unhealthy;
            here.reason = Some("its simulated health check fails".to_owned());
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Brings what is on the host one step further, and says what has become of everything.
    fn advance(&self, now: Instant, leased: bool) -> Option<Instant> {
        let wishes = self.depot.wishes();
        let mut here = self.lock();
        let before = here.clone();
        for known in here.values_mut() {
            known.elapse(now, &wishes, self.pace);
        }
        let gone = here.extract_if(.., |id, known| known.is_over(*id, &wishes)).collect::<Vec<_>>();
        for known in here.values_mut() {
            known.steer(now, &wishes, leased, self.pace);
        }
        let blocked: BTreeSet<Slot> = here
            .values()
            .filter(|known| known.allocation.exclusive && known.runs())
            .map(|known| slot(&known.allocation))
            .collect();
        let mut waiting = Vec::new();
        for wish in &wishes {
            if here.contains_key(&wish.allocation.id) {
                continue;
            }
            match begin(wish, now, leased, &blocked, self.pace) {
                Ok(begun) => drop(here.insert(wish.allocation.id, begun)),
                Err((state, reason)) => waiting.push(report(&wish.allocation, state, reason)),
            }
        }
        waiting.extend(here.values().map(SimAllocation::report));
        let next = here.values().filter_map(|known| known.until).min();
        let changed = *here != before;
        drop(here);
        self.reports.update(waiting);
        // What made way for a newer form of itself is not over: that form has been told of.
        for (_, known) in
            gone.into_iter().filter(|(id, _)| !wishes.iter().any(|wish| wish.allocation.id == *id))
        {
            self.reports.conclude(report(&known.allocation, AllocationState::Stopped, None));
        }
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AllocationId, SimAllocation>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Workloads for SimEngine {
    fn depot(&self) -> &Depot {
        &self.depot
    }

    fn reports(&self) -> &Reports {
        &self.reports
    }

    fn uplink(&self) -> &Uplink {
        &self.uplink
    }

    async fn run(&self, lease: watch::Receiver<LeaseState>, clock: Monotonic) {
        tokio::join!(self.depot.keep(), self.follow(lease, clock));
    }
}

impl SimEngine {
    async fn follow(&self, mut lease: watch::Receiver<LeaseState>, clock: Monotonic) {
        let (mut desired, mut changes) = (self.depot.changes(), self.changes());
        loop {
            desired.mark_unchanged();
            let leased = is_valid(*lease.borrow_and_update(), clock);
            let next = self.advance(Instant::now(), leased);
            changes.mark_unchanged();
            tokio::select! {
                _ = desired.changed() => {}
                _ = changes.changed() => {}
                () = turned(&mut lease, clock, leased) => {}
                () = sleep_until(next) => {}
            }
        }
    }
}

/// Whether exclusive work may run under this lease.
fn is_valid(lease: LeaseState, clock: Monotonic) -> bool {
    matches!(lease, LeaseState::Valid { until_ms } if clock.now_ms() < until_ms)
}

/// Resolves when the lease is no longer, or again, what it was. Renewals each second wake nobody.
async fn turned(lease: &mut watch::Receiver<LeaseState>, clock: Monotonic, was: bool) {
    let turned = lease.wait_for(|state| is_valid(*state, clock) != was).await.is_err();
    if turned {
        // The agent is being taken down.
        std::future::pending::<()>().await;
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What may run once on a host: an instance of a group.
type Slot = (String, String, String, u32);

fn slot(allocation: &DesiredAllocation) -> Slot {
    (allocation.environment.clone(), allocation.app.clone(), allocation.group.clone(), allocation.slot)
}

fn report(
    allocation: &DesiredAllocation,
    state: AllocationState,
    reason: Option<String>,
) -> AllocationReport {
    let log =
        (state == AllocationState::Failed).then(|| "the last words of a simulated container\n".to_owned());
    AllocationReport { id: allocation.id, epoch: allocation.epoch, state, reason, log }
}

/// Begins with an allocation, or says why not yet.
fn begin(
    wish: &Wish,
    now: Instant,
    leased: bool,
    blocked: &BTreeSet<Slot>,
    pace: SimPace,
) -> Result<SimAllocation, (AllocationState, Option<String>)> {
    let allocation = &wish.allocation;
    if !allocation.run {
        return Err((AllocationState::Stopped, None));
    }
    if let Some(reason) = wish.reason() {
        return Err(reason);
    }
    if allocation.exclusive && !leased {
        return Err((AllocationState::Preparing, Some("waits for this host's lease".to_owned())));
    }
    if allocation.exclusive && blocked.contains(&slot(allocation)) {
        return Err((
            AllocationState::Preparing,
            Some("waits for the instance before it to stop".to_owned()),
        ));
    }
    Ok(SimAllocation {
        allocation: allocation.clone(),
        state: AllocationState::Preparing,
        reason: None,
        until: Some(now + pace.prepare),
    })
}

impl SimAllocation {
    /// Time has passed.
    fn elapse(&mut self, now: Instant, wishes: &[Wish], pace: SimPace) {
        if self.until.is_none_or(|until| now < until) {
            return;
        }
        self.until = None;
        let wish = wishes.iter().find(|wish| wish.allocation.id == self.allocation.id);
        let images = wish.and_then(|wish| Some(images(wish.spec.as_ref().ok()?, &self.allocation.group)));
        let with = |word: &str| images.iter().flatten().find(|image| image.starts_with(word)).cloned();
        match self.state {
            AllocationState::Preparing => match with("fail") {
                Some(image) => {
                    self.become_(AllocationState::Failed, Some(format!("there is no image {image}")))
                }
                None => {
                    self.become_(AllocationState::Starting, None);
                    self.until = Some(now + pace.start);
                }
            },
            AllocationState::Starting => match with("sick") {
                Some(image) => self.reason = Some(format!("{image} is unhealthy")),
                None => self.become_(AllocationState::Healthy, None),
            },
            AllocationState::Stopping => self.become_(AllocationState::Stopped, None),
            _ => {}
        }
    }

    /// Whether nothing of it is left, or it makes way for a newer form of itself.
    fn is_over(&self, id: AllocationId, wishes: &[Wish]) -> bool {
        let wish = wishes.iter().find(|wish| wish.allocation.id == id);
        match wish {
            None => !self.runs(),
            Some(wish) => !self.runs() && (wish.allocation.spec != self.allocation.spec),
        }
    }

    /// What is said of it. One that is to run and does not, because it may not, has not stopped by itself.
    fn report(&self) -> AllocationReport {
        let barred = self.state == AllocationState::Stopped && self.allocation.run;
        let state = if barred { AllocationState::Preparing } else { self.state };
        report(&self.allocation, state, self.reason.clone())
    }

    /// Turns towards what is desired now.
    fn steer(&mut self, now: Instant, wishes: &[Wish], leased: bool, pace: SimPace) {
        let wish = wishes.iter().find(|wish| wish.allocation.id == self.allocation.id);
        let same = wish.filter(|wish| wish.allocation.spec == self.allocation.spec);
        if let Some(same) = same {
            self.allocation = same.allocation.clone();
        }
        let cut_off = self.allocation.exclusive && !leased;
        let wanted = same.is_some_and(|same| same.allocation.run) && !cut_off;
        let stopping = self.state == AllocationState::Stopping;
        if !wanted && self.runs() && (!stopping || cut_off) {
            let time = if cut_off { pace.stop.min(FENCE) } else { pace.stop };
            let until = self.until.filter(|_| stopping).map_or(now + time, |until| until.min(now + time));
            self.become_(AllocationState::Stopping, cut_off.then(|| "this host's lease ended".to_owned()));
            self.until = Some(until);
        } else if !wanted && !self.runs() {
            self.become_(AllocationState::Stopped, None);
        } else if wanted && self.state == AllocationState::Stopped {
            self.become_(AllocationState::Starting, None);
            self.until = Some(now + pace.start);
        }
    }

    fn become_(&mut self, state: AllocationState, reason: Option<String>) {
        (self.state, self.reason, self.until) = (state, reason, None);
    }
}

fn images<'a>(spec: &'a AppSpec, group: &str) -> Vec<&'a String> {
    let group = spec.groups.iter().find(|(name, _)| name.as_str() == group).map(|(_, group)| group);
    let services = group.into_iter().flat_map(|group| &group.services);
    services.filter_map(|name| spec.services.get(name)?.image.as_ref()).collect()
}
