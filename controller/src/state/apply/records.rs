//! Certificates, environments, events and the audit trail.

use crate::state::command::{NewAudit, NewEvent, Proposal, Refusal, RefusalCode, Reply, Subject};
use crate::state::model::{AuditEntry, CertificateRecord, Environment, Event, MAX_AUDIT, MAX_EVENTS, State};
use omni_common::clock::Time;
use omni_common::domain::check_name;
use omni_common::ids::{ControllerId, HostId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Environments that may exist at once.
const MAX_ENVIRONMENTS: usize = 1_000;

/// An event on its way into the state.
pub(super) struct EventDraft {
    topic: &'static str,
    kind: &'static str,
    message: String,
    host: Option<HostId>,
    controller: Option<ControllerId>,
    data: BTreeMap<String, String>,
}

impl EventDraft {
    pub(super) fn new(topic: &'static str, kind: &'static str, message: String) -> Self {
        Self { topic, kind, message, host: None, controller: None, data: BTreeMap::new() }
    }

    pub(super) fn host(id: HostId, kind: &'static str, message: String) -> Self {
        Self { host: Some(id), ..Self::new("host", kind, message) }
    }

    pub(super) fn controller(id: ControllerId, kind: &'static str, message: String) -> Self {
        Self { controller: Some(id), ..Self::new("controller", kind, message) }
    }

    pub(super) fn on(mut self, host: HostId) -> Self {
        self.host = Some(host);
        self
    }

    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.data.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// Numbers an event and keeps it; the oldest beyond [`MAX_EVENTS`] go.
pub(super) fn emit(state: &mut State, at: Time, draft: EventDraft) {
    let event = Event {
        seq: state.next_event,
        index: state.index,
        at,
        topic: draft.topic.to_owned(),
        kind: draft.kind.to_owned(),
        message: draft.message,
        host: draft.host,
        controller: draft.controller,
        data: draft.data,
    };
    push_event(state, event);
}

fn push_event(state: &mut State, event: Event) {
    state.events.insert(state.next_event, Arc::new(event));
    state.next_event += 1;
    while state.events.len() > MAX_EVENTS {
        let Some(oldest) = state.events.get_min().map(|(seq, _)| *seq) else {
            return;
        };
        state.events.remove(&oldest);
    }
}

/// Events that gateways saw. Those about a host that is gone are kept: they happened.
pub(super) fn events(state: &mut State, events: &[NewEvent]) -> Reply {
    for new in events {
        let event = Event {
            seq: state.next_event,
            index: state.index,
            at: new.at,
            topic: new.topic.clone(),
            kind: new.kind.clone(),
            message: new.message.clone(),
            host: new.host,
            controller: None,
            data: new.data.clone(),
        };
        push_event(state, event);
    }
    Reply::Done
}

/// Numbers an audit entry and keeps it; the oldest beyond [`MAX_AUDIT`] go.
pub(super) fn push_audit(state: &mut State, mut entry: AuditEntry) {
    entry.seq = state.next_audit;
    state.audit.insert(entry.seq, Arc::new(entry));
    state.next_audit += 1;
    while state.audit.len() > MAX_AUDIT {
        let Some(oldest) = state.audit.get_min().map(|(seq, _)| *seq) else {
            return;
        };
        state.audit.remove(&oldest);
    }
}

pub(super) fn audit(state: &mut State, entries: &[NewAudit]) -> Reply {
    for new in entries.iter().cloned() {
        let entry = AuditEntry {
            seq: 0,
            index: state.index,
            at: new.at,
            who: new.who,
            role: new.role,
            from: new.from,
            action: new.action,
            target: new.target,
            outcome: new.outcome,
            detail: new.detail,
        };
        push_audit(state, entry);
    }
    Reply::Done
}

pub(super) fn certificate(
    state: &mut State,
    subject: Subject,
    serial: &str,
    not_after: Time,
    at: Time,
) -> Result<Reply, Refusal> {
    let record = Some(CertificateRecord { serial: serial.to_owned(), issued: at, not_after });
    let slot = match subject {
        Subject::Host(id) => state.hosts.get_mut(&id).map(|host| &mut Arc::make_mut(host).certificate),
        Subject::Controller(id) => {
            state.controllers.get_mut(&id).map(|controller| &mut controller.certificate)
        }
    };
    match slot {
        Some(slot) => *slot = record,
        None => {
            return Err(Refusal::new(RefusalCode::NotFound, "the member was removed meanwhile"));
        }
    }
    Ok(Reply::Done)
}

pub(super) fn create_environment(
    state: &mut State,
    name: &str,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    check_name(name).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    if state.environments.contains_key(name) {
        return Err(Refusal::new(RefusalCode::NameTaken, format!("an environment named `{name}` exists")));
    }
    if state.environments.len() >= MAX_ENVIRONMENTS {
        return Err(Refusal::new(
            RefusalCode::Conflict,
            format!("there are {MAX_ENVIRONMENTS} environments already"),
        ));
    }
    let environment = Environment { name: name.to_owned(), created: proposal.at, revision: state.index };
    state.environments.insert(name.to_owned(), environment);
    let message = format!("environment {name} was made");
    emit(state, proposal.at, EventDraft::new("environment", "environment.created", message));
    Ok(Reply::Done)
}

pub(super) fn delete_environment(
    state: &mut State,
    name: &str,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let apps = state.apps.keys().filter(|app| app.environment == name).count();
    if apps > 0 {
        let message = format!("environment {name} still has {apps} apps; remove them first with `omni rm`");
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    if state.environments.remove(name).is_none() {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no environment `{name}`")));
    }
    let message = format!("environment {name} was removed");
    emit(state, proposal.at, EventDraft::new("environment", "environment.deleted", message));
    Ok(Reply::Done)
}
