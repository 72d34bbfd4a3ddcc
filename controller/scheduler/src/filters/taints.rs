//! A taint keeps every group away that does not tolerate it.

use super::{Filter, Scope, Shortfall, View};
use crate::index::Ask;
use crate::problem::Taint;

pub(super) struct TaintsFilter;

fn untolerated<'a>(ask: &'a Ask<'_>, view: View<'a>) -> impl Iterator<Item = &'a Taint> {
    let tolerations = &ask.group.tolerations;
    view.host.taints.iter().filter(move |taint| !tolerations.iter().any(|one| one.covers(taint)))
}

impl Filter for TaintsFilter {
    fn name(&self) -> &'static str {
        "taints"
    }

    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn check(&self, ask: &Ask<'_>, view: View<'_>) -> Result<(), Shortfall> {
        match untolerated(ask, view).count() {
            0 => Ok(()),
            count => Err(Shortfall(count as u64)),
        }
    }

    fn describe(&self, ask: &Ask<'_>, view: View<'_>) -> String {
        let taints: Vec<String> = untolerated(ask, view).map(|taint| format!("`{taint}`")).collect();
        format!("does not tolerate the taint {}", taints.join(", "))
    }
}
