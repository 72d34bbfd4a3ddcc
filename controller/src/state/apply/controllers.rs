//! The cluster and its controllers.

use super::access::spend_join_token;
use super::records::{EventDraft, emit};
use crate::state::command::{Command, Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{Cluster, Controller, Environment, JoinRole, LeaseFloor, LivenessConfig, State};
use omni_common::domain::check_name;
use omni_common::ids::ControllerId;
use std::time::Duration;

/// The environment that is meant when none is named.
const DEFAULT_ENVIRONMENT: &str = "default";

pub(super) fn bootstrap(state: &mut State, proposal: &Proposal) -> Result<Reply, Refusal> {
    let Command::Bootstrap { cluster, ca_cert, ca_key_sealed, controller, api_tokens, join_tokens } =
        &proposal.command
    else {
        unreachable!("called for this variant only")
    };
    if state.cluster.is_some() {
        return Err(Refusal::new(RefusalCode::Bootstrap, "the cluster exists already"));
    }
    state.cluster = Some(Cluster {
        id: *cluster,
        created: proposal.at,
        ca_cert: ca_cert.clone(),
        ca_key_sealed: ca_key_sealed.clone(),
        liveness: LivenessConfig::default(),
    });
    state.controllers.insert(controller.id, controller.clone());
    state.next_controller = controller.id.0 + 1;
    state.controllers_version += 1;
    for token in api_tokens {
        state.api_tokens.insert(token.id, token.clone());
    }
    for token in join_tokens {
        state.join_tokens.insert(token.id, token.clone());
    }
    let environment =
        Environment { name: DEFAULT_ENVIRONMENT.to_owned(), created: proposal.at, revision: state.index };
    state.environments.insert(environment.name.clone(), environment);
    let draft = EventDraft::new("cluster", "cluster.created", format!("cluster {cluster} was made"));
    emit(state, proposal.at, draft);
    Ok(Reply::Controller(controller.id))
}

pub(super) fn enroll(state: &mut State, proposal: &Proposal) -> Result<Reply, Refusal> {
    let Command::EnrollController { token, secret, name, quic, api, region, zone, version } =
        &proposal.command
    else {
        unreachable!("called for this variant only")
    };
    spend_join_token(state, *token, secret, JoinRole::Controller, proposal.at)?;
    check_name(name).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    check_free(state, None, name, quic)?;
    let id = ControllerId(state.next_controller);
    state.next_controller += 1;
    state.controllers_version += 1;
    state.controllers.insert(
        id,
        Controller {
            id,
            name: name.clone(),
            quic: quic.clone(),
            api: api.clone(),
            region: region.clone(),
            zone: zone.clone(),
            version: version.clone(),
            joined: proposal.at,
            certificate: None,
        },
    );
    let draft = EventDraft::controller(id, "controller.enrolled", format!("controller {name} joined"));
    emit(state, proposal.at, draft);
    Ok(Reply::Controller(id))
}

/// No two controllers share a name or an address.
fn check_free(state: &State, except: Option<ControllerId>, name: &str, quic: &str) -> Result<(), Refusal> {
    for other in state.controllers.values().filter(|other| Some(other.id) != except) {
        if other.name == name {
            let hint = "choose another with --name, or remove the old one with `omni controllers rm`";
            return Err(Refusal::new(
                RefusalCode::NameTaken,
                format!("a controller named `{name}` exists; {hint}"),
            ));
        }
        if other.quic == quic {
            let message =
                format!("controller {} already uses the address {quic}; set --advertise", other.name);
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
    }
    Ok(())
}

pub(super) fn update(
    state: &mut State,
    id: ControllerId,
    quic: &str,
    api: &str,
    version: &str,
) -> Result<Reply, Refusal> {
    let Some(known) = state.controllers.get(&id) else {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no controller {id}")));
    };
    check_free(state, Some(id), &known.name.clone(), quic)?;
    let controller = state.controllers.get_mut(&id).expect("looked up above");
    let moved = controller.quic != quic;
    controller.quic = quic.to_owned();
    controller.api = api.to_owned();
    controller.version = version.to_owned();
    if moved {
        state.controllers_version += 1;
    }
    Ok(Reply::Controller(id))
}

pub(super) fn remove(state: &mut State, id: ControllerId, proposal: &Proposal) -> Result<Reply, Refusal> {
    if !state.controllers.contains_key(&id) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("no controller {id}")));
    }
    if state.controllers.len() == 1 {
        return Err(Refusal::new(RefusalCode::Conflict, "the last controller cannot be removed"));
    }
    let removed = state.controllers.remove(&id).expect("looked up above");
    state.controllers_version += 1;
    let message = format!("controller {} was removed; its certificate is revoked", removed.name);
    emit(state, proposal.at, EventDraft::controller(id, "controller.removed", message));
    Ok(Reply::Controller(id))
}

pub(super) fn set_liveness(state: &mut State, config: LivenessConfig) -> Result<Reply, Refusal> {
    check_liveness(&config)?;
    let Some(cluster) = state.cluster.as_mut() else {
        return Err(Refusal::new(RefusalCode::Bootstrap, "there is no cluster yet"));
    };
    let before = std::mem::replace(&mut cluster.liveness, config);
    remember_lease(state, &before, &config);
    Ok(Reply::Done)
}

/// Leases that are out do not get shorter with the times that made them.
pub(super) fn remember_lease(state: &mut State, before: &LivenessConfig, after: &LivenessConfig) {
    if after.down_ms() >= before.down_ms() {
        return;
    }
    let kept = state.lease_floor.filter(|floor| floor.at(state.now) > Duration::ZERO);
    let longest = kept.map_or(0, |floor| floor.down_ms).max(before.down_ms());
    state.lease_floor = Some(LeaseFloor { down_ms: longest, at: state.now });
}

/// Times that cannot work together would declare live hosts dead.
pub(super) fn check_liveness(config: &LivenessConfig) -> Result<(), Refusal> {
    let fine = config.heartbeat_ms >= 100
        && config.suspect_ms > config.heartbeat_ms
        && config.lease_ms > config.suspect_ms
        && config.margin_ms >= config.heartbeat_ms;
    if !fine {
        let rule = "heartbeat (100 ms or more) < suspect < lease, and margin at least one heartbeat";
        return Err(Refusal::new(RefusalCode::Invalid, format!("these times cannot work together: {rule}")));
    }
    Ok(())
}
