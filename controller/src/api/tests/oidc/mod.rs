//! Signing in through an OpenID provider, against one that is strict and one that lies.

mod provider;

use super::{Reply, Site, request};
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use omni_common::api::v1::{
    AuditEntry, DeviceAnswer, DeviceStarted, OidcView, Page, PagePass, UserView, WaysIn, WhoAmI,
};
use provider::{CLIENT, DEVICE_CLIENT, Lie, Provider, REDIRECT, SECRET, Said};
use serde_json::{Value, json};
use std::time::Duration;

const GROUPS: &[&str] = &["devs", "everybody"];

/// A site and the provider that it trusts.
struct Pair {
    site: Site,
    provider: Provider,
}

impl Pair {
    async fn new() -> Self {
        let pair = Self { site: Site::new(), provider: Provider::start(GROUPS) };
        let set: OidcView = pair.set(json!({})).await.ok();
        assert_eq!(set.problem, None);
        pair
    }

    /// Sets the provider, with `changes` to what is usual.
    async fn set(&self, changes: Value) -> Reply {
        let mut body = json!({
            "label": "Company account",
            "issuer": self.provider.issuer,
            "client": CLIENT,
            "secret": SECRET,
            "device_client": DEVICE_CLIENT,
            "groups": [
                {"group": "omni-admins", "role": "admin"},
                {"group": "devs", "role": "operator", "scope": {"environments": ["staging"], "apps": []}},
            ],
            "roots_pem": self.provider.roots_pem,
        });
        for (name, value) in changes.as_object().expect("an object") {
            body[name] = value.clone();
        }
        self.site.call(Method::PUT, "/api/v1/oidc", crate::state::ApiRole::Admin, Some(body)).await
    }

    /// A browser leaves for the provider; gives where to, and the cookie it has to bring back.
    async fn leave(&self) -> (String, String) {
        let reply = self.site.send(visit("/api/v1/session/oidc", "10.0.0.1:7601", "")).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text());
        let set = reply.header(header::SET_COOKIE);
        assert!(
            set.starts_with("__Host-omni-00000001-oidc=") && set.ends_with("HttpOnly; SameSite=Lax"),
            "{set}"
        );
        let cookie = set.split(';').next().expect("a pair").to_owned();
        (reply.header(header::LOCATION).to_owned(), cookie)
    }

    /// The whole way of a browser.
    async fn come_in(&self) -> Reply {
        let (to, cookie) = self.leave().await;
        let back = self.provider.authorize(&to);
        self.site.send(visit(&back, "10.0.0.1:7601", &cookie)).await
    }

    /// The same for one who gets in; gives who they are then.
    async fn come_in_as(&self) -> WhoAmI {
        let reply = self.come_in().await;
        assert_eq!(reply.header(header::LOCATION), "/");
        let cookie = session_cookie(&reply).expect("a session");
        let mut ask = visit("/api/v1/session/pass", "10.0.0.1:7601", &cookie);
        *ask.method_mut() = Method::POST;
        ask.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        let pass: PagePass = self.site.send(ask).await.ok();
        self.site.send(request(Method::GET, "/api/v1/whoami", Some(&pass.pass), None)).await.ok()
    }

    async fn poll(&self, handle: &str) -> Reply {
        let body = json!({"handle": handle});
        self.site.send(request(Method::POST, "/api/v1/session/oidc/device/poll", None, Some(body))).await
    }
}

fn visit(path: &str, host: &'static str, cookie: &str) -> Request<Body> {
    let mut request = request(Method::GET, path, None, None);
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(host));
    if !cookie.is_empty() {
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_str(cookie).expect("visible"));
    }
    request
}

/// The session's cookie among those that are set.
fn session_cookie(reply: &Reply) -> Option<String> {
    let all = reply.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.filter_map(|set| set.split(';').next());
    pairs.find(|pair| pair.starts_with("__Host-omni-00000001=omni-session1.")).map(str::to_owned)
}

/// Checks that somebody was sent back to the sign-in page, with no session.
fn turned_away(reply: &Reply, word: &str) {
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.header(header::LOCATION), format!("/#/sign-in/{word}"));
    assert_eq!(session_cookie(reply), None);
}

#[tokio::test]
async fn a_person_comes_in_and_may_do_what_their_group_may() {
    let pair = Pair::new().await;
    let ways: WaysIn = pair.site.send(request(Method::GET, "/api/v1/session/ways", None, None)).await.ok();
    assert_eq!(ways.oidc.as_deref(), Some("Company account"));
    let who = pair.come_in_as().await;
    assert_eq!((who.user.as_deref(), who.role.as_str()), (Some("ann"), "operator"));
    assert_eq!(who.scope.environments, ["staging"]);
    let ann: UserView = pair.site.get("/api/v1/users/ann").await.ok();
    assert_eq!(
        (ann.source.as_str(), ann.password, ann.display_name.as_deref()),
        ("oidc", false, Some("Ann Example"))
    );
    // What the provider says next time holds from then on.
    pair.provider.claim("groups", json!(["omni-admins"]));
    assert_eq!(pair.come_in_as().await.role.as_str(), "admin");
    let people: Page<UserView> = pair.site.get("/api/v1/users").await.ok();
    assert_eq!(people.items.len(), 1, "it is the same person");
}

#[tokio::test]
async fn an_id_token_that_is_not_good_lets_nobody_in() {
    let pair = Pair::new().await;
    let lies = [
        Lie::Nonce,
        Lie::NoNonce,
        Lie::Audience,
        Lie::Issuer,
        Lie::Expired,
        Lie::Hmac,
        Lie::Unsigned,
        Lie::OtherKey,
        Lie::AccessToken,
        Lie::NoToken,
    ];
    for lie in lies {
        pair.provider.lie(lie);
        turned_away(&pair.come_in().await, "provider");
        assert!(pair.site.bench.app.store.current().sessions.is_empty(), "{lie:?}");
    }
    pair.provider.lie(Lie::Nothing);
    pair.come_in_as().await;
}

#[tokio::test]
async fn an_answer_belongs_to_the_browser_that_asked() {
    let pair = Pair::new().await;
    let (to, cookie) = pair.leave().await;
    let back = pair.provider.authorize(&to);
    let arrive = async |path: &str, cookie: &str| pair.site.send(visit(path, "10.0.0.1:7601", cookie)).await;
    turned_away(&arrive(&back, "").await, "late");
    let (_, other) = pair.leave().await;
    turned_away(&arrive(&back, &other).await, "foreign");
    turned_away(&arrive(&back.replace("state=", "state=x"), &cookie).await, "foreign");
    turned_away(&arrive(&back.replace("iss=https", "iss=http"), &cookie).await, "foreign");
    turned_away(&arrive("/api/v1/session/oidc/callback", &cookie).await, "foreign");
    turned_away(&arrive("/api/v1/session/oidc/callback?error=access_denied", &cookie).await, "denied");
    let changed = format!("{}x", cookie);
    turned_away(&arrive(&back, &changed).await, "late");
    assert!(session_cookie(&arrive(&back, &cookie).await).is_some(), "and the right one still works");
    turned_away(&arrive(&back, &cookie).await, "provider");
    let (to, cookie) = pair.leave().await;
    let back = pair.provider.authorize(&to);
    pair.site.bench.clock.advance(Duration::from_secs(601));
    turned_away(&arrive(&back, &cookie).await, "late");
}

#[tokio::test]
async fn a_browser_is_only_sent_where_it_finds_back() {
    let pair = Pair::new().await;
    let odd = visit("/api/v1/session/oidc", "evil.example", "");
    pair.site.send(odd).await.problem(409, "conflict");
    let set: OidcView = pair.set(json!({"origins": ["https://omni.example"]})).await.ok();
    assert_eq!(set.redirects, [REDIRECT, "https://omni.example/api/v1/session/oidc/callback"]);
    let reply = pair.site.send(visit("/api/v1/session/oidc", "omni.example", "")).await;
    assert!(reply.header(header::LOCATION).contains("redirect_uri=https%3A%2F%2Fomni.example%2Fapi"));
    // HTTP/2 has no such header.
    let whole = request(Method::GET, "https://omni.example/api/v1/session/oidc", None, None);
    let reply = pair.site.send(whole).await;
    assert!(reply.header(header::LOCATION).contains("redirect_uri=https%3A%2F%2Fomni.example%2Fapi"));
}

#[tokio::test]
async fn whoever_may_not_come_in_does_not() {
    let pair = Pair::new().await;
    pair.provider.claim("groups", json!(["others"]));
    turned_away(&pair.come_in().await, "not-admitted");
    pair.set(json!({"others": "viewer"})).await.ok::<OidcView>();
    assert_eq!(pair.come_in_as().await.role.as_str(), "viewer");
    let patch = json!({"disabled": true});
    pair.site
        .call(Method::PATCH, "/api/v1/users/ann", crate::state::ApiRole::Admin, Some(patch))
        .await
        .ok::<UserView>();
    turned_away(&pair.come_in().await, "not-admitted");
    // Nobody gets the account of somebody else by bearing their name at the provider.
    let body = json!({"name": "bob", "role": "admin", "password": "correct horse battery"});
    pair.site.post("/api/v1/users", body).await.ok::<UserView>();
    pair.provider.claim("sub", json!("60"));
    pair.provider.claim("preferred_username", json!("bob"));
    turned_away(&pair.come_in().await, "not-admitted");
    let app = &pair.site.bench.app;
    app.refusals.flush(&*app.proposer, app.clock.now()).await;
    let page: Page<AuditEntry> = pair.site.get("/api/v1/audit?outcome=oidc").await.ok();
    assert!(!page.items.is_empty(), "it is in the audit trail");
}

#[tokio::test]
async fn groups_may_be_told_only_to_those_who_ask() {
    let pair = Pair::new().await;
    pair.provider.hide("groups");
    assert_eq!(pair.come_in_as().await.role.as_str(), "operator");
}

#[tokio::test]
async fn new_keys_of_the_provider_are_looked_for_but_not_all_the_time() {
    let pair = Pair::new().await;
    pair.come_in_as().await;
    pair.provider.rotate();
    turned_away(&pair.come_in().await, "provider");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    pair.come_in_as().await;
}

#[tokio::test]
async fn a_program_comes_in_when_the_person_says_yes() {
    let pair = Pair::new().await;
    let start = request(Method::POST, "/api/v1/session/oidc/device", None, None);
    let started: DeviceStarted = pair.site.send(start).await.ok();
    assert_eq!((started.user_code.as_str(), started.interval_secs, started.ttl_secs), ("123456789", 5, 60));
    assert!(!started.handle.contains("device-1"), "the provider's code stays here");
    let waits = |answer: DeviceAnswer| (answer.started.is_some(), answer.interval_secs);
    assert_eq!(waits(pair.poll(&started.handle).await.ok()), (false, 5));
    pair.provider.say(Said::Hurry);
    assert_eq!(waits(pair.poll(&started.handle).await.ok()), (false, 10));
    pair.provider.say(Said::Yes);
    pair.provider.lie(Lie::Audience);
    pair.poll(&started.handle).await.problem(502, "provider");
    pair.provider.lie(Lie::Nothing);
    let answer: DeviceAnswer = pair.poll(&started.handle).await.ok();
    let token = answer.started.expect("they said yes").token.expect("a program gets a token");
    let who: WhoAmI = pair.site.send(request(Method::GET, "/api/v1/whoami", Some(&token), None)).await.ok();
    assert_eq!(who.user.as_deref(), Some("ann"));
    pair.provider.say(Said::No);
    let refused = pair.poll(&started.handle).await.problem(502, "provider");
    assert!(refused.detail.expect("it says why").contains("access_denied"));
    pair.poll("nonsense").await.problem(401, "unauthenticated");
    pair.site.bench.clock.advance(Duration::from_secs(61));
    pair.poll(&started.handle).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn settings_are_checked_kept_and_their_secret_is_not_shown() {
    let pair = Pair::new().await;
    for wrong in [
        json!({"issuer": "http://auth.example/"}),
        json!({"issuer": "nonsense"}),
        json!({"client": ""}),
        json!({"origins": ["https://omni.example/path"]}),
        json!({"origins": ["http://omni.example"]}),
        json!({"scopes": ["two words"]}),
        json!({"roots_pem": "not a certificate"}),
        json!({"groups": [{"group": "", "role": "viewer"}]}),
        json!({"groups": [{"group": "x", "role": "viewer", "scope": {"environments": [], "apps": ["shop"]}}]}),
    ] {
        pair.set(wrong).await.problem(400, "invalid");
    }
    let shown = pair.site.get("/api/v1/oidc").await;
    assert!(shown.ok::<OidcView>().secret && !shown.text().contains(SECRET));
    let state = pair.site.bench.app.store.current();
    let bytes = crate::state::snapshot::encode(&state).expect("encodes");
    let plain = format!("{:?}", state.oidc);
    assert!(!plain.contains(SECRET) && !bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    // Without new ones the secret and the roots stay, but only for the same provider and client.
    let set: OidcView = pair.set(json!({"secret": null, "roots_pem": null})).await.ok();
    assert!(set.secret && set.roots && set.problem.is_none());
    let other: OidcView = pair.set(json!({"client": "other", "secret": null, "roots_pem": null})).await.ok();
    assert!(!other.secret && !other.roots);
    pair.set(json!({})).await.ok::<OidcView>();
    pair.come_in_as().await;
    // A slash more or less is another issuer.
    let bare = pair.provider.issuer.trim_end_matches('/').to_owned();
    let set: OidcView = pair.set(json!({"issuer": bare})).await.ok();
    assert!(set.problem.is_some(), "it is kept, with a word about it");
    turned_away_at_the_door(&pair).await;
    assert_eq!(pair.site.delete("/api/v1/oidc").await.status, StatusCode::NO_CONTENT);
    pair.site.get("/api/v1/oidc").await.problem(404, "not_found");
    pair.site.send(visit("/api/v1/session/oidc", "10.0.0.1:7601", "")).await.problem(404, "not_found");
}

async fn turned_away_at_the_door(pair: &Pair) {
    let reply = pair.site.send(visit("/api/v1/session/oidc", "10.0.0.1:7601", "")).await;
    turned_away(&reply, "provider");
}

#[tokio::test]
async fn sessions_end_with_the_provider_that_vouched_for_them() {
    let pair = Pair::new().await;
    pair.come_in_as().await;
    assert_eq!(pair.site.bench.app.store.current().sessions.len(), 1);
    pair.site.delete("/api/v1/oidc").await;
    assert!(pair.site.bench.app.store.current().sessions.is_empty());
}
