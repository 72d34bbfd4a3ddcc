//! How far a deployment may go now: which instances are replaced next, and whether it is done or has failed.
//!
//! ```text
//! slot  outdated ──renewed──▶ fresh, not proven ──healthy for `monitor`──▶ proven
//!                                  └── failed, or not healthy by the deadline ──▶ failed ──▶ roll back | pause | go on
//! ```
//!
//! So many slots at a time do not serve as the rules' parallelism says; the next ones come after the last was proven and
//! the delay is over. A slot that has been emptied, because its successor needs the very port that the old one held,
//! does not serve from the moment the old one is told to stop. What is outdated and does not serve, because a deployment
//! was cut short or its host is silent, is renewed before anything that does.

use super::problem::slot_of;
use crate::state::{
    Allocation, App, Deployment, DeploymentState, Group, HostStatus, OnFailure, Release, State, UpdateRules,
};
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::ids::HostId;
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
    /// All is as it should be, or as far as it can be, which is then said.
    Done(Option<String>),
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
    /// Nothing of the wanted release fills it, or what was broken before.
    Outdated,
    /// Filled afresh; may still fail.
    Fresh,
    /// Filled afresh and healthy for long enough.
    Proven,
    /// Filled afresh, and it did not become healthy.
    Failed,
}

/// The slots of each group that the scheduler fills at this moment, or as soon as something has stopped.
pub type Filling = BTreeMap<String, BTreeSet<Slot>>;

/// What the open deployment of `app` does now; nothing when there is none, or it waits for a person.
pub fn gate(state: &State, app: &App, filling: &Filling, now: Time) -> Gate {
    let Some(deployment) = app.open_deployment().filter(|open| open.state == DeploymentState::Running) else {
        return Gate::default();
    };
    let Some(release) = app.wanted() else { return Gate::default() };
    let allocations: Vec<&Allocation> = state.allocations_of(&app.key).map(Arc::as_ref).collect();
    let mut tally = Tally {
        state,
        app,
        deployment,
        filling,
        now,
        gate: Gate::default(),
        failed: Vec::new(),
        through: true,
        missing: 0,
        proven: 0,
    };
    for (name, group) in &release.groups {
        tally.group(name, group, &allocations);
    }
    tally.conclude(release)
}

struct Tally<'a> {
    state: &'a State,
    app: &'a App,
    deployment: &'a Deployment,
    filling: &'a Filling,
    now: Time,
    gate: Gate,
    failed: Vec<(&'a Allocation, OnFailure)>,
    /// Nothing is left to be renewed or waited for.
    through: bool,
    /// Slots that are wanted and for which there is no host.
    missing: usize,
    proven: usize,
}

/// The slots of a group as they are.
struct Slots<'a> {
    /// The newest instance of each that is to run.
    newest: BTreeMap<Slot, (&'a Allocation, Stage)>,
    /// Those that serve, and go on when nothing is renewed.
    serving: BTreeSet<Slot>,
    /// How many are being emptied or filled.
    empty: usize,
}

impl Slots<'_> {
    fn count(&self, stage: Stage) -> usize {
        self.newest.values().filter(|(_, own)| *own == stage).count()
    }

    /// Outdated slots that serve, or that do not.
    fn outdated(&self, serving: bool) -> impl Iterator<Item = Slot> {
        let fits = move |slot: &Slot| self.serving.contains(slot) == serving;
        let outdated = self.newest.iter().filter(|(_, (_, stage))| *stage == Stage::Outdated);
        outdated.map(|(slot, _)| *slot).filter(fits)
    }
}

impl<'a> Tally<'a> {
    fn rules(&self, group: &Group) -> UpdateRules {
        if self.deployment.back { group.rollback } else { group.update }
    }

    fn group(&mut self, name: &str, group: &Group, allocations: &[&'a Allocation]) {
        let rules = self.rules(group);
        let mut proven_last = None;
        let mut newest: BTreeMap<Slot, (&Allocation, Stage)> = BTreeMap::new();
        for (slot, held) in newest_of(name, group, allocations) {
            let stage = self.stage(slot, held, &rules);
            if stage == Stage::Proven {
                proven_last = proven_last.max(Some(held.since.plus(Duration::from_millis(rules.monitor_ms))));
            }
            newest.insert(slot, (held, stage));
        }
        let serving = self.healthiest(name, group, allocations);
        let serving =
            serving.into_iter().filter(|(_, held)| self.serves(held)).map(|(slot, _)| slot).collect();
        let replicas = self.app.replicas(name, group);
        let empty = self.empty(name, group, allocations, &newest, replicas);
        let slots = Slots { newest, serving, empty };
        let wanted = replicas.map_or(slots.newest.len(), |count| count as usize);
        let (proven, failed) = (slots.count(Stage::Proven), slots.count(Stage::Failed));
        self.proven += proven;
        self.missing += wanted.saturating_sub(proven + failed);
        self.through &= slots.count(Stage::Outdated) + slots.count(Stage::Fresh) + empty == 0;
        if failed > wanted * rules.max_failures as usize / 1_000 {
            let all = slots.newest.values().filter(|(_, stage)| *stage == Stage::Failed);
            self.failed.extend(all.map(|(held, _)| (*held, rules.on_failure)));
        }
        self.next(name, &slots, &rules, proven_last);
    }

    /// Chooses the slots that are replaced now.
    fn next(&mut self, name: &str, slots: &Slots<'_>, rules: &UpdateRules, proven_last: Option<Time>) {
        let under_way = slots.count(Stage::Fresh) + slots.empty;
        let at_once = if rules.parallelism == 0 { slots.newest.len() } else { rules.parallelism as usize };
        // A batch begins only when the one before it is through, and then after the pause.
        let ready = proven_last.map(|last| last.plus(Duration::from_millis(rules.delay_ms)));
        if under_way > 0 && rules.delay_ms > 0 {
            return;
        }
        if let Some(ready) = ready.filter(|ready| *ready > self.now && !self.deployment.promoted) {
            return self.look_again(ready);
        }
        let room = at_once.saturating_sub(under_way);
        // Of those that serve, so many less as do not: they are missing already.
        let room_serving = room.saturating_sub(slots.outdated(false).count());
        let chosen = slots.outdated(false).take(room).chain(slots.outdated(true).take(room_serving));
        self.gate.renew.extend(chosen.map(|slot| (name.to_owned(), slot)));
    }

    fn stage(&mut self, slot: Slot, held: &Allocation, rules: &UpdateRules) -> Stage {
        if held.release != self.deployment.to || held.round != self.app.round {
            return if self.tried(slot, held) { Stage::Failed } else { Stage::Outdated };
        }
        // What was broken before this deployment began was not broken by it, and is filled afresh.
        let broken = if held.placed < self.deployment.started { Stage::Outdated } else { Stage::Failed };
        match held.state {
            AllocationState::Healthy if self.deployment.promoted => Stage::Proven,
            // A host that is silent may be about to be given up.
            AllocationState::Healthy if !self.is_up(held) => Stage::Fresh,
            AllocationState::Healthy => {
                let proven = held.since.plus(Duration::from_millis(rules.monitor_ms));
                if proven <= self.now {
                    return Stage::Proven;
                }
                self.look_again(proven);
                Stage::Fresh
            }
            AllocationState::Failed => broken,
            // All of it has ended well, as it was meant to.
            AllocationState::Stopped => Stage::Proven,
            _ if self.deployment.promoted => Stage::Proven,
            AllocationState::Unhealthy if broken == Stage::Outdated => broken,
            _ => {
                let deadline = deadline(held, rules);
                if deadline <= self.now {
                    return broken;
                }
                self.look_again(deadline);
                Stage::Fresh
            }
        }
    }

    /// Whether a successor was started in this deployment, and failed.
    fn tried(&self, slot: Slot, held: &Allocation) -> bool {
        let failures = self.app.failures.get(&(held.group.clone(), held.slot));
        failures.into_iter().flatten().any(|(host, _)| match slot {
            Slot::Replica(_) => true,
            Slot::Host(own) => *host == own,
        })
    }

    fn is_up(&self, held: &Allocation) -> bool {
        self.state.hosts.get(&held.host).is_some_and(|host| host.status == HostStatus::Up)
    }

    /// Whether it serves, and will for a while: what is on a host that was to be empty by now stops at any moment.
    fn serves(&self, held: &Allocation) -> bool {
        let deadline = self.state.drains.get(&held.host).and_then(|drain| drain.deadline);
        held.is_healthy() && self.is_up(held) && deadline.is_none_or(|by| self.now < by)
    }

    /// How many wanted slots have nothing that is known to run, and something that has not stopped yet, that has not
    /// spoken since its host came back, or that is about to be placed. What is on a host that was given up is not waited
    /// for, nor what nothing can fill.
    fn empty(
        &self,
        name: &str,
        group: &Group,
        allocations: &[&Allocation],
        filled: &BTreeMap<Slot, (&Allocation, Stage)>,
        wanted: Option<u32>,
    ) -> usize {
        let unsettled = allocations.iter().filter(|held| held.group == name && held.run == held.lost);
        let unsettled = unsettled.filter(|held| !self.is_down(&held.host));
        let mut slots: BTreeSet<Slot> = unsettled.map(|held| slot_of(group, held)).collect();
        slots.extend(self.filling.get(name).into_iter().flatten());
        let emptied = slots.iter().filter(|slot| !filled.contains_key(slot)).count();
        // Whatever their numbers are: so many as are missing make way for others, and the rest was too much.
        wanted.map_or(emptied, |count| emptied.min((count as usize).saturating_sub(filled.len())))
    }

    /// The instance of each slot that is kept for being healthy: the newest of those. One on a host that is down is about
    /// to be lost, and then an older one is the newest.
    fn healthiest(
        &self,
        name: &str,
        group: &Group,
        allocations: &[&'a Allocation],
    ) -> BTreeMap<Slot, &'a Allocation> {
        newest_that(name, group, allocations, |held| held.is_healthy() && !self.is_down(&held.host))
    }

    fn is_down(&self, host: &HostId) -> bool {
        self.state.hosts.get(host).is_none_or(|host| host.status == HostStatus::Down)
    }

    fn look_again(&mut self, at: Time) {
        self.gate.again = Some(self.gate.again.map_or(at, |before| before.min(at)));
    }

    fn conclude(mut self, release: &Release) -> Gate {
        // What this release broke says more than what was there before it.
        self.failed.sort_by_key(|(held, _)| held.release != release.number);
        let worst = self.failed.iter().find(|(_, on_failure)| *on_failure != OnFailure::Continue);
        if let Some((held, on_failure)) = worst {
            let failure = failure(held, release.number);
            let back = self.app.falls_back_to(self.deployment).filter(|_| !self.deployment.back);
            self.gate.end = Some(match (on_failure, back) {
                (OnFailure::Rollback, Some(_)) => End::RollBack(failure),
                (OnFailure::Rollback, None) => End::Fail(failure),
                _ => End::Pause(failure),
            });
            self.gate.renew.clear();
        } else if self.through && self.missing == 0 {
            self.gate.end = Some(End::Done(None));
        } else if self.through && self.proven > 0 {
            // The rest has no host. A deployment does not stay open for that: whatever breaks in a month is not its fault.
            let patience = self.deployment.started.plus(PREPARE);
            if self.now < patience {
                self.look_again(patience);
            } else {
                let (missing, wait) =
                    (self.missing, if self.missing == 1 { "instance waits" } else { "instances wait" });
                let reason = format!("{missing} {wait} for a host that has room");
                self.gate.end = Some(End::Done(Some(reason)));
            }
        }
        self.gate
    }
}

/// When one that is not healthy yet has failed. Getting ready, which may pull many GiB, has a time of its own; one that
/// turns healthy and unhealthy without end has the two together.
fn deadline(held: &Allocation, rules: &UpdateRules) -> Time {
    let (ready, within) = (held.placed.plus(PREPARE), Duration::from_millis(rules.deadline_ms));
    match held.state {
        AllocationState::Pending | AllocationState::Preparing => ready,
        _ => held.since.plus(within).min(ready.plus(within)),
    }
}

/// The newest instance of each slot that is to run.
fn newest_of<'a>(
    name: &str,
    group: &Group,
    allocations: &[&'a Allocation],
) -> BTreeMap<Slot, &'a Allocation> {
    newest_that(name, group, allocations, |_| true)
}

fn newest_that<'a>(
    name: &str,
    group: &Group,
    allocations: &[&'a Allocation],
    fits: impl Fn(&Allocation) -> bool,
) -> BTreeMap<Slot, &'a Allocation> {
    let mut slots: BTreeMap<Slot, &Allocation> = BTreeMap::new();
    let own = allocations.iter().copied().filter(|held| held.group == name && held.counts());
    for held in own.filter(|held| fits(held)) {
        let newest = slots.entry(slot_of(group, held)).or_insert(held);
        if newest.epoch < held.epoch {
            *newest = held;
        }
    }
    slots
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
