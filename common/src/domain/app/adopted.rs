//! Where an app was before it was omni's.

use super::{AppSpec, ServiceName, unset};
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The compose project that an app was taken over from. It stays with the app's later releases, so that they go on using the
/// project's volumes, networks and folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Adopted {
    /// The host that it ran on.
    pub host: HostId,
    /// The project's name there.
    pub project: String,
    /// The project's folder on that host; absent when nobody knows it any more.
    #[serde(default, skip_serializing_if = "unset")]
    pub folder: Option<String>,
    /// The containers that are taken over as they run, by Docker's id. One that is not named here is never touched.
    #[serde(default, skip_serializing_if = "unset")]
    pub containers: BTreeMap<String, AdoptedContainer>,
}

/// What a container that is taken over stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptedContainer {
    /// Its service.
    pub service: ServiceName,
    /// Which of the service's containers, from one.
    pub number: u32,
}

impl Adopted {
    /// The same for a later release: its containers are current only for services that stayed as they were.
    pub fn carried(&self, before: &AppSpec, after: &AppSpec) -> Self {
        let around = (&before.configs, &before.secrets, &before.networks, &before.volumes)
            == (&after.configs, &after.secrets, &after.networks, &after.volumes);
        let stays = |service: &ServiceName| {
            around
                && before.services.get(service) == after.services.get(service)
                && after.services.contains_key(service)
        };
        let containers = self.containers.iter().filter(|(_, one)| stays(&one.service));
        let containers = containers.map(|(id, one)| (id.clone(), one.clone())).collect();
        Self { containers, ..self.clone() }
    }
}
