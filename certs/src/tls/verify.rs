//! Who may be on the other end.
//!
//! Chain, validity and key usage are webpki's business. On top of it every peer must carry exactly one mesh
//! identity of our cluster, pass the policy of the moment (revocation), and, where a server is dialled, be
//! the member that was meant. DNS names play no part between members.

use crate::error::Error;
use crate::identity::{Identity, Role};
use crate::leaf::{LeafInfo, leaf_info};
use crate::tls::{ExpectServer, Policy};
use arc_swap::ArcSwap;
use omni_common::clock::Time;
use omni_common::ids::ClusterId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fmt;
use std::sync::Arc;

/// What a member checks of every peer beyond its chain.
pub(super) struct Trust {
    pub(super) cluster: ClusterId,
    pub(super) policy: ArcSwap<Policy>,
}

impl Trust {
    /// The peer's identity, when it is a member of our cluster that the policy lets in.
    fn admit(&self, leaf: &CertificateDer<'_>) -> Result<LeafInfo, rustls::Error> {
        let info = identify(leaf)?;
        if info.identity.cluster != self.cluster {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        if !(self.policy.load())(&info) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(info)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// Judges those who dial us. A certificate is optional here, because enrolment has none yet; which protocol
/// needs which role is the transport's rule.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) trust: Arc<Trust>,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(leaf, rest, now)?;
        self.trust.admit(leaf).map(|_| verified)
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

/// Judges those whom a member dials.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) root: CertificateDer<'static>,
    pub(super) trust: Arc<Trust>,
    pub(super) expect: ExpectServer,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        check_presented(leaf, rest, &self.root, now).map_err(|error| name_the_clock(error, now))?;
        let info = self.trust.admit(leaf)?;
        check_expected(self.expect, info.identity).map(|()| ServerCertVerified::assertion())
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

/// The server dialled is a member, but another than the one meant.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected}, but {found} answered")]
struct UnexpectedServer {
    expected: ExpectServer,
    found: Identity,
}

/// A certificate is out of its time by this machine's clock.
#[derive(Debug, thiserror::Error)]
#[error(
    "the server's certificate is {why} by this machine's clock, which says {now}: \
     check the clock here and on the server"
)]
struct ClockTrouble {
    why: &'static str,
    now: Time,
}

/// Checks that `found` is whom the caller meant to reach.
pub(super) fn check_expected(expected: ExpectServer, found: Identity) -> Result<(), rustls::Error> {
    let meant = match (expected, found.role) {
        (ExpectServer::AnyController, Role::Controller(_)) => true,
        (ExpectServer::Controller(id), Role::Controller(other)) => id == other,
        (ExpectServer::Host(id), Role::Host(other)) => id == other,
        _ => false,
    };
    if meant { Ok(()) } else { Err(other(UnexpectedServer { expected, found })) }
}

/// The identity in a certificate; anything else cannot take part in a mesh.
pub(super) fn identify(leaf: &CertificateDer<'_>) -> Result<LeafInfo, rustls::Error> {
    leaf_info(leaf).map_err(|error| match error {
        Error::ReadCertificate(_) => CertificateError::BadEncoding.into(),
        _ => CertificateError::ApplicationVerificationFailure.into(),
    })
}

/// Checks that the first certificate is a server's and signed by `root` at the time `now`.
pub(super) fn check_chain(
    chain: &[CertificateDer<'_>],
    root: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let (leaf, rest) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    check_presented(leaf, rest, root, now)
}

/// The same for a certificate as a peer presents it.
pub(super) fn check_presented(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    root: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let leaf = ParsedCertificate::try_from(leaf)?;
    verify_server_cert_signed_by_trust_anchor(&leaf, &roots, rest, now, algorithms().all)
}

/// Rewords an error about validity so that it names what is nearly always the cause: a wrong clock.
pub(super) fn name_the_clock(error: rustls::Error, now: UnixTime) -> rustls::Error {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let why = match &error {
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "expired",
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => "not valid yet",
        _ => return error,
    };
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    other(ClockTrouble { why, now: Time::from_secs(seconds) })
}

pub(super) fn algorithms() -> WebPkiSupportedAlgorithms {
    ring::default_provider().signature_verification_algorithms
}

pub(super) fn no_tls12() -> rustls::Error {
    rustls::Error::General("only TLS 1.3 is spoken".to_owned())
}

pub(super) fn other(error: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    rustls::Error::Other(OtherError(Arc::new(error)))
}
