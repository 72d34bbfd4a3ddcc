//! Where things run: a pure planner.
//!
//! ```text
//!  Problem ──▶ Index ──▶ plan()  ──▶ Plan { steps, waiting, notes, halted }
//!  hosts,       │   ▲    explain() ─▶ every host's verdict for one group
//!  groups,      │   │    place()   ─▶ one host for one slot
//!  allocations  │   └── apply(Change): kept up to date instead of built again
//!               └── classes of hosts that differ in nothing a group asks about, each ordered by load
//! ```
//!
//! The caller turns its state into a [`Problem`], asks for a [`Plan`], carries the steps out, and asks again when
//! anything changed. A plan that has been carried out leaves nothing to do. Nothing here reads a clock, draws a
//! random number, does I/O or logs; equal problems make equal plans, on every machine.
//!
//! What the caller promises:
//! - A host is `Down { fenced: true }` only when every lease it held is over by the margin (design, section 6).
//! - A removed host stays in the problem until it is fenced: an allocation on a host that is not in the problem
//!   counts as one that cannot run any more.
//! - The newest allocation of each slot stays in the problem, or [`Group::epoch_floor`] remembers its epoch.
//! - An allocation stays in the problem until it is stopped and its agent has said so.

mod choose;
mod explain;
mod filters;
mod hash;
mod ids;
mod index;
mod plan;
mod problem;
mod reconcile;
mod scores;
mod units;
mod values;
mod why;

#[cfg(test)]
mod tests;

pub use explain::{FilterVerdict, HostVerdict, ScorePart};
pub use ids::{AllocationId, AllocationRef, GroupKey, HostRef, Slot};
pub use index::{Change, Index};
pub use plan::{GpuGrant, Halt, Placement, Plan, Step, Waiting};
pub use problem::{
    Allocation, AllocationState, Attribute, Constraint, Failover, Gpu, GpuCount, GpuDemand, Group, Host,
    HostState, Image, InvalidConstraint, MAX_REPLICAS, Mode, Operator, Platform, Policy, Port, Priority,
    Problem, Protocol, Rebalance, Renewal, Reservations, Role, Storm, Taint, Tier, Toleration, Volume,
    Wanted,
};
pub use values::host_values;
pub use why::{Miss, NoHost, Note, PlaceWhy, StopWhy, Wait};

/// The plan for a problem. A caller that plans often keeps an [`Index`] instead.
pub fn plan(problem: &Problem) -> Plan {
    Index::new(problem.clone()).plan()
}

/// Every host's verdict for the next slot of a group; none when the group is not in the problem.
pub fn explain(problem: &Problem, group: &GroupKey) -> Option<Vec<HostVerdict>> {
    Index::new(problem.clone()).explain(group, None)
}
