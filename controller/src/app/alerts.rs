//! Alerts: taken from Alertmanager, shown to people.

use super::{App, AppError, Call, View};
use crate::state::{Alert, Command, State};
use omni_common::api::v1::{
    AlertStatus, AlertView, AlertmanagerAlert, AlertmanagerMessage, AlertsQuery, AlertsTaken, FieldError,
    Page,
};
use omni_common::clock::Time;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Labels kept of an alert; Prometheus' own limits are off by default, and hardly a rule has ten.
const MAX_LABELS: usize = 64;
/// Bytes kept of a label's name or value, or a fingerprint.
const MAX_LABEL: usize = 512;
/// Bytes kept of a summary or a runbook's address.
const MAX_LINE: usize = 1024;
/// Bytes kept of a description.
const MAX_TEXT: usize = 4096;

impl App {
    /// Alerts, the worst first. There are at most [`crate::state::MAX_ALERTS`], so they come in one piece.
    pub fn list_alerts(&self, state: &State, query: &AlertsQuery) -> Page<AlertView> {
        let wanted = state.alerts.iter().filter(|(_, alert)| query.all || alert.resolved.is_none());
        let mut alerts: Vec<_> = wanted.map(|(fingerprint, alert)| view(fingerprint, alert)).collect();
        alerts.sort_by_key(|alert| {
            (alert.resolved.is_some(), rank(alert.severity.as_deref()), Reverse(alert.since))
        });
        Page::whole(alerts)
    }

    /// Takes a message of Alertmanager's.
    pub async fn take_alerts(
        &self,
        call: &Call,
        message: AlertmanagerMessage,
    ) -> Result<View<AlertsTaken>, AppError> {
        if message.version != "4" {
            let problem =
                format!("this is version `{}`; omni reads version 4 of the webhook", message.version);
            return Err(AppError::Invalid(vec![FieldError {
                pointer: "/version".to_owned(),
                detail: problem,
            }]));
        }
        let now = self.clock.now();
        let alerts: Vec<_> = message.alerts.into_iter().map(|alert| taken(alert, now)).collect();
        let command = Command::RecordAlerts {
            receiver: cut(message.receiver, MAX_LABEL),
            truncated: message.truncated_alerts,
            alerts,
        };
        let written = self.write(call, |_| Ok(command.clone())).await?;
        let firing = written.state.alerts.values().filter(|alert| alert.resolved.is_none()).count();
        Ok(View { index: written.state.index, body: AlertsTaken { firing: firing as u64 } })
    }

    /// Takes an alert out of view until it is reported again.
    pub async fn dismiss_alert(&self, call: &Call, fingerprint: &str) -> Result<View<()>, AppError> {
        let written = self.write(call, |_| Ok(Command::DismissAlert(fingerprint.to_owned()))).await?;
        Ok(View { index: written.state.index, body: () })
    }
}

/// Severities in the order of the rules in `alerts/`; words of others come between warning and info.
fn rank(severity: Option<&str>) -> u8 {
    match severity {
        Some("critical" | "page") => 0,
        Some("warning") => 1,
        Some("info") => 3,
        Some("none") => 4,
        _ => 2,
    }
}

fn view(fingerprint: &str, alert: &Alert) -> AlertView {
    AlertView {
        fingerprint: fingerprint.to_owned(),
        name: alert.name.clone(),
        severity: alert.severity.clone(),
        status: if alert.resolved.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
        labels: alert.labels.clone(),
        summary: alert.summary.clone(),
        description: alert.description.clone(),
        runbook: alert.runbook.clone(),
        since: alert.since,
        heard: alert.heard,
        resolved: alert.resolved,
    }
}

/// What is kept of an alert, with its fingerprint. Anything long is cut: it is there to be read, and every controller
/// holds it.
fn taken(mut alert: AlertmanagerAlert, now: Time) -> (String, Alert) {
    let mut annotation = |name, most| alert.annotations.remove(name).map(|text| cut(text, most));
    let (summary, description) = (annotation("summary", MAX_LINE), annotation("description", MAX_TEXT));
    let runbook = annotation("runbook", MAX_LINE).or_else(|| annotation("runbook_url", MAX_LINE));
    let labels: BTreeMap<_, _> = alert
        .labels
        .into_iter()
        .take(MAX_LABELS)
        .map(|(name, value)| (cut(name, MAX_LABEL), cut(value, MAX_LABEL)))
        .collect();
    let kept = Alert {
        name: labels.get("alertname").cloned().unwrap_or_else(|| "unnamed".to_owned()),
        severity: labels.get("severity").cloned(),
        labels,
        summary,
        description,
        runbook,
        since: alert.starts_at,
        heard: now,
        resolved: (alert.status == AlertStatus::Resolved).then_some(now),
    };
    (cut(alert.fingerprint, MAX_LABEL), kept)
}

/// The beginning of a text, with an ellipsis where it was cut.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_stays_within_its_bound_and_whole_characters() {
        assert_eq!(cut("short".to_owned(), 8), "short");
        let long = cut("ä".repeat(100), 20);
        assert!(long.len() <= 20 && long.ends_with('…'), "{long}");
        assert_eq!(long.trim_end_matches('…'), "ä".repeat(8));
    }
}
