//! Hosts: enrolment, status, labels, removal.

use super::access::spend_join_token;
use super::allocations::remove as remove_allocation;
use super::controllers::{check_liveness, remember_lease};
use super::records::{EventDraft, emit};
use crate::state::command::{Command, HostPatch, HostTransition, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{Host, HostStatus, JoinRole, LivenessConfig, State};
use omni_common::domain::{HostFacts, check_labels, check_name};
use omni_common::ids::HostId;
use std::sync::Arc;

pub(super) fn enroll(state: &mut State, proposal: &Proposal) -> Result<Reply, Refusal> {
    let Command::EnrollHost { token, secret, host, name, labels, region, zone } = &proposal.command else {
        unreachable!("called for this variant only")
    };
    let token_labels = spend_join_token(state, *token, secret, JoinRole::Agent, proposal.at)?.labels;
    check_name(name).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    let mut labels = labels.clone();
    labels.extend(token_labels);
    check_labels(&labels).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    if state.host_names.contains_key(name) {
        let hint = "choose another with --name, or remove the old one with `omni hosts rm`";
        return Err(Refusal::new(RefusalCode::NameTaken, format!("a host named `{name}` exists; {hint}")));
    }
    if state.hosts.contains_key(host) {
        return Err(Refusal::new(RefusalCode::Conflict, format!("host {host} exists")));
    }
    state.host_names.insert(name.clone(), *host);
    let joined = Host {
        id: *host,
        name: name.clone(),
        labels,
        region: region.clone(),
        zone: zone.clone(),
        joined: proposal.at,
        status: HostStatus::Pending,
        status_since: proposal.at,
        cordoned: false,
        liveness: None,
        certificate: None,
        facts: None,
        boot: None,
        revision: state.index,
    };
    state.hosts.insert(*host, Arc::new(joined));
    state.plan_version = state.index;
    emit(state, proposal.at, EventDraft::host(*host, "host.enrolled", format!("host {name} joined")));
    Ok(Reply::Host(*host))
}

pub(super) fn transitions(state: &mut State, transitions: &[HostTransition], proposal: &Proposal) -> Reply {
    for transition in transitions {
        transition_one(state, transition, proposal);
    }
    Reply::Done
}

/// A transition of a host that was removed meanwhile, or that is already where it goes, is no change.
fn transition_one(state: &mut State, transition: &HostTransition, proposal: &Proposal) {
    let Some(host) = state.hosts.get_mut(&transition.host).map(Arc::make_mut) else { return };
    if let Some(boot) = transition.boot {
        host.boot = Some(boot);
    }
    if host.status == transition.status {
        return;
    }
    state.plan_version = state.index;
    let before = host.status;
    host.status = transition.status;
    host.status_since = proposal.at;
    let message = match transition.status {
        HostStatus::Up if before == HostStatus::Pending => format!("host {} is up", host.name),
        HostStatus::Up => format!("host {} is back", host.name),
        HostStatus::Suspect => format!("host {} is late with its heartbeats", host.name),
        HostStatus::Down => format!("host {} is down", host.name),
        HostStatus::Pending => format!("host {} is waited for", host.name),
    };
    let kind = match transition.status {
        HostStatus::Up => "host.up",
        HostStatus::Suspect => "host.suspect",
        HostStatus::Down => "host.down",
        HostStatus::Pending => "host.pending",
    };
    let draft = EventDraft::host(transition.host, kind, message).with("before", before.as_str());
    emit(state, proposal.at, draft);
}

pub(super) fn record_facts(state: &mut State, id: HostId, facts: &HostFacts) -> Result<Reply, Refusal> {
    host_mut(state, id)?.facts = Some(facts.clone());
    Ok(Reply::Done)
}

pub(super) fn update(
    state: &mut State,
    id: HostId,
    patch: &HostPatch,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let index = state.index;
    let host = host_mut(state, id)?;
    if expect.is_some_and(|expected| expected != host.revision) {
        let message = format!("host {} was changed meanwhile; read it again and repeat", host.name);
        return Err(Refusal::new(RefusalCode::RevisionMismatch, message));
    }
    let mut labels = host.labels.clone();
    for key in &patch.remove_labels {
        labels.remove(key);
    }
    labels.extend(patch.set_labels.clone());
    check_labels(&labels).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    if let Some(Some(config)) = &patch.liveness {
        check_liveness(config)?;
    }
    let was_cordoned = host.cordoned;
    host.labels = labels;
    host.cordoned = patch.cordoned.unwrap_or(host.cordoned);
    let liveness = host.liveness;
    host.liveness = patch.liveness.unwrap_or(host.liveness);
    host.revision = index;
    let (name, cordoned) = (host.name.clone(), host.cordoned);
    if host.liveness != liveness {
        let after = host.liveness;
        let of_all = state.cluster.as_ref().map_or_else(LivenessConfig::default, |cluster| cluster.liveness);
        remember_lease(state, &liveness.unwrap_or(of_all), &after.unwrap_or(of_all));
    }
    state.plan_version = index;
    let (kind, message) = match (was_cordoned, cordoned) {
        (false, true) => ("host.cordoned", format!("host {name} takes nothing new")),
        (true, false) => ("host.uncordoned", format!("host {name} takes new work again")),
        _ => ("host.changed", format!("host {name} was changed")),
    };
    emit(state, proposal.at, EventDraft::host(id, kind, message).with("by", &proposal.actor.name));
    Ok(Reply::Host(id))
}

pub(super) fn remove(state: &mut State, id: HostId, proposal: &Proposal) -> Result<Reply, Refusal> {
    let host = host_mut(state, id)?;
    let (name, down) = (host.name.clone(), host.status == HostStatus::Down);
    let here: Vec<_> = state.allocations_on(id).cloned().collect();
    // One that is lost may run again: its host has not spoken of it yet.
    let live = here.len();
    if live > 0 && !down {
        let message = format!(
            "host {name} still runs {live} instances; empty it with `omni drain {name}`, or stop its agent and wait until it is down"
        );
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    for allocation in here {
        remove_allocation(state, &allocation, proposal.at);
    }
    super::runs::forget_host(state, id, proposal);
    state.drains.remove(&id);
    state.generations.remove(&id);
    state.plan_version = state.index;
    state.hosts.remove(&id);
    state.host_names.remove(&name);
    let draft =
        EventDraft::host(id, "host.removed", format!("host {name} was removed; its certificate is revoked"));
    emit(state, proposal.at, draft.with("by", &proposal.actor.name));
    Ok(Reply::Host(id))
}

fn host_mut(state: &mut State, id: HostId) -> Result<&mut Host, Refusal> {
    state
        .hosts
        .get_mut(&id)
        .map(Arc::make_mut)
        .ok_or_else(|| Refusal::new(RefusalCode::NotFound, format!("no host {id}")))
}
