//! Clients that know a cluster only by the fingerprint of its root: a machine that joins, `omni login`, the
//! SDK. They present no certificate.

use crate::error::Error;
use crate::fingerprint::CaFingerprint;
use crate::leaf::root_info;
use crate::tls::verify::{
    algorithms, check_expected, check_presented, identify, name_the_clock, no_tls12, other,
};
use crate::tls::{ExpectServer, HTTP_ALPNS, owned, provider};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// A client that trusts exactly the root whose SHA-256 is `ca` and reaches controllers only.
///
/// The server must present that root in its chain, a leaf under it, and a controller's identity of the
/// root's own cluster. DNS names are not looked at: the pin says more than a name could.
pub fn pinned_client_config(ca: CaFingerprint, alpns: &[&[u8]]) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { ca }))
        .with_no_client_auth();
    config.alpn_protocols = owned(alpns);
    config.resumption = Resumption::disabled();
    config
}

/// The same for HTTPS.
pub fn api_client_config(ca: CaFingerprint) -> ClientConfig {
    pinned_client_config(ca, HTTP_ALPNS)
}

/// The server belongs to another cluster than the one pinned, or is something in between.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server does not show the pinned root {ca}: it belongs to another cluster, or somebody is in between"
)]
struct UnknownRoot {
    ca: CaFingerprint,
}

#[derive(Debug)]
struct PinnedVerifier {
    ca: CaFingerprint,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let root = rest
            .iter()
            .find(|cert| CaFingerprint::of(cert) == self.ca)
            .ok_or_else(|| other(UnknownRoot { ca: self.ca }))?;
        check_presented(leaf, rest, root, now).map_err(|error| name_the_clock(error, now))?;
        let found = identify(leaf)?.identity;
        let cluster = root_info(root).map_err(|_: Error| CertificateError::BadEncoding)?.cluster;
        if found.cluster != cluster {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        check_expected(ExpectServer::AnyController, found).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// A client that only looks which root a server shows, and then goes away: nothing is ever sent over it. For asking a
/// person whether it is the right one.
pub fn looking_client_config(seen: SeenRoot) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(LookingVerifier { seen }))
        .with_no_client_auth();
    config.alpn_protocols = owned(HTTP_ALPNS);
    config.resumption = Resumption::disabled();
    config
}

/// Where [`looking_client_config`] leaves what it saw.
pub type SeenRoot = Arc<std::sync::Mutex<Option<CaFingerprint>>>;

/// Nobody was asked yet.
#[derive(Debug, thiserror::Error)]
#[error("only a look was taken at this server")]
struct OnlyLooked;

#[derive(Debug)]
struct LookingVerifier {
    seen: SeenRoot,
}

impl ServerCertVerifier for LookingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The root is the one under which the rest holds; a server that shows none that fits has none to be pinned.
        let root = rest.iter().find(|root| check_presented(leaf, rest, root, now).is_ok());
        if let (Some(root), Ok(mut seen)) = (root, self.seen.lock()) {
            *seen = Some(CaFingerprint::of(root));
        }
        Err(other(OnlyLooked))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
