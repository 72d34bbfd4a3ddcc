//! A cordoned host gets nothing new.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct CordonFilter;

impl Filter for CordonFilter {
    fn name(&self) -> &'static str {
        "cordon"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, _: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        if view.host.cordoned { Err(Shortfall(1)) } else { Ok(()) }
    }

    fn describe(&self, _: &Ask<'_>, _: View<'_>) -> String {
        "the host is cordoned".to_owned()
    }
}
