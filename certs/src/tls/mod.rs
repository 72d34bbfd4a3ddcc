//! TLS for the mesh and for the HTTPS API.
//!
//! TLS 1.3 only, the ring provider passed explicitly, and neither tickets nor resumption nor early data:
//! every connection is a full handshake that sees the certificate and the revocation policy of the moment.

mod mesh;
mod pinned;
mod resolver;
mod verify;

pub use mesh::{ExpectServer, MeshTls, Policy};
pub use pinned::{SeenRoot, api_client_config, looking_client_config, pinned_client_config};

use crate::error::{Error, Result};
use omni_common::clock::Time;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// ALPN of the HTTPS API, most wanted first.
const HTTP_ALPNS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// The one crypto provider of every program.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Whether the root issued this member's certificate and it held `at` that moment.
///
/// # Errors
/// When it is not so, with what webpki says of it.
pub(crate) fn issued_by(certificate_der: &[u8], root_der: &[u8], at: Time) -> Result<()> {
    let at = UnixTime::since_unix_epoch(at.since(Time::EPOCH));
    verify::check_presented(&CertificateDer::from(certificate_der), &[], &CertificateDer::from(root_der), at)
        .map_err(Error::NotIssued)
}

fn owned(alpns: &[&[u8]]) -> Vec<Vec<u8>> {
    alpns.iter().map(|alpn| alpn.to_vec()).collect()
}
