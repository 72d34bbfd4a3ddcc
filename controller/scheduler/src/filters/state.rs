//! Only hosts that can be counted on get anything new.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;
use crate::problem::HostState;

pub(super) struct StateFilter;

impl Filter for StateFilter {
    fn name(&self) -> &'static str {
        "state"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, _: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        // A late heartbeat is nearer to fitting than a host that is gone.
        match view.host.state {
            HostState::Up => Ok(()),
            HostState::Suspect => Err(Shortfall(1)),
            HostState::Pending => Err(Shortfall(2)),
            HostState::Leaving => Err(Shortfall(3)),
            HostState::Down { .. } => Err(Shortfall(4)),
        }
    }

    fn describe(&self, _: &Ask<'_>, view: View<'_>) -> String {
        format!("the host is {}", view.host.state)
    }
}
