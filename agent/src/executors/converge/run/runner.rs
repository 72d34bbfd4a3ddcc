//! Wakes on every change, plans, hands out steps, keeps what they taught, and reports.

use super::super::names;
use super::super::plan::{Account, Plan, Trouble, View, plan};
use super::super::steps::{Action, Step};
use super::{Fault, Leased, Shared, files, perform, tail};
use crate::docker::{DockerStatus, Engine};
use crate::workloads::Wish;
use omni_common::clock::Time;
use omni_common::domain::AllocationState;
use omni_common::ids::AllocationId;
use omni_common::wire::AllocationReport;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Steps under way at once: few enough for a small host.
const MAX_STEPS: usize = 8;
/// Pulls among them, which may take hours: the others are left to what has to stop and start meanwhile.
const MAX_PULLS: usize = 4;
/// Everything is looked at again after this time, whatever was or was not told.
const RESYNC: Duration = Duration::from_secs(60);
/// An engine that is away for longer than this is told of; a restart of it is not.
const FORGIVEN: Duration = Duration::from_secs(15);
/// Waits before a step that failed is tried again: doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const MAX_WAIT: Duration = Duration::from_secs(60);
/// A step that might help fails so often before the allocation counts as failed.
const PATIENT: u32 = 3;
/// The same step is not done again at once, even when it seems to have had no effect.
const PAUSE: Duration = Duration::from_millis(500);

/// Brings the host to what is desired, for ever.
pub(in super::super) async fn follow(shared: Arc<Shared>, leased: Leased) {
    let mut runner = Runner {
        shared: shared.clone(),
        leased: leased.clone(),
        jobs: JoinSet::new(),
        busy: BTreeSet::new(),
        done: BTreeMap::new(),
        networks: None,
        volumes: None,
        logs: BTreeMap::new(),
        swept: None,
        away: Some(Instant::now()),
    };
    let mut changes = Changes {
        desired: shared.depot.changes(),
        containers: shared.docker.containers().revision(),
        docker: shared.docker.status(),
        holds: shared.holds.changes(),
        leased,
    };
    loop {
        let was = changes.seen();
        let wake = runner.round(was).await;
        tokio::select! {
            () = changes.next(was) => {}
            () = shared.learned.notified() => {}
            Some(done) = runner.jobs.join_next(), if !runner.jobs.is_empty() => {
                if let Ok(done) = done {
                    runner.learn(done);
                }
            }
            () = tokio::time::sleep(wake) => {}
        }
    }
}

/// Everything whose change may change the plan.
struct Changes {
    desired: tokio::sync::watch::Receiver<u64>,
    containers: tokio::sync::watch::Receiver<u64>,
    docker: tokio::sync::watch::Receiver<DockerStatus>,
    holds: tokio::sync::watch::Receiver<u64>,
    leased: Leased,
}

impl Changes {
    /// All that was told until now is seen; returns whether the lease is valid.
    fn seen(&mut self) -> bool {
        self.desired.mark_unchanged();
        self.containers.mark_unchanged();
        self.docker.mark_unchanged();
        self.holds.mark_unchanged();
        self.leased.valid()
    }

    async fn next(&mut self, leased: bool) {
        tokio::select! {
            _ = self.desired.changed() => {}
            _ = self.containers.changed() => {}
            _ = self.docker.changed() => {}
            _ = self.holds.changed() => {}
            () = self.leased.turned(leased) => {}
        }
    }
}

/// What came of something that was done beside the loop.
enum Done {
    Step(Box<Step>, Result<(), Fault>),
    Log(AllocationId, LogOf, String),
    Swept(BTreeSet<PathBuf>),
}

/// A run of a container whose log was read.
type LogOf = (String, Option<Time>);

struct Runner {
    shared: Arc<Shared>,
    leased: Leased,
    jobs: JoinSet<Done>,
    /// Keys of what is under way.
    busy: BTreeSet<String>,
    /// When steps were last done well, for a moment.
    done: BTreeMap<String, Instant>,
    /// The networks with omni's labels; absent when they have to be asked for.
    networks: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// The volumes with omni's labels; absent when they have to be asked for, which is only done when some are to go.
    volumes: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Last words, by allocation.
    logs: BTreeMap<AllocationId, (LogOf, String)>,
    swept: Option<BTreeSet<PathBuf>>,
    /// Since when the engine is away.
    away: Option<Instant>,
}

impl Runner {
    /// One look at everything; returns how long nothing has to be done if nothing changes.
    async fn round(&mut self, leased: bool) -> Duration {
        let wishes = self.shared.depot.wishes();
        let picture = match self.engine() {
            Ok((engine, api)) => match self.things(&engine, &wishes).await {
                Ok(()) => self.shared.docker.containers().current().map(|containers| (containers, api)),
                Err(reason) => return self.without_engine(&wishes, &reason),
            },
            Err(reason) => return self.without_engine(&wishes, &reason),
        };
        // Connected, and the listing is still being read.
        let Some((containers, api)) = picture else { return FORGIVEN };
        self.away = None;
        for id in self.shared.holds.take_released() {
            self.shared.memory().restarts.entry(id).or_default().stopped = true;
        }
        let memory = self.shared.memory().clone();
        let (held, barred) = (self.shared.holds.held(), self.shared.holds.barred());
        let now = self.shared.clock.now();
        let none = BTreeMap::new();
        let view = View {
            host: &self.shared.host,
            wishes: &wishes,
            containers: &containers,
            networks: self.networks.as_ref().unwrap_or(&none),
            volumes: self.volumes.as_ref(),
            api,
            now,
            leased,
            dirs: &self.shared.dirs,
            memory: &memory,
            held: &held,
            barred: &barred,
        };
        let plan = plan(&view);
        self.note(&plan, &containers);
        let postponed = self.hand_out(&plan);
        self.report(&plan, &containers);
        self.sweep(&plan);
        let wake = plan.wake.map_or(RESYNC, |at| at.since(now).max(PAUSE));
        postponed.map_or(wake, |postponed| postponed.min(wake)).min(RESYNC)
    }

    fn engine(&self) -> Result<(Engine, (u32, u32)), String> {
        let engine = self.shared.docker.engine().map_err(|error| error.to_string())?;
        match &*self.shared.docker.status().borrow() {
            DockerStatus::Up(facts) => Ok((engine, api(&facts.api_version))),
            _ => Err("the Docker engine has not answered yet".to_owned()),
        }
    }

    /// Networks and volumes, where they are needed and not known.
    async fn things(&mut self, engine: &Engine, wishes: &[Wish]) -> Result<(), String> {
        let unasked = |error: crate::docker::DockerError| error.to_string();
        if self.networks.is_none() {
            let label = format!("{}={}", names::HOST, self.shared.host);
            let found = engine.networks("label", &label).await.map_err(unasked)?;
            self.networks = Some(found.into_iter().map(|network| (network.name, network.labels)).collect());
        }
        if !wishes.iter().any(|wish| !wish.allocation.run && wish.allocation.purge) {
            self.volumes = None;
        } else if self.volumes.is_none() {
            self.volumes = Some(engine.volumes(names::APP).await.map_err(unasked)?);
        }
        Ok(())
    }

    /// Says that nothing is known. What ran may run on: it is not called failed.
    fn without_engine(&mut self, wishes: &[Wish], reason: &str) -> Duration {
        (self.networks, self.volumes) = (None, None);
        let since = *self.away.get_or_insert_with(Instant::now);
        let known = self.shared.reports.known();
        if since.elapsed() < FORGIVEN && !known.is_empty() {
            return FORGIVEN.saturating_sub(since.elapsed()).max(PAUSE);
        }
        let report = |wish: &Wish| {
            let was = known.get(&wish.allocation.id).map(|report| report.state);
            let ran = matches!(was, Some(AllocationState::Healthy | AllocationState::Unhealthy));
            AllocationReport {
                id: wish.allocation.id,
                epoch: wish.allocation.epoch,
                state: if ran { AllocationState::Unhealthy } else { AllocationState::Preparing },
                reason: Some(reason.to_owned()),
                log: None,
            }
        };
        self.shared.reports.update(wishes.iter().map(report).collect::<Vec<_>>());
        RESYNC
    }

    /// Keeps what the picture teaches, and forgets what is over.
    fn note(&mut self, plan: &Plan, containers: &[omni_common::domain::Container]) {
        let mut memory = self.shared.memory();
        for (id, account) in &plan.accounts {
            if let (AllocationState::Healthy, Some(spec)) = (account.verdict.0, &account.spec) {
                memory.healthy.insert((*id, spec.clone()));
            }
        }
        let desired = |id: &AllocationId| plan.accounts.get(id).and_then(|account| account.spec.as_ref());
        memory.pulled.retain(|(id, spec, _)| desired(id) == Some(spec));
        memory.laid.retain(|(id, spec)| desired(id) == Some(spec));
        memory.healthy.retain(|(id, spec)| desired(id) == Some(spec));
        memory.progress.retain(|id, _| plan.accounts.contains_key(id));
        memory.restarts.retain(|id, _| containers.iter().any(|container| container.id == *id));
        let planned: BTreeSet<String> = plan.steps.iter().map(Step::key).collect();
        let now = self.shared.clock.now();
        // A trouble whose step is no longer wanted is over; one that waits for its time is not among the steps.
        memory.troubles.retain(|key, trouble| trouble.again > now || planned.contains(key));
        self.logs.retain(|id, _| plan.accounts.contains_key(id));
        self.done.retain(|_, at| at.elapsed() < PAUSE);
    }

    /// Begins with every step that is not under way; returns when one that was just done may be done again.
    fn hand_out(&mut self, plan: &Plan) -> Option<Duration> {
        let mut postponed = None;
        for step in &plan.steps {
            let key = step.key();
            if self.busy.contains(&key) || self.busy.len() >= MAX_STEPS || step.waits_for(&self.busy) {
                continue;
            }
            let pulls = matches!(step.action, Action::Pull { .. });
            if pulls && self.busy.iter().filter(|key| key.contains(" pull ")).count() >= MAX_PULLS {
                continue;
            }
            if let Some(at) = self.done.get(&key) {
                postponed = Some(PAUSE.saturating_sub(at.elapsed()).max(Duration::from_millis(20)));
                continue;
            }
            self.busy.insert(key);
            let (shared, leased, step) = (self.shared.clone(), self.leased.clone(), Box::new(step.clone()));
            tracing::debug!(step = step.word(), allocation = ?step.allocation, "step");
            self.jobs.spawn(async move {
                let outcome = perform::perform(&shared, &leased, &step).await;
                Done::Step(step, outcome)
            });
        }
        postponed
    }

    fn learn(&mut self, done: Done) {
        match done {
            Done::Step(step, outcome) => self.learn_step(&step, outcome),
            Done::Log(id, of, text) => {
                self.busy.remove(&log_key(id));
                self.logs.insert(id, (of, text));
            }
            Done::Swept(keep) => {
                self.busy.remove("sweep");
                self.swept = Some(keep);
            }
        }
    }

    fn learn_step(&mut self, step: &Step, outcome: Result<(), Fault>) {
        let key = step.key();
        self.busy.remove(&key);
        if matches!(step.action, Action::Lay(_) | Action::RemoveNetwork(_) | Action::RemoveVolume(_)) {
            (self.networks, self.volumes) = (None, None);
        }
        let now = self.shared.clock.now();
        let mut memory = self.shared.memory();
        match outcome {
            Ok(()) => {
                self.done.insert(key.clone(), Instant::now());
                memory.troubles.remove(&key);
                let spec = step.allocation.and_then(|id| Some((id, self.spec(id)?)));
                match (&step.action, spec) {
                    (Action::Pull { image, .. }, Some((id, spec))) => {
                        memory.progress.remove(&id);
                        memory.pulled.insert((id, spec, image.clone()));
                    }
                    (Action::Lay(_), Some((id, spec))) => drop(memory.laid.insert((id, spec))),
                    _ => {}
                }
            }
            Err(fault) => {
                let attempts =
                    memory.troubles.get(&key).map_or(1, |trouble| trouble.attempts.saturating_add(1));
                let wait = FIRST_WAIT.saturating_mul(1 << (attempts - 1).min(10)).min(MAX_WAIT);
                tracing::warn!(step = step.word(), allocation = ?step.allocation, reason = fault.reason, "step failed");
                let lasting = fault.lasting || attempts >= PATIENT;
                memory
                    .troubles
                    .insert(key, Trouble { reason: fault.reason, lasting, attempts, again: now.plus(wait) });
            }
        }
    }

    /// The specification that an allocation is desired with now. A step that was begun for an older one taught the same
    /// about the host.
    fn spec(&self, id: AllocationId) -> Option<omni_common::domain::app::ContentDigest> {
        let wishes = self.shared.depot.wishes();
        wishes.into_iter().find(|wish| wish.allocation.id == id).map(|wish| wish.allocation.spec)
    }

    fn report(&mut self, plan: &Plan, containers: &[omni_common::domain::Container]) {
        let mut before = self.shared.reports.known();
        let reports: Vec<AllocationReport> = plan
            .accounts
            .iter()
            .map(|(id, account)| {
                let log = self.log_of(*id, account, containers);
                let (state, reason, _) = account.verdict.clone();
                let wordless = log.is_none() && self.busy.contains(&log_key(*id));
                match before.remove(id).filter(|known| known.epoch == account.epoch) {
                    // Controllers act on the first that they hear of a failure, so its last words have to be with it.
                    Some(known) if state == AllocationState::Failed && wordless => known,
                    _ => AllocationReport { id: *id, epoch: account.epoch, state, reason, log },
                }
            })
            .collect();
        let over: Vec<AllocationReport> = self
            .shared
            .reports
            .known()
            .into_values()
            .filter(|known| !plan.accounts.contains_key(&known.id))
            .collect();
        self.shared.reports.update(reports);
        for known in over {
            let last = AllocationReport { state: AllocationState::Stopped, reason: None, log: None, ..known };
            self.shared.reports.conclude(last);
        }
    }

    /// The last words that go with a verdict; has them read when they are not known yet.
    fn log_of(
        &mut self,
        id: AllocationId,
        account: &Account,
        containers: &[omni_common::domain::Container],
    ) -> Option<String> {
        let failing = account.verdict.2.as_ref()?;
        let container = containers.iter().find(|container| container.id == *failing)?;
        let of = (container.id.clone(), container.finished);
        let known = self.logs.get(&id);
        if known.is_none_or(|(known, _)| *known != of) && self.busy.insert(log_key(id)) {
            let (shared, tty, of) = (self.shared.clone(), container.tty, of.clone());
            self.jobs.spawn(async move {
                let text = tail::tail(&shared.docker, &of.0, tty).await;
                Done::Log(id, of, text.unwrap_or_else(|error| format!("its log cannot be read: {error}\n")))
            });
        }
        known
            .filter(|(known, _)| known.0 == of.0)
            .map(|(_, text)| text.clone())
            .filter(|text| !text.is_empty())
    }

    /// Removes files that nothing needs any more, once that is known of everything and nothing is under way.
    fn sweep(&mut self, plan: &Plan) {
        let Some(keep) = plan.files.clone().filter(|keep| self.swept.as_ref() != Some(keep)) else { return };
        if !plan.steps.is_empty() || !self.busy.is_empty() {
            return;
        }
        self.busy.insert("sweep".to_owned());
        let dirs = self.shared.dirs.clone();
        self.jobs.spawn_blocking(move || {
            if let Err(error) = files::sweep(&dirs, &keep) {
                tracing::warn!(%error, "files of older releases not removed");
            }
            Done::Swept(keep)
        });
    }
}

/// `1.41` as two numbers; an engine that says something else is taken for the oldest that is supported.
pub(crate) fn api(version: &str) -> (u32, u32) {
    let parsed =
        version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.unwrap_or((1, 41))
}

/// What is busy while an allocation's last words are being read.
fn log_key(id: AllocationId) -> String {
    format!("log {id}")
}
