//! The pure transition: one state and one proposal in, the next state and an answer out.
//!
//! Whatever the kind of command, the frame is the same: a repeated request gets its first answer; a refusal
//! changes nothing but the audit trail; everything else is one function per noun in the files beside this.

mod access;
mod alerts;
mod allocations;
mod apps;
mod controllers;
mod hosts;
mod moves;
mod offline;
mod records;
mod repositories;
mod restoration;
mod runs;
mod secrets;
mod snapshots;
mod users;

pub(crate) use offline::over_alone;
pub(crate) use restoration::{Restoration, first_controller, restored};
pub(crate) use runs::is_quiet;

use super::command::{ActorKind, Command, Outcome, Proposal, Refusal, RefusalCode, Reply, Steer, UserPatch};
use super::model::{
    AuditEntry, Goal, KEYED_REPLIES_FOR, MAX_KEYED_REPLIES, MAX_OWN_REPLIES, RunKind, State, StoredReply,
    subject,
};
use imbl::OrdMap;
use omni_common::ids::RequestId;
use std::sync::Arc;

/// Applies one proposal at one log index.
///
/// Never fails: what cannot be done is answered with a [`Refusal`] and leaves the state as it was, but for
/// its index, the audit trail and the memory of the answer.
pub fn apply(state: &State, index: u64, proposal: &Proposal) -> (State, Outcome) {
    apply_to(state.clone(), index, proposal)
}

/// The same for a state that nobody else needs any more. What no other copy shares is changed where it lies, which
/// saves most of the work when many proposals come at once.
pub fn apply_to(mut state: State, index: u64, proposal: &Proposal) -> (State, Outcome) {
    state.index = index;
    state.now = state.now.max(proposal.at);
    if let Some(earlier) = state.replies.get(&proposal.request) {
        let outcome = repeat(earlier, proposal);
        return (state, outcome);
    }
    let outcome = match run(state.clone(), proposal) {
        Ok((done, reply)) => {
            state = done;
            Ok(reply)
        }
        Err(refusal) => Err(refusal),
    };
    audit(&mut state, proposal, &outcome);
    remember(&mut state, proposal, &outcome);
    (state, outcome)
}

/// The answer to a request that was answered before.
fn repeat(earlier: &StoredReply, proposal: &Proposal) -> Outcome {
    if earlier.fingerprint == proposal.fingerprint {
        return earlier.outcome.clone();
    }
    Err(Refusal::new(
        RefusalCode::RequestReused,
        "this request key was used for another request before; use a new key for a new request",
    ))
}

fn run(mut state: State, proposal: &Proposal) -> Result<(State, Reply), Refusal> {
    let s = &mut state;
    let reply = match &proposal.command {
        Command::Bootstrap { .. } => controllers::bootstrap(s, proposal)?,
        Command::EnrollController { .. } => controllers::enroll(s, proposal)?,
        Command::RemoveController(id) => controllers::remove(s, *id, proposal)?,
        Command::UpdateController { controller, quic, api, version } => {
            controllers::update(s, *controller, quic, api, version)?
        }
        Command::SetLiveness(config) => controllers::set_liveness(s, *config)?,
        Command::CreateJoinToken(token) => access::create_join_token(s, token, proposal)?,
        Command::DeleteJoinToken(id) => access::delete_join_token(s, *id, proposal)?,
        Command::CreateApiToken(token) => access::create_api_token(s, token, proposal)?,
        Command::DeleteApiToken(id) => access::delete_api_token(s, *id, proposal)?,
        Command::EnrollHost { .. } => hosts::enroll(s, proposal)?,
        Command::HostTransitions(transitions) => hosts::transitions(s, transitions, proposal),
        Command::RecordFacts { host, facts } => hosts::record_facts(s, *host, facts)?,
        Command::UpdateHost { host, patch, expect } => hosts::update(s, *host, patch, *expect, proposal)?,
        Command::RemoveHost(id) => hosts::remove(s, *id, proposal)?,
        Command::RecordCertificate { subject, serial, not_after } => {
            records::certificate(s, *subject, serial, *not_after, proposal.at)?
        }
        Command::CreateEnvironment(name) => records::create_environment(s, name, proposal)?,
        Command::DeleteEnvironment(name) => records::delete_environment(s, name, proposal)?,
        Command::RecordEvents(events) => records::events(s, events),
        Command::RecordAudit(entries) => records::audit(s, entries),
        Command::CreateRelease(new) => apps::create_release(s, new, proposal)?,
        Command::MoveApp { app, deployment, to, expect } => {
            apps::move_app(s, app, *deployment, *to, *expect, proposal)?
        }
        Command::SetGoal { app, goal, expect } => apps::set_goal(s, app, *goal, *expect, proposal)?,
        Command::ScaleApp { app, replicas, expect } => apps::scale(s, app, replicas, *expect, proposal)?,
        Command::RestartApp { app, deployment } => apps::restart(s, app, *deployment, proposal)?,
        Command::SteerDeployment { app, deployment, back, what } => {
            apps::steer(s, app, *deployment, *back, *what, proposal)?
        }
        Command::DrainHost { host, drain, deadline } => {
            allocations::drain(s, *host, *drain, *deadline, proposal)?
        }
        Command::AdoptPlan { based_on, steps } => allocations::adopt(s, *based_on, steps, proposal)?,
        Command::RecordAllocations { host, all, reports } => {
            allocations::record(s, *host, *all, reports, proposal.at)
        }
        Command::RecordAlerts { truncated, alerts, .. } => alerts::record(s, *truncated, alerts, proposal),
        Command::DismissAlert(fingerprint) => alerts::dismiss(s, fingerprint, proposal)?,
        Command::PutSecret { name, version, expect } => secrets::put(s, name, version, *expect, proposal)?,
        Command::DeleteSecret { name, version } => secrets::delete(s, name, *version)?,
        Command::CreateRepository { repository, password } => {
            repositories::create(s, repository, password.as_ref(), proposal)?
        }
        Command::DeleteRepository(name) => repositories::delete(s, name, proposal)?,
        Command::SetBackupDefaults(defaults) => repositories::set_defaults(s, defaults)?,
        Command::SetBackupPolicy { app, policy } => repositories::set_policy(s, app, policy.as_deref())?,
        Command::StartRuns { runs, stop } => runs::start(s, runs, *stop, proposal)?,
        Command::CancelRun(id) => runs::cancel(s, *id, proposal)?,
        Command::AdoptRuns(steps) => runs::adopt(s, steps, proposal),
        Command::RecordRun { host, report } => runs::record(s, *host, report, proposal),
        Command::RecordOffline { host, run } => offline::record(s, *host, run, proposal)?,
        Command::RecordRunner { host, able } => runs::record_runner(s, *host, *able),
        Command::AcceptLoss { app, group, slot } => runs::accept_loss(s, app, group, *slot, proposal)?,
        Command::CreateUser(user) => users::create(s, user, proposal)?,
        Command::UpdateUser { user, patch, expect } => users::update(s, user, patch, *expect, proposal)?,
        Command::RemoveUser(name) => users::remove(s, name, proposal)?,
        Command::StartSession(session) => users::start_session(s, session, proposal)?,
        Command::EnrollAdmin { token, secret, user, session } => {
            users::enroll_admin(s, *token, secret, user, session, proposal)?
        }
        Command::TouchSessions(seen) => users::touch(s, seen),
        Command::EndSession { user, session } => users::end_session(s, user, *session)?,
        Command::EndSessions { user, except } => users::end_sessions(s, user, *except)?,
        Command::SetOidc(settings) => users::set_oidc(s, settings.as_deref(), proposal)?,
        Command::EnterOidc { user, session } => users::enter_oidc(s, user, session, proposal)?,
        Command::StartMove(wanted) => moves::start(s, wanted, proposal)?,
        Command::AdoptMoves(steps) => moves::adopt(s, steps, proposal),
        Command::ConfirmMove { app, hosts } => moves::confirm(s, app, hosts, proposal)?,
        Command::ReturnMove(app) => moves::back(s, app, proposal)?,
    };
    Ok((state, reply))
}

/// Writes the audit entry of a call made by a person, a program or a machine.
fn audit(state: &mut State, proposal: &Proposal, outcome: &Outcome) {
    if proposal.actor.kind == ActorKind::System {
        return;
    }
    let Some((action, target)) = describe(state, &proposal.command) else {
        return;
    };
    let entry = AuditEntry {
        seq: 0,
        index: state.index,
        at: proposal.at,
        who: proposal.actor.name.clone(),
        role: proposal.actor.role.map(|role| role.as_str().to_owned()),
        from: proposal.actor.from.clone(),
        action: action.to_owned(),
        target,
        outcome: match outcome {
            Ok(_) => "done".to_owned(),
            Err(refusal) => refusal.code.as_str().to_owned(),
        },
        detail: outcome.as_ref().err().map(|refusal| refusal.message.clone()),
    };
    records::push_audit(state, entry);
}

/// The audited name of a command and what it is about; absent for what is not audited.
fn describe(state: &State, command: &Command) -> Option<(&'static str, String)> {
    let host = |id| state.hosts.get(id).map_or_else(|| format!("{id}"), |host| host.name.clone());
    Some(match command {
        Command::Bootstrap { cluster, .. } => ("cluster.init", cluster.to_string()),
        Command::CreateJoinToken(token) => ("token.create-join", token.id.to_string()),
        Command::DeleteJoinToken(id) | Command::DeleteApiToken(id) => ("token.delete", id.to_string()),
        Command::CreateApiToken(token) => ("token.create-api", format!("{} ({})", token.name, token.id)),
        Command::EnrollHost { name, .. } => ("host.enroll", name.clone()),
        Command::EnrollController { name, .. } => ("controller.enroll", name.clone()),
        Command::UpdateHost { host: id, .. } => ("host.update", host(id)),
        Command::RemoveHost(id) => ("host.remove", host(id)),
        Command::RemoveController(id) => ("controller.remove", id.to_string()),
        Command::CreateEnvironment(name) => ("environment.create", name.clone()),
        Command::DeleteEnvironment(name) => ("environment.delete", name.clone()),
        Command::SetLiveness(_) => ("cluster.liveness", "cluster".to_owned()),
        Command::CreateRelease(new) => ("app.release", new.app.to_string()),
        Command::MoveApp { app, to, .. } => ("app.move", format!("{app} to release {to}")),
        Command::SetGoal { app, goal, .. } => (goal_action(*goal), app.to_string()),
        Command::ScaleApp { app, .. } => ("app.scale", app.to_string()),
        Command::RestartApp { app, .. } => ("app.restart", app.to_string()),
        Command::SteerDeployment { app, what, .. } => (steer_action(*what), app.to_string()),
        Command::DrainHost { host: id, drain: true, .. } => ("host.drain", host(id)),
        Command::DrainHost { host: id, drain: false, .. } => ("host.undrain", host(id)),
        Command::RecordAlerts { receiver, alerts, .. } => {
            let over = alerts.iter().filter(|(_, alert)| alert.resolved.is_some()).count();
            let firing = alerts.len() - over;
            ("alert.report", format!("{receiver}: {firing} firing, {over} resolved"))
        }
        Command::DismissAlert(fingerprint) => ("alert.dismiss", fingerprint.clone()),
        Command::PutSecret { name, .. } => ("secret.put", name.to_string()),
        Command::DeleteSecret { name, version: None } => ("secret.remove", name.to_string()),
        Command::DeleteSecret { name, version: Some(version) } => {
            ("secret.remove", format!("{name} version {version}"))
        }
        Command::CreateRepository { repository, .. } => ("repository.create", repository.name.clone()),
        Command::DeleteRepository(name) => ("repository.remove", name.clone()),
        Command::SetBackupDefaults(_) => ("backup.defaults", "cluster".to_owned()),
        Command::SetBackupPolicy { app, .. } => ("backup.policy", app.to_string()),
        Command::StartRuns { runs, .. } => {
            let first = runs.first()?;
            (start_action(first.kind()), subject(first.app.as_ref(), None, &first.repository))
        }
        Command::CancelRun(id) => {
            let subject = state.runs.get(id).map(|run| format!(" ({} {})", run.kind(), run.subject()));
            ("run.cancel", format!("{id}{}", subject.unwrap_or_default()))
        }
        Command::AcceptLoss { app, group, slot } => ("app.accept-loss", format!("{app} {group}.{slot}")),
        Command::CreateUser(user) => ("user.create", user.name.clone()),
        Command::UpdateUser { user, patch, .. } => (user_action(patch), user.clone()),
        Command::RemoveUser(name) => ("user.remove", name.clone()),
        Command::StartSession(session) => ("session.start", session.user.clone()),
        Command::EnrollAdmin { user, .. } => ("user.enroll-admin", user.name.clone()),
        Command::EndSession { user, .. } => ("session.end", user.clone()),
        Command::EndSessions { user, .. } => ("session.end-all", user.clone()),
        Command::SetOidc(settings) => (
            "cluster.oidc",
            settings.as_ref().map_or_else(|| "none".to_owned(), |settings| settings.issuer.clone()),
        ),
        Command::EnterOidc { user, .. } => ("session.start-oidc", user.name.clone()),
        Command::StartMove(wanted) => ("move.start", format!("{} to {}", wanted.app, host(&wanted.to))),
        Command::ConfirmMove { app, hosts } => {
            let names: Vec<String> = hosts.iter().map(&host).collect();
            ("move.confirm", format!("{app}: old data on {}", names.join(", ")))
        }
        Command::ReturnMove(app) => ("move.back", app.to_string()),
        Command::RecordCertificate { .. }
        | Command::TouchSessions(_)
        | Command::AdoptPlan { .. }
        | Command::AdoptRuns(_)
        | Command::AdoptMoves(_)
        | Command::RecordRun { .. }
        | Command::RecordRunner { .. }
        | Command::RecordOffline { .. }
        | Command::RecordAllocations { .. }
        | Command::HostTransitions(_)
        | Command::RecordFacts { .. }
        | Command::UpdateController { .. }
        | Command::RecordEvents(_)
        | Command::RecordAudit(_) => return None,
    })
}

fn user_action(patch: &UserPatch) -> &'static str {
    match patch {
        UserPatch { password: Some(_), .. } => "user.password",
        UserPatch { disabled: Some(true), .. } => "user.disable",
        UserPatch { disabled: Some(false), .. } => "user.enable",
        _ => "user.update",
    }
}

fn goal_action(goal: Goal) -> &'static str {
    match goal {
        Goal::Run => "app.start",
        Goal::Stop => "app.stop",
        Goal::Remove => "app.remove",
        Goal::Purge => "app.purge",
    }
}

fn start_action(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Backup => "backup.start",
        RunKind::Copy => "copy.start",
        RunKind::Check => "check.start",
        RunKind::Prune => "prune.start",
        RunKind::Restore => "restore.start",
        RunKind::Drill => "drill.start",
        // Only the leader begins these.
        RunKind::Move => "move.start",
    }
}

fn steer_action(what: Steer) -> &'static str {
    match what {
        Steer::Pause => "deployment.pause",
        Steer::Resume => "deployment.resume",
        Steer::Promote => "deployment.promote",
        Steer::Abort => "deployment.abort",
    }
}

/// Keeps the answer, and forgets the oldest beyond the bounds.
///
/// A refusal is kept for callers that chose the key. A machine's own request is asked anew: a join that was
/// refused because its name was taken must work, from the same folder, once the name is free.
fn remember(state: &mut State, proposal: &Proposal, outcome: &Outcome) {
    let keyed = proposal.fingerprint.is_some();
    if !keyed && outcome.is_err() {
        return;
    }
    let reply = StoredReply {
        index: state.index,
        at: proposal.at,
        fingerprint: proposal.fingerprint,
        outcome: outcome.clone(),
    };
    state.replies.insert(proposal.request, Arc::new(reply));
    let order = if keyed { &mut state.keyed_replies } else { &mut state.own_replies };
    order.insert(state.index, proposal.request);
    if state.own_replies.len() > MAX_OWN_REPLIES {
        forget_first(&mut state.own_replies, &mut state.replies);
    }
    if state.keyed_replies.len() > MAX_KEYED_REPLIES {
        forget_first(&mut state.keyed_replies, &mut state.replies);
    }
    // Two for each new one: after a quiet day the old ones go faster than new ones come.
    let horizon = state.now.minus(KEYED_REPLIES_FOR);
    for _ in 0..2 {
        let first = state.keyed_replies.get_min().and_then(|(_, request)| state.replies.get(request));
        if first.is_some_and(|reply| reply.at < horizon) {
            forget_first(&mut state.keyed_replies, &mut state.replies);
        }
    }
}

fn forget_first(order: &mut OrdMap<u64, RequestId>, replies: &mut OrdMap<RequestId, Arc<StoredReply>>) {
    if let Some((index, request)) = order.get_min().copied() {
        order.remove(&index);
        replies.remove(&request);
    }
}
