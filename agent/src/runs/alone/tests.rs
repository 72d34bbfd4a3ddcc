//! What a host begins by itself, what it keeps of it, and who hears of it.

use super::due::{Due, Moment, Past, due};
use super::*;
use crate::runs::{Doer, Done, Errand, Keeper, Runs};
use async_trait::async_trait;
use omni_common::domain::app::AppSpec;
use omni_common::domain::backup::{CatchUp, Credentials, Hidden, Instance, Repository};
use proptest::prelude::*;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// A full hour.
const NOON: Time = Time::from_secs(1_800_000_000);

/// Hourly, ten minutes past; a day late it is made up for when the newest is older than six hours.
fn standing(slot: u32) -> StandingOrder {
    StandingOrder {
        task: BackupTask {
            instance: Instance {
                environment: "default".to_owned(),
                app: "shop".to_owned(),
                group: "main".to_owned(),
                slot,
                spec: AppSpec::default(),
            },
            items: Vec::new(),
            to: Repository {
                name: "home".to_owned(),
                location: "/srv/backup".to_owned(),
                password: Hidden::new("open sesame"),
                credentials: Credentials::None,
                ca: None,
                create: false,
                upload_kib: None,
                download_kib: None,
            },
            moves: None,
            same_moment: Default::default(),
        },
        release: 3,
        max_duration_ms: 600_000,
        schedule: "0 * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        later_ms: 600_000,
        served: Some(NOON.minus(HOUR)),
        newest: Some(NOON.minus(50 * MINUTE)),
        window_ms: 1_200_000,
        catch_up: Some(CatchUp { older_than_ms: 6 * 3_600_000, wait_ms: 300_000 }),
    }
}

fn moment(now: Time) -> Moment {
    Moment { now, ..Moment::default() }
}

fn past(past: Past) -> BTreeMap<String, Past> {
    [(subject(&standing(0)), past)].into()
}

fn tried(due: Time, attempt: u32, ended: Option<Time>, again: bool) -> Past {
    let began = due.plus(10 * MINUTE);
    Past { taken: None, tried: Some(Tried { due, attempt, began, ended, again }) }
}

#[test]
fn what_is_due_begins_once() {
    let at = |minutes: u32| NOON.plus(minutes * MINUTE);
    let none = Past::default();
    for (what, past_of, now, expected) in [
        ("too early", none.clone(), at(9), None),
        ("due", none.clone(), at(10), Some(1)),
        ("still in its window", none.clone(), at(30), Some(1)),
        ("missed, and the newest is young", none.clone(), at(31), None),
        ("the next one", none.clone(), at(70), Some(1)),
        ("begun", tried(NOON, 1, None, false), at(20), None),
        ("done", tried(NOON, 1, Some(at(12)), false), at(20), None),
        ("an hour later", tried(NOON, 1, Some(at(12)), false), at(70), Some(1)),
        ("failed, not yet", tried(NOON, 1, Some(at(12)), true), at(12), None),
        ("failed, a minute later", tried(NOON, 1, Some(at(12)), true), at(13), Some(2)),
        ("failed twice", tried(NOON, 2, Some(at(14)), true), at(18), None),
        ("failed twice, five minutes later", tried(NOON, 2, Some(at(14)), true), at(19), Some(3)),
        ("failed thrice", tried(NOON, 3, Some(at(20)), true), at(40), None),
        ("failed for good", tried(NOON, 1, Some(at(12)), false), at(40), None),
        ("taken as it was ordered", Past { taken: Some(at(11)), tried: None }, at(20), None),
        ("taken before that", Past { taken: Some(at(9)), tried: None }, at(20), Some(1)),
        ("taken by a clock that was ahead", Past { taken: Some(at(900)), tried: None }, at(20), Some(1)),
    ] {
        let found = due(&[standing(0)], &past(past_of), &moment(now));
        assert_eq!(found.map(|due| due.attempt), expected, "{what}");
    }
    let served = StandingOrder { served: Some(NOON), ..standing(0) };
    assert_eq!(due(&[served], &BTreeMap::new(), &moment(at(20))), None, "controllers served it");
}

#[test]
fn what_was_missed_is_made_up_for_as_the_policy_says() {
    let old = StandingOrder { newest: Some(NOON.minus(7 * HOUR)), served: None, ..standing(0) };
    let now = NOON.plus(45 * MINUTE);
    let alone = |minutes: u32| Moment { alone: minutes * MINUTE, ..moment(now) };
    assert_eq!(due(std::slice::from_ref(&old), &BTreeMap::new(), &alone(4)), None, "not all at once");
    let found = due(std::slice::from_ref(&old), &BTreeMap::new(), &alone(5));
    assert_eq!(found, Some(Due { order: 0, at: NOON, attempt: 1 }));
    let never = StandingOrder { catch_up: None, ..old.clone() };
    assert_eq!(due(&[never], &BTreeMap::new(), &alone(60)), None);
    let young = StandingOrder { newest: Some(now.minus(5 * HOUR)), ..old };
    assert_eq!(due(&[young], &BTreeMap::new(), &alone(60)), None);
}

#[test]
fn the_oldest_data_goes_first() {
    let hours = |slot: u32, hours: u32| StandingOrder {
        newest: (hours > 0).then(|| NOON.minus(hours * HOUR)),
        ..standing(slot)
    };
    let first = |orders: &[StandingOrder]| {
        due(orders, &BTreeMap::new(), &moment(NOON.plus(15 * MINUTE))).map(|due| due.order)
    };
    assert_eq!(first(&[hours(0, 1), hours(1, 3), hours(2, 2)]), Some(1));
    assert_eq!(first(&[hours(0, 1), hours(1, 3), hours(2, 0)]), Some(2), "what was never taken");
    let broken = StandingOrder { schedule: "often".to_owned(), ..hours(1, 3) };
    assert_eq!(first(&[hours(0, 1), broken]), Some(0), "nonsense keeps nobody else waiting");
}

/// What a clock on the wall does while time passes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    Jump(i64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u64..2400).prop_map(Step::Pass),
        1 => (-200_000i64..200_000).prop_map(Step::Jump),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Clocks jump, agents die: as long as one process lives, two backups of an instance that went well begin at least half
    /// an interval apart, and without jumps no time of the schedule is served twice.
    #[test]
    fn never_twice_within_an_interval(steps in prop::collection::vec(step(), 1..300)) {
        let (mut wall, mut real) = (NOON, Duration::ZERO);
        let mut known = Past::default();
        let mut last: Option<Duration> = None;
        let (mut served, mut jumped) = (Vec::new(), false);
        let orders = [standing(0)];
        for step in steps {
            match step {
                Step::Pass(secs) => {
                    wall = wall.plus(Duration::from_secs(secs));
                    real += Duration::from_secs(secs);
                }
                Step::Jump(secs) => {
                    wall = Time::from_millis(wall.as_millis() + secs * 1000);
                    jumped = true;
                }
                Step::Restart => last = None,
            }
            let rested = last.map(|at| (subject(&orders[0]), real - at));
            let moment = Moment { now: wall, alone: 100 * HOUR, rested: rested.into_iter().collect() };
            if let Some(begun) = due(&orders, &past(known.clone()), &moment) {
                prop_assert_eq!(begun.attempt, 1);
                prop_assert!(last.is_none_or(|at| real - at >= HOUR / 2), "{:?} after {:?}", real, last);
                prop_assert!(jumped || !served.contains(&begun.at), "{} twice", begun.at);
                served.push(begun.at);
                last = Some(real);
                known = Past {
                    taken: Some(wall),
                    tried: Some(Tried { due: begun.at, attempt: 1, began: wall, ended: Some(wall), again: false }),
                };
            }
        }
    }
}

/// A clock that a test sets, in seconds.
struct Wall(AtomicI64);

impl Clock for Wall {
    fn now(&self) -> Time {
        Time::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Ends each run in a moment, and counts them.
#[derive(Default)]
struct Quick {
    done: AtomicU32,
    orders: Mutex<Vec<RunOrder>>,
}

#[async_trait]
impl Doer for Quick {
    async fn perform(&self, order: &RunOrder, errand: &Errand) -> Done {
        if errand.cancel.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_none() {
            return Done::without_items(RunState::Cancelled, "cancelled", "it was given up");
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        self.orders.lock().expect("no panic").push(order.clone());
        Done { state: RunState::Succeeded, items: Vec::new(), code: None, message: None }
    }

    async fn tidy(&self, _run: Option<RunId>) -> Result<(), String> {
        Ok(())
    }
}

struct Bed {
    keeper: OfflineKeeper,
    clock: Arc<Wall>,
    doer: Arc<Quick>,
    runs: Arc<Runs>,
    stop: CancellationToken,
}

impl Bed {
    fn new() -> Self {
        let keeper = OfflineKeeper::Memory(Arc::default());
        let clock = Arc::new(Wall(AtomicI64::new(NOON.as_millis() / 1000 + 1200)));
        Self::with(keeper, clock, Arc::default())
    }

    fn with(keeper: OfflineKeeper, clock: Arc<Wall>, doer: Arc<Quick>) -> Self {
        let alone = Alone::open(keeper.clone(), 15 * MINUTE, clock.clone()).expect("memory can be read");
        let runs = Runs::new(Some(doer.clone()), Keeper::Memory(Arc::default()), clock.clone());
        let runs = Arc::new(runs.expect("memory can be read").with_alone(Arc::new(alone)));
        let stop = CancellationToken::new();
        tokio::spawn({
            let (runs, stop) = (runs.clone(), stop.clone());
            async move { runs.run(stop).await }
        });
        Self { keeper, clock, doer, runs, stop }
    }

    /// The same host after its agent died.
    async fn again(self) -> Self {
        self.stop.cancel();
        tokio::task::yield_now().await;
        Self::with(self.keeper, self.clock, self.doer)
    }

    fn alone(&self) -> &Alone {
        self.runs.alone().expect("it may")
    }

    async fn ordered(&self, orders: Vec<StandingOrder>) {
        let bytes = serde_json::to_vec(&StandingOrders { orders }).expect("plain");
        self.alone().ordered(&bytes).await.expect("they read");
        assert_eq!(self.alone().digest(), Some(ContentDigest::of(&bytes)));
    }

    /// Time passes on both clocks, in steps that are short against all that is waited for.
    async fn pass(&self, time: Duration) {
        let step = time.min(Duration::from_secs(10));
        for _ in 0..time.as_secs() / step.as_secs() {
            self.clock.0.fetch_add(step.as_secs().cast_signed(), Ordering::SeqCst);
            tokio::time::sleep(step).await;
        }
    }

    fn done(&self) -> u32 {
        self.doer.done.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hears_nobody_takes_what_is_due_and_one_that_does_takes_nothing() {
    let bed = Bed::new();
    let old = |slot| StandingOrder { newest: None, served: None, ..standing(slot) };
    bed.ordered(vec![old(0), old(1)]).await;
    for _ in 0..3 {
        bed.pass(14 * MINUTE).await;
        bed.alone().heard();
    }
    assert_eq!(bed.done(), 0, "a leader was heard of all the time");
    bed.pass(15 * MINUTE).await;
    assert_eq!(bed.done(), 0, "it is patient, and what was missed waits its own time");
    bed.pass(3 * HOUR).await;
    // One of each instance and hour.
    let slots: Vec<u32> = {
        let orders = bed.doer.orders.lock().expect("no panic");
        let slot = |order: &RunOrder| match &order.task {
            Task::Backup(task) if !task.to.create => task.instance.slot,
            other => panic!("{other:?}"),
        };
        orders.iter().map(slot).collect()
    };
    for slot in [0, 1] {
        assert!((3..=4).contains(&slots.iter().filter(|one| **one == slot).count()), "{slots:?}");
    }
    bed.alone().heard();
    let before = bed.done();
    bed.pass(10 * MINUTE).await;
    assert_eq!(bed.done(), before);
}

#[tokio::test(start_paused = true)]
async fn what_it_did_is_told_until_it_is_recorded_also_by_the_next_process() {
    let bed = Bed::new();
    bed.ordered(vec![standing(0)]).await;
    bed.pass(51 * MINUTE).await;
    assert_eq!(bed.done(), 1);
    let told = bed.alone().to_tell().expect("there is something to tell");
    assert_eq!((told.app.as_str(), told.slot, told.release, told.attempt), ("shop", 0, 3, 1));
    assert_eq!(told.outcome.as_ref().map(|outcome| outcome.state), Some(RunState::Succeeded));
    let bed = bed.again().await;
    assert_eq!(bed.alone().to_tell().as_ref(), Some(&told), "it is on disk");
    assert!(bed.alone().digest().is_some(), "so are the orders");
    bed.pass(16 * MINUTE).await;
    assert_eq!(bed.done(), 1, "the same hour is not served twice");
    bed.runs.recorded(&told, None).await;
    assert_eq!(bed.alone().to_tell(), None);
    let bed = bed.again().await;
    assert_eq!(bed.alone().to_tell(), None);
}

#[tokio::test(start_paused = true)]
async fn what_an_agent_died_in_has_failed_and_is_tried_again() {
    let bed = Bed::new();
    bed.ordered(vec![standing(0)]).await;
    while bed.alone().to_tell().is_none() {
        bed.pass(Duration::from_secs(1)).await;
    }
    let told = bed.alone().to_tell().expect("it has begun");
    assert_eq!((told.outcome.clone(), bed.done()), (None, 0), "told as it begins");
    let bed = bed.again().await;
    let failed = bed.alone().to_tell().expect("there is something to tell");
    let code = failed.outcome.as_ref().and_then(|outcome| outcome.code.clone());
    assert_eq!((failed.id, code.as_deref()), (told.id, Some("interrupted")));
    bed.pass(17 * MINUTE).await;
    assert_eq!(bed.done(), 1);
    let attempts: Vec<u32> = bed.alone().lock().kept.runs.iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn controllers_that_return_find_it_at_work_and_begin_nothing_beside_it() {
    let bed = Bed::new();
    bed.ordered(vec![standing(0)]).await;
    bed.alone().session(true);
    while bed.alone().to_tell().is_none() {
        bed.pass(Duration::from_secs(1)).await;
    }
    let told = bed.alone().to_tell().expect("it has begun");
    bed.runs.recorded(&told, None).await;
    assert_eq!(bed.alone().to_tell(), None, "that it began is said once a session");
    // A leader that did not know yet has begun the same.
    let order = |number| RunOrder {
        id: RunId::from_u128(number),
        max_duration_ms: 600_000,
        task: Task::Backup(Box::new(standing(0).task)),
    };
    let second = RunId::from_u128(7);
    bed.runs.desire(DesiredRuns { generation: 1, runs: vec![told.id, second] });
    assert_eq!(bed.runs.wanted(|_| false), Some(second), "its own is not fetched");
    bed.runs.provide(second, Ok(order(7)));
    bed.pass(MINUTE).await;
    assert_eq!(bed.done(), 1, "the other one waits until it is known what was done");
    let over = bed.alone().to_tell().expect("it is over");
    bed.runs.recorded(&over, None).await;
    // The controllers took the second one back.
    bed.runs.desire(DesiredRuns { generation: 2, runs: vec![] });
    bed.pass(MINUTE).await;
    assert_eq!(bed.done(), 1);
    // One that a person wants is done.
    bed.runs.desire(DesiredRuns { generation: 3, runs: vec![RunId::from_u128(8)] });
    bed.runs.provide(RunId::from_u128(8), Ok(order(8)));
    bed.pass(MINUTE).await;
    assert_eq!(bed.done(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_its_own_is_given_up_when_it_is_no_longer_named() {
    let bed = Bed::new();
    bed.ordered(vec![standing(0)]).await;
    while bed.alone().to_tell().is_none() {
        bed.pass(Duration::from_secs(1)).await;
    }
    let told = bed.alone().to_tell().expect("it has begun");
    let mut list = DesiredRuns { generation: 5, runs: vec![] };
    assert_eq!(bed.alone().without_own(&mut list), None, "nobody knew of it yet");
    let mut list = DesiredRuns { generation: 6, runs: vec![told.id] };
    assert_eq!((bed.alone().without_own(&mut list), list.runs), (None, vec![]));
    let mut late = DesiredRuns { generation: 5, runs: vec![] };
    assert_eq!(bed.alone().without_own(&mut late), None, "a list of before says nothing");
    let mut list = DesiredRuns { generation: 7, runs: vec![] };
    assert_eq!(bed.alone().without_own(&mut list), Some(told.id));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_forgotten_and_what_is_kept_is_bounded() {
    let bed = Bed::new();
    let schedule = "*/5 * * * *".to_owned();
    let often = StandingOrder { schedule, later_ms: 0, window_ms: 240_000, ..standing(0) };
    bed.ordered(vec![often]).await;
    bed.pass(7 * HOUR).await;
    assert!(bed.done() > 70, "{}", bed.done());
    let kept = bed.alone().lock().kept.runs.len();
    assert!((60..=MAX_KEPT).contains(&kept), "{kept}");
    let told = bed.alone().to_tell().expect("there is something to tell");
    bed.runs.recorded(&told, Some("app default/shop was removed meanwhile".to_owned())).await;
    assert_ne!(bed.alone().to_tell().map(|run| run.id), Some(told.id));
    bed.ordered(vec![]).await;
    let before = bed.done();
    bed.pass(3 * HOUR).await;
    assert_eq!(bed.done(), before, "what is withdrawn is done no more");
}
