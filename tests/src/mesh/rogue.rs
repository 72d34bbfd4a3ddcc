//! Somebody with a host's certificate who does not behave like an agent.

use super::Program;
use anyhow::{Context, Result};
use omni_agent::ledger::{Ledger, StoredIdentity};
use omni_certs::testing::TestCluster;
use omni_certs::{ExpectServer, MeshTls};
use omni_common::ids::HostId;
use omni_common::wire::CloseCode;
use omni_transport::{Connect, Connection, Network, QuicNetwork};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// An identity, taken from an agent's folder or made up.
#[derive(Clone)]
pub struct Rogue {
    tls: MeshTls,
}

/// A rogue on the network.
pub struct Stranger {
    network: Arc<QuicNetwork>,
}

impl Rogue {
    /// One with the certificate of an agent, which may go on running.
    ///
    /// # Errors
    /// When the agent has none.
    pub fn of(agent: &Program<'_>) -> Result<Self> {
        let identity = identity(agent.dir())?;
        Ok(Self { tls: MeshTls::new(&identity.key, &identity.chain)? })
    }

    /// A host of another cluster.
    pub fn of_another_cluster(cluster: &TestCluster) -> Self {
        Self { tls: cluster.host_tls(HostId::mint()) }
    }

    /// What its certificate says.
    pub fn tls(&self) -> &MeshTls {
        &self.tls
    }

    /// Runs `work` in a runtime of its own, on loopback.
    ///
    /// # Errors
    /// Those of `work`, and when there is no port.
    pub fn run<T>(&self, work: impl AsyncFnOnce(&Stranger) -> Result<T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let bind = SocketAddr::from(([127, 0, 0, 1], 0));
            let stranger = Stranger { network: QuicNetwork::client(bind, Some(self.tls.clone()))? };
            let result = work(&stranger).await;
            stranger.network.shutdown(CloseCode::Done, "over").await;
            result
        })
    }
}

impl Stranger {
    /// Connects with the certificate.
    ///
    /// # Errors
    /// When nobody answers, or the other side is not whom the certificate's cluster knows.
    pub async fn dial(&self, address: &str, alpn: &'static [u8]) -> Result<Connection> {
        let how = Connect::Mesh(ExpectServer::AnyController);
        self.network.connect(address, alpn, how).await.with_context(|| format!("dialling {address}"))
    }

    /// Connects without one, trusting the same root.
    ///
    /// # Errors
    /// As [`Stranger::dial`].
    pub async fn dial_bare(&self, rogue: &Rogue, address: &str, alpn: &'static [u8]) -> Result<Connection> {
        let root = rogue.tls.fingerprint();
        let dialling = self.network.connect(address, alpn, Connect::Enroll(&root));
        dialling.await.with_context(|| format!("dialling {address}"))
    }
}

/// The folder is locked while its agent runs, so it is read from a copy.
fn identity(dir: &Path) -> Result<StoredIdentity> {
    let copy = tempfile::tempdir().context("a folder for a copy")?;
    let copied = std::process::Command::new("cp").arg("-a").arg(dir.join(".")).arg(copy.path()).status()?;
    anyhow::ensure!(copied.success(), "the folder cannot be copied");
    Ledger::open(copy.path())?.identity()?.context("the agent has joined")
}
