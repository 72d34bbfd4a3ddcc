//! Away from hosts that run some of the group already.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// Twice what a zone costs: hosts are lost more often than zones.
const EACH: i64 = 4_000;

pub(super) struct CrowdingScore;

impl Score for CrowdingScore {
    fn name(&self) -> &'static str {
        "crowding"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        -EACH * i64::from(ask.placed.on_host(view.host.id))
    }
}
