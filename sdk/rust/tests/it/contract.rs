//! The client and the API's published description agree: every call it makes is described there, and every
//! operation described there can be called.

use crate::server::{Fake, problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use omni_common::api::v1::{
    AcceptInvitation, AcceptLoss, AccessRole, AccessScope, AlertmanagerMessage, AlertsQuery, AppsQuery,
    AuditQuery, BackupDefaults, BuildStart, ChangePassword, CommaList, ConfirmMove, ContainersQuery,
    CreateApiToken, CreateEnvironment, CreateJoinToken, CreateRepository, CreateUser, DefinitionQuery,
    DefinitionSource, Deploy, DiffQuery, DrainHost, EventFilter, EventsQuery, FilesQuery, HostsQuery,
    ImagesQuery, JoinRole, LivenessTimes, LogsQuery, MetricsQuery, MetricsSource, PushQuery, PutSecret,
    ReadProject, Rollback, RunsQuery, SetOidc, SnapshotsQuery, StartMove, StartRestore, StartRun,
    StartSession, SteerAction, TokensQuery, UnlockRepository, UpdateApp, UpdateHost, UpdateUser, UsersQuery,
};
use omni_common::clock::Time;
use omni_common::domain::backup::{Hidden, PolicyOptions, Span};
use omni_common::ids::{ControllerId, DeploymentId, TokenId};
use omni_sdk::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Probes of load balancers, which ask one controller and not the cluster.
const NOT_FOR_CLIENTS: [&str; 4] = [
    "get /healthz",
    "get /readyz",
    // A browser on its way to the OpenID provider and back.
    "get /api/v1/session/oidc",
    "get /api/v1/session/oidc/callback",
];

#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    parameters: BTreeSet<String>,
}

type Log = Arc<Mutex<Vec<Asked>>>;

async fn note(State(log): State<Log>, request: Request) -> axum::response::Response {
    let query = request.uri().query().unwrap_or_default();
    let names = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split('=').next().unwrap_or_default());
    let headers =
        ["idempotency-key", "if-match"].into_iter().filter(|name| request.headers().contains_key(*name));
    let asked = Asked {
        method: request.method().as_str().to_lowercase(),
        path: request.uri().path().to_owned(),
        parameters: names.chain(headers).map(str::to_owned).collect(),
    };
    log.lock().expect("not poisoned").push(asked);
    problem(StatusCode::NOT_FOUND, "not_found", "this controller only listens")
}

fn list(text: &str) -> Option<CommaList> {
    Some([text].into_iter().collect())
}

/// Calls everything with every parameter. All of it fails; what counts is what was asked.
async fn read_everything(client: &Client) {
    let (text, number, time) = (Some("x".to_owned()), Some(1), Some(Time::EPOCH));
    client.version().await.ok();
    client.whoami().await.ok();
    client.status().await.ok();
    client.health().await.ok();
    client.liveness().await.ok();
    client.exposition().await.ok();
    client.scrape_targets().await.ok();
    let query = EventsQuery {
        topic: list("x"),
        kind: list("x"),
        host: text.clone(),
        since: Some(1),
        limit: number,
        cursor: None,
    };
    client.events(query).await.ok();
    let query = AuditQuery {
        who: text.clone(),
        what: text.clone(),
        outcome: text.clone(),
        since: time,
        limit: number,
        cursor: None,
    };
    client.audit(query).await.ok();
    let query = HostsQuery {
        status: list("up"),
        label: list("x"),
        region: text.clone(),
        q: text.clone(),
        limit: number,
        cursor: None,
    };
    client.hosts(query).await.ok();
    client.host("x").await.ok();
    let query = MetricsQuery { from: time, to: time, max: number, source: Some(MetricsSource::Agent) };
    client.host_metrics("x", &query).await.ok();
    client.host_processes("x").await.ok();
    let query = ContainersQuery {
        host: list("x"),
        label: list("x"),
        component: list("x"),
        state: list("running"),
        health: list("healthy"),
        q: text,
        limit: number,
        cursor: None,
    };
    client.containers(query).await.ok();
    client.container("x", "y").await.ok();
    let query = ImagesQuery { host: list("x"), q: Some("x".to_owned()), limit: number, cursor: None };
    client.images(query).await.ok();
    client.host_projects("x").await.ok();
    let query = DefinitionQuery { from: Some(DefinitionSource::Files) };
    client.project_definition("x", "y", &query).await.ok();
    client.controllers().await.ok();
    client.controller(ControllerId(1)).await.ok();
    let query = TokensQuery { all: true, limit: number, cursor: None };
    client.join_tokens(query.clone()).await.ok();
    client.api_tokens(query).await.ok();
    client.environments().await.ok();
    client.systems().await.ok();
    client.system("x").await.ok();
    client.alerts(&AlertsQuery { all: true }).await.ok();
}

async fn change_everything(client: &Client) {
    let times = LivenessTimes { heartbeat_ms: 1, suspect_ms: 2, lease_ms: 3, margin_ms: 4 };
    client.set_liveness(&times).await.ok();
    client.update_host("x", &UpdateHost::default(), Some(7)).await.ok();
    client.remove_host("x").await.ok();
    client.remove_controller(ControllerId(1)).await.ok();
    client.transfer_leadership(None).await.ok();
    let join = CreateJoinToken { role: JoinRole::Agent, ttl_secs: None, uses: None, labels: BTreeMap::new() };
    client.create_join_token(&join).await.ok();
    client.remove_join_token(TokenId::from_u128(1)).await.ok();
    let api = CreateApiToken {
        name: "x".to_owned(),
        role: AccessRole::Viewer,
        scope: AccessScope::default(),
        ttl_secs: None,
    };
    client.create_api_token(&api).await.ok();
    client.remove_api_token(TokenId::from_u128(1)).await.ok();
    client.create_environment(&CreateEnvironment { name: "x".to_owned() }).await.ok();
    client.remove_environment("x").await.ok();
    client.dismiss_alert("x").await.ok();
    let message = AlertmanagerMessage {
        version: "4".to_owned(),
        receiver: "x".to_owned(),
        truncated_alerts: 0,
        alerts: Vec::new(),
    };
    client.report_alerts(&message).await.ok();
}

async fn use_people(client: &Client) {
    let (name, password) = ("x".to_owned(), "y".to_owned());
    let id = TokenId::from_u128(1);
    client.ways_in().await.ok();
    let body = StartSession { name: name.clone(), password: password.clone(), browser: false };
    client.sign_in(&body).await.ok();
    let body = AcceptInvitation {
        token: "x".to_owned(),
        name: name.clone(),
        display_name: None,
        password: password.clone(),
        browser: false,
    };
    client.accept_invitation(&body).await.ok();
    client.start_device().await.ok();
    client.poll_device("x").await.ok();
    client.sign_out().await.ok();
    client.page_pass().await.ok();
    client.account().await.ok();
    client.change_password(&ChangePassword { current: password.clone(), new: password.clone() }).await.ok();
    client.own_sessions().await.ok();
    client.end_own_sessions().await.ok();
    client.end_own_session(id).await.ok();
    client.users(UsersQuery { q: Some(name.clone()), limit: Some(1), cursor: None }).await.ok();
    client.user("x").await.ok();
    let body = CreateUser {
        name,
        display_name: None,
        role: AccessRole::Viewer,
        scope: AccessScope::default(),
        password,
    };
    client.create_user(&body).await.ok();
    client.update_user("x", &UpdateUser::default(), Some(7)).await.ok();
    client.remove_user("x").await.ok();
    client.sessions("x").await.ok();
    client.end_sessions("x").await.ok();
    client.end_session("x", id).await.ok();
    client.oidc().await.ok();
    let body = SetOidc {
        label: None,
        issuer: "https://auth.example/".to_owned(),
        client: "omni".to_owned(),
        secret: None,
        device_client: None,
        scopes: None,
        groups_claim: None,
        name_claim: None,
        groups: Vec::new(),
        others: None,
        origins: Vec::new(),
        roots_pem: None,
    };
    client.set_oidc(&body).await.ok();
    client.remove_oidc().await.ok();
}

async fn use_apps(client: &Client) {
    let text = || Some("x".to_owned());
    let query = AppsQuery { environment: text(), host: text(), q: text(), limit: Some(1), cursor: None };
    client.apps(query).await.ok();
    client.app("x", "y").await.ok();
    client.explain_app("x", "y").await.ok();
    client.releases("x", "y").await.ok();
    client.release("x", "y", 1).await.ok();
    client.diff_releases("x", "y", &DiffQuery { from: 1, to: 2 }).await.ok();
    client.read_project(&ReadProject::default()).await.ok();
    client.plan_deploy(&Deploy::default()).await.ok();
    client.deploy(&Deploy::default(), Some(7)).await.ok();
    client.update_app("x", "y", &UpdateApp::default(), Some(7)).await.ok();
    client.remove_app("x", "y", true).await.ok();
    client.restart_app("x", "y").await.ok();
    client.rollback_app("x", "y", &Rollback::default(), Some(7)).await.ok();
    let deployment = DeploymentId::from_u128(1);
    client.steer_deployment("x", "y", deployment, SteerAction::Pause).await.ok();
    client.drain_host("x", &DrainHost::default()).await.ok();
}

async fn use_backups(client: &Client) {
    let text = || Some("x".to_owned());
    client.repositories().await.ok();
    client.repository("x").await.ok();
    client.create_repository(&CreateRepository::default()).await.ok();
    client.remove_repository("x").await.ok();
    client.repository_locks("x").await.ok();
    client.unlock_repository("x", &UnlockRepository { force: true }).await.ok();
    let query = RunsQuery {
        environment: text(),
        app: text(),
        kind: list("backup"),
        state: list("failed"),
        repository: text(),
        limit: Some(1),
        cursor: None,
    };
    client.runs(query).await.ok();
    client.run("x").await.ok();
    client.start_runs(&StartRun::Prune { repository: "x".to_owned() }).await.ok();
    client.cancel_run("x").await.ok();
    let query = SnapshotsQuery {
        environment: text(),
        app: text(),
        repository: text(),
        item: text(),
        limit: Some(1),
        cursor: None,
    };
    client.snapshots(query).await.ok();
    let query = FilesQuery { path: text(), limit: Some(1), cursor: None };
    client.snapshot_files("x", "y", "z", query).await.ok();
    client.restore(&StartRestore::default()).await.ok();
    client.accept_loss("x", "y", &AcceptLoss::default()).await.ok();
    client.move_app("x", "y", &StartMove::default()).await.ok();
    client.confirm_move("x", "y", &ConfirmMove::default()).await.ok();
    client.return_move("x", "y").await.ok();
    client.backup_status().await.ok();
    client.backup_policy("x", "y").await.ok();
    client.set_backup_policy("x", "y", Some(&PolicyOptions::default())).await.ok();
    client.set_backup_policy("x", "y", None).await.ok();
    client.backup_defaults().await.ok();
    let defaults = BackupDefaults {
        policy: PolicyOptions::default(),
        per_host: Some(1),
        per_repository: None,
        drills_per_host: Some(1),
        spread: Some(Span::secs(60)),
        limits: None,
    };
    client.set_backup_defaults(&defaults).await.ok();
}

async fn use_secrets(client: &Client) {
    client.secrets().await.ok();
    client.reveal_cluster_key().await.ok();
    client.secret("a/b").await.ok();
    client.put_secret("a/b", &PutSecret { value: Hidden::new("x") }, Some(7)).await.ok();
    client.reveal_secret("a/b", Some(1)).await.ok();
    client.remove_secret("a/b", Some(1)).await.ok();
}

async fn open_every_socket(client: &Client) {
    let query = LogsQuery {
        container: list("x"),
        host: list("x"),
        label: list("x"),
        component: list("x"),
        follow: true,
        since: Some(Time::EPOCH),
        until: Some(Time::EPOCH),
        tail: Some(1),
        grep: Some("x".to_owned()),
    };
    client.logs(query).next().await.ok();
    client.follow_events(EventFilter::default(), None).next().await.ok();
    client.live_metrics(&["x".to_owned()]).next().await.ok();
    client.exec("x", "y", Default::default()).await.ok();
    let query = PushQuery { host: list("x"), label: list("x"), all: true, name: Some("x".to_owned()) };
    client.push_image(&query).await.ok();
    let start = BuildStart {
        service: "x".to_owned(),
        name: "x".to_owned(),
        build: Default::default(),
        platform: None,
        registries: Vec::new(),
        host: None,
    };
    client.build_image("x", "y", start).await.ok();
}

/// Whether `path` is one of those that `template` describes.
fn fits(template: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

/// The description's operations: `get /path` and the names of its parameters. A literal path comes before a
/// template that would fit as well.
fn operations() -> Vec<(String, BTreeSet<String>)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../controller/openapi.json");
    let text = std::fs::read_to_string(file).expect("the API's description is part of the repository");
    let document: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let names = parameters.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned);
            operations.push((format!("{method} {path}"), names.collect()));
        }
    }
    operations.sort_by_key(|(name, _)| (name.contains('{'), name.clone()));
    operations
}

#[tokio::test]
async fn the_client_and_the_description_of_the_api_agree() {
    let fake = Fake::new();
    let log = Log::default();
    let controller = fake.controller(Router::new().fallback(note).with_state(log.clone()));
    let client = fake.client(&[&controller.address]);
    read_everything(&client).await;
    change_everything(&client).await;
    open_every_socket(&client).await;
    use_apps(&client).await;
    use_backups(&client).await;
    use_secrets(&client).await;
    use_people(&client).await;

    let operations = operations();
    let mut called = BTreeSet::new();
    for asked in log.lock().expect("not poisoned").iter() {
        let found = operations.iter().find(|(name, _)| {
            let (method, template) = name.split_once(' ').expect("two words");
            method == asked.method && fits(template, &asked.path)
        });
        let (name, parameters) = found.unwrap_or_else(|| panic!("the API has no {asked:?}"));
        let unknown: Vec<_> = asked.parameters.difference(parameters).collect();
        assert!(unknown.is_empty(), "{name} takes no {unknown:?}");
        if parameters.contains("idempotency-key") {
            assert!(asked.parameters.contains("idempotency-key"), "{name} needs a key");
        }
        called.insert(name.as_str());
    }
    let all = operations.iter().map(|(name, _)| name.as_str());
    let missed: Vec<_> =
        all.filter(|name| !called.contains(name) && !NOT_FOR_CLIENTS.contains(name)).collect();
    assert!(missed.is_empty(), "the client cannot call {missed:?}");
}
