//! The cluster and its controllers.

use omni_common::clock::Time;
use omni_common::ids::{ClusterId, ControllerId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How host failure is detected (DESIGN 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessConfig {
    /// A host sends a heartbeat this often, milliseconds.
    pub heartbeat_ms: u32,
    /// Without a heartbeat for this long a host is suspect, milliseconds.
    pub suspect_ms: u32,
    /// A lease runs this long from the sending of the acknowledged heartbeat, milliseconds.
    pub lease_ms: u32,
    /// A host is down this long after its lease could have ended; covers clocks that run at different rates.
    pub margin_ms: u32,
}

impl Default for LivenessConfig {
    fn default() -> Self {
        Self { heartbeat_ms: 1_000, suspect_ms: 3_000, lease_ms: 6_000, margin_ms: 2_000 }
    }
}

impl LivenessConfig {
    /// Without a heartbeat for this long a host is down, milliseconds.
    pub fn down_ms(&self) -> u32 {
        self.lease_ms.saturating_add(self.margin_ms)
    }
}

/// Times of failure detection that were in force before shorter ones: leases of then may be out for as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseFloor {
    /// [`LivenessConfig::down_ms`] of then.
    pub down_ms: u32,
    /// When they were replaced.
    pub at: Time,
}

impl LeaseFloor {
    /// Leases that were granted at the last moment are over this long after it, by any clock that can be trusted at all.
    const OVER: Duration = Duration::from_secs(600);

    /// How long a silent host may hold a lease of then, as seen at `now`.
    pub fn at(&self, now: Time) -> Duration {
        let down = Duration::from_millis(self.down_ms.into());
        if now < self.at.plus(down).plus(Self::OVER) { down } else { Duration::ZERO }
    }
}

/// One omni installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id: the trust domain of its certificates.
    pub id: ClusterId,
    /// When it was made.
    pub created: Time,
    /// Root certificate, DER.
    pub ca_cert: Vec<u8>,
    /// Root key, sealed under the cluster key.
    pub ca_key_sealed: Vec<u8>,
    /// Failure detection defaults.
    pub liveness: LivenessConfig,
}

/// One controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Its number.
    pub id: ControllerId,
    /// Its name, unique among controllers.
    pub name: String,
    /// `host:port` of its QUIC endpoint.
    pub quic: String,
    /// `host:port` of its API.
    pub api: String,
    /// Region.
    pub region: Option<String>,
    /// Zone.
    pub zone: Option<String>,
    /// Version it last started with.
    pub version: String,
    /// When it joined.
    pub joined: Time,
    /// Its certificate.
    pub certificate: Option<CertificateRecord>,
}

/// A certificate that the cluster issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// Serial number, hex.
    pub serial: String,
    /// When it was issued.
    pub issued: Time,
    /// When it ends.
    pub not_after: Time,
}
