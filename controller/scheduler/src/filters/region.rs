//! A group that names a region stays in it.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct RegionFilter;

impl Filter for RegionFilter {
    fn name(&self) -> &'static str {
        "region"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        let elsewhere = ask.group.region.is_some() && ask.group.region != view.host.region;
        if elsewhere { Err(Shortfall(1)) } else { Ok(()) }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let wanted = ask.group.region.as_deref().unwrap_or_default();
        match &view.host.region {
            Some(region) => format!("needs region `{wanted}`, the host is in `{region}`"),
            None => format!("needs region `{wanted}`, the host has none"),
        }
    }
}
