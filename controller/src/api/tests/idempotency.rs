//! A repeated write applies once.

use super::{Reply, Site, request};
use crate::app::testing::{Bench, host};
use crate::state::ApiRole;
use axum::http::{Method, StatusCode};
use omni_common::api::v1::EnvironmentView;
use serde_json::{Value, json};

async fn keyed(site: &Site, method: Method, path: &str, key: &str, body: Option<Value>) -> Reply {
    keyed_as(site, ApiRole::Admin, method, path, key, body).await
}

async fn keyed_as(
    site: &Site,
    role: ApiRole,
    method: Method,
    path: &str,
    key: &str,
    body: Option<Value>,
) -> Reply {
    let mut asked = request(method, path, Some(&Bench::token(role)), body);
    asked.headers_mut().insert("idempotency-key", key.parse().expect("a header"));
    site.send(asked).await
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer() {
    let site = Site::new();
    let make =
        |name: &str| keyed(&site, Method::POST, "/api/v1/environments", "k1", Some(json!({"name": name})));
    let first: EnvironmentView = make("staging").await.ok();
    let again: EnvironmentView = make("staging").await.ok();
    assert_eq!(first, again);
    make("other").await.problem(422, "request_reused");
    let without_key = site.post("/api/v1/environments", json!({"name": "staging"})).await;
    without_key.problem(409, "name_taken");
}

#[tokio::test]
async fn a_refusal_is_an_answer_too() {
    let site = Site::new();
    let make =
        |key| keyed(&site, Method::POST, "/api/v1/environments", key, Some(json!({"name": "default"})));
    make("k1").await.problem(409, "name_taken");
    site.delete("/api/v1/environments/default").await;
    make("k1").await.problem(409, "name_taken");
    assert_eq!(make("k2").await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn removing_twice_with_one_key_is_removing_once() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    for _ in 0..2 {
        let reply = keyed(&site, Method::DELETE, "/api/v1/hosts/web-1", "k1", None).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
    }
    site.bench.add_host(host(2, "web-1"));
    keyed(&site, Method::DELETE, "/api/v1/hosts/web-1", "k1", None).await;
    assert_eq!(site.get("/api/v1/hosts/web-1").await.status, StatusCode::OK, "the new host was not meant");
}

#[tokio::test]
async fn callers_do_not_share_keys() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    for (role, cordoned) in [(ApiRole::Admin, true), (ApiRole::Operator, false)] {
        let body = Some(json!({"cordoned": cordoned}));
        let reply = keyed_as(&site, role, Method::PATCH, "/api/v1/hosts/web-1", "k1", body).await;
        assert_eq!(reply.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_token_is_shown_once_even_to_a_repeated_call() {
    let site = Site::new();
    let make = || {
        keyed(&site, Method::POST, "/api/v1/tokens/api", "k1", Some(json!({"name": "ci", "role": "viewer"})))
    };
    assert_eq!(make().await.status, StatusCode::CREATED);
    make().await.problem(409, "shown_once");
}

#[tokio::test]
async fn a_key_is_short_and_visible() {
    let site = Site::new();
    let long = "k".repeat(256);
    let reply = keyed(&site, Method::DELETE, "/api/v1/hosts/x", &long, None).await;
    reply.problem(400, "invalid_parameter");
}
