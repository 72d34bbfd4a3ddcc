//! Which service stands on which. Pure.

use omni_common::domain::app::{AppSpec, Group, Namespace, NetworkMode, Service, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// The services beside it whose containers have to be there before its own can be made.
pub fn joined(service: &Service) -> BTreeSet<&ServiceName> {
    let mut joined: BTreeSet<&ServiceName> =
        service.volumes_from.keys().chain(service.links.values()).collect();
    if let NetworkMode::Service(other) = &service.network_mode {
        joined.insert(other);
    }
    for namespace in [&service.pid, &service.ipc, &service.uts].into_iter().flatten() {
        if let Namespace::Service(other) = namespace {
            joined.insert(other);
        }
    }
    joined
}

/// How many services each service of the group stands on, one upon the other.
///
/// # Errors
/// A sentence that names a service which, in the end, waits for itself.
pub fn heights<'a>(spec: &'a AppSpec, group: &'a Group) -> Result<BTreeMap<&'a ServiceName, u32>, String> {
    let mut heights = BTreeMap::new();
    for _ in 0..=group.services.len() {
        let mut open = None;
        for name in &group.services {
            if heights.contains_key(name) {
                continue;
            }
            match height(spec, group, name, &heights) {
                Some(height) => drop(heights.insert(name, height)),
                None => open = Some(name),
            }
        }
        match open {
            None => return Ok(heights),
            Some(name) if heights.len() == group.services.len() => return Err(circle(name)),
            Some(_) => {}
        }
    }
    let waits = group.services.iter().find(|name| !heights.contains_key(name));
    waits.map_or(Ok(heights), |name| Err(circle(name)))
}

fn height(
    spec: &AppSpec,
    group: &Group,
    name: &ServiceName,
    known: &BTreeMap<&ServiceName, u32>,
) -> Option<u32> {
    let Some(service) = spec.services.get(name) else { return Some(0) };
    let below =
        service.depends_on.keys().chain(joined(service)).filter(|other| group.services.contains(*other));
    below.map(|other| known.get(other).copied()).try_fold(0, |highest, one| Some(highest.max(one? + 1)))
}

fn circle(name: &ServiceName) -> String {
    format!("service {name} waits for itself through what it depends on")
}
