//! A host that is being emptied gets nothing new.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct DrainFilter;

impl Filter for DrainFilter {
    fn name(&self) -> &'static str {
        "drain"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, _: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        if view.host.draining { Err(Shortfall(1)) } else { Ok(()) }
    }

    fn describe(&self, _: &Ask<'_>, _: View<'_>) -> String {
        "the host is being drained".to_owned()
    }
}
