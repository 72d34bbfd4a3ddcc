//! Reading certificates: who a leaf is for and how long it holds.

use crate::error::{Error, Result};
use crate::identity::Identity;
use omni_common::clock::Time;
use omni_common::ids::ClusterId;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

/// What a member's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafInfo {
    /// Who it is for.
    pub identity: Identity,
    /// Serial number, lower hex.
    pub serial: String,
    /// Not valid before this.
    pub not_before: Time,
    /// Not valid after this.
    pub not_after: Time,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER).
    pub public_key: [u8; 32],
}

/// Reads a member's certificate. Says nothing about whether it can be trusted.
///
/// Fails when the bytes are no certificate, or carry other than exactly one URI that is an identity.
pub fn leaf_info(chain0_der: &[u8]) -> Result<LeafInfo> {
    let cert = parse(chain0_der)?;
    let identity = only_uri(&cert)?.parse().map_err(Error::NoIdentity)?;
    Ok(LeafInfo {
        identity,
        serial: hex::encode(cert.tbs_certificate.raw_serial()),
        not_before: time(cert.validity().not_before),
        not_after: time(cert.validity().not_after),
        public_key: Sha256::digest(cert.public_key().raw).into(),
    })
}

/// What a root certificate says.
pub(crate) struct RootInfo {
    pub(crate) cluster: ClusterId,
    pub(crate) not_after: Time,
    /// SubjectPublicKeyInfo, DER.
    pub(crate) public_key: Vec<u8>,
}

/// Reads a root certificate, whose one URI is the bare trust domain `spiffe://<cluster>`.
pub(crate) fn root_info(der: &[u8]) -> Result<RootInfo> {
    let cert = parse(der)?;
    let uri = only_uri(&cert)?;
    let cluster = read_trust_domain(uri)
        .ok_or_else(|| Error::NoIdentity(crate::InvalidIdentity(uri.chars().take(160).collect())))?;
    Ok(RootInfo {
        cluster,
        not_after: time(cert.validity().not_after),
        public_key: cert.public_key().raw.to_vec(),
    })
}

/// The URI of a root certificate.
pub(crate) fn trust_domain(cluster: ClusterId) -> String {
    format!("spiffe://{cluster}")
}

fn read_trust_domain(uri: &str) -> Option<ClusterId> {
    let cluster = uri.strip_prefix("spiffe://")?.parse().ok()?;
    (trust_domain(cluster) == uri).then_some(cluster)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>> {
    let (rest, cert) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| Error::ReadCertificate(error.to_string()))?;
    if rest.is_empty() {
        Ok(cert)
    } else {
        Err(Error::ReadCertificate(format!("{} bytes follow it", rest.len())))
    }
}

fn only_uri<'a>(cert: &'a X509Certificate<'_>) -> Result<&'a str> {
    let names = cert
        .subject_alternative_name()
        .map_err(|error| Error::ReadCertificate(error.to_string()))?
        .map_or(&[][..], |extension| &extension.value.general_names[..]);
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris[..] {
        [uri] => Ok(uri),
        _ => Err(Error::UriCount(uris.len())),
    }
}

fn time(at: ASN1Time) -> Time {
    Time::from_secs(at.timestamp())
}
