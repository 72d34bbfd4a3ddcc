//! Every error leaves as one kind of document.

use super::{Site, request};
use crate::api::ApiOptions;
use crate::app::testing::Bench;
use crate::state::ApiRole;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn what_is_not_there_and_what_is_not_taken() {
    let site = Site::new();
    site.get("/api/v2/hosts").await.problem(404, "no_route");
    site.get("/assets/secrets.txt").await.problem(404, "no_route");
    site.call(Method::PUT, "/api/v1/hosts", ApiRole::Admin, None).await.problem(405, "method");
    let problem = site.get("/api/v1/hosts/web-9").await.problem(404, "not_found");
    assert_eq!(problem.detail.as_deref(), Some("no host `web-9`"));
    assert_eq!(problem.instance.as_deref(), Some("/api/v1/hosts/web-9"));
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with() {
    let site = Site::new();
    let mut asked = request(Method::GET, "/healthz", None, None);
    asked.headers_mut().insert("x-request-id", "my-1".parse().expect("a header"));
    assert_eq!(site.send(asked).await.header("x-request-id"), "my-1");
    let own = site.get("/api/v1/hosts/x").await;
    assert_eq!(own.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn mistyped_parameters_are_named() {
    let site = Site::new();
    let problem = site.get("/api/v1/hosts?stauts=down").await.problem(400, "invalid_parameter");
    assert_eq!(problem.errors[0].pointer, "stauts");
    assert!(problem.errors[0].detail.contains("status"), "{problem:?}");
    site.get("/api/v1/hosts?limit=many").await.problem(400, "invalid_parameter");
    site.get("/api/v1/hosts?limit=0").await.problem(400, "invalid");
    site.get("/api/v1/hosts?status=fine").await.problem(400, "invalid");
    site.get("/api/v1/hosts?cursor=abc").await.problem(400, "bad_cursor");
    site.get("/api/v1/hosts?consistency=maybe").await.problem(400, "invalid_parameter");
    site.get("/api/v1/containers?host=web-9").await.problem(404, "not_found");
    site.delete("/api/v1/tokens/api/7").await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn bodies_are_json_of_the_right_shape() {
    let site = Site::new();
    let path = "/api/v1/environments";
    site.post(path, json!({})).await.problem(400, "invalid_body");
    site.post(path, json!({"name": "x", "colour": "red"})).await.problem(400, "invalid_body");
    site.call(Method::POST, path, ApiRole::Admin, None).await.problem(400, "invalid_body");
    let refused = site.post(path, json!({"name": "not a name"})).await.problem(422, "invalid");
    assert!(refused.detail.expect("it says what to write").contains("not a name"));
    let with = |kind: &str, body: Body| {
        Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", Bench::token(ApiRole::Admin)))
            .header(header::CONTENT_TYPE, kind)
            .body(body)
            .expect("a request")
    };
    site.send(with("text/plain", Body::from("{\"name\":\"x\"}"))).await.problem(415, "media_type");
    let large = Body::from(vec![b' '; crate::api::extract::MAX_BODY + 1]);
    site.send(with("application/json", large)).await.problem(413, "too_large");
}

#[tokio::test]
async fn without_a_leader_reads_and_writes_say_so() {
    let site = Site::new();
    site.bench.raft.leads.store(false, Ordering::SeqCst);
    for reply in
        [site.get("/api/v1/hosts").await, site.post("/api/v1/environments", json!({"name": "staging"})).await]
    {
        reply.problem(503, "no_leader");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(site.get("/api/v1/hosts?consistency=stale").await.status, StatusCode::OK);
    assert_eq!(site.get("/api/v1/whoami").await.status, StatusCode::OK, "a login needs no leader");
}

#[tokio::test]
async fn more_than_the_controller_can_work_on_is_turned_away() {
    let site = Site::with(ApiOptions { max_requests: 0, max_sockets: 0, ..ApiOptions::default() });
    let reply = site.get("/api/v1/hosts").await;
    reply.problem(503, "overloaded");
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_its_index_but_not_for_ever() {
    let site = Site::new();
    let reply = site.get("/api/v1/hosts?min_index=1").await;
    assert_eq!(reply.header("x-omni-index"), "1");
    site.get("/api/v1/hosts?min_index=9").await.problem(503, "behind");
    let waiting = site.get("/api/v1/hosts?min_index=2");
    let writing = async { site.bench.change(|_| {}) };
    let (reply, ()) = tokio::join!(waiting, writing);
    assert_eq!(reply.header("x-omni-index"), "2");
}

#[tokio::test]
async fn sockets_need_an_upgrade() {
    let site = Site::new();
    site.get("/api/v1/events/live").await.problem(426, "upgrade_required");
}
