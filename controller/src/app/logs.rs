//! Logs of several containers, across hosts.

use super::agent::{AGENT_DEADLINE, lost, next, silent, unexpected};
use super::containers::{ContainerFilter, Seen, named_hosts, pick};
use super::logs_merge::Merge;
use super::ports::{AgentStream, Mesh};
use super::selectors::{LabelSelector, texts};
use super::{App, AppError};
use crate::state::{Reach, State};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use omni_common::api::v1::{LogEntry, LogSource, LogsQuery, MAX_LOG_SOURCES};
use omni_common::domain::{Container, LABEL_COMPONENT};
use omni_common::wire::{AgentRequest, LogLine, LogsRequest, ReplyFrame};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout};

/// Longest regular expression.
const MAX_GREP: usize = 1000;

/// What happens next to someone who reads logs.
#[derive(Debug)]
pub enum LogStep {
    /// Lines, oldest first.
    Lines(Vec<LogEntry>),
    /// One container has no more to say, and why, when it did not simply end.
    Ended(u32, Option<AppError>),
    /// All have ended.
    End,
}

/// Logs being read. Holds little: what is not taken waits at the agents.
pub struct LogTail {
    sources: Vec<LogSource>,
    request: LogsQuery,
    mesh: Arc<dyn Mesh>,
    merge: Merge,
    /// Containers that nobody reads from at the moment.
    parked: Vec<Option<Feed>>,
    running: FuturesUnordered<BoxFuture<'static, (usize, Feed, FeedStep)>>,
    ended: Vec<(u32, Option<AppError>)>,
}

enum Feed {
    /// Not asked for yet.
    Fresh,
    Open(AgentStream),
    Done,
}

enum FeedStep {
    Lines(Vec<LogLine>),
    Ended(Option<AppError>),
}

impl App {
    /// Finds the containers that `query` means and begins to read.
    pub fn tail_logs(&self, state: &State, query: LogsQuery, within: Reach<'_>) -> Result<LogTail, AppError> {
        if query.grep.as_ref().is_some_and(|grep| grep.len() > MAX_GREP) {
            return Err(AppError::invalid("grep", format!("use at most {MAX_GREP} bytes")));
        }
        let sources = self.log_sources(state, &query, within)?;
        Ok(LogTail {
            merge: Merge::new(sources.len(), query.follow),
            parked: sources.iter().map(|_| Some(Feed::Fresh)).collect(),
            sources,
            request: query,
            mesh: Arc::clone(&self.mesh),
            running: FuturesUnordered::new(),
            ended: Vec::new(),
        })
    }

    fn log_sources(
        &self,
        state: &State,
        query: &LogsQuery,
        within: Reach<'_>,
    ) -> Result<Vec<LogSource>, AppError> {
        let named = texts(query.container.as_ref());
        let narrowed = [&query.host, &query.label, &query.component]
            .into_iter()
            .any(|list| texts(list.as_ref()).is_some());
        if named.is_none() && !narrowed {
            let detail = "name containers, or narrow them down by host, label or component";
            return Err(AppError::invalid("container", detail));
        }
        let filter = ContainerFilter::of(
            named_hosts(state, texts(query.host.as_ref()))?,
            LabelSelector::parse(query.label.as_ref())?,
            texts(query.component.as_ref()),
        )
        .within(within);
        let meant = |seen: &Seen<'_>| {
            named.as_ref().is_none_or(|names| names.iter().any(|name| may_mean(seen.container(), name)))
        };
        let all: Vec<Seen<'_>> = self.containers(state, &filter, None).filter(meant).collect();
        let sources = match named {
            Some(names) => named_sources(&all, &names)?,
            None => all.iter().map(source).collect(),
        };
        check_number(sources)
    }
}

/// Whether a container is worth a closer look for `NAME` or `HOST/NAME`: keeps the rest of a large cluster
/// out of memory.
fn may_mean(container: &Container, name: &str) -> bool {
    let name = name.split_once('/').map_or(name, |(_, name)| name);
    container.name == name || container.id.starts_with(name)
}

fn check_number(sources: Vec<LogSource>) -> Result<Vec<LogSource>, AppError> {
    match sources.len() {
        0 => Err(AppError::not_found("container", "that passes these filters")),
        1..=MAX_LOG_SOURCES => Ok(sources),
        many => {
            let detail = format!(
                "{many} containers are more than the {MAX_LOG_SOURCES} of one call; narrow them down"
            );
            Err(AppError::invalid("container", detail))
        }
    }
}

/// The containers that `names` mean, each once; every name must mean at least one.
fn named_sources(all: &[Seen<'_>], names: &[&str]) -> Result<Vec<LogSource>, AppError> {
    let mut chosen: Vec<LogSource> = Vec::new();
    for name in names {
        let mut found = matching(all, name);
        if found.is_empty() {
            return Err(AppError::not_found("container", *name));
        }
        found
            .retain(|new| !chosen.iter().any(|old| (old.host, &old.container) == (new.host, &new.container)));
        chosen.extend(found);
    }
    Ok(chosen)
}

/// The containers that go by `NAME` or `HOST/NAME`, at most one on each host.
fn matching(all: &[Seen<'_>], name: &str) -> Vec<LogSource> {
    let (host, name) = match name.split_once('/') {
        Some((host, name)) => (Some(host), name),
        None => (None, name),
    };
    let on_host =
        |seen: &&Seen<'_>| host.is_none_or(|host| seen.host.name == host || seen.host.id.to_string() == host);
    let candidates: Vec<&Seen<'_>> = all.iter().filter(on_host).collect();
    candidates
        .chunk_by(|a, b| a.host.id == b.host.id)
        .filter_map(|of_host| {
            let picked = pick(of_host.iter().map(|seen| seen.container()), name)?;
            of_host.iter().find(|seen| seen.id == picked.id).map(|seen| source(seen))
        })
        .collect()
}

fn source(seen: &Seen<'_>) -> LogSource {
    let container = seen.container();
    LogSource {
        host: seen.host.id,
        host_name: seen.host.name.clone(),
        container: container.id.clone(),
        container_name: container.name.clone(),
        component: container.labels.get(LABEL_COMPONENT).cloned(),
    }
}

impl LogTail {
    /// What is read.
    pub fn sources(&self) -> &[LogSource] {
        &self.sources
    }

    /// What happens next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> LogStep {
        loop {
            let lines = self.merge.pop(Instant::now());
            if !lines.is_empty() {
                return LogStep::Lines(
                    lines.into_iter().map(|(source, line)| self.entry(source, line)).collect(),
                );
            }
            // Its last lines go before the word that it has ended.
            let told = |(source, _): &(u32, _)| self.merge.is_drained(*source as usize);
            if let Some(position) = self.ended.iter().position(told) {
                let (source, why) = self.ended.swap_remove(position);
                return LogStep::Ended(source, why);
            }
            self.resume();
            if self.running.is_empty() && self.ended.is_empty() {
                return LogStep::End;
            }
            let due = self.merge.due();
            let hold = async { sleep_until(due.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                Some((source, feed, step)) = self.running.next() => self.took(source, feed, step),
                () = hold, if due.is_some() => {}
            }
        }
    }

    /// Reads on from every container that there is room for.
    fn resume(&mut self) {
        for (position, slot) in self.parked.iter_mut().enumerate() {
            let open = matches!(slot, Some(Feed::Fresh | Feed::Open(_)));
            if !open || !self.merge.wants(position) {
                continue;
            }
            let feed = slot.take().expect("looked at above");
            let (mesh, source) = (Arc::clone(&self.mesh), self.sources[position].clone());
            let request = request(&source, &self.request);
            self.running.push(Box::pin(async move {
                let (feed, step) = read(feed, &*mesh, &source, request).await;
                (position, feed, step)
            }));
        }
    }

    fn took(&mut self, source: usize, feed: Feed, step: FeedStep) {
        match step {
            FeedStep::Lines(lines) => {
                self.merge.push(source, lines, Instant::now());
                self.parked[source] = Some(feed);
            }
            FeedStep::Ended(why) => {
                self.merge.close(source);
                self.parked[source] = Some(Feed::Done);
                let source = u32::try_from(source).expect("few containers");
                self.ended.push((source, why));
            }
        }
    }

    fn entry(&self, position: usize, line: LogLine) -> LogEntry {
        let source = &self.sources[position];
        let at = (line.at_nanos != 0).then(|| jiff::Timestamp::from_nanosecond(line.at_nanos.into()).ok());
        LogEntry {
            source: u32::try_from(position).expect("few containers"),
            host: source.host_name.clone(),
            container: source.container_name.clone(),
            at: at.flatten(),
            stream: line.stream,
            line: text(line.line),
        }
    }
}

/// Bytes as text; valid UTF-8 is not copied.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn request(source: &LogSource, query: &LogsQuery) -> AgentRequest {
    AgentRequest::Logs(LogsRequest {
        container: source.container.clone(),
        follow: query.follow,
        since: query.since,
        until: query.until,
        tail: query.tail,
        grep: query.grep.clone(),
    })
}

/// The next lines of one container; opens its stream first when that has not been done.
async fn read(feed: Feed, mesh: &dyn Mesh, source: &LogSource, request: AgentRequest) -> (Feed, FeedStep) {
    let mut stream = match feed {
        Feed::Open(stream) => stream,
        Feed::Done => return (Feed::Done, FeedStep::Ended(None)),
        Feed::Fresh => match open(mesh, source, request).await {
            Ok(stream) => stream,
            Err(error) => return (Feed::Done, FeedStep::Ended(Some(error))),
        },
    };
    loop {
        match next(&source.host_name, &mut stream).await {
            Ok(Some(ReplyFrame::Started)) => {}
            Ok(Some(ReplyFrame::Log(lines))) => return (Feed::Open(stream), FeedStep::Lines(lines)),
            Ok(Some(ReplyFrame::End) | None) => return (Feed::Done, FeedStep::Ended(None)),
            Ok(Some(_)) => return (Feed::Done, FeedStep::Ended(Some(unexpected(&source.host_name)))),
            Err(error) => return (Feed::Done, FeedStep::Ended(Some(error))),
        }
    }
}

/// Opens a log and waits until the agent says that it has begun.
async fn open(mesh: &dyn Mesh, source: &LogSource, request: AgentRequest) -> Result<AgentStream, AppError> {
    let host = source.host_name.as_str();
    let opened = timeout(AGENT_DEADLINE, async {
        let mut stream = mesh.open(source.host, request).await.map_err(|error| lost(host, error))?;
        match next(host, &mut stream).await? {
            Some(ReplyFrame::Started) => Ok(stream),
            _ => Err(unexpected(host)),
        }
    });
    opened.await.unwrap_or_else(|_| Err(silent(host)))
}
