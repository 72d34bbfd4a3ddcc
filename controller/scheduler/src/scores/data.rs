//! To where the data is. Exclusive groups are bound to it anyway; for others it saves a copy.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// More than any spreading of a few instances is worth.
const EACH: i64 = 50_000;

pub(super) struct DataScore;

impl Score for DataScore {
    fn name(&self) -> &'static str {
        "data"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        let here = ask.group.data(ask.slot).filter(|(_, holder)| *holder == view.host.id).count();
        EACH * i64::try_from(here).unwrap_or(i64::MAX / EACH)
    }
}
