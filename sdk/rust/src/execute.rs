//! Carries a call out: address after address, round after round, until an answer or the deadline.
//!
//! A round tries each address once. When all of them were out of reach there is no use in waiting; when one
//! was merely not ready (no leader yet, shutting down) the next round follows after a pause.

use crate::address::Address;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Attempt, Error, Result};
use crate::reconnect::pauses;
use bytes::{Bytes, BytesMut};
use omni_common::api::v1::{PROBLEM_JSON, Problem};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Largest answer taken, bytes: a page of 500 containers with many labels is below one MiB.
const MAX_ANSWER: usize = 64 << 20;
/// What is said of a controller that was reached and has not answered.
const SILENCE: &str = "no answer in time";
/// Least time one address gets when others wait behind it.
const LEAST_SLICE: Duration = Duration::from_secs(2);

/// A body that arrived whole, and who sent it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) address: Address,
    pub(crate) body: Bytes,
}

/// Codes under 502 and 504 that another try, or another controller, may get past. `outcome_unknown` is a write
/// whose fate the same idempotency key finds out; the `http_…` codes stand for answers of something in between.
const PASSING: [&str; 5] = ["outcome_unknown", "gateway_unreachable", "host_lost", "http_502", "http_504"];

/// How one address took the call.
enum Taken {
    /// Done.
    Answer(Answer),
    /// Not done, and asking again will not help.
    Final(Error),
    /// Not now: worth another round.
    Busy { why: String, problem: Problem, after: Option<Duration> },
    /// Reached, but it has not answered in its time, and repeating is harmless.
    Silent,
    /// Out of reach, or lost on the way while repeating is harmless.
    Out { why: String },
}

impl Client {
    /// Sends `call` until it is answered, refused, or the client's timeout has passed.
    pub(crate) async fn execute(&self, call: &Call) -> Result<Answer> {
        let endpoints = self.endpoints();
        if endpoints.list().is_empty() {
            return Err(Error::NoAddress);
        }
        let limit = self.timeout().max(call.takes);
        let deadline = Instant::now() + limit;
        let mut pauses = pauses();
        let mut known = None;
        loop {
            let mut round = Round::default();
            let order = endpoints.order().await;
            for (tried, &position) in order.iter().enumerate() {
                let address = &endpoints.list()[position];
                let slice = slice(deadline, order.len() - tried).max(call.takes);
                match self.attempt(call, address, slice).await {
                    Taken::Answer(answer) => {
                        endpoints.answered(position);
                        return Ok(answer);
                    }
                    Taken::Final(error) => {
                        endpoints.answered(position);
                        return Err(error);
                    }
                    missed => round.note(address, missed),
                }
            }
            let pause = round.pause(pauses.next());
            match pause.filter(|pause| Instant::now() + *pause < deadline) {
                Some(pause) => sleep(pause).await,
                None => return Err(round.give_up(limit, known)),
            }
            known = round.busy.map(|(problem, _)| problem).or(known);
        }
    }

    async fn attempt(&self, call: &Call, address: &Address, slice: Duration) -> Taken {
        let request = self.request(call, address).timeout(slice);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return lost(call, address, &error),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match read(response).await {
            Err(why) if call.repeatable() => Taken::Out { why },
            Err(why) => Taken::Final(Error::Lost { address: address.clone(), why }),
            Ok(body) if status.is_success() => Taken::Answer(Answer { address: address.clone(), body }),
            Ok(body) => refusal(call, status, &headers, &body),
        }
    }

    fn request(&self, call: &Call, address: &Address) -> reqwest::RequestBuilder {
        let mut request =
            self.http().request(call.method.clone(), call.url(address)).header(ACCEPT, "application/json");
        if !self.token().is_empty() {
            request = request.bearer_auth(self.token());
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key.to_string());
        }
        if let Some(revision) = call.revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        request
    }
}

/// What was missed in one round.
#[derive(Default)]
struct Round {
    tried: Vec<Attempt>,
    busy: Option<(Problem, Option<Duration>)>,
    silent: bool,
}

impl Round {
    fn note(&mut self, address: &Address, missed: Taken) {
        let why = match missed {
            Taken::Busy { why, problem, after } => {
                self.busy = Some((problem, after));
                why
            }
            Taken::Silent => {
                self.silent = true;
                SILENCE.to_owned()
            }
            Taken::Out { why } => why,
            Taken::Answer(_) | Taken::Final(_) => return,
        };
        self.tried.push(Attempt { address: address.clone(), why });
    }

    /// How long to wait before the next round, unless the controllers ask for another time; absent when another
    /// round is of no use.
    fn pause(&self, ours: Option<Duration>) -> Option<Duration> {
        match &self.busy {
            Some((_, asked)) => asked.or(ours),
            None => ours.filter(|_| self.silent),
        }
    }

    /// What to report. A problem says more than silence, also one that was told the round before; and silence
    /// more than that nobody was there.
    fn give_up(self, after: Duration, known: Option<Problem>) -> Error {
        match self.busy.map(|(problem, _)| problem).or(known.filter(|_| self.silent)) {
            Some(problem) => problem.into(),
            None if self.silent => Error::TimedOut { after, tried: self.tried },
            None => Error::NoControllerReachable { tried: self.tried },
        }
    }
}

/// Half of what is left while others wait behind, but no less than is useful. The first has answered last time
/// and is the likeliest to do so again: without a leader it takes a controller some seconds to say so, and an
/// equal share of a short deadline would hang up on it just before.
fn slice(deadline: Instant, addresses_left: usize) -> Duration {
    let left = deadline.saturating_duration_since(Instant::now());
    let share = if addresses_left > 1 { left / 2 } else { left };
    share.max(LEAST_SLICE).min(left)
}

/// No answer: was the request sent, and does it matter?
fn lost(call: &Call, address: &Address, error: &reqwest::Error) -> Taken {
    let why = explain(error);
    if error.is_timeout() && !error.is_connect() && call.repeatable() {
        return Taken::Silent;
    }
    if error.is_connect() || call.repeatable() {
        return Taken::Out { why };
    }
    Taken::Final(Error::Lost { address: address.clone(), why })
}

/// An answer that is no success.
fn refusal(call: &Call, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Taken {
    let problem = problem(status, headers.get(CONTENT_TYPE), body);
    if call.repeatable() && worth_another_try(status, &problem) {
        return Taken::Busy {
            why: problem.detail.clone().unwrap_or_else(|| problem.title.clone()),
            after: retry_after(headers),
            problem,
        };
    }
    Taken::Final(problem.into())
}

/// Whether the controller, the cluster or the way to it is merely not ready. A host that cannot be asked is
/// an answer: it may stay so for long.
fn worth_another_try(status: StatusCode, problem: &Problem) -> bool {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => PASSING.contains(&problem.code.as_str()),
        _ => false,
    }
}

/// The problem document, or one made from whatever came instead.
pub(crate) fn problem(status: StatusCode, kind: Option<&HeaderValue>, body: &[u8]) -> Problem {
    let declared =
        kind.and_then(|value| value.to_str().ok()).is_some_and(|kind| kind.starts_with(PROBLEM_JSON));
    if declared && let Ok(problem) = serde_json::from_slice(body) {
        return problem;
    }
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("unknown status").to_owned(),
        status: status.as_u16(),
        detail: Some(
            format!("the answer was `{status}` without an explanation {}", text.trim()).trim().to_owned(),
        ),
        instance: None,
        code: format!("http_{}", status.as_u16()),
        request_id: None,
        errors: Vec::new(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("the answer is larger than {} MiB", MAX_ANSWER >> 20));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The innermost cause says what happened; the layers above only say that something did.
pub(crate) fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout) {
        return SILENCE.to_owned();
    }
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
        return "it was cut off".to_owned();
    }
    let text = cause.to_string();
    // What the TLS library puts before an error of our own says nothing, and neither does the number that the
    // operating system puts behind its text.
    let text = text.trim_start_matches("other error: ");
    text.split(" (os error").next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(code: &str) -> Problem {
        Problem { code: code.to_owned(), ..problem(StatusCode::BAD_GATEWAY, None, b"") }
    }

    #[test]
    fn what_passes_is_tried_again_and_an_answer_is_not() {
        let busy = |status, code| worth_another_try(status, &coded(code));
        assert!(busy(StatusCode::SERVICE_UNAVAILABLE, "no_leader"));
        assert!(busy(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"));
        assert!(busy(StatusCode::BAD_GATEWAY, "gateway_unreachable"));
        assert!(!busy(StatusCode::BAD_GATEWAY, "host_not_connected"));
        assert!(!busy(StatusCode::GATEWAY_TIMEOUT, "host_silent"));
        assert!(!busy(StatusCode::CONFLICT, "name_taken"));
        assert!(!busy(StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    }

    #[test]
    fn an_answer_without_a_document_still_becomes_a_problem() {
        let made = problem(StatusCode::BAD_GATEWAY, None, b"<html>upstream</html>");
        assert_eq!((made.status, made.code.as_str()), (502, "http_502"));
        assert!(made.detail.is_some_and(|detail| detail.contains("upstream")));
    }

    #[test]
    fn causes_are_told_in_plain_words() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(explain(&refused), "Connection refused");
        assert_eq!(explain(&io::Error::from(io::ErrorKind::UnexpectedEof)), "it was cut off");
    }
}
