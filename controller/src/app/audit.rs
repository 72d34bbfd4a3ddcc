//! The audit trail.

use super::cursor::Paging;
use super::{App, AppError, Call};
use crate::state::command::NewAudit;
use crate::state::{AuditEntry, Command, State};
use omni_common::api::v1::{self as api, AuditQuery, Page};
use std::ops::Bound;

impl App {
    /// A page of the audit trail, newest first.
    pub fn list_audit(&self, state: &State, query: &AuditQuery) -> Result<Page<api::AuditEntry>, AppError> {
        let filters = AuditQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<u64> = Paging::new("audit", &filters, query.limit, query.cursor.as_deref())?;
        let to = paging.after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = state.audit.range((Bound::Unbounded, to)).rev();
        let recent = entries.map(|(_, entry)| &**entry).filter(|entry| wanted(entry, query));
        Ok(paging.take(recent.map(|entry| (entry.seq, view(entry)))))
    }

    /// Notes an act that is no command, such as opening a terminal, *before* it is done: what cannot be
    /// noted is not done.
    pub(crate) async fn note(
        &self,
        call: &Call,
        action: &str,
        target: String,
        detail: Option<String>,
    ) -> Result<(), AppError> {
        let entry = NewAudit {
            at: self.clock.now(),
            who: call.actor.name.clone(),
            role: call.actor.role.map(|role| role.as_str().to_owned()),
            from: call.actor.from.clone(),
            action: action.to_owned(),
            target,
            outcome: "done".to_owned(),
            detail,
        };
        self.write(call, |_| Ok(Command::RecordAudit(vec![entry.clone()]))).await.map(|_| ())
    }
}

fn wanted(entry: &AuditEntry, query: &AuditQuery) -> bool {
    query.who.as_ref().is_none_or(|who| entry.who.contains(who.as_str()))
        && query.what.as_ref().is_none_or(|what| entry.action.starts_with(what.as_str()))
        && query.outcome.as_ref().is_none_or(|outcome| entry.outcome == *outcome)
        && query.since.is_none_or(|since| entry.at >= since)
}

fn view(entry: &AuditEntry) -> api::AuditEntry {
    api::AuditEntry {
        seq: entry.seq,
        at: entry.at,
        who: entry.who.clone(),
        role: entry.role.clone(),
        what: entry.action.clone(),
        target: entry.target.clone(),
        from: entry.from.clone(),
        outcome: entry.outcome.clone(),
        detail: entry.detail.clone(),
        index: entry.index,
    }
}
