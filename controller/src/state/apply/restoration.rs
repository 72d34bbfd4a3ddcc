//! The state of a cluster that begins again from a copy of it.
//!
//! Hosts have seen more than the copy knows. Whatever they compare before they believe it is therefore set beyond anything
//! that can have been handed out since: the log goes on at the next multiple of [`STRIDE`], and with it generations, epochs
//! and the version of the controllers' list. What was decided after the copy was taken is unknown here, and hosts undo it.

use super::records::{EventDraft, emit, push_audit};
use super::runs;
use crate::state::model::{App, AuditEntry, Controller, DeploymentState, Host, HostStatus, JoinToken, State};
use omni_common::clock::Time;
use omni_common::ids::ControllerId;
use std::sync::Arc;

/// Entries that no cluster writes between a copy and its use: years at any rate that was ever measured. Small enough that
/// thousands of restores stay within the numbers that JSON readers hold exactly.
const STRIDE: u64 = 1_000_000_000_000;
/// Controllers of a restored cluster are numbered from the next thousand on, so that none gets the number of one that
/// joined after the copy was taken, whose certificate may still hold.
const CONTROLLERS: u64 = 1_000;
/// Stable word for runs that were under way.
const RESTORED: &str = "controllers_restored";

/// How a cluster begins again.
#[derive(Clone, Debug)]
pub(crate) struct Restoration {
    /// Its first controller, with the number that [`first_controller`] says.
    pub(crate) controller: Controller,
    /// Tokens by which others join it.
    pub(crate) join_tokens: Vec<JoinToken>,
    /// When the copy was taken.
    pub(crate) taken: Time,
    /// Now.
    pub(crate) at: Time,
}

/// The number of the first controller of a cluster that begins again from `state`.
pub(crate) fn first_controller(state: &State) -> ControllerId {
    ControllerId(beyond(state.next_controller, CONTROLLERS) + 1)
}

/// The next multiple of `step`.
fn beyond(number: u64, step: u64) -> u64 {
    (number / step + 1) * step
}

/// The state as of which the new cluster begins.
pub(crate) fn restored(copy: &State, new: Restoration) -> State {
    let mut state = copy.clone();
    state.index = beyond(copy.index, STRIDE);
    state.now = copy.now.max(new.at);
    state.next_event = beyond(copy.next_event, STRIDE);
    state.next_audit = beyond(copy.next_audit, STRIDE);
    let (id, name) = (new.controller.id, new.controller.name.clone());
    state.controllers = [(id, new.controller)].into_iter().collect();
    state.next_controller = id.0 + 1;
    state.controllers_version = state.index;
    state.plan_version = state.index;
    // Some were used up, deleted or ended since; the copy cannot know which.
    state.join_tokens = new.join_tokens.into_iter().map(|token| (token.id, token)).collect();
    state.sessions.clear();
    for host in copy.hosts.keys() {
        state.generations.insert(*host, state.index);
        if let Some(known) = state.hosts.get_mut(host).map(Arc::make_mut) {
            unheard(known, new.at);
        }
    }
    for held in copy.allocations.keys() {
        if let Some(known) = state.allocations.get_mut(held).map(Arc::make_mut) {
            known.epoch = state.index;
        }
    }
    pause_moves(&mut state, new.at);
    // A restore of data that ended since must not be done over what was written after it.
    let why = "the controllers were restored from a copy; what became of this run is not known";
    runs::give_all_up(&mut state, RESTORED, why, new.at);
    for host in copy.hosts.keys() {
        state.run_generations.insert(*host, state.index);
    }
    tell(&mut state, &name, new.taken, new.at);
    state
}

/// Whether the moves of then went well shows only once hosts have spoken; their deadlines, long over, would turn them back
/// before that.
fn pause_moves(state: &mut State, at: Time) {
    let running =
        |app: &App| app.open_deployment().is_some_and(|open| open.state == DeploymentState::Running);
    let apps: Vec<_> = state.apps.values().filter(|app| running(app)).cloned().collect();
    for app in apps {
        let mut app = App::clone(&app);
        if let Some(open) = app.deployments.last_mut() {
            (open.state, open.since) = (DeploymentState::Paused, at);
            open.reason = Some("the controllers were restored meanwhile; look, and resume it".to_owned());
        }
        state.apps.insert(app.key.clone(), Arc::new(app));
    }
}

/// Nothing is known of a host until it speaks. That it was heard before stays known by its boot id.
fn unheard(host: &mut Host, at: Time) {
    (host.status, host.status_since) = (HostStatus::Pending, at);
}

fn tell(state: &mut State, name: &str, taken: Time, at: Time) {
    let lost = at.since(taken).as_secs();
    let message = format!(
        "the controllers were restored as of {taken}: what was decided in the {lost} s since is gone"
    );
    emit(state, at, EventDraft::new("cluster", "cluster.restored", message.clone()));
    let cluster = state.cluster.as_ref().map(|cluster| cluster.id.to_string()).unwrap_or_default();
    let entry = AuditEntry {
        seq: 0,
        index: state.index,
        at,
        who: format!("restore:{name}"),
        role: None,
        from: Some("local".to_owned()),
        action: "cluster.restore".to_owned(),
        target: cluster,
        outcome: "done".to_owned(),
        detail: Some(message),
    };
    push_audit(state, entry);
}
