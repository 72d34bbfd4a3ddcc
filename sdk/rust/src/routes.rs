//! Every route of the API, one method each; those of apps are in `apps`.
//!
//! Names of hosts and containers are accepted wherever an id is.

use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use omni_common::api::v1::{
    AlertView, AlertmanagerMessage, AlertsQuery, AlertsTaken, ApiTokenCreated, ApiTokenView, AuditEntry,
    AuditQuery, ClusterHealth, ClusterKeyView, ClusterStatus, ContainerView, ContainersQuery, ControllerView,
    CreateApiToken, CreateEnvironment, CreateJoinToken, DrainHost, EnvironmentView, Event, EventsQuery,
    HostMetrics, HostView, HostsQuery, ImageView, ImagesQuery, JoinTokenCreated, JoinTokenView, Leadership,
    LivenessTimes, MetricsQuery, Page, Processes, SystemView, TokensQuery, TransferLeadership, UpdateHost,
    VersionInfo, WhoAmI,
};
use omni_common::ids::{ControllerId, TokenId};
use reqwest::Method;

/// Path of the event socket.
pub(crate) const EVENTS_SOCKET: &[&str] = &["api", "v1", "events", "live"];
/// Path of the live metrics socket.
pub(crate) const LIVE_METRICS: &[&str] = &["api", "v1", "metrics", "live"];
/// Path of the log socket.
pub(crate) const LOGS: &[&str] = &["api", "v1", "logs"];

/// Path of the socket that takes images.
pub(crate) const PUSH_IMAGE: &[&str] = &["api", "v1", "images", "push"];

/// Path of the socket that builds images of an app.
pub(crate) fn build_image<'a>(environment: &'a str, app: &'a str) -> [&'a str; 6] {
    ["api", "v1", "apps", environment, app, "build"]
}

/// Path of a container's exec socket.
pub(crate) fn exec<'a>(host: &'a str, container: &'a str) -> [&'a str; 6] {
    ["api", "v1", "containers", host, container, "exec"]
}

/// The cluster as a whole.
impl Client {
    /// What answers.
    pub async fn version(&self) -> Result<VersionInfo> {
        self.ask(Call::get(&["api", "v1", "version"])).await
    }

    /// Who we are to the cluster.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        self.ask(Call::get(&["api", "v1", "whoami"])).await
    }

    /// The cluster in a few numbers.
    pub async fn status(&self) -> Result<ClusterStatus> {
        self.read(Call::get(&["api", "v1", "status"])).await
    }

    /// What was looked at, and how it is.
    pub async fn health(&self) -> Result<ClusterHealth> {
        self.read(Call::get(&["api", "v1", "health"])).await
    }

    /// How host failure is detected where a host has no times of its own.
    pub async fn liveness(&self) -> Result<LivenessTimes> {
        self.read(Call::get(&["api", "v1", "liveness"])).await
    }

    /// Sets how host failure is detected.
    pub async fn set_liveness(&self, times: &LivenessTimes) -> Result<LivenessTimes> {
        self.write(Call::change(Method::PUT, &["api", "v1", "liveness"]).body(times)).await
    }

    /// The cluster's key, for escrow. The cluster writes down that it was asked for.
    pub async fn reveal_cluster_key(&self) -> Result<ClusterKeyView> {
        self.write(Call::change(Method::POST, &["api", "v1", "cluster", "key", "reveal"])).await
    }

    /// Metrics of the answering controller and its hosts, in Prometheus' text format.
    pub async fn exposition(&self) -> Result<String> {
        let answer = self.execute(&Call::get(&["metrics"])).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// What Prometheus should scrape: the document of its HTTP service discovery.
    pub async fn scrape_targets(&self) -> Result<serde_json::Value> {
        self.read(Call::get(&["api", "v1", "prometheus", "sd"])).await
    }

    /// The platform's systems, with what of them runs.
    pub async fn systems(&self) -> Result<Vec<SystemView>> {
        let page: Page<SystemView> = self.read(Call::get(&["api", "v1", "systems"])).await?;
        Ok(page.items)
    }

    /// One system by its number or codename.
    pub async fn system(&self, name: &str) -> Result<SystemView> {
        self.read(Call::get(&["api", "v1", "systems", name])).await
    }

    /// Alerts, the worst first.
    pub async fn alerts(&self, query: &AlertsQuery) -> Result<Vec<AlertView>> {
        let page: Page<AlertView> = self.read(Call::get(&["api", "v1", "alerts"]).with(query)).await?;
        Ok(page.items)
    }

    /// Takes an alert out of view until it is reported again.
    pub async fn dismiss_alert(&self, fingerprint: &str) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "alerts", fingerprint])).await
    }

    /// Reports alerts as Alertmanager does.
    pub async fn report_alerts(&self, message: &AlertmanagerMessage) -> Result<AlertsTaken> {
        let call = Call::change(Method::POST, &["api", "v1", "hooks", "alertmanager"]);
        self.write(call.body(message)).await
    }

    /// The API's description, OpenAPI 3.1.
    pub async fn openapi(&self) -> Result<serde_json::Value> {
        self.ask(Call::get(&["api", "v1", "openapi.json"])).await
    }

    /// Past events, newest first unless `since` is given; all pages up to `limit`.
    pub async fn events(&self, query: EventsQuery) -> Result<Vec<Event>> {
        self.list(&["api", "v1", "events"], query).await
    }

    /// The audit trail, newest first; all pages up to `limit`.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditEntry>> {
        self.list(&["api", "v1", "audit"], query).await
    }
}

/// Hosts and what they measure.
impl Client {
    /// Hosts; all pages up to `limit`.
    pub async fn hosts(&self, query: HostsQuery) -> Result<Vec<HostView>> {
        self.list(&["api", "v1", "hosts"], query).await
    }

    /// One page of hosts; `next_cursor` in the next query's `cursor` leads on.
    pub async fn hosts_page(&self, query: &HostsQuery) -> Result<Page<HostView>> {
        self.page(&["api", "v1", "hosts"], query).await
    }

    /// One host by name or id.
    pub async fn host(&self, host: &str) -> Result<HostView> {
        self.read(Call::get(&["api", "v1", "hosts", host])).await
    }

    /// Changes a host, if it is still at `revision` when one is given.
    pub async fn update_host(
        &self,
        host: &str,
        change: &UpdateHost,
        revision: Option<u64>,
    ) -> Result<HostView> {
        let call = Call::change(Method::PATCH, &["api", "v1", "hosts", host]).body(change);
        self.write(call.if_revision(revision)).await
    }

    /// Empties a host, or lets it take work again.
    pub async fn drain_host(&self, host: &str, body: &DrainHost) -> Result<HostView> {
        self.write(Call::change(Method::POST, &["api", "v1", "hosts", host, "drain"]).body(body)).await
    }

    /// Removes a host: its certificate is revoked and its session cut.
    pub async fn remove_host(&self, host: &str) -> Result<()> {
        self.write_silent(Call::change(Method::DELETE, &["api", "v1", "hosts", host])).await
    }

    /// The newest sample of a host and its recent history.
    pub async fn host_metrics(&self, host: &str, query: &MetricsQuery) -> Result<HostMetrics> {
        let call = Call::get(&["api", "v1", "hosts", host, "metrics"]);
        self.read(call.with(query)).await
    }

    /// The process table of a host.
    pub async fn host_processes(&self, host: &str) -> Result<Processes> {
        self.read(Call::get(&["api", "v1", "hosts", host, "processes"])).await
    }
}

/// Containers.
impl Client {
    /// Containers of all hosts; all pages up to `limit`.
    pub async fn containers(&self, query: ContainersQuery) -> Result<Vec<ContainerView>> {
        self.list(&["api", "v1", "containers"], query).await
    }

    /// Images of all hosts; all pages up to `limit`.
    pub async fn images(&self, query: ImagesQuery) -> Result<Vec<ImageView>> {
        self.list(&["api", "v1", "images"], query).await
    }

    /// One page of containers; `next_cursor` in the next query's `cursor` leads on.
    pub async fn containers_page(&self, query: &ContainersQuery) -> Result<Page<ContainerView>> {
        self.page(&["api", "v1", "containers"], query).await
    }

    /// One container of a host: by name, id, or the beginning of an id.
    pub async fn container(&self, host: &str, container: &str) -> Result<ContainerView> {
        self.read(Call::get(&["api", "v1", "containers", host, container])).await
    }
}

/// Controllers.
impl Client {
    /// All controllers.
    pub async fn controllers(&self) -> Result<Vec<ControllerView>> {
        let page: Page<ControllerView> = self.read(Call::get(&["api", "v1", "controllers"])).await?;
        Ok(page.items)
    }

    /// One controller.
    pub async fn controller(&self, id: ControllerId) -> Result<ControllerView> {
        self.read(Call::get(&["api", "v1", "controllers", &id.to_string()])).await
    }

    /// Removes a controller from the group: its certificate is revoked and its sessions are cut.
    pub async fn remove_controller(&self, id: ControllerId) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "controllers", &id.to_string()]);
        self.write_silent(call).await
    }

    /// Hands leadership over, to `to` or to the most caught-up controller.
    pub async fn transfer_leadership(&self, to: Option<ControllerId>) -> Result<Leadership> {
        let call = Call::change(Method::POST, &["api", "v1", "controllers", "transfer"]);
        self.write(call.body(&TransferLeadership { to })).await
    }
}

/// Tokens.
impl Client {
    /// Join tokens; all pages up to `limit`.
    pub async fn join_tokens(&self, query: TokensQuery) -> Result<Vec<JoinTokenView>> {
        self.list(&["api", "v1", "tokens", "join"], query).await
    }

    /// Makes a join token. Its text is in the answer and nowhere else.
    pub async fn create_join_token(&self, body: &CreateJoinToken) -> Result<JoinTokenCreated> {
        self.write(Call::change(Method::POST, &["api", "v1", "tokens", "join"]).body(body)).await
    }

    /// Revokes a join token.
    pub async fn remove_join_token(&self, id: TokenId) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "tokens", "join", &id.to_string()]);
        self.write_silent(call).await
    }

    /// API tokens; all pages up to `limit`.
    pub async fn api_tokens(&self, query: TokensQuery) -> Result<Vec<ApiTokenView>> {
        self.list(&["api", "v1", "tokens", "api"], query).await
    }

    /// Makes an API token. Its text is in the answer and nowhere else.
    pub async fn create_api_token(&self, body: &CreateApiToken) -> Result<ApiTokenCreated> {
        self.write(Call::change(Method::POST, &["api", "v1", "tokens", "api"]).body(body)).await
    }

    /// Revokes an API token.
    pub async fn remove_api_token(&self, id: TokenId) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "tokens", "api", &id.to_string()]);
        self.write_silent(call).await
    }
}

/// Environments.
impl Client {
    /// All environments.
    pub async fn environments(&self) -> Result<Vec<EnvironmentView>> {
        let page: Page<EnvironmentView> = self.read(Call::get(&["api", "v1", "environments"])).await?;
        Ok(page.items)
    }

    /// Makes an environment.
    pub async fn create_environment(&self, body: &CreateEnvironment) -> Result<EnvironmentView> {
        self.write(Call::change(Method::POST, &["api", "v1", "environments"]).body(body)).await
    }

    /// Removes an environment.
    pub async fn remove_environment(&self, name: &str) -> Result<()> {
        let call = Call::change(Method::DELETE, &["api", "v1", "environments", name]);
        self.write_silent(call).await
    }
}
