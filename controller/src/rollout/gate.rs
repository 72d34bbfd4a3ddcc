//! How far a deployment may go now: which instances are replaced next, and whether it is done or has failed.
//!
//! ```text
//! slot  outdated ──renewed──▶ fresh, not proven ──healthy for `monitor`──▶ proven
//!                                  └── failed, or not healthy by the deadline ──▶ failed ──▶ roll back | pause | go on
//! ```
//!
//! So many slots at a time are between outdated and proven as the rules' parallelism says; the next ones come after the
//! last was proven and the delay is over. A slot that has been emptied, because its successor needs the very port that
//! the old one held, is between the two as well, from the moment the old one is told to stop.

use super::problem::slot_of;
use crate::state::{Allocation, App, Deployment, DeploymentState, Group, OnFailure, Release, UpdateRules};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_scheduler::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A new instance must have its images, volumes and files this soon after it was placed.
const PREPARE: Duration = Duration::from_secs(1_800);

/// Which instance of which group.
pub type SlotKey = (String, Slot);

/// What a deployment does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Slots to be filled afresh.
    pub renew: BTreeSet<SlotKey>,
    /// How it ends, when it does.
    pub end: Option<End>,
    /// When to look again, though nothing may have changed by then.
    pub again: Option<Time>,
}

/// How a deployment ends, or pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All is as it should be.
    Done,
    /// It failed and the app goes back.
    RollBack(Failure),
    /// It failed and waits for a person.
    Pause(Failure),
    /// It failed, and there is nothing to go back to.
    Fail(Failure),
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence.
    pub reason: String,
    /// The last output of what failed.
    pub log: Option<String>,
}

/// One slot as a deployment sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing of the wanted release fills it.
    Outdated,
    /// Filled afresh; may still fail.
    Fresh,
    /// Filled afresh and healthy for long enough.
    Proven,
    /// Filled afresh, and it did not become healthy.
    Failed,
}

/// How many empty slots of each group are being filled at this moment.
pub type Filling = BTreeMap<String, usize>;

/// What the open deployment of `app` does now; nothing when there is none, or it waits for a person.
pub fn gate(app: &App, allocations: &[Arc<Allocation>], filling: &Filling, now: Time) -> Gate {
    let Some(deployment) = app.open_deployment().filter(|open| open.state == DeploymentState::Running) else {
        return Gate::default();
    };
    let Some(release) = app.wanted() else { return Gate::default() };
    let mut tally =
        Tally { app, deployment, filling, now, gate: Gate::default(), failed: Vec::new(), all_proven: true };
    for (name, group) in &release.groups {
        tally.group(name, group, allocations);
    }
    tally.conclude(release)
}

struct Tally<'a> {
    app: &'a App,
    deployment: &'a Deployment,
    filling: &'a Filling,
    now: Time,
    gate: Gate,
    failed: Vec<(&'a Allocation, OnFailure)>,
    all_proven: bool,
}

impl<'a> Tally<'a> {
    fn rules(&self, group: &Group) -> UpdateRules {
        if self.deployment.back { group.rollback } else { group.update }
    }

    fn group(&mut self, name: &str, group: &Group, allocations: &'a [Arc<Allocation>]) {
        let rules = self.rules(group);
        let mut slots: BTreeMap<Slot, (&Allocation, Stage)> = BTreeMap::new();
        let mut proven_last = None;
        for (slot, held) in newest(name, group, allocations) {
            let stage = self.stage(held, &rules);
            if stage == Stage::Proven {
                proven_last = proven_last.max(Some(held.since.plus(Duration::from_millis(rules.monitor_ms))));
            }
            slots.insert(slot, (held, stage));
        }
        let count = |stage| slots.values().filter(|(_, own)| *own == stage).count();
        let wanted = self.app.replicas(name, group).map_or(slots.len(), |count| count as usize);
        let empty = emptied(name, group, allocations, &slots, self.app.replicas(name, group))
            + self.filling.get(name).copied().unwrap_or(0);
        self.all_proven &= count(Stage::Proven) >= wanted && count(Stage::Outdated) == 0 && empty == 0;
        let failed = slots.values().filter(|(_, stage)| *stage == Stage::Failed);
        let tolerated = wanted * rules.max_failures as usize / 1_000;
        if count(Stage::Failed) > tolerated {
            self.failed.extend(failed.map(|(held, _)| (*held, rules.on_failure)));
        }
        self.next(name, &slots, empty, &rules, proven_last);
    }

    /// Chooses the slots that are replaced now.
    fn next(
        &mut self,
        name: &str,
        slots: &BTreeMap<Slot, (&Allocation, Stage)>,
        empty: usize,
        rules: &UpdateRules,
        proven_last: Option<Time>,
    ) {
        let under_way = slots.values().filter(|(_, stage)| *stage == Stage::Fresh).count() + empty;
        let at_once = if rules.parallelism == 0 { slots.len() } else { rules.parallelism as usize };
        let room = at_once.saturating_sub(under_way);
        let outdated =
            slots.iter().filter(|(_, (_, stage))| *stage == Stage::Outdated).map(|(slot, _)| *slot);
        // A batch begins only when the one before it is through, and then after the pause.
        let ready = proven_last.map(|last| last.plus(Duration::from_millis(rules.delay_ms)));
        if under_way > 0 && rules.delay_ms > 0 {
            return;
        }
        if let Some(ready) = ready.filter(|ready| *ready > self.now && !self.deployment.promoted) {
            return self.look_again(ready);
        }
        self.gate.renew.extend(outdated.take(room).map(|slot| (name.to_owned(), slot)));
    }

    fn stage(&mut self, held: &Allocation, rules: &UpdateRules) -> Stage {
        if held.release != self.deployment.to || held.round != self.app.round {
            return Stage::Outdated;
        }
        match held.state {
            AllocationState::Healthy if self.deployment.promoted => Stage::Proven,
            AllocationState::Healthy => {
                let proven = held.since.plus(Duration::from_millis(rules.monitor_ms));
                if proven <= self.now {
                    return Stage::Proven;
                }
                self.look_again(proven);
                Stage::Fresh
            }
            AllocationState::Failed => Stage::Failed,
            _ if self.deployment.promoted => Stage::Proven,
            _ => {
                let deadline = deadline(held, rules);
                if deadline <= self.now {
                    return Stage::Failed;
                }
                self.look_again(deadline);
                Stage::Fresh
            }
        }
    }

    fn look_again(&mut self, at: Time) {
        self.gate.again = Some(self.gate.again.map_or(at, |before| before.min(at)));
    }

    fn conclude(mut self, release: &Release) -> Gate {
        let worst = self.failed.iter().find(|(_, on_failure)| *on_failure != OnFailure::Continue);
        if let Some((held, on_failure)) = worst {
            let failure = failure(held, release.number);
            let back = self.deployment.from.filter(|from| *from != release.number);
            let back = back.filter(|from| self.app.releases.contains_key(from) && !self.deployment.back);
            self.gate.end = Some(match (on_failure, back) {
                (OnFailure::Rollback, Some(_)) => End::RollBack(failure),
                (OnFailure::Rollback, None) => End::Fail(failure),
                _ => End::Pause(failure),
            });
            self.gate.renew.clear();
        } else if self.all_proven {
            self.gate.end = Some(End::Done);
        }
        self.gate
    }
}

/// When one that is not healthy yet has failed. Getting ready, which may pull many GiB, has a time of its own.
fn deadline(held: &Allocation, rules: &UpdateRules) -> Time {
    match held.state {
        AllocationState::Pending | AllocationState::Preparing => held.placed.plus(PREPARE),
        _ => held.since.plus(Duration::from_millis(rules.deadline_ms)),
    }
}

/// The newest instance of each slot that is to run.
fn newest<'a>(
    name: &str,
    group: &Group,
    allocations: &'a [Arc<Allocation>],
) -> BTreeMap<Slot, &'a Allocation> {
    let mut slots: BTreeMap<Slot, &Allocation> = BTreeMap::new();
    for held in allocations.iter().filter(|held| held.group == name && held.counts()) {
        let newest = slots.entry(slot_of(group, held)).or_insert(held);
        if newest.epoch < held.epoch {
            *newest = held;
        }
    }
    slots
}

/// How many wanted slots have nothing that is to run, and something that has not stopped yet. What is on a host that was
/// given up is not waited for.
fn emptied(
    name: &str,
    group: &Group,
    allocations: &[Arc<Allocation>],
    filled: &BTreeMap<Slot, (&Allocation, Stage)>,
    wanted: Option<u32>,
) -> usize {
    let stopping = allocations.iter().filter(|held| held.group == name && !held.run && !held.lost);
    let slots: BTreeSet<Slot> = stopping.map(|held| slot_of(group, held)).collect();
    let is_wanted = |slot: &Slot| match (slot, wanted) {
        (Slot::Replica(number), Some(count)) => *number < count,
        (_, count) => count.is_none(),
    };
    slots.iter().filter(|slot| is_wanted(slot) && !filled.contains_key(slot)).count()
}

fn failure(held: &Allocation, release: u64) -> Failure {
    let what = match held.state {
        AllocationState::Failed => "failed",
        _ => "did not become healthy in time",
    };
    let mut reason = format!("{} {} of release {release} {what}", held.group, held.slot);
    if let Some(why) = &held.reason {
        reason = format!("{reason}: {why}");
    }
    Failure { reason, log: held.log.clone() }
}
