//! Alerts: what Alertmanager reports, and what of it holds.

use crate::clock::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Whether an alert holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// It holds, as far as anybody said.
    Firing,
    /// It was taken back.
    Resolved,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// Alertmanager's name for this set of labels.
    pub fingerprint: String,
    /// Label `alertname`.
    pub name: String,
    /// Label `severity`.
    pub severity: Option<String>,
    /// Whether it holds.
    pub status: AlertStatus,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// One sentence, annotation `summary`.
    pub summary: Option<String>,
    /// Annotation `description`.
    pub description: Option<String>,
    /// Where it is written what to do, annotation `runbook`.
    pub runbook: Option<String>,
    /// Since when it holds.
    pub since: Time,
    /// When it was reported last. Alertmanager repeats what holds every few hours (its `repeat_interval`): an alert
    /// that was not heard of for longer may be over, or its Alertmanager is.
    pub heard: Time,
    /// When it was taken back.
    pub resolved: Option<Time>,
}

/// Which alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Those as well that were taken back within the last 24 hours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// What Alertmanager posts to a webhook, version 4. Keys that are not named here are not read, because new ones come
/// with its releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerMessage {
    /// `4`.
    pub version: String,
    /// Alertmanager's receiver that this goes to.
    pub receiver: String,
    /// Alerts that were left out because of the receiver's `max_alerts`.
    #[serde(default)]
    pub truncated_alerts: u64,
    /// The alerts of one group.
    pub alerts: Vec<AlertmanagerAlert>,
}

/// One alert in a message of Alertmanager's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertmanagerAlert {
    /// Whether it holds.
    pub status: AlertStatus,
    /// What it is about.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What people should know.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Since when.
    pub starts_at: Time,
    /// Digest of the labels.
    pub fingerprint: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertsTaken {
    /// Alerts that hold now, from any message.
    pub firing: u64,
}
