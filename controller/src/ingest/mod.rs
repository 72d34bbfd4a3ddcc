//! Everything that comes in over QUIC.
//!
//! ```text
//! accept.rs    a connection by its protocol ─┬─ enroll.rs    a machine with a token
//!                                            ├─ session.rs   an agent: heartbeats, telemetry, renewal
//!                                            ├─ raft::serve  Raft
//!                                            └─ peers.rs     calls of other controllers
//!
//! a heartbeat:  session.rs ▶ relay.rs (batch, to the leader) ▶ duty.rs (detector, leases) ▶ session.rs
//!               liveness.rs is the pure detector; reconcilers/liveness.rs commits what it finds
//! telemetry:    session.rs ▶ observed.rs (newest of all hosts) ▶ replicas.rs (to the other controllers)
//!                                                             ▶ events.rs   (changes of containers)
//! allocations:  desired.rs (what the host is to run) ▶ session.rs ▶ agent; contents.rs answers what it asks for;
//!               session.rs ▶ reports.rs (what became of them, into the log)
//! runs:         runs.rs (what a host is to do, the orders, what came of them), by the same ways
//! images:       contents.rs ▶ images.rs (which host has it) ▶ agents.rs (its agent, here or at another gateway)
//! ```

mod accept;
mod agents;
mod contents;
mod desired;
mod duty;
mod enroll;
mod events;
mod guard;
mod images;
mod issuer;
mod liveness;
mod observed;
mod peers;
mod relay;
mod replicas;
mod reports;
mod rollup;
mod runs;
mod session;
mod sessions;

pub(crate) use accept::{Gateway, accept};
pub(crate) use agents::AgentPipe;
pub(crate) use contents::content_context;
pub(crate) use desired::push as push_desired;
pub(crate) use duty::LeaderDuty;
pub(crate) use events::ContainerEvents;
pub(crate) use guard::{Connections, cut_revoked};
pub(crate) use issuer::{Issuer, Lifetimes, ca_key_context, controller_names};
pub(crate) use observed::ObservedHosts;
pub(crate) use peers::status as peer_status;
pub(crate) use relay::Relay;
pub(crate) use replicas::Replicas;
pub(crate) use reports::Reports;
pub(crate) use runs::{Releases, RunReports};
pub(crate) use sessions::Sessions;
