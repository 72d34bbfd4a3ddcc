//! Who calls: by an API token, by a session's token, or by the pass of a page.

use super::App;
use super::passes::Pass;
use crate::state::{Actor, ActorKind, ApiRole, ApiToken, Reach, User, UserSession};
use omni_certs::{InvalidToken, SecretHash, TokenKind, TokenText};
use omni_common::api::v1::{AccessRole, AccessScope, WhoAmI};
use omni_common::clock::Time;
use omni_common::ids::TokenId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A caller whose token, session or pass was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its token, or the session.
    pub token: TokenId,
    /// The person, when it is a session.
    pub user: Option<String>,
    /// The token's name, or the person's.
    pub name: String,
    /// What it may do.
    pub role: ApiRole,
    /// Where; see [`Reach`].
    pub places: Arc<[String]>,
    /// When it ends; absent for never.
    pub expires: Option<Time>,
    /// A page called with this pass.
    pub(crate) pass: Option<Pass>,
}

/// Why a caller was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token came with the call.
    #[error("this needs an API token or a session: send `authorization: Bearer omni-api1.…`")]
    Missing,
    /// What came is no token.
    #[error("{0}")]
    Malformed(InvalidToken),
    /// A join token came.
    #[error("this is a join token; the API takes tokens that begin with `omni-api1.` or `omni-session1.`")]
    JoinToken,
    /// No such token, or its secret is wrong; the two are not told apart.
    #[error("this cluster does not know this token: it was deleted, or it belongs to another cluster")]
    Unknown,
    /// The token's time is over.
    #[error("this token has expired; ask an admin for a new one")]
    Expired,
    /// The session is over, or was ended.
    #[error("this session is over; sign in again")]
    SignedOut,
    /// Name or password is wrong, or the person may not come in; the three are not told apart.
    #[error("name or password is wrong")]
    SignIn,
    /// What the person may do was changed since the socket was opened.
    #[error("what you may do was changed; connect again")]
    Changed,
    /// A browser was made to send this by a page that is not omni's.
    #[error("this came from a page that is not this controller's own; open the dashboard at its own address")]
    Foreign,
    /// The token's role does not reach.
    #[error("this needs the role {}, the token has {}", needs.as_str(), has.as_str())]
    Role {
        /// What is needed.
        needs: ApiRole,
        /// What there is.
        has: ApiRole,
    },
    /// The caller is confined to environments or apps, and this lies outside.
    #[error("you are confined to some environments or apps, and this is not among them")]
    Place,
}

impl Principal {
    fn of(token: &ApiToken) -> Self {
        Self {
            token: token.id,
            user: None,
            name: token.name.clone(),
            role: token.role,
            places: token.environments.as_slice().into(),
            expires: token.expires,
            pass: None,
        }
    }

    fn of_session(session: &UserSession, user: &User) -> Self {
        Self {
            token: session.id,
            user: Some(user.name.clone()),
            name: user.name.clone(),
            role: user.role,
            places: user.places.as_slice().into(),
            expires: Some(session.expires()),
            pass: None,
        }
    }

    /// As proposals and audit entries name it.
    pub fn actor(&self, from: Option<String>) -> Actor {
        match &self.user {
            Some(name) => Actor::user(name, Some(self.role), from),
            None => Actor {
                kind: ActorKind::Token,
                name: format!("token:{}", self.name),
                role: Some(self.role),
                from,
            },
        }
    }

    /// Where its role holds.
    pub fn reach(&self) -> Reach<'_> {
        Reach(&self.places)
    }

    /// Whether its role reaches `needs`.
    pub fn check(&self, needs: ApiRole) -> Result<(), Denied> {
        if self.role >= needs {
            return Ok(());
        }
        Err(Denied::Role { needs, has: self.role })
    }
}

impl App {
    /// Who holds `bearer`. Takes the same time for an unknown token and for a wrong secret.
    pub fn authenticate(&self, bearer: &str) -> Result<Principal, Denied> {
        if let Some(pass) = self.open_pass(bearer) {
            let pass = pass?;
            let principal = self.session_principal(pass.session, None)?;
            return Ok(Principal { pass: Some(pass), ..principal });
        }
        let text: TokenText = bearer.parse().map_err(Denied::Malformed)?;
        match text.kind {
            TokenKind::Join => Err(Denied::JoinToken),
            TokenKind::Session => self.session_principal(text.id, Some((&text.secret, false))),
            TokenKind::Api => {
                let state = self.store.current();
                let token = state.api_tokens.get(&text.id);
                let hash = token.map_or_else(|| SecretHash::of(b"nobody's"), |token| token.hash);
                let matches = hash.matches(&text.secret);
                let token = token.filter(|_| matches).ok_or(Denied::Unknown)?;
                self.check_time(token)?;
                Ok(Principal::of(token))
            }
        }
    }

    /// Whose session a browser's cookie holds.
    pub(crate) fn authenticate_cookie(&self, cookie: &str) -> Result<Principal, Denied> {
        let text: TokenText = cookie.parse().map_err(Denied::Malformed)?;
        if text.kind != TokenKind::Session {
            return Err(Denied::Unknown);
        }
        self.session_principal(text.id, Some((&text.secret, true)))
    }

    /// The person behind a session that is open. `shown` is the secret that came, and whether it came as a cookie:
    /// what was made for the one is not good for the other.
    fn session_principal(&self, id: TokenId, shown: Option<(&[u8], bool)>) -> Result<Principal, Denied> {
        let state = self.store.current();
        let now = self.clock.now();
        let session = state.sessions.get(&id);
        if let Some((secret, cookie)) = shown {
            let hash = session.map_or_else(|| SecretHash::of(b"nobody's"), |session| session.hash);
            let matches = hash.matches(secret);
            if session.is_none_or(|session| !matches || session.cookie != cookie) {
                return Err(Denied::SignedOut);
            }
        }
        let session = session.filter(|session| !session.is_over(now)).ok_or(Denied::SignedOut)?;
        let user = state.users.get(&session.user).filter(|user| !user.disabled).ok_or(Denied::SignedOut)?;
        self.people.seen.note(session, now);
        Ok(Principal::of_session(session, user))
    }

    /// Whether `principal` may still do what it was let in for: asked again and again by open sockets.
    pub fn still_valid(&self, principal: &Principal) -> Result<(), Denied> {
        if principal.user.is_some() {
            let now = self.session_principal(principal.token, None)?;
            let same = (now.role, &now.places) == (principal.role, &principal.places);
            return if same { Ok(()) } else { Err(Denied::Changed) };
        }
        let state = self.store.current();
        let token = state.api_tokens.get(&principal.token).ok_or(Denied::Unknown)?;
        self.check_time(token)
    }

    fn check_time(&self, token: &ApiToken) -> Result<(), Denied> {
        match token.expires {
            Some(expires) if expires <= self.clock.now() => Err(Denied::Expired),
            _ => Ok(()),
        }
    }

    /// The caller as it is shown to itself.
    pub fn who_am_i(&self, principal: &Principal) -> Result<WhoAmI, super::AppError> {
        let state = self.store.current();
        let cluster = state.cluster.as_ref().ok_or(super::AppError::NoCluster)?;
        Ok(WhoAmI {
            name: principal.name.clone(),
            role: principal.role.into(),
            scope: scope_of(&principal.places),
            token: principal.token,
            user: principal.user.clone(),
            expires: principal.expires,
            cluster: cluster.id,
        })
    }
}

/// Places as the API shows them.
pub(super) fn scope_of(places: &[String]) -> AccessScope {
    let (apps, environments) = places.iter().cloned().partition(|place| place.contains('/'));
    AccessScope { environments, apps }
}

/// What the API was given, as places.
pub(super) fn places_of(pointer: &str, scope: AccessScope) -> Result<Vec<String>, super::AppError> {
    if let Some(bad) = scope.apps.iter().find(|app| !app.contains('/')) {
        let detail = format!("`{bad}` names no environment: write `environment/app`");
        return Err(super::AppError::invalid(format!("{pointer}/apps"), detail));
    }
    if let Some(bad) = scope.environments.iter().find(|environment| environment.contains('/')) {
        let detail = format!("`{bad}` is an app; put it into `apps`");
        return Err(super::AppError::invalid(format!("{pointer}/environments"), detail));
    }
    let places: BTreeSet<String> = scope.environments.into_iter().chain(scope.apps).collect();
    Ok(places.into_iter().collect())
}

impl From<ApiRole> for AccessRole {
    fn from(role: ApiRole) -> Self {
        match role {
            ApiRole::Viewer => Self::Viewer,
            ApiRole::Operator => Self::Operator,
            ApiRole::Admin => Self::Admin,
        }
    }
}

impl From<AccessRole> for ApiRole {
    fn from(role: AccessRole) -> Self {
        match role {
            AccessRole::Viewer => Self::Viewer,
            AccessRole::Operator => Self::Operator,
            AccessRole::Admin => Self::Admin,
        }
    }
}
