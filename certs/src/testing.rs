//! A cluster for tests: an authority and certificates of members, valid by the machine's clock.

use crate::{Authority, Identity, KeyPair, MeshTls, lifetimes};
use omni_common::clock::{Clock, SystemClock, Time};
use omni_common::ids::{ClusterId, ControllerId, HostId};
use std::time::Duration;

/// The host of [`TestCluster::host`].
pub const HOST: HostId = HostId::from_u128(0x4057);
/// The controller of [`TestCluster::controller`].
pub const CONTROLLER: ControllerId = ControllerId(1);

/// An authority, and TLS for one host and one controller.
pub struct TestCluster {
    /// The root.
    pub authority: Authority,
    /// Its cluster.
    pub cluster: ClusterId,
    /// TLS of [`HOST`].
    pub host: MeshTls,
    /// TLS of [`CONTROLLER`], also valid for `localhost`, 127.0.0.1 and ::1.
    pub controller: MeshTls,
}

/// A fresh cluster.
pub fn cluster() -> TestCluster {
    let now = SystemClock.now();
    let cluster = ClusterId::mint();
    let authority = Authority::create(cluster, now).expect("the random source works");
    let host = member(&authority, Identity::host(cluster, HOST));
    let controller = member(&authority, Identity::controller(cluster, CONTROLLER));
    TestCluster { authority, cluster, host, controller }
}

impl TestCluster {
    /// TLS of another host.
    pub fn host_tls(&self, id: HostId) -> MeshTls {
        member(&self.authority, Identity::host(self.cluster, id))
    }

    /// TLS of another controller.
    pub fn controller_tls(&self, id: ControllerId) -> MeshTls {
        member(&self.authority, Identity::controller(self.cluster, id))
    }
}

/// TLS of a member, valid from now for a day.
pub fn member(authority: &Authority, identity: Identity) -> MeshTls {
    let (key, chain) = credentials(authority, identity, SystemClock.now(), lifetimes::HOST);
    MeshTls::new(&key, &chain).expect("freshly issued")
}

/// Key and chain of a member, issued at `now` for `lifetime`: for tests of certificates out of their time.
pub fn credentials(
    authority: &Authority,
    identity: Identity,
    now: Time,
    lifetime: Duration,
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let key = KeyPair::generate().expect("the random source works");
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let csr = key.csr().expect("a valid key signs");
    let issued = authority.issue(&csr, identity, &names, now, lifetime).expect("a valid request");
    (key.pkcs8().to_vec(), issued.chain)
}
