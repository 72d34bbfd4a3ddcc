//! Where Prometheus finds a component's numbers.

use crate::{ComponentName, Port, Scheme};
use serde::{Deserialize, Serialize};

/// Who exposes the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsKind {
    /// The component itself.
    Native,
    /// Another component translates.
    Exporter,
    /// Nobody: it is probed from outside.
    None,
}

/// Whether a scrape needs a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricsAccess {
    /// Never.
    Open,
    /// Depends on the component's configuration.
    Optional,
    /// Always.
    Required,
}

/// Where Prometheus finds a component's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Who exposes them.
    pub kind: MetricsKind,
    /// The endpoint's port.
    #[serde(default)]
    pub port: Option<Port>,
    /// The endpoint's path, with a query where one is needed.
    #[serde(default)]
    pub path: Option<String>,
    /// Whether the port speaks TLS.
    #[serde(default)]
    pub scheme: Scheme,
    /// What switches it on.
    #[serde(default)]
    pub enable: Option<String>,
    /// Whether a scrape needs a credential.
    #[serde(default)]
    pub access: Option<MetricsAccess>,
    /// Which credential, and how it is sent.
    #[serde(default)]
    pub access_note: Option<String>,
    /// The component that exports for this one.
    #[serde(default)]
    pub exporter: Option<ComponentName>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}
