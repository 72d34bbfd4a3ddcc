//! Compose projects that run on hosts and are not omni's, and what it takes to adopt one.

use super::Project;
use crate::domain::ContainerState;
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A compose project that runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostProject {
    /// Its name.
    pub name: String,
    /// The folder it was started in.
    pub folder: Option<String>,
    /// Its compose files.
    pub files: Vec<String>,
    /// Its services that have containers.
    pub services: Vec<String>,
    /// Its containers.
    pub containers: u32,
    /// Those of them that run.
    pub running: u32,
    /// Whether it can be adopted, as far as can be told from here.
    pub adoptable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// What a definition is written from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionSource {
    /// The compose files that the containers name.
    Files,
    /// What the engine says of the containers.
    Containers,
}

/// How a project's definition is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DefinitionQuery {
    /// From `files` or from `containers`; when absent from the files if they can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub from: Option<DefinitionSource>,
}

/// A project's definition, as it can be deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectDefinition {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub host_name: String,
    /// The files.
    pub project: Project,
    /// What they were written from.
    pub from: DefinitionSource,
    /// What one should know before one adopts it.
    pub notes: Vec<String>,
    /// The containers that would be taken over.
    pub containers: Vec<ProjectContainer>,
}

/// A container of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectContainer {
    /// Docker's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Which of the service's containers, from one.
    pub number: u32,
    /// Its state.
    pub state: ContainerState,
}

/// A compose project to be adopted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// The host it runs on, by name or id.
    pub host: String,
    /// Its name there.
    pub project: String,
}
