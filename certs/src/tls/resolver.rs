//! The member's own certificate, replaceable while connections are up.

use crate::error::{Error, Result};
use crate::fingerprint::CaFingerprint;
use crate::leaf::{LeafInfo, leaf_info, root_info};
use crate::tls::provider;
use crate::tls::verify::check_chain;
use arc_swap::ArcSwap;
use omni_common::ids::ClusterId;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A certificate with its key, checked to belong together.
pub(super) struct Credentials {
    pub(super) leaf: LeafInfo,
    pub(super) cluster: ClusterId,
    pub(super) fingerprint: CaFingerprint,
    pub(super) root: CertificateDer<'static>,
    /// See [`MeshTls::restart_key`](crate::MeshTls::restart_key).
    pub(super) restart_key: [u8; 32],
    key: Arc<CertifiedKey>,
}

impl Credentials {
    /// Checks that the key is the leaf's and the leaf is signed by the last certificate of the chain. The
    /// clock is not asked: an expired certificate loads, so that its owner can still say who it is.
    pub(super) fn new(key_pkcs8: &[u8], chain: &[Vec<u8>]) -> Result<Self> {
        let (Some(leaf_der), Some(root_der)) = (chain.first(), chain.last()) else {
            return Err(Error::EmptyChain);
        };
        let leaf = leaf_info(leaf_der)?;
        let cluster = root_info(root_der)?.cluster;
        if leaf.identity.cluster != cluster {
            return Err(Error::ForeignIdentity { identity: leaf.identity, cluster });
        }
        let certificates: Vec<_> = chain.iter().cloned().map(CertificateDer::from).collect();
        let root = CertificateDer::from(root_der.clone());
        let within = Duration::from_secs(leaf.not_before.as_secs().unsigned_abs());
        check_chain(&certificates, &root, UnixTime::since_unix_epoch(within)).map_err(Error::BrokenChain)?;
        let key = certified_key(key_pkcs8, certificates)?;
        Ok(Self {
            leaf,
            cluster,
            fingerprint: CaFingerprint::of(root_der),
            root,
            restart_key: restart_key(key_pkcs8),
            key,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

fn restart_key(key_pkcs8: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(b"omni restart key").chain_update(key_pkcs8).finalize().into()
}

fn certified_key(key_pkcs8: &[u8], chain: Vec<CertificateDer<'static>>) -> Result<Arc<CertifiedKey>> {
    // Reading it first tells a damaged key file from one that belongs to another certificate.
    crate::keys::read_signing_key(key_pkcs8)?;
    let key = PrivatePkcs8KeyDer::from(key_pkcs8.to_vec()).into();
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(|_| Error::KeyMismatch)
}

/// Hands the certificate of the moment to every new handshake.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<ArcSwap<Credentials>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
