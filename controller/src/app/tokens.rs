//! Tokens: to join the cluster, and to call its API. A secret leaves this file once, inside the answer to
//! the call that made it; the state keeps a hash.

use super::access::{places_of, scope_of};
use super::cursor::Paging;
use super::{App, AppError, Call, View};
use crate::state::{ApiToken, Command, JoinRole, JoinToken, Reply, State};
use omni_certs::{Secret, TokenKind, TokenText};
use omni_common::api::v1::{
    self as api, ApiTokenCreated, ApiTokenView, CreateApiToken, CreateJoinToken, JoinTokenCreated,
    JoinTokenView, Page, TokensQuery,
};
use omni_common::ids::TokenId;
use std::ops::Bound;
use std::time::Duration;

/// A join token is good for an hour when nothing else is asked for: the time it takes to set a machine up.
const DEFAULT_JOIN_TTL: u64 = 3600;
/// A join token lies about in scripts and chats; it must not do so for ever.
const MAX_JOIN_TTL: u64 = 30 * 24 * 3600;
/// Ten years: longer is better said by leaving the lifetime out.
const MAX_API_TTL: u64 = 10 * 366 * 24 * 3600;

impl App {
    /// A page of join tokens, oldest first.
    pub fn list_join_tokens(
        &self,
        state: &State,
        query: &TokensQuery,
    ) -> Result<Page<JoinTokenView>, AppError> {
        let now = self.clock.now();
        let paging = paging("join-tokens", query)?;
        let alive = |token: &&JoinToken| query.all || (token.expires > now && token.uses_left != Some(0));
        let tokens = state.join_tokens.range((behind(&paging), Bound::Unbounded));
        let tokens = tokens.map(|(_, token)| token).filter(alive);
        Ok(paging.take(tokens.map(|token| (token.id, join_view(token)))))
    }

    /// A page of API tokens, oldest first.
    pub fn list_api_tokens(
        &self,
        state: &State,
        query: &TokensQuery,
    ) -> Result<Page<ApiTokenView>, AppError> {
        let now = self.clock.now();
        let paging = paging("api-tokens", query)?;
        let alive = |token: &&ApiToken| query.all || token.expires.is_none_or(|expires| expires > now);
        let tokens = state.api_tokens.range((behind(&paging), Bound::Unbounded));
        let tokens = tokens.map(|(_, token)| token).filter(alive);
        Ok(paging.take(tokens.map(|token| (token.id, api_view(token)))))
    }

    /// Makes a join token.
    pub async fn create_join_token(
        &self,
        call: &Call,
        body: CreateJoinToken,
    ) -> Result<View<JoinTokenCreated>, AppError> {
        let ttl = lifetime(body.ttl_secs.unwrap_or(DEFAULT_JOIN_TTL), MAX_JOIN_TTL)?;
        let secret = Secret::generate().map_err(AppError::Secret)?;
        let now = self.clock.now();
        let token = JoinToken {
            id: TokenId::mint(),
            role: body.role.into(),
            hash: secret.hash(),
            created: now,
            expires: now.plus(ttl),
            uses_left: Some(body.uses.unwrap_or(1)).filter(|uses| *uses > 0),
            used: 0,
            labels: body.labels,
            created_by: call.actor.name.clone(),
        };
        let written = self.write(call, |_| Ok(Command::CreateJoinToken(token.clone()))).await?;
        made_now(&written.reply, token.id)?;
        let text = TokenText::new(TokenKind::Join, token.id, &secret, self.ca);
        let body = JoinTokenCreated { token: text.to_string(), view: join_view(&token) };
        Ok(View { index: written.state.index, body })
    }

    /// Makes an API token.
    pub async fn create_api_token(
        &self,
        call: &Call,
        body: CreateApiToken,
    ) -> Result<View<ApiTokenCreated>, AppError> {
        let places = places_of("/scope", body.scope)?;
        let ttl = body.ttl_secs.map(|secs| lifetime(secs, MAX_API_TTL)).transpose()?;
        let secret = Secret::generate().map_err(AppError::Secret)?;
        let now = self.clock.now();
        let token = ApiToken {
            id: TokenId::mint(),
            name: body.name,
            role: body.role.into(),
            environments: places,
            hash: secret.hash(),
            created: now,
            expires: ttl.map(|ttl| now.plus(ttl)),
            created_by: call.actor.name.clone(),
        };
        let written = self.write(call, |_| Ok(Command::CreateApiToken(token.clone()))).await?;
        made_now(&written.reply, token.id)?;
        let text = TokenText::new(TokenKind::Api, token.id, &secret, self.ca);
        let body = ApiTokenCreated { token: text.to_string(), view: api_view(&token) };
        Ok(View { index: written.state.index, body })
    }

    /// Takes a join token back.
    pub async fn delete_join_token(&self, call: &Call, id: TokenId) -> Result<View<()>, AppError> {
        let written = self.write(call, |_| Ok(Command::DeleteJoinToken(id))).await?;
        Ok(View { index: written.state.index, body: () })
    }

    /// Takes an API token back. Its open sockets are cut within a second.
    pub async fn delete_api_token(&self, call: &Call, id: TokenId) -> Result<View<()>, AppError> {
        let written = self.write(call, |_| Ok(Command::DeleteApiToken(id))).await?;
        Ok(View { index: written.state.index, body: () })
    }
}

/// A repeated call gets the answer of the first one, whose secret nobody has any more.
fn made_now(reply: &Reply, minted: TokenId) -> Result<(), AppError> {
    match reply {
        Reply::Token(id) if *id != minted => Err(AppError::ShownOnce(*id)),
        _ => Ok(()),
    }
}

fn lifetime(secs: u64, max: u64) -> Result<Duration, AppError> {
    if (1..=max).contains(&secs) {
        return Ok(Duration::from_secs(secs));
    }
    Err(AppError::invalid("/ttl_secs", format!("use 1 to {max} seconds")))
}

fn paging(list: &str, query: &TokensQuery) -> Result<Paging<TokenId>, AppError> {
    Paging::new(list, &query.all, query.limit, query.cursor.as_deref())
}

fn behind(paging: &Paging<TokenId>) -> Bound<TokenId> {
    paging.after.map_or(Bound::Unbounded, Bound::Excluded)
}

fn join_view(token: &JoinToken) -> JoinTokenView {
    JoinTokenView {
        id: token.id,
        role: token.role.into(),
        labels: token.labels.clone(),
        created: token.created,
        created_by: token.created_by.clone(),
        expires: token.expires,
        uses_left: token.uses_left,
        used: token.used,
    }
}

fn api_view(token: &ApiToken) -> ApiTokenView {
    ApiTokenView {
        id: token.id,
        name: token.name.clone(),
        role: token.role.into(),
        scope: scope_of(&token.environments),
        created: token.created,
        created_by: token.created_by.clone(),
        expires: token.expires,
    }
}

impl From<JoinRole> for api::JoinRole {
    fn from(role: JoinRole) -> Self {
        match role {
            JoinRole::Agent => Self::Agent,
            JoinRole::Controller => Self::Controller,
            JoinRole::Admin => Self::Admin,
        }
    }
}

impl From<api::JoinRole> for JoinRole {
    fn from(role: api::JoinRole) -> Self {
        match role {
            api::JoinRole::Agent => Self::Agent,
            api::JoinRole::Controller => Self::Controller,
            api::JoinRole::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_bounds() {
        assert!(lifetime(0, 10).is_err());
        assert!(lifetime(11, 10).is_err());
        assert_eq!(lifetime(10, 10).expect("allowed"), Duration::from_secs(10));
    }
}
