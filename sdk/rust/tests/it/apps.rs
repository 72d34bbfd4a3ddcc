//! Calls about apps: each goes to its own path, with the key, the revision and the body that the API asks for.

use crate::server::{Fake, problem};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use omni_common::api::v1::{
    AppGoal, AppsQuery, Deploy, DiffQuery, DrainHost, Project, ReadProject, Rollback, SteerAction, UpdateApp,
};
use omni_common::ids::DeploymentId;
use omni_sdk::{Client, Error};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a controller saw of a call.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    call: String,
    revision: Option<String>,
    keyed: bool,
    body: Value,
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// Takes down each call and answers with nothing: only calls that expect nothing succeed.
async fn note(State(log): State<Log>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let revision = parts.headers.get("if-match");
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("small");
    let seen = Seen {
        call: format!("{} {path}", parts.method),
        revision: revision.map(|value| value.to_str().expect("headers are text").to_owned()),
        keyed: parts.headers.contains_key("idempotency-key"),
        body: if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") },
    };
    log.lock().expect("not poisoned").push(seen);
    StatusCode::NO_CONTENT.into_response()
}

async fn seen(ask: impl AsyncFnOnce(&Client)) -> Seen {
    let fake = Fake::new();
    let log = Log::default();
    let controller = fake.controller(Router::new().fallback(note).with_state(log.clone()));
    ask(&fake.client(&[&controller.address])).await;
    let calls = log.lock().expect("not poisoned").clone();
    let [one] = calls.as_slice() else { panic!("one call, not {calls:?}") };
    one.clone()
}

fn expected(call: &str, body: Value) -> Seen {
    let keyed = !call.starts_with("GET");
    Seen { call: call.to_owned(), revision: None, keyed, body }
}

fn project() -> Project {
    Project { compose: vec!["shop/compose.yaml".to_owned()], ..Project::default() }
}

fn project_json() -> Value {
    json!({"compose": ["shop/compose.yaml"], "files": {}})
}

#[tokio::test]
async fn a_project_is_read_planned_and_deployed() {
    let body = ReadProject { project: project(), environment: Some("staging".to_owned()) };
    let read = seen(async |client| drop(client.read_project(&body).await)).await;
    let json = json!({"project": project_json(), "environment": "staging"});
    assert_eq!(read, expected("POST /api/v1/apps/read", json));

    let body = Deploy { project: project(), note: Some("why".to_owned()), ..Deploy::default() };
    let json = json!({"project": project_json(), "note": "why"});
    let plan = seen(async |client| drop(client.plan_deploy(&body).await)).await;
    assert_eq!(plan, expected("POST /api/v1/apps/plan", json.clone()));
    let deploy = seen(async |client| drop(client.deploy(&body, Some(0)).await)).await;
    let conditional = Seen { revision: Some("\"0\"".to_owned()), ..expected("POST /api/v1/apps", json) };
    assert_eq!(deploy, conditional);
}

#[tokio::test]
async fn an_app_is_changed_under_its_name() {
    let goal = UpdateApp { goal: Some(AppGoal::Stop), ..UpdateApp::default() };
    let stop = seen(async |client| drop(client.update_app("e", "shop", &goal, Some(7)).await)).await;
    let call = expected("PATCH /api/v1/apps/e/shop", json!({"goal": "stop"}));
    assert_eq!(stop, Seen { revision: Some("\"7\"".to_owned()), ..call });

    let replicas = BTreeMap::from([("main".to_owned(), Some(3)), ("jobs".to_owned(), None)]);
    let scale = UpdateApp { replicas: Some(replicas), ..UpdateApp::default() };
    let scaled = seen(async |client| drop(client.update_app("e", "shop", &scale, None).await)).await;
    let json = json!({"replicas": {"jobs": null, "main": 3}});
    assert_eq!(scaled, expected("PATCH /api/v1/apps/e/shop", json));

    let restarted = seen(async |client| drop(client.restart_app("e", "shop").await)).await;
    assert_eq!(restarted, expected("POST /api/v1/apps/e/shop/restart", Value::Null));
    let to = Rollback { to: Some(4) };
    let back = seen(async |client| drop(client.rollback_app("e", "shop", &to, None).await)).await;
    assert_eq!(back, expected("POST /api/v1/apps/e/shop/rollback", json!({"to": 4})));
    let id = DeploymentId::from_u128(1);
    let steered =
        seen(async |client| drop(client.steer_deployment("e", "shop", id, SteerAction::Promote).await)).await;
    let call = format!("POST /api/v1/apps/e/shop/deployments/{id}");
    assert_eq!(steered, expected(&call, json!({"action": "promote"})));
}

#[tokio::test]
async fn data_is_only_removed_when_that_is_said() {
    let kept = seen(async |client| client.remove_app("e", "shop", false).await.expect("silent")).await;
    assert_eq!(kept, expected("DELETE /api/v1/apps/e/shop", Value::Null));
    let lost = seen(async |client| client.remove_app("e", "shop", true).await.expect("silent")).await;
    assert_eq!(lost, expected("DELETE /api/v1/apps/e/shop?volumes=true", Value::Null));
}

#[tokio::test]
async fn a_host_is_emptied_and_filled_again() {
    let body = DrainHost { drain: true, deadline_seconds: Some(600) };
    let drained = seen(async |client| drop(client.drain_host("web-1", &body).await)).await;
    let json = json!({"drain": true, "deadline_seconds": 600});
    assert_eq!(drained, expected("POST /api/v1/hosts/web-1/drain", json));
    let back = seen(async |client| drop(client.drain_host("web-1", &DrainHost::default()).await)).await;
    assert_eq!(back, expected("POST /api/v1/hosts/web-1/drain", json!({"drain": false})));
}

#[tokio::test]
async fn what_there_is_is_read() {
    let one = seen(async |client| drop(client.app("e", "a/b").await)).await;
    assert_eq!(one, expected("GET /api/v1/apps/e/a%2Fb", Value::Null));
    let why = seen(async |client| drop(client.explain_app("e", "shop").await)).await;
    assert_eq!(why, expected("GET /api/v1/apps/e/shop/explain", Value::Null));
    let releases = seen(async |client| drop(client.releases("e", "shop").await)).await;
    assert_eq!(releases, expected("GET /api/v1/apps/e/shop/releases", Value::Null));
    let spec = seen(async |client| drop(client.release("e", "shop", 3).await)).await;
    assert_eq!(spec, expected("GET /api/v1/apps/e/shop/releases/3", Value::Null));
    let releases = DiffQuery { from: 2, to: 3 };
    let diff = seen(async |client| drop(client.diff_releases("e", "shop", &releases).await)).await;
    assert_eq!(diff, expected("GET /api/v1/apps/e/shop/diff?from=2&to=3", Value::Null));
    let query = AppsQuery { environment: Some("e".to_owned()), limit: Some(7), ..AppsQuery::default() };
    let list = seen(async |client| drop(client.apps(query).await)).await;
    assert_eq!(list, expected("GET /api/v1/apps?environment=e&limit=7", Value::Null));
}

#[tokio::test]
async fn what_is_wrong_with_a_project_is_told_place_by_place() {
    let fake = Fake::new();
    let faults = || async {
        let plain = problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_project", "the project does not read");
        let bytes = axum::body::to_bytes(plain.into_body(), 1 << 16).await.expect("small");
        let mut document: Value = serde_json::from_slice(&bytes).expect("JSON");
        document["errors"] =
            json!([{"pointer": "shop/compose.yaml:3:5: services.web.imagee", "detail": "unknown key"}]);
        let kind = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
        (StatusCode::UNPROCESSABLE_ENTITY, kind, Json(document).0.to_string())
    };
    let controller = fake.controller(Router::new().fallback(faults));
    let client = fake.client(&[&controller.address]);
    let error = client.read_project(&ReadProject::default()).await.expect_err("a typo");
    assert!(matches!(error, Error::Api(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("\n  shop/compose.yaml:3:5: services.web.imagee: unknown key"), "{text}");
}
