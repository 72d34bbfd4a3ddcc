//! What cannot reach across groups, because it cannot reach across hosts.

use super::Drafts;
use crate::fault::FaultKind;
use crate::read::{DEFAULT, Draft};
use crate::report::Report;
use omni_common::domain::app::{DependsCondition, Group, GroupName, Namespace, NetworkMode, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

type Groups = BTreeMap<GroupName, Group>;

/// Checks every service against the groups.
pub(super) fn check(groups: &Groups, drafts: &Drafts, report: &mut Report) {
    if groups.len() < 2 {
        return;
    }
    let home: BTreeMap<&ServiceName, &GroupName> = groups
        .iter()
        .flat_map(|(name, group)| group.services.iter().map(move |service| (service, name)))
        .collect();
    for (name, draft) in drafts {
        depends(name, draft, &home, report);
        bindings(name, draft, &home, report);
    }
    shared(drafts, &home, report);
}

type Home<'a> = BTreeMap<&'a ServiceName, &'a GroupName>;

fn depends(name: &ServiceName, draft: &Draft, home: &Home<'_>, report: &mut Report) {
    for (other, dependency) in &draft.service.depends_on {
        if home.get(name) == home.get(other) {
            continue;
        }
        let key = format!("{}.depends_on.{other}", draft.path);
        if dependency.condition == DependsCondition::Started {
            let message =
                format!("`{other}` is in another group, perhaps on another host: it only starts first");
            report.note(draft.place("depends_on"), &key, message);
        } else {
            let message = format!(
                "`{other}` is in another group, perhaps on another host, whose health cannot be waited for"
            );
            let hint = format!(
                "put both into one group with `x-omni.group`, or wait only for `service_started` of `{other}`"
            );
            report.fault(draft.place("depends_on"), &key, FaultKind::Conflict, message, &hint);
        }
    }
}

fn bindings(name: &ServiceName, draft: &Draft, home: &Home<'_>, report: &mut Report) {
    let service = &draft.service;
    let mut bound: Vec<(&str, &ServiceName)> = Vec::new();
    bound.extend(service.links.values().map(|other| ("links", other)));
    bound.extend(service.volumes_from.keys().map(|other| ("volumes_from", other)));
    if let NetworkMode::Service(other) = &service.network_mode {
        bound.push(("network_mode", other));
    }
    for (key, namespace) in [("pid", &service.pid), ("ipc", &service.ipc)] {
        if let Some(Namespace::Service(other)) = namespace {
            bound.push((key, other));
        }
    }
    for (key, other) in bound {
        if home.get(name) != home.get(other) {
            let message = format!("`{other}` is in another group, perhaps on another host");
            let at = draft.place(key);
            let key = format!("{}.{key}", draft.path);
            report.fault(
                at,
                &key,
                FaultKind::Conflict,
                message,
                "put both into one group with `x-omni.group`",
            );
        }
    }
}

/// Volumes and networks that several groups name are one on each host, not one for all.
fn shared(drafts: &Drafts, home: &Home<'_>, report: &mut Report) {
    let mut by_name: BTreeMap<(&str, &str), BTreeSet<&GroupName>> = BTreeMap::new();
    for (name, draft) in drafts {
        let Some(group) = home.get(name) else { continue };
        for network in draft.service.networks.keys() {
            by_name.entry(("networks", network)).or_default().insert(group);
        }
        for volume in super::data(&draft.service) {
            if let omni_common::domain::app::DataSource::Volume(_) = &volume
                && let Some(volume) =
                    draft.service.mounts.iter().find_map(|mount| volume_name(mount, &volume))
            {
                by_name.entry(("volumes", volume)).or_default().insert(group);
            }
        }
    }
    for ((section, name), groups) in by_name.into_iter().filter(|(_, groups)| groups.len() > 1) {
        let groups: Vec<String> = groups.iter().map(|group| format!("`{group}`")).collect();
        let what = if section == "volumes" {
            "each has its own data"
        } else if name == DEFAULT {
            "their services do not find each other by name"
        } else {
            "through it they do not find each other by name"
        };
        let message = format!("the groups {} are placed on their own: {what}", groups.join(", "));
        report.note(crate::report::At::default(), &format!("{section}.{name}"), message);
    }
}

fn volume_name<'a>(
    mount: &'a omni_common::domain::app::Mount,
    data: &omni_common::domain::app::DataSource,
) -> Option<&'a str> {
    use omni_common::domain::app::{DataSource, MountSource};
    match (&mount.source, data) {
        (MountSource::Volume(volume), DataSource::Volume(name)) => {
            volume.volume.as_deref().filter(|volume| *volume == name)
        }
        _ => None,
    }
}
