//! Constraints in Compose words, all of which have to hold.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;

/// Groups that name one host by its id or name do not go through classes at all, so this may look at either.
pub(super) struct ConstraintsFilter;

impl Filter for ConstraintsFilter {
    fn name(&self) -> &'static str {
        "constraints"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        match ask.group.constraints.iter().filter(|constraint| !constraint.holds(view.host)).count() {
            0 => Ok(()),
            count => Err(Shortfall(count as u64)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let broken = ask.group.constraints.iter().filter(|constraint| !constraint.holds(view.host));
        let parts: Vec<String> = broken
            .map(|constraint| {
                let value = constraint.attribute.value(view.host);
                let has = if value.is_empty() { "has none".to_owned() } else { format!("has `{value}`") };
                format!("needs {constraint}, {has}")
            })
            .collect();
        parts.join("; ")
    }
}
