//! One UDP port: dials and is dialled.

use crate::connection::{Connection, Link};
use crate::error::{BindError, ConnectError};
use crate::network::{Connect, Network};
use crate::quic::accept::{Acceptor, LogLimit, peer_leaf, settled_alpn};
use crate::quic::dial::{Dialler, resolve};
use crate::quic::options::QuicOptions;
use crate::quic::stream::varint;
use crate::quic::{profile, socket};
use crate::rejections::Rejections;
use crate::roles::ALL_ALPNS;
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use omni_certs::{MeshTls, pinned_client_config};
use omni_common::wire::CloseCode;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore, mpsc};

/// Mutual-TLS QUIC on one UDP port.
pub struct QuicNetwork {
    endpoint: quinn::Endpoint,
    tls: ArcSwapOption<MeshTls>,
    serves: bool,
    options: Arc<QuicOptions>,
    rejections: Rejections,
    ready: Mutex<mpsc::Receiver<Connection>>,
}

impl QuicNetwork {
    /// Listens on `addr` as the member that `tls` is for, and dials from the same port. Needs a Tokio
    /// runtime.
    pub fn bind(addr: SocketAddr, tls: MeshTls, options: QuicOptions) -> Result<Arc<Self>, BindError> {
        Self::open(addr, Some(tls), true, options)
    }

    /// Only dials. Without `tls` it can only enrol, until [`QuicNetwork::set_tls`].
    pub fn client(bind: SocketAddr, tls: Option<MeshTls>) -> Result<Arc<Self>, BindError> {
        Self::client_with(bind, tls, QuicOptions::default())
    }

    /// Only dials, with other limits and timings than the usual ones.
    pub fn client_with(
        bind: SocketAddr,
        tls: Option<MeshTls>,
        options: QuicOptions,
    ) -> Result<Arc<Self>, BindError> {
        Self::open(bind, tls, false, options)
    }

    /// Takes up a certificate; see [`Network::set_tls`].
    pub fn set_tls(&self, tls: MeshTls) {
        if self.serves {
            self.endpoint.set_server_config(Some(server_config(&tls, &self.options)));
        }
        self.tls.store(Some(Arc::new(tls)));
    }

    fn open(
        address: SocketAddr,
        tls: Option<MeshTls>,
        serves: bool,
        options: QuicOptions,
    ) -> Result<Arc<Self>, BindError> {
        let options = Arc::new(options);
        let server = tls.as_ref().filter(|_| serves).map(|tls| server_config(tls, &options));
        let endpoint = socket::open(address, tls.as_ref().map(MeshTls::restart_key), server)
            .map_err(|source| BindError::Listen { address, source })?;
        let rejections = Rejections::default();
        let (sender, ready) = mpsc::channel(options.accept_queue);
        let acceptor = Acceptor {
            endpoint: endpoint.clone(),
            newcomers: Arc::new(Semaphore::new(options.max_newcomers)),
            options: options.clone(),
            rejections: rejections.clone(),
            ready: sender,
            log_limit: LogLimit::default(),
        };
        tokio::spawn(acceptor.run());
        let tls = ArcSwapOption::from(tls.map(Arc::new));
        Ok(Arc::new(Self { endpoint, tls, serves, options, rejections, ready: Mutex::new(ready) }))
    }

    fn client_config(
        &self,
        alpn: &'static [u8],
        how: Connect<'_>,
    ) -> Result<quinn::ClientConfig, ConnectError> {
        let tls = match how {
            Connect::Enroll(ca) => pinned_client_config(*ca, &[alpn]),
            Connect::Mesh(expect) => {
                self.tls.load().as_ref().ok_or(ConnectError::NoIdentity)?.client_config(alpn, expect)
            }
        };
        let crypto = QuicClientConfig::try_from(tls).expect("ring has QUIC's initial cipher suite");
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(profile::dialled(alpn, &self.options));
        Ok(config)
    }
}

impl Drop for QuicNetwork {
    /// The acceptor task and live connections hold the endpoint too, and would keep the port.
    fn drop(&mut self) {
        self.endpoint.close(varint(CloseCode::ShuttingDown), b"endpoint dropped");
    }
}

#[async_trait]
impl Network for QuicNetwork {
    async fn connect(
        &self,
        addr: &str,
        alpn: &'static [u8],
        how: Connect<'_>,
    ) -> Result<Connection, ConnectError> {
        let dialler = Dialler {
            endpoint: &self.endpoint,
            config: self.client_config(alpn, how)?,
            name: addr,
            timeout: self.options.connect_timeout,
        };
        let link = dialler.dial(resolve(addr).await?).await?;
        let leaf = peer_leaf(&link).ok().flatten();
        let alpn = settled_alpn(&link);
        Ok(Connection::new(Link::Quic(link), alpn, leaf, self.rejections.clone()))
    }

    async fn accept(&self) -> Option<Connection> {
        self.ready.lock().await.recv().await
    }

    fn local_addr(&self) -> String {
        self.endpoint.local_addr().map(|address| address.to_string()).unwrap_or_default()
    }

    fn set_tls(&self, tls: MeshTls) {
        Self::set_tls(self, tls);
    }

    fn rejections(&self) -> Rejections {
        self.rejections.clone()
    }

    async fn shutdown(&self, code: CloseCode, reason: &str) {
        self.endpoint.close(varint(code), reason.as_bytes());
        // What is not told within the grace learns it by silence.
        tokio::time::timeout(self.options.shutdown_grace, self.endpoint.wait_idle()).await.ok();
    }
}

fn server_config(tls: &MeshTls, options: &QuicOptions) -> quinn::ServerConfig {
    let crypto = QuicServerConfig::try_from(tls.server_config(ALL_ALPNS))
        .expect("ring has QUIC's initial cipher suite");
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(profile::accepted(options))
        .max_incoming(options.max_waiting)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(16 << 20);
    config
}
