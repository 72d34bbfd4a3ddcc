//! Backups that this host takes by itself while no controller is reachable.
//!
//! ```text
//! gateway ──standing orders──▶ Alone, on disk ──due.rs (pure), when nobody was heard for so long──▶ a run
//!         ◀──what came of it── until it is recorded, on disk ◀──────────────────────────────────────┘
//! ```
//!
//! Only backups, one at a time, and only where nothing else is under way: nothing is pruned, checked, copied, drilled or
//! restored, and no repository is made, because that takes somebody who sees all hosts.

mod due;
mod kept;
#[cfg(test)]
mod tests;

use due::Tried;
pub use kept::{Offline, OfflineKeeper};

use crate::ledger::LedgerError;
use due::{Moment, may_pass, subject};
use omni_common::clock::{Clock, Time};
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::{
    BackupTask, RunOrder, RunOutcome, RunState, StandingOrder, StandingOrders, Task,
};
use omni_common::ids::RunId;
use omni_common::wire::{DesiredRuns, OfflineRun};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Outcomes kept until a controller has recorded them; beyond, the oldest is forgotten, and its snapshot stays.
const MAX_KEPT: usize = 64;
/// Of the newest outcomes, what a drill compares is kept; controllers keep it of no more either.
const WITH_FACTS: usize = 4;

/// The host as far as it decides by itself.
pub struct Alone {
    clock: Arc<dyn Clock>,
    keeper: OfflineKeeper,
    /// How long nobody must have been heard.
    patience: Duration,
    inner: Mutex<Inner>,
    /// One change of the files at a time.
    writing: tokio::sync::Mutex<()>,
    news: Notify,
}

struct Inner {
    /// When a leader was last heard of.
    heard: Instant,
    orders: Vec<StandingOrder>,
    digest: Option<ContentDigest>,
    kept: Offline,
    /// When this process last began with an instance.
    begun: BTreeMap<String, Instant>,
    under_way: Option<UnderWay>,
    /// Runs under way that this session has been told of.
    told: BTreeSet<RunId>,
    /// The gateway of the moment takes in what is told.
    heard_out: bool,
}

struct UnderWay {
    run: RunId,
    /// Generation of the list in which a controller named it first.
    named: Option<u64>,
}

impl Alone {
    /// What is known from earlier. Runs that an earlier process did not bring to an end have failed.
    ///
    /// # Errors
    /// When what was kept cannot be read.
    pub fn open(
        keeper: OfflineKeeper,
        patience: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let orders = keeper.orders()?;
        let digest = orders.as_ref().and_then(digest);
        let mut kept = keeper.offline()?;
        let now = clock.now();
        for run in kept.runs.iter_mut().filter(|run| run.outcome.is_none()) {
            run.outcome = Some(interrupted(run.began, now));
            if let Some(tried) = kept.past.get_mut(&of_run(run)).and_then(|past| past.tried.as_mut()) {
                (tried.ended, tried.again) = (Some(now), true);
            }
        }
        let inner = Inner {
            heard: Instant::now(),
            orders: orders.unwrap_or_default().orders,
            digest,
            kept,
            begun: BTreeMap::new(),
            under_way: None,
            told: BTreeSet::new(),
            heard_out: false,
        };
        let (inner, writing) = (Mutex::new(inner), tokio::sync::Mutex::default());
        Ok(Self { clock, keeper, patience, inner, writing, news: Notify::new() })
    }

    /// A leader has acknowledged a heartbeat.
    pub fn heard(&self) {
        self.lock().heard = Instant::now();
    }

    /// The digest of the standing orders that are held.
    pub fn digest(&self) -> Option<ContentDigest> {
        self.lock().digest.clone()
    }

    /// Takes up other standing orders. An error is a sentence, which must not quote them.
    ///
    /// # Errors
    /// When they cannot be read; those of before stay.
    pub async fn ordered(&self, bytes: &[u8]) -> Result<(), String> {
        let orders: StandingOrders = serde_json::from_slice(bytes).map_err(|error| {
            format!("not understood (at line {}, column {})", error.line(), error.column())
        })?;
        let count = orders.orders.len();
        {
            let mut inner = self.lock();
            inner.digest = Some(ContentDigest::of(bytes));
            inner.orders.clone_from(&orders.orders);
            let known: BTreeSet<String> = orders.orders.iter().map(subject).collect();
            inner.kept.past.retain(|subject, _| known.contains(subject));
        }
        tracing::debug!(count, "standing orders for backups taken up");
        self.keeper.save_orders(orders).await;
        self.save().await;
        Ok(())
    }

    /// The backup that is due now that nobody is there to order it; noted as begun before it is.
    pub(super) async fn begin(&self) -> Option<RunOrder> {
        let now = self.clock.now();
        let order = {
            let mut inner = self.lock();
            let alone = inner.heard.elapsed().checked_sub(self.patience)?;
            if inner.under_way.is_some() {
                return None;
            }
            let rested = inner.begun.iter().map(|(subject, at)| (subject.clone(), at.elapsed())).collect();
            let due = due::due(&inner.orders, &inner.kept.past, &Moment { now, alone, rested })?;
            let order = inner.orders[due.order].clone();
            let run = offline_run(RunId::mint(), &order, &due, now);
            tracing::warn!(
                run = %run.id, app = %subject(&order), due = %due.at, alone_s = (alone + self.patience).as_secs(),
                "no controller is reachable, so this host takes a backup by itself"
            );
            inner.note_begun(&order, &run);
            RunOrder {
                id: run.id,
                max_duration_ms: run.max_duration_ms,
                task: Task::Backup(Box::new(BackupTask { moves: None, ..order.task })),
            }
        };
        self.save().await;
        self.news.notify_one();
        Some(order)
    }

    /// Whether a run was begun by this host itself.
    pub(super) fn is_own(&self, run: RunId) -> bool {
        self.lock().kept.runs.iter().any(|own| own.id == run)
    }

    /// A run of its own is over. On disk before anybody hears of it.
    pub(super) async fn ended(&self, run: RunId, outcome: RunOutcome) {
        {
            let mut inner = self.lock();
            inner.under_way = None;
            inner.note_ended(run, outcome);
        }
        self.save().await;
        self.news.notify_one();
    }

    /// A run that a controller ordered has taken something.
    pub(super) async fn taken(&self, order: &RunOrder, outcome: &RunOutcome) {
        let Task::Backup(task) = &order.task else { return };
        if task.moves.is_some() || !matches!(outcome.state, RunState::Succeeded | RunState::Partial) {
            return;
        }
        let of = &task.instance;
        let subject = format!("{}/{} {}.{}", of.environment, of.app, of.group, of.slot);
        {
            let mut inner = self.lock();
            // Of what no order stands for, nothing has to be known.
            if !inner.orders.iter().any(|order| due::subject(order) == subject) {
                return;
            }
            inner.kept.past.entry(subject).or_default().taken = Some(outcome.began);
        }
        self.save().await;
    }

    /// Whether a run has to wait: its host took, or takes, the same data by itself, and the controllers do not know yet.
    pub(super) fn holds(&self, order: &RunOrder) -> bool {
        let Task::Backup(task) = &order.task else { return false };
        let (inner, of) = (self.lock(), &task.instance);
        let same = |run: &OfflineRun| {
            (&run.environment, &run.app, &run.group, run.slot)
                == (&of.environment, &of.app, &of.group, of.slot)
        };
        inner.heard_out && inner.kept.runs.iter().any(same)
    }

    /// Takes runs of its own out of a list of a gateway: they are under way already. Returns the one that is to be given up,
    /// because it was named and is no more.
    pub(super) fn without_own(&self, desired: &mut DesiredRuns) -> Option<RunId> {
        let mut inner = self.lock();
        let own: BTreeSet<RunId> = inner.kept.runs.iter().map(|run| run.id).collect();
        let generation = desired.generation;
        let under_way = inner.under_way.as_mut();
        let given_up = under_way.and_then(|own| match (desired.runs.contains(&own.run), own.named) {
            (true, None) => {
                own.named = Some(generation);
                None
            }
            // A list of before may come late, from another gateway.
            (false, Some(named)) if generation > named => Some(own.run),
            _ => None,
        });
        desired.runs.retain(|run| !own.contains(run));
        given_up
    }

    /// A session begins with a gateway that takes in what is told, or with one that does not.
    pub fn session(&self, heard_out: bool) {
        let mut inner = self.lock();
        (inner.heard_out, inner.told) = (heard_out, BTreeSet::new());
        drop(inner);
        self.news.notify_one();
    }

    /// The oldest run that is to be told.
    pub fn to_tell(&self) -> Option<OfflineRun> {
        let inner = self.lock();
        inner.kept.runs.iter().find(|run| run.outcome.is_some() || !inner.told.contains(&run.id)).cloned()
    }

    /// Resolves when there is something to tell. Cancel-safe.
    pub async fn news(&self) {
        while self.to_tell().is_none() {
            self.news.notified().await;
        }
    }

    /// A controller has recorded a run as it was told, or said why it never will.
    pub(super) async fn recorded(&self, told: &OfflineRun, refused: Option<String>) {
        if let Some(reason) = &refused {
            tracing::warn!(
                run = %told.id, app = %of_run(told), reason,
                "a backup that this host took by itself is not recorded; its snapshot stays in the repository"
            );
        }
        {
            let mut inner = self.lock();
            match told.outcome.is_some() {
                true => inner.kept.runs.retain(|run| run.id != told.id),
                false => drop(inner.told.insert(told.id)),
            }
        }
        self.save().await;
    }

    async fn save(&self) {
        let _one_at_a_time = self.writing.lock().await;
        let kept = self.lock().kept.clone();
        self.keeper.save_offline(kept).await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note_begun(&mut self, order: &StandingOrder, run: &OfflineRun) {
        let tried = Tried { due: run.due, attempt: run.attempt, began: run.began, ended: None, again: false };
        self.kept.past.entry(subject(order)).or_default().tried = Some(tried);
        self.begun.insert(subject(order), Instant::now());
        self.under_way = Some(UnderWay { run: run.id, named: None });
        self.kept.runs.push(run.clone());
        if self.kept.runs.len() > MAX_KEPT {
            let lost = self.kept.runs.remove(0);
            tracing::warn!(run = %lost.id, app = %of_run(&lost), "too many backups without a controller: the oldest is forgotten");
        }
    }

    fn note_ended(&mut self, run: RunId, outcome: RunOutcome) {
        let Some(own) = self.kept.runs.iter_mut().find(|own| own.id == run) else { return };
        let past = self.kept.past.entry(of_run(own)).or_default();
        if matches!(outcome.state, RunState::Succeeded | RunState::Partial) {
            past.taken = Some(outcome.began);
        }
        if let Some(tried) = &mut past.tried {
            tried.ended = Some(outcome.ended);
            tried.again = may_pass(outcome.state, outcome.code.as_deref());
        }
        own.outcome = Some(outcome);
        for old in self.kept.runs.iter_mut().rev().skip(WITH_FACTS) {
            old.outcome.iter_mut().flat_map(|outcome| &mut outcome.items).for_each(|item| item.facts.clear());
        }
    }
}

fn digest(orders: &StandingOrders) -> Option<ContentDigest> {
    serde_json::to_vec(orders).ok().map(|bytes| ContentDigest::of(&bytes))
}

fn of_run(run: &OfflineRun) -> String {
    format!("{}/{} {}.{}", run.environment, run.app, run.group, run.slot)
}

fn offline_run(id: RunId, order: &StandingOrder, due: &due::Due, now: Time) -> OfflineRun {
    let of = &order.task.instance;
    OfflineRun {
        id,
        environment: of.environment.clone(),
        app: of.app.clone(),
        group: of.group.to_string(),
        slot: of.slot,
        release: order.release,
        repository: order.task.to.name.clone(),
        items: order.task.items.iter().map(|item| item.name.clone()).collect(),
        due: due.at,
        attempt: due.attempt,
        began: now,
        max_duration_ms: order.max_duration_ms,
        outcome: None,
    }
}

fn interrupted(began: Time, now: Time) -> RunOutcome {
    RunOutcome {
        state: RunState::Failed,
        began,
        ended: now,
        items: Vec::new(),
        code: Some("interrupted".to_owned()),
        message: Some(
            "the agent stopped in the middle; what restic had finished is in the repository".to_owned(),
        ),
    }
}
