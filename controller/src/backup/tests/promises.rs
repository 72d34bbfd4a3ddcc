//! What holds whatever happens: a repository that is needed alone is used alone, limits hold, and what a run came to is
//! recorded once.

use super::world::{World, badly, well};
use crate::state::{Command, HostStatus, Run, RunKind, RunTask};
use omni_common::domain::backup::RunState;
use omni_common::ids::RunId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Happens {
    Time(u64),
    Decide,
    Begin(usize),
    Well(usize),
    Badly(usize),
    Again(usize),
    Host(u128, bool),
    Ask(bool, u8),
    Cancel(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1u64..7_200).prop_map(Happens::Time),
        6 => Just(Happens::Decide),
        4 => (0usize..8).prop_map(Happens::Begin),
        4 => (0usize..8).prop_map(Happens::Well),
        2 => (0usize..8).prop_map(Happens::Badly),
        2 => (0usize..8).prop_map(Happens::Again),
        1 => (1u128..4, any::<bool>()).prop_map(|(host, up)| Happens::Host(host, up)),
        2 => (any::<bool>(), 0u8..3).prop_map(|(home, kind)| Happens::Ask(home, kind)),
        1 => (0usize..8).prop_map(Happens::Cancel),
    ]
}

fn ask(home: bool, kind: u8, number: u128) -> Run {
    let place = if home { "home" } else { "away" };
    let task = match kind {
        0 => RunTask::Check { part: None },
        1 => RunTask::Prune,
        _ => RunTask::Copy { snapshots: vec!["00".to_owned()] },
    };
    let to = matches!(task, RunTask::Copy { .. }).then(|| if home { "away" } else { "home" }.to_owned());
    Run { to, ..Run::new(RunId::from_u128(1_000_000 + number), task, place, 600_000) }
}

fn one(world: &World, number: usize) -> Option<std::sync::Arc<Run>> {
    let given = world.given();
    (!given.is_empty()).then(|| given[number % given.len()].clone())
}

fn step(world: &mut World, number: usize, what: &Happens, past: &[Run]) {
    match what {
        Happens::Time(secs) => world.pass(Duration::from_secs(*secs)),
        Happens::Decide => world.decide(),
        Happens::Begin(which) => {
            if let Some(run) = one(world, *which) {
                world.report(&run, None);
            }
        }
        Happens::Well(which) => {
            if let Some(run) = one(world, *which) {
                let outcome = well(&run, world.now);
                world.report(&run, Some(outcome));
            }
        }
        Happens::Badly(which) => {
            if let Some(run) = one(world, *which) {
                let outcome = badly(world.now, "unreachable");
                world.report(&run, Some(outcome));
            }
        }
        Happens::Again(which) => {
            if let Some(run) = past.get(which % past.len().max(1)) {
                let outcome = badly(world.now, "said_again");
                world.report(run, Some(outcome));
            }
        }
        Happens::Host(host, up) => {
            world.set_host(*host, if *up { HostStatus::Up } else { HostStatus::Down });
        }
        Happens::Ask(home, kind) => {
            let runs = vec![ask(*home, *kind, number as u128)];
            world.apply(Command::StartRuns { runs, stop: false }).expect("there is room");
        }
        Happens::Cancel(which) => {
            if let Some(run) = one(world, *which) {
                world.apply(Command::CancelRun(run.id)).expect("it is not over");
            }
        }
    }
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let given = world.given();
    for run in &given {
        let others = given.iter().filter(|other| other.id != run.id);
        let sharing =
            others.filter(|other| other.repositories().any(|one| run.repositories().any(|own| own == one)));
        if run.kind().is_exclusive() {
            prop_assert_eq!(sharing.count(), 0, "{} {} is not alone", run.kind(), run.repository);
        }
    }
    let mut per_host: BTreeMap<_, u32> = BTreeMap::new();
    for run in &given {
        *per_host.entry(run.host).or_default() += 1;
        prop_assert!(world.state.host_runs.contains(&(run.host.expect("given"), run.id)));
    }
    prop_assert!(per_host.values().all(|count| *count <= world.limits.per_host));
    prop_assert_eq!(world.state.host_runs.len(), given.len());
    let open: Vec<RunId> =
        world.state.runs.values().filter(|run| !run.state.is_over()).map(|run| run.id).collect();
    prop_assert_eq!(open, world.state.open_runs.iter().copied().collect::<Vec<_>>());
    for run in world.state.runs.values().filter(|run| run.kind() == RunKind::Drill) {
        prop_assert!(run.host.is_none() || run.host != run.not_on);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn promises_hold_whatever_happens(story in proptest::collection::vec(happens(), 1..120)) {
        let mut world = World::new("2026-11-23T00:30:00Z");
        let mut over: BTreeMap<RunId, Run> = BTreeMap::new();
        for (number, what) in story.iter().enumerate() {
            let past: Vec<Run> = over.values().cloned().collect();
            step(&mut world, number, what, &past);
            check(&world)?;
            for run in world.state.runs.values().filter(|run| run.state.is_over()) {
                let first = over.entry(run.id).or_insert_with(|| Run::clone(run));
                prop_assert_eq!(&*first, &**run, "what a run came to is recorded once");
            }
        }
        // Then all is well for some hours, and everything comes to an end.
        (1..4).for_each(|host| world.set_host(host, HostStatus::Up));
        let before = world.count(RunKind::Backup, RunState::Succeeded);
        world.live(3 * 60);
        prop_assert!(world.state.open_runs.is_empty(), "{:?}", world.state.open_runs().next());
        prop_assert!(world.count(RunKind::Backup, RunState::Succeeded) >= (before + 2).min(20));
    }
}
