//! Reservations have to fit into what is free: capacity, less foreign use, less what allocations reserve.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;
use crate::units;

pub(super) struct ResourcesFilter;

/// A shortfall relative to what is asked for, so that CPUs and bytes compare; in parts of a million.
fn relative(need: u64, free: u64) -> u64 {
    let missing = u128::from(need.saturating_sub(free)) * 1_000_000;
    u64::try_from(missing.div_ceil(u128::from(need.max(1)))).unwrap_or(u64::MAX)
}

impl Filter for ResourcesFilter {
    fn name(&self) -> &'static str {
        "resources"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        let (need, free) = (ask.group.reservations, view.room.free(view.host));
        if need.millicores <= free.millicores && need.memory <= free.memory {
            return Ok(());
        }
        Err(Shortfall(relative(need.millicores, free.millicores) + relative(need.memory, free.memory)))
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let (need, free) = (ask.group.reservations, view.room.free(view.host));
        let mut parts = Vec::new();
        if need.memory > free.memory {
            let (need, free) = (units::bytes(need.memory), units::bytes(free.memory));
            parts.push(format!("needs {need} of memory, {free} is free"));
        }
        if need.millicores > free.millicores {
            let (need, free) = (units::cpus(need.millicores), units::cpus(free.millicores));
            parts.push(format!("needs {need}, {free} free"));
        }
        parts.join("; ")
    }
}
