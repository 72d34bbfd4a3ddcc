//! The move of an app to another host: what the leader does about it next.
//!
//! ```text
//! Copying    all files to a repository, while the app runs      └ takes most of the time, and nothing stops for it
//! Preparing  the new host: is there room, is it empty; images
//! Stopping   until the agents say that nothing runs             ─┐
//! Syncing    what changed since, to the same repository          │ the app is away
//! Filling    all of it to the new host, looked at there          │
//! Starting   the new host is the data's home; healthy there?    ─┘
//! ```
//!
//! Until `Starting` the data lives where it was, and a move that fails ends by letting the app go on there. From then on it
//! goes back only after the new instance has stopped. So two instances never write at once, and there is no moment at which
//! a dead leader, agent or host leaves the app without one that counts.

use super::plan::Ids;
use crate::state::command::MoveStep;
use crate::state::{Allocation, HostStatus, Leg, Move, MoveStage, Run, RunKind, RunTask, State, WantedItem};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::domain::backup::RunState;
use omni_common::ids::HostId;
use std::sync::Arc;
use std::time::Duration;

/// A run of a move may take this long: terabytes over a slow link.
const LENGTH: Duration = Duration::from_secs(24 * 3600);
/// What has been told to stop and has not by then does not stop for a move.
const STOP_WITHIN: Duration = Duration::from_secs(15 * 60);
/// The new host must have images, networks and files ready this soon after the instance was placed there.
const READY_WITHIN: Duration = Duration::from_secs(30 * 60);
/// The scheduler must have placed it by then.
const PLACE_WITHIN: Duration = Duration::from_secs(2 * 60);

/// What is to be done about all moves that are under way.
pub fn steps(state: &State, now: Time, ids: &mut dyn Ids) -> Vec<MoveStep> {
    // Moments in the state come from other clocks than ours.
    let now = now.max(state.now);
    let open = state.moves.values().filter(|one| one.stage.is_open());
    open.flat_map(|one| Course { state, one, now }.next(ids)).collect()
}

/// What comes of looking at a stage.
enum Next {
    /// It goes on to this one.
    Enter(MoveStage),
    /// It does not go on.
    End(String),
    /// Nothing for the moment.
    Wait,
}

struct Course<'a> {
    state: &'a State,
    one: &'a Move,
    now: Time,
}

impl Course<'_> {
    fn next(&self, ids: &mut dyn Ids) -> Vec<MoveStep> {
        let one = self.one;
        let next = match self.interrupted() {
            Some(why) => Next::End(why),
            None => match one.stage {
                MoveStage::Copying => {
                    return self
                        .runs(MoveStage::Preparing, ids, |leg| (leg.from, RunTask::MoveOut { last: false }));
                }
                MoveStage::Preparing => {
                    return self.runs(MoveStage::Stopping, ids, |leg| {
                        let bytes = leg.items.iter().map(|item| (item.item.clone(), item.bytes)).collect();
                        (one.to, RunTask::MoveReady { bytes, replace: leg.replace })
                    });
                }
                MoveStage::Stopping => self.stopping(MoveStage::Syncing),
                MoveStage::Syncing => {
                    return self
                        .runs(MoveStage::Filling, ids, |leg| (leg.from, RunTask::MoveOut { last: true }));
                }
                MoveStage::Filling => {
                    return self.runs(MoveStage::Starting, ids, |leg| {
                        let item = |item: &crate::state::MovedItem| WantedItem {
                            item: item.item.clone(),
                            snapshot: item.snapshot.clone(),
                            path: None,
                        };
                        (one.to, RunTask::MoveIn { items: leg.items.iter().map(item).collect() })
                    });
                }
                MoveStage::Starting => self.starting(),
                MoveStage::Returning => self.stopping(MoveStage::Returned),
                _ => Next::Wait,
            },
        };
        self.entered(next)
    }

    fn entered(&self, next: Next) -> Vec<MoveStep> {
        let (to, reason) = match next {
            Next::Wait => return Vec::new(),
            Next::Enter(to) => (to, None),
            // It has started there: it must have stopped there before it goes on elsewhere.
            Next::End(why) if self.one.stage == MoveStage::Starting => (MoveStage::Returning, Some(why)),
            Next::End(why) => (MoveStage::Failed, Some(why)),
        };
        let (app, id, from) = (self.one.app.clone(), self.one.id, self.one.stage);
        vec![MoveStep::Enter { app, id, from, to, reason }]
    }

    /// Why it cannot go on, whatever the stage is busy with.
    fn interrupted(&self) -> Option<String> {
        let stage = self.one.stage;
        if stage == MoveStage::Returning {
            return None;
        }
        if self.is_gone(self.one.to) {
            return Some(format!("host {} went down", self.name(self.one.to)));
        }
        let known = |name: &&String| self.state.repositories.contains_key(*name);
        if stage.is_before_start()
            && let Some(gone) = self.one.repository.as_ref().filter(|name| !known(name))
        {
            return Some(format!("repository {gone} was removed"));
        }
        // Once everything has been taken, the old host is not needed any more.
        let needed = stage <= MoveStage::Syncing;
        let lost = self.one.with_data().find(|leg| needed && self.is_gone(leg.from))?;
        Some(format!("host {}, which has the data, went down", self.name(lost.from)))
    }

    /// One run for each instance with data, and what follows when all are done.
    fn runs(
        &self,
        then: MoveStage,
        ids: &mut dyn Ids,
        task: impl Fn(&Leg) -> (HostId, RunTask),
    ) -> Vec<MoveStep> {
        if let Some(why) = self.one.with_data().find_map(|leg| self.failed(leg)) {
            return self.entered(Next::End(why));
        }
        if self.one.with_data().all(|leg| leg.ended.is_some()) {
            // What is being taken at this moment would be waited for while nothing runs.
            let busy = then == MoveStage::Stopping && self.is_backed_up();
            return self.entered(if busy { Next::Wait } else { Next::Enter(then) });
        }
        let waiting = self.one.with_data().filter(|leg| leg.run.is_none());
        let begun = waiting.map(|leg| {
            let (host, task) = task(leg);
            MoveStep::Begin { id: self.one.id, run: Box::new(self.run(leg, host, task, ids)) }
        });
        begun.collect()
    }

    fn run(&self, leg: &Leg, host: HostId, task: RunTask, ids: &mut dyn Ids) -> Run {
        let length = u64::try_from(LENGTH.as_millis()).unwrap_or(u64::MAX);
        Run {
            app: Some(self.one.app.clone()),
            instance: Some(leg.instance()),
            release: self.one.release,
            only: Some(host),
            by: self.one.by.clone(),
            ..Run::new(ids.run(), task, self.one.repository.clone().unwrap_or_default(), length)
        }
    }

    /// Why the run of an instance leads nowhere.
    fn failed(&self, leg: &Leg) -> Option<String> {
        let of = |what: &str| format!("{} {}: {what}", leg.group, leg.slot);
        let Some(ended) = &leg.ended else {
            // A run is forgotten only when it is over, and then the move has heard of it.
            let lost = leg.run.is_some_and(|run| !self.state.runs.contains_key(&run));
            return lost.then(|| of("its run is not known any more"));
        };
        let told = || ended.message.clone().unwrap_or_else(|| ended.state.to_string());
        let syncs = self.one.stage == MoveStage::Syncing;
        match ended.state {
            RunState::Succeeded if syncs && leg.items.is_empty() => Some(of("nothing was taken")),
            RunState::Succeeded => None,
            // What changes while it is read is read again when nothing changes any more.
            RunState::Partial if self.one.stage == MoveStage::Copying => None,
            _ => Some(of(&told())),
        }
    }

    /// Whether a backup reads the data of an instance that is about to stop.
    fn is_backed_up(&self) -> bool {
        let ours = |run: &&Arc<Run>| run.app.as_ref() == Some(&self.one.app) && run.kind() == RunKind::Backup;
        self.state.open_runs().any(|run| ours(&run) && run.is_given())
    }

    /// Waits until nothing that moves may write any more.
    fn stopping(&self, then: MoveStage) -> Next {
        let down = |host: HostId| self.is_gone(host);
        let writes = |held: &&Arc<Allocation>| {
            self.one.with_data().any(|leg| leg.is(&held.group, held.slot)) && !down(held.host)
        };
        let alive = self.state.allocations_of(&self.one.app).find(writes);
        match alive {
            None => Next::Enter(then),
            Some(held) if then == MoveStage::Syncing && self.waited(STOP_WITHIN) => Next::End(format!(
                "{} {} has not stopped on {} within {} min",
                held.group,
                held.slot,
                self.name(held.host),
                STOP_WITHIN.as_secs() / 60
            )),
            Some(_) => Next::Wait,
        }
    }

    /// Waits until everything is healthy on the new host, and has been for a while.
    fn starting(&self) -> Next {
        let mut settled = true;
        for leg in &self.one.legs {
            match self.on_new_host(leg) {
                Ok(proven) => settled &= proven,
                // Where the old host is down there is nothing to go back to.
                Err(_) if leg.data && self.is_gone(leg.from) => settled = false,
                Err(why) => return Next::End(format!("{} {}: {why}", leg.group, leg.slot)),
            }
        }
        if settled { Next::Enter(MoveStage::Settled) } else { Next::Wait }
    }

    /// Whether an instance is proven on the new host, or why it will not be.
    fn on_new_host(&self, leg: &Leg) -> Result<bool, String> {
        let to = self.name(self.one.to);
        let app = self.state.apps.get(&self.one.app);
        let failures = app.and_then(|app| app.failures.get(&leg.instance()));
        let failed =
            failures.into_iter().flatten().any(|(host, at)| *host == self.one.to && *at >= self.one.since);
        let held = self
            .state
            .allocations_of(&self.one.app)
            .find(|held| leg.is(&held.group, held.slot) && held.host == self.one.to && held.counts());
        if failed {
            let why =
                held.and_then(|held| held.reason.clone()).map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!("it failed on {to}{why}"));
        }
        let Some(held) = held else {
            return match self.waited(PLACE_WITHIN) {
                true => Err(format!("{to} has not taken it within {} s", PLACE_WITHIN.as_secs())),
                false => Ok(false),
            };
        };
        let group = app.and_then(|app| app.group_of(held));
        let (monitor, deadline) =
            group.map_or((0, 0), |group| (group.update.monitor_ms, group.update.deadline_ms));
        match held.state {
            AllocationState::Healthy => Ok(held.since.plus(Duration::from_millis(monitor)) <= self.now),
            // All of it has ended well, as it was meant to.
            AllocationState::Stopped => Ok(true),
            AllocationState::Failed => Err(format!("it failed on {to}")),
            AllocationState::Pending | AllocationState::Preparing
                if self.now.since(held.placed) > READY_WITHIN =>
            {
                Err(format!("{to} was not ready for it within {} min", READY_WITHIN.as_secs() / 60))
            }
            AllocationState::Starting | AllocationState::Unhealthy
                if self.now.since(held.since) > Duration::from_millis(deadline) =>
            {
                let why = held.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                Err(format!("it did not become healthy on {to} within {} s{why}", deadline / 1_000))
            }
            _ => Ok(false),
        }
    }

    fn waited(&self, length: Duration) -> bool {
        self.now.since(self.one.since) > length
    }

    /// Whether a host has been fenced: nothing that needs a lease runs there.
    fn is_gone(&self, host: HostId) -> bool {
        self.state.hosts.get(&host).is_none_or(|host| host.status == HostStatus::Down)
    }

    fn name(&self, host: HostId) -> String {
        self.state.hosts.get(&host).map_or_else(|| "a removed host".to_owned(), |host| host.name.clone())
    }
}
