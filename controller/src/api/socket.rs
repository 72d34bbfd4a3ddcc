//! What all WebSockets share: authentication, pings, an end for those who no longer may or no longer read.
//!
//! A socket has no queue of its own. Whoever serves it produces when there is room: the sender waits for the
//! reader, and the source waits for the sender. A reader that takes nothing for [`STALL`] is closed.

use super::Api;
use super::error::ApiError;
use super::guard::{Caller, Owes, remote_of};
use super::shell::RequestId;
use crate::app::{App, Call, Principal};
use crate::state::Reach;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use omni_common::api::v1::{Problem, SocketAuth, socket_close};
use omni_common::ids;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A caller without a header says who it is within this time.
const AUTH_DEADLINE: Duration = Duration::from_secs(5);
/// A reader that takes nothing for this long is gone or broken.
const STALL: Duration = Duration::from_secs(20);
/// Whether the caller still may is looked at this often: a revoked token is cut off within a second.
const RECHECK: Duration = Duration::from_millis(500);
/// Pings keep routers from forgetting the connection.
const PING: Duration = Duration::from_secs(30);
/// A peer that has not even answered pings for this long is gone.
const SILENCE: Duration = Duration::from_secs(95);
/// A close message that cannot be sent in this time is not sent.
const CLOSING: Duration = Duration::from_secs(1);
/// Largest message from a client: a block of terminal input.
const MAX_MESSAGE: usize = 1 << 20;
/// Longest reason in a close frame, by the protocol.
const MAX_REASON: usize = 123;

/// Why a socket ends.
#[derive(Debug)]
pub(crate) enum End {
    /// All is said.
    Done,
    /// The client closed it, or the connection broke.
    Gone,
    /// The client reads too slowly.
    Slow,
    /// The controller stops.
    Stopping,
    /// Something failed; the client is told.
    Failed(ApiError),
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<crate::app::AppError> for End {
    fn from(error: crate::app::AppError) -> Self {
        Self::Failed(error.into())
    }
}

impl End {
    fn close_code(&self) -> u16 {
        match self {
            Self::Done | Self::Gone => socket_close::DONE,
            Self::Slow => socket_close::SLOW_READER,
            Self::Stopping => socket_close::RESTARTING,
            Self::Failed(error) => match error.status().as_u16() {
                401 | 429 => socket_close::UNAUTHENTICATED,
                403 => socket_close::FORBIDDEN,
                404 => socket_close::NOT_FOUND,
                413 => socket_close::TOO_LARGE,
                400..=499 => socket_close::BAD_MESSAGE,
                _ => socket_close::INTERNAL,
            },
        }
    }

    fn reason(&self) -> String {
        let text = match self {
            Self::Done | Self::Gone => String::new(),
            Self::Slow => "reads too slowly".to_owned(),
            Self::Stopping => "this controller is shutting down".to_owned(),
            Self::Failed(error) => {
                error.problem(None, None).detail.unwrap_or_else(|| error.code().to_owned())
            }
        };
        let cut = (0..=MAX_REASON.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text[..cut].to_owned()
    }
}

/// A WebSocket that is about to be opened.
pub(crate) struct Upgrade {
    upgrade: WebSocketUpgrade,
    permit: OwnedSemaphorePermit,
    session: Session,
    caller: Result<Principal, Owes>,
}

/// What is known of a socket's client.
#[derive(Clone)]
struct Session {
    api: Arc<Api>,
    from: Option<IpAddr>,
    what: String,
    path: String,
    request_id: Option<String>,
}

impl FromRequestParts<Arc<Api>> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = match (parts.extensions.get::<Caller>(), parts.extensions.get::<Owes>()) {
            (Some(caller), _) => Ok(caller.principal.clone()),
            (None, Some(owes)) => Err(owes.clone()),
            (None, None) => return Err(ApiError::Bug("a socket without a caller")),
        };
        let permit = Arc::clone(&api.sockets).try_acquire_owned().map_err(|_| ApiError::Overloaded)?;
        let template = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let session = Session {
            api: Arc::clone(api),
            from: remote_of(parts),
            what: format!("{} {template}", parts.method),
            path: parts.uri.path().to_owned(),
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
        };
        let upgrade = WebSocketUpgrade::from_request_parts(parts, api).await;
        let upgrade = upgrade.map_err(|_| ApiError::Upgrade)?;
        Ok(Self { upgrade, permit, session, caller })
    }
}

impl Upgrade {
    /// Opens the socket, authenticates, and hands it to `serve`; what that returns is told to the client.
    pub(crate) fn serve<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = (Socket, End)> + Send + 'static,
    {
        let Self { upgrade, permit, session, caller } = self;
        let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
        upgrade.on_upgrade(async move |socket| {
            let (sink, stream) = socket.split();
            let mut rx = SocketRx { stream };
            let caller = match caller {
                Ok(principal) => Ok(principal),
                Err(owes) => introduce(&session, &owes, &mut rx).await,
            };
            match caller {
                Ok(principal) => {
                    let tx = SocketTx::new(sink, session.clone(), principal);
                    let (mut socket, end) = Box::pin(serve(Socket { tx, rx })).await;
                    note(&session, &end);
                    close(&mut socket.tx.sink, &end).await;
                }
                Err(end) => close(&mut { sink }, &end).await,
            }
            drop(permit);
        })
    }
}

/// Waits for the first message of a client that sent no header.
async fn introduce(session: &Session, owes: &Owes, rx: &mut SocketRx) -> Result<Principal, End> {
    let first = match timeout(AUTH_DEADLINE, rx.next()).await {
        Ok(Ok(Incoming::Text(text))) => serde_json::from_str::<SocketAuth>(&text).ok(),
        Ok(Ok(Incoming::Binary(_))) | Err(_) => None,
        Ok(Err(end)) => return Err(end),
    };
    let token = first.map(|SocketAuth::Auth { token }| token);
    let api = &session.api;
    Ok(api.admit(token.as_deref(), owes, session.from, &session.what, &session.path)?)
}

fn note(session: &Session, end: &End) {
    let request_id = session.request_id.as_deref().unwrap_or_default();
    match end {
        End::Slow => {
            tracing::info!(request_id, path = session.path, "socket closed: the client reads too slowly")
        }
        End::Failed(error) => tracing::debug!(request_id, path = session.path, %error, "socket failed"),
        _ => {}
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, end: &End) {
    if matches!(end, End::Gone) {
        return;
    }
    let frame = CloseFrame { code: end.close_code(), reason: end.reason().into() };
    let sending = async {
        // The peer may be gone already; then nobody is left to tell.
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            sink.close().await.ok();
        }
    };
    timeout(CLOSING, sending).await.ok();
}

/// An open, authenticated socket.
pub(crate) struct Socket {
    /// Towards the client.
    pub(crate) tx: SocketTx,
    /// From the client.
    pub(crate) rx: SocketRx,
}

/// What a client sends.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Incoming {
    /// A text message as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self {
            Self::Text(text) => {
                serde_json::from_str(text).map_err(|error| ApiError::Message(error.to_string()))
            }
            Self::Binary(_) => Err(ApiError::Message("send text messages here".to_owned())),
        }
    }
}

/// The receiving half.
pub(crate) struct SocketRx {
    stream: SplitStream<WebSocket>,
}

impl SocketRx {
    /// The next message. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            match timeout(SILENCE, self.stream.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => return Ok(Incoming::Text(text)),
                Ok(Some(Ok(Message::Binary(bytes)))) => return Ok(Incoming::Binary(bytes)),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Close(_))) | None | Some(Err(_))) | Err(_) => return Err(End::Gone),
            }
        }
    }

    /// For sockets on which the client has nothing to say: waits until it goes.
    pub(crate) async fn drained(&mut self) -> End {
        loop {
            if let Err(end) = self.next().await {
                return end;
            }
        }
    }
}

/// The sending half.
pub(crate) struct SocketTx {
    sink: SplitSink<WebSocket, Message>,
    session: Session,
    principal: Principal,
    recheck: Interval,
    ping: Interval,
    stop: CancellationToken,
}

impl SocketTx {
    fn new(sink: SplitSink<WebSocket, Message>, session: Session, principal: Principal) -> Self {
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let stop = session.api.stop.clone();
        Self { sink, session, principal, recheck: every(RECHECK), ping: every(PING), stop }
    }

    /// The use cases.
    pub(crate) fn app(&self) -> Arc<App> {
        Arc::clone(&self.session.api.app)
    }

    /// Where the client's role holds.
    pub(crate) fn reach(&self) -> Reach<'_> {
        self.principal.reach()
    }

    /// The client as the one who asks for something.
    pub(crate) fn call(&self) -> Call {
        let from = self.session.from.map(|from| from.to_string());
        Call {
            actor: self.principal.actor(from),
            request: ids::RequestId::mint(),
            fingerprint: None,
            places: Arc::clone(&self.principal.places),
        }
    }

    /// An error as the client of this socket is told it.
    pub(crate) fn problem(&self, error: &ApiError) -> Problem {
        error.problem(Some(self.session.path.clone()), self.session.request_id.clone())
    }

    /// Sends a value as a text message.
    pub(crate) async fn json(&mut self, value: &impl Serialize) -> Result<(), End> {
        let text = serde_json::to_string(value).expect("API bodies are plain values");
        self.send(Message::Text(text.into())).await
    }

    /// Sends a message; waits while the client does not read, but not for ever.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), End> {
        let Self { sink, session, principal, recheck, stop, .. } = self;
        let sending = sink.send(message);
        let stalled = sleep(STALL);
        tokio::pin!(sending, stalled);
        loop {
            tokio::select! {
                biased;
                sent = &mut sending => return sent.map_err(|_| End::Gone),
                () = stop.cancelled() => return Err(End::Stopping),
                _ = recheck.tick() => still_valid(session, principal)?,
                () = &mut stalled => return Err(End::Slow),
            }
        }
    }

    /// Pings the client now and then; ends only when the socket has to. Stands in every `select!` of those
    /// who serve sockets; dropping the future loses nothing.
    pub(crate) async fn beat(&mut self) -> End {
        loop {
            let due = tokio::select! {
                () = self.stop.cancelled() => return End::Stopping,
                _ = self.recheck.tick() => false,
                _ = self.ping.tick() => true,
            };
            if let Err(end) = still_valid(&self.session, &self.principal) {
                return end;
            }
            if due && let Err(end) = self.send(Message::Ping(Bytes::new())).await {
                return end;
            }
        }
    }
}

fn still_valid(session: &Session, principal: &Principal) -> Result<(), End> {
    session.api.app.still_valid(principal).map_err(|denied| End::Failed(denied.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppError;

    #[test]
    fn a_reason_fits_its_frame() {
        let end = End::Failed(AppError::not_found("host", "é".repeat(200)).into());
        assert_eq!(end.close_code(), socket_close::NOT_FOUND);
        assert!(end.reason().len() <= MAX_REASON);
        assert!(end.reason().starts_with("no host"));
        assert_eq!(End::Failed(ApiError::Bug("secret")).reason(), "internal");
    }
}
