//! Images run only on the platforms they were built for.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

pub(super) struct PlatformFilter;

impl Filter for PlatformFilter {
    fn name(&self) -> &'static str {
        "platform"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        let platforms = &ask.group.platforms;
        let runs = platforms.is_empty() || platforms.iter().any(|one| one.runs_on(&view.host.platform));
        if runs { Ok(()) } else { Err(Shortfall(1)) }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let built: Vec<String> = ask.group.platforms.iter().map(ToString::to_string).collect();
        format!("is built for {}, the host is {}", built.join(", "), view.host.platform)
    }
}
