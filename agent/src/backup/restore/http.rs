//! Whether a service that was started from restored data answers over HTTP.
//!
//! Its container has no network, and gets none for this: the connection is made inside it, to its own loopback. So nothing
//! else can reach it, no port of the host is taken, and it cannot tell the world that it is back.

use super::drill::Scratch;
use super::probe::{PAUSE, Shown, failed};
use super::{One, Wanted};
use crate::backup::context::Context;
use crate::backup::failure::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::{Phase, Take};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// A service has this long to answer as it should: it comes up first.
const READY: Duration = Duration::from_secs(300);
/// One attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Most of an answer that is looked at.
const MAX_ANSWER: usize = 1 << 20;

/// What is asked, and what has to be answered.
pub(super) struct Wish<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) port: u16,
    pub(super) path: &'a str,
    /// Absent for anything from 200 to 399.
    pub(super) status: Option<u16>,
    pub(super) text: Option<&'a str>,
}

/// Starts the service where it does not run yet, and asks until it answers as it should.
pub(super) async fn probe(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &mut Scratch<'_>,
    wish: &Wish<'_>,
    needs: &[String],
) -> Result<Shown, Failure> {
    let service = wish.service;
    let told = scratch.place.service(service)?;
    let mut needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    needs.extend(told.depends_on.keys().map(ServiceName::as_str));
    if !needs.is_empty() {
        needs.sort_unstable();
        needs.dedup();
        let needs = needs.join(", ");
        return Ok(Shown::Not(format!("{service} needs {needs}, and a drill starts it alone")));
    }
    let of_host = |one: &&One<'_>| {
        let take = &one.told.item.take;
        matches!(take, Take::HostPath { .. }) && scratch.place.writers(take).contains(service)
    };
    if let Some(one) = wanted.items.iter().find(of_host) {
        let name = &one.told.item.name;
        return Ok(Shown::Not(format!(
            "{service} was not asked over HTTP: {name} is a path of the host, and a drill puts only volumes into containers"
        )));
    }
    context.errand.reporter.enter(Phase::Verifying, None);
    let lone = scratch.server(context, service).await?;
    let deadline = Instant::now() + READY;
    loop {
        context.check()?;
        lone.lives(context).await?;
        let asked = tokio::time::timeout(ATTEMPT, ask(context, &lone.id, wish)).await;
        let why = match asked.map(|asked| asked.map(|answer| wish.judge(&answer))) {
            Ok(Ok(Verdict::Good)) => return Ok(Shown::Holds),
            Ok(Ok(Verdict::Locked(status))) => {
                return Ok(Shown::Not(format!(
                    "{service} answers {} with {status}: it wants a credential, which a drill does not have",
                    wish.path
                )));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Shown::Not(format!(
                    "{service} was started and not asked: this agent may not enter the network of a container"
                )));
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                lone.lives(context).await?;
                return Ok(Shown::Not(format!(
                    "{service} was started and not asked: this agent does not see its process; in a container it takes `pid: host`"
                )));
            }
            Ok(Ok(Verdict::Bad(why))) => why,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", ATTEMPT.as_secs()),
        };
        if Instant::now() > deadline {
            return Err(failed(format!(
                "{service} does not answer {} on port {} as it should after {} s: {why}",
                wish.path,
                wish.port,
                READY.as_secs()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Status and beginning of an answer.
struct Answer {
    status: u16,
    text: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, and says no more to whoever does not sign in.
    Locked(u16),
    Bad(String),
}

impl Wish<'_> {
    fn judge(&self, answer: &Answer) -> Verdict {
        let Answer { status, text } = answer;
        let good = match self.status {
            Some(wanted) => *status == wanted,
            None => (200..400).contains(status),
        };
        if !good && self.status.is_none() && matches!(status, 401 | 403) {
            return Verdict::Locked(*status);
        }
        let holds = |wanted: &str| text.windows(wanted.len().max(1)).any(|part| part == wanted.as_bytes());
        match self.text {
            _ if !good => Verdict::Bad(format!("the answer is {status}")),
            Some(wanted) if !wanted.is_empty() && !holds(wanted) => {
                Verdict::Bad(format!("`{wanted}` is not in the answer {status}"))
            }
            _ => Verdict::Good,
        }
    }
}

async fn ask(context: &Context<'_>, container: &str, wish: &Wish<'_>) -> io::Result<Answer> {
    let stream = context.shared.docker.connect(container, wish.port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(wish.path)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        // One that is longer than is looked at is taken for what came of it until then.
        let mut body = Limited::new(response.into_body(), MAX_ANSWER);
        let mut text = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                text.extend_from_slice(&data);
            }
        }
        Ok(Answer { status, text })
    };
    // The connection has to be driven; it may be over before the last of the answer has been taken out of it.
    let driven = async {
        connection.await.ok();
        std::future::pending().await
    };
    tokio::select! {
        answer = exchange => answer,
        never = driven => never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_was_asked_for() {
        let service = ServiceName::new("web").expect("a name");
        let judge = |status: Option<u16>, text: Option<&str>, answer: u16| {
            let wish = Wish { service: &service, port: 80, path: "/", status, text };
            wish.judge(&Answer { status: answer, text: b"all is well".to_vec() })
        };
        let bad = |why: &str| Verdict::Bad(why.to_owned());
        assert_eq!(judge(None, None, 204), Verdict::Good);
        assert_eq!(judge(None, None, 302), Verdict::Good);
        assert_eq!(judge(None, None, 503), bad("the answer is 503"));
        assert_eq!(judge(Some(503), None, 503), Verdict::Good);
        assert_eq!(judge(Some(200), None, 204), bad("the answer is 204"));
        assert_eq!(judge(None, Some("is well"), 200), Verdict::Good);
        assert_eq!(judge(None, Some(""), 200), Verdict::Good);
        assert_eq!(judge(None, Some("green"), 200), bad("`green` is not in the answer 200"));
        assert_eq!(judge(None, None, 401), Verdict::Locked(401));
        // Whoever says what has to come has thought of it.
        assert_eq!(judge(Some(200), None, 401), bad("the answer is 401"));
        assert_eq!(judge(Some(401), None, 401), Verdict::Good);
    }
}
