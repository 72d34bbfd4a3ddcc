//! The work list at work: begins runs, watches over their time, keeps what came of them.

use super::alone::Alone;
use super::book::Book;
use super::claim::Claim;
use super::errand::{Doer, Done, Errand, Reporter, limit};
use super::kept::{Keeper, Kept};
use crate::ledger::LedgerError;
use omni_common::clock::{Clock, Time};
use omni_common::domain::backup::{RunOrder, RunOutcome, RunProgress, RunState};
use omni_common::ids::RunId;
use omni_common::wire::{DesiredRuns, MAX_RUN_FACTS, MAX_RUN_MISSING, MAX_RUN_TEXT, OfflineRun, RunReport};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Runs under way at once on a host.
pub const MAX_AT_ONCE: usize = 2;
/// Orders held at once, those under way included: enough to go on with when one ends.
const MAX_ORDERS: usize = MAX_AT_ONCE + 2;
/// A host that is alone looks this often whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// What could not be undone is tried again after this time.
const TIDY_AGAIN: Duration = Duration::from_secs(5);

/// The runs of a host.
pub struct Runs {
    doer: Option<Arc<dyn Doer>>,
    clock: Arc<dyn Clock>,
    keeper: Keeper,
    book: Mutex<Book>,
    /// What the host begins by itself.
    alone: Option<Arc<Alone>>,
    /// Runs that are under way.
    errands: Mutex<BTreeMap<RunId, Errand>>,
    /// Counts up with each change of the book.
    changes: watch::Sender<u64>,
    /// Something is to be told to the gateway.
    news: Notify,
}

/// A run that has ended.
struct Ended {
    order: Arc<RunOrder>,
    began: Time,
    done: Done,
}

impl Runs {
    /// A host whose runs are done by `doer`; without one, it does none.
    ///
    /// # Errors
    /// When what was kept cannot be read.
    pub fn new(
        doer: Option<Arc<dyn Doer>>,
        keeper: Keeper,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LedgerError> {
        let book = Mutex::new(Book::new(keeper.load()?));
        let (errands, changes) = (Mutex::default(), watch::Sender::default());
        Ok(Self { doer, clock, keeper, book, alone: None, errands, changes, news: Notify::new() })
    }

    /// With what the host may begin by itself.
    #[must_use]
    pub fn with_alone(self, alone: Arc<Alone>) -> Self {
        Self { alone: Some(alone), ..self }
    }

    /// What the host begins by itself; absent when it never does.
    pub fn alone(&self) -> Option<&Alone> {
        self.alone.as_deref()
    }

    /// A controller has recorded what the host did by itself, or said why it never will.
    pub async fn recorded(&self, told: &OfflineRun, refused: Option<String>) {
        if let Some(alone) = &self.alone {
            alone.recorded(told, refused).await;
        }
        self.changed();
    }

    /// A host that does no runs.
    pub fn none(clock: Arc<dyn Clock>) -> Self {
        let (errands, changes) = (Mutex::default(), watch::Sender::default());
        Self {
            doer: None,
            clock,
            keeper: Keeper::Memory(Arc::default()),
            book: Mutex::new(Book::new(Kept::default())),
            alone: None,
            errands,
            changes,
            news: Notify::new(),
        }
    }

    /// Whether this host does runs.
    pub fn able(&self) -> bool {
        self.doer.as_ref().is_some_and(|doer| doer.able())
    }

    /// A gateway said what to do. Returns at once.
    pub fn desire(&self, mut desired: DesiredRuns) {
        let own = self.alone.as_ref().and_then(|alone| alone.without_own(&mut desired));
        let mut given_up = self.book().desire(desired);
        given_up.extend(own);
        let errands = self.errands();
        for run in given_up {
            tracing::info!(%run, "run given up");
            if let Some(errand) = errands.get(&run) {
                errand.cancel.cancel();
            }
        }
        drop(errands);
        self.changed();
    }

    /// Counts up whenever [`Runs::wanted`] may answer otherwise.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The next run whose order should be fetched, except those that are `not_yet` to be asked for again.
    pub fn wanted(&self, not_yet: impl Fn(RunId) -> bool) -> Option<RunId> {
        self.book().wanted(MAX_ORDERS, not_yet)
    }

    /// An order was fetched; an error is a sentence about why it cannot be read, which fails the run.
    pub fn provide(&self, run: RunId, order: Result<RunOrder, String>) {
        match order {
            Ok(order) => self.book().provide(order),
            Err(message) => {
                let done = Done::without_items(RunState::Failed, "order_unreadable", message);
                let now = self.clock.now();
                self.book().ended(run, outcome(done, now, now));
                self.news.notify_one();
            }
        }
        self.changed();
    }

    /// A session begins: all is told again.
    pub fn rewind(&self) {
        self.book().rewind();
        self.news.notify_one();
    }

    /// Resolves when there is something to tell. Cancel-safe.
    pub async fn told(&self) {
        while !self.book().has_news() {
            self.news.notified().await;
        }
    }

    /// The next thing to tell.
    pub fn take(&self) -> Option<RunReport> {
        self.book().take()
    }

    /// How far the runs are that are under way.
    pub fn progress(&self) -> Vec<RunProgress> {
        self.errands().values().map(|errand| errand.reporter.progress()).collect()
    }

    /// Does what is wanted until `stop`; then ends what is under way, to be done again by the next process.
    pub async fn run(&self, stop: CancellationToken) {
        let Some(doer) = self.doer.clone() else { return stop.cancelled().await };
        if stop.run_until_cancelled(tidy(doer.as_ref(), None)).await.is_none() {
            return;
        }
        let mut changes = self.changes();
        let mut under_way = JoinSet::new();
        let mut saved = self.book().kept();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changes.mark_unchanged();
            let held = |order: &RunOrder| self.alone.as_ref().is_some_and(|alone| alone.holds(order));
            let begun = self.book().begin(MAX_AT_ONCE, held);
            for order in begun {
                self.begin(order, &doer, &mut under_way);
            }
            let kept = self.book().kept();
            if kept != saved {
                self.keeper.save(kept.clone()).await;
                saved = kept;
            }
            tokio::select! {
                _ = changes.changed() => {}
                Some(ended) = under_way.join_next() => if let Ok(ended) = ended {
                    self.end(ended).await;
                },
                _ = looks.tick(), if self.alone.is_some() && under_way.is_empty() => {
                    self.begin_alone(&doer, &mut under_way).await;
                }
                () = stop.cancelled() => break,
            }
        }
        for errand in self.errands().values() {
            errand.cancel.cancel();
        }
        // Whoever stops the agent waits only so long, and what is left then is undone at the next start.
        while under_way.join_next().await.is_some() {}
    }

    /// Begins what is due while nobody is there to order it, where nothing else is under way.
    async fn begin_alone(&self, doer: &Arc<dyn Doer>, under_way: &mut JoinSet<Ended>) {
        let Some(alone) = self.alone.as_ref().filter(|_| doer.able()) else { return };
        if let Some(order) = alone.begin().await {
            self.book().aside(Some(Claim::of(&order)));
            self.begin(Arc::new(order), doer, under_way);
        }
    }

    fn begin(&self, order: Arc<RunOrder>, doer: &Arc<dyn Doer>, under_way: &mut JoinSet<Ended>) {
        let errand = Errand { cancel: CancellationToken::new(), reporter: Reporter::new(order.id) };
        self.errands().insert(order.id, errand.clone());
        self.news.notify_one();
        let (doer, began) = (doer.clone(), self.clock.now());
        tracing::info!(run = %order.id, task = word(&order), "run begins");
        under_way.spawn(async move {
            let done = perform(doer, order.clone(), errand).await;
            Ended { order, began, done }
        });
    }

    async fn end(&self, ended: Ended) {
        let Ended { order, began, done } = ended;
        self.errands().remove(&order.id);
        let (state, code) = (done.state, done.code.clone());
        let reason = done.message.clone();
        tracing::info!(run = %order.id, task = word(&order), %state, code, reason, "run is over");
        let outcome = outcome(done, began, self.clock.now());
        if let Some(alone) = &self.alone {
            if alone.is_own(order.id) {
                alone.ended(order.id, outcome).await;
                self.book().aside(None);
                return self.changed();
            }
            alone.taken(&order, &outcome).await;
        }
        // On disk before anybody hears of it.
        let mut kept = self.book().kept();
        kept.outcomes.insert(order.id, outcome.clone());
        self.keeper.save(kept).await;
        self.book().ended(order.id, outcome);
        self.news.notify_one();
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn errands(&self) -> MutexGuard<'_, BTreeMap<RunId, Errand>> {
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a run, which may end badly but does end: in its time, and with everything undone.
async fn perform(doer: Arc<dyn Doer>, order: Arc<RunOrder>, errand: Errand) -> Done {
    let deadline = Instant::now() + limit(&order);
    let (run, cancel) = (order.id, errand.cancel.clone());
    // In a task of its own, so that a panic in it is one failed run.
    let mut work = JoinSet::new();
    work.spawn({
        let (doer, order) = (doer.clone(), order.clone());
        async move { doer.perform(&order, &errand).await }
    });
    let mut late = false;
    let joined = loop {
        tokio::select! {
            joined = work.join_next() => break joined,
            () = tokio::time::sleep_until(deadline), if !late => {
                late = true;
                cancel.cancel();
            }
        }
    };
    tidy(doer.as_ref(), Some(run)).await;
    match joined {
        Some(Ok(done)) if late && done.state == RunState::Cancelled => Done {
            code: Some("timed_out".to_owned()),
            message: Some(format!(
                "it was given up after {} s, which is all the time it may take; give it more, or less to do",
                limit(&order).as_secs()
            )),
            ..done
        },
        Some(Ok(done)) => done,
        _ => Done::without_items(
            RunState::Failed,
            "internal",
            "the agent made a mistake, which its log tells more about; nothing is known to be done",
        ),
    }
}

/// Undoes until it is undone.
async fn tidy(doer: &dyn Doer, run: Option<RunId>) {
    while let Err(reason) = doer.tidy(run).await {
        tracing::warn!(?run, reason, "what a run changed could not be undone yet");
        tokio::time::sleep(TIDY_AGAIN).await;
    }
}

/// An outcome within the bounds of the wire.
fn outcome(done: Done, began: Time, ended: Time) -> RunOutcome {
    let mut items = done.items;
    let (mut facts, mut missing) = (MAX_RUN_FACTS, MAX_RUN_MISSING);
    for item in &mut items {
        item.message = item.message.take().map(cut);
        item.missing = std::mem::take(&mut item.missing).into_iter().map(cut).collect();
        item.missing.truncate(missing);
        missing -= item.missing.len();
        item.facts.retain(|name, value| name.len() <= MAX_RUN_TEXT && value.len() <= MAX_RUN_TEXT);
        while item.facts.len() > facts {
            item.facts.pop_last();
        }
        facts -= item.facts.len();
    }
    RunOutcome { state: done.state, began, ended, items, code: done.code, message: done.message.map(cut) }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_RUN_TEXT));
    text
}

fn word(order: &RunOrder) -> &'static str {
    use omni_common::domain::backup::{ControllersWork, Destination, Task};
    match &order.task {
        Task::Backup(_) => "backup",
        Task::Copy(_) => "copy",
        Task::Check(_) => "check",
        Task::Prune(_) => "prune",
        Task::Controllers(task) => match task.work {
            ControllersWork::Take { .. } => "backup",
            ControllersWork::Prove { .. } => "drill",
        },
        Task::Ready(_) => "ready",
        Task::Restore(task) => match task.into {
            Destination::Scratch { .. } => "drill",
            Destination::InPlace { .. } | Destination::Folder { .. } => "restore",
        },
    }
}
