//! Alerts that others raise.
//!
//! Delivery is at least once and in no order: an alert is told apart from its repetition by when it began.

use super::records::{EventDraft, emit};
use crate::state::command::{Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{Alert, MAX_ALERTS, RESOLVED_ALERT_FOR, State};
use omni_common::clock::Time;
use std::sync::Arc;

/// Kinds of events about an alert.
const FIRING: &str = "alert.firing";
const RESOLVED: &str = "alert.resolved";
const DISMISSED: &str = "alert.dismissed";

pub(super) fn record(
    state: &mut State,
    truncated: u64,
    alerts: &[(String, Alert)],
    proposal: &Proposal,
) -> Reply {
    forget(state);
    let mut turned_away = 0_u64;
    for (fingerprint, alert) in alerts {
        let known = state.alerts.get(fingerprint).cloned();
        let told = match (&known, alert.resolved) {
            // Something ended that began before the one we know, or that we know as over.
            (Some(known), Some(_)) if known.resolved.is_some() || alert.since < known.since => continue,
            (None, Some(_)) => continue,
            (Some(_), Some(_)) => Some(RESOLVED),
            // A late repetition of what is over.
            (Some(known), None) if known.resolved.is_some() && alert.since <= known.since => continue,
            (Some(known), None) if known.resolved.is_none() => None,
            (_, None) => Some(FIRING),
        };
        if known.is_none() && !make_room(state) {
            turned_away += 1;
            continue;
        }
        state.alerts.insert(fingerprint.clone(), Arc::new(alert.clone()));
        if let Some(kind) = told {
            tell(state, proposal.at, kind, fingerprint, alert);
        }
    }
    if turned_away + truncated > 0 {
        let message = format!(
            "{} alerts are not shown: {turned_away} beyond the {MAX_ALERTS} that are kept, {truncated} left out by Alertmanager",
            turned_away + truncated
        );
        emit(state, proposal.at, EventDraft::new("alert", "alert.left_out", message));
    }
    Reply::Done
}

pub(super) fn dismiss(state: &mut State, fingerprint: &str, proposal: &Proposal) -> Result<Reply, Refusal> {
    let Some(alert) = state.alerts.remove(fingerprint) else {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no alert `{fingerprint}`")));
    };
    tell(state, proposal.at, DISMISSED, fingerprint, &alert);
    Ok(Reply::Done)
}

fn tell(state: &mut State, at: Time, kind: &'static str, fingerprint: &str, alert: &Alert) {
    let what = alert.summary.as_deref().unwrap_or_default();
    let message = match (kind, what) {
        (RESOLVED, _) => format!("{} is over", alert.name),
        (DISMISSED, _) => format!("{} was taken out of view", alert.name),
        (_, "") => alert.name.clone(),
        (_, what) => format!("{}: {what}", alert.name),
    };
    let mut draft = EventDraft::new("alert", kind, message).with("fingerprint", fingerprint);
    if let Some(severity) = &alert.severity {
        draft = draft.with("severity", severity);
    }
    // Rules of this platform name the omni host they are about.
    if let Some(host) = alert.labels.get("host").and_then(|name| state.find_host(name)) {
        draft = draft.on(host.id);
    }
    emit(state, at, draft);
}

/// What was taken back long ago goes.
fn forget(state: &mut State) {
    let horizon = state.now.minus(RESOLVED_ALERT_FOR);
    let over = |alert: &Alert| alert.resolved.is_some_and(|at| at < horizon);
    let old: Vec<_> = state
        .alerts
        .iter()
        .filter(|(_, alert)| over(alert))
        .map(|(fingerprint, _)| fingerprint.clone())
        .collect();
    for fingerprint in old {
        state.alerts.remove(&fingerprint);
    }
}

/// Whether one more may be kept; what is over makes room for what holds.
fn make_room(state: &mut State) -> bool {
    if state.alerts.len() < MAX_ALERTS {
        return true;
    }
    let over = state.alerts.iter().filter_map(|(fingerprint, alert)| Some((alert.resolved?, fingerprint)));
    let Some((_, oldest)) = over.min() else { return false };
    let oldest = oldest.clone();
    state.alerts.remove(&oldest);
    true
}
