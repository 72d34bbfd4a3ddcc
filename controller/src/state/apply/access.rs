//! Tokens.

use super::records::{EventDraft, emit};
use super::users::{check_places, is_local_admin};
use crate::state::command::{Proposal, Refusal, RefusalCode, Reply};
use crate::state::model::{ApiRole, ApiToken, JoinRole, JoinToken, State};
use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::domain::{check_labels, check_name};
use omni_common::ids::TokenId;

/// Tokens of one kind that may exist at once: far more than people make, few enough to list.
const MAX_TOKENS: usize = 10_000;

pub(super) fn create_join_token(
    state: &mut State,
    token: &JoinToken,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    check_labels(&token.labels).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    drop_expired(state);
    check_room(state.join_tokens.len())?;
    if state.join_tokens.contains_key(&token.id) {
        return Err(Refusal::new(RefusalCode::Conflict, format!("token {} exists", token.id)));
    }
    state.join_tokens.insert(token.id, token.clone());
    let draft =
        EventDraft::new("token", "token.created", format!("{} made a join token", proposal.actor.name));
    emit(state, proposal.at, draft.with("token", &token.id.to_string()));
    Ok(Reply::Token(token.id))
}

/// Join tokens that ended more than a day ago teach nobody anything; until then they explain a refusal.
fn drop_expired(state: &mut State) {
    let horizon = state.now.minus(std::time::Duration::from_secs(24 * 3600));
    let gone: Vec<_> =
        state.join_tokens.values().filter(|token| token.expires <= horizon).map(|token| token.id).collect();
    for id in gone {
        state.join_tokens.remove(&id);
    }
}

fn check_room(count: usize) -> Result<(), Refusal> {
    if count < MAX_TOKENS {
        return Ok(());
    }
    let message = format!("there are {count} tokens; delete some with `omni token rm` first");
    Err(Refusal::new(RefusalCode::Conflict, message))
}

pub(super) fn delete_join_token(
    state: &mut State,
    id: TokenId,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    if state.join_tokens.remove(&id).is_none() {
        return Err(no_token(id));
    }
    emit_deleted(state, id, proposal);
    Ok(Reply::Token(id))
}

pub(super) fn create_api_token(
    state: &mut State,
    token: &ApiToken,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    check_name(&token.name).map_err(|e| Refusal::new(RefusalCode::Invalid, e.to_string()))?;
    check_places(&token.environments)?;
    check_room(state.api_tokens.len())?;
    if state.api_tokens.contains_key(&token.id) {
        return Err(Refusal::new(RefusalCode::Conflict, format!("token {} exists", token.id)));
    }
    state.api_tokens.insert(token.id, token.clone());
    let message = format!("{} made an API token named {}", proposal.actor.name, token.name);
    let draft = EventDraft::new("token", "token.created", message);
    emit(state, proposal.at, draft.with("token", &token.id.to_string()));
    Ok(Reply::Token(token.id))
}

/// Takes an API token back, but never the last one by which an admin could come in.
pub(super) fn delete_api_token(
    state: &mut State,
    id: TokenId,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let Some(token) = state.api_tokens.get(&id) else {
        return Err(no_token(id));
    };
    let is_admin = |token: &ApiToken| {
        token.role == ApiRole::Admin
            && token.environments.is_empty()
            && token.expires.is_none_or(|expires| expires > state.now)
    };
    let others = state.api_tokens.values().any(|other| other.id != id && is_admin(other))
        || state.users.values().any(|user| is_local_admin(user));
    if is_admin(token) && !others {
        let message = "this is the last admin token, and no user is an admin; make either before deleting it";
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    state.api_tokens.remove(&id);
    emit_deleted(state, id, proposal);
    Ok(Reply::Token(id))
}

fn emit_deleted(state: &mut State, id: TokenId, proposal: &Proposal) {
    let draft = EventDraft::new("token", "token.deleted", format!("{} deleted a token", proposal.actor.name));
    emit(state, proposal.at, draft.with("token", &id.to_string()));
}

fn no_token(id: TokenId) -> Refusal {
    Refusal::new(RefusalCode::NotFound, format!("no token {id}"))
}

/// Checks a join token and counts one use of it.
///
/// A wrong secret and an unknown id get the same answer, so that ids cannot be probed. The other refusals
/// are only told to someone who holds the secret.
pub(super) fn spend_join_token(
    state: &mut State,
    id: TokenId,
    secret: &SecretHash,
    role: JoinRole,
    now: Time,
) -> Result<JoinToken, Refusal> {
    let unknown = || {
        let message = "no such join token; make one with `omni token create` and paste it whole";
        Refusal::new(RefusalCode::TokenUnknown, message)
    };
    let token = state.join_tokens.get_mut(&id).ok_or_else(unknown)?;
    if token.hash != *secret {
        return Err(unknown());
    }
    if token.role != role {
        let has = match token.role {
            JoinRole::Agent => "hosts",
            JoinRole::Controller => "controllers",
            JoinRole::Admin => "people",
        };
        let wants = match role {
            JoinRole::Agent => "agent",
            JoinRole::Controller => "controller",
            JoinRole::Admin => "admin",
        };
        let message = format!("this token is for {has}; make one with `omni token create --role {wants}`");
        return Err(Refusal::new(RefusalCode::TokenRole, message));
    }
    if token.expires <= now {
        let message =
            format!("this join token ended at {}; make a new one with `omni token create`", token.expires);
        return Err(Refusal::new(RefusalCode::TokenExpired, message));
    }
    match &mut token.uses_left {
        Some(0) => {
            let message = "this join token has been used up; make a new one with `omni token create`";
            return Err(Refusal::new(RefusalCode::TokenUsed, message));
        }
        Some(left) => *left -= 1,
        None => {}
    }
    token.used = token.used.saturating_add(1);
    Ok(token.clone())
}
