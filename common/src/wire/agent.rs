//! The session of an agent with its gateway.

use super::{AllocationReport, Desired, DesiredRuns, RunReport};
use crate::clock::Time;
use crate::domain::backup::RunProgress;
use crate::domain::{Container, HostFacts, HostImage, HostSample};
use crate::ids::{BootId, ControllerId, HostId, SessionId};
use serde::{Deserialize, Serialize};

/// First frame of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest protocol the agent speaks.
    pub protocol_min: u16,
    /// Newest protocol the agent speaks.
    pub protocol_max: u16,
    /// The agent's version, for people.
    pub version: String,
    /// Optional abilities, by name; unknown ones are ignored.
    pub capabilities: Vec<String>,
    /// This start of the agent process.
    pub boot: BootId,
    /// Version of the controller list that the agent holds; zero for none.
    pub controllers_version: u64,
}

/// Agent to gateway, on the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentFrame {
    /// First frame.
    Hello(Hello),
    /// Each second.
    Heartbeat {
        /// Counts up from one within a session.
        seq: u64,
        /// The agent's monotonic clock at sending, milliseconds since its process started.
        sent_ms: u64,
        /// Newest generation of the desired state the agent holds.
        generation: u64,
    },
    /// Asks for a fresh certificate over the live session.
    Renew {
        /// PKCS#10 request, DER.
        csr: Vec<u8>,
    },
    /// The agent stops on purpose.
    Leaving,
    /// What became of allocations.
    Allocations {
        /// The first frame of a full account: allocations not named until `more` ends are unknown to the host.
        all: bool,
        /// At most [`MAX_REPORTS_PER_FRAME`].
        reports: Vec<AllocationReport>,
        /// More frames of the same account follow.
        more: bool,
    },
    /// A run has begun, or is over; to gateways with [`CAPABILITY_RUNS`](super::CAPABILITY_RUNS).
    Run(Box<RunReport>),
}

/// One controller as an agent needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerAddress {
    /// Its id, which its certificate must carry.
    pub id: ControllerId,
    /// `host:port` of its QUIC endpoint.
    pub quic: String,
    /// Region, for choosing a near one.
    pub region: Option<String>,
}

/// The controllers of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerList {
    /// Grows with each change.
    pub version: u64,
    /// In id order.
    pub controllers: Vec<ControllerAddress>,
}

/// The gateway's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The settled protocol.
    pub protocol: u16,
    /// The controller's version, for people.
    pub version: String,
    /// Optional abilities of the gateway.
    pub capabilities: Vec<String>,
    /// Who the gateway is.
    pub controller: ControllerId,
    /// Who the agent is, by its certificate.
    pub host: HostId,
    /// This session.
    pub session: SessionId,
    /// Send a heartbeat this often, milliseconds.
    pub heartbeat_ms: u32,
    /// Sample this often while nobody watches, milliseconds.
    pub sample_ms: u32,
    /// The controller's wall clock.
    pub now: Time,
    /// Where else to go.
    pub controllers: ControllerList,
}

/// A promise of the leader, relayed by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Echo of the newest heartbeat's `sent_ms` that the leader acknowledged: the lease runs from there.
    pub sent_ms: u64,
    /// How long it runs, milliseconds.
    pub ttl_ms: u32,
}

/// Gateway to agent, on the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GatewayFrame {
    /// First frame.
    Welcome(Welcome),
    /// Answers each heartbeat.
    HeartbeatAck {
        /// The heartbeat's number.
        seq: u64,
        /// Newest lease, absent until the leader has answered.
        lease: Option<Lease>,
        /// The controllers, when they changed since the last frame that named them.
        controllers: Option<ControllerList>,
    },
    /// A fresh certificate.
    Renewed {
        /// Leaf first, root last, DER.
        chain: Vec<Vec<u8>>,
    },
    /// The request for a certificate was turned down.
    RenewRefused {
        /// Stable word.
        code: String,
        /// For a person.
        message: String,
    },
    /// Sample this often for this long: somebody watches.
    Watch {
        /// Milliseconds between samples.
        interval_ms: u32,
        /// Milliseconds until the usual pace is taken up again.
        for_ms: u32,
    },
    /// The gateway is about to close the session.
    Goodbye {
        /// For a person.
        reason: String,
    },
    /// What the host is to run, to agents with [`CAPABILITY_RUN`](super::CAPABILITY_RUN): after the welcome, and with
    /// each change.
    Desired(Desired),
    /// What the host is to do about backups, to agents with [`CAPABILITY_RUNS`](super::CAPABILITY_RUNS): after the
    /// welcome, and with each change.
    Runs(DesiredRuns),
}

/// Agent to gateway, on the telemetry stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TelemetryFrame {
    /// The host's facts: first frame, and again whenever they change.
    Facts(HostFacts),
    /// Changes in the host's containers.
    Containers {
        /// Forget all containers known before: a full listing begins.
        reset: bool,
        /// New and changed ones, at most [`MAX_CONTAINERS_PER_FRAME`].
        upsert: Vec<Container>,
        /// Ids of those that are gone.
        removed: Vec<String>,
        /// More frames of the same listing follow.
        more: bool,
    },
    /// One reading.
    Sample(HostSample),
    /// The images that have a name, all of them whenever one changed; to gateways with
    /// [`CAPABILITY_IMAGES`](super::CAPABILITY_IMAGES).
    Images {
        /// Forget all images known before: a listing begins.
        reset: bool,
        /// At most [`MAX_IMAGES_PER_FRAME`](super::MAX_IMAGES_PER_FRAME).
        images: Vec<HostImage>,
        /// More frames of the same listing follow.
        more: bool,
    },
    /// How far the runs are that are under way, all of them, once a second while there are any; to gateways with
    /// [`CAPABILITY_RUNS`](super::CAPABILITY_RUNS).
    Runs(Vec<RunProgress>),
}

/// Keeps a frame of containers with many labels under the frame limit.
pub const MAX_CONTAINERS_PER_FRAME: usize = 64;
/// Keeps a frame of reports with their logs under the frame limit.
pub const MAX_REPORTS_PER_FRAME: usize = 128;
