//! The mesh's certificate authority and everything that proves who somebody is: bytes in, bytes out.
//!
//! ```text
//! Authority (root CA) ──issue──▶ chain [leaf, root] ──▶ MeshTls ──▶ rustls configurations for QUIC and HTTPS
//!      ▲                             │
//!   CSR of a KeyPair          spiffe://<cluster>/host/<id>  is who the peer is; nothing a message says is
//! ```
//!
//! Nothing here reads a clock, a file or the network: `now` is an argument (only the TLS handshake itself
//! asks the machine's clock), and keys come and go as bytes.

mod authority;
mod error;
mod fingerprint;
mod identity;
mod key_text;
mod keys;
mod leaf;
pub mod lifetimes;
mod random;
mod returning;
mod seal;
pub mod testing;
mod tls;
mod tokens;

pub use authority::{Authority, Issued};
pub use error::{Error, Result};
pub use fingerprint::CaFingerprint;
pub use identity::{Identity, InvalidIdentity, Role};
pub use key_text::{InvalidKey, KeyText};
pub use keys::KeyPair;
pub use leaf::{LeafInfo, leaf_info};
pub use returning::prove_return;
pub use seal::ClusterKey;
pub use tls::{
    ExpectServer, MeshTls, Policy, SeenRoot, api_client_config, looking_client_config, pinned_client_config,
};
pub use tokens::{InvalidToken, Secret, SecretHash, TokenKind, TokenText};
