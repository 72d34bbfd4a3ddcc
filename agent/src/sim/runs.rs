//! Runs on a made-up host: each takes a second, and succeeds with snapshots whose ids follow from the run and the item.

use super::SimEngine;
use crate::runs::{Doer, Done, Errand, Runs};
use async_trait::async_trait;
use omni_common::clock::{Clock, Time};
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::{ControllersWork, ItemName, ItemOutcome, Phase, RunOrder, RunState, Task};
use omni_common::ids::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a made-up run takes.
const TAKES: Duration = Duration::from_secs(1);
/// Bytes of a made-up item.
const BYTES: u64 = 1 << 20;

/// How often each run was done to its end.
pub(super) type Tally = Arc<Mutex<BTreeMap<RunId, u32>>>;

/// Does runs by waiting a second.
pub struct SimDoer {
    clock: Arc<dyn Clock>,
    done: Tally,
}

impl SimDoer {
    /// One whose snapshots are of the moments of this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, done: Tally::default() }
    }
}

/// The runs of a made-up host, whose disk outlives its agent.
pub(super) fn runs_of(engine: &SimEngine, clock: Arc<dyn Clock>) -> Runs {
    let doer = Arc::new(SimDoer { clock: clock.clone(), done: engine.tally() });
    match Runs::new(Some(doer), engine.keeper(), clock.clone()) {
        Ok(runs) => runs,
        // Memory can always be read.
        Err(_) => Runs::none(clock),
    }
}

#[async_trait]
impl Doer for SimDoer {
    async fn perform(&self, order: &RunOrder, errand: &Errand) -> Done {
        errand.reporter.enter(Phase::Transferring, None);
        if errand.cancel.run_until_cancelled(tokio::time::sleep(TAKES)).await.is_none() {
            return Done::without_items(RunState::Cancelled, "cancelled", "it was given up");
        }
        *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(order.id).or_default() += 1;
        let now = self.clock.now();
        Done { state: RunState::Succeeded, items: items(order, now), code: None, message: None }
    }

    async fn tidy(&self, _run: Option<RunId>) -> Result<(), String> {
        Ok(())
    }
}

fn items(order: &RunOrder, now: Time) -> Vec<ItemOutcome> {
    match &order.task {
        Task::Backup(task) => {
            let taken = |item: &omni_common::domain::backup::Item| {
                let snapshot = ContentDigest::of(format!("{} {}", order.id, item.name).as_bytes());
                outcome(&item.name, snapshot.as_str().to_owned(), now)
            };
            task.items.iter().map(taken).collect()
        }
        Task::Restore(task) => {
            let used = |item: &omni_common::domain::backup::RestoreItem| {
                outcome(&item.item.name, item.snapshot.clone(), now)
            };
            task.items.iter().map(used).collect()
        }
        Task::Copy(task) => {
            task.snapshots.iter().filter_map(|source| copied(source, &task.to.name, now)).collect()
        }
        Task::Controllers(task) => match &task.work {
            ControllersWork::Take { item } => {
                let snapshot = ContentDigest::of(format!("{} {item}", order.id).as_bytes());
                vec![outcome(item, snapshot.as_str().to_owned(), now)]
            }
            ControllersWork::Prove { items } => {
                items.iter().map(|kept| outcome(&kept.item, kept.snapshot.clone(), now)).collect()
            }
        },
        Task::Ready(task) => {
            task.items.iter().map(|one| outcome(&one.item.name, String::new(), now)).collect()
        }
        Task::Check(_) | Task::Prune(_) => Vec::new(),
    }
}

/// A copy, which has an id of its own and says what it is a copy of.
fn copied(source: &str, to: &str, now: Time) -> Option<ItemOutcome> {
    let item = ItemName::new(source.get(..8).unwrap_or(source)).ok()?;
    let copy = ContentDigest::of(format!("{source} in {to}").as_bytes());
    let facts = BTreeMap::from([("source".to_owned(), source.to_owned())]);
    Some(ItemOutcome { facts, ..outcome(&item, copy.as_str().to_owned(), now) })
}

fn outcome(item: &ItemName, snapshot: String, now: Time) -> ItemOutcome {
    ItemOutcome {
        item: item.clone(),
        state: RunState::Succeeded,
        snapshot: Some(snapshot),
        taken: now,
        bytes: BYTES,
        added_bytes: BYTES,
        files: 1,
        facts: BTreeMap::from([
            ("files".to_owned(), "1".to_owned()),
            ("bytes".to_owned(), BYTES.to_string()),
        ]),
        missing: Vec::new(),
        message: None,
    }
}
