//! What the planner is given. Built by the caller from its state; nothing here is stored or sent.

mod allocation;
mod constraint;
mod gpu;
mod group;
mod host;
mod policy;
mod port;

pub use allocation::{Allocation, AllocationState, Wanted};
pub use constraint::{Attribute, Constraint, InvalidConstraint, Operator};
pub use gpu::{Gpu, GpuCount, GpuDemand};
pub use group::{
    Failover, Group, Image, MAX_REPLICAS, Mode, Priority, Renewal, Reservations, Tier, Toleration, Volume,
};
pub use host::{Host, HostState, Platform, Role, Taint};
pub use policy::{Policy, Rebalance, Storm};
pub use port::{Port, Protocol};

/// Everything a plan follows from.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    /// All hosts, those that are down included.
    pub hosts: Vec<Host>,
    /// What should run. An allocation whose group is not here is stopped.
    pub groups: Vec<Group>,
    /// What was placed, from its first moment until it has stopped and its record is dropped.
    pub allocations: Vec<Allocation>,
    /// Limits, and what an operator asked for.
    pub policy: Policy,
}
