//! This host's certificate: in use, on disk, and the next one.

use crate::ledger::{Ledger, StoredIdentity};
use crate::session::{Credentials, Proof, RenewError};
use async_trait::async_trait;
use omni_certs::{CaFingerprint, KeyPair, MeshTls};
use omni_common::clock::Time;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The certificate in `tls`, kept in the data folder. Each renewal comes with a fresh key, so a key that was
/// stolen unnoticed is worth a day at most.
pub struct StoredCredentials {
    ledger: Arc<Ledger>,
    tls: MeshTls,
    inner: Mutex<Inner>,
    saving: tokio::sync::Mutex<()>,
}

struct Inner {
    identity: StoredIdentity,
    next: Option<KeyPair>,
}

impl StoredCredentials {
    /// The identity that `tls` was made from.
    pub fn new(ledger: Arc<Ledger>, tls: MeshTls, identity: StoredIdentity) -> Self {
        Self {
            ledger,
            tls,
            inner: Mutex::new(Inner { identity, next: None }),
            saving: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Credentials for StoredCredentials {
    fn validity(&self) -> (Time, Time) {
        let leaf = self.tls.leaf();
        (leaf.not_before, leaf.not_after)
    }

    fn request(&self) -> Result<Vec<u8>, RenewError> {
        let key = KeyPair::generate()?;
        let csr = key.csr()?;
        self.lock().next = Some(key);
        Ok(csr)
    }

    fn prove(&self) -> Result<Proof, RenewError> {
        let mut inner = self.lock();
        let key = KeyPair::from_pkcs8(&inner.identity.key)?;
        let chain = &inner.identity.chain;
        let (Some(certificate), Some(root)) = (chain.first().cloned(), chain.last()) else {
            return Err(omni_certs::Error::EmptyChain.into());
        };
        let proof = Proof { csr: key.csr()?, certificate, ca: CaFingerprint::of(root) };
        inner.next = Some(key);
        Ok(proof)
    }

    fn accept(&self, chain: Vec<Vec<u8>>) -> Result<(), RenewError> {
        let mut inner = self.lock();
        let key = inner.next.as_ref().ok_or(RenewError::Unasked)?;
        // It must be for the same host, under the same root, and for the key that was sent.
        self.tls.replace(key.pkcs8(), &chain)?;
        inner.identity.key = key.pkcs8().to_vec();
        inner.identity.chain = chain;
        inner.next = None;
        Ok(())
    }

    async fn save(&self) {
        let _one_at_a_time = self.saving.lock().await;
        let (ledger, identity) = (self.ledger.clone(), self.lock().identity.clone());
        let saved = tokio::task::spawn_blocking(move || ledger.save_identity(&identity)).await;
        if let Ok(Err(error)) = saved {
            tracing::error!(error = &error as &dyn std::error::Error, "certificate in use but not saved");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use omni_certs::testing::{self, HOST, TestCluster};
    use omni_certs::{Identity, lifetimes};
    use omni_common::clock::{Clock, SystemClock};
    use omni_common::ids::HostId;

    struct Fixture {
        _root: tempfile::TempDir,
        cluster: TestCluster,
        ledger: Arc<Ledger>,
        own: StoredCredentials,
    }

    fn fixture() -> Fixture {
        let root = tempfile::tempdir().expect("a temporary folder");
        let cluster = testing::cluster();
        let identity = Identity::host(cluster.cluster, HOST);
        let (key, chain) =
            testing::credentials(&cluster.authority, identity, SystemClock.now(), lifetimes::HOST);
        let stored = StoredIdentity { cluster: cluster.cluster, host: HOST, key, chain };
        let ledger = Arc::new(Ledger::create(root.path()).expect("fresh folder"));
        ledger.save_identity(&stored).expect("disk works");
        let tls = MeshTls::new(&stored.key, &stored.chain).expect("freshly issued");
        let own = StoredCredentials::new(ledger.clone(), tls, stored);
        Fixture { _root: root, cluster, ledger, own }
    }

    impl Fixture {
        fn issue(&self, csr: &[u8], host: HostId) -> Vec<Vec<u8>> {
            let identity = Identity::host(self.cluster.cluster, host);
            let now = SystemClock.now().plus(std::time::Duration::from_secs(60));
            self.cluster
                .authority
                .issue(csr, identity, &[], now, lifetimes::HOST)
                .expect("a valid request")
                .chain
        }
    }

    #[tokio::test]
    async fn a_renewed_certificate_is_in_use_and_on_disk() {
        let fixture = fixture();
        let before = fixture.own.validity();
        let csr = fixture.own.request().expect("keys can be made");
        fixture.own.accept(fixture.issue(&csr, HOST)).expect("it fits");
        assert!(fixture.own.validity() > before);
        fixture.own.save().await;
        let saved = fixture.ledger.identity().expect("whole").expect("there");
        let tls = MeshTls::new(&saved.key, &saved.chain).expect("key and chain belong together");
        assert_eq!(tls.leaf().serial, fixture.own.tls.leaf().serial);
    }

    #[test]
    fn the_proof_is_made_with_the_key_of_the_certificate() {
        let fixture = fixture();
        let proof = fixture.own.prove().expect("the key is there");
        let root = fixture.cluster.authority.cert_der();
        let leaf = omni_certs::prove_return(&proof.csr, &proof.certificate, root).expect("it proves");
        assert_eq!(leaf.serial, fixture.own.tls.leaf().serial);
        assert_eq!(proof.ca, CaFingerprint::of(root));
        fixture.own.accept(fixture.issue(&proof.csr, HOST)).expect("the answer fits");
        assert_ne!(leaf.serial, fixture.own.tls.leaf().serial);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let fixture = fixture();
        let serial = fixture.own.tls.leaf().serial;
        let other = KeyPair::generate().expect("keys can be made").csr().expect("it signs");
        assert!(matches!(fixture.own.accept(fixture.issue(&other, HOST)), Err(RenewError::Unasked)));
        let csr = fixture.own.request().expect("keys can be made");
        assert!(fixture.own.accept(fixture.issue(&other, HOST)).is_err(), "another key");
        assert!(fixture.own.accept(fixture.issue(&csr, HostId::from_u128(9))).is_err(), "another host");
        assert!(fixture.own.accept(Vec::new()).is_err());
        assert_eq!(fixture.own.tls.leaf().serial, serial);
        fixture.own.accept(fixture.issue(&csr, HOST)).expect("the right answer still counts");
    }
}
