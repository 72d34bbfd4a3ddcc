//! Data of one moment: backups that begin together, or not at all.

use super::data::outlined;
use super::world::{World, badly, host, key, well};
use crate::backup::{Bound, Outline};
use crate::state::{AppKey, HostStatus, Run, RunKind, RunTask, Tier, subject};
use omni_catalogue::Catalogue;
use omni_common::domain::backup::RunState;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

fn other() -> AppKey {
    AppKey { name: "columns".to_owned(), ..key() }
}

/// The app `shop` is Langfuse on the first host, `columns` its ClickHouse on the second.
fn world() -> World {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.add_app(other(), 2, Tier::Critical);
    let plain = Outline::clone(&world.outlines[&key()]);
    for (app, component) in [(key(), "langfuse-web"), (other(), "langfuse-clickhouse")] {
        let outline = Outline { bound: bound(component), ..plain.clone() };
        world.outlines.insert(app, Arc::new(outline));
    }
    world
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

fn bound(component: &str) -> BTreeMap<String, Bound> {
    let mut bound = Bound::default();
    bound.add(CATALOGUE.get(component).expect(component), &CATALOGUE);
    BTreeMap::from([("main".to_owned(), bound)])
}

fn backups(world: &World) -> Vec<Arc<Run>> {
    let runs = world.state.runs.values().filter(|run| run.kind() == RunKind::Backup);
    let mut runs: Vec<Arc<Run>> = runs.cloned().collect();
    runs.sort_by_key(|run| (run.created, run.id));
    runs
}

fn of(world: &World, app: &AppKey) -> Vec<Arc<Run>> {
    backups(world).into_iter().filter(|run| run.app.as_ref() == Some(app)).collect()
}

/// Both are always given at the same moment, but for the first of all, which makes the repository.
fn is_together(world: &World) {
    let first = backups(world).iter().filter_map(|run| run.given).min();
    let given = |app: &AppKey| -> Vec<_> {
        of(world, app)
            .iter()
            .map(|run| run.given)
            .filter(|given| given.is_some() && *given != first)
            .collect()
    };
    let (one, two) = (given(&key()), given(&other()));
    let both = one.len().min(two.len());
    assert_eq!(one[..both], two[..both]);
    assert!(one.len().abs_diff(two.len()) <= 1, "{one:?} {two:?}");
}

#[test]
fn partners_are_due_at_one_moment_and_begin_together() {
    let mut world = world();
    world.live(6 * 60);
    let (one, two) = (of(&world, &key()), of(&world, &other()));
    assert!(one.len() > 5, "{}", one.len());
    // But for the first ones: one makes the repository, and is taken again with the other.
    let dues =
        |runs: &[Arc<Run>]| -> Vec<_> { runs.iter().rev().take(5).map(|run| (run.due, run.given)).collect() };
    assert_eq!(dues(&one), dues(&two), "one time for both, and nothing is taken twice");
    is_together(&world);
}

#[test]
fn neither_begins_while_the_host_of_one_is_down_and_the_reason_is_told() {
    let mut world = world();
    world.live(2 * 60);
    world.set_host(2, HostStatus::Suspect);
    world.pass(Duration::from_secs(3_600));
    world.decide();
    let waits = of(&world, &key()).into_iter().find(|run| !run.state.is_over()).expect("it is due");
    let why = waits.message.as_deref().unwrap_or_default();
    assert!(waits.host.is_none() && why.contains("default/columns main.0, and host h2 is not up"), "{why}");
    world.set_host(2, HostStatus::Up);
    world.decide();
    let given: Vec<_> = world.given().into_iter().filter(|run| run.kind() == RunKind::Backup).collect();
    assert_eq!(given.len(), 2, "{given:?}");
    is_together(&world);
}

#[test]
fn what_failed_is_tried_again_with_its_partner() {
    let mut world = world();
    world.live(2 * 60);
    world.pass(Duration::from_secs(3_600));
    world.decide();
    for run in world.given() {
        let bad = run.kind() == RunKind::Backup && run.app == Some(key());
        let done = if bad { badly(world.now, "unreachable") } else { well(&run, world.now) };
        world.report(&run, Some(done));
    }
    let before = backups(&world).len();
    world.pass(Duration::from_secs(90));
    world.decide();
    let again: Vec<_> = backups(&world).split_off(before);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again.iter().all(|run| run.attempt == 2 && run.host.is_some()), "{again:?}");
}

#[test]
fn a_backup_by_hand_takes_its_partner_along() {
    let mut world = world();
    world.live(60);
    let before = backups(&world).len();
    let own = of(&world, &key()).pop().expect("one was taken");
    let RunTask::Backup { items } = own.task.clone() else { panic!("a backup") };
    let by_hand = Run {
        app: own.app.clone(),
        instance: own.instance.clone(),
        release: 1,
        only: Some(host(1)),
        ..Run::new(omni_common::ids::RunId::from_u128(7_000), RunTask::Backup { items }, "home", 60_000)
    };
    let ask = crate::state::Command::StartRuns { runs: vec![by_hand], stop: false };
    world.apply(ask).expect("it may");
    world.decide();
    let begun: Vec<_> = backups(&world).split_off(before);
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert!(begun.iter().all(|run| run.host.is_some() && run.due.is_none()), "{begun:?}");
}

#[test]
fn where_there_is_no_room_for_both_each_is_taken_by_itself() {
    let mut world = world();
    world.limits.per_repository = 1;
    world.live(6 * 60);
    assert!(of(&world, &key()).iter().filter(|run| run.state == RunState::Succeeded).count() > 4);
    assert!(of(&world, &other()).iter().filter(|run| run.state == RunState::Succeeded).count() > 4);
}

/// Langfuse keeps its rows in the server's dump, so ClickHouse takes that along; the server does not wait for ClickHouse.
#[test]
fn databases_that_lie_with_another_are_taken_along_with_its_dump() {
    let mut world = world();
    world.outlines.insert(
        key(),
        Arc::new(Outline { bound: bound("postgresql"), ..Outline::clone(&world.outlines[&key()]) }),
    );
    world.live(2 * 60);
    world.set_host(2, HostStatus::Suspect);
    world.live(2 * 60);
    let last = of(&world, &key()).pop().expect("taken");
    assert_eq!(last.state, RunState::Succeeded, "the server's own goes on: {last:?}");
    world.set_host(2, HostStatus::Up);
    world.set_host(1, HostStatus::Suspect);
    world.pass(Duration::from_secs(3_600));
    world.decide();
    let waits = of(&world, &other()).pop().expect("due");
    let server = subject(Some(&key()), Some(&("main".to_owned(), 0)), "");
    assert!(
        waits.host.is_none() && waits.message.as_deref().is_some_and(|why| why.contains(&server)),
        "{waits:?}"
    );
}

#[test]
fn only_what_has_data_is_bound() {
    let file = |mounts: &str| {
        outlined(&format!(
            "services:\n  ch:\n    image: ours/ch\n    labels: {{omni.quantum.component: langfuse-clickhouse}}\n    \
             volumes: [{mounts}]\nvolumes: {{data: }}\n"
        ))
    };
    assert_eq!(file("data:/var/lib/clickhouse").bound, bound("langfuse-clickhouse"));
    assert_eq!(file("").bound, BTreeMap::new());
}

proptest! {
    // Each lives through hours of two apps.
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever fails and whichever host goes: nothing begins without its partner, and both go on when all is well again.
    #[test]
    fn whatever_happens_they_begin_together(faults in prop::collection::vec((0_u8..6, 1_u32..12), 1..20)) {
        let mut world = world();
        world.live(30);
        for (fault, steps) in faults {
            match fault {
                0 | 1 => world.set_host(u128::from(fault) + 1, HostStatus::Suspect),
                2 => (1..=2).for_each(|number| world.set_host(number, HostStatus::Up)),
                _ => {}
            }
            for _ in 0..steps {
                world.pass(Duration::from_secs(300));
                world.decide();
                let given: Vec<_> =
                    world.given().into_iter().filter(|run| run.kind() == RunKind::Backup).collect();
                prop_assert!(given.len() != 1 || given[0].given < Some(world.now), "{given:?}");
                for run in world.given() {
                    let bad = fault == 3 && run.app == Some(key());
                    let done = if bad { badly(world.now, "unreachable") } else { well(&run, world.now) };
                    world.report(&run, Some(done));
                }
            }
        }
        (1..=2).for_each(|number| world.set_host(number, HostStatus::Up));
        let before = of(&world, &other()).len();
        world.live(4 * 60);
        prop_assert!(of(&world, &other()).len() > before + 2);
    }
}
