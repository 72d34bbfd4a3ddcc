//! Hosts with GPUs are kept for those who need them.

use super::Score;
use crate::filters::{Scope, View};
use crate::index::Ask;

/// About a third of the largest difference in load: without other room, such a host is used.
const WASTED: i64 = 300;

pub(super) struct GpusScore;

impl Score for GpusScore {
    fn name(&self) -> &'static str {
        "gpus"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn points(&self, ask: &Ask<'_>, view: View<'_>) -> i64 {
        let wasted = ask.group.gpus.is_none() && !view.host.gpus.is_empty();
        if wasted { -WASTED } else { 0 }
    }
}
