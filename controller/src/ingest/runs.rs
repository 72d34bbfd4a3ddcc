//! Runs between the log and the agents.
//!
//! ```text
//! state ─▶ runs.rs (which runs the host is to do) ─▶ session.rs ─▶ agent
//! agent ─▶ contents.rs ─▶ runs.rs (the order, made from this replica, secrets opened for it)
//! agent ─▶ contents.rs ─▶ runs.rs (standing orders; what it did by them, into the log)
//! agent ─▶ session.rs ─▶ runs.rs (begun, over: into the log, until it is there) ; telemetry ─▶ observed.rs (how far)
//! ```

use super::accept::Gateway;
use super::content_context;
use crate::backup::{Outline, Outlines, controllers, limits, opening, order, outline, standing_orders};
use crate::state::{Actor, AppKey, Command, State};
use omni_catalogue::Catalogue;
use omni_catalogue::policies::Policies;
use omni_certs::ClusterKey;
use omni_common::domain::app::{AppSpec, ContentDigest};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::{DesiredRuns, MAX_RUN_ORDER, MAX_RUNS_PER_HOST, OfflineRun, RunReport};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Reports that could not be committed are tried again this soon.
const RETRY: Duration = Duration::from_millis(250);
/// Reports that wait at most; an agent says them again in its next session.
const MAX_WAITING: usize = 10_000;

/// The runs of a host.
pub(super) fn desired(state: &State, host: HostId) -> DesiredRuns {
    DesiredRuns {
        generation: state.run_generations.get(&host).copied().unwrap_or(0),
        runs: state.runs_on(host).map(|run| run.id).take(MAX_RUNS_PER_HOST).collect(),
    }
}

/// What a run of this host is about, as JSON.
pub(super) fn order(
    gateway: &Gateway,
    host: HostId,
    id: RunId,
) -> Result<Zeroizing<Vec<u8>>, (&'static str, String)> {
    let state = gateway.store.current();
    let found = state.runs.get(&id).filter(|run| run.host == Some(host) && !run.state.is_over());
    let run = found.ok_or_else(|| ("not_found", "this host has no such run".to_owned()))?;
    let order = order::order(&state, run, &*gateway.releases).map_err(|error| match error {
        opening::OrderError::Gone(_) => ("not_found", error.to_string()),
        opening::OrderError::Sealed(_) => ("unavailable", error.to_string()),
    })?;
    let bytes =
        Zeroizing::new(serde_json::to_vec(&order).map_err(|error| ("unavailable", error.to_string()))?);
    match bytes.len() <= MAX_RUN_ORDER {
        true => Ok(bytes),
        false => Err(("unavailable", format!("the order is larger than {MAX_RUN_ORDER} bytes"))),
    }
}

/// What a host may do by itself while no controller is reachable, as JSON; nothing when it has that already.
pub(super) fn standing(
    gateway: &Gateway,
    host: HostId,
    known: Option<&ContentDigest>,
) -> Result<Zeroizing<Vec<u8>>, (&'static str, String)> {
    let state = gateway.store.current();
    let limits = limits(&state, gateway.releases.policies());
    let orders = standing_orders(&state, host, &limits, &*gateway.releases);
    let bytes =
        Zeroizing::new(serde_json::to_vec(&orders).map_err(|error| ("unavailable", error.to_string()))?);
    match known {
        Some(known) if *known == ContentDigest::of(&bytes) => Ok(Zeroizing::new(Vec::new())),
        _ => Ok(bytes),
    }
}

/// Records what a host did by itself. An error with `not_found` is for good.
pub(super) async fn hand_in(
    gateway: &Gateway,
    host: HostId,
    run: Box<OfflineRun>,
) -> Result<(), (&'static str, String)> {
    let id = run.id;
    let proposed = gateway.propose(Actor::system(), Command::RecordOffline { host, run }).await;
    match proposed {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refusal)) => {
            tracing::warn!(node = %host, run = %id, reason = refusal.message, "a backup that a host took by itself is not recorded");
            Err(("not_found", refusal.message))
        }
        Err(error) => Err(("unavailable", error.to_string())),
    }
}

/// What releases hold for backups. Specifications are sealed, so each is opened once and its outline kept; specifications
/// themselves are not.
pub(crate) struct Releases {
    key: Arc<ClusterKey>,
    catalogue: Arc<Catalogue>,
    policies: Arc<Policies>,
    outlines: Mutex<BTreeMap<ContentDigest, Arc<Outline>>>,
}

impl Releases {
    pub(crate) fn new(key: Arc<ClusterKey>, catalogue: Arc<Catalogue>, policies: Arc<Policies>) -> Self {
        Self { key, catalogue, policies, outlines: Mutex::default() }
    }

    /// What holds for backups where nobody says anything.
    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContentDigest, Arc<Outline>>> {
        self.outlines.lock().expect("no holder of this lock panics")
    }

    fn spec(&self, state: &State, digest: &ContentDigest) -> Option<AppSpec> {
        let content = state.contents.get(digest)?;
        let bytes = self.key.open(&content_context(digest), &content.sealed).ok()?;
        AppSpec::from_json(&bytes).ok()
    }

    /// The data of a release by its specification's digest.
    pub(crate) fn outline(&self, state: &State, digest: &ContentDigest) -> Option<Arc<Outline>> {
        if let Some(known) = self.lock().get(digest) {
            return Some(Arc::clone(known));
        }
        let fresh = Arc::new(outline(&self.spec(state, digest)?, &self.catalogue, &self.policies));
        self.lock().insert(digest.clone(), Arc::clone(&fresh));
        Some(fresh)
    }

    /// The data of every app's wanted release, and the controllers' own. Releases that are no more are forgotten.
    pub(crate) fn outlines(&self, state: &State) -> Outlines {
        self.lock().retain(|digest, _| state.contents.contains_key(digest));
        let own = (AppKey::controllers(), Arc::new(controllers::outline(&self.policies)));
        let apps = state.apps.values();
        let of_apps =
            apps.filter_map(|app| Some((app.key.clone(), self.outline(state, &app.wanted()?.spec)?)));
        of_apps.chain([own]).collect()
    }
}

impl opening::Opener for Releases {
    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.key.open(context, sealed).ok()
    }

    fn release(&self, state: &State, app: &AppKey, number: u64) -> Option<(AppSpec, Arc<Outline>)> {
        let digest = &state.apps.get(app)?.releases.get(&number)?.spec;
        Some((self.spec(state, digest)?, self.outline(state, digest)?))
    }

    fn outlines(&self, state: &State) -> Outlines {
        Self::outlines(self, state)
    }

    fn policies(&self) -> &Policies {
        Self::policies(self)
    }
}

/// What agents say of runs, on its way into the log. The newest of each waits until it is committed.
#[derive(Default)]
pub(crate) struct RunReports {
    waiting: Mutex<BTreeMap<(HostId, RunId), RunReport>>,
    filled: Notify,
}

impl RunReports {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(HostId, RunId), RunReport>> {
        self.waiting.lock().expect("no holder of this lock panics")
    }

    /// Notes what a host says. That a run is over is not taken back by an older word.
    pub(super) fn note(&self, host: HostId, report: RunReport) {
        let mut waiting = self.lock();
        let place = (host, report.run);
        let known_over = waiting.get(&place).is_some_and(|known| known.outcome.is_some());
        if (known_over && report.outcome.is_none()) || waiting.len() >= MAX_WAITING {
            return;
        }
        waiting.insert(place, report);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Commits what waits until told to stop.
    pub(crate) async fn run(&self, gateway: &Arc<Gateway>) {
        loop {
            tokio::select! {
                () = self.filled.notified() => {}
                () = gateway.stop.cancelled() => return,
            }
            while let Some(((host, _), report)) = self.next() {
                if let Err(error) = commit(gateway, host, &report).await {
                    tracing::debug!(node = %host, error, "a report of a run waits for the log");
                    self.put_back(host, report);
                    tokio::time::sleep(RETRY).await;
                }
                if gateway.stop.is_cancelled() {
                    return;
                }
            }
        }
    }

    fn next(&self) -> Option<((HostId, RunId), RunReport)> {
        self.lock().pop_first()
    }

    /// What came meanwhile is newer.
    fn put_back(&self, host: HostId, report: RunReport) {
        self.lock().entry((host, report.run)).or_insert(report);
    }
}

async fn commit(gateway: &Gateway, host: HostId, report: &RunReport) -> Result<(), String> {
    // Said again although it is recorded: nothing to write.
    let known = gateway.store.current();
    let over = known.runs.get(&report.run).is_none_or(|run| run.state.is_over());
    let begun = known.runs.get(&report.run).is_some_and(|run| run.began.is_some());
    if over || (begun && report.outcome.is_none()) {
        return Ok(());
    }
    let command = Command::RecordRun { host, report: Box::new(report.clone()) };
    let proposed = gateway.propose(Actor::system(), command).await;
    proposed.map_err(|error| error.to_string())?.map(|_| ()).map_err(|refusal| refusal.message)
}

/// Tells the cluster whether a host's agent does runs, until it is written.
pub(super) async fn announce(gateway: Arc<Gateway>, host: HostId, able: bool) {
    loop {
        let state = gateway.store.current();
        if !state.hosts.contains_key(&host) || state.runners.contains(&host) == able {
            return;
        }
        let command = Command::RecordRunner { host, able };
        match gateway.propose(Actor::system(), command).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(node = %host, %error, "a host's ability waits for the log"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
