//! The agent's side of the session with a gateway.
//!
//! ```text
//! keep ── the certificate has ended: be taken back (returning.rs)
//!  │
//!  ├─ a round: dial controllers (dial.rs), hello and welcome (handshake.rs)
//!  │        │ one session:
//!  │        ├─ control.rs    heartbeats, leases (keeper.rs), renewals (renewal.rs), is the gateway alive (acks.rs, probe.rs),
//!  │        │                has it a leader (leaderless.rs)
//!  │        ├─ telemetry.rs  facts, containers, images, samples (outbox.rs)
//!  │        ├─ contents.rs   specifications and files that allocations need, into workloads/
//!  │        ├─ runs.rs       orders of runs, into runs/
//!  │        └─ requests.rs   logs, exec, history, processes, images
//!  └─ the session ended (end.rs): move at once, wait when a whole round found nobody (peers.rs), or stop when the
//!     host was removed (removal.rs)
//! ```
//!
//! Pure: `acks`, `end`, `leaderless`, `lease`, `pace`, `peers`, `removal`. The rest is thin.

mod acks;
mod alone;
mod book;
mod contents;
mod control;
mod course;
mod dial;
mod end;
mod handshake;
mod keeper;
mod leaderless;
mod lease;
mod monotonic;
mod outbox;
mod pace;
mod peers;
mod probe;
mod removal;
mod renewal;
mod requests;
mod returning;
mod runs;
mod sampler;
mod telemetry;
#[cfg(test)]
mod tests;

pub use book::Book;
pub(crate) use contents::{Answer, Unanswered, ask};
pub use end::{End, Next};
pub use keeper::LeaseKeeper;
pub use lease::{LeaseClock, LeaseState};
pub use monotonic::Monotonic;
pub use outbox::{MAX_SAMPLES, Outbox};
pub use pace::Pace;
pub use renewal::{Credentials, Proof, RenewError};
pub use requests::MAX_REQUESTS;

use crate::machine::Machine;
use crate::runs::Runs;
use crate::workloads::Workloads;
use control::{Begun, Control};
use course::{Course, Round};
use dial::{Dialer, Dialled};
use handshake::{Established, greet};
use leaderless::Search;
use omni_common::clock::Clock;
use omni_common::ids::{BootId, ControllerId, SessionId};
use omni_common::wire::{CloseCode, ControllerAddress, ControllerList};
use omni_transport::{ConnectError, Connection, Network};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where the agent stands, for tests and whoever watches over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The gateway of the moment and the session with it.
    pub session: Option<(ControllerId, SessionId)>,
    /// Sessions begun since the start.
    pub sessions: u64,
}

/// This host was removed from the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this host was removed from its cluster ({reason}). To bring it back, run `omni-agent join` with a new token"
)]
pub struct Removed {
    /// In the controller's words.
    pub reason: String,
}

/// What an agent is made of.
pub struct Parts {
    /// How controllers are reached.
    pub network: Arc<dyn Network>,
    /// The host it speaks for.
    pub machine: Arc<dyn Machine>,
    /// Whoever runs allocations on it.
    pub workloads: Arc<dyn Workloads>,
    /// What the cluster wants done about backups, and who does it.
    pub runs: Arc<Runs>,
    /// Where the controllers are.
    pub book: Arc<Book>,
    /// Its certificate, when that is to be renewed.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// The clock of leases.
    pub monotonic: Monotonic,
    /// Region of the host.
    pub region: Option<String>,
    /// This start of the process.
    pub boot: BootId,
    /// Samples kept while nobody takes them.
    pub max_samples: usize,
    /// Watch for a closed port of the gateway, which tells of a killed process at once. Costs a socket and two
    /// datagrams a second.
    pub probe_ports: bool,
    /// Where random choices begin.
    pub seed: u64,
}

/// A running agent: what its sessions share and what outlives them.
pub struct Agent {
    network: Arc<dyn Network>,
    machine: Arc<dyn Machine>,
    workloads: Arc<dyn Workloads>,
    runs: Arc<Runs>,
    book: Arc<Book>,
    credentials: Option<Arc<dyn Credentials>>,
    clock: Arc<dyn Clock>,
    region: Option<String>,
    probe_ports: bool,
    boot: BootId,
    lease: LeaseKeeper,
    monotonic: Monotonic,
    outbox: Outbox,
    pace: watch::Sender<Pace>,
    status: watch::Sender<Status>,
    rng: Mutex<SmallRng>,
    /// Requests under way and small errands; waited for when the agent stops.
    background: TaskTracker,
    request_slots: Arc<Semaphore>,
    refusal_slots: Arc<Semaphore>,
}

/// Errands and requests that have not ended this long after the agent was told to stop are abandoned.
const LAST_ERRANDS: Duration = Duration::from_secs(3);
/// After the end of the lease, exclusive work is gone after this long: the least margin that controllers allow for.
const FENCE: Duration = Duration::from_secs(2);

impl Agent {
    /// Puts an agent together; nothing happens before [`Agent::run`].
    pub fn new(parts: Parts) -> Self {
        Self {
            network: parts.network,
            machine: parts.machine,
            workloads: parts.workloads,
            runs: parts.runs,
            book: parts.book,
            credentials: parts.credentials,
            clock: parts.clock,
            region: parts.region,
            probe_ports: parts.probe_ports,
            boot: parts.boot,
            lease: LeaseKeeper::new(parts.monotonic),
            monotonic: parts.monotonic,
            outbox: Outbox::new(parts.max_samples),
            pace: watch::Sender::default(),
            status: watch::Sender::default(),
            rng: Mutex::new(SmallRng::seed_from_u64(parts.seed)),
            background: TaskTracker::new(),
            request_slots: Arc::new(Semaphore::new(MAX_REQUESTS)),
            refusal_slots: Arc::new(Semaphore::new(requests::MAX_REFUSALS)),
        }
    }

    /// Where it stands, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Its lease, now and later.
    pub fn lease(&self) -> watch::Receiver<LeaseState> {
        self.lease.state()
    }

    /// Samples dropped since the start because no gateway took them.
    pub fn dropped_samples(&self) -> u64 {
        self.outbox.dropped()
    }

    /// Samples, keeps a session and watches the lease until `stop`, or until the cluster sends the host away.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Removed> {
        let workloads = self.workloads.run(self.lease.state(), self.monotonic);
        tokio::pin!(workloads);
        let ended = tokio::select! {
            ended = self.keep_and_do_runs(&stop) => ended,
            () = sampler::run(self) => Ok(()),
            () = self.lease.run() => Ok(()),
            () = &mut workloads => Ok(()),
        };
        if ended.is_err() {
            // Whoever is sent away gets no lease any more. Its exclusive work may be given to others when the last one is
            // over, and must have stopped by then.
            tokio::select! {
                () = self.fenced() => {}
                () = self.lease.run() => {}
                () = &mut workloads => {}
                () = stop.cancelled() => {}
            }
        }
        self.background.close();
        tokio::time::timeout(LAST_ERRANDS, self.background.wait()).await.ok();
        ended
    }

    /// Keeps a session, and does runs as long as one is wanted. What is under way at the end gets the time to undo what it
    /// has changed.
    async fn keep_and_do_runs(&self, stop: &CancellationToken) -> Result<(), Removed> {
        let no_more = stop.child_token();
        let keep = async {
            let ended = self.keep(stop).await;
            no_more.cancel();
            ended
        };
        let runs = async {
            let too_long = async {
                no_more.cancelled().await;
                tokio::time::sleep(LAST_ERRANDS).await;
            };
            tokio::select! {
                () = self.runs.run(no_more.clone()) => {}
                () = too_long => {}
            }
        };
        tokio::join!(keep, runs).0
    }

    /// Waits until the lease is over and what needed it has had the time to stop.
    async fn fenced(&self) {
        let mut state = self.lease.state();
        if matches!(*state.borrow(), LeaseState::Valid { .. }) {
            // The sender is ours, so the channel cannot close.
            state.wait_for(|state| !matches!(state, LeaseState::Valid { .. })).await.ok();
            tokio::time::sleep(FENCE).await;
        }
    }

    /// Keeps a session with one of the controllers.
    async fn keep(&self, stop: &CancellationToken) -> Result<(), Removed> {
        let mut course = Course::default();
        loop {
            let round = match self.ended_certificate() {
                Some(own) => self.come_back(own, &mut course, stop).await,
                None => self.round(&mut course, stop).await,
            };
            let now = Instant::now();
            if course.removal.is_certain(self.book.list().controllers.len(), now) {
                return Err(Removed { reason: course.last_words });
            }
            let wait = match round {
                Round::Stopped => return Ok(()),
                Round::Yielded => course.yields.wait(now),
                Round::Lost => continue,
                Round::Vain => peers::delay(course.rounds_in_vain - 1, &mut self.rng()),
            };
            tracing::debug!(wait_ms = wait.as_millis() as u64, "waiting before the next round");
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Tries each controller once, until one of them makes for a session that lasts.
    async fn round(&self, course: &mut Course, stop: &CancellationToken) -> Round {
        let controllers = self.book.list().controllers;
        let order = peers::order(&controllers, self.region.as_deref(), course.left, &mut self.rng());
        let mut dialer = Dialer::new(self.network.clone(), order);
        while let Some(dialled) = stop.run_until_cancelled(dialer.next()).await {
            let Some(Dialled { controller, outcome }) = dialled else {
                course.rounds_in_vain += 1;
                return Round::Vain;
            };
            let (end, lasted) = match outcome {
                Ok(connection) => self.attempt(connection, course, stop).await,
                Err(ConnectError::Handshake { closed, .. }) => (End::from(closed), None),
                Err(error) => {
                    unreachable(&controller, &error, course.rounds_in_vain);
                    continue;
                }
            };
            if let Some(round) = course.ended(&controller, &end, lasted) {
                return round;
            }
        }
        Round::Stopped
    }

    /// Says hello and lives through the session; returns how it ended, and how long it lasted if it began.
    async fn attempt(
        &self,
        connection: Connection,
        course: &mut Course,
        stop: &CancellationToken,
    ) -> (End, Option<Duration>) {
        match greet(self, connection).await {
            Ok(established) => {
                course.removal.welcomed();
                let (begun, acknowledged) = (Instant::now(), self.lease.acknowledged());
                let end = self.session(established, course.search, stop).await;
                let lasted = begun.elapsed();
                course.search.ended(&end, self.lease.acknowledged() > acknowledged, lasted);
                (end, Some(lasted))
            }
            Err(end) => (end, None),
        }
    }

    /// Lives through one session; returns how it ended.
    async fn session(&self, established: Established, search: Search, stop: &CancellationToken) -> End {
        let Established { connection, welcome, .. } = &established;
        let connection = connection.clone();
        self.welcomed(welcome);
        let (runs, images) = (established.runs(), established.carries_images());
        let (has_runs, standing) = (established.has_runs(), established.has_standing());
        let _uplink = self.workloads.uplink().attach(connection.clone(), established.carries());
        let over = CancellationToken::new();
        let _over_when_dropped = over.clone().drop_guard();
        let control = Control::new(self, &connection, Begun::from(established), search);
        let end = tokio::select! {
            end = control.run(stop) => end,
            closed = connection.closed() => End::from(closed),
            error = telemetry::run(self, &connection, images, has_runs) => handshake::explain(&connection, &error).await,
            never = self.fetch(runs, &connection) => match never {},
            never = self.fetch_orders(has_runs, &connection) => match never {},
            never = self.stand_by(standing, &connection) => match never {},
            error = requests::run(self, &connection, &over) => handshake::explain(&connection, &error).await,
        };
        // Whatever the reason, the gateway must not wait for the idle time to learn of it.
        connection.close(CloseCode::Done, "the session is over");
        self.status.send_modify(|status| status.session = None);
        end
    }

    /// Fetches contents from a gateway that has them.
    async fn fetch(&self, runs: bool, connection: &Connection) -> std::convert::Infallible {
        match runs {
            true => contents::run(self.workloads.depot(), connection).await,
            false => std::future::pending().await,
        }
    }

    /// Fetches orders of runs from a gateway that has them.
    async fn fetch_orders(&self, has_runs: bool, connection: &Connection) -> std::convert::Infallible {
        match has_runs && self.runs.able() {
            true => runs::run(&self.runs, connection).await,
            false => std::future::pending().await,
        }
    }

    /// Hands in what this host did by itself, and keeps its orders for the next time.
    async fn stand_by(&self, standing: bool, connection: &Connection) -> std::convert::Infallible {
        match standing && self.runs.able() {
            true => alone::run(&self.runs, connection).await,
            false => std::future::pending().await,
        }
    }

    fn welcomed(&self, welcome: &omni_common::wire::Welcome) {
        tracing::info!(controller = %welcome.controller, session = %welcome.session, version = welcome.version, "session begun");
        self.learn(welcome.controllers.clone());
        self.pace.send_modify(|pace| pace.set_usual(welcome.sample_ms));
        self.status.send_modify(|status| {
            status.session = Some((welcome.controller, welcome.session));
            status.sessions += 1;
        });
    }

    /// Takes up a newer list of controllers.
    fn learn(&self, list: ControllerList) {
        if self.book.update(list) {
            let book = self.book.clone();
            self.background.spawn(async move { book.save().await });
        }
    }

    fn rng(&self) -> std::sync::MutexGuard<'_, SmallRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says it in the first round; while everybody stays away, saying it each few seconds helps nobody.
fn unreachable(controller: &ControllerAddress, error: &ConnectError, in_vain: u32) {
    let (id, address, error) = (controller.id, &controller.quic, error as &dyn std::error::Error);
    if in_vain == 0 {
        tracing::warn!(controller = %id, address, error, "controller not reached");
    } else {
        tracing::debug!(controller = %id, address, error, "controller not reached");
    }
}
