//! How to tell that a component works.

use crate::Port;
use serde::{Deserialize, Serialize};

/// How health is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthKind {
    /// A request to a port.
    Http,
    /// A connection to a port.
    Tcp,
    /// A command inside the image.
    Exec,
    /// No listener, or nothing usable.
    None,
}

/// Whether a port speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// How to tell that a component works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// How it is asked.
    pub kind: HealthKind,
    /// Which port is asked.
    #[serde(default)]
    pub port: Option<Port>,
    /// Which path is asked.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the port speaks TLS.
    #[serde(default)]
    pub scheme: Scheme,
    /// What counts as healthy, in words.
    #[serde(default)]
    pub expect: Option<String>,
    /// A compose `test:` that works inside the image. Empty: probe from outside.
    #[serde(default)]
    pub command: Vec<String>,
    /// Programs that exist in the image and may be called in a check.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Variants of the tools, such as busybox's wget.
    #[serde(default)]
    pub tools_note: Option<String>,
    /// The image carries a HEALTHCHECK of its own.
    #[serde(default)]
    pub builtin: bool,
    /// Time it needs to start where that is longer than usual: `120s`.
    #[serde(default)]
    pub start_period: Option<String>,
    /// Unhealthy is no reason to restart it: sealed secrets servers, databases.
    #[serde(default)]
    pub leave_alone: bool,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}
