//! Which contents an allocation needs besides its specification. Pure.

use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, FileRef, Group, MountSource, ProjectContent, SecretSource, Service,
};
use std::collections::BTreeSet;

/// The digests of everything that the services of `group` have mounted from the release.
pub fn contents_of(spec: &AppSpec, group: &Group) -> BTreeSet<ContentDigest> {
    let services = group.services.iter().filter_map(|name| spec.services.get(name));
    services.flat_map(|service| files_of(spec, service)).map(|file| file.digest.clone()).collect()
}

fn files_of<'a>(spec: &'a AppSpec, service: &'a Service) -> Vec<&'a FileRef> {
    let mut files = Vec::new();
    for mount in &service.mounts {
        let MountSource::Project(project) = &mount.source else { continue };
        match &project.content {
            ProjectContent::OnHost => {}
            ProjectContent::File(file) => files.push(file),
            ProjectContent::Folder(entries) | ProjectContent::Seed(entries) => files.extend(entries.values()),
        }
    }
    for config in &service.configs {
        if let Some(ConfigSource::Packed(packed)) = spec.configs.get(&config.source) {
            files.push(&packed.content);
        }
    }
    for secret in &service.secrets {
        if let Some(SecretSource::Packed(packed)) = spec.secrets.get(&secret.source) {
            files.push(&packed.content);
        }
    }
    files
}
