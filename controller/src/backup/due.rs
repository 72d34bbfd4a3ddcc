//! Runs that are due: backups, tries again, copies, checks, prunes, drills.

use super::controllers;
use super::limits::Limits;
use super::moment::{self, Moments, Who};
use super::plan::{Ids, Outlines};
use super::policy::{Policy, offset, policy};
use crate::state::command::RunStep;
use crate::state::{
    Allocation, App, AppKey, BackupRepository, Goal, HostStatus, Run, RunKind, RunTask, Snapshot,
    SnapshotKey, State, Upkeep, WantedItem, subject,
};
use omni_common::clock::Time;
use omni_common::domain::backup::{Item, RunState, Schedule};
use omni_common::ids::RunId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Tries of a backup or a copy that is due.
pub(super) const TRIES: u32 = 3;
/// Waits before the second and third.
const PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(5 * 60)];
/// A copy or a first check that failed so often is tried again this seldom.
const SELDOM: Duration = Duration::from_secs(3_600);
/// Reasons that do not pass by waiting.
pub(super) const LASTING: [&str; 4] = ["wrong_password", "repository_missing", "out_of_reach", "invalid"];

pub(super) fn steps(
    state: &State,
    outlines: &Outlines,
    limits: &Limits,
    moments: &Moments,
    now: Time,
    ids: &mut dyn Ids,
) -> Vec<RunStep> {
    if state.repositories.is_empty() {
        return Vec::new();
    }
    let mut due = Due { state, limits, moments, now, ids, past: Past::of(state), steps: Vec::new() };
    for (key, outline) in outlines {
        let Some(app) = state.apps.get(key).filter(|app| app.goal == Goal::Run) else { continue };
        // A backup would keep what moves waiting, and what is due is made up for.
        if state.open_move(key).is_some() {
            continue;
        }
        let policy = policy(state, app, outline);
        if policy.skip || policy.fault.is_some() || outline.groups.is_empty() {
            continue;
        }
        due.backups(app, outline, &policy);
        due.copies(key, &policy);
        due.drills(app, &policy);
    }
    due.together(outlines);
    if let Some(outline) = outlines.get(&AppKey::controllers()) {
        due.controllers(outline);
    }
    for repository in state.repositories.values() {
        due.upkeep(repository);
    }
    due.steps
}

/// The newest run of each kind about each subject, and whether any is open.
struct Past<'a> {
    newest: BTreeMap<Which, &'a Run>,
    open: BTreeSet<Which>,
}

/// Kind, subject, and where copies go.
type Which = (RunKind, String, Option<String>);

fn which(kind: RunKind, subject: &str, to: Option<&str>) -> Which {
    (kind, subject.to_owned(), to.map(str::to_owned))
}

impl<'a> Past<'a> {
    fn of(state: &'a State) -> Self {
        let mut past = Self { newest: BTreeMap::new(), open: BTreeSet::new() };
        for run in state.runs.values() {
            let key = which(run.kind(), &run.subject(), run.to.as_deref());
            if !run.state.is_over() {
                past.open.insert(key.clone());
            }
            let newest = past.newest.entry(key).or_insert(run);
            if (run.created, run.id) > (newest.created, newest.id) {
                *newest = run;
            }
        }
        past
    }
}

struct Due<'a> {
    state: &'a State,
    limits: &'a Limits,
    moments: &'a Moments,
    now: Time,
    ids: &'a mut dyn Ids,
    past: Past<'a>,
    steps: Vec<RunStep>,
}

impl<'a> Due<'a> {
    fn is_open(&self, kind: RunKind, subject: &str, to: Option<&str>) -> bool {
        self.past.open.contains(&which(kind, subject, to))
    }

    fn newest(&self, kind: RunKind, subject: &str, to: Option<&str>) -> Option<&'a Run> {
        self.past.newest.get(&which(kind, subject, to)).copied()
    }

    fn start(&mut self, run: Run) {
        self.steps.push(RunStep::Start(Box::new(Run { by: "omni".to_owned(), ..run })));
    }

    fn mark(&mut self, kind: RunKind, subject: &str, at: Time) {
        self.steps.push(RunStep::Mark { kind, subject: subject.to_owned(), at });
    }

    /// The newest time of a schedule that has come and was not served, and how long ago it came.
    fn due(
        &self,
        kind: RunKind,
        subject: &str,
        schedule: &Schedule,
        jitter: Duration,
        since: Time,
    ) -> Option<(Time, Duration)> {
        self.due_later(kind, subject, schedule, offset(subject, jitter), since)
    }

    /// The same, of one that begins so much later than the schedule says.
    fn due_later(
        &self,
        kind: RunKind,
        subject: &str,
        schedule: &Schedule,
        later: Duration,
        since: Time,
    ) -> Option<(Time, Duration)> {
        let at = schedule.last(self.now.minus(later))?;
        let served = self.state.run_marks.get(&(kind, subject.to_owned())).copied().unwrap_or(since);
        (at > served).then(|| (at, self.now.since(at.plus(later))))
    }

    /// The controllers' own state, with its copies and drills. Any host can keep it.
    fn controllers(&mut self, outline: &super::Outline) {
        let app = controllers::app(self.state);
        let policy = policy(self.state, &app, outline);
        let (Some(to), false) = (policy.to.clone(), policy.skip || policy.fault.is_some()) else { return };
        if self.state.cluster.is_none() {
            return;
        }
        let subject = subject(Some(&app.key), Some(&controllers_instance()), "");
        let open = self.is_open(RunKind::Backup, &subject, None);
        if let Some((at, late)) =
            self.due(RunKind::Backup, &subject, &policy.schedule, policy.jitter, Time::EPOCH)
        {
            let first = !self.state.run_marks.contains_key(&(RunKind::Backup, subject.clone()));
            let wait = match first {
                true => Some(Duration::ZERO),
                false => self.made_up(&subject, &app.key, &controllers_instance(), &policy, late),
            };
            if let (false, Some(wait)) = (open, wait) {
                let run = controllers_backup(self.ids.run(), &to, &policy);
                self.start(Run { due: Some(at), not_before: self.now.plus(wait), ..run });
            }
            self.mark(RunKind::Backup, &subject, at);
        } else if let (false, Some(again)) = (open, self.again(RunKind::Backup, &subject, None)) {
            let run = controllers_backup(self.ids.run(), &to, &policy);
            self.start(Run { due: again.due, not_before: self.now, attempt: again.attempt + 1, ..run });
        }
        self.copies(&app.key, &policy);
        self.drills(&app, &policy);
    }

    fn backups(&mut self, app: &App, outline: &super::Outline, policy: &Policy) {
        let state = self.state;
        let up = |host| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Up);
        let running = state.allocations_of(&app.key).filter(|held| held.counts() && up(&held.host));
        for held in running {
            let Some(items) = outline.groups.get(&held.group) else { continue };
            let instance = (held.group.clone(), held.slot);
            let subject = subject(Some(&app.key), Some(&instance), "");
            let Some(to) = &policy.to else { continue };
            let run = |id: RunId, due: Option<Time>, not_before: Time, attempt: u32| Run {
                due,
                not_before,
                attempt,
                ..backup(id, held, items, to, policy)
            };
            // The first one is made up for at once, when there is something that works to take it from.
            let first = !self.state.run_marks.contains_key(&(RunKind::Backup, subject.clone()));
            if first && !held.is_healthy() {
                continue;
            }
            let open = self.is_open(RunKind::Backup, &subject, None);
            let later = offset(&self.moments.lead(&(app.key.clone(), instance.clone())), policy.jitter);
            let due = self.due_later(RunKind::Backup, &subject, &policy.schedule, later, Time::EPOCH);
            if let Some((at, late)) = due {
                if let (false, Some(wait)) = (open, self.made_up(&subject, &app.key, &instance, policy, late))
                {
                    let id = self.ids.run();
                    self.start(run(id, Some(at), self.now.plus(wait), 1));
                }
                self.mark(RunKind::Backup, &subject, at);
            } else if let (false, Some(again)) = (open, self.again(RunKind::Backup, &subject, None)) {
                let id = self.ids.run();
                self.start(run(id, again.due, self.now, again.attempt + 1));
            }
        }
    }

    /// Whoever's data has to be of the same moment as that of a backup that waits for its host begins with it.
    fn together(&mut self, outlines: &Outlines) {
        let begun = self.steps.iter().filter_map(|step| match step {
            RunStep::Start(run) => Some(Run::clone(run)),
            _ => None,
        });
        let waiting = self.state.open_runs().filter(|run| run.host.is_none()).map(|run| Run::clone(run));
        let mut all: Vec<(Who, Run)> =
            begun.chain(waiting).filter_map(|run| Some((moment::of(&run)?, run))).collect();
        let (moments, mut next) = (self.moments, 0);
        while let Some((who, run)) = all.get(next).cloned() {
            next += 1;
            for partner in moments.with(&who) {
                let known = all.iter().any(|(other, _)| other == partner);
                let subject = subject(Some(&partner.0), Some(&partner.1), "");
                if known || self.is_open(RunKind::Backup, &subject, None) {
                    continue;
                }
                if let Some(own) = self.beside(outlines, partner, &run) {
                    self.start(own.clone());
                    all.push((partner.clone(), own));
                }
            }
        }
    }

    /// The backup of an instance that begins because another's does; nothing while it cannot.
    fn beside(&mut self, outlines: &Outlines, (key, instance): &Who, other: &Run) -> Option<Run> {
        let state = self.state;
        let (app, outline) = (state.apps.get(key)?, outlines.get(key)?);
        let policy = policy(state, app, outline);
        let (items, to) = (outline.groups.get(&instance.0)?, policy.to.as_ref()?);
        let is_it = |held: &&Allocation| (&held.group, held.slot) == (&instance.0, instance.1);
        let up = |host| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Up);
        let mut held = state.allocations_of(key).map(|held| &**held).filter(is_it);
        let held = held.find(|held| held.counts() && up(&held.host))?;
        let first = !state.run_marks.contains_key(&(RunKind::Backup, subject(Some(key), Some(instance), "")));
        if state.open_move(key).is_some() || (first && !held.is_healthy()) {
            return None;
        }
        let id = self.ids.run();
        // It serves no time of its own schedule, and is tried again together with the other.
        let due = other.due.map(|_| self.now);
        let (not_before, attempt) = (other.not_before, other.attempt);
        Some(Run { due, not_before, attempt, ..backup(id, held, items, to, &policy) })
    }

    /// How long a run that is due waits yet; nothing when it came too late and is not made up for. After downtime only
    /// what is older than half of what it may be gets one at once.
    fn made_up(
        &self,
        subject: &str,
        app: &AppKey,
        instance: &(String, u32),
        policy: &Policy,
        late: Duration,
    ) -> Option<Duration> {
        let window = policy.jitter + policy.max_duration + policy.copy_duration;
        if late <= window {
            return Some(Duration::ZERO);
        }
        // The first of all is nobody's second.
        if !self.limits.catch_up && self.state.run_marks.contains_key(&(RunKind::Backup, subject.to_owned()))
        {
            return None;
        }
        let newest = self.state.snapshots_of(app).rev().find(|(key, one)| {
            one.whole && one.instance == *instance && Some(&key.repository) == policy.to.as_ref()
        });
        let old = newest.is_none_or(|(key, _)| self.now.since(key.taken) > policy.max_age / 2);
        old.then(|| offset(subject, self.limits.spread))
    }

    /// The newest run when it failed and is to be tried again now.
    fn again(&self, kind: RunKind, subject: &str, to: Option<&str>) -> Option<&'a Run> {
        let failed = self.newest(kind, subject, to)?;
        let lasting = failed.code.as_deref().is_some_and(|code| LASTING.contains(&code));
        if failed.state != RunState::Failed || failed.due.is_none() || failed.attempt >= TRIES || lasting {
            return None;
        }
        let pause = PAUSES[(failed.attempt as usize - 1).min(PAUSES.len() - 1)];
        (self.now.since(failed.ended?) >= pause).then_some(failed)
    }

    /// Newest snapshots that are not yet in every repository that they belong to.
    fn copies(&mut self, key: &AppKey, policy: &Policy) {
        let Some(from) = &policy.to else { return };
        for to in &policy.copy_to {
            for (instance, set) in newest_sets(self.state, key, from) {
                let there = |(other, one): (&SnapshotKey, &Arc<Snapshot>)| {
                    other.repository == *to && one.run == set.run && one.instance == instance
                };
                let copied = self.state.snapshots_of(key).rev().filter(|one| there(*one)).count();
                let subject = subject(Some(key), Some(&instance), "");
                if copied >= set.items.len() || self.is_open(RunKind::Copy, &subject, Some(to)) {
                    continue;
                }
                let snapshots: Vec<String> = set.items.iter().map(|item| item.snapshot.clone()).collect();
                let task = RunTask::Copy { snapshots };
                let attempt = match self.newest(RunKind::Copy, &subject, Some(to)) {
                    Some(before) if before.task == task && before.state == RunState::Failed => {
                        let pause = PAUSES.get(before.attempt as usize - 1).copied().unwrap_or(SELDOM);
                        if before.ended.is_none_or(|ended| self.now.since(ended) < pause) {
                            continue;
                        }
                        before.attempt + 1
                    }
                    // It was done, whatever was told of it, or a person does not want it.
                    Some(before) if before.task == task => continue,
                    _ => 1,
                };
                let id = self.ids.run();
                let length = millis(policy.copy_duration);
                self.start(Run {
                    app: Some(key.clone()),
                    instance: Some(instance),
                    to: Some(to.clone()),
                    attempt,
                    ..Run::new(id, task, from, length)
                });
            }
        }
    }

    /// A restore in scratch space, from each repository in turn.
    fn drills(&mut self, app: &App, policy: &Policy) {
        let (Some(drills), Some(to)) = (&policy.drills, &policy.to) else { return };
        let places: Vec<&String> = std::iter::once(to).chain(&policy.copy_to).collect();
        for instance in newest_sets(self.state, &app.key, to).into_keys() {
            let subject = subject(Some(&app.key), Some(&instance), "");
            let due = self.due(RunKind::Drill, &subject, &drills.schedule, drills.jitter, app.created);
            let Some((at, _)) = due else { continue };
            let last = self.newest(RunKind::Drill, &subject, None).map(|run| &run.repository);
            let next =
                last.and_then(|last| places.iter().position(|place| *place == last)).map_or(0, |at| at + 1);
            let turns = (0..places.len()).map(|turn| places[(next + turn) % places.len()]);
            let found = turns
                .filter_map(|place| {
                    Some((place, newest_sets(self.state, &app.key, place).remove(&instance)?))
                })
                .next();
            if let Some((place, set)) = found
                && !self.is_open(RunKind::Drill, &subject, None)
            {
                let id = self.ids.run();
                self.start(drill(id, app, &instance, place, set, drills, Some(at)));
            }
            self.mark(RunKind::Drill, &subject, at);
        }
    }

    /// Checks and prunes of a repository.
    fn upkeep(&mut self, repository: &'a BackupRepository) {
        let name = &repository.name;
        if let Some(upkeep) = &repository.check {
            let never = repository.checked.is_none() && self.has_snapshots(name) && self.may_begin(name);
            let due = self.upkeep_due(RunKind::Check, repository, upkeep);
            if due.is_some() || never {
                let part = (upkeep.parts > 0).then(|| {
                    let turn = repository.checks % u64::from(upkeep.parts);
                    (u32::try_from(turn).unwrap_or(0) + 1, upkeep.parts)
                });
                self.start_upkeep(RunTask::Check { part }, repository, upkeep, due);
            }
            self.served(RunKind::Check, repository, upkeep);
        }
        if let Some(upkeep) = &repository.prune {
            let due = self.upkeep_due(RunKind::Prune, repository, upkeep);
            if due.is_some() && self.has_snapshots(name) {
                self.start_upkeep(RunTask::Prune, repository, upkeep, due);
            }
            self.served(RunKind::Prune, repository, upkeep);
        }
    }

    fn came(
        &self,
        kind: RunKind,
        repository: &BackupRepository,
        upkeep: &Upkeep,
    ) -> Option<(Time, Duration)> {
        let schedule = Schedule::new(&upkeep.schedule, &upkeep.time_zone).ok()?;
        self.due(kind, &repository.name, &schedule, Duration::ZERO, repository.created)
    }

    /// The time that is due now; what came too late waits for the next time.
    fn upkeep_due(&self, kind: RunKind, repository: &BackupRepository, upkeep: &Upkeep) -> Option<Time> {
        let (at, late) = self.came(kind, repository, upkeep)?;
        let missed = late > upkeep.max_duration.duration().max(SELDOM);
        (!missed && !self.is_open(kind, &repository.name, None)).then_some(at)
    }

    fn served(&mut self, kind: RunKind, repository: &BackupRepository, upkeep: &Upkeep) {
        if let Some((at, _)) = self.came(kind, repository, upkeep) {
            self.mark(kind, &repository.name, at);
        }
    }

    fn start_upkeep(
        &mut self,
        task: RunTask,
        repository: &BackupRepository,
        upkeep: &Upkeep,
        due: Option<Time>,
    ) {
        let id = self.ids.run();
        let length = millis(upkeep.max_duration.duration());
        let run = Run::new(id, task, &repository.name, length);
        self.start(Run { only: repository.host, due, ..run });
    }

    fn has_snapshots(&self, repository: &str) -> bool {
        self.state.snapshots.keys().any(|key| key.repository == repository)
    }

    /// Whether a first check is not under way and has not just failed.
    fn may_begin(&self, name: &str) -> bool {
        let before = self.newest(RunKind::Check, name, None);
        !self.is_open(RunKind::Check, name, None)
            && before.and_then(|run| run.ended).is_none_or(|ended| self.now.since(ended) > SELDOM)
    }
}

/// A backup of an instance, on the host that it is on.
fn backup(id: RunId, held: &Allocation, items: &[Item], to: &str, policy: &Policy) -> Run {
    let items = items.iter().map(|item| item.name.clone()).collect();
    Run {
        app: Some(held.app.clone()),
        instance: Some((held.group.clone(), held.slot)),
        release: held.release,
        only: Some(held.host),
        ..Run::new(id, RunTask::Backup { items }, to, millis(policy.max_duration))
    }
}

/// The one instance of the controllers' state.
fn controllers_instance() -> (String, u32) {
    (controllers::GROUP.to_owned(), 0)
}

/// A backup of the controllers' state.
pub(crate) fn controllers_backup(id: RunId, to: &str, policy: &Policy) -> Run {
    Run {
        app: Some(AppKey::controllers()),
        instance: Some(controllers_instance()),
        ..Run::new(id, RunTask::Backup { items: vec![controllers::item()] }, to, millis(policy.max_duration))
    }
}

/// Everything that one run took of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// The backup that took it.
    pub(crate) run: RunId,
    /// Moment that its oldest item is of.
    pub(crate) taken: Time,
    /// When the last of it was put into the repository.
    pub(crate) stored: Time,
    /// Nothing is missing.
    pub(crate) whole: bool,
    /// Where the data was.
    pub(crate) host: omni_common::ids::HostId,
    /// Release that ran.
    pub(crate) release: u64,
    /// Its items, by name.
    pub(crate) items: Vec<WantedItem>,
    /// Bytes of all.
    pub(crate) bytes: u64,
}

/// The sets of an app in a repository, newest first, by instance.
pub(crate) fn sets(state: &State, key: &AppKey, repository: &str) -> BTreeMap<(String, u32), Vec<Set>> {
    let mut sets: BTreeMap<(String, u32), Vec<Set>> = BTreeMap::new();
    let all = state.snapshots_of(key).rev().filter(|(key, _)| key.repository == repository);
    for (key, one) in all {
        let own = sets.entry(one.instance.clone()).or_default();
        let item = WantedItem { item: one.item.clone(), snapshot: key.id.clone(), path: None };
        match own.iter_mut().find(|set| set.run == one.run) {
            Some(set) => {
                set.taken = set.taken.min(key.taken);
                set.stored = set.stored.max(one.stored);
                set.whole &= one.whole;
                set.bytes += one.bytes;
                set.items.push(item);
                set.items.sort_by(|a, b| a.item.cmp(&b.item));
            }
            None => own.push(Set {
                run: one.run,
                taken: key.taken,
                stored: one.stored,
                whole: one.whole,
                host: one.host,
                release: one.release,
                items: vec![item],
                bytes: one.bytes,
            }),
        }
    }
    sets
}

/// The newest set of each instance in a repository.
pub(crate) fn newest_sets(state: &State, key: &AppKey, repository: &str) -> BTreeMap<(String, u32), Set> {
    let newest = |(instance, sets): (_, Vec<Set>)| Some((instance, sets.into_iter().next()?));
    sets(state, key, repository).into_iter().filter_map(newest).collect()
}

/// A drill of a set.
pub(crate) fn drill(
    id: RunId,
    app: &App,
    instance: &(String, u32),
    repository: &str,
    set: Set,
    drills: &super::Drills,
    due: Option<Time>,
) -> Run {
    let task = RunTask::Drill { items: set.items, probes: drills.probes.clone() };
    Run {
        app: Some(app.key.clone()),
        instance: Some(instance.clone()),
        release: set.release,
        // The controllers' state lives on no host that could be proven to be another one.
        not_on: Some(set.host).filter(|_| !app.key.is_controllers()),
        due,
        ..Run::new(id, task, repository, millis(drills.max_duration))
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
