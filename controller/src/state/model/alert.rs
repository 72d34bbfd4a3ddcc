//! Alerts that others raise and omni keeps in view.

use omni_common::clock::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Alerts kept at once; those that were taken back go first, and beyond it new ones are turned away.
pub const MAX_ALERTS: usize = 1_000;
/// How long an alert stays in view after it was taken back.
pub const RESOLVED_ALERT_FOR: Duration = Duration::from_secs(24 * 3600);

/// What Alertmanager said about one set of labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// How bad it is, in the rule's word.
    pub severity: Option<String>,
    /// What it is about.
    pub labels: BTreeMap<String, String>,
    /// One sentence.
    pub summary: Option<String>,
    /// More sentences.
    pub description: Option<String>,
    /// Where it is written what to do.
    pub runbook: Option<String>,
    /// Since when it holds.
    pub since: Time,
    /// When it was reported last.
    pub heard: Time,
    /// When it was taken back.
    pub resolved: Option<Time>,
}
