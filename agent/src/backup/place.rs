//! Where the things of an instance are on a host: the same names as the converger gives them. Pure.

use super::failure::Failure;
use crate::executors::converge::mounts::{name_of_volume, volume_thing};
use crate::executors::converge::names::{Own, SlotKey};
use crate::executors::converge::steps::Thing;
use omni_common::domain::app::{Group, MountSource, Service, ServiceName, VolumeSpec};
use omni_common::domain::backup::{Instance, Take};
use omni_common::domain::{Container, ContainerState};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// An instance on this host.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) instance: &'a Instance,
    pub(super) group: &'a Group,
    pub(super) key: SlotKey,
    pub(super) host: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(instance: &'a Instance, host: &'a str) -> Result<Self, Failure> {
        let group = instance.spec.groups.iter().find(|(name, _)| name.as_str() == instance.group);
        let (_, group) = group.ok_or_else(|| {
            Failure::new(
                "invalid",
                format!("the release of {} has no group {}", instance.app, instance.group),
            )
        })?;
        let key = SlotKey {
            environment: instance.environment.clone(),
            app: instance.app.clone(),
            group: instance.group.clone(),
            slot: instance.slot,
        };
        Ok(Self { instance, group, key, host })
    }

    /// `ENVIRONMENT/APP`.
    pub(super) fn app(&self) -> String {
        format!("{}/{}", self.key.environment, self.key.app)
    }

    /// `GROUP.SLOT`.
    pub(super) fn slot(&self) -> String {
        format!("{}.{}", self.key.group, self.key.slot)
    }

    /// A volume's name on the host.
    pub(super) fn volume(&self, name: &str) -> String {
        name_of_volume(&self.instance.spec, self.group, &self.key, name)
    }

    /// A volume as it is to be made.
    pub(super) fn thing(&self, name: &str) -> Thing<VolumeSpec> {
        volume_thing(&self.instance.spec, &self.key, name)
    }

    /// A service of the instance.
    pub(super) fn service(&self, name: &ServiceName) -> Result<&'a Service, Failure> {
        let known = self.group.services.contains(name).then(|| self.instance.spec.services.get(name));
        known.flatten().ok_or_else(|| {
            Failure::new("invalid", format!("the group {} has no service {name}", self.instance.group))
        })
    }

    /// The instance's containers among all of the host.
    pub(super) fn own<'c>(&self, containers: &'c [Container]) -> Vec<Own<'c>> {
        let read = containers.iter().filter_map(|container| Own::read(container, self.host));
        read.filter(|own| own.slot == self.key).collect()
    }

    /// The running container of a service: its first.
    pub(super) fn running<'c>(
        &self,
        containers: &'c [Container],
        service: &ServiceName,
    ) -> Result<&'c Container, Failure> {
        self.service(service)?;
        let mut running: Vec<Own<'c>> = self.own(containers);
        running
            .retain(|own| own.service == service.as_str() && own.container.state == ContainerState::Running);
        running.sort_by_key(|own| own.number);
        running.first().map(|own| own.container).ok_or_else(|| {
            let app = self.app();
            Failure::new(
                "not_running",
                format!(
                    "no container of {service} in {app} runs on this host; start it, and take the backup then"
                ),
            )
        })
    }

    /// A path of an item on the host: from `/`, or beside the compose file, in the app's folder below `files`.
    pub(super) fn path(&self, files: &Path, path: &str) -> Result<PathBuf, Failure> {
        if Path::new(path).is_absolute() {
            return Ok(path.into());
        }
        let inner = beside(path).ok_or_else(|| {
            let message = format!(
                "`{path}` leads out of the app's folder; write the whole path, from /, or one below `.`"
            );
            Failure::new("invalid", message)
        })?;
        let project = self.key.folder(files).join("project");
        // Joining nothing would end it with a slash.
        Ok(if inner.as_os_str().is_empty() { project } else { project.join(inner) })
    }

    /// The names in the app of the volumes that a service mounts.
    pub(super) fn volumes_of(&self, service: &Service) -> BTreeSet<String> {
        let named = |mount: &omni_common::domain::app::Mount| match &mount.source {
            MountSource::Volume(volume) => volume.volume.clone(),
            _ => None,
        };
        service.mounts.iter().filter_map(named).collect()
    }

    /// The services that mount what is taken.
    pub(super) fn writers(&self, take: &Take) -> BTreeSet<ServiceName> {
        let mounts = |service: &Service| {
            service.mounts.iter().any(|mount| match (take, &mount.source) {
                (Take::Volume { volume, .. }, MountSource::Volume(mounted)) => {
                    mounted.volume.as_ref() == Some(volume)
                }
                (Take::HostPath { path, .. }, MountSource::Host(mounted)) => {
                    meet(Path::new(path), Path::new(&mounted.path))
                }
                (Take::HostPath { path, .. }, MountSource::Project(mounted)) => {
                    beside(path).is_some_and(|inner| meet(&inner, Path::new(&mounted.path)))
                }
                _ => false,
            })
        };
        let named = match take {
            Take::Postgres { service, .. }
            | Take::Mariadb { service, .. }
            | Take::Redis { service, .. }
            | Take::Command { service, .. } => Some(service),
            Take::Volume { .. } | Take::HostPath { .. } => None,
        };
        let services = self.group.services.iter();
        let writers = services.filter(|name| {
            Some(*name) == named || self.instance.spec.services.get(*name).is_some_and(mounts)
        });
        writers.cloned().collect()
    }
}

/// A path beside the compose file, below its folder; absent for one from `/` and for one that leads out of it.
fn beside(path: &str) -> Option<PathBuf> {
    let mut inner = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!path.is_empty()).then_some(inner)
}

/// Whether one of two paths lies in the other.
fn meet(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_beside_the_compose_file_stays_there() {
        for (path, expected) in [
            (".", Some("")),
            ("./data", Some("data")),
            ("data/./a", Some("data/a")),
            ("", None),
            ("..", None),
            ("data/../../x", None),
            ("/data", None),
        ] {
            assert_eq!(beside(path), expected.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn paths_meet_when_one_lies_in_the_other() {
        for (one, other, expected) in
            [("/a", "/a/b", true), ("/a/b", "/a", true), ("/a", "/ab", false), ("", "data", true)]
        {
            assert_eq!(meet(Path::new(one), Path::new(other)), expected, "{one} {other}");
        }
    }
}
