//! Who calls, by their API token.

use super::App;
use crate::state::{Actor, ActorKind, ApiRole, ApiToken};
use omni_certs::{InvalidToken, SecretHash, TokenKind, TokenText};
use omni_common::api::v1::{AccessRole, AccessScope, WhoAmI};
use omni_common::clock::Time;
use omni_common::ids::TokenId;

/// A caller whose token was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its token.
    pub token: TokenId,
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: ApiRole,
    /// Environments it is confined to; empty for all.
    pub environments: Vec<String>,
    /// When the token ends; absent for never.
    pub expires: Option<Time>,
}

/// Why a caller was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token came with the call.
    #[error("this needs an API token: send `authorization: Bearer omni-api1.…`")]
    Missing,
    /// What came is no token.
    #[error("{0}")]
    Malformed(InvalidToken),
    /// A join token came.
    #[error("this is a join token; the API takes tokens that begin with `omni-api1.`")]
    JoinToken,
    /// No such token, or its secret is wrong; the two are not told apart.
    #[error("this cluster does not know this token: it was deleted, or it belongs to another cluster")]
    Unknown,
    /// The token's time is over.
    #[error("this token has expired; ask an admin for a new one")]
    Expired,
    /// The token's role does not reach.
    #[error("this needs the role {}, the token has {}", needs.as_str(), has.as_str())]
    Role {
        /// What is needed.
        needs: ApiRole,
        /// What there is.
        has: ApiRole,
    },
}

impl Principal {
    fn of(token: &ApiToken) -> Self {
        Self {
            token: token.id,
            name: token.name.clone(),
            role: token.role,
            environments: token.environments.clone(),
            expires: token.expires,
        }
    }

    /// As proposals and audit entries name it.
    pub fn actor(&self, from: Option<String>) -> Actor {
        Actor { kind: ActorKind::Token, name: format!("token:{}", self.name), role: Some(self.role), from }
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
        let text: TokenText = bearer.parse().map_err(Denied::Malformed)?;
        if text.kind != TokenKind::Api {
            return Err(Denied::JoinToken);
        }
        let state = self.store.current();
        let token = state.api_tokens.get(&text.id);
        let hash = token.map_or_else(|| SecretHash::of(b"nobody's"), |token| token.hash);
        let matches = hash.matches(&text.secret);
        let token = token.filter(|_| matches).ok_or(Denied::Unknown)?;
        self.check_time(token)?;
        Ok(Principal::of(token))
    }

    /// Whether `principal` may still do what it was let in for: asked again and again by open sockets.
    pub fn still_valid(&self, principal: &Principal) -> Result<(), Denied> {
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
            scope: AccessScope { environments: principal.environments.clone(), apps: Vec::new() },
            token: principal.token,
            expires: principal.expires,
            cluster: cluster.id,
        })
    }
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
