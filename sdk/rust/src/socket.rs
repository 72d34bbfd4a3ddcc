//! One WebSocket to one controller, over TLS with the pinned root.

use crate::address::Address;
use crate::call::Call;
use crate::client::Client;
use crate::endpoints::connect;
use crate::error::{Attempt, Error, Result};
use crate::execute::{explain, problem};
use futures_util::{SinkExt, StreamExt};
use omni_common::api::v1::{Problem, socket_close};
use reqwest::StatusCode;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// TLS and upgrade together may take this long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The server pings every 30 seconds: two missed pings mean that it is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(75);
/// Largest message taken, bytes. Batches of log lines are the largest that a server sends.
const MAX_MESSAGE: usize = 16 << 20;

pub(crate) type Stream = WebSocketStream<TlsStream<TcpStream>>;

/// An open socket.
pub(crate) struct Socket {
    stream: Stream,
    address: Address,
}

/// Why no more messages come.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All was said.
    Done,
    /// The server or the network failed, or the server stops: another controller can go on.
    Interrupted(String),
    /// The server will not serve this socket.
    Refused(Error),
}

impl Socket {
    /// The next message. Cancelling the wait loses nothing.
    async fn next_text(&mut self) -> Result<Utf8Bytes, Ended> {
        loop {
            let message = match timeout(SILENCE_LIMIT, self.stream.next()).await {
                Err(_) => return Err(Ended::Interrupted(format!("{} fell silent", self.address))),
                Ok(None) => {
                    return Err(Ended::Interrupted(format!("{} closed the connection", self.address)));
                }
                Ok(Some(Err(error))) => return Err(Ended::Interrupted(explain(&error))),
                Ok(Some(Ok(message))) => message,
            };
            match message {
                Message::Text(text) => return Ok(text),
                Message::Binary(_) => return Err(self.strange("binary where text was expected".to_owned())),
                Message::Close(frame) => return Err(ended(&self.address, frame)),
                // Pings are answered by the library while we read.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// The next message, as JSON. Cancelling the wait loses nothing.
    pub(crate) async fn next_json<T: DeserializeOwned>(&mut self) -> Result<T, Ended> {
        let text = self.next_text().await?;
        serde_json::from_str(&text).map_err(|error| self.strange(error.to_string()))
    }

    fn strange(&self, why: String) -> Ended {
        Ended::Refused(Error::BadAnswer { address: self.address.clone(), why })
    }

    /// Sends a message as JSON.
    pub(crate) async fn send_json(&mut self, message: &impl Serialize) -> Result<(), Ended> {
        let text = serde_json::to_string(message).expect("messages are plain structures");
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        self.stream.send(message).await.map_err(|error| Ended::Interrupted(explain(&error)))
    }

    /// The parts, for a conversation in both directions at once.
    pub(crate) fn into_parts(self) -> (Stream, Address) {
        (self.stream, self.address)
    }
}

/// Reads the server's reason for closing.
pub(crate) fn ended(address: &Address, frame: Option<CloseFrame>) -> Ended {
    let Some(frame) = frame else {
        return Ended::Interrupted(format!("{address} closed the connection"));
    };
    let reason = frame.reason.to_string();
    let refused = |status: StatusCode, code: &str| {
        Ended::Refused(Error::from(Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: Some(reason.clone()).filter(|reason| !reason.is_empty()),
            instance: None,
            code: code.to_owned(),
            request_id: None,
            errors: Vec::new(),
        }))
    };
    match u16::from(frame.code) {
        socket_close::DONE => Ended::Done,
        socket_close::UNAUTHENTICATED => refused(StatusCode::UNAUTHORIZED, "unauthenticated"),
        socket_close::FORBIDDEN => refused(StatusCode::FORBIDDEN, "forbidden"),
        socket_close::NOT_FOUND => refused(StatusCode::NOT_FOUND, "not_found"),
        socket_close::BAD_MESSAGE | socket_close::TOO_LARGE => {
            refused(StatusCode::BAD_REQUEST, "bad_message")
        }
        code if reason.is_empty() => Ended::Interrupted(format!("{address} closed the connection ({code})")),
        code => Ended::Interrupted(format!("{address} closed the connection: {reason} ({code})")),
    }
}

impl Client {
    /// Opens a socket at the first controller that takes it.
    pub(crate) async fn open_socket(&self, call: &Call) -> Result<Socket> {
        let endpoints = self.endpoints();
        if endpoints.list().is_empty() {
            return Err(Error::NoAddress);
        }
        let mut tried = Vec::new();
        for position in endpoints.order().await {
            let address = &endpoints.list()[position];
            let why = match self.upgrade(call, address).await {
                Ok(stream) => {
                    endpoints.answered(position);
                    let address = address.clone();
                    return Ok(Socket { stream, address });
                }
                Err(Upgrade::Refused(error)) => return Err(error),
                Err(Upgrade::Failed(why)) => why,
            };
            tried.push(Attempt { address: address.clone(), why });
        }
        Err(Error::NoControllerReachable { tried })
    }

    async fn upgrade(&self, call: &Call, address: &Address) -> Result<Stream, Upgrade> {
        let tcp = connect(address).await.map_err(|error| Upgrade::Failed(explain(&error)))?;
        match timeout(HANDSHAKE_TIMEOUT, self.shake_hands(call, address, tcp)).await {
            Ok(result) => result,
            Err(_) => Err(Upgrade::Failed("no answer to the handshake".to_owned())),
        }
    }

    async fn shake_hands(&self, call: &Call, address: &Address, tcp: TcpStream) -> Result<Stream, Upgrade> {
        let name = ServerName::try_from(address.host().to_owned())
            .map_err(|error| Upgrade::Failed(error.to_string()))?;
        let tls = TlsConnector::from(self.tls())
            .connect(name, tcp)
            .await
            .map_err(|error| Upgrade::Failed(explain(&error)))?;
        let limits =
            WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let request = self.upgrade_request(call, address)?;
        match client_async_with_config(request, tls, Some(limits)).await {
            Ok((stream, _)) => Ok(stream),
            Err(WsError::Http(response)) => Err(not_upgraded(*response)),
            Err(error) => Err(Upgrade::Failed(explain(&error))),
        }
    }

    fn upgrade_request(&self, call: &Call, address: &Address) -> Result<Request, Upgrade> {
        let mut url = call.url(address).to_string();
        url.replace_range(..5, "wss");
        let failed = |error: String| Upgrade::Refused(Error::Setup(error));
        let mut request = url.into_client_request().map_err(|error| failed(error.to_string()))?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token()))
            .map_err(|error| failed(error.to_string()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Ok(request)
    }
}

enum Upgrade {
    /// The next address may do better.
    Failed(String),
    /// No address will.
    Refused(Error),
}

/// The server answered the upgrade with an ordinary response.
fn not_upgraded(response: tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>) -> Upgrade {
    let (head, body) = response.into_parts();
    let kind = head.headers.get("content-type");
    let problem = problem(head.status, kind, &body.unwrap_or_default());
    if head.status.is_server_error() {
        Upgrade::Failed(problem.detail.unwrap_or(problem.title))
    } else {
        Upgrade::Refused(problem.into())
    }
}
