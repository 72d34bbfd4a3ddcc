//! What can go wrong with keys and certificates.

use crate::{CaFingerprint, Identity, InvalidIdentity};
use omni_common::ids::ClusterId;

/// The result of everything in this crate that handles keys or certificates.
pub type Result<T> = std::result::Result<T, Error>;

/// A key or certificate could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system gave no randomness.
    #[error("the system's random source failed")]
    Random,
    /// A key pair could not be made.
    #[error("cannot make a key pair")]
    GenerateKey(#[source] rcgen::Error),
    /// The bytes are not an ECDSA P-256 key in PKCS#8.
    #[error("not an ECDSA P-256 private key")]
    ReadKey(#[source] rcgen::Error),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A certificate request could not be made.
    #[error("cannot make a certificate request")]
    MakeRequest(#[source] rcgen::Error),
    /// A certificate request could not be read, or its signature is wrong.
    #[error("not a valid certificate request")]
    ReadRequest(#[source] rcgen::Error),
    /// A certificate request is longer than any honest one.
    #[error("a certificate request of {0} bytes is too long")]
    RequestTooLong(usize),
    /// A certificate request holds a key of another kind.
    #[error("the certificate request is not for an ECDSA P-256 key")]
    RequestKey,
    /// A name that a certificate cannot carry.
    #[error("`{0}` is neither a DNS name nor an IP address")]
    AltName(String),
    /// The identity belongs to another cluster.
    #[error("{identity} does not belong to cluster {cluster}")]
    ForeignIdentity {
        /// Who was to be certified.
        identity: Identity,
        /// Whose authority was asked.
        cluster: ClusterId,
    },
    /// Signing failed.
    #[error("cannot sign the certificate")]
    Sign(#[source] rcgen::Error),
    /// The bytes are not a certificate.
    #[error("not a readable certificate: {0}")]
    ReadCertificate(String),
    /// The certificate names nobody of a mesh.
    #[error("the certificate carries no mesh identity")]
    NoIdentity(#[source] InvalidIdentity),
    /// The certificate names several identities, or other URIs beside one.
    #[error("the certificate carries {0} URIs where exactly one identity is needed")]
    UriCount(usize),
    /// A chain without certificates.
    #[error("the certificate chain is empty")]
    EmptyChain,
    /// A chain that does not lead to its own last certificate.
    #[error("the certificate is not signed by the root in its chain")]
    BrokenChain(#[source] rustls::Error),
    /// A certificate of another root.
    #[error("the certificate was not issued by this cluster")]
    NotIssued(#[source] rustls::Error),
    /// A renewed certificate for somebody else.
    #[error("the new certificate is for {new}, not for {old}")]
    IdentityChanged {
        /// Who the certificate in use is for.
        old: Identity,
        /// Who the new one is for.
        new: Identity,
    },
    /// A renewed certificate under another root.
    #[error("the new certificate is under root {new}, not under {old}")]
    RootChanged {
        /// Root in use.
        old: CaFingerprint,
        /// Root of the new chain.
        new: CaFingerprint,
    },
    /// A key of the wrong size.
    #[error("a cluster key has 32 bytes, not {0}")]
    KeyLength(usize),
    /// Sealed bytes are cut short, changed, of another key, or for another purpose.
    #[error("sealed bytes cannot be opened: wrong key, wrong purpose, or damaged")]
    Unseal,
    /// Sealing failed.
    #[error("cannot seal {0} bytes")]
    Seal(usize),
    /// Not a fingerprint.
    #[error("`{0}` is not a fingerprint of 64 hex digits")]
    InvalidFingerprint(String),
}
