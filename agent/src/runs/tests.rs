//! Who begins when, what is kept, and what is told.

use super::book::Book;
use super::*;
use async_trait::async_trait;
use omni_common::clock::{Clock, Time};
use omni_common::domain::app::AppSpec;
use omni_common::domain::backup::{
    BackupTask, CheckTask, Credentials, Destination, Hidden, Instance, PruneTask, Repository, RestoreTask,
    RunOrder, RunOutcome, RunState, Task,
};
use omni_common::ids::RunId;
use omni_common::wire::DesiredRuns;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn id(number: u128) -> RunId {
    RunId::from_u128(number)
}

fn repository(location: &str) -> Repository {
    Repository {
        name: "r".to_owned(),
        location: location.to_owned(),
        password: Hidden::new("open sesame"),
        credentials: Credentials::None,
        ca: None,
        create: false,
        upload_kib: None,
        download_kib: None,
    }
}

fn instance(slot: u32) -> Instance {
    Instance {
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot,
        spec: AppSpec::default(),
    }
}

/// `backup SLOT REPO`, `restore SLOT REPO`, `drill SLOT REPO`, `check REPO`, `prune REPO`.
fn order(number: u128, text: &str) -> RunOrder {
    let words: Vec<&str> = text.split(' ').collect();
    let slot = || instance(words[1].parse().expect("a slot"));
    let restore = |into| {
        Task::Restore(Box::new(RestoreTask {
            instance: slot(),
            items: Vec::new(),
            from: repository(words[2]),
            into,
            compare: false,
        }))
    };
    let task = match words[0] {
        "backup" => Task::Backup(Box::new(BackupTask {
            instance: slot(),
            items: Vec::new(),
            to: repository(words[2]),
            moves: None,
            same_moment: Default::default(),
        })),
        "restore" => restore(Destination::InPlace { replace: false }),
        "drill" => restore(Destination::Scratch { probes: Vec::new() }),
        "check" => Task::Check(CheckTask { repository: repository(words[1]), read: None }),
        "prune" => Task::Prune(PruneTask {
            repository: repository(words[1]),
            forget: Vec::new(),
            max_unused: None,
            max_repack_size: None,
            expire: Vec::new(),
        }),
        other => panic!("what is `{other}`?"),
    };
    RunOrder { id: id(number), max_duration_ms: 60_000, task }
}

fn outcome() -> RunOutcome {
    RunOutcome {
        state: RunState::Succeeded,
        began: Time::EPOCH,
        ended: Time::EPOCH,
        items: Vec::new(),
        code: None,
        message: None,
    }
}

/// A book in which these runs are named and known.
fn book(orders: &[&str]) -> Book {
    let mut book = Book::new(Kept::default());
    let named = (1..=orders.len() as u128).map(id).collect();
    book.desire(DesiredRuns { generation: 1, runs: named });
    for (number, text) in (1..).zip(orders) {
        book.provide(order(number, text));
    }
    book
}

fn begun(book: &mut Book) -> Vec<u128> {
    book.begin(2, |_| false).iter().map(|order| order.id.0.as_u128()).collect()
}

#[test]
fn runs_begin_in_their_order_and_out_of_each_others_way() {
    for (orders, expected) in [
        (&["backup 0 /a", "backup 1 /a", "backup 2 /a"][..], &[1, 2][..]),
        (&["backup 0 /a", "restore 0 /b", "backup 2 /a"], &[1, 3]),
        (&["backup 0 /a", "drill 0 /b"], &[1, 2]),
        (&["backup 0 /a", "prune /a", "backup 1 /a", "check /b"], &[1, 4]),
        (&["check /a", "prune /a", "check /b"], &[1, 3]),
    ] {
        assert_eq!(begun(&mut book(orders)), expected, "{orders:?}");
    }
    let mut waiting = book(&["backup 0 /a", "prune /a", "backup 1 /a"]);
    assert_eq!(begun(&mut waiting), [1]);
    assert_eq!(begun(&mut waiting), [0; 0]);
    waiting.ended(id(1), outcome());
    assert_eq!(begun(&mut waiting), [2], "who waits longer goes first, alone");
    waiting.ended(id(2), outcome());
    assert_eq!(begun(&mut waiting), [3]);
}

#[test]
fn a_run_that_is_named_no_more_is_given_up_and_forgotten() {
    let mut book = book(&["backup 0 /a", "backup 1 /a"]);
    assert_eq!(begun(&mut book), [1, 2]);
    book.ended(id(2), outcome());
    assert_eq!(book.desire(DesiredRuns { generation: 2, runs: Vec::new() }), [id(1)]);
    assert_eq!(book.kept().outcomes.len(), 0);
    // Named again while it still ends: it is done anew, from a new order.
    book.desire(DesiredRuns { generation: 3, runs: vec![id(1)] });
    assert_eq!(book.wanted(4, |_| false), None);
    book.ended(id(1), outcome());
    assert_eq!(book.wanted(4, |_| false), Some(id(1)));
    assert!(book.take().is_none(), "what was given up has no outcome");
}

#[test]
fn older_lists_and_lists_over_the_limit_change_nothing() {
    let mut book = book(&["backup 0 /a"]);
    for (generation, count) in [(0, 0), (1, 0), (2, 65)] {
        let runs = (100..100 + count).map(id).collect();
        assert_eq!(book.desire(DesiredRuns { generation, runs }), []);
        assert_eq!(book.wanted(4, |_| false), None);
    }
    assert_eq!(begun(&mut book), [1]);
}

#[test]
fn outcomes_outlive_the_process_and_are_told_in_each_session() {
    let mut before = book(&["backup 0 /a"]);
    begun(&mut before);
    before.ended(id(1), outcome());
    let mut book = Book::new(before.kept());
    book.desire(DesiredRuns { generation: 1, runs: vec![id(1), id(2)] });
    assert_eq!(book.wanted(4, |_| false), Some(id(2)), "the first is not done again");
    for _ in 0..2 {
        book.rewind();
        let report = book.take().expect("something to tell");
        assert_eq!((report.run, report.outcome), (id(1), Some(outcome())));
        assert!(book.take().is_none());
    }
}

proptest! {
    /// Whatever is named, fetched and ended in whatever order: never more than two at once, never two that conflict, and
    /// in the end everything that stays named is over.
    #[test]
    fn everything_named_is_done_in_the_end(
        orders in prop::collection::vec((0..3_u32, prop::sample::select(vec!["backup", "restore", "drill", "check", "prune"]), prop::sample::select(vec!["/a", "/b"])), 1..12),
        picks in prop::collection::vec(any::<usize>(), 200),
    ) {
        let texts: Vec<String> = orders.iter().map(|(slot, word, place)| match *word {
            "check" | "prune" => format!("{word} {place}"),
            _ => format!("{word} {slot} {place}"),
        }).collect();
        let mut book = Book::new(Kept::default());
        book.desire(DesiredRuns { generation: 1, runs: (1..=texts.len() as u128).map(id).collect() });
        let mut under_way: Vec<Arc<RunOrder>> = Vec::new();
        for pick in picks {
            if let Some(run) = book.wanted(4, |_| false) {
                let number = run.0.as_u128();
                book.provide(order(number, &texts[usize::try_from(number).expect("small") - 1]));
            }
            under_way.extend(book.begin(2, |_| false));
            prop_assert!(under_way.len() <= 2);
            if let [one, other] = &under_way[..] {
                prop_assert!(!super::claim::Claim::of(one).conflicts(&super::claim::Claim::of(other)));
            }
            if !under_way.is_empty() && pick % 3 > 0 {
                let ended = under_way.remove(pick % under_way.len());
                book.ended(ended.id, outcome());
            }
        }
        prop_assert_eq!(book.kept().outcomes.len(), texts.len());
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        Time::from_secs(1_800_000_000)
    }
}

/// What a run does when it is asked to.
#[derive(Clone, Copy)]
enum Nature {
    Panics,
    WaitsToBeCancelled,
}

struct Scripted {
    nature: Nature,
    tidied: Mutex<Vec<Option<RunId>>>,
}

#[async_trait]
impl Doer for Scripted {
    async fn perform(&self, _order: &RunOrder, errand: &Errand) -> Done {
        match self.nature {
            Nature::Panics => panic!("a mistake"),
            Nature::WaitsToBeCancelled => errand.cancel.cancelled().await,
        }
        Done::without_items(RunState::Cancelled, "cancelled", "it was given up")
    }

    async fn tidy(&self, run: Option<RunId>) -> Result<(), String> {
        let mut tidied = self.tidied.lock().expect("no test panics while holding it");
        tidied.push(run);
        // It takes two attempts.
        match tidied.iter().filter(|known| **known == run).count() {
            1 => Err("the engine is away".to_owned()),
            _ => Ok(()),
        }
    }
}

async fn outcome_of(nature: Nature) -> (RunOutcome, Vec<Option<RunId>>) {
    let doer = Arc::new(Scripted { nature, tidied: Mutex::default() });
    let keeper = Keeper::Memory(Arc::default());
    let runs = Runs::new(Some(doer.clone()), keeper.clone(), Arc::new(Fixed)).expect("memory can be read");
    runs.desire(DesiredRuns { generation: 1, runs: vec![id(1)] });
    runs.provide(id(1), Ok(order(1, "backup 0 /a")));
    let stop = CancellationToken::new();
    let told = async {
        loop {
            runs.told().await;
            if let Some(outcome) = runs.take().and_then(|report| report.outcome) {
                return outcome;
            }
        }
    };
    let outcome = tokio::select! {
        () = runs.run(stop) => panic!("it goes on"),
        outcome = tokio::time::timeout(Duration::from_secs(600), told) => outcome.expect("it ends"),
    };
    assert_eq!(keeper.load().expect("memory").outcomes.get(&id(1)), Some(&outcome), "kept before it is told");
    let tidied = doer.tidied.lock().expect("free").clone();
    (outcome, tidied)
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_run_and_all_is_undone() {
    let (outcome, tidied) = outcome_of(Nature::Panics).await;
    assert_eq!((outcome.state, outcome.code.as_deref()), (RunState::Failed, Some("internal")));
    assert_eq!(tidied, [None, None, Some(id(1)), Some(id(1))], "at the start, and after the run");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_with_its_time() {
    let (outcome, _) = outcome_of(Nature::WaitsToBeCancelled).await;
    assert_eq!((outcome.state, outcome.code.as_deref()), (RunState::Cancelled, Some("timed_out")));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_agent_tells_no_outcome_of_what_it_broke_off() {
    let doer = Arc::new(Scripted { nature: Nature::WaitsToBeCancelled, tidied: Mutex::default() });
    let keeper = Keeper::Memory(Arc::default());
    let runs = Runs::new(Some(doer), keeper.clone(), Arc::new(Fixed)).expect("memory can be read");
    runs.desire(DesiredRuns { generation: 1, runs: vec![id(1)] });
    runs.provide(id(1), Ok(order(1, "backup 0 /a")));
    let stop = CancellationToken::new();
    let begun = async {
        runs.told().await;
        assert!(runs.take().expect("it has begun").outcome.is_none());
        stop.cancel();
    };
    tokio::join!(runs.run(stop.clone()), begun);
    assert_eq!(keeper.load().expect("memory").outcomes.len(), 0);
}
