//! Which host does which run, and why a run waits.
//!
//! Limits: so many runs on a host and on a repository; what needs its repository alone gets it alone; one run at a time on
//! the data of an instance. Those whose data is oldest go first.

use super::controllers;
use super::limits::Limits;
use super::moment::Moments;
use super::plan::Outlines;
use super::policy::policy;
use crate::state::command::RunStep;
use crate::state::{AppKey, HostStatus, Move, Run, RunKind, RunTask, State, is_quiet};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use omni_common::ids::{HostId, RunId};
use omni_common::wire::MAX_RUNS_PER_HOST;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What needs its repository alone and has waited this long lets nothing else begin there.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Why a run is given to nobody.
enum Not {
    /// It waits.
    Yet(String),
    /// It never can be.
    Ever(&'static str, String),
}

pub(super) fn steps(
    state: &State,
    outlines: &Outlines,
    limits: &Limits,
    moments: &Moments,
    now: Time,
) -> Vec<RunStep> {
    let mut queue: Vec<&Run> = state
        .open_runs()
        .map(|run| &**run)
        .filter(|run| run.host.is_none() && run.not_before <= now)
        .collect();
    if queue.is_empty() {
        return Vec::new();
    }
    queue.sort_by_cached_key(|run| (left(state, outlines, run, now), run.created, run.id));
    let mut taken = Taken::of(state);
    let held: BTreeSet<&str> = queue
        .iter()
        .filter(|run| run.kind().is_exclusive() && now.since(run.created.max(run.not_before)) > PATIENCE)
        .flat_map(|run| run.repositories())
        .collect();
    let mut steps = Vec::new();
    let mut given = BTreeSet::new();
    for run in queue.iter().copied() {
        if given.contains(&run.id) {
            continue;
        }
        let places = company(state, moments, &queue, run).and_then(|mut all| {
            all.retain(|one| !given.contains(&one.id));
            taken.place_all(state, &all, &held, limits)
        });
        match places {
            Ok(places) => {
                for (run, host) in places {
                    given.insert(run);
                    steps.push(RunStep::Give { run, host });
                }
            }
            Err(Not::Yet(why)) if run.message.as_ref() == Some(&why) => {}
            Err(Not::Yet(why)) => steps.push(RunStep::Wait { run: run.id, why }),
            Err(Not::Ever(code, why)) => {
                steps.push(RunStep::End { run: run.id, state: RunState::Failed, code: code.to_owned(), why });
            }
        }
    }
    steps
}

/// The runs that are given out with one, or not at all. Where the first of them has yet to make the repository, each goes by
/// itself.
fn company<'r>(
    state: &State,
    moments: &Moments,
    queue: &[&'r Run],
    run: &'r Run,
) -> Result<Vec<&'r Run>, Not> {
    if run.repositories().any(|name| state.repositories.contains_key(name) && !is_made(state, name)) {
        return Ok(vec![run]);
    }
    moments.company(state, queue, run).map_err(Not::Yet)
}

/// How long until the app's data is older than it may be, milliseconds; what people wait for goes first.
fn left(state: &State, outlines: &Outlines, run: &Run, now: Time) -> i64 {
    if run.due.is_none() && matches!(run.kind(), RunKind::Backup | RunKind::Restore | RunKind::Move) {
        return i64::MIN;
    }
    let Some(key) = run.app.as_ref().filter(|_| run.kind() == RunKind::Backup) else { return i64::MAX };
    let policy = match (state.apps.get(key), outlines.get(key)) {
        (Some(app), Some(outline)) => policy(state, app, outline),
        (None, Some(outline)) if key.is_controllers() => policy(state, &controllers::app(state), outline),
        _ => return i64::MAX,
    };
    let most = i64::try_from(policy.max_age.as_millis()).unwrap_or(i64::MAX);
    let newest = state
        .snapshots_of(key)
        .rev()
        .find(|(key, one)| key.repository == run.repository && Some(&one.instance) == run.instance.as_ref());
    newest.map_or(0, |(key, _)| most.saturating_sub(now.as_millis() - key.taken.as_millis()))
}

/// What is in use, as runs are given out.
#[derive(Clone, Default)]
struct Taken<'a> {
    hosts: BTreeMap<HostId, (u32, u32)>,
    repositories: BTreeMap<&'a str, u32>,
    alone: BTreeSet<&'a str>,
    instances: BTreeSet<(&'a AppKey, &'a (String, u32))>,
}

impl<'a> Taken<'a> {
    fn of(state: &'a State) -> Self {
        let mut taken = Self::default();
        for run in state.open_runs() {
            if let Some(host) = run.host {
                taken.add(run, host);
            }
        }
        taken
    }

    fn add(&mut self, run: &'a Run, host: HostId) {
        let on = self.hosts.entry(host).or_default();
        on.0 += 1;
        on.1 += u32::from(run.kind() == RunKind::Drill);
        for name in run.repositories() {
            *self.repositories.entry(name).or_default() += 1;
            if run.kind().is_exclusive() {
                self.alone.insert(name);
            }
        }
        if let Some(instance) = writes_or_reads(run) {
            self.instances.insert(instance);
        }
    }

    /// Hosts for all of several runs, the first of which is asked about; or for none.
    fn place_all(
        &mut self,
        state: &State,
        all: &[&'a Run],
        held: &BTreeSet<&str>,
        limits: &Limits,
    ) -> Result<Vec<(RunId, HostId)>, Not> {
        let mut trial = self.clone();
        let mut places = Vec::new();
        for (number, run) in all.iter().copied().enumerate() {
            let host = match trial.place(state, run, held, limits) {
                Ok(host) => host,
                Err(not) if number == 0 => return Err(not),
                Err(Not::Yet(why) | Not::Ever(_, why)) => {
                    let other = run.subject();
                    return Err(Not::Yet(format!("it is taken at the same moment as {other}: {why}")));
                }
            };
            trial.add(run, host);
            places.push((run.id, host));
        }
        *self = trial;
        Ok(places)
    }

    fn place(
        &self,
        state: &State,
        run: &'a Run,
        held: &BTreeSet<&str>,
        limits: &Limits,
    ) -> Result<HostId, Not> {
        self.repositories_free(state, run, held, limits)?;
        if let Some(instance) = writes_or_reads(run).filter(|instance| self.instances.contains(instance)) {
            let what =
                format!("another run is at the data of {} {}.{}", instance.0, instance.1.0, instance.1.1);
            return Err(Not::Yet(what));
        }
        if let Some(app) = run.app.as_ref().filter(|app| run.is_in_place() && !is_quiet(state, app)) {
            return Err(Not::Yet(format!("{app} has not stopped yet")));
        }
        let hosts = candidates(state, run)?;
        let drill = run.kind() == RunKind::Drill;
        let used = |host: &HostId| self.hosts.get(host).copied().unwrap_or_default();
        let bound = u32::try_from(MAX_RUNS_PER_HOST).unwrap_or(u32::MAX);
        // An app may be away until it is done.
        let most = if run.kind() == RunKind::Move { bound } else { limits.per_host.min(bound) };
        let free = |host: &HostId| {
            let (runs, drills) = used(host);
            runs < most && !(drill && drills >= limits.drills_per_host)
        };
        let best = hosts.iter().filter(|host| free(host)).min_by_key(|host| (used(host), **host));
        best.copied().ok_or_else(|| {
            Not::Yet(match hosts.as_slice() {
                [one] => format!("host {} does as many runs as it may", name(state, *one)),
                _ => "every host that could do it does as many runs as it may".to_owned(),
            })
        })
    }

    fn repositories_free(
        &self,
        state: &State,
        run: &Run,
        held: &BTreeSet<&str>,
        limits: &Limits,
    ) -> Result<(), Not> {
        for name in run.repositories() {
            if !state.repositories.contains_key(name) {
                return Err(Not::Ever("repository_missing", format!("repository {name} was removed")));
            }
            let users = self.repositories.get(name).copied().unwrap_or(0);
            if users > 0 && !is_made(state, name) {
                return Err(Not::Yet(format!("repository {name} is being made by another run")));
            }
            if run.kind() == RunKind::Move {
                match self.alone.contains(name) {
                    true => return Err(Not::Yet(format!("repository {name} is being checked or pruned"))),
                    false => continue,
                }
            }
            if let Some(open) = moves_through(state, name).filter(|_| run.kind().is_exclusive()) {
                return Err(Not::Yet(format!("{} moves through repository {name}", open.app)));
            }
            if self.alone.contains(name) {
                return Err(Not::Yet(format!("repository {name} is being checked or pruned")));
            }
            if run.kind().is_exclusive() && users > 0 {
                return Err(Not::Yet(format!(
                    "{users} other runs use repository {name}, and this needs it alone"
                )));
            }
            if !run.kind().is_exclusive() && held.contains(name) {
                return Err(Not::Yet(format!("repository {name} is about to be checked or pruned")));
            }
            if users >= limits.per_repository {
                return Err(Not::Yet(format!("repository {name} serves as many runs as it may")));
            }
        }
        Ok(())
    }
}

/// Whether a repository is known to be there. Two hosts that make one in the same place at the same moment each write a key
/// of their own, and what the one has stored the other's cannot open.
pub(super) fn is_made(state: &State, name: &str) -> bool {
    let checked = state.repositories.get(name).is_some_and(|known| known.checked.is_some());
    checked || state.snapshots.keys().any(|key| key.repository == name)
}

/// A move that goes through a repository: from its first run to its last nothing may have the repository alone, because the
/// app would be away for as long.
fn moves_through<'a>(state: &'a State, repository: &str) -> Option<&'a Move> {
    let open = state.moves.values().filter(|one| one.stage.is_open());
    open.map(|one| &**one).find(|one| one.repository.as_deref() == Some(repository))
}

/// The instance whose own data a run is at.
fn writes_or_reads(run: &Run) -> Option<(&AppKey, &(String, u32))> {
    let moves = matches!(run.task, RunTask::MoveOut { .. } | RunTask::MoveIn { .. });
    let own = run.is_in_place()
        || run.rescues_from().is_some()
        || moves
        || matches!(run.task, RunTask::Backup { .. });
    Some((run.app.as_ref().filter(|_| own)?, run.instance.as_ref()?))
}

fn name(state: &State, host: HostId) -> String {
    state.hosts.get(&host).map_or_else(|| "a removed host".to_owned(), |host| host.name.clone())
}

/// Whether a run makes containers and volumes of its own. What is asked of the controllers' own state needs none.
fn needs_engine(run: &Run) -> bool {
    run.kind() == RunKind::Drill && !run.app.as_ref().is_some_and(AppKey::is_controllers)
}

/// Whether a host has a Docker engine, as far as is known: one that has told nothing yet may have one, and its agent says so
/// at once when it has not.
fn has_engine(state: &State, host: HostId) -> bool {
    let facts = state.hosts.get(&host).and_then(|host| host.facts.as_ref());
    facts.is_none_or(|facts| facts.docker.is_some())
}

/// Hosts that could do a run if they were free.
fn candidates(state: &State, run: &Run) -> Result<Vec<HostId>, Not> {
    let places: BTreeSet<HostId> =
        run.repositories().filter_map(|name| state.repositories.get(name)?.host).chain(run.only).collect();
    if places.len() > 1 {
        let names: Vec<String> = places.iter().map(|host| name(state, *host)).collect();
        let why = format!(
            "{} can only be reached on {} each: use a repository that every host reaches",
            run.repositories().collect::<Vec<_>>().join(" and the data, or "),
            names.join(" and ")
        );
        return Err(Not::Ever("out_of_reach", why));
    }
    let able = |host: &HostId| state.runners.contains(host);
    let engine = |host: &HostId| !needs_engine(run) || has_engine(state, *host);
    let up = |host: &HostId| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Up);
    match places.first() {
        Some(only) if run.not_on == Some(*only) => Err(Not::Yet(format!(
            "a drill runs on another host than the app, and the repository can only be reached on {}",
            name(state, *only)
        ))),
        Some(only) if !up(only) => Err(Not::Yet(format!("host {} is not up", name(state, *only)))),
        Some(only) if !able(only) => Err(Not::Yet(format!(
            "the agent of host {} does no backups: is restic there?",
            name(state, *only)
        ))),
        Some(only) if !engine(only) => Err(Not::Yet(format!(
            "a drill needs a Docker engine, and on host {} none answers",
            name(state, *only)
        ))),
        Some(only) => Ok(vec![*only]),
        None => {
            let mut hosts: Vec<HostId> =
                state.runners.iter().copied().filter(|host| up(host) && run.not_on != Some(*host)).collect();
            let any = !hosts.is_empty();
            hosts.retain(engine);
            match (hosts.is_empty(), run.not_on) {
                (false, _) => Ok(hosts),
                (true, _) if any => Err(Not::Yet(
                    "a drill needs a Docker engine, and none answers on any host that could do it".to_owned(),
                )),
                (true, Some(not)) => {
                    Err(Not::Yet(format!("no host but {} is up and does backups", name(state, not))))
                }
                (true, None) => {
                    Err(Not::Yet("no host is up whose agent does backups: is restic there?".to_owned()))
                }
            }
        }
    }
}
