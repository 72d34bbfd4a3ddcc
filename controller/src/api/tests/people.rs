//! People: coming in, what a session is good for, and how it ends.

use super::{Reply, Site, request};
use crate::api::access::{Access, TABLE};
use crate::app::testing::Bench;
use crate::state::ApiRole;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use omni_common::api::v1::{
    AuditEntry, JoinTokenCreated, Page, PagePass, SessionStarted, SessionView, UserView, WaysIn, WhoAmI,
};
use serde_json::{Value, json};
use std::time::Duration;

const PASSWORD: &str = "correct horse battery";

/// What a page of the controller itself sends.
fn from_own_page(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
    request
}

fn with_cookie(mut request: Request<Body>, cookie: &str) -> Request<Body> {
    request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(cookie).expect("visible"));
    request
}

impl Site {
    async fn add(&self, name: &str, role: &str) -> UserView {
        let body = json!({"name": name, "role": role, "password": PASSWORD});
        self.post("/api/v1/users", body).await.ok()
    }

    async fn enter(&self, name: &str, password: &str) -> Reply {
        let body = json!({"name": name, "password": password});
        self.send(request(Method::POST, "/api/v1/session", None, Some(body))).await
    }

    /// Signs in as `omni login` does.
    async fn token_of(&self, name: &str) -> String {
        let started: SessionStarted = self.enter(name, PASSWORD).await.ok();
        assert!(started.pass.is_none(), "a program needs no pass");
        started.token.expect("a program gets a token")
    }

    /// Signs in as a page does; gives the cookie as the browser sends it back, and the pass.
    async fn page_of(&self, name: &str) -> (String, String) {
        let body = json!({"name": name, "password": PASSWORD, "browser": true});
        let reply =
            self.send(from_own_page(request(Method::POST, "/api/v1/session", None, Some(body)))).await;
        let set = reply.header(header::SET_COOKIE).to_owned();
        let started: SessionStarted = reply.ok();
        assert_eq!(started.token, None, "the secret is in the cookie alone");
        let cookie = set.split(';').next().expect("a pair").to_owned();
        assert!(cookie.starts_with("__Host-omni-00000001=omni-session1."), "{cookie}");
        assert!(set.ends_with("; Secure; HttpOnly; SameSite=Strict"), "{set}");
        (cookie, started.pass.expect("a page gets a pass").pass)
    }

    async fn as_(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Reply {
        self.send(request(method, path, Some(token), body)).await
    }

    /// Moves all sessions into the past.
    fn age_sessions(&self, by: Duration) {
        self.bench.change(|state| {
            let ids: Vec<_> = state.sessions.keys().copied().collect();
            for id in ids {
                let session = state.sessions.get_mut(&id).expect("listed");
                session.seen = session.seen.minus(by);
                session.created = session.created.minus(by);
                session.ends = session.ends.minus(by);
            }
        });
    }
}

#[tokio::test]
async fn a_person_signs_in_works_and_signs_out() {
    let site = Site::new();
    let ways: WaysIn = site.send(request(Method::GET, "/api/v1/session/ways", None, None)).await.ok();
    assert_eq!((ways.password, ways.oidc), (false, None));
    let ann = site.add("ann", "operator").await;
    assert!(ann.password && ann.signed_in.is_none() && ann.sessions == 0);
    let token = site.token_of("ann").await;
    let who: WhoAmI = site.as_(Method::GET, "/api/v1/whoami", &token, None).await.ok();
    assert_eq!((who.name.as_str(), who.user.as_deref()), ("ann", Some("ann")));
    assert_eq!(who.role.as_str(), "operator");
    site.as_(Method::GET, "/api/v1/users", &token, None).await.problem(403, "forbidden");
    let sessions: Page<SessionView> =
        site.as_(Method::GET, "/api/v1/account/sessions", &token, None).await.ok();
    assert!(sessions.items[0].current && sessions.items[0].from.as_deref() == Some("192.0.2.7"));
    let account: UserView = site.as_(Method::GET, "/api/v1/account", &token, None).await.ok();
    assert!(account.signed_in.is_some() && account.sessions == 1);
    assert_eq!(
        site.as_(Method::DELETE, "/api/v1/session", &token, None).await.status,
        StatusCode::NO_CONTENT
    );
    let over = site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
    assert!(over.detail.expect("it says why").contains("sign in again"));
}

#[tokio::test]
async fn a_wrong_name_a_wrong_password_and_a_disabled_person_get_one_answer() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    site.add("bob", "viewer").await;
    let off =
        site.call(Method::PATCH, "/api/v1/users/bob", ApiRole::Admin, Some(json!({"disabled": true}))).await;
    assert!(off.ok::<UserView>().disabled);
    let mut answers = Vec::new();
    for (name, password) in
        [("ann", "not this one at all"), ("eve", PASSWORD), ("bob", PASSWORD), ("ann", "")]
    {
        let problem = site.enter(name, password).await.problem(401, "unauthenticated");
        answers.push((problem.title, problem.detail, problem.errors));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let app = &site.bench.app;
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let page: Page<AuditEntry> = site.get("/api/v1/audit?outcome=sign_in").await.ok();
    let targets: Vec<&str> = page.items.iter().map(|entry| entry.target.as_str()).collect();
    assert!(targets.contains(&"ann") && targets.contains(&"an unknown name"), "{targets:?}");
    assert!(!targets.contains(&"eve"), "it may be a password in the wrong field");
}

#[tokio::test]
async fn guessing_is_throttled_even_when_the_guess_is_right() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    for _ in 0..8 {
        site.enter("ann", "wrong again and again").await.problem(401, "unauthenticated");
    }
    let reply = site.enter("ann", PASSWORD).await;
    reply.problem(429, "throttled");
    assert!(reply.header("retry-after").parse::<u64>().expect("seconds") > 0);
}

#[tokio::test]
async fn no_secret_is_shown_again() {
    let site = Site::new();
    site.add("ann", "admin").await;
    let token = site.token_of("ann").await;
    for path in [
        "/api/v1/users",
        "/api/v1/users/ann",
        "/api/v1/users/ann/sessions",
        "/api/v1/audit",
        "/api/v1/events",
    ] {
        let text = site.get(path).await.text();
        assert!(
            !text.contains("argon2") && !text.contains(PASSWORD) && !text.contains(&token[20..]),
            "{path}: {text}"
        );
    }
    let state = site.bench.app.store.current();
    let text = format!("{:?} {:?}", state.users, state.sessions);
    assert!(!text.contains("argon2"), "{text}");
}

#[tokio::test]
async fn an_invitation_makes_one_admin_and_no_more() {
    let site = Site::new();
    let invited: JoinTokenCreated = site.post("/api/v1/tokens/join", json!({"role": "admin"})).await.ok();
    let accept = async |token: &str, name: &str, password: &str| {
        let body = json!({"token": token, "name": name, "password": password});
        site.send(request(Method::POST, "/api/v1/session/invitation", None, Some(body))).await
    };
    let short = accept(&invited.token, "ann", "short").await.problem(400, "invalid");
    assert_eq!(short.errors[0].pointer, "/password");
    accept(&invited.token, "no name", PASSWORD).await.problem(422, "invalid");
    accept(&Bench::token(ApiRole::Admin), "ann", PASSWORD).await.problem(401, "unauthenticated");
    let started: SessionStarted = accept(&invited.token, "ann", PASSWORD).await.ok();
    let token = started.token.expect("for a program");
    let who: WhoAmI = site.as_(Method::GET, "/api/v1/whoami", &token, None).await.ok();
    assert_eq!(who.role.as_str(), "admin");
    accept(&invited.token, "eve", PASSWORD).await.problem(409, "token_used");
    let machine: JoinTokenCreated = site.post("/api/v1/tokens/join", json!({"role": "agent"})).await.ok();
    accept(&machine.token, "eve", PASSWORD).await.problem(409, "token_role");
    let page: Page<AuditEntry> = site.get("/api/v1/audit?what=user.enroll-admin&outcome=done").await.ok();
    assert_eq!((page.items.len(), page.items[0].who.as_str()), (1, "user:ann"));
}

#[tokio::test]
async fn a_cookie_fetches_a_pass_and_opens_nothing_else() {
    let mut site = Site::new();
    site.add("ann", "admin").await;
    let (cookie, pass) = site.page_of("ann").await;
    let who: WhoAmI = site.as_(Method::GET, "/api/v1/whoami", &pass, None).await.ok();
    assert_eq!(who.user.as_deref(), Some("ann"));
    for (verb, path, access, _) in TABLE {
        if !matches!(access, Access::Needs(_)) {
            continue;
        }
        site.forgive();
        let path = path.replace("{id}", "00000000-0000-0000-0000-0000000000ff");
        let asked = request(verb.parse().expect("a method"), &path, None, None);
        let reply = site.send(with_cookie(from_own_page(asked), &cookie)).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{verb} {path}");
    }
    let ask = || with_cookie(request(Method::POST, "/api/v1/session/pass", None, None), &cookie);
    let fresh: PagePass = site.send(from_own_page(ask())).await.ok();
    site.as_(Method::GET, "/api/v1/whoami", &fresh.pass, None).await.ok::<WhoAmI>();
}

#[tokio::test]
async fn a_page_that_is_not_ours_gets_no_pass_and_cannot_sign_anybody_in() {
    let site = Site::new();
    site.add("ann", "admin").await;
    let (cookie, _) = site.page_of("ann").await;
    let forged: [&[(&str, &str)]; 5] = [
        &[],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://c1:9000"), ("host", "c1:7601")],
        &[("origin", "https://evil.example"), ("host", "c1:7601")],
        &[("origin", "null"), ("host", "c1:7601")],
    ];
    let body = json!({"name": "ann", "password": PASSWORD, "browser": true});
    for headers in forged {
        for path in ["/api/v1/session/pass", "/api/v1/session"] {
            let body = (path == "/api/v1/session").then(|| body.clone());
            let mut request = with_cookie(request(Method::POST, path, None, body), &cookie);
            for (name, value) in headers {
                request.headers_mut().insert(*name, HeaderValue::from_static(value));
            }
            let reply = site.send(request).await;
            reply.problem(403, "foreign_page");
            assert_eq!(reply.header(header::SET_COOKIE), "");
        }
    }
    let mut own = with_cookie(request(Method::POST, "/api/v1/session/pass", None, None), &cookie);
    own.headers_mut().insert("origin", HeaderValue::from_static("https://c1:7601"));
    own.headers_mut().insert("host", HeaderValue::from_static("c1:7601"));
    site.send(own).await.ok::<PagePass>();
}

#[tokio::test]
async fn what_is_made_for_a_browser_is_no_token_and_the_other_way_round() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    let (cookie, pass) = site.page_of("ann").await;
    let secret = cookie.split_once('=').expect("a pair").1;
    site.as_(Method::GET, "/api/v1/whoami", secret, None).await.problem(401, "unauthenticated");
    let token = site.token_of("ann").await;
    let name = cookie.split_once('=').expect("a pair").0;
    for value in [token.as_str(), pass.as_str(), &Bench::token(ApiRole::Admin)] {
        let ask = request(Method::POST, "/api/v1/session/pass", None, None);
        let reply = site.send(with_cookie(from_own_page(ask), &format!("{name}={value}"))).await;
        reply.problem(401, "unauthenticated");
    }
    let reply = site.as_(Method::POST, "/api/v1/session/pass", &token, None).await;
    reply.problem(409, "conflict");
}

#[tokio::test]
async fn a_pass_ends_soon_and_with_its_session() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    let (cookie, pass) = site.page_of("ann").await;
    let next: PagePass = site.as_(Method::POST, "/api/v1/session/pass", &pass, None).await.ok();
    assert_eq!(next.ttl_secs, 600);
    site.bench.clock.advance(Duration::from_secs(599));
    site.as_(Method::GET, "/api/v1/whoami", &pass, None).await.ok::<WhoAmI>();
    site.bench.clock.advance(Duration::from_secs(1));
    site.as_(Method::GET, "/api/v1/whoami", &pass, None).await.problem(401, "unauthenticated");
    // By itself it goes on for an hour, then the cookie has to be seen again.
    let renew = async || {
        let ask = with_cookie(request(Method::POST, "/api/v1/session/pass", None, None), &cookie);
        site.send(from_own_page(ask)).await.ok::<PagePass>().pass
    };
    let mut chained = renew().await;
    for _ in 0..7 {
        site.bench.clock.advance(Duration::from_secs(500));
        let next: PagePass = site.as_(Method::POST, "/api/v1/session/pass", &chained, None).await.ok();
        chained = next.pass;
    }
    site.bench.clock.advance(Duration::from_secs(500));
    site.as_(Method::POST, "/api/v1/session/pass", &chained, None).await.problem(409, "conflict");
    let pass = renew().await;
    site.delete("/api/v1/users/ann/sessions").await;
    site.as_(Method::GET, "/api/v1/whoami", &pass, None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn sessions_end_when_unused_and_when_old() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    let token = site.token_of("ann").await;
    site.bench.clock.advance(Duration::from_secs(13 * 24 * 3600));
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.ok::<WhoAmI>();
    let app = site.bench.app.clone();
    app.people.seen.flush(&*app.proposer, app.clock.now()).await;
    site.bench.clock.advance(Duration::from_secs(13 * 24 * 3600));
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.ok::<WhoAmI>();
    site.bench.clock.advance(Duration::from_secs(2 * 24 * 3600));
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
    let token = site.token_of("ann").await;
    site.age_sessions(Duration::from_secs(61 * 24 * 3600));
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
    site.token_of("ann").await;
    assert_eq!(app.store.current().sessions.len(), 1, "those that are over are forgotten");
}

#[tokio::test]
async fn a_person_has_a_bounded_number_of_sessions() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    let first = site.token_of("ann").await;
    for _ in 0..20 {
        site.bench.clock.advance(Duration::from_secs(1));
        site.token_of("ann").await;
    }
    assert_eq!(site.bench.app.store.current().sessions.len(), 20);
    site.as_(Method::GET, "/api/v1/whoami", &first, None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let site = Site::new();
    site.add("ann", "viewer").await;
    let (mine, other) = (site.token_of("ann").await, site.token_of("ann").await);
    let change = async |current: &str, new: &str| {
        let body = json!({"current": current, "new": new});
        site.as_(Method::PUT, "/api/v1/account/password", &mine, Some(body)).await
    };
    let wrong = change("not the one that holds", "a quite different phrase").await.problem(400, "invalid");
    assert_eq!(wrong.errors[0].pointer, "/current");
    assert_eq!(change(PASSWORD, "short").await.problem(400, "invalid").errors[0].pointer, "/new");
    change(PASSWORD, "a quite different phrase").await.ok::<UserView>();
    site.as_(Method::GET, "/api/v1/whoami", &mine, None).await.ok::<WhoAmI>();
    site.as_(Method::GET, "/api/v1/whoami", &other, None).await.problem(401, "unauthenticated");
    site.enter("ann", PASSWORD).await.problem(401, "unauthenticated");
    assert!(site.enter("ann", "a quite different phrase").await.status.is_success());
}

#[tokio::test]
async fn what_an_admin_changes_holds_at_once() {
    let site = Site::new();
    site.add("ann", "operator").await;
    let token = site.token_of("ann").await;
    let principal = site.bench.app.authenticate(&token).expect("signed in");
    assert!(site.bench.app.still_valid(&principal).is_ok());
    let change = async |body| site.call(Method::PATCH, "/api/v1/users/ann", ApiRole::Admin, Some(body)).await;
    change(json!({"role": "viewer"})).await.ok::<UserView>();
    site.as_(Method::POST, "/api/v1/hosts/x/drain", &token, Some(json!({}))).await.problem(403, "forbidden");
    assert!(site.bench.app.still_valid(&principal).is_err(), "open sockets are cut");
    change(json!({"scope": {"environments": ["staging"], "apps": []}})).await.ok::<UserView>();
    site.as_(Method::GET, "/api/v1/apps/production/shop", &token, None).await.problem(403, "forbidden");
    change(json!({"disabled": true})).await.ok::<UserView>();
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
    change(json!({"disabled": false})).await.ok::<UserView>();
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
    let token = site.token_of("ann").await;
    assert_eq!(site.delete("/api/v1/users/ann").await.status, StatusCode::NO_CONTENT);
    site.as_(Method::GET, "/api/v1/whoami", &token, None).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn changes_of_a_person_meet_their_revision() {
    let site = Site::new();
    let ann = site.add("ann", "viewer").await;
    let patch = async |revision: u64, body| {
        let mut request =
            request(Method::PATCH, "/api/v1/users/ann", Some(&Bench::token(ApiRole::Admin)), Some(body));
        let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("visible");
        request.headers_mut().insert(header::IF_MATCH, tag);
        site.send(request).await
    };
    let named: UserView = patch(ann.revision, json!({"display_name": "Ann"})).await.ok();
    assert_eq!(named.display_name.as_deref(), Some("Ann"));
    patch(ann.revision, json!({"display_name": ""})).await.problem(412, "revision_mismatch");
    let unnamed: UserView = patch(named.revision, json!({"display_name": ""})).await.ok();
    assert_eq!(unnamed.display_name, None);
    site.post("/api/v1/users", json!({"name": "ann", "role": "viewer", "password": PASSWORD}))
        .await
        .problem(409, "name_taken");
    site.get("/api/v1/users/nobody").await.problem(404, "not_found");
}

#[tokio::test]
async fn somebody_may_always_do_everything() {
    let site = Site::new();
    site.add("ann", "admin").await;
    let me: WhoAmI = site.get("/api/v1/whoami").await.ok();
    let token = site.token_of("ann").await;
    let gone = site.delete(&format!("/api/v1/tokens/api/{}", me.token)).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "there is a person for it");
    let patch = async |body| site.as_(Method::PATCH, "/api/v1/users/ann", &token, Some(body)).await;
    patch(json!({"role": "operator"})).await.problem(409, "conflict");
    patch(json!({"disabled": true})).await.problem(409, "conflict");
    patch(json!({"scope": {"environments": ["a"], "apps": []}})).await.problem(409, "conflict");
    site.as_(Method::DELETE, "/api/v1/users/ann", &token, None).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_token_has_no_account() {
    let site = Site::new();
    for (method, path) in [
        (Method::GET, "/api/v1/account"),
        (Method::GET, "/api/v1/account/sessions"),
        (Method::DELETE, "/api/v1/account/sessions"),
        (Method::DELETE, "/api/v1/session"),
        (Method::POST, "/api/v1/session/pass"),
    ] {
        site.call(method, path, ApiRole::Admin, None).await.problem(409, "conflict");
    }
}
