//! Keeps the inventory of containers and the list of images true: connects, lists, follows events, and starts over when
//! the engine goes away.

use super::engine::{Changed, DockerError, Engine, Event, Limits};
use super::queue::InspectQueue;
use crate::config::DockerSocket;
use crate::inventory::Containers;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use omni_common::clock::Clock;
use omni_common::domain::{Container, DockerFacts, HostImage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An engine that is away for longer than this takes its containers with it; one that only restarts does not.
const FORGET_AFTER: Duration = Duration::from_secs(10);
/// How often a quiet engine is asked whether it still answers.
const PING: Duration = Duration::from_secs(30);
/// How often the list is compared with what events told: an engine under load drops events.
const RESYNC: Duration = Duration::from_secs(300);
/// Waits between attempts to reach an engine.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(2);
/// An engine that answered for this long counts as settled: its next failure begins with the first wait again.
const SETTLED: Duration = Duration::from_secs(10);
/// Events are asked for from a little before the listing, so that nothing falls between the two.
const OVERLAP_NANOS: i64 = 1_000_000_000;

/// Whether there is an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerStatus {
    /// The first attempt has not ended yet.
    Unknown,
    /// It answers.
    Up(DockerFacts),
    /// It does not, and why.
    Absent(String),
}

/// What others may know and use of the engine.
#[derive(Clone)]
pub struct Handle {
    socket: DockerSocket,
    containers: Arc<Containers>,
    images: watch::Receiver<Images>,
    status: watch::Receiver<DockerStatus>,
    engine: watch::Receiver<Option<Engine>>,
}

/// The host's images that have a name; absent until they were listed, and while there is no engine.
pub type Images = Option<Arc<Vec<HostImage>>>;

impl Handle {
    /// Where the engine is reached.
    pub fn socket(&self) -> &DockerSocket {
        &self.socket
    }

    /// The host's containers.
    pub fn containers(&self) -> &Arc<Containers> {
        &self.containers
    }

    /// The host's images, now and later.
    pub fn images(&self) -> watch::Receiver<Images> {
        self.images.clone()
    }

    /// Whether there is an engine, now and later.
    pub fn status(&self) -> watch::Receiver<DockerStatus> {
        self.status.clone()
    }

    /// The engine, if one answers now.
    pub fn engine(&self) -> Result<Engine, DockerError> {
        let engine = self.engine.borrow().clone();
        engine.ok_or_else(|| match &*self.status.borrow() {
            DockerStatus::Absent(reason) => super::engine::absent(&self.socket, reason),
            _ => super::engine::absent(&self.socket, "still connecting"),
        })
    }
}

/// The task that keeps the inventory true.
pub struct Watcher {
    socket: DockerSocket,
    clock: Arc<dyn Clock>,
    containers: Arc<Containers>,
    images: watch::Sender<Images>,
    status: watch::Sender<DockerStatus>,
    engine: watch::Sender<Option<Engine>>,
    /// The engine's clock at the newest event.
    newest_nanos: Option<i64>,
    pub(super) limits: Limits,
    pub(super) forget_after: Duration,
}

impl Watcher {
    /// A watcher of the engine at `socket`, and what others hold of it.
    pub fn new(socket: DockerSocket, clock: Arc<dyn Clock>) -> (Handle, Self) {
        let containers = Arc::new(Containers::new());
        let (status, status_seen) = watch::channel(DockerStatus::Unknown);
        let (engine, engine_seen) = watch::channel(None);
        let (images, images_seen) = watch::channel(None);
        let handle = Handle {
            socket: socket.clone(),
            containers: containers.clone(),
            images: images_seen,
            status: status_seen,
            engine: engine_seen,
        };
        let watcher = Self {
            socket,
            clock,
            containers,
            images,
            status,
            engine,
            newest_nanos: None,
            limits: Limits::default(),
            forget_after: FORGET_AFTER,
        };
        (handle, watcher)
    }

    /// Watches until `stop`.
    pub async fn run(&mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&mut self) {
        let waits = || {
            ExponentialBuilder::default()
                .with_min_delay(FIRST_WAIT)
                .with_max_delay(MAX_WAIT)
                .without_max_times()
                .with_jitter()
                .build()
        };
        let mut wait = waits();
        let mut away_since = Instant::now();
        loop {
            let connected = self.connect().await;
            let error = match connected {
                Ok(engine) => {
                    let since = Instant::now();
                    let error = self.follow(&engine).await;
                    away_since = Instant::now();
                    if since.elapsed() >= SETTLED {
                        wait = waits();
                    }
                    error
                }
                Err(error) => error,
            };
            self.lost(&error);
            if away_since.elapsed() >= self.forget_after || !self.socket.path().exists() {
                self.containers.forget();
                self.images.send_replace(None);
            }
            tokio::time::sleep(wait.next().unwrap_or(MAX_WAIT)).await;
        }
    }

    async fn connect(&mut self) -> Result<Engine, DockerError> {
        let engine = Engine::connect(&self.socket, self.limits).await?;
        let facts = engine.facts().await?;
        tracing::info!(version = facts.version, socket = %self.socket, "docker engine found");
        self.engine.send_replace(Some(engine.clone()));
        self.status.send_replace(DockerStatus::Up(facts));
        Ok(engine)
    }

    /// Says once that the engine is away, however often it is looked for in vain.
    fn lost(&mut self, error: &DockerError) {
        self.engine.send_replace(None);
        self.containers.doubt();
        let reason = match error {
            DockerError::Absent { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        let said = matches!(&*self.status.borrow(), DockerStatus::Absent(_));
        if !said {
            tracing::warn!(socket = %self.socket, %error, "docker engine away, reporting the host without it");
        }
        self.status.send_if_modified(|status| {
            let absent = DockerStatus::Absent(reason);
            let changed = *status != absent;
            *status = absent;
            changed
        });
    }

    /// Follows one engine until it fails; returns how.
    async fn follow(&mut self, engine: &Engine) -> DockerError {
        let now_nanos = self.clock.now().as_millis().saturating_mul(1_000_000);
        let since = self.newest_nanos.unwrap_or(now_nanos) - OVERLAP_NANOS;
        let mut events = engine.events(since).boxed();
        let mut round = Round::new(engine, &self.containers, &self.images);
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        let mut resync = tokio::time::interval_at(Instant::now() + RESYNC, RESYNC);
        round.list();
        round.list_images();
        loop {
            round.start_inspections();
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        self.newest_nanos = self.newest_nanos.max(Some(event.nanos));
                        round.event(&event);
                    }
                    Some(Err(error)) => return error,
                    None => return super::engine::absent(&self.socket, "it closed the event stream"),
                },
                Some(done) = round.work.next() => if let Err(error) = round.done(done) {
                    return error;
                },
                _ = ping.tick() => round.ping(),
                _ = resync.tick() => {
                    round.list();
                    round.list_images();
                }
            }
        }
    }
}

/// What one call to the engine came back with.
enum Done {
    Listed(Result<Vec<Container>, DockerError>),
    Inspected(String, Box<Result<Container, DockerError>>),
    Pinged(Result<(), DockerError>),
    Images(Result<Vec<HostImage>, DockerError>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Idle,
    /// The list has been asked for.
    Asked,
    /// It has arrived and what it shows is being inspected.
    Inspecting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImagesAsked {
    No,
    /// The list has been asked for.
    Yes,
    /// It has, and they have changed since.
    YesAndStale,
}

/// The calls under way with one engine.
struct Round<'a> {
    engine: &'a Engine,
    containers: &'a Containers,
    images: &'a watch::Sender<Images>,
    /// How the newest listing of images is doing.
    images_asked: ImagesAsked,
    queue: InspectQueue,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    /// How far the newest listing is.
    listing: Listing,
    /// What the newest listing and the events since it was asked for show to be there.
    seen: BTreeSet<String>,
    /// What the listing says of containers that have not been inspected yet.
    summaries: BTreeMap<String, Container>,
    /// Nothing of what an earlier round knew can be relied on until it has been inspected again.
    first: bool,
}

impl<'a> Round<'a> {
    fn new(engine: &'a Engine, containers: &'a Containers, images: &'a watch::Sender<Images>) -> Self {
        Self {
            engine,
            containers,
            images,
            images_asked: ImagesAsked::No,
            queue: InspectQueue::default(),
            work: FuturesUnordered::new(),
            listing: Listing::Idle,
            seen: BTreeSet::new(),
            summaries: BTreeMap::new(),
            first: true,
        }
    }

    fn list(&mut self) {
        if self.listing != Listing::Idle {
            return;
        }
        self.listing = Listing::Asked;
        self.seen.clear();
        let engine = self.engine.clone();
        self.work.push(async move { Done::Listed(engine.list().await) }.boxed());
    }

    /// One listing at a time: changes that come while it is made are looked at together after it.
    fn list_images(&mut self) {
        if self.images_asked != ImagesAsked::No {
            self.images_asked = ImagesAsked::YesAndStale;
            return;
        }
        self.images_asked = ImagesAsked::Yes;
        let engine = self.engine.clone();
        self.work.push(async move { Done::Images(engine.images().await) }.boxed());
    }

    fn images_listed(&mut self, answer: Result<Vec<HostImage>, DockerError>) -> Result<(), DockerError> {
        match answer {
            Ok(images) => {
                self.images.send_if_modified(|known| {
                    let changed = known.as_deref() != Some(&images);
                    *known = Some(Arc::new(images));
                    changed
                });
            }
            Err(error @ DockerError::Absent { .. }) => return Err(error),
            // Containers matter more than images: a listing that fails does not end the round.
            Err(error) => tracing::warn!(%error, "images cannot be listed"),
        }
        if std::mem::replace(&mut self.images_asked, ImagesAsked::No) == ImagesAsked::YesAndStale {
            self.list_images();
        }
        Ok(())
    }

    fn ping(&self) {
        let engine = self.engine.clone();
        self.work.push(async move { Done::Pinged(engine.ping().await) }.boxed());
    }

    fn start_inspections(&mut self) {
        while let Some(id) = self.queue.start() {
            let engine = self.engine.clone();
            let inspect = async move {
                let container = engine.inspect(&id).await;
                Done::Inspected(id, Box::new(container))
            };
            self.work.push(inspect.boxed());
        }
    }

    fn event(&mut self, event: &Event) {
        match &event.what {
            Changed::Gone(id) => self.gone(id),
            Changed::Container(id) => {
                // The list may have been made before this container was.
                if self.listing != Listing::Idle {
                    self.seen.insert(id.clone());
                }
                self.queue.add(id);
            }
            Changed::Images => self.list_images(),
        }
    }

    fn gone(&mut self, id: &str) {
        self.queue.forget(id);
        self.summaries.remove(id);
        self.seen.remove(id);
        self.containers.remove(id);
    }

    /// Takes in an answer. An error ends the round: the engine as a whole does not answer.
    fn done(&mut self, done: Done) -> Result<(), DockerError> {
        match done {
            Done::Pinged(answer) => answer?,
            Done::Images(answer) => self.images_listed(answer)?,
            Done::Listed(answer) => self.listed(answer?),
            Done::Inspected(id, answer) => self.inspected(&id, *answer)?,
        }
        if self.listing == Listing::Inspecting && self.queue.is_idle() {
            self.settle();
        }
        Ok(())
    }

    /// Looks at what the list shows to be other than what is known: everything, the first time.
    fn listed(&mut self, list: Vec<Container>) {
        self.listing = Listing::Inspecting;
        for summary in list {
            self.seen.insert(summary.id.clone());
            let known = self.containers.get(&summary.id);
            let same = known.is_some_and(|known| {
                (known.state, known.health, &known.name) == (summary.state, summary.health, &summary.name)
            });
            if self.first || !same {
                self.queue.add(&summary.id);
                self.summaries.insert(summary.id.clone(), summary);
            }
        }
    }

    fn inspected(&mut self, id: &str, answer: Result<Container, DockerError>) -> Result<(), DockerError> {
        self.queue.done(id);
        let summary = self.summaries.remove(id);
        match answer {
            Ok(container) => self.containers.upsert(container),
            Err(DockerError::NotFound(_)) => self.gone(id),
            Err(error @ DockerError::Absent { .. }) => return Err(error),
            // One container that hangs or cannot be read must not hide the others, nor itself.
            Err(error) => {
                tracing::warn!(container = id, %error, "container cannot be inspected");
                if let Some(summary) = summary.filter(|summary| self.containers.get(&summary.id).is_none()) {
                    self.containers.upsert(summary);
                }
            }
        }
        Ok(())
    }

    /// Everything listed has been looked at: what is known beyond the list is gone.
    fn settle(&mut self) {
        self.containers.settle(&self.seen);
        tracing::debug!(containers = self.containers.len(), "containers listed");
        self.listing = Listing::Idle;
        self.first = false;
        self.seen.clear();
        self.summaries.clear();
    }
}
