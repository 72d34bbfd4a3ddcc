//! An exclusive group runs only where its data is.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct DataFilter;

impl Filter for DataFilter {
    fn name(&self) -> &'static str {
        "data"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        if !ask.bound_by_data() {
            return Ok(());
        }
        match ask.group.data(ask.slot).filter(|(_, holder)| *holder != view.host.id).count() {
            0 => Ok(()),
            count => Err(Shortfall(count as u64)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let missing = ask.group.data(ask.slot).filter(|(_, holder)| *holder != view.host.id);
        let names: Vec<&str> = missing.map(|(volume, _)| volume).collect();
        format!("its data (volume {}) is on another host", names.join(", "))
    }
}
