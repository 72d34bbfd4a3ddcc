//! Data of a lost host that comes back on another one.
//!
//! ```text
//! host down, fenced ─▶ the scheduler: where would it fit? ─▶ a restore there of the newest usable set
//!                      restored ─▶ that host is the data's home (state::apply) ─▶ the scheduler places it, as ever
//! ```
//!
//! Only for groups whose failover is `restore`. What has to be decided anew when a controller dies in the middle is
//! nothing: the run is in the state. The old host may return at any time before the end; then its data is the better
//! one, and the run is given up.

use super::due::LASTING;
use super::plan::{Ids, Outlines};
use super::{Outline, Set, sets};
use crate::rollout::{Foreign, problem_of};
use crate::state::command::RunStep;
use crate::state::{App, AppKey, Failover, Goal, HostStatus, OldDataKey, RestoreInto, Run, RunTask, State};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use omni_common::ids::{HostId, RunId};
use omni_scheduler::{self as sched, Slot, Wait};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A restore may take this long: terabytes over a slow link.
const LENGTH: Duration = Duration::from_secs(24 * 3600);
/// Tries with the same set, since something may have been in the way of it for a moment.
const TRIES: usize = 2;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(10);

/// An instance whose data is on a lost host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranded {
    /// Its app.
    pub app: AppKey,
    /// Group and slot.
    pub instance: (String, u32),
    /// The host that was lost.
    pub from: HostId,
}

impl Stranded {
    /// Whether that run brings its data back.
    pub(crate) fn is_rescued_by(&self, run: &Run) -> bool {
        run.app.as_ref() == Some(&self.app)
            && run.instance.as_ref() == Some(&self.instance)
            && run.rescues_from() == Some(self.from)
    }
}

/// Why data that could come back does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrescued {
    /// No snapshot has all of it, and none of the repositories that hold one can be used.
    NoSnapshot,
    /// The newest usable data is older than the app allows, and nobody has said that this is fine.
    TooOld {
        /// Moment that it is of.
        taken: Time,
        /// What the app allows, milliseconds.
        allowed_ms: u64,
    },
    /// Every set that could be used has been tried.
    Failed,
}

impl fmt::Display for Unrescued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSnapshot => f.write_str(
                "no sound repository that can be reached has a whole snapshot of it; see `omni backup status`",
            ),
            Self::TooOld { taken, allowed_ms } => write!(
                f,
                "the newest that could is of {taken}, and its app allows no more than {} min: wait for the host, or accept that with `omni restore APP --accept-loss`",
                allowed_ms / 60_000
            ),
            Self::Failed => f.write_str(
                "every snapshot of it that could be used was tried and failed; see `omni backup list`, and restore by hand",
            ),
        }
    }
}

/// What can be done for an instance now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Choice {
    /// Bring this back, from that repository.
    Take(String, Box<Set>),
    /// Wait until then.
    Later(Time),
    /// Nothing, for this reason.
    Nothing(Unrescued),
}

/// Instances that wait for a host that is down and may come back from a snapshot. Cheap: usually there are none.
pub fn stranded(state: &State) -> Vec<Stranded> {
    // What moves has somebody who looks after it.
    let running =
        state.apps.values().filter(|app| app.goal == Goal::Run && state.open_move(&app.key).is_none());
    running.flat_map(|app| of_app(state, app)).collect()
}

fn of_app<'a>(state: &'a State, app: &'a App) -> impl Iterator<Item = Stranded> + 'a {
    let homes =
        app.homes.iter().filter_map(|(instance, hosts)| Some((instance, hosts.first()?, hosts.len())));
    homes.filter(|(_, host, count)| *count == 1 && is_down(state, **host)).filter_map(
        |(instance, host, _)| {
            let group = app.wanted()?.groups.get(&instance.0)?;
            let restores = group.failover == Failover::Restore && !group.volumes.is_empty();
            restores.then(|| Stranded { app: app.key.clone(), instance: instance.clone(), from: *host })
        },
    )
}

fn is_down(state: &State, host: HostId) -> bool {
    state.hosts.get(&host).is_some_and(|host| host.status == HostStatus::Down)
}

/// What is to be done about `stranded` and about the rescues under way.
pub fn steps(
    state: &State,
    outlines: &Outlines,
    foreign: &BTreeMap<HostId, Foreign>,
    now: Time,
    ids: &mut dyn Ids,
) -> Vec<RunStep> {
    // Moments in the state come from other clocks than ours.
    let now = now.max(state.now);
    let stranded = stranded(state);
    let mut steps = needless(state, &stranded);
    let unattended: Vec<&Stranded> = stranded.iter().filter(|one| !is_attended(state, one)).collect();
    if unattended.is_empty() {
        return steps;
    }
    let places = places(state, foreign, now);
    for one in unattended {
        let (Some(to), Some(outline)) =
            (places.get(&(one.app.clone(), one.instance.clone())), outlines.get(&one.app))
        else {
            continue;
        };
        // What is being removed there would be removed with what is brought.
        let old = OldDataKey { app: one.app.clone(), instance: one.instance.clone(), host: *to };
        if state.old_data.get(&old).is_some_and(|old| old.going) {
            continue;
        }
        if let Choice::Take(repository, set) = choose(state, outline, one, Some(*to), now) {
            steps.push(RunStep::Start(Box::new(run(state, one, *to, repository, *set, ids.run()))));
        }
    }
    steps
}

/// Rescues whose host has returned, or whose app is not wanted any more.
fn needless(state: &State, stranded: &[Stranded]) -> Vec<RunStep> {
    let open = state.open_runs().filter(|run| run.rescues_from().is_some());
    let over = open.filter(|run| !stranded.iter().any(|one| one.is_rescued_by(run)));
    over.map(|run| RunStep::End {
        run: run.id,
        state: RunState::Cancelled,
        code: "needless".to_owned(),
        why: "the host with the data is back, or the app is not to run any more".to_owned(),
    })
    .collect()
}

/// Whether something is already being put where it belongs.
fn is_attended(state: &State, one: &Stranded) -> bool {
    state.open_runs().any(|run| {
        let same = run.app.as_ref() == Some(&one.app) && run.instance.as_ref() == Some(&one.instance);
        same && (run.is_in_place() || run.rescues_from().is_some())
    })
}

/// Where each stranded instance would run if its data were there, as far as it may be moved: not in a storm, not before
/// the fence.
fn places(
    state: &State,
    foreign: &BTreeMap<HostId, Foreign>,
    now: Time,
) -> BTreeMap<(AppKey, (String, u32)), HostId> {
    let plan = sched::plan(&problem_of(state, foreign, now));
    let waiting = plan.waiting.into_iter().filter_map(|waiting| {
        let (Wait::Data { restore_on: Some(on), .. }, Slot::Replica(slot)) = (&waiting.why, waiting.slot)
        else {
            return None;
        };
        let key = &waiting.group;
        let app = AppKey { environment: key.environment.to_string(), name: key.app.to_string() };
        Some(((app, (key.group.to_string(), slot)), on.id))
    });
    waiting.collect()
}

/// The newest set that holds all data of the instance, lies in a repository that `to` can reach and that is not known to be
/// damaged, and has not failed too often.
/// Which host it would be is not known while none has room: then any repository counts.
pub(crate) fn choose(
    state: &State,
    outline: &Outline,
    one: &Stranded,
    to: Option<HostId>,
    now: Time,
) -> Choice {
    let Some(app) = state.apps.get(&one.app) else { return Choice::Nothing(Unrescued::NoSnapshot) };
    let mut candidates: Vec<(String, Set)> = usable(state, outline, one, to).collect();
    // Newest first; of the same data, what lies in the region of the host.
    let region = to.and_then(|to| state.hosts.get(&to)).and_then(|host| host.region.clone());
    let near = |name: &String| {
        let known = state.repositories.get(name);
        known.is_some_and(|repository| region.is_some() && repository.region == region)
    };
    candidates.sort_by_cached_key(|(name, set)| (std::cmp::Reverse(set.taken), !near(name), name.clone()));
    let Some((_, newest)) = candidates.first() else { return Choice::Nothing(Unrescued::NoSnapshot) };
    let down = state.hosts.get(&one.from).map_or(now, |host| host.status_since);
    if let Some(allowed_ms) = too_old(app, one, newest, down) {
        return Choice::Nothing(Unrescued::TooOld { taken: newest.taken, allowed_ms });
    }
    for (name, set) in candidates {
        if too_old(app, one, &set, down).is_some() {
            break;
        }
        let tries: Vec<&Run> = tries(state, one, &name, &set, down).collect();
        if tries.len() >= TRIES || tries.iter().any(|run| is_lasting(run)) {
            continue;
        }
        let last = tries.iter().filter_map(|run| run.ended).max();
        return match last.map(|last| last.plus(PAUSE)).filter(|again| *again > now) {
            Some(again) => Choice::Later(again),
            None => Choice::Take(name, Box::new(set)),
        };
    }
    Choice::Nothing(Unrescued::Failed)
}

fn usable<'a>(
    state: &'a State,
    outline: &'a Outline,
    one: &'a Stranded,
    to: Option<HostId>,
) -> impl Iterator<Item = (String, Set)> + 'a {
    let reached = state.repositories.values().filter(move |repository| {
        let sound = repository.checked.as_ref().is_none_or(|checked| checked.passed);
        sound && repository.host.is_none_or(|host| to.is_none_or(|to| host == to))
    });
    reached.flat_map(move |repository| {
        let all = sets(state, &one.app, &repository.name).remove(&one.instance).unwrap_or_default();
        let complete = all.into_iter().filter(|set| set.whole && holds_all(outline, &one.instance.0, set));
        complete.map(|set| (repository.name.clone(), set))
    })
}

/// Whether a set has every item that the group has now: the rest of it would start empty.
fn holds_all(outline: &Outline, group: &str, set: &Set) -> bool {
    let wanted = outline.groups.get(group).into_iter().flatten();
    let mut any = false;
    wanted.inspect(|_| any = true).all(|item| set.items.iter().any(|held| held.item == item.name)) && any
}

/// What the app allows, when a set is older than that and nobody has accepted it since the host was lost.
fn too_old(app: &App, one: &Stranded, set: &Set, down: Time) -> Option<u64> {
    let allowed_ms = app.wanted()?.groups.get(&one.instance.0)?.max_data_age_ms?;
    let age = down.since(set.taken);
    let accepted = app.accepted_loss.get(&one.instance).is_some_and(|at| *at >= down);
    (!accepted && age > Duration::from_millis(allowed_ms)).then_some(allowed_ms)
}

/// Rescues of this loss with this set that did not succeed.
fn tries<'a>(
    state: &'a State,
    one: &'a Stranded,
    repository: &'a str,
    set: &'a Set,
    down: Time,
) -> impl Iterator<Item = &'a Run> {
    state.runs.values().map(|run| &**run).filter(move |run| {
        let same = |items: &[crate::state::WantedItem]| items == set.items.as_slice();
        let of_set = matches!(&run.task, RunTask::Restore { items, .. } if same(items));
        of_set
            && one.is_rescued_by(run)
            && run.repository == repository
            && run.created >= down
            && run.state == RunState::Failed
    })
}

/// Whether trying again with the same set would end the same.
fn is_lasting(run: &Run) -> bool {
    let lasting = |code: &str| LASTING.contains(&code) || matches!(code, "damaged" | "snapshot_missing");
    run.code.as_deref().is_some_and(lasting)
}

fn run(state: &State, one: &Stranded, to: HostId, repository: String, set: Set, id: RunId) -> Run {
    let task =
        RunTask::Restore { items: set.items, into: RestoreInto::NewHome { from: one.from }, start: false };
    let length = u64::try_from(LENGTH.as_millis()).unwrap_or(u64::MAX);
    Run {
        app: Some(one.app.clone()),
        instance: Some(one.instance.clone()),
        release: state.apps.get(&one.app).map_or(set.release, |app| app.release),
        only: Some(to),
        by: "failover".to_owned(),
        taken: Some(set.taken),
        ..Run::new(id, task, repository, length)
    }
}
