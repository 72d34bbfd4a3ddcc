//! People.

use super::access::{places_of, scope_of};
use super::cursor::Paging;
use super::{App, AppError, Call, Denied, Principal, View};
use crate::state::{Command, State, User, UserSource, command::UserPatch};
use omni_common::api::v1::{self as api, ChangePassword, CreateUser, Page, UpdateUser, UserView, UsersQuery};
use std::ops::Bound;

impl App {
    /// A page of people, by name.
    pub fn list_users(&self, state: &State, query: &UsersQuery) -> Result<Page<UserView>, AppError> {
        let filters = UsersQuery { limit: None, cursor: None, ..query.clone() };
        let paging: Paging<String> = Paging::new("users", &filters, query.limit, query.cursor.as_deref())?;
        let speaks = |user: &User, text: &str| {
            user.name.contains(text) || user.display_name.as_ref().is_some_and(|name| name.contains(text))
        };
        let from = paging.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let users = state.users.range((from, Bound::Unbounded)).map(|(_, user)| &**user);
        let found = users.filter(|user| query.q.as_ref().is_none_or(|text| speaks(user, text)));
        Ok(paging.take(found.map(|user| (user.name.clone(), self.user_view(state, user)))))
    }

    /// One person.
    pub fn get_user(&self, state: &State, name: &str) -> Result<UserView, AppError> {
        Ok(self.user_view(state, find_user(state, name)?))
    }

    /// The caller, as a person.
    pub fn account(&self, state: &State, principal: &Principal) -> Result<UserView, AppError> {
        self.get_user(state, person(principal)?)
    }

    /// Adds a person with a password.
    pub async fn create_user(&self, call: &Call, body: CreateUser) -> Result<View<UserView>, AppError> {
        let places = places_of("/scope", body.scope)?;
        let password = self.people.passwords.hash("/password", &body.name, &body.password).await?;
        let now = self.clock.now();
        let user = User {
            name: body.name,
            display_name: body.display_name.filter(|name| !name.is_empty()),
            role: body.role.into(),
            places,
            password: Some(password),
            source: UserSource::Local,
            disabled: false,
            created: now,
            created_by: call.actor.name.clone(),
            changed: now,
            signed_in: None,
            revision: 0,
        };
        let name = user.name.clone();
        let written = self.write(call, |_| Ok(Command::CreateUser(Box::new(user.clone())))).await?;
        Ok(View { index: written.state.index, body: self.get_user(&written.state, &name)? })
    }

    /// Changes a person.
    pub async fn update_user(
        &self,
        call: &Call,
        name: &str,
        body: UpdateUser,
        expect: Option<u64>,
    ) -> Result<View<UserView>, AppError> {
        let password = match &body.password {
            Some(password) => Some(self.people.passwords.hash("/password", name, password).await?),
            None => None,
        };
        let patch = UserPatch {
            display_name: body.display_name.map(|name| Some(name).filter(|name| !name.is_empty())),
            role: body.role.map(Into::into),
            places: body.scope.map(|scope| places_of("/scope", scope)).transpose()?,
            disabled: body.disabled,
            password,
            keep: None,
        };
        self.patch(call, name, patch, expect).await
    }

    /// Changes the caller's own password. Their other sessions end.
    pub async fn change_password(
        &self,
        call: &Call,
        principal: &Principal,
        body: &ChangePassword,
    ) -> Result<View<UserView>, AppError> {
        let name = person(principal)?;
        let known = find_user(&self.store.current(), name)?.password.clone();
        if !self.people.passwords.matches(known.as_ref(), &body.current).await? {
            return Err(Denied::SignIn.into());
        }
        let password = self.people.passwords.hash("/new", name, &body.new).await?;
        let patch =
            UserPatch { password: Some(password), keep: Some(principal.token), ..UserPatch::default() };
        self.patch(call, name, patch, None).await
    }

    async fn patch(
        &self,
        call: &Call,
        name: &str,
        patch: UserPatch,
        expect: Option<u64>,
    ) -> Result<View<UserView>, AppError> {
        let build = |_: &State| {
            let patch = Box::new(patch.clone());
            Ok(Command::UpdateUser { user: name.to_owned(), patch, expect })
        };
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: self.get_user(&written.state, name)? })
    }

    /// Removes a person.
    pub async fn remove_user(&self, call: &Call, name: &str) -> Result<View<()>, AppError> {
        let written = self.write(call, |_| Ok(Command::RemoveUser(name.to_owned()))).await?;
        Ok(View { index: written.state.index, body: () })
    }

    fn user_view(&self, state: &State, user: &User) -> UserView {
        let now = self.clock.now();
        let open = state.sessions.values().filter(|one| one.user == user.name && !one.is_over(now));
        UserView {
            name: user.name.clone(),
            display_name: user.display_name.clone(),
            role: user.role.into(),
            scope: scope_of(&user.places),
            source: match user.source {
                UserSource::Local => api::UserSource::Local,
                UserSource::Oidc { .. } => api::UserSource::Oidc,
            },
            password: user.password.is_some(),
            disabled: user.disabled,
            created: user.created,
            created_by: user.created_by.clone(),
            changed: user.changed,
            signed_in: user.signed_in,
            sessions: u32::try_from(open.count()).unwrap_or(u32::MAX),
            revision: user.revision,
        }
    }
}

/// The caller's own name, when it is a person.
pub(super) fn person(principal: &Principal) -> Result<&str, AppError> {
    let not = || AppError::NotHere("an API token has no account; sign in as a person".to_owned());
    principal.user.as_deref().ok_or_else(not)
}

/// The person of that name.
pub(super) fn find_user<'a>(state: &'a State, name: &str) -> Result<&'a User, AppError> {
    let found = state.users.get(name).map(|user| &**user);
    found.ok_or_else(|| AppError::not_found("user", name))
}
