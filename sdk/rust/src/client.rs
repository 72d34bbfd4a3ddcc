//! The client itself: whom to ask, as whom, and how long to wait.

use crate::address::Address;
use crate::call::Call;
use crate::endpoints::{CONNECT_TIMEOUT, Endpoints};
use crate::error::{Error, Result};
use crate::execute::Answer;
use omni_certs::{CaFingerprint, TokenText, api_client_config};
use omni_common::api::v1::{Consistency, ReadQuery};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Connections with calls on them are checked this often.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long one call may take, retries at other controllers included. What is known to need longer has 30 s at least.
    pub timeout: Duration,
    /// How fresh reads have to be.
    pub consistency: Consistency,
}

impl Default for Options {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), consistency: Consistency::Linearizable }
    }
}

/// A client of one cluster. Clones share connections and the memory of who answered last.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    options: Options,
}

struct Inner {
    endpoints: Endpoints,
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    /// Empty for somebody who is about to sign in.
    token: String,
}

impl Client {
    /// A client that asks the controllers at `addresses` in this order, with `token`, whose CA fingerprint
    /// says which cluster is trusted. Nothing is sent yet.
    pub fn new(addresses: Vec<Address>, token: &TokenText, options: Options) -> Result<Self> {
        Self::build(addresses, token.ca, token.to_string(), options)
    }

    /// A client of somebody who has no token yet and is about to sign in. `ca` says which cluster is trusted.
    pub fn guest(addresses: Vec<Address>, ca: CaFingerprint, options: Options) -> Result<Self> {
        Self::build(addresses, ca, String::new(), options)
    }

    fn build(addresses: Vec<Address>, ca: CaFingerprint, token: String, options: Options) -> Result<Self> {
        let tls = api_client_config(ca);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            // A controller that vanished without a word must not hold up the next call on its connection.
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Controllers are reached directly; a proxy from the environment could not keep the pin.
            .no_proxy()
            .user_agent(concat!("omni-sdk/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Setup(crate::execute::explain(&error)))?;
        let mut socket_tls = tls;
        // A WebSocket starts as an HTTP/1.1 upgrade.
        socket_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            inner: Arc::new(Inner {
                endpoints: Endpoints::new(addresses),
                http,
                tls: Arc::new(socket_tls),
                token,
            }),
            options,
        })
    }

    /// The same client with other options.
    #[must_use]
    pub fn with(&self, options: Options) -> Self {
        Self { inner: self.inner.clone(), options }
    }

    /// How it behaves.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The controllers it knows, in the user's order.
    pub fn addresses(&self) -> &[Address] {
        self.inner.endpoints.list()
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.inner.endpoints
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    /// For sockets: HTTP/1.1 only.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.inner.tls.clone()
    }

    pub(crate) fn token(&self) -> &str {
        &self.inner.token
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// The parameters that every read of the state takes.
    pub(crate) fn freshness(&self) -> ReadQuery {
        ReadQuery { consistency: self.options.consistency, min_index: None }
    }

    /// A read of the state, with the client's consistency.
    pub(crate) async fn read<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        self.ask(call.with(&self.freshness())).await
    }

    /// A read of something that is not part of the state.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        decode(self.execute(&call).await?)
    }

    /// A change that answers with a value.
    pub(crate) async fn write<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        decode(self.execute(&call).await?)
    }

    /// A change that answers with nothing.
    pub(crate) async fn write_silent(&self, call: Call) -> Result<()> {
        self.execute(&call).await.map(|_| ())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoints", &self.inner.endpoints)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn decode<T: DeserializeOwned>(answer: Answer) -> Result<T> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| Error::BadAnswer { address: answer.address, why: error.to_string() })
}
