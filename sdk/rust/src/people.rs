//! People: signing in and out, one's own account, and the accounts of others.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{
    AcceptInvitation, ChangePassword, CreateUser, DeviceAnswer, DevicePoll, DeviceStarted, OidcView, Page,
    PagePass, SessionStarted, SessionView, SetOidc, StartSession, UpdateUser, UserView, UsersQuery, WaysIn,
};
use omni_common::ids::TokenId;
use reqwest::Method;

/// Coming in, with a client made by [`Client::guest`].
impl Client {
    /// How one can sign in.
    pub async fn ways_in(&self) -> Result<WaysIn> {
        self.ask(Call::get(&["api", "v1", "session", "ways"])).await
    }

    /// Signs in with a password. The answer holds the token to go on with.
    pub async fn sign_in(&self, body: &StartSession) -> Result<SessionStarted> {
        self.write(Call::once(Method::POST, &["api", "v1", "session"]).body(body)).await
    }

    /// Takes an invitation.
    pub async fn accept_invitation(&self, body: &AcceptInvitation) -> Result<SessionStarted> {
        self.write(Call::once(Method::POST, &["api", "v1", "session", "invitation"]).body(body)).await
    }

    /// Begins to sign in through the OpenID provider.
    pub async fn start_device(&self) -> Result<DeviceStarted> {
        self.write(Call::once(Method::POST, &["api", "v1", "session", "oidc", "device"])).await
    }

    /// Asks whether the person has said yes at the provider.
    pub async fn poll_device(&self, handle: &str) -> Result<DeviceAnswer> {
        let body = DevicePoll { handle: handle.to_owned() };
        self.write(Call::once(Method::POST, &["api", "v1", "session", "oidc", "device", "poll"]).body(&body))
            .await
    }
}

/// One's own account.
impl Client {
    /// Ends the session of the token in use.
    pub async fn sign_out(&self) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "session"])).await
    }

    /// The next pass, for a page that has one.
    pub async fn page_pass(&self) -> Result<PagePass> {
        self.write(Call::once(Method::POST, &["api", "v1", "session", "pass"])).await
    }

    /// One's own account.
    pub async fn account(&self) -> Result<UserView> {
        self.read(Call::get(&["api", "v1", "account"])).await
    }

    /// Changes one's own password; the other sessions end.
    pub async fn change_password(&self, body: &ChangePassword) -> Result<UserView> {
        self.write(Call::change(Method::PUT, &["api", "v1", "account", "password"]).body(body)).await
    }

    /// One's own sessions.
    pub async fn own_sessions(&self) -> Result<Vec<SessionView>> {
        let page: Page<SessionView> = self.read(Call::get(&["api", "v1", "account", "sessions"])).await?;
        Ok(page.items)
    }

    /// Signs out everywhere.
    pub async fn end_own_sessions(&self) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "account", "sessions"])).await
    }

    /// Ends one of one's own sessions.
    pub async fn end_own_session(&self, id: TokenId) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "account", "sessions", &id.to_string()]);
        self.write_silent(call).await
    }
}

/// The accounts of others.
impl Client {
    /// People; all pages up to `limit`.
    pub async fn users(&self, query: UsersQuery) -> Result<Vec<UserView>> {
        self.list(&["api", "v1", "users"], query).await
    }

    /// One person.
    pub async fn user(&self, name: &str) -> Result<UserView> {
        self.read(Call::get(&["api", "v1", "users", name])).await
    }

    /// Adds a person.
    pub async fn create_user(&self, body: &CreateUser) -> Result<UserView> {
        self.write(Call::change(Method::POST, &["api", "v1", "users"]).body(body)).await
    }

    /// Changes a person, if they are still at `revision` when one is given.
    pub async fn update_user(
        &self,
        name: &str,
        body: &UpdateUser,
        revision: Option<u64>,
    ) -> Result<UserView> {
        let call = Call::change(Method::PATCH, &["api", "v1", "users", name]).body(body);
        self.write(call.if_revision(revision)).await
    }

    /// Removes a person.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "users", name])).await
    }

    /// The sessions of a person.
    pub async fn sessions(&self, user: &str) -> Result<Vec<SessionView>> {
        let page: Page<SessionView> = self.read(Call::get(&["api", "v1", "users", user, "sessions"])).await?;
        Ok(page.items)
    }

    /// Signs a person out everywhere.
    pub async fn end_sessions(&self, user: &str) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "users", user, "sessions"])).await
    }

    /// Ends a session of a person.
    pub async fn end_session(&self, user: &str, id: TokenId) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "users", user, "sessions", &id.to_string()]);
        self.write_silent(call).await
    }

    /// The OpenID provider.
    pub async fn oidc(&self) -> Result<OidcView> {
        self.read(Call::get(&["api", "v1", "oidc"])).await
    }

    /// Sets the OpenID provider.
    pub async fn set_oidc(&self, body: &SetOidc) -> Result<OidcView> {
        self.write(Call::change(Method::PUT, &["api", "v1", "oidc"]).body(body)).await
    }

    /// Takes the OpenID provider away.
    pub async fn remove_oidc(&self) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "oidc"])).await
    }
}
