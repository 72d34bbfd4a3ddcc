//! Logs and exec: the engine's byte streams, read only as fast as they are consumed.
//!
//! Each is a connection of its own. While nobody asks for the next chunk nothing is read from the socket, so
//! the engine is held up by its kernel buffer and the agent holds at most one read buffer.

use super::engine::{DockerError, absent, refused, seconds};
use crate::config::DockerSocket;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use omni_common::clock::Time;
use omni_common::wire::LogsRequest;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::UnixStream;

/// The engine has this long to begin its answer.
const BEGIN: Duration = Duration::from_secs(10);
/// Most bytes read from a stream before they are consumed.
const READ_BUFFER: usize = 64 << 10;
/// Longest error message read.
const MAX_ERROR: usize = 16 << 10;

/// Drives the HTTP connection; nothing moves unless it is polled.
type Exchange = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;
/// A program's terminal or its multiplexed outputs, and its input.
pub type ExecIo = TokioIo<Upgraded>;

/// A container's log as it comes.
pub struct LogStream {
    body: Incoming,
    /// Absent once the engine has sent everything.
    exchange: Option<Exchange>,
}

impl LogStream {
    /// Asks for a container's log with timestamps. The reference must have been checked.
    pub async fn open(socket: &DockerSocket, request: &LogsRequest) -> Result<Self, DockerError> {
        let mut call = Call::new(socket, "logs").await?;
        let response = call.ask(Method::GET, &logs_path(request), None).await?;
        Ok(Self { body: response.into_body(), exchange: Some(call.exchange) })
    }

    /// The next bytes; absent at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, DockerError>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DockerError>>> {
        loop {
            if let Poll::Ready(chunk) = self.poll_body(cx) {
                return Poll::Ready(chunk);
            }
            // Polling the body has asked for more, and driving the exchange fetches it: what has already come
            // over the socket is had at once, without a turn of the runtime for each of the engine's chunks.
            match self.exchange.as_mut().map(|exchange| exchange.as_mut().poll(cx)) {
                Some(Poll::Ready(_)) => self.exchange = None,
                Some(Poll::Pending) | None => return self.poll_body(cx),
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, DockerError>>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(unreadable("logs", error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Starts a program that was prepared with `create_exec` and takes over its outputs and input.
pub async fn start_exec(
    socket: &DockerSocket,
    exec: &str,
    tty: bool,
    size: Option<(u16, u16)>,
) -> Result<ExecIo, DockerError> {
    let mut body = serde_json::json!({ "Detach": false, "Tty": tty });
    if let Some((cols, rows)) = size.filter(|_| tty) {
        body["ConsoleSize"] = serde_json::json!([rows, cols]);
    }
    let mut call = Call::new(socket, "start exec").await?;
    let path = format!("/exec/{exec}/start");
    let mut response = call.ask(Method::POST, &path, Some(body.to_string())).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(unreadable("start exec", "the engine did not hand over the connection"));
    }
    let upgrade = hyper::upgrade::on(&mut response);
    let upgraded = call.drive(upgrade).await?;
    Ok(TokioIo::new(upgraded))
}

/// One HTTP exchange on a connection of its own.
struct Call<'a> {
    socket: &'a DockerSocket,
    what: &'static str,
    sender: http1::SendRequest<Full<Bytes>>,
    exchange: Exchange,
}

impl<'a> Call<'a> {
    async fn new(socket: &'a DockerSocket, what: &'static str) -> Result<Self, DockerError> {
        let stream = UnixStream::connect(socket.path()).await.map_err(|error| absent(socket, error))?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| absent(socket, error))?;
        Ok(Self { socket, what, sender, exchange: Box::pin(connection.with_upgrades()) })
    }

    /// Sends the request and waits for the head of a successful answer.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Response<Incoming>, DockerError> {
        let request = request(method, path, body).map_err(|error| unreadable(self.what, error))?;
        let answer = self.sender.send_request(request);
        let response = within(self.what, self.drive(answer)).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let message = Limited::new(response.into_body(), MAX_ERROR).collect();
        let message = within(self.what, async { Ok(self.drive_any(message).await) }).await?;
        let text = message.map(|body| body.to_bytes()).unwrap_or_default();
        Err(refused(status.as_u16(), words(&text)))
    }

    /// Waits for `answer` while keeping the exchange going.
    async fn drive<T>(&mut self, answer: impl Future<Output = hyper::Result<T>>) -> Result<T, DockerError> {
        let socket = self.socket;
        self.drive_any(answer).await.map_err(|error| absent(socket, error))
    }

    async fn drive_any<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        let mut over = false;
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if !over {
                over = self.exchange.as_mut().poll(cx).is_ready();
                if over {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Pending
        })
        .await
    }
}

async fn within<T>(
    call: &'static str,
    future: impl Future<Output = Result<T, DockerError>>,
) -> Result<T, DockerError> {
    tokio::time::timeout(BEGIN, future).await.unwrap_or(Err(DockerError::TimedOut { call, limit: BEGIN }))
}

fn request(
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut builder = Request::builder().method(method).uri(path).header(HOST, "docker");
    if body.is_some() {
        builder = builder
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp");
    }
    builder.body(Full::from(body.unwrap_or_default()))
}

fn logs_path(request: &LogsRequest) -> String {
    let nanos = |at: Time| seconds(at.as_millis().saturating_mul(1_000_000));
    let mut path = format!(
        "/containers/{}/logs?stdout=1&stderr=1&timestamps=1&follow={}",
        request.container,
        u8::from(request.follow)
    );
    if let Some(since) = request.since {
        path += &format!("&since={}", nanos(since));
    }
    if let Some(until) = request.until {
        path += &format!("&until={}", nanos(until));
    }
    if let Some(tail) = request.tail {
        path += &format!("&tail={tail}");
    }
    path
}

/// The engine's message, which it wraps in JSON.
fn words(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

fn unreadable(call: &'static str, reason: impl ToString) -> DockerError {
    DockerError::Unreadable { call, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logs_request_becomes_a_query() {
        let mut request = LogsRequest {
            container: "web".into(),
            follow: true,
            since: Some(Time::from_millis(1_790_000_000_123)),
            until: None,
            tail: Some(10),
            grep: None,
        };
        assert_eq!(
            logs_path(&request),
            "/containers/web/logs?stdout=1&stderr=1&timestamps=1&follow=1&since=1790000000.123000000&tail=10"
        );
        request.until = Some(Time::from_secs(5));
        assert!(logs_path(&request).contains("&until=5.000000000"));
    }

    #[test]
    fn the_engine_is_quoted_without_its_json() {
        assert_eq!(words(br#"{"message":"No such container: x"}"#), "No such container: x");
        assert_eq!(words(b"plain\n"), "plain");
    }
}
