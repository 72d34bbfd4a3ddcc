//! Signing in and out.

use super::users::person;
use super::{App, AppError, Call, Denied, Principal, View};
use crate::state::{Actor, ApiRole, Command, SignIn, State, User, UserSession, UserSource};
use omni_certs::{Secret, TokenKind, TokenText};
use omni_common::api::v1::{
    self as api, AcceptInvitation, Page, PagePass, SessionStarted, SessionView, StartSession, WaysIn,
};
use omni_common::ids::{RequestId, TokenId};
use std::time::Duration;

/// A browser's session ends when it was not used for this long: overnight is fine, a week's leave is not.
const BROWSER_IDLE: Duration = Duration::from_secs(24 * 3600);
/// And after this long in any case.
const BROWSER_MOST: Duration = Duration::from_secs(14 * 24 * 3600);
/// A program's session (`omni login`), likewise.
const PROGRAM_IDLE: Duration = Duration::from_secs(14 * 24 * 3600);
/// And in any case.
const PROGRAM_MOST: Duration = Duration::from_secs(60 * 24 * 3600);
/// Somebody whom the OpenID provider vouches for has to be vouched for again after this long: only then does omni hear
/// that they left or lost a group. In a browser that is a click.
const VOUCHED_BROWSER: Duration = Duration::from_secs(24 * 3600);
/// For a program it is a code to be typed.
const VOUCHED_PROGRAM: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most that is kept of what a browser calls itself, characters.
const MAX_AGENT: usize = 120;

/// From where somebody signs in.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Address.
    pub from: Option<String>,
    /// What the browser or program calls itself.
    pub agent: Option<String>,
    /// It is a page of the dashboard.
    pub browser: bool,
}

/// A session that has begun.
pub struct Began {
    /// For the body of the answer.
    pub body: SessionStarted,
    /// For the cookie of a browser, and how long it is good for.
    pub cookie: Option<(String, Duration)>,
}

/// A session on its way into the state.
pub(super) struct Opening {
    pub(super) session: UserSession,
    text: String,
}

impl App {
    /// How one can sign in here.
    pub fn ways_in(&self, state: &State) -> WaysIn {
        WaysIn {
            password: state.users.values().any(|user| user.password.is_some() && !user.disabled),
            oidc: state.oidc.as_ref().map(|settings| settings.label.clone()),
        }
    }

    /// Signs a person in by password. The answer, and the time it takes, is the same for a wrong name, a wrong
    /// password, and somebody who may not come in.
    pub async fn sign_in(&self, visitor: &Visitor, body: &StartSession) -> Result<View<Began>, AppError> {
        let state = self.store.current();
        let user = state.users.get(&body.name).filter(|user| !user.disabled);
        let known = user.and_then(|user| user.password.as_ref());
        if !self.people.passwords.matches(known, &body.password).await? {
            return Err(Denied::SignIn.into());
        }
        let user = user.ok_or(Denied::SignIn)?;
        let opening = self.opening(&user.name, SignIn::Password, visitor)?;
        let actor = Actor::user(&user.name, Some(user.role), visitor.from.clone());
        let command = Command::StartSession(Box::new(opening.session.clone()));
        self.begin(actor, command, opening).await
    }

    /// Takes an invitation: whoever holds it becomes an admin with a name and password of their choice.
    pub async fn accept_invitation(
        &self,
        visitor: &Visitor,
        body: AcceptInvitation,
    ) -> Result<View<Began>, AppError> {
        let text: TokenText = body.token.parse().map_err(Denied::Malformed)?;
        if text.kind != TokenKind::Join {
            return Err(Denied::Unknown.into());
        }
        let password = self.people.passwords.hash("/password", &body.name, &body.password).await?;
        let opening = self.opening(&body.name, SignIn::Invitation, visitor)?;
        let now = self.clock.now();
        let user = User {
            name: body.name.clone(),
            display_name: body.display_name.filter(|name| !name.is_empty()),
            role: ApiRole::Admin,
            places: Vec::new(),
            password: Some(password),
            source: UserSource::Local,
            disabled: false,
            created: now,
            created_by: format!("invitation {}", text.id.short()),
            changed: now,
            signed_in: None,
            revision: 0,
        };
        let actor = Actor::user(&body.name, None, visitor.from.clone());
        let command = Command::EnrollAdmin {
            token: text.id,
            secret: text.hash(),
            user: Box::new(user),
            session: Box::new(opening.session.clone()),
        };
        self.begin(actor, command, opening).await
    }

    /// A fresh session and its secret.
    pub(super) fn opening(&self, user: &str, by: SignIn, visitor: &Visitor) -> Result<Opening, AppError> {
        let secret = Secret::generate().map_err(AppError::Secret)?;
        let id = TokenId::mint();
        let now = self.clock.now();
        let (idle, most) = match (visitor.browser, by) {
            (true, SignIn::Oidc) => (BROWSER_IDLE, VOUCHED_BROWSER),
            (true, _) => (BROWSER_IDLE, BROWSER_MOST),
            (false, SignIn::Oidc) => (VOUCHED_PROGRAM, VOUCHED_PROGRAM),
            (false, _) => (PROGRAM_IDLE, PROGRAM_MOST),
        };
        let session = UserSession {
            id,
            hash: secret.hash(),
            user: user.to_owned(),
            cookie: visitor.browser,
            by,
            created: now,
            seen: now,
            idle_secs: idle.as_secs(),
            ends: now.plus(most),
            from: visitor.from.clone(),
            agent: visitor.agent.as_deref().map(harmless),
        };
        Ok(Opening { session, text: TokenText::new(TokenKind::Session, id, &secret, self.ca).to_string() })
    }

    /// Writes a session down and hands its secret out.
    pub(super) async fn begin(
        &self,
        actor: Actor,
        command: Command,
        opening: Opening,
    ) -> Result<View<Began>, AppError> {
        let call = Call::everywhere(actor, RequestId::mint());
        let written = self.write(&call, |_| Ok(command.clone())).await?;
        let Opening { session, text } = opening;
        let user = written.state.sessions.get(&session.id).map_or(session.user, |kept| kept.user.clone());
        let body = match session.cookie {
            true => SessionStarted { user, token: None, pass: Some(self.new_pass(session.id)?) },
            false => SessionStarted { user, token: Some(text.clone()), pass: None },
        };
        let cookie = session.cookie.then_some((text, BROWSER_MOST));
        Ok(View { index: written.state.index, body: Began { body, cookie } })
    }

    /// The next pass for a page: by its cookie, or for a while by the pass it has.
    pub fn page_pass(&self, principal: &Principal, by_cookie: bool) -> Result<PagePass, AppError> {
        person(principal)?;
        match principal.pass {
            _ if by_cookie => self.new_pass(principal.token),
            Some(pass) => self.renew_pass(pass),
            None => Err(AppError::NotHere("a pass is for pages; use the session's token itself".to_owned())),
        }
    }

    /// Ends the caller's own session.
    pub async fn sign_out(&self, call: &Call, principal: &Principal) -> Result<View<()>, AppError> {
        let user = person(principal)?;
        self.end_session(call, user, principal.token).await
    }

    /// Ends a session of a person.
    pub async fn end_session(&self, call: &Call, user: &str, id: TokenId) -> Result<View<()>, AppError> {
        let build = |_: &State| Ok(Command::EndSession { user: user.to_owned(), session: id });
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    /// Ends all sessions of a person.
    pub async fn end_sessions(&self, call: &Call, user: &str) -> Result<View<()>, AppError> {
        let build = |_: &State| Ok(Command::EndSessions { user: user.to_owned(), except: None });
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    /// The open sessions of a person, the one used last first. There are twenty at most.
    pub fn list_sessions(
        &self,
        state: &State,
        user: &str,
        principal: &Principal,
    ) -> Result<Page<SessionView>, AppError> {
        super::users::find_user(state, user)?;
        let now = self.clock.now();
        let own = |one: &&UserSession| one.user == user && !one.is_over(now);
        let mut sessions: Vec<&UserSession> = state.sessions.values().filter(own).collect();
        sessions.sort_by_key(|one| (std::cmp::Reverse(one.seen), one.id));
        Ok(Page::whole(sessions.into_iter().map(|one| view(one, principal)).collect()))
    }

    /// The caller's own sessions.
    pub fn own_sessions(&self, state: &State, principal: &Principal) -> Result<Page<SessionView>, AppError> {
        self.list_sessions(state, person(principal)?, principal)
    }

    /// Ends one of the caller's own sessions, or all of them.
    pub async fn end_own(
        &self,
        call: &Call,
        principal: &Principal,
        id: Option<TokenId>,
    ) -> Result<View<()>, AppError> {
        let user = person(principal)?;
        match id {
            Some(id) => self.end_session(call, user, id).await,
            None => self.end_sessions(call, user).await,
        }
    }
}

/// What a stranger calls itself, cut and without what a terminal or a log could stumble over.
fn harmless(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect()
}

fn view(session: &UserSession, principal: &Principal) -> SessionView {
    SessionView {
        id: session.id,
        user: session.user.clone(),
        browser: session.cookie,
        by: match session.by {
            SignIn::Password => api::SignIn::Password,
            SignIn::Invitation => api::SignIn::Invitation,
            SignIn::Oidc => api::SignIn::Oidc,
        },
        created: session.created,
        seen: session.seen,
        expires: session.expires(),
        ends: session.ends,
        from: session.from.clone(),
        agent: session.agent.clone(),
        current: session.id == principal.token,
    }
}
