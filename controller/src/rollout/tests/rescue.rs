//! Data of a lost host that comes back on another one.

use super::failover::{dies, home, returns};
use super::world::{World, database, host, key};
use crate::backup::{Choice, Ids, Outline, Outlines, Stranded, Unrescued, choose, rescues};
use crate::state::command::RunStep;
use crate::state::*;
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::backup::{Item, ItemName, Quiesce, RunOutcome, RunState, Take};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::RunReport;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Counter(pub(super) u128);

impl Ids for Counter {
    fn run(&mut self) -> RunId {
        self.0 += 1;
        RunId::from_u128(self.0)
    }
}

pub(super) fn item() -> ItemName {
    ItemName::new("volume-data").expect("a name")
}

fn outlines() -> Outlines {
    let take = Take::Volume { volume: "data".to_owned(), include: Vec::new(), exclude: Vec::new() };
    let items = vec![Item { name: item(), take, quiesce: Quiesce::None }];
    let outline = Outline { groups: [("main".to_owned(), items)].into(), ..Outline::default() };
    BTreeMap::from([(key(), Arc::new(outline))])
}

pub(super) fn restored() -> Group {
    Group { failover: Failover::Restore, ..database("db:1") }
}

/// Three hosts, the app on one of them, and a repository that all reach.
pub(super) fn world(group: Group) -> World {
    let mut world = World::new(3);
    world.deploy([("main", group)]);
    world.settle();
    add_repository(&mut world, "near");
    for number in 1..=3 {
        world.apply(Command::RecordRunner { host: host(number), able: true }).expect("noted");
    }
    world
}

fn add_repository(world: &mut World, name: &str) {
    let repository = BackupRepository {
        name: name.to_owned(),
        location: "rest:https://backup/".to_owned(),
        region: None,
        medium: Medium::Disk,
        offsite: false,
        append_only: false,
        host: None,
        upload_kib: None,
        download_kib: None,
        password: SecretName::new("backup/password").expect("a name"),
        credentials: CredentialNames::None,
        ca: None,
        prune: None,
        check: None,
        created: world.now,
        checks: 0,
        checked: None,
        pruned: None,
        revision: 0,
    };
    world.state.repositories.insert(name.to_owned(), Arc::new(repository));
}

/// A snapshot of the app's data, so long ago.
pub(super) fn snapshot(world: &mut World, repository: &str, id: &str, ago: Duration) -> Time {
    let taken = world.now.minus(ago);
    let key = SnapshotKey { app: key(), taken, repository: repository.to_owned(), id: id.to_owned() };
    let snapshot = Snapshot {
        instance: ("main".to_owned(), 0),
        item: item(),
        run: RunId::from_u128(
            u128::from_be_bytes(*b"run of snapshot!") + u128::from(taken.as_millis() as u64),
        ),
        host: world.home("main"),
        release: 1,
        whole: true,
        stored: taken,
        bytes: 1 << 20,
        added_bytes: 1 << 10,
        files: 7,
        facts: BTreeMap::new(),
    };
    world.state.snapshots.insert(key, Arc::new(snapshot));
    taken
}

pub(super) fn decide(world: &World, ids: &mut Counter) -> Vec<RunStep> {
    rescues(&world.state, &outlines(), &BTreeMap::new(), world.now, ids)
}

/// Begins what is decided, and gives it to the host that it is for.
fn begin(world: &mut World, ids: &mut Counter) -> Option<(RunId, HostId)> {
    let steps = decide(world, ids);
    if steps.is_empty() {
        return None;
    }
    world.apply(Command::AdoptRuns(steps)).expect("taken");
    let run = world.state.open_runs().next().cloned()?;
    let to = run.only.expect("a rescue is for one host");
    world.apply(Command::AdoptRuns(vec![RunStep::Give { run: run.id, host: to }])).expect("taken");
    Some((run.id, to))
}

fn ends(world: &mut World, run: RunId, host: HostId, state: RunState, code: Option<&str>) {
    let outcome = RunOutcome {
        state,
        began: world.now,
        ended: world.now,
        items: Vec::new(),
        code: code.map(str::to_owned),
        message: None,
    };
    let report = Box::new(RunReport { run, outcome: Some(outcome) });
    world.apply(Command::RecordRun { host, report }).expect("recorded");
}

#[test]
fn the_newest_data_comes_back_elsewhere_and_the_app_with_it() {
    let mut world = world(restored());
    let mut ids = Counter(0);
    snapshot(&mut world, "near", "aa", Duration::from_secs(7_200));
    let newest = snapshot(&mut world, "near", "bb", Duration::from_secs(600));
    let dead = home(&world);
    assert_eq!(decide(&world, &mut ids), [], "nothing is lost yet");
    dies(&mut world, dead);
    world.settle();
    assert_eq!(world.healthy("main"), 0, "its data is not there yet");

    let (run, to) = begin(&mut world, &mut ids).expect("it is rescued");
    assert_ne!(to, host(dead));
    assert_eq!(world.state.runs[&run].taken, Some(newest));
    assert_eq!(decide(&world, &mut ids), [], "once is enough");
    ends(&mut world, run, to, RunState::Succeeded, None);
    world.settle();
    assert_eq!((world.healthy("main"), world.home("main")), (1, to));
    let rescued = &world.app().rescued[&("main".to_owned(), 0)];
    assert_eq!((rescued.taken, rescued.from, rescued.to), (newest, host(dead), to));
    assert!(world.events().contains(&"app.rescued".to_owned()));

    returns(&mut world, dead);
    assert_eq!((world.healthy("main"), world.home("main")), (1, to), "what is old stays where it is");
    assert_eq!(world.runs.values().filter(|on| **on == host(dead)).count(), 0);
}

#[test]
fn a_host_that_returns_in_the_middle_keeps_its_data() {
    let mut world = world(restored());
    let mut ids = Counter(0);
    snapshot(&mut world, "near", "aa", Duration::from_secs(600));
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    let (run, to) = begin(&mut world, &mut ids).expect("it is rescued");
    returns(&mut world, dead);
    assert_eq!((world.healthy("main"), world.home("main")), (1, host(dead)));
    let late = world.state.clone();
    ends(&mut world, run, to, RunState::Succeeded, None);
    assert_eq!(world.home("main"), host(dead), "the outcome came too late to matter");
    world.state = late;
    let steps = decide(&world, &mut ids);
    assert!(matches!(&steps[..], [RunStep::End { run: given_up, .. }] if *given_up == run), "{steps:?}");
}

#[test]
fn a_damaged_copy_makes_way_for_the_next_one() {
    let mut world = world(restored());
    let mut ids = Counter(0);
    add_repository(&mut world, "far");
    snapshot(&mut world, "near", "aa", Duration::from_secs(600));
    snapshot(&mut world, "far", "bb", Duration::from_secs(600));
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    let (run, to) = begin(&mut world, &mut ids).expect("it is rescued");
    assert_eq!(world.state.runs[&run].repository, "far", "the same data: the first by name");
    ends(&mut world, run, to, RunState::Failed, Some("damaged"));
    let (run, to) = begin(&mut world, &mut ids).expect("it is tried again");
    assert_eq!(world.state.runs[&run].repository, "near");
    ends(&mut world, run, to, RunState::Failed, Some("failed"));
    assert_eq!(begin(&mut world, &mut ids), None, "something may be in its way for a moment");
    world.now = world.now.plus(Duration::from_secs(11));
    let (run, to) = begin(&mut world, &mut ids).expect("and again");
    ends(&mut world, run, to, RunState::Failed, Some("failed"));
    world.now = world.now.plus(Duration::from_secs(3_600));
    assert_eq!(begin(&mut world, &mut ids), None, "not for ever");
}

#[test]
fn data_that_is_too_old_is_not_brought_back_without_asking() {
    let group = Group { max_data_age_ms: Some(900_000), ..restored() };
    let mut world = world(group);
    let mut ids = Counter(0);
    let taken = snapshot(&mut world, "near", "aa", Duration::from_secs(1_800));
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(begin(&mut world, &mut ids), None);
    let one = Stranded { app: key(), instance: ("main".to_owned(), 0), from: host(dead) };
    let to = host(if dead == 1 { 2 } else { 1 });
    let choice = choose(&world.state, &outlines()[&key()], &one, Some(to), world.now);
    assert_eq!(choice, Choice::Nothing(Unrescued::TooOld { taken, allowed_ms: 900_000 }));
    let accept = Command::AcceptLoss { app: key(), group: "main".to_owned(), slot: 0 };
    world.apply(accept).expect("taken");
    assert!(begin(&mut world, &mut ids).is_some(), "somebody has said that it is fine");
}

#[test]
fn what_is_not_asked_for_or_not_complete_is_not_brought_back() {
    let mut world = world(database("db:1"));
    let mut ids = Counter(0);
    snapshot(&mut world, "near", "aa", Duration::from_secs(600));
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(decide(&world, &mut ids), [], "its failover is `restart`");

    let mut world = self::world(restored());
    snapshot(&mut world, "near", "aa", Duration::from_secs(600));
    let (name, mut torn) = world.state.snapshots.get_min().cloned().expect("one");
    Arc::make_mut(&mut torn).whole = false;
    world.state.snapshots.insert(name, torn);
    let dead = home(&world);
    dies(&mut world, dead);
    world.settle();
    assert_eq!(decide(&world, &mut ids), [], "parts are missing from it");
}
