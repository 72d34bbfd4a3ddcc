//! Days of a small cluster.

use super::world::{World, at, badly, host, key, well};
use crate::backup::standing;
use crate::state::{AppKey, Command, Goal, HostStatus, RestoreInto, Run, RunKind, RunTask, WantedItem};
use omni_catalogue::policies::Policies;
use omni_common::domain::AllocationState;
use omni_common::domain::backup::{PolicyOptions, RunState, Span};
use omni_common::ids::RunId;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn standing_of(world: &World) -> crate::backup::AppStanding {
    standing(&world.state, &world.state.apps[&key()], &world.outlines[&key()], world.now)
}

#[test]
fn a_day_of_the_critical_tier() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    assert!(standing_of(&world).overdue, "nothing is proven yet");
    world.live(24 * 60);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 25, "the first one at once, then hourly");
    assert_eq!(world.count(RunKind::Copy, RunState::Succeeded), 25, "each is copied at once");
    assert_eq!(world.count(RunKind::Prune, RunState::Succeeded), 2, "once for each repository");
    assert_eq!(world.count(RunKind::Check, RunState::Succeeded), 4, "at first, and once a night");
    assert_eq!(world.state.repositories["home"].checks, 2);
    let own = standing_of(&world);
    assert!(!own.overdue && own.age.expect("proven") <= Duration::from_secs(95 * 60), "{own:?}");
    assert!(own.restore.is_none() && !own.drill_overdue, "drills are on Tuesdays");
    world.live(24 * 60);
    assert_eq!(world.count(RunKind::Drill, RunState::Succeeded), 1);
    let drill = world.state.runs.values().find(|run| run.kind() == RunKind::Drill).expect("counted");
    assert_ne!(drill.host, Some(host(1)), "on another host than the app's");
    assert!(!standing_of(&world).drill_overdue);
    assert!(world.state.open_runs.is_empty());
    let rules = standing_of(&world).three_two_one;
    assert_eq!((rules.copies, rules.media, rules.offsite), (3, 1, 1));
    assert!(rules.missing.iter().any(|why| why.contains("medium")), "{:?}", rules.missing);
}

#[test]
fn the_controllers_own_state_is_kept_like_an_app_of_the_critical_tier() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.state.cluster = Some(crate::state::Cluster {
        id: omni_common::ids::ClusterId::mint(),
        created: world.now,
        ca_cert: Vec::new(),
        ca_key_sealed: Vec::new(),
        liveness: crate::state::LivenessConfig::default(),
    });
    let standing =
        |world: &World| crate::backup::controllers_standing(&world.state, &Policies::builtin(), world.now);
    world.live(60);
    let own = standing(&world);
    assert!(own.overdue && own.policy.fault.is_some(), "two repositories, and nobody said which: {own:?}");
    let policy = PolicyOptions {
        to: Some("home".to_owned()),
        copy_to: Some(vec!["away".to_owned()]),
        ..PolicyOptions::default()
    };
    let app = AppKey::controllers();
    let set = Command::SetBackupPolicy { app: app.clone(), policy: Some(Box::new(policy)) };
    world.apply(set).expect("the controllers have a policy");
    world.live(24 * 60);
    let of = |world: &World, kind| {
        let runs = world.state.runs.values();
        runs.filter(|run| run.kind() == kind && run.app.as_ref() == Some(&app)).count()
    };
    assert_eq!((of(&world, RunKind::Backup), of(&world, RunKind::Copy)), (25, 25));
    let own = standing(&world);
    assert!(!own.overdue && own.age.expect("proven") <= Duration::from_secs(95 * 60), "{own:?}");
    world.live(24 * 60);
    assert_eq!(of(&world, RunKind::Drill), 1, "on Tuesdays, on any host");
    assert!(!standing(&world).drill_overdue);
}

#[test]
fn intervals_are_even_because_the_delay_is_the_same_each_time() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.live(5 * 60);
    let mut made: Vec<_> = world
        .state
        .runs
        .values()
        .filter(|run| run.kind() == RunKind::Backup)
        .map(|run| run.created)
        .collect();
    made.sort();
    made.remove(0);
    assert!(
        made.len() > 3 && made.windows(2).all(|pair| pair[1].since(pair[0]) == Duration::from_secs(3600)),
        "{made:?}"
    );
}

#[test]
fn what_fails_is_tried_again_but_not_for_ever() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    let fail = |world: &mut World, code: &str, minutes: u32| {
        for _ in 0..minutes {
            world.pass(MINUTE);
            world.decide();
            for run in world.given() {
                let outcome = badly(world.now, code);
                world.report(&run, Some(outcome));
            }
        }
    };
    fail(&mut world, "unreachable", 30);
    assert_eq!(world.count(RunKind::Backup, RunState::Failed), 3, "three tries");
    let mut world = World::new("2026-11-23T00:30:00Z");
    fail(&mut world, "wrong_password", 30);
    assert_eq!(world.count(RunKind::Backup, RunState::Failed), 1, "that does not pass by waiting");
    let event = world.state.events.values().find(|event| event.kind == "backup.failed").expect("told");
    assert!(event.message.contains("default/shop main.0") && event.message.contains("wrong_password"));
}

#[test]
fn missed_times_are_made_up_once_and_only_when_that_is_needed() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.live(60);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 2);
    world.pass(Duration::from_secs(9 * 3600 + 50 * 60));
    world.live(16);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 3, "one for nine that were missed");
    // Half a day of a nightly app is no reason to hurry.
    let mut world = World::new("2026-11-23T01:30:00Z");
    let calm = PolicyOptions {
        schedule: Some("0 2 * * *".to_owned()),
        jitter: Some(Span::secs(1)),
        max_duration: Some(Span::secs(60)),
        max_age: Some(Span::secs(10 * 86_400)),
        ..PolicyOptions::default()
    };
    world.apply(Command::SetBackupPolicy { app: key(), policy: Some(Box::new(calm)) }).expect("known");
    world.live(40);
    world.pass(Duration::from_secs(30 * 3600));
    world.live(20);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 2);
    world.live(24 * 60);
    assert_eq!(world.count(RunKind::Backup, RunState::Succeeded), 3, "the next one comes at its time");
}

#[test]
fn a_lost_host_fails_its_own_backup_and_another_takes_the_rest() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.live(90);
    world.pass(Duration::from_secs(10 * 60));
    world.decide();
    let run = world.given().into_iter().find(|run| run.kind() == RunKind::Backup).expect("due");
    assert_eq!(run.host, Some(host(1)));
    world.report(&run, None);
    world.set_host(1, HostStatus::Down);
    world.decide();
    let lost = &world.state.runs[&run.id];
    assert_eq!((lost.state, lost.code.as_deref()), (RunState::Failed, Some("host_lost")));
    let late = well(&run, world.now);
    world.report(&run, Some(late));
    assert_eq!(world.state.runs[&run.id].state, RunState::Failed, "what comes later is not heard");

    world.set_host(1, HostStatus::Up);
    let check = Run::new(RunId::from_u128(9_000), RunTask::Check { part: None }, "home", 60_000);
    world.apply(Command::StartRuns { runs: vec![check], stop: false }).expect("fine");
    world.decide();
    let given = world.given().into_iter().find(|run| run.id == RunId::from_u128(9_000)).expect("given");
    let number = given.host.expect("given").0.as_u128();
    world.set_host(number, HostStatus::Down);
    world.decide();
    let moved = &world.state.runs[&given.id];
    assert!(moved.state == RunState::Queued && moved.host != given.host, "{moved:?}");
    assert!(world.state.run_generations[&given.host.expect("given")] > 0);
}

#[test]
fn a_run_that_nobody_can_do_says_why() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    for number in 1..=3 {
        world.apply(Command::RecordRunner { host: host(number), able: false }).expect("fine");
    }
    world.pass(Duration::from_secs(40 * 60));
    world.decide();
    let run = world.state.open_runs().next().cloned().expect("due");
    assert!(
        run.host.is_none() && run.message.as_deref().is_some_and(|why| why.contains("restic")),
        "{run:?}"
    );
    world.pass(Duration::from_secs(3 * 3600));
    world.decide();
    let over = &world.state.runs[&run.id];
    assert_eq!((over.state, over.code.as_deref()), (RunState::Failed, Some("no_host")));
    assert!(over.message.as_deref().is_some_and(|why| why.contains("restic")));
}

#[test]
fn data_goes_back_only_where_nothing_runs_and_the_app_starts_afterwards() {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.live(60);
    let (found, one) = world.state.snapshots_of(&key()).next().expect("backed up");
    let wanted = WantedItem { item: one.item.clone(), snapshot: found.id.clone(), path: None };
    let restore = Run {
        app: Some(key()),
        instance: Some(("main".to_owned(), 0)),
        only: Some(host(1)),
        ..Run::new(
            RunId::from_u128(9_000),
            RunTask::Restore {
                items: vec![wanted],
                into: RestoreInto::InPlace { replace: true },
                start: false,
            },
            "home",
            60_000,
        )
    };
    let ask = |stop| Command::StartRuns { runs: vec![restore.clone()], stop };
    let refused = world.apply(ask(false)).expect_err("it runs");
    assert!(refused.message.contains("confirm"), "{}", refused.message);
    world.apply(ask(true)).expect("said so");
    assert_eq!(world.state.apps[&key()].goal, Goal::Stop);
    nothing_was_touched(&world, &restore);
    world.decide();
    let waits = &world.state.runs[&restore.id];
    assert!(waits.host.is_none() && waits.message.as_deref().is_some_and(|why| why.contains("not stopped")));
    let start = Command::SetGoal { app: key(), goal: Goal::Run, expect: None };
    assert!(world.apply(start).is_err(), "nobody starts it in the middle");
    world.set_allocation(AllocationState::Stopped);
    world.decide();
    assert_eq!(world.state.runs[&restore.id].host, Some(host(1)));
    world.work();
    assert_eq!(world.state.runs[&restore.id].state, RunState::Succeeded);
    assert_eq!(world.state.apps[&key()].goal, Goal::Run);
}

/// A restore that never began, given up by a person or because its time is over, leaves the app running.
fn nothing_was_touched(world: &World, restore: &Run) {
    let mut other = world.fork();
    other.apply(Command::CancelRun(restore.id)).expect("it is open");
    assert_eq!(other.state.apps[&key()].goal, Goal::Run);
    let mut other = world.fork();
    other.pass(Duration::from_secs(3 * 3600));
    other.decide();
    assert_eq!(other.state.runs[&restore.id].state, RunState::Failed);
    assert_eq!(other.state.apps[&key()].goal, Goal::Run);
}

#[test]
fn drills_go_from_repository_to_repository() {
    let mut world = World::new("2026-11-24T04:00:00Z");
    world.live(90);
    let often = omni_common::domain::backup::DrillOptions {
        schedule: Some("30 * * * *".to_owned()),
        ..omni_common::domain::backup::DrillOptions::default()
    };
    let policy = PolicyOptions { drill: Some(often), ..PolicyOptions::default() };
    world.apply(Command::SetBackupPolicy { app: key(), policy: Some(Box::new(policy)) }).expect("known");
    world.live(5 * 60);
    let mut drills: Vec<&Arc<Run>> =
        world.state.runs.values().filter(|run| run.kind() == RunKind::Drill).collect();
    drills.sort_by_key(|run| run.created);
    let places: Vec<&str> = drills.iter().map(|run| run.repository.as_str()).collect();
    assert!(places.len() >= 4 && places.windows(2).all(|pair| pair[0] != pair[1]), "{places:?}");
    assert!(world.now > at("2026-11-24T04:00:00Z"));
}
