//! To hosts with more room, so that the mesh fills evenly.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// Points that each of the 255 steps of load costs: about 1,000 between an empty host and a full one.
const STEP: i64 = 4;

/// The points of a host of this load.
pub(super) fn at(load: u8) -> i64 {
    -STEP * i64::from(load)
}

pub(super) struct BalanceScore;

impl Score for BalanceScore {
    fn name(&self) -> &'static str {
        "balance"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, _: &Ask<'_>, view: View<'_>) -> i64 {
        at(view.room.load())
    }
}
