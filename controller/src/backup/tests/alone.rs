//! What hosts did by themselves while no controller was reachable, and what the leader makes of it.

use super::world::{World, at, badly, host, key, well};
use crate::backup::standing;
use crate::state::{Command, HostStatus, Outcome, RefusalCode, Reply, Run, RunKind, RunTask};
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemName, RunOutcome, RunState};
use omni_common::ids::RunId;
use omni_common::wire::OfflineRun;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const OWN: RunId = RunId::from_u128(0xa10e);

/// What h1 says of a backup that it began at this moment for the schedule's time `due`.
fn told(due: &str, began: Time, outcome: Option<RunOutcome>) -> OfflineRun {
    OfflineRun {
        id: OWN,
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        release: 1,
        repository: "home".to_owned(),
        items: vec![ItemName::new("volume-data").expect("a name")],
        due: at(due),
        attempt: 1,
        began,
        max_duration_ms: 600_000,
        outcome,
    }
}

/// What a run of this comes to when all goes well.
fn done(run: &OfflineRun, ended: Time) -> RunOutcome {
    let like = Run::new(run.id, RunTask::Backup { items: run.items.clone() }, "home", 1000);
    RunOutcome { began: run.began, ..well(&like, ended) }
}

fn hand_in(world: &mut World, from: u128, run: &OfflineRun) -> Outcome {
    world.apply(Command::RecordOffline { host: host(from), run: Box::new(run.clone()) })
}

/// A day has passed, and then nobody led for two hours.
fn away() -> World {
    let mut world = World::new("2026-11-23T00:30:00Z");
    world.live(10 * 60);
    world.pass(120 * MINUTE);
    world
}

fn backups(world: &World) -> Vec<Arc<Run>> {
    let mut all: Vec<_> =
        world.state.runs.values().filter(|run| run.kind() == RunKind::Backup).cloned().collect();
    all.sort_by_key(|run| (run.created, run.id));
    all
}

#[test]
fn what_is_handed_in_is_recorded_once_and_counts() {
    let mut world = away();
    let (before, now) = (backups(&world).len(), world.now);
    let began = now.minus(20 * MINUTE);
    let run = told("2026-11-23T12:00:00Z", began, None);
    let run = OfflineRun { outcome: Some(done(&run, now.minus(18 * MINUTE))), ..run };
    for _ in 0..3 {
        assert_eq!(hand_in(&mut world, 1, &run), Ok(Reply::Done));
    }
    assert_eq!(backups(&world).len(), before + 1, "once");
    let row = world.state.runs[&OWN].clone();
    assert_eq!(
        (row.state, row.by.as_str(), row.host),
        (RunState::Succeeded, "host:h1 (alone)", Some(host(1)))
    );
    assert_eq!(
        (row.began, row.ended),
        (Some(began), Some(now.minus(18 * MINUTE))),
        "when it was, not when it was told"
    );
    assert_eq!(row.due, Some(at("2026-11-23T12:00:00Z")));
    assert!(world.state.open_runs.is_empty() && world.state.runs_on(host(1)).next().is_none());
    let events = world.state.events.values().filter(|event| event.data.get("run") == Some(&OWN.to_string()));
    let told: Vec<_> =
        events.map(|event| (event.kind.as_str(), event.message.contains("by itself"))).collect();
    assert_eq!(told, [("backup.done", true)]);
    // It serves its time: nothing is begun again, and what it took is copied as everything is.
    world.decide();
    let fresh: Vec<RunKind> =
        world.state.open_runs().filter(|run| run.app.is_some()).map(|run| run.kind()).collect();
    assert_eq!(fresh, [RunKind::Copy]);
    world.work();
    let own = standing(&world.state, &world.state.apps[&key()], &world.outlines[&key()], world.now);
    assert!(own.age.is_some_and(|age| age < 25 * MINUTE), "{own:?}");
}

#[test]
fn a_leader_that_returns_sees_what_is_under_way_and_begins_nothing_beside_it() {
    let mut world = away();
    let run = told("2026-11-23T12:00:00Z", world.now.minus(MINUTE), None);
    assert_eq!(hand_in(&mut world, 1, &run), Ok(Reply::Done));
    let row = world.state.runs[&OWN].clone();
    assert_eq!((row.state, world.state.runs_on(host(1)).count()), (RunState::Running, 1));
    world.decide();
    let beside =
        world.state.open_runs().filter(|run| run.kind() == RunKind::Backup && run.app == Some(key()));
    assert_eq!(beside.map(|run| run.id).collect::<Vec<_>>(), [OWN]);
    let over = OfflineRun { outcome: Some(done(&run, world.now)), ..run };
    assert_eq!(hand_in(&mut world, 1, &over), Ok(Reply::Done));
    assert_eq!(world.state.runs[&OWN].state, RunState::Succeeded);
    // Said once more that it began: it stays over.
    let begun = OfflineRun { outcome: None, ..over };
    assert_eq!(hand_in(&mut world, 1, &begun), Ok(Reply::Done));
    assert_eq!(world.state.runs[&OWN].state, RunState::Succeeded);
}

#[test]
fn the_same_that_a_leader_began_before_it_knew_is_taken_back() {
    let mut world = away();
    world.decide();
    let given: Vec<RunId> =
        backups(&world).iter().filter(|run| !run.state.is_over()).map(|run| run.id).collect();
    assert_eq!(given.len(), 1, "the leader did not know better");
    let run = told("2026-11-23T12:00:00Z", world.now.minus(5 * MINUTE), None);
    let run = OfflineRun { outcome: Some(done(&run, world.now)), ..run };
    assert_eq!(hand_in(&mut world, 1, &run), Ok(Reply::Done));
    let second = &world.state.runs[&given[0]];
    assert_eq!((second.state, second.code.as_deref()), (RunState::Cancelled, Some("served")));
    world.decide();
    assert!(backups(&world).iter().all(|run| run.state.is_over()), "and not begun again");
}

#[test]
fn one_that_failed_is_tried_again_by_the_leader() {
    let mut world = away();
    let run = told("2026-11-23T12:00:00Z", world.now.minus(5 * MINUTE), None);
    let failed = RunOutcome { began: run.began, ..badly(world.now.minus(4 * MINUTE), "locked") };
    assert_eq!(hand_in(&mut world, 1, &OfflineRun { outcome: Some(failed), ..run }), Ok(Reply::Done));
    assert_eq!(world.state.runs[&OWN].state, RunState::Failed);
    world.decide();
    let again = backups(&world).into_iter().find(|run| !run.state.is_over()).expect("one more");
    assert_eq!((again.attempt, again.due, again.by.as_str()), (2, Some(at("2026-11-23T12:00:00Z")), "omni"));
}

#[test]
fn what_was_taken_where_the_app_lives_no_more_counts_for_nothing() {
    let mut world = away();
    let run = told("2026-11-23T12:00:00Z", world.now.minus(5 * MINUTE), None);
    let run = OfflineRun { outcome: Some(done(&run, world.now)), ..run };
    let snapshots = world.state.snapshots.len();
    assert_eq!(hand_in(&mut world, 2, &run), Ok(Reply::Done));
    let row = &world.state.runs[&OWN];
    assert_eq!((row.state, row.code.as_deref()), (RunState::Cancelled, Some("elsewhere")));
    assert_eq!(world.state.snapshots.len(), snapshots);
    let other = hand_in(&mut world, 1, &run).expect_err("another host's run");
    assert_eq!(other.code, RefusalCode::Conflict);
}

#[test]
fn what_is_about_nothing_is_refused_and_changes_nothing() {
    let mut world = away();
    let run = told("2026-11-23T12:00:00Z", world.now, None);
    for (what, run) in [
        ("an app", OfflineRun { app: "gone".to_owned(), ..run.clone() }),
        ("a group", OfflineRun { group: "x".repeat(1000), ..run.clone() }),
        ("a repository", OfflineRun { repository: "gone".to_owned(), ..run.clone() }),
    ] {
        let before = (world.state.runs.clone(), world.state.run_marks.clone());
        let refused = hand_in(&mut world, 1, &run).expect_err(what);
        assert_eq!(refused.code, RefusalCode::NotFound, "{what}");
        assert_eq!((world.state.runs.clone(), world.state.run_marks.clone()), before, "{what}");
    }
    assert_eq!(hand_in(&mut world, 9, &run).expect_err("no host").code, RefusalCode::NotFound);
}

/// A host whose clock is a year ahead does not keep anybody from backups for a year.
#[test]
fn a_clock_that_is_ahead_marks_nothing_ahead() {
    let mut world = away();
    let ahead = at("2027-11-23T12:00:00Z");
    let run = told("2027-11-23T12:00:00Z", ahead, None);
    let run = OfflineRun { outcome: Some(done(&run, ahead)), ..run };
    assert_eq!(hand_in(&mut world, 1, &run), Ok(Reply::Done));
    let row = &world.state.runs[&OWN];
    assert!(row.ended <= Some(world.now) && row.due <= Some(world.now), "{row:?}");
    assert!(world.state.snapshots_of(&key()).all(|(key, _)| key.taken <= world.now));
    let before = world.count(RunKind::Backup, RunState::Succeeded);
    world.live(120);
    assert!(world.count(RunKind::Backup, RunState::Succeeded) >= before + 2);
}

/// It was cut off, counted as down, and did its work all the same.
#[test]
fn a_host_that_was_given_up_meanwhile_may_still_hand_in() {
    let mut world = away();
    let run = told("2026-11-23T12:00:00Z", world.now.minus(5 * MINUTE), None);
    assert_eq!(hand_in(&mut world, 1, &run), Ok(Reply::Done));
    world.set_host(1, HostStatus::Down);
    world.decide();
    let given_up = world.state.runs[&OWN].clone();
    assert_eq!((given_up.state, given_up.code.as_deref()), (RunState::Failed, Some("host_lost")));
    world.set_host(1, HostStatus::Up);
    let over = OfflineRun { outcome: Some(done(&run, world.now)), ..run };
    assert_eq!(hand_in(&mut world, 1, &over), Ok(Reply::Done), "it was done all the same");
    assert_eq!(world.state.runs[&OWN].state, RunState::Succeeded);
    assert!(world.state.snapshots_of(&key()).any(|(_, one)| one.run == OWN));
}
