//! Environments.

use super::{App, AppError, Call, View};
use crate::state::{Command, Environment, Reach, State};
use omni_common::api::v1::{CreateEnvironment, EnvironmentView, Page};

impl App {
    /// Environments that the caller may have to do with, by name. There are at most a thousand, so they come in one piece.
    pub fn list_environments(&self, state: &State, within: Reach<'_>) -> Page<EnvironmentView> {
        let seen = state.environments.values().filter(|one| within.touches(&one.name));
        Page::whole(seen.map(view).collect())
    }

    /// Makes an environment.
    pub async fn create_environment(
        &self,
        call: &Call,
        body: CreateEnvironment,
    ) -> Result<View<EnvironmentView>, AppError> {
        let written = self.write(call, |_| Ok(Command::CreateEnvironment(body.name.clone()))).await?;
        Ok(View { index: written.state.index, body: find(&written.state, &body.name)? })
    }

    /// Removes an environment.
    pub async fn delete_environment(&self, call: &Call, name: &str) -> Result<View<()>, AppError> {
        let build = |_: &State| Ok(Command::DeleteEnvironment(name.to_owned()));
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }
}

fn find(state: &State, name: &str) -> Result<EnvironmentView, AppError> {
    let found = state.environments.get(name);
    found.map(view).ok_or_else(|| AppError::not_found("environment", name))
}

fn view(environment: &Environment) -> EnvironmentView {
    EnvironmentView {
        name: environment.name.clone(),
        created: environment.created,
        revision: environment.revision,
    }
}
