//! How services hang together: nothing may wait for itself.

use super::service::Draft;
use crate::fault::FaultKind;
use crate::report::Report;
use omni_common::domain::app::{Namespace, NetworkMode, Service, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Services that have to be there before this one can start.
pub(crate) fn needed(service: &Service) -> BTreeSet<&ServiceName> {
    let mut all: BTreeSet<&ServiceName> = service.depends_on.keys().collect();
    all.extend(bound(service));
    all
}

/// Services whose containers this one cannot be without on the same host.
pub(crate) fn bound(service: &Service) -> BTreeSet<&ServiceName> {
    let mut all: BTreeSet<&ServiceName> = service.links.values().chain(service.volumes_from.keys()).collect();
    if let NetworkMode::Service(name) = &service.network_mode {
        all.insert(name);
    }
    for namespace in [&service.pid, &service.ipc].into_iter().flatten() {
        if let Namespace::Service(name) = namespace {
            all.insert(name);
        }
    }
    all
}

/// Finds services that wait for each other, and tells each cycle once.
pub(super) fn check(drafts: &BTreeMap<ServiceName, Draft>, report: &mut Report) {
    let mut done: BTreeSet<&ServiceName> = BTreeSet::new();
    for name in drafts.keys() {
        let mut trail = Vec::new();
        visit(name, drafts, &mut trail, &mut done, report);
    }
}

/// Depth first; the bound on services bounds the depth.
fn visit<'a>(
    name: &'a ServiceName,
    drafts: &'a BTreeMap<ServiceName, Draft>,
    trail: &mut Vec<&'a ServiceName>,
    done: &mut BTreeSet<&'a ServiceName>,
    report: &mut Report,
) {
    if let Some(first) = trail.iter().position(|known| *known == name) {
        let mut cycle: Vec<&str> = trail[first..].iter().map(|name| name.as_str()).collect();
        cycle.push(name.as_str());
        if let Some(draft) = drafts.get(trail[first]) {
            let key = format!("{}.depends_on", draft.path);
            let message = format!("services wait for each other: {}", cycle.join(" -> "));
            report.fault(
                draft.place("depends_on"),
                &key,
                FaultKind::Cycle,
                message,
                "take one of these dependencies out",
            );
        }
        return;
    }
    if done.contains(name) {
        return;
    }
    let Some(draft) = drafts.get(name) else { return };
    trail.push(name);
    for needed in needed(&draft.service) {
        visit(needed, drafts, trail, done, report);
    }
    trail.pop();
    done.insert(name);
}
