//! What of an app moves with it to another host: everything that its services keep, as the files that it is.
//!
//! Backups dump databases and leave out what can be made anew; a move does neither. A server that was stopped well goes on
//! from its own files, and a cache or an excluded folder is as much a part of the app as anything else.

use super::items::named;
use omni_common::domain::app::{AppSpec, DataSource, Group, MountSource};
use omni_common::domain::backup::{Item, MAX_ITEMS, Quiesce, Take};
use std::collections::{BTreeMap, BTreeSet};

/// By group; groups that keep nothing are absent.
pub(super) fn moved(spec: &AppSpec) -> BTreeMap<String, Vec<Item>> {
    let groups = spec.groups.iter().map(|(name, group)| (name.to_string(), of_group(spec, group)));
    groups.filter(|(_, items)| !items.is_empty()).collect()
}

fn of_group(spec: &AppSpec, group: &Group) -> Vec<Item> {
    let mut sources = group.data.clone();
    let services = group.services.iter().filter_map(|name| spec.services.get(name));
    // What is only read was put there by somebody, and is not there on another host.
    let volumes = services.flat_map(|service| &service.mounts).filter_map(|mount| match &mount.source {
        MountSource::Volume(volume) => volume.volume.clone(),
        _ => None,
    });
    let own = |name: &String| spec.volumes.get(name).is_none_or(|volume| !volume.external);
    sources.extend(volumes.filter(own).map(DataSource::Volume));
    let mut names = BTreeSet::new();
    let items = sources.into_iter().filter_map(|source| {
        let (name, take) = match source {
            DataSource::Volume(volume) => {
                let take = Take::Volume { volume: volume.clone(), include: Vec::new(), exclude: Vec::new() };
                (format!("volume-{volume}"), take)
            }
            DataSource::Project(path) => host_path(format!("./{path}")),
            DataSource::Host(path) => host_path(path),
        };
        Some(Item { name: named(&name, &mut names)?, take, quiesce: Quiesce::None })
    });
    items.take(MAX_ITEMS).collect()
}

fn host_path(path: String) -> (String, Take) {
    (format!("path-{path}"), Take::HostPath { path, exclude: Vec::new() })
}
