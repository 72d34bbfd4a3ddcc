//! The machine, read from a thread of its own.
//!
//! Collectors and the history ring block: a mount whose server is away, a slow disk or a wedged driver may hold
//! them for long. Heartbeats must not wait for that, so they run apart; whoever asks waits for a bounded time.

use crate::collectors::{ContainerRef, HostCollector, Roots};
use crate::history::{Chunks, History};
use omni_common::clock::{Clock, Time};
use omni_common::domain::{Absence, DockerFacts, HostFacts, HostSample, Process};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Whoever asks waits this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions waiting for the thread; more than one of each kind means that it hangs.
const WAITING: usize = 8;

/// The thread did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is held up by a driver, a disk or a mount.
    #[error("this host's collectors have not answered for {} s", PATIENCE.as_secs())]
    Busy,
    /// It is gone.
    #[error("this host's collectors have stopped")]
    Stopped,
    /// It answered that it cannot.
    #[error("{0}")]
    Failed(String),
}

enum Question {
    Facts(Result<DockerFacts, String>, oneshot::Sender<HostFacts>),
    Sample(Vec<ContainerRef>, oneshot::Sender<HostSample>),
    Processes(oneshot::Sender<Result<Vec<Process>, String>>),
    History(Time, Time, usize, oneshot::Sender<Result<Chunks, String>>),
}

/// A handle on the thread. The thread ends with its last handle.
#[derive(Clone)]
pub struct Host {
    questions: mpsc::Sender<Question>,
}

impl Host {
    /// Starts the thread. `history` is the folder of the ring; without one nothing is recorded.
    pub fn start(roots: Roots, history: Option<PathBuf>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let (questions, asked) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("collectors".to_owned())
            .spawn(move || Thread::new(roots, history, clock).run(asked))?;
        Ok(Self { questions })
    }

    /// What the host is. Facts are never missing: when the thread does not answer, they say that.
    pub async fn facts(&self, docker: Result<DockerFacts, String>) -> HostFacts {
        self.ask(|answer| Question::Facts(docker, answer)).await.unwrap_or_else(|error| HostFacts {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            absent: vec![Absence { source: "host".to_owned(), reason: error.to_string() }],
            ..HostFacts::default()
        })
    }

    /// One reading, with these running containers.
    pub async fn sample(&self, containers: Vec<ContainerRef>) -> Result<HostSample, HostError> {
        self.ask(|answer| Question::Sample(containers, answer)).await
    }

    /// The process table.
    pub async fn processes(&self) -> Result<Vec<Process>, HostError> {
        self.ask(Question::Processes).await?.map_err(HostError::Failed)
    }

    /// Recorded samples, at most `max` of them, to be read a chunk at a time on a blocking thread.
    pub async fn history(&self, from: Time, to: Time, max: usize) -> Result<Chunks, HostError> {
        self.ask(|answer| Question::History(from, to, max, answer)).await?.map_err(HostError::Failed)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, HostError> {
        let (answer, answered) = oneshot::channel();
        match self.questions.try_send(question(answer)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(HostError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(HostError::Stopped),
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(HostError::Stopped),
            Err(_) => Err(HostError::Busy),
        }
    }
}

/// What the thread owns.
struct Thread {
    collector: HostCollector,
    history: Option<History>,
    clock: Arc<dyn Clock>,
}

impl Thread {
    fn new(roots: Roots, history: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let history = history.and_then(|dir| match History::open(&dir) {
            Ok(history) => Some(history),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "history cannot be opened, nothing is recorded");
                None
            }
        });
        Self { collector: HostCollector::new(roots), history, clock }
    }

    fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        while let Some(question) = asked.blocking_recv() {
            self.answer(question);
        }
    }

    /// Answers that nobody waits for any more are dropped.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Facts(docker, answer) => drop(answer.send(self.collector.facts(docker))),
            Question::Sample(containers, answer) if !answer.is_closed() => {
                drop(answer.send(self.sample(&containers)));
            }
            Question::Sample(..) => {}
            Question::Processes(answer) => {
                let processes = self.collector.processes().map_err(|error| error.to_string());
                drop(answer.send(processes));
            }
            Question::History(from, to, max, answer) => drop(answer.send(self.query(from, to, max))),
        }
    }

    fn sample(&mut self, containers: &[ContainerRef]) -> HostSample {
        let sample = self.collector.sample(self.clock.now(), Instant::now(), containers);
        if let Some(history) = &mut self.history {
            // It thins to its own pace, and says itself what it cannot keep.
            history.append(&sample);
        }
        sample
    }

    fn query(&mut self, from: Time, to: Time, max: usize) -> Result<Chunks, String> {
        let Some(history) = &mut self.history else {
            return Err("this host records no history".to_owned());
        };
        history.chunks(from, to, max).map_err(|error| error.to_string())
    }
}
