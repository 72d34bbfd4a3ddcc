//! To where the slot was before.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// More than the largest difference in load, less than a zone.
const MOST: i64 = 1_200;

pub(super) struct StabilityScore;

impl Score for StabilityScore {
    fn name(&self) -> &'static str {
        "stability"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        if ask.previous == Some(view.host.id) { MOST } else { 0 }
    }
}
