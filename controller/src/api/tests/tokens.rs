//! Tokens, and the trail that their use leaves.

use super::{Site, request};
use crate::state::ApiRole;
use axum::http::{Method, StatusCode};
use omni_certs::{TokenKind, TokenText};
use omni_common::api::v1::{
    ApiTokenCreated, ApiTokenView, AuditEntry, JoinTokenCreated, JoinTokenView, Page, WhoAmI,
};
use serde_json::json;

#[tokio::test]
async fn a_new_token_works_until_it_is_taken_back() {
    let site = Site::new();
    let body = json!({"name": "ci", "role": "operator", "ttl_secs": 3600});
    let made: ApiTokenCreated = site.post("/api/v1/tokens/api", body).await.ok();
    let me = || request(Method::GET, "/api/v1/whoami", Some(&made.token), None);
    let who: WhoAmI = site.send(me()).await.ok();
    assert_eq!((who.name.as_str(), who.token), ("ci", made.view.id));
    let gone = site.delete(&format!("/api/v1/tokens/api/{}", made.view.id)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    site.send(me()).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn lists_hold_no_secrets() {
    let site = Site::new();
    let made: JoinTokenCreated =
        site.post("/api/v1/tokens/join", json!({"role": "agent", "labels": {"a": "b"}})).await.ok();
    let text: TokenText = made.token.parse().expect("a token");
    assert_eq!((text.kind, text.id), (TokenKind::Join, made.view.id));
    let list = site.get("/api/v1/tokens/join").await;
    let page: Page<JoinTokenView> = list.ok();
    assert_eq!(page.items, [made.view]);
    assert!(!list.text().contains(&made.token[20..]));
    let tokens: Page<ApiTokenView> = site.get("/api/v1/tokens/api").await.ok();
    assert_eq!(tokens.items.len(), 3);
}

#[tokio::test]
async fn a_join_token_has_a_sensible_life() {
    let site = Site::new();
    let make = async |body| site.post("/api/v1/tokens/join", body).await;
    make(json!({"role": "agent", "ttl_secs": 0})).await.problem(400, "invalid");
    make(json!({"role": "agent", "ttl_secs": 99_999_999})).await.problem(400, "invalid");
    make(json!({"role": "king"})).await.problem(400, "invalid_body");
    let endless: JoinTokenCreated = make(json!({"role": "controller", "uses": 0})).await.ok();
    assert_eq!(endless.view.uses_left, None);
    let single: JoinTokenCreated = make(json!({"role": "controller"})).await.ok();
    assert_eq!(single.view.uses_left, Some(1));
}

#[tokio::test]
async fn a_scope_is_kept_and_the_last_admin_stays() {
    let site = Site::new();
    let scoped = |environments, apps| json!({"name": "x", "role": "viewer", "scope": {"environments": environments, "apps": apps}});
    let bad =
        site.post("/api/v1/tokens/api", scoped(json!([]), json!(["shop"]))).await.problem(400, "invalid");
    assert_eq!(bad.errors[0].pointer, "/scope/apps");
    site.post("/api/v1/tokens/api", scoped(json!(["a/b"]), json!([]))).await.problem(400, "invalid");
    site.post("/api/v1/tokens/api", scoped(json!(["no name"]), json!([]))).await.problem(422, "invalid");
    let made: ApiTokenCreated =
        site.post("/api/v1/tokens/api", scoped(json!(["staging"]), json!(["production/shop"]))).await.ok();
    let who: WhoAmI = site.send(request(Method::GET, "/api/v1/whoami", Some(&made.token), None)).await.ok();
    assert_eq!(who.scope, made.view.scope);
    assert_eq!((who.scope.environments.as_slice(), who.scope.apps.len()), (&["staging".to_owned()][..], 1));
    let me: WhoAmI = site.get("/api/v1/whoami").await.ok();
    site.delete(&format!("/api/v1/tokens/api/{}", me.token)).await.problem(409, "conflict");
}

#[tokio::test]
async fn changes_and_refusals_are_audited() {
    let site = Site::new();
    site.post("/api/v1/environments", json!({"name": "staging"})).await;
    for _ in 0..3 {
        site.call(Method::POST, "/api/v1/environments", ApiRole::Viewer, Some(json!({"name": "x"}))).await;
    }
    site.send(request(Method::GET, "/api/v1/audit", None, None)).await;
    let app = &site.bench.app;
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let page: Page<AuditEntry> = site.get("/api/v1/audit").await.ok();
    let find = |outcome: &str| page.items.iter().find(|entry| entry.outcome == outcome).expect("audited");
    let done = find("done");
    assert_eq!(
        (done.who.as_str(), done.what.as_str(), done.target.as_str()),
        ("token:admins", "environment.create", "staging")
    );
    assert_eq!(done.from.as_deref(), Some("192.0.2.7"));
    let forbidden = find("forbidden");
    assert_eq!((forbidden.who.as_str(), forbidden.role.as_deref()), ("token:viewers", Some("viewer")));
    assert_eq!(forbidden.detail.as_deref(), Some("3 times"));
    assert_eq!(find("unauthenticated").who, "anonymous");
    site.delete("/api/v1/hosts/web-9").await.problem(404, "not_found");
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let missed: Page<AuditEntry> = site.get("/api/v1/audit?outcome=not_found").await.ok();
    assert_eq!(missed.items[0].what, "DELETE /api/v1/hosts/{host}");
    assert_eq!(missed.items[0].target, "/api/v1/hosts/web-9");
    let only: Page<AuditEntry> = site.get("/api/v1/audit?what=environment.&outcome=done").await.ok();
    assert_eq!(only.items.len(), 1);
}

#[tokio::test]
async fn floods_of_refusals_stay_small() {
    let site = Site::new();
    for number in 0..200 {
        let path = format!("/api/v1/hosts/{number}");
        site.call(Method::DELETE, &path, ApiRole::Viewer, None).await;
    }
    let app = &site.bench.app;
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let page: Page<AuditEntry> = site.get("/api/v1/audit?limit=500").await.ok();
    let refused: Vec<_> = page.items.iter().filter(|entry| entry.outcome != "done").collect();
    assert_eq!(refused.len(), 65, "64 kinds and one that counts the rest");
    assert!(
        refused.iter().any(|entry| entry.detail.as_deref() == Some("136 more refused calls of other kinds"))
    );
}

#[tokio::test]
async fn refusals_survive_a_time_without_leader() {
    let site = Site::new();
    let app = &site.bench.app;
    let leads = &site.bench.raft.leads;
    site.send(request(Method::GET, "/api/v1/hosts", None, None)).await;
    leads.store(false, std::sync::atomic::Ordering::SeqCst);
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    leads.store(true, std::sync::atomic::Ordering::SeqCst);
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let page: Page<AuditEntry> = site.get("/api/v1/audit?outcome=unauthenticated").await.ok();
    assert_eq!(page.items.len(), 1);
}
