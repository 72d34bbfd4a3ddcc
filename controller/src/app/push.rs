//! Images from a workstation, to one host or several at once.
//!
//! Nothing is kept here: each piece goes to all hosts before the next one is taken, so the slowest of them sets the pace.
//! A host that fails is left behind, and the others go on.

use super::agent::{AGENT_DEADLINE, lost, next, silent, unexpected};
use super::hosts::find_host;
use super::ports::AgentStream;
use super::selectors::{LabelSelector, texts};
use super::{App, AppError, Call};
use crate::state::{Host, HostStatus, State};
use bytes::Bytes;
use futures_util::future::join_all;
use omni_common::api::v1::{MAX_PUSH_HOSTS, PushQuery, ReadQuery};
use omni_common::wire::{AgentRequest, ImageInput, ImageReply, ReplyFrame, RequestInput};
use std::time::Duration;
use tokio::time::timeout;

/// A host that takes nothing, or says nothing, for this long is left behind. One whose engine is at work says so every few
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest name in the audit trail.
const AUDIT_TEXT: usize = 200;

/// An image on its way to hosts.
pub struct ImagePush {
    targets: Vec<Target>,
}

struct Target {
    host: String,
    /// Absent once it is over, and then there is an outcome.
    stream: Option<AgentStream>,
    outcome: Option<Result<Vec<String>, AppError>>,
}

/// What became of an image at one host.
#[derive(Debug)]
pub struct Pushed {
    /// The host's name.
    pub host: String,
    /// The images that its engine loaded.
    pub loaded: Result<Vec<String>, AppError>,
}

impl App {
    /// Opens the way to the hosts that are meant, after noting it in the audit trail.
    pub async fn push_image(&self, call: &Call, query: &PushQuery) -> Result<ImagePush, AppError> {
        let state = self.read(ReadQuery::default()).await?;
        let hosts = meant(&state, query)?;
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let what = query.name.as_ref().map(|name| name.chars().take(AUDIT_TEXT).collect());
        self.note(call, "image.push", names.join(","), what).await?;
        let targets = join_all(hosts.into_iter().map(|host| self.begin_push(host))).await;
        Ok(ImagePush { targets })
    }

    async fn begin_push(&self, host: &Host) -> Target {
        let opening = async {
            let mut stream = self.open(host, AgentRequest::LoadImage).await?;
            match next(&host.name, &mut stream).await? {
                Some(ReplyFrame::Started) => Ok(stream),
                _ => Err(unexpected(&host.name)),
            }
        };
        let opened = timeout(AGENT_DEADLINE, opening).await.unwrap_or_else(|_| Err(silent(&host.name)));
        let (stream, outcome) = match opened {
            Ok(stream) => (Some(stream), None),
            Err(error) => (None, Some(Err(error))),
        };
        Target { host: host.name.clone(), stream, outcome }
    }
}

/// The hosts that are meant: named, by label, or all.
fn meant<'a>(state: &'a State, query: &PushQuery) -> Result<Vec<&'a Host>, AppError> {
    let (named, labelled) = (texts(query.host.as_ref()), texts(query.label.as_ref()));
    let ways = [named.is_some(), labelled.is_some(), query.all];
    if ways.iter().filter(|given| **given).count() != 1 {
        let detail = "say where it is to go: `host`, `label`, or `all`, and one of them only";
        return Err(AppError::invalid("host", detail));
    }
    let up = |host: &&Host| host.status == HostStatus::Up;
    let labels = LabelSelector::parse(query.label.as_ref())?;
    let hosts: Vec<&Host> = match named {
        Some(names) => {
            let mut hosts = Vec::new();
            for name in names {
                let host = find_host(state, name)?;
                if !hosts.iter().any(|known: &&Host| known.id == host.id) {
                    hosts.push(host);
                }
            }
            hosts
        }
        None => {
            let all = state.hosts.values().map(|host| &**host);
            all.filter(up).filter(|host| labels.matches(&host.labels)).collect()
        }
    };
    match hosts.len() {
        0 => Err(AppError::not_found("host", "that is up and is meant")),
        1..=MAX_PUSH_HOSTS => Ok(hosts),
        many => {
            let detail = format!(
                "{many} hosts are more than the {MAX_PUSH_HOSTS} of one push; name some, and the others get the image from these when they need it"
            );
            Err(AppError::invalid("host", detail))
        }
    }
}

impl ImagePush {
    /// The hosts that it goes to.
    pub fn hosts(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.host.clone()).collect()
    }

    /// Sends the next piece to all that are left; false when none is.
    pub async fn send(&mut self, piece: Bytes) -> bool {
        self.tell(RequestInput::Image(ImageInput::Chunk(piece))).await
    }

    /// That was all of it.
    pub async fn finish(&mut self) -> bool {
        self.tell(RequestInput::Eof).await
    }

    async fn tell(&mut self, input: RequestInput) -> bool {
        join_all(self.targets.iter_mut().map(|target| target.tell(input.clone()))).await;
        self.targets.iter().any(|target| target.stream.is_some())
    }

    /// What became of it, host by host; a host that has not loaded it by then is waited for.
    pub async fn outcome(&mut self) -> Option<Pushed> {
        if self.targets.is_empty() {
            return None;
        }
        let mut target = self.targets.remove(0);
        target.settle().await;
        let loaded = target.outcome.unwrap_or_else(|| Err(unexpected(&target.host)));
        Some(Pushed { host: target.host, loaded })
    }
}

impl Target {
    async fn tell(&mut self, input: RequestInput) {
        let Some(stream) = &mut self.stream else { return };
        let sent = timeout(PATIENCE, stream.input.send(input)).await;
        if !matches!(sent, Ok(Ok(()))) {
            // Its own word says more than that it no longer listens.
            let said = self.last_word().await;
            self.stream = None;
            self.outcome = Some(said);
        }
    }

    async fn settle(&mut self) {
        if self.stream.is_some() && self.outcome.is_none() {
            self.outcome = Some(self.last_word().await);
            self.stream = None;
        }
    }

    /// What the host says at the end.
    async fn last_word(&mut self) -> Result<Vec<String>, AppError> {
        let Some(stream) = &mut self.stream else { return Err(unexpected(&self.host)) };
        loop {
            let frame = timeout(PATIENCE, next(&self.host, stream)).await;
            match frame.unwrap_or_else(|_| Err(silent(&self.host)))? {
                Some(ReplyFrame::Image(ImageReply::Waiting)) => {}
                Some(ReplyFrame::Image(ImageReply::Loaded { images })) => return Ok(images),
                None => {
                    let source = super::ports::MeshError::Lost("it ended without a word".to_owned());
                    return Err(lost(&self.host, source));
                }
                Some(_) => return Err(unexpected(&self.host)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::testing::{Bench, host};

    #[test]
    fn where_it_goes_is_said_in_one_way() {
        let bench = Bench::new();
        let mut labelled = host(1, "web-1");
        labelled.labels.insert("tier".to_owned(), "web".to_owned());
        bench.add_host(labelled);
        bench.add_host(host(2, "web-2"));
        let mut down = host(3, "web-3");
        down.status = HostStatus::Down;
        bench.add_host(down);
        let state = bench.app.store.current();
        let check = |query: PushQuery, expected: Result<&[&str], &str>| {
            let found = meant(&state, &query);
            let names = found.map(|hosts| hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>());
            match (names, expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected, "{query:?}"),
                (Err(error), Err(expected)) => {
                    assert!(format!("{error:?}").contains(expected), "{query:?}: {error:?}");
                }
                (found, expected) => panic!("{query:?}: {found:?}, not {expected:?}"),
            }
        };
        let to = |list: &str| list.parse().ok();
        let named = |list: &str| PushQuery { host: to(list), ..PushQuery::default() };
        check(named("web-2,web-1,web-2"), Ok(&["web-2", "web-1"]));
        check(named("web-9"), Err("web-9"));
        check(named("web-3"), Ok(&["web-3"]));
        check(PushQuery { label: to("tier=web"), ..PushQuery::default() }, Ok(&["web-1"]));
        check(PushQuery { label: to("tier=db"), ..PushQuery::default() }, Err("that is up"));
        check(PushQuery { all: true, ..PushQuery::default() }, Ok(&["web-1", "web-2"]));
        check(PushQuery::default(), Err("say where it is to go"));
        check(PushQuery { all: true, ..named("web-1") }, Err("say where it is to go"));
        for number in 10..10 + MAX_PUSH_HOSTS as u128 {
            bench.add_host(host(number, &format!("more-{number}")));
        }
        let state = bench.app.store.current();
        let many = meant(&state, &PushQuery { all: true, ..PushQuery::default() }).expect_err("too many");
        assert!(format!("{many:?}").contains("34 hosts are more than the 32"), "{many:?}");
    }
}
