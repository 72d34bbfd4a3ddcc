//! Ports that the group publishes have to be free.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;
use crate::problem::Port;

pub(super) struct PortsFilter;

fn taken<'a>(ask: &'a Ask<'_>, view: View<'a>) -> impl Iterator<Item = &'a Port> {
    ask.group.ports.iter().filter(move |port| {
        let held = view.host.foreign_ports.iter().chain(view.room.ports());
        held.into_iter().any(|held| held.clashes(port))
    })
}

impl Filter for PortsFilter {
    fn name(&self) -> &'static str {
        "ports"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        match taken(ask, view).count() {
            0 => Ok(()),
            count => Err(Shortfall(count as u64)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let ports: Vec<String> = taken(ask, view).map(ToString::to_string).collect();
        format!("port {} is taken", ports.join(", "))
    }
}
