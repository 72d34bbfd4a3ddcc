//! Apps: reading and deploying a project, what runs, releases, and taking a hand in a deployment.
//!
//! An app is named by its environment and its name.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{
    AcceptLoss, AppView, AppsQuery, Change, ConfirmMove, DefinitionQuery, Deploy, DeployPlan, DiffQuery,
    Explanation, HostProject, MovePlan, Page, ProjectDefinition, ProjectReading, ReadProject, ReleaseView,
    RemoveAppQuery, Rollback, StartMove, SteerAction, SteerDeployment, UpdateApp,
};
use omni_common::domain::app::AppSpec;
use omni_common::ids::DeploymentId;
use reqwest::Method;

const APPS: [&str; 3] = ["api", "v1", "apps"];

/// A call about one app, or about a part of it.
fn of<'a>(environment: &'a str, app: &'a str, part: &[&'a str]) -> Vec<&'a str> {
    [&APPS[..], &[environment, app], part].concat()
}

/// From a project to an app.
impl Client {
    /// How a project reads. Changes nothing.
    pub async fn read_project(&self, body: &ReadProject) -> Result<ProjectReading> {
        self.write(Call::change(Method::POST, &["api", "v1", "apps", "read"]).body(body)).await
    }

    /// What deploying a project would do. Changes nothing.
    pub async fn plan_deploy(&self, body: &Deploy) -> Result<DeployPlan> {
        self.write(Call::change(Method::POST, &["api", "v1", "apps", "plan"]).body(body)).await
    }

    /// Makes a release of a project and moves the app there, if the app is still at `revision` when one is given;
    /// zero stands for an app that is not there yet.
    pub async fn deploy(&self, body: &Deploy, revision: Option<u64>) -> Result<AppView> {
        self.write(Call::change(Method::POST, &APPS).body(body).if_revision(revision)).await
    }
}

/// From a compose project that runs to an app.
impl Client {
    /// The compose projects of a host.
    pub async fn host_projects(&self, host: &str) -> Result<Vec<HostProject>> {
        let call = Call::get(&["api", "v1", "hosts", host, "projects"]);
        let page: Page<HostProject> = self.read(call).await?;
        Ok(page.items)
    }

    /// The definition of one, as it can be deployed with `adopt`; its variables' values included.
    pub async fn project_definition(
        &self,
        host: &str,
        project: &str,
        query: &DefinitionQuery,
    ) -> Result<ProjectDefinition> {
        self.read(Call::get(&["api", "v1", "hosts", host, "projects", project]).with(query)).await
    }
}

/// What there is.
impl Client {
    /// Apps; all pages up to `limit`.
    pub async fn apps(&self, query: AppsQuery) -> Result<Vec<AppView>> {
        self.list(&APPS, query).await
    }

    /// One page of apps; `next_cursor` in the next query's `cursor` leads on.
    pub async fn apps_page(&self, query: &AppsQuery) -> Result<Page<AppView>> {
        self.page(&APPS, query).await
    }

    /// One app, with what runs where and what waits.
    pub async fn app(&self, environment: &str, app: &str) -> Result<AppView> {
        self.read(Call::get(&of(environment, app, &[]))).await
    }

    /// Why an app runs where it does, and why not elsewhere.
    pub async fn explain_app(&self, environment: &str, app: &str) -> Result<Explanation> {
        self.read(Call::get(&of(environment, app, &["explain"]))).await
    }

    /// The releases of an app, newest first.
    pub async fn releases(&self, environment: &str, app: &str) -> Result<Vec<ReleaseView>> {
        let page: Page<ReleaseView> = self.read(Call::get(&of(environment, app, &["releases"]))).await?;
        Ok(page.items)
    }

    /// What a release is, its variables' values included.
    pub async fn release(&self, environment: &str, app: &str, number: u64) -> Result<AppSpec> {
        self.read(Call::get(&of(environment, app, &["releases", &number.to_string()]))).await
    }

    /// What differs between two releases.
    pub async fn diff_releases(
        &self,
        environment: &str,
        app: &str,
        releases: &DiffQuery,
    ) -> Result<Vec<Change>> {
        let call = Call::get(&of(environment, app, &["diff"])).with(releases);
        let page: Page<Change> = self.read(call).await?;
        Ok(page.items)
    }
}

/// Changes to an app that is there.
impl Client {
    /// Starts, stops or scales an app, if it is still at `revision` when one is given.
    pub async fn update_app(
        &self,
        environment: &str,
        app: &str,
        change: &UpdateApp,
        revision: Option<u64>,
    ) -> Result<AppView> {
        let call = Call::change(Method::PATCH, &of(environment, app, &[])).body(change);
        self.write(call.if_revision(revision)).await
    }

    /// Removes an app; with `volumes`, its data too.
    pub async fn remove_app(&self, environment: &str, app: &str, volumes: bool) -> Result<()> {
        let query = RemoveAppQuery { volumes: volumes.then_some(true) };
        self.write_silent(Call::change(Method::DELETE, &of(environment, app, &[])).with(&query)).await
    }

    /// Lets an instance whose host is down come back with older data than its app allows.
    pub async fn accept_loss(&self, environment: &str, app: &str, body: &AcceptLoss) -> Result<AppView> {
        self.write(Call::change(Method::POST, &of(environment, app, &["accept-loss"])).body(body)).await
    }

    /// Moves an app to another host with its data, or says what that would do.
    pub async fn move_app(&self, environment: &str, app: &str, body: &StartMove) -> Result<MovePlan> {
        self.write(Call::change(Method::POST, &of(environment, app, &["move"])).body(body)).await
    }

    /// Removes the data that an app has left behind on some hosts.
    pub async fn confirm_move(&self, environment: &str, app: &str, body: &ConfirmMove) -> Result<AppView> {
        self.write(Call::change(Method::POST, &of(environment, app, &["move", "confirm"])).body(body)).await
    }

    /// Gives a move up, or takes it back: the app goes on where it was.
    pub async fn return_move(&self, environment: &str, app: &str) -> Result<AppView> {
        self.write(Call::change(Method::POST, &of(environment, app, &["move", "back"]))).await
    }

    /// Replaces an app's instances by fresh ones of the same release.
    pub async fn restart_app(&self, environment: &str, app: &str) -> Result<AppView> {
        self.write(Call::change(Method::POST, &of(environment, app, &["restart"]))).await
    }

    /// Moves an app to a release it has, if it is still at `revision` when one is given.
    pub async fn rollback_app(
        &self,
        environment: &str,
        app: &str,
        to: &Rollback,
        revision: Option<u64>,
    ) -> Result<AppView> {
        let call = Call::change(Method::POST, &of(environment, app, &["rollback"])).body(to);
        self.write(call.if_revision(revision)).await
    }

    /// Takes a hand in a deployment that is not over.
    pub async fn steer_deployment(
        &self,
        environment: &str,
        app: &str,
        deployment: DeploymentId,
        action: SteerAction,
    ) -> Result<AppView> {
        let path = of(environment, app, &["deployments"]);
        let id = deployment.to_string();
        let path = [&path[..], &[&id]].concat();
        self.write(Call::change(Method::POST, &path).body(&SteerDeployment { action })).await
    }
}
