//! The root CA: turns a certificate request into an identity.

use crate::error::{Error, Result};
use crate::fingerprint::CaFingerprint;
use crate::identity::{Identity, Role};
use crate::keys::read_signing_key;
use crate::leaf::{root_info, trust_domain};
use crate::{lifetimes, random::random};
use omni_common::clock::Time;
use omni_common::ids::ClusterId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest certificate request read, bytes. A P-256 request is about 300.
const MAX_CSR: usize = 8 << 10;

/// The cluster's root CA: ECDSA P-256, ten years, signs members directly.
pub struct Authority {
    cluster: ClusterId,
    not_after: Time,
    cert_der: Vec<u8>,
    key_pkcs8: Zeroizing<Vec<u8>>,
    issuer: Issuer<'static, rcgen::KeyPair>,
}

/// A certificate that the authority has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Leaf first, root last, DER.
    pub chain: Vec<Vec<u8>>,
    /// Serial number, lower hex.
    pub serial: String,
    /// Valid until.
    pub not_after: Time,
}

impl Authority {
    /// Makes the root of a new cluster.
    pub fn create(cluster: ClusterId, now: Time) -> Result<Self> {
        let key = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::GenerateKey)?;
        let cert = root_params(cluster, now)?.self_signed(&key).map_err(Error::Sign)?;
        let key_pkcs8 = Zeroizing::new(key.serialize_der());
        Self::from_parts(cert.der(), &key_pkcs8)
    }

    /// Takes up an existing root. Fails when the key is not the certificate's.
    pub fn from_parts(cert_der: &[u8], key_pkcs8: &[u8]) -> Result<Self> {
        let root = root_info(cert_der)?;
        let key = read_signing_key(key_pkcs8)?;
        if key.subject_public_key_info() != root.public_key {
            return Err(Error::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(cert_der), key)
            .map_err(|error| Error::ReadCertificate(error.to_string()))?;
        Ok(Self {
            cluster: root.cluster,
            not_after: root.not_after,
            cert_der: cert_der.to_vec(),
            key_pkcs8: Zeroizing::new(key_pkcs8.to_vec()),
            issuer,
        })
    }

    /// The cluster it speaks for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The root certificate, DER.
    pub fn cert_der(&self) -> &[u8] {
        &self.cert_der
    }

    /// The root's private key, PKCS#8 DER. Store it sealed only.
    pub fn key_pkcs8(&self) -> &[u8] {
        &self.key_pkcs8
    }

    /// What joining machines pin.
    pub fn fingerprint(&self) -> CaFingerprint {
        CaFingerprint::of(&self.cert_der)
    }

    /// Certifies that the key in `csr_der` belongs to `identity`, from shortly before `now` for `lifetime`,
    /// but never beyond the root's own end.
    ///
    /// Only the request's public key is used: its names, usages and extensions are what the asker would
    /// like to be, and are thrown away. `alt_names` are DNS names or IP addresses that people use to reach
    /// the member over HTTPS.
    pub fn issue(
        &self,
        csr_der: &[u8],
        identity: Identity,
        alt_names: &[String],
        now: Time,
        lifetime: Duration,
    ) -> Result<Issued> {
        if identity.cluster != self.cluster {
            return Err(Error::ForeignIdentity { identity, cluster: self.cluster });
        }
        let request = read_request(csr_der)?;
        let serial = random_serial()?;
        let not_after = Time::from_secs(now.plus(lifetime).min(self.not_after).as_secs());
        let mut params = leaf_params(identity, alt_names)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        set_validity(&mut params, now.minus(lifetimes::BACKDATE), not_after);
        let cert = params.signed_by(&request.public_key, &self.issuer).map_err(Error::Sign)?;
        Ok(Issued {
            chain: vec![cert.der().to_vec(), self.cert_der.clone()],
            serial: hex::encode(serial),
            not_after,
        })
    }
}

pub(crate) fn read_request(csr_der: &[u8]) -> Result<CertificateSigningRequestParams> {
    if csr_der.len() > MAX_CSR {
        return Err(Error::RequestTooLong(csr_der.len()));
    }
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
        .map_err(Error::ReadRequest)?;
    if request.public_key.algorithm() == &PKCS_ECDSA_P256_SHA256 {
        Ok(request)
    } else {
        Err(Error::RequestKey)
    }
}

fn root_params(cluster: ClusterId, now: Time) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("omni root {cluster}"));
    params.subject_alt_names = vec![uri(&trust_domain(cluster))];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
    set_validity(&mut params, now.minus(lifetimes::BACKDATE), now.plus(lifetimes::ROOT));
    Ok(params)
}

fn leaf_params(identity: Identity, alt_names: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&match identity.role {
        Role::Host(id) => format!("omni host {id}"),
        Role::Controller(id) => format!("omni controller {id}"),
    });
    params.subject_alt_names = vec![uri(&identity.to_string())];
    for name in alt_names {
        params.subject_alt_names.push(alt_name(name)?);
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("an identity is ASCII"))
}

fn alt_name(name: &str) -> Result<SanType> {
    let refused = || Error::AltName(name.chars().take(80).collect());
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    rustls_pki_types::DnsName::try_from(name).map_err(|_| refused())?;
    name.try_into().map(SanType::DnsName).map_err(|_| refused())
}

/// Sixteen random bytes with the first bit clear (a serial is positive) and the second set (so that DER
/// keeps all bytes and the hex form has one length).
fn random_serial() -> Result<[u8; 16]> {
    let mut serial: [u8; 16] = random()?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

/// Certificates count whole seconds; a moment before 1970 becomes 1970.
fn set_validity(params: &mut CertificateParams, from: Time, until: Time) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from.since(Time::EPOCH).as_secs());
    params.not_after = epoch + Duration::from_secs(until.since(Time::EPOCH).as_secs());
}
