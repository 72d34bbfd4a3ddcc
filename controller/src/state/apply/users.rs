//! People and their sessions.

use super::access::spend_join_token;
use super::records::{EventDraft, emit};
use crate::state::command::{Proposal, Refusal, RefusalCode, Reply, UserPatch};
use crate::state::model::{
    ApiRole, ApiToken, JoinRole, MAX_PLACES, MAX_SESSIONS, MAX_USER_SESSIONS, MAX_USERS, OidcSettings,
    SignIn, State, User, UserSession, UserSource,
};
use omni_certs::SecretHash;
use omni_common::clock::Time;
use omni_common::domain::check_name;
use omni_common::ids::TokenId;
use std::sync::Arc;

/// Longest name that a person is called by, bytes.
const MAX_DISPLAY_NAME: usize = 128;

pub(super) fn create(state: &mut State, user: &User, proposal: &Proposal) -> Result<Reply, Refusal> {
    insert(state, user)?;
    tell(state, proposal, "user.created", &user.name, format!("{} added {}", proposal.actor.name, user.name));
    Ok(Reply::Done)
}

fn insert(state: &mut State, user: &User) -> Result<(), Refusal> {
    check(user)?;
    if state.users.contains_key(&user.name) {
        let message = format!("there is a user `{}` already", user.name);
        return Err(Refusal::new(RefusalCode::NameTaken, message));
    }
    if state.users.len() >= MAX_USERS {
        return Err(conflict(format!("there are {MAX_USERS} users; remove some first")));
    }
    let user = User { revision: state.index, ..user.clone() };
    state.users.insert(user.name.clone(), Arc::new(user));
    Ok(())
}

fn check(user: &User) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal::new(RefusalCode::Invalid, message);
    check_name(&user.name).map_err(|error| invalid(error.to_string()))?;
    if let Some(name) = &user.display_name
        && (name.len() > MAX_DISPLAY_NAME || name.trim().is_empty() || name.chars().any(char::is_control))
    {
        return Err(invalid(format!(
            "a display name has 1 to {MAX_DISPLAY_NAME} bytes and no control characters"
        )));
    }
    check_places(&user.places)
}

/// Whether these are environments and `environment/app`.
pub(super) fn check_places(places: &[String]) -> Result<(), Refusal> {
    if places.len() > MAX_PLACES {
        return Err(Refusal::new(
            RefusalCode::Invalid,
            format!("at most {MAX_PLACES} environments and apps"),
        ));
    }
    for place in places {
        let parts: Vec<&str> = place.split('/').collect();
        if parts.len() > 2 || parts.iter().any(|part| check_name(part).is_err()) {
            let message = format!("`{place}` is no place: write an environment, or environment/app");
            return Err(Refusal::new(RefusalCode::Invalid, message));
        }
    }
    Ok(())
}

pub(super) fn update(
    state: &mut State,
    name: &str,
    patch: &UserPatch,
    expect: Option<u64>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let had = has_admin(state);
    let before = state.users.get(name).ok_or_else(|| no_user(name))?;
    if expect.is_some_and(|expect| expect != before.revision) {
        let message = format!("{name} was changed meanwhile; look again");
        return Err(Refusal::new(RefusalCode::RevisionMismatch, message));
    }
    let mut user = User::clone(before);
    let provided = matches!(user.source, UserSource::Oidc { .. });
    if provided && (patch.password.is_some() || patch.role.is_some() || patch.places.is_some()) {
        let message =
            format!("{name} signs in through the provider, which says what they may do; change their groups");
        return Err(conflict(message));
    }
    if let Some(display_name) = &patch.display_name {
        user.display_name.clone_from(display_name);
    }
    user.role = patch.role.unwrap_or(user.role);
    user.places = patch.places.clone().unwrap_or(user.places);
    user.disabled = patch.disabled.unwrap_or(user.disabled);
    user.password = patch.password.clone().or(user.password);
    user.changed = proposal.at;
    user.revision = state.index;
    check(&user)?;
    state.users.insert(name.to_owned(), Arc::new(user.clone()));
    keep_an_admin(state, had)?;
    if user.disabled || patch.password.is_some() {
        end_of(state, name, patch.keep.filter(|_| !user.disabled));
    }
    tell(state, proposal, "user.changed", name, format!("{} changed {name}", proposal.actor.name));
    Ok(Reply::Done)
}

pub(super) fn remove(state: &mut State, name: &str, proposal: &Proposal) -> Result<Reply, Refusal> {
    let had = has_admin(state);
    state.users.remove(name).ok_or_else(|| no_user(name))?;
    keep_an_admin(state, had)?;
    end_of(state, name, None);
    tell(state, proposal, "user.removed", name, format!("{} removed {name}", proposal.actor.name));
    Ok(Reply::Done)
}

/// Whether there is a way in for somebody who may do everything.
fn has_admin(state: &State) -> bool {
    let token = |token: &ApiToken| {
        token.role == ApiRole::Admin
            && token.environments.is_empty()
            && token.expires.is_none_or(|expires| expires > state.now)
    };
    state.api_tokens.values().any(token) || state.users.values().any(|user| is_local_admin(user))
}

/// Refuses what takes the last such way away.
fn keep_an_admin(state: &State, had: bool) -> Result<(), Refusal> {
    if !had || has_admin(state) {
        return Ok(());
    }
    Err(conflict("nobody could do everything any more; make another admin first"))
}

/// Whether somebody may do everything without anyone else's word.
pub(super) fn is_local_admin(user: &User) -> bool {
    user.role == ApiRole::Admin && user.places.is_empty() && !user.disabled && user.password.is_some()
}

pub(super) fn start_session(
    state: &mut State,
    session: &UserSession,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let user = state.users.get_mut(&session.user).filter(|user| !user.disabled);
    let user = user.ok_or_else(|| no_user(&session.user))?;
    Arc::make_mut(user).signed_in = Some(proposal.at);
    open(state, session);
    Ok(Reply::Token(session.id))
}

/// Makes room and lets a session in.
fn open(state: &mut State, session: &UserSession) {
    sweep(state);
    let own = |one: &&UserSession| one.user == session.user;
    if state.sessions.values().filter(own).count() >= MAX_USER_SESSIONS {
        forget_oldest(state, |one| one.user == session.user);
    }
    if state.sessions.len() >= MAX_SESSIONS {
        forget_oldest(state, |_| true);
    }
    state.sessions.insert(session.id, session.clone());
}

fn forget_oldest(state: &mut State, among: impl Fn(&UserSession) -> bool) {
    let candidates = state.sessions.values().filter(|one| among(one));
    if let Some(id) = candidates.min_by_key(|one| (one.seen, one.id)).map(|one| one.id) {
        state.sessions.remove(&id);
    }
}

/// Forgets sessions that are over.
fn sweep(state: &mut State) {
    let over: Vec<TokenId> =
        state.sessions.values().filter(|one| one.is_over(state.now)).map(|one| one.id).collect();
    for id in over {
        state.sessions.remove(&id);
    }
}

pub(super) fn touch(state: &mut State, seen: &[(TokenId, Time)]) -> Reply {
    sweep(state);
    for (id, at) in seen {
        if let Some(session) = state.sessions.get_mut(id) {
            session.seen = session.seen.max(*at);
        }
    }
    Reply::Done
}

pub(super) fn end_session(state: &mut State, user: &str, id: TokenId) -> Result<Reply, Refusal> {
    if state.sessions.get(&id).is_none_or(|session| session.user != user) {
        return Err(Refusal::new(RefusalCode::NotFound, format!("{user} has no session {id}")));
    }
    state.sessions.remove(&id);
    Ok(Reply::Done)
}

pub(super) fn end_sessions(state: &mut State, user: &str, except: Option<TokenId>) -> Result<Reply, Refusal> {
    if !state.users.contains_key(user) {
        return Err(no_user(user));
    }
    end_of(state, user, except);
    Ok(Reply::Done)
}

fn end_of(state: &mut State, user: &str, except: Option<TokenId>) {
    let own = |one: &&UserSession| one.user == user && Some(one.id) != except;
    let gone: Vec<TokenId> = state.sessions.values().filter(own).map(|one| one.id).collect();
    for id in gone {
        state.sessions.remove(&id);
    }
}

pub(super) fn enroll_admin(
    state: &mut State,
    token: TokenId,
    secret: &SecretHash,
    user: &User,
    session: &UserSession,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    spend_join_token(state, token, secret, JoinRole::Admin, proposal.at)?;
    insert(state, user)?;
    let message = format!("{} came in by an invitation and may do everything", user.name);
    tell(state, proposal, "user.created", &user.name, message);
    start_session(state, session, proposal)
}

pub(super) fn enter_oidc(
    state: &mut State,
    told: &User,
    session: &UserSession,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    let known = state.users.values().find(|user| user.source == told.source).cloned();
    match known {
        Some(user) if user.disabled => Err(no_user(&user.name)),
        Some(user) => {
            let same = (user.role, &user.places) == (told.role, &told.places)
                && user.display_name == told.display_name;
            if !same {
                let mut changed = User::clone(&user);
                changed.display_name.clone_from(&told.display_name);
                changed.role = told.role;
                changed.places.clone_from(&told.places);
                changed.changed = proposal.at;
                changed.revision = state.index;
                check(&changed)?;
                state.users.insert(user.name.clone(), Arc::new(changed));
                let message = format!("the provider changed what {} may do", user.name);
                tell(state, proposal, "user.changed", &user.name, message);
            }
            let session = UserSession { user: user.name.clone(), ..session.clone() };
            start_session(state, &session, proposal)
        }
        None => {
            insert(state, told)?;
            let message = format!("{} came in through the provider", told.name);
            tell(state, proposal, "user.created", &told.name, message);
            start_session(state, session, proposal)
        }
    }
}

pub(super) fn set_oidc(
    state: &mut State,
    settings: Option<&OidcSettings>,
    proposal: &Proposal,
) -> Result<Reply, Refusal> {
    for group in settings.iter().flat_map(|settings| &settings.groups) {
        check_places(&group.places)?;
    }
    let issuer = |settings: &OidcSettings| settings.issuer.clone();
    if state.oidc.as_ref().map(issuer) != settings.map(issuer) {
        let through: Vec<TokenId> =
            state.sessions.values().filter(|one| one.by == SignIn::Oidc).map(|one| one.id).collect();
        for id in through {
            state.sessions.remove(&id);
        }
    }
    let gone = settings.is_none();
    state.oidc = settings.map(|settings| OidcSettings { revision: state.index, ..settings.clone() });
    let what = if gone { "took the OpenID provider away" } else { "set the OpenID provider" };
    let draft = EventDraft::new("cluster", "cluster.oidc", format!("{} {what}", proposal.actor.name));
    emit(state, proposal.at, draft);
    Ok(Reply::Done)
}

fn tell(state: &mut State, proposal: &Proposal, kind: &'static str, user: &str, message: String) {
    emit(state, proposal.at, EventDraft::new("user", kind, message).with("user", user));
}

fn no_user(name: &str) -> Refusal {
    Refusal::new(RefusalCode::NotFound, format!("no user `{name}`"))
}

fn conflict(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Conflict, message)
}
