//! Moves of an app to another host: nothing ever runs twice, and whatever fails, the app is where its data is.

use super::failover::{dies, home, returns};
use super::rescue::{Counter, decide as rescues_of, item, restored, snapshot, world};
use super::world::{World, group, host, key};
use crate::backup::move_steps;
use crate::state::command::{MoveStep, RunStep};
use crate::state::*;
use omni_common::domain::backup::{ItemOutcome, RunOutcome, RunState};
use omni_common::ids::{DeploymentId, HostId, MoveId, RunId};
use omni_common::wire::RunReport;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Never two that could write the same data.
fn never_twice(world: &World) {
    let writers: BTreeMap<&(String, u32), BTreeSet<HostId>> =
        world.runs.iter().fold(BTreeMap::new(), |mut all, (id, on)| {
            if let Some(work) = world.known.get(id).filter(|work| work.exclusive) {
                all.entry(&work.slot).or_insert_with(BTreeSet::new).insert(*on);
            }
            all
        });
    assert!(writers.values().all(|hosts| hosts.len() <= 1), "{writers:?}\n{:?}", world.table());
}

fn leg(from: HostId, data: bool) -> Leg {
    Leg {
        group: "main".to_owned(),
        slot: 0,
        from,
        data,
        replace: false,
        run: None,
        ended: None,
        items: Vec::new(),
    }
}

fn wanted(world: &World, to: u128, data: bool) -> Command {
    let from = world.state.allocations_of(&key()).next().expect("it runs").host;
    Command::StartMove(Box::new(Move {
        id: MoveId::from_u128(1),
        app: key(),
        to: host(to),
        repository: data.then(|| "near".to_owned()),
        release: 1,
        legs: vec![leg(from, data)],
        stage: MoveStage::Copying,
        since: world.now,
        started: world.now,
        by: String::new(),
        stopped: None,
        healthy: None,
        reason: None,
    }))
}

fn stage(world: &World) -> MoveStage {
    world.state.moves[&key()].stage
}

fn reason(world: &World) -> String {
    world.state.moves[&key()].reason.clone().unwrap_or_default()
}

/// A host that the app is not on.
fn other(world: &World) -> u128 {
    if home(world) == 1 { 2 } else { 1 }
}

/// A database on one of three hosts, which is about to move to another.
fn moving() -> (World, Counter, u128, u128) {
    let mut world = world(restored()).checked(never_twice);
    let (from, to) = (home(&world), other(&world));
    let command = wanted(&world, to, true);
    world.apply(command).expect("it can move");
    (world, Counter(1 << 64), from, to)
}

/// The leader decides once, and what it decides is done.
fn decides(world: &mut World, ids: &mut Counter) -> bool {
    let steps = move_steps(&world.state, world.now, ids);
    if steps.is_empty() {
        return false;
    }
    world.apply(Command::AdoptMoves(steps.clone())).expect("taken");
    // A leader that lags says the same once more.
    let again = world.state.clone();
    world.apply(Command::AdoptMoves(steps)).expect("taken");
    assert_eq!((&world.state.moves, &world.state.open_runs), (&again.moves, &again.open_runs));
    true
}

/// The open run of a move, given to its host.
fn begun(world: &mut World) -> Option<Arc<Run>> {
    let run = world.state.open_runs().find(|run| run.kind() == RunKind::Move).cloned()?;
    let to = run.only.expect("a run of a move is for one host");
    world.apply(Command::AdoptRuns(vec![RunStep::Give { run: run.id, host: to }])).expect("taken");
    Some(run)
}

fn ends(world: &mut World, run: &Run, state: RunState) {
    let item = ItemOutcome {
        item: item(),
        state,
        snapshot: Some("ab".repeat(32)),
        taken: world.now,
        bytes: 1 << 20,
        added_bytes: 1 << 10,
        files: 7,
        facts: [("files".to_owned(), "7".to_owned())].into(),
        missing: Vec::new(),
        message: None,
    };
    let outcome = RunOutcome {
        state,
        began: world.now,
        ended: world.now,
        items: vec![item],
        code: None,
        message: (state == RunState::Failed).then(|| "no space left".to_owned()),
    };
    let host = run.only.expect("one");
    if state == RunState::Succeeded && matches!(run.task, RunTask::MoveIn { .. }) {
        world.data.insert((host, "main".to_owned(), 0));
    }
    let report = Box::new(RunReport { run: run.id, outcome: Some(outcome) });
    world.apply(Command::RecordRun { host, report }).expect("recorded");
}

/// Lets everything go on until the move enters a stage, or is over.
fn until(world: &mut World, ids: &mut Counter, wanted: MoveStage) {
    for _ in 0..200 {
        if stage(world) == wanted || !stage(world).is_open() {
            return;
        }
        if decides(world, ids) {
            continue;
        }
        if let Some(run) = begun(world) {
            ends(world, &run, RunState::Succeeded);
        } else if !world.step() {
            world.now = world.now.plus(Duration::from_secs(5));
        }
    }
    panic!("it stays {:?}: {:?}", stage(world), world.table());
}

#[test]
fn an_app_moves_with_its_data_and_its_old_copy_stays_until_that_is_said() {
    let (mut world, mut ids, from, to) = moving();
    until(&mut world, &mut ids, MoveStage::Stopping);
    assert_eq!((world.healthy("main"), home(&world)), (1, from), "nothing has stopped yet");
    until(&mut world, &mut ids, MoveStage::Syncing);
    assert_eq!(world.runs.len(), 0, "it has stopped before the last of it is taken");
    until(&mut world, &mut ids, MoveStage::Starting);
    until(&mut world, &mut ids, MoveStage::Settled);
    assert_eq!((stage(&world), world.healthy("main"), home(&world)), (MoveStage::Settled, 1, to));
    let place = (host(from), "main".to_owned(), 0);
    let old =
        |world: &World| world.state.old_data.values().map(|old| (old.why, old.going)).collect::<Vec<_>>();
    assert_eq!(old(&world), [(OldDataWhy::Moved, false)]);
    world.settle();
    assert!(world.data.contains(&place), "nobody has said that it may go");

    let nowhere = world.apply(Command::ConfirmMove { app: key(), hosts: vec![host(to)] });
    assert_eq!(nowhere.expect_err("it lives there").code, RefusalCode::NotFound);
    world.apply(Command::ConfirmMove { app: key(), hosts: vec![host(from)] }).expect("it may go");
    world.settle();
    assert!(!world.data.contains(&place) && world.state.old_data.is_empty());
    assert!(world.data.contains(&(host(to), "main".to_owned(), 0)));
    assert_eq!((stage(&world), world.healthy("main"), home(&world)), (MoveStage::Confirmed, 1, to));
    let back = world.apply(Command::ReturnMove(key())).expect_err("there is nothing to go back to");
    assert!(back.message.contains("given up"), "{}", back.message);
    let kinds = world.events();
    for kind in
        ["app.move_started", "app.move_stopping", "app.moved", "app.old_data_going", "app.old_data_removed"]
    {
        assert!(kinds.contains(&kind.to_owned()), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_run_that_fails_leaves_the_app_where_it_was() {
    for (at, away) in [
        (MoveStage::Copying, false),
        (MoveStage::Preparing, false),
        (MoveStage::Syncing, true),
        (MoveStage::Filling, true),
    ] {
        let (mut world, mut ids, from, to) = moving();
        until(&mut world, &mut ids, at);
        decides(&mut world, &mut ids);
        let run = begun(&mut world).unwrap_or_else(|| panic!("{at:?} begins a run"));
        assert_eq!(world.runs.is_empty(), away, "{at:?}");
        ends(&mut world, &run, RunState::Failed);
        decides(&mut world, &mut ids);
        assert_eq!(stage(&world), MoveStage::Failed, "{at:?}");
        assert!(reason(&world).contains("no space left"), "{}", reason(&world));
        world.settle();
        assert_eq!((world.healthy("main"), home(&world)), (1, from), "{at:?}");
        assert!(world.state.old_data.is_empty(), "what was brought was never used, and is gone: {at:?}");
        assert!(!world.data.contains(&(host(to), "main".to_owned(), 0)), "{at:?}");
    }
}

#[test]
fn what_is_read_while_it_changes_is_read_again() {
    let (mut world, mut ids, ..) = moving();
    decides(&mut world, &mut ids);
    let run = begun(&mut world).expect("it copies");
    ends(&mut world, &run, RunState::Partial);
    until(&mut world, &mut ids, MoveStage::Syncing);
    decides(&mut world, &mut ids);
    let run = begun(&mut world).expect("it copies the rest");
    ends(&mut world, &run, RunState::Partial);
    decides(&mut world, &mut ids);
    assert_eq!(stage(&world), MoveStage::Failed, "parts are missing, and nothing changes any more");
}

#[test]
fn a_host_that_dies_does_not_take_the_app_with_it() {
    // The new one, at any time.
    for at in [
        MoveStage::Copying,
        MoveStage::Preparing,
        MoveStage::Stopping,
        MoveStage::Syncing,
        MoveStage::Filling,
    ] {
        let (mut world, mut ids, from, to) = moving();
        until(&mut world, &mut ids, at);
        dies(&mut world, to);
        until(&mut world, &mut ids, MoveStage::Failed);
        world.settle();
        assert_eq!(
            (stage(&world), world.healthy("main"), home(&world)),
            (MoveStage::Failed, 1, from),
            "{at:?}"
        );
        returns(&mut world, to);
        assert!(world.state.old_data.is_empty(), "{at:?}");
    }
    // The new one, when the app is about to start there.
    let (mut world, mut ids, from, to) = moving();
    until(&mut world, &mut ids, MoveStage::Starting);
    world.step();
    dies(&mut world, to);
    world.fence(host(to));
    until(&mut world, &mut ids, MoveStage::Returned);
    world.settle();
    assert_eq!((stage(&world), world.healthy("main"), home(&world)), (MoveStage::Returned, 1, from));
    // The old one, when everything has been taken: it is not needed any more.
    let (mut world, mut ids, from, to) = moving();
    until(&mut world, &mut ids, MoveStage::Filling);
    dies(&mut world, from);
    assert_eq!(rescues_of(&world, &mut ids), [], "somebody looks after it");
    until(&mut world, &mut ids, MoveStage::Settled);
    assert_eq!((stage(&world), world.healthy("main"), home(&world)), (MoveStage::Settled, 1, to));
}

#[test]
fn a_host_that_dies_before_everything_was_taken_is_a_loss_as_any_other() {
    let (mut world, mut ids, from, _) = moving();
    snapshot(&mut world, "near", "aa", Duration::from_secs(60));
    until(&mut world, &mut ids, MoveStage::Syncing);
    dies(&mut world, from);
    until(&mut world, &mut ids, MoveStage::Failed);
    assert!(reason(&world).contains("which has the data, went down"), "{}", reason(&world));
    world.settle();
    let steps = rescues_of(&world, &mut ids);
    assert!(matches!(&steps[..], [RunStep::Start(_)]), "{steps:?}");
}

#[test]
fn what_does_not_become_healthy_there_goes_back() {
    for bad in [true, false] {
        let (mut world, mut ids, from, to) = moving();
        until(&mut world, &mut ids, MoveStage::Starting);
        let images = if bad { &mut world.bad } else { &mut world.sick };
        images.insert("db:1".to_owned());
        until(&mut world, &mut ids, MoveStage::Returning);
        let why = if bad { "failed on" } else { "did not become healthy on" };
        assert!(reason(&world).contains(why), "{}", reason(&world));
        world.bad.clear();
        world.sick.clear();
        until(&mut world, &mut ids, MoveStage::Returned);
        assert!(reason(&world).contains(why), "it still says why: {}", reason(&world));
        world.settle();
        assert_eq!((world.healthy("main"), home(&world)), (1, from));
        let old: Vec<_> =
            world.state.old_data.iter().map(|(place, old)| (place.host, old.why, old.going)).collect();
        assert_eq!(
            old,
            [(host(to), OldDataWhy::TriedHere, false)],
            "it wrote there: nobody throws that away"
        );
    }
}

#[test]
fn a_person_gives_it_up_or_takes_it_back() {
    for at in
        [MoveStage::Copying, MoveStage::Stopping, MoveStage::Filling, MoveStage::Starting, MoveStage::Settled]
    {
        let (mut world, mut ids, from, _) = moving();
        until(&mut world, &mut ids, at);
        decides(&mut world, &mut ids);
        begun(&mut world);
        world.apply(Command::ReturnMove(key())).expect("it can go back");
        assert!(!world.state.open_runs().any(|run| run.kind() == RunKind::Move), "{at:?}");
        until(&mut world, &mut ids, MoveStage::Returned);
        world.settle();
        assert_eq!((world.healthy("main"), home(&world)), (1, from), "{at:?}");
        let twice = world.apply(Command::ReturnMove(key())).expect_err("it is over");
        assert!(twice.message.contains("is over"), "{}", twice.message);
    }
}

#[test]
fn nothing_else_changes_an_app_that_moves() {
    let (mut world, _, from, to) = moving();
    let deployment = DeploymentId::from_u128(9);
    let in_the_way = [
        Command::SetGoal { app: key(), goal: Goal::Stop, expect: None },
        Command::SetGoal { app: key(), goal: Goal::Purge, expect: None },
        Command::MoveApp { app: key(), deployment, to: 1, expect: None },
        Command::RestartApp { app: key(), deployment },
        Command::ScaleApp { app: key(), replicas: [("main".to_owned(), Some(1))].into(), expect: None },
        wanted(&world, to, true),
    ];
    for command in in_the_way {
        let refused = world.apply(command).expect_err("it moves");
        assert!(refused.message.contains("is being moved to"), "{}", refused.message);
    }
    assert_eq!(home(&world), from);
}

#[test]
fn what_has_no_data_is_never_away() {
    fn serves(world: &World) {
        let moves = world.state.moves.get(&key()).is_some();
        assert!(!moves || world.healthy("main") >= 1, "{:?}", world.table());
    }
    let mut world = World::new(3);
    world.deploy([("main", group("web:1", 1))]);
    world.settle();
    let mut world = world.checked(serves);
    let at = world.state.allocations_of(&key()).next().expect("one").host;
    let to = if at == host(1) { 2 } else { 1 };
    let command = wanted(&world, to, false);
    world.apply(command).expect("it can move");
    let mut ids = Counter(1 << 64);
    until(&mut world, &mut ids, MoveStage::Settled);
    world.settle();
    let hosts: Vec<HostId> = world.state.allocations_of(&key()).map(|held| held.host).collect();
    assert_eq!((stage(&world), hosts), (MoveStage::Settled, vec![host(to)]));
    assert!(world.state.old_data.is_empty());
}

#[test]
fn a_host_that_returns_after_its_data_came_back_elsewhere_has_old_data() {
    let mut world = world(restored());
    let mut ids = Counter(1 << 64);
    snapshot(&mut world, "near", "aa", Duration::from_secs(600));
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    let steps = rescues_of(&world, &mut ids);
    let [RunStep::Start(run)] = &steps[..] else { panic!("{steps:?}") };
    let (id, to): (RunId, HostId) = (run.id, run.only.expect("one"));
    world.apply(Command::AdoptRuns(steps.clone())).expect("taken");
    world.apply(Command::AdoptRuns(vec![RunStep::Give { run: id, host: to }])).expect("taken");
    let run = Arc::clone(&world.state.runs[&id]);
    ends(&mut world, &run, RunState::Succeeded);
    world.settle();
    returns(&mut world, dead);
    let old: Vec<_> = world.state.old_data.iter().map(|(place, old)| (place.host, old.why)).collect();
    assert_eq!(old, [(host(dead), OldDataWhy::Rescued)]);
    world.apply(Command::ConfirmMove { app: key(), hosts: vec![host(dead)] }).expect("it may go");
    world.settle();
    assert!(world.state.old_data.is_empty());
    assert_eq!((world.healthy("main"), world.home("main")), (1, to));
}

#[test]
fn an_old_word_of_the_leader_changes_nothing() {
    let (mut world, mut ids, ..) = moving();
    until(&mut world, &mut ids, MoveStage::Stopping);
    let late = MoveStep::Enter {
        app: key(),
        id: MoveId::from_u128(1),
        from: MoveStage::Copying,
        to: MoveStage::Failed,
        reason: None,
    };
    world.apply(Command::AdoptMoves(vec![late])).expect("passed over");
    assert_eq!(stage(&world), MoveStage::Stopping);
}

#[test]
fn a_repository_that_is_removed_ends_a_move() {
    let (mut world, mut ids, from, _) = moving();
    until(&mut world, &mut ids, MoveStage::Syncing);
    world.state.repositories.remove("near");
    decides(&mut world, &mut ids);
    assert_eq!((stage(&world), reason(&world).as_str()), (MoveStage::Failed, "repository near was removed"));
    world.settle();
    assert_eq!((world.healthy("main"), home(&world)), (1, from));
}
