//! An app that was a compose project goes on with the project's things. Pure.

use omni_common::domain::app::{
    Adopted, AppSpec, DataSource, HostMount, MountSource, NetworkMode, ProjectContent,
};

/// First part of an app's own path of something beside its project folder; see the compose reader.
const ABOVE: &str = ".above/";

/// Volumes and networks get the names that compose gave them, and folders of the project stay where they are on its host.
pub(in super::super) fn settle(spec: &mut AppSpec) {
    let Some(adopted) = spec.adopted.clone() else { return };
    let joins_default = spec.services.values().any(|service| {
        service.network_mode == NetworkMode::Networks
            && (service.networks.is_empty() || service.networks.contains_key("default"))
    });
    if joins_default {
        spec.networks.entry("default".to_owned()).or_default();
    }
    let named = |name: &str| Some(format!("{}_{name}", adopted.project));
    for (name, network) in &mut spec.networks {
        if !network.external && network.name.is_none() {
            network.name = named(name);
        }
    }
    for (name, volume) in &mut spec.volumes {
        if !volume.external && volume.name.is_none() {
            volume.name = named(name);
        }
    }
    folders(spec, &adopted);
}

fn folders(spec: &mut AppSpec, adopted: &Adopted) {
    let Some(folder) = &adopted.folder else { return };
    for mount in spec.services.values_mut().flat_map(|service| &mut service.mounts) {
        let MountSource::Project(project) = &mount.source else { continue };
        if matches!(project.content, ProjectContent::OnHost | ProjectContent::Seed(_)) {
            mount.source = MountSource::Host(HostMount {
                path: on_host(folder, &project.path),
                create: true,
                propagation: project.propagation.clone(),
                selinux: project.selinux.clone(),
            });
        }
    }
    for group in spec.groups.values_mut() {
        let moved = |data: &DataSource| match data {
            DataSource::Project(path) => DataSource::Host(on_host(folder, path)),
            other => other.clone(),
        };
        group.data = group.data.iter().map(moved).collect();
    }
}

/// Where a path of the app is on the host that the project ran on.
fn on_host(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let mut rest = path;
    if let Some((up, below)) = path.strip_prefix(ABOVE).map(|tail| tail.split_once('/').unwrap_or((tail, "")))
    {
        let up: usize = up.parse().unwrap_or(0);
        parts.truncate(parts.len().saturating_sub(up));
        rest = below;
    }
    parts.extend(rest.split('/').filter(|part| !part.is_empty()));
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_host() {
        for (path, expected) in [
            ("data", "/srv/shop/data"),
            ("", "/srv/shop"),
            (".above/1/other/f", "/srv/other/f"),
            (".above/2", "/"),
            (".above/9/x", "/x"),
        ] {
            assert_eq!(on_host("/srv/shop", path), expected);
        }
    }
}
