//! A limit on instances of one group on one host.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct PerHostFilter;

impl Filter for PerHostFilter {
    fn name(&self) -> &'static str {
        "per-host"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        let Some(limit) = ask.group.max_per_host else { return Ok(()) };
        match ask.placed.on_host(view.host.id).checked_sub(limit) {
            None => Ok(()),
            Some(above) => Err(Shortfall(u64::from(above) + 1)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let limit = ask.group.max_per_host.unwrap_or_default();
        format!("{} of the group run there, {limit} may", ask.placed.on_host(view.host.id))
    }
}
