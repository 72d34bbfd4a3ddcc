//! A member's side of TLS.

use crate::error::{Error, Result};
use crate::fingerprint::CaFingerprint;
use crate::identity::Identity;
use crate::leaf::LeafInfo;
use crate::tls::resolver::{Credentials, Resolver};
use crate::tls::verify::{ClientVerifier, ServerVerifier, Trust};
use crate::tls::{HTTP_ALPNS, owned, provider};
use arc_swap::ArcSwap;
use omni_common::ids::{ControllerId, HostId};
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// Decides at each handshake whether a member of the cluster is still welcome. It must be quick: it runs
/// inside the handshake.
pub type Policy = Arc<dyn Fn(&LeafInfo) -> bool + Send + Sync>;

/// Which server a client means to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectServer {
    /// Whichever controller answers.
    AnyController,
    /// This controller.
    Controller(ControllerId),
    /// This host.
    Host(HostId),
}

impl fmt::Display for ExpectServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyController => f.write_str("a controller"),
            Self::Controller(id) => write!(f, "controller {id}"),
            Self::Host(id) => write!(f, "host {id}"),
        }
    }
}

/// A member's certificate, its root, and what it demands of peers. Clones share everything: a certificate
/// replaced in one is replaced in all, and in every configuration made from them.
#[derive(Clone)]
pub struct MeshTls {
    credentials: Arc<ArcSwap<Credentials>>,
    trust: Arc<Trust>,
}

impl MeshTls {
    /// From a private key (PKCS#8) and the chain the authority answered with (leaf first, root last). Until
    /// [`MeshTls::set_policy`] is called, every member of the cluster is welcome.
    pub fn new(key_pkcs8: &[u8], chain: &[Vec<u8>]) -> Result<Self> {
        let credentials = Credentials::new(key_pkcs8, chain)?;
        let everyone: Policy = Arc::new(|_| true);
        let trust = Trust { cluster: credentials.cluster, policy: ArcSwap::from_pointee(everyone) };
        Ok(Self { credentials: Arc::new(ArcSwap::from_pointee(credentials)), trust: Arc::new(trust) })
    }

    /// Takes up a renewed certificate. Handshakes from now on show it; connections that are up stay up.
    ///
    /// Fails, changing nothing, when it is for another member or under another root.
    pub fn replace(&self, key_pkcs8: &[u8], chain: &[Vec<u8>]) -> Result<()> {
        let new = Credentials::new(key_pkcs8, chain)?;
        let old = self.credentials.load();
        if new.fingerprint != old.fingerprint {
            return Err(Error::RootChanged { old: old.fingerprint, new: new.fingerprint });
        }
        if new.leaf.identity != old.leaf.identity {
            return Err(Error::IdentityChanged { old: old.leaf.identity, new: new.leaf.identity });
        }
        self.credentials.store(Arc::new(new));
        Ok(())
    }

    /// Who this member is.
    pub fn identity(&self) -> Identity {
        self.credentials.load().leaf.identity
    }

    /// What the certificate in use says.
    pub fn leaf(&self) -> LeafInfo {
        self.credentials.load().leaf.clone()
    }

    /// The cluster's root.
    pub fn fingerprint(&self) -> CaFingerprint {
        self.credentials.load().fingerprint
    }

    /// A secret that this process and the next one under the same private key share, and nobody else. With
    /// it a restarted member can tell old peers that their connections are gone, instead of letting them
    /// wait out the silence.
    pub fn restart_key(&self) -> [u8; 32] {
        self.credentials.load().restart_key
    }

    /// Sets who is welcome among the members of the cluster, for every handshake from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.trust.policy.store(Arc::new(policy));
    }

    /// For accepting mesh connections. A client certificate is verified when one is shown, and not required:
    /// the transport knows which ALPN needs which role.
    pub fn server_config(&self, alpns: &[&[u8]]) -> ServerConfig {
        let chain = WebPkiClientVerifier::builder_with_provider(self.roots(), provider())
            .allow_unauthenticated()
            .build()
            .expect("there is one root and no revocation list");
        let verifier = ClientVerifier { chain, trust: self.trust.clone() };
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.resolver());
        full_handshakes_only(config, alpns)
    }

    /// For dialling `expect` and showing our certificate.
    pub fn client_config(&self, alpn: &[u8], expect: ExpectServer) -> ClientConfig {
        let root = self.credentials.load().root.clone();
        let verifier = ServerVerifier { root, trust: self.trust.clone(), expect };
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.resolver());
        config.alpn_protocols = owned(&[alpn]);
        config.resumption = Resumption::disabled();
        config
    }

    /// For serving the HTTPS API under the same certificate, without client certificates.
    pub fn api_server_config(&self) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_no_client_auth()
            .with_cert_resolver(self.resolver());
        full_handshakes_only(config, HTTP_ALPNS)
    }

    fn resolver(&self) -> Arc<Resolver> {
        Arc::new(Resolver(self.credentials.clone()))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.credentials.load().root.clone()).expect("the chain was verified under this root");
        Arc::new(roots)
    }
}

impl fmt::Debug for MeshTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeshTls").field("leaf", &self.credentials.load().leaf).finish_non_exhaustive()
    }
}

/// No tickets, no session store, no early data: nothing outlives a connection.
fn full_handshakes_only(mut config: ServerConfig, alpns: &[&[u8]]) -> ServerConfig {
    config.alpn_protocols = owned(alpns);
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config
}
