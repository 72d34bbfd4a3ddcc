//! Away from regions, zones or labels where many of the group are.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

pub(super) struct SpreadScore;

impl Score for SpreadScore {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        -ask.placed.crowding(view.host)
    }
}
