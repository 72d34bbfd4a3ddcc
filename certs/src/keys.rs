//! Key pairs of members, and the requests that ask for a certificate.

use crate::error::{Error, Result};
use rcgen::{CertificateParams, DistinguishedName, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

/// An ECDSA P-256 key pair. The private half never leaves the machine that made it.
pub struct KeyPair {
    inner: rcgen::KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl KeyPair {
    /// A fresh pair.
    pub fn generate() -> Result<Self> {
        rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Self::from_inner)
            .map_err(Error::GenerateKey)
    }

    /// Reads a PKCS#8 key, as [`KeyPair::pkcs8`] gives it.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        read_signing_key(der).map(Self::from_inner)
    }

    /// The private key, PKCS#8 DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// A PKCS#10 request, DER. It names nobody: the authority decides who the key belongs to.
    pub fn csr(&self) -> Result<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.inner).map_err(Error::MakeRequest)?;
        Ok(request.der().to_vec())
    }

    fn from_inner(inner: rcgen::KeyPair) -> Self {
        let pkcs8 = Zeroizing::new(inner.serialize_der());
        Self { inner, pkcs8 }
    }
}

/// Reads an ECDSA P-256 key for signing.
pub(crate) fn read_signing_key(pkcs8: &[u8]) -> Result<rcgen::KeyPair> {
    rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ECDSA_P256_SHA256)
        .map_err(Error::ReadKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_bytes() {
        let key = KeyPair::generate().expect("random source works");
        let again = KeyPair::from_pkcs8(key.pkcs8()).expect("own bytes");
        assert_eq!(again.pkcs8(), key.pkcs8());
        assert!(!again.csr().expect("a valid key signs").is_empty());
    }

    #[test]
    fn other_bytes_are_no_key() {
        assert!(matches!(KeyPair::from_pkcs8(b"not a key"), Err(Error::ReadKey(_))));
        assert!(KeyPair::from_pkcs8(&[]).is_err());
    }
}
