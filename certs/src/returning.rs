//! A member that was away for longer than its certificate held.

use crate::authority::read_request;
use crate::error::{Error, Result};
use crate::leaf::{LeafInfo, leaf_info};
use crate::tls::issued_by;
use rcgen::PublicKeyData;
use sha2::{Digest, Sha256};

/// Who asks to be taken back: the root issued `certificate_der`, which may have ended, and `csr_der` is signed with
/// its key, so whoever made the request holds that key.
///
/// Says nothing about whether the member is still one.
///
/// # Errors
/// When the certificate is not the root's, or the request is not for its key.
pub fn prove_return(csr_der: &[u8], certificate_der: &[u8], root_der: &[u8]) -> Result<LeafInfo> {
    let leaf = leaf_info(certificate_der)?;
    issued_by(certificate_der, root_der, leaf.not_after)?;
    let request = read_request(csr_der)?;
    let key: [u8; 32] = Sha256::digest(request.public_key.subject_public_key_info()).into();
    if key == leaf.public_key { Ok(leaf) } else { Err(Error::KeyMismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, HOST};
    use crate::{Identity, KeyPair, lifetimes};
    use omni_common::clock::{Clock, SystemClock, Time};
    use std::time::Duration;

    fn long_ago() -> Time {
        SystemClock.now().minus(Duration::from_secs(90 * 86_400))
    }

    #[test]
    fn an_ended_certificate_and_its_key_are_enough() {
        let cluster = testing::cluster();
        let identity = Identity::host(cluster.cluster, HOST);
        let (key, chain) = testing::credentials(&cluster.authority, identity, long_ago(), lifetimes::HOST);
        let csr = KeyPair::from_pkcs8(&key).expect("own bytes").csr().expect("it signs");
        let leaf =
            prove_return(&csr, &chain[0], cluster.authority.cert_der()).expect("the key's holder asks");
        assert_eq!(leaf.identity, identity);
        assert!(leaf.not_after < SystemClock.now());
    }

    #[test]
    fn anything_less_is_not() {
        let cluster = testing::cluster();
        let identity = Identity::host(cluster.cluster, HOST);
        let (key, chain) = testing::credentials(&cluster.authority, identity, long_ago(), lifetimes::HOST);
        let root = cluster.authority.cert_der();
        let csr = KeyPair::from_pkcs8(&key).expect("own bytes").csr().expect("it signs");
        let thief = KeyPair::generate().expect("random source works").csr().expect("it signs");
        assert!(
            matches!(prove_return(&thief, &chain[0], root), Err(Error::KeyMismatch)),
            "a copied certificate"
        );
        let other = testing::cluster();
        assert!(prove_return(&csr, &chain[0], other.authority.cert_der()).is_err(), "another cluster's root");
        assert!(prove_return(&csr, root, root).is_err(), "the root is no member");
        let mut torn = csr.clone();
        *torn.last_mut().expect("not empty") ^= 1;
        assert!(prove_return(&torn, &chain[0], root).is_err(), "a request whose signature is wrong");
        assert!(prove_return(&[], &chain[0], root).is_err());
        assert!(prove_return(&csr, &[], root).is_err());
    }
}
