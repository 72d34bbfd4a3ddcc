//! Away from hosts where this slot failed.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// More than any spreading of a few instances is worth, and less than where the data is.
const EACH: i64 = 20_000;

pub(super) struct FailuresScore;

impl Score for FailuresScore {
    fn name(&self) -> &'static str {
        "failures"
    }

    fn scope(&self) -> Scope {
        Scope::Host
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        let here = ask.group.failures(ask.slot).iter().filter(|host| **host == view.host.id).count();
        -EACH * i64::try_from(here).unwrap_or(i64::MAX / EACH)
    }
}
