//! The platform's systems: what the catalogue says of them, and what of it runs.

use crate::domain::{ContainerState, Health};
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a component or a system is, judged by its containers on all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// No host has a container of it.
    Absent,
    /// All that is there runs, and nothing is unhealthy.
    Running,
    /// Within its start period.
    Starting,
    /// Its hosts do not answer: what they said last may no longer hold.
    Unknown,
    /// A part of it runs.
    Degraded,
    /// It is there, and none of it runs.
    Down,
}

/// How much depends on something; the value of the label `omni.quantum.tier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing works without it.
    Critical,
    /// Daily work stops without it.
    High,
    /// Some work stops without it.
    Medium,
    /// It can wait.
    Standard,
}

/// A system of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemView {
    /// Its number: 1 to 37 come with omni, an operator's own begin at 100.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// The name people use.
    pub codename: Option<String>,
    /// How much depends on it.
    pub tier: Tier,
    /// What it is for.
    pub summary: String,
    /// The worst of its components; down only when none of it runs.
    pub condition: Condition,
    /// Its components, in the catalogue's order.
    pub components: Vec<ComponentView>,
}

/// A component of a system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentView {
    /// Its name, the value of the label `omni.quantum.component`.
    pub name: String,
    /// What it is, in one sentence.
    pub summary: String,
    /// How much depends on it.
    pub tier: Tier,
    /// The image that the catalogue pins; absent when there is none to use.
    pub image: Option<String>,
    /// The licence it comes under.
    pub licence: String,
    /// Components that it does not work without.
    pub needs: Vec<String>,
    /// What is recommended in its place.
    pub superseded_by: Vec<String>,
    /// How its containers are.
    pub condition: Condition,
    /// Its containers on all hosts.
    pub containers: Vec<ComponentContainer>,
}

/// A container of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentContainer {
    /// Its host.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Its name there.
    pub name: String,
    /// What Docker said last.
    pub state: ContainerState,
    /// What its health check said last.
    pub health: Health,
    /// How its main process ended; absent while it runs.
    pub exit_code: Option<i64>,
    /// Whether its host answers; what is said above may be old when it does not.
    pub current: bool,
}
