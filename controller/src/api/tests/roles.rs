//! Who may call what, tried on every route with every kind of caller.

use super::{Site, request};
use crate::api::access::{Access, Span, TABLE};
use crate::app::testing::Bench;
use crate::state::ApiRole;
use axum::http::{Method, StatusCode};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Routes that are not in the document: pages for people.
const PAGES: &[&str] = &["/", "/assets/{file}", "/api/v1/docs", "/api/v1/openapi.json"];

fn method(text: &str) -> Method {
    text.parse().expect("a method")
}

/// A path that fits the template and names nothing that exists.
fn filled(template: &str) -> String {
    let id = "00000000-0000-0000-0000-0000000000ff";
    template
        .replace("{file}", "style.css")
        .replace("{id}", id)
        .replace("{host}", "nowhere")
        .replace("{project}", "nothing")
        .replace("{container}", "nothing")
        .replace("{controller}", "99")
        .replace("{name}", "none")
        .replace("{environment}", "production")
        .replace("{app}", "shop")
        .replace("{user}", "nobody")
        .replace("{snapshot}", "0123abcd")
}

#[test]
fn the_table_and_the_document_name_the_same_routes() {
    let mut documented: BTreeSet<(String, String)> =
        crate::api::guard::parameters(&crate::api::openapi()).into_keys().collect();
    documented.extend(PAGES.iter().map(|path| ("GET".to_owned(), (*path).to_owned())));
    let table: BTreeSet<(String, String)> =
        TABLE.iter().map(|(method, path, _, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(table, documented);
    assert_eq!(table.len(), TABLE.len(), "a route is listed twice");
}

/// What a caller gets: `yes` when the handler decides, else why it was turned away.
async fn tried(site: &Site, verb: &str, path: &str, token: Option<&str>) -> &'static str {
    let reply = site.send(request(method(verb), &filled(path), token, None)).await;
    assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{verb} {path} is not routed");
    match reply.status {
        StatusCode::UNAUTHORIZED => "401",
        StatusCode::FORBIDDEN => "403",
        StatusCode::TOO_MANY_REQUESTS => "429",
        _ => {
            assert!(!reply.text().contains("no_route"), "{verb} {path} is not routed");
            "yes"
        }
    }
}

#[tokio::test]
async fn every_route_with_every_caller() {
    let mut matrix = String::from("route | nobody | viewer | operator | admin\n");
    let mut site = Site::new();
    for (position, (verb, path, access, _)) in TABLE.iter().enumerate() {
        if position % 15 == 0 {
            // A fresh one now and then, or the many failures would be throttled.
            site = Site::new();
        }
        let mut line = Vec::new();
        for token in [None, Some(ApiRole::Viewer), Some(ApiRole::Operator), Some(ApiRole::Admin)] {
            let text = token.map(Bench::token);
            let got = tried(&site, verb, path, text.as_deref()).await;
            assert_eq!(got, expected(*access, token), "{verb} {path} as {token:?}");
            line.push(got);
        }
        writeln!(matrix, "{verb} {path} | {}", line.join(" | ")).expect("text has room");
    }
    insta::assert_snapshot!(matrix);
}

fn expected(access: Access, caller: Option<ApiRole>) -> &'static str {
    match (access, caller) {
        // Those who come in send no token at all: their handlers say what is missing.
        (Access::Open | Access::Enter, _) => "yes",
        // Without a header a socket may still introduce itself: the plain request gets as far as the upgrade.
        (Access::Socket(_), None) => "yes",
        (Access::Needs(_) | Access::Scrape | Access::Cookie, None) => "401",
        (Access::Needs(role) | Access::Socket(role), Some(caller)) if caller < role => "403",
        (Access::Needs(_) | Access::Socket(_) | Access::Scrape | Access::Cookie, Some(_)) => "yes",
    }
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_no_token() {
    let site = Site::new();
    let good = Bench::token(ApiRole::Admin);
    let join = good.replace("omni-api1.", "omni-join1.");
    let torn = &good[..good.len() - 3];
    for token in [join.as_str(), torn, "x", ""] {
        let reply = site.send(request(Method::GET, "/api/v1/hosts", Some(token), None)).await;
        reply.problem(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"omni\"");
    }
}

#[tokio::test]
async fn an_expired_token_is_turned_away() {
    let site = Site::new();
    site.bench.change(|state| {
        let ids: Vec<_> = state.api_tokens.keys().copied().collect();
        for id in ids {
            state.api_tokens.get_mut(&id).expect("listed").expires = Some(crate::app::testing::NOW);
        }
    });
    let problem = site.get("/api/v1/whoami").await.problem(401, "unauthenticated");
    assert!(problem.detail.expect("it says why").contains("expired"));
}

#[tokio::test]
async fn failed_attempts_are_throttled_but_valid_tokens_are_not() {
    let site = Site::new();
    let wrong = || request(Method::GET, "/api/v1/hosts", Some("wrong"), None);
    let mut throttled = None;
    for _ in 0..50 {
        let reply = site.send(wrong()).await;
        if reply.status == StatusCode::TOO_MANY_REQUESTS {
            throttled = Some(reply);
            break;
        }
    }
    let reply = throttled.expect("fifty failures are too many");
    reply.problem(429, "throttled");
    assert!(reply.header("retry-after").parse::<u64>().expect("seconds") > 0);
    assert_eq!(site.get("/api/v1/hosts").await.status, StatusCode::OK);
}

/// An admin's token that is confined to `places`.
fn confine(site: &Site, places: &[&str]) -> String {
    let token = Bench::token(ApiRole::Admin);
    let id = token.parse::<omni_certs::TokenText>().expect("a token").id;
    site.bench.change(|state| {
        let places = places.iter().map(|place| (*place).to_owned()).collect();
        state.api_tokens.get_mut(&id).expect("listed").environments = places;
    });
    token
}

#[tokio::test]
async fn every_route_with_callers_confined_to_places() {
    let inside: &[&[&str]] = &[&["production"], &["staging", "production/shop"]];
    let outside: &[&[&str]] = &[&["staging"], &["production/shops", "shop"], &["production/other"]];
    let cases =
        inside.iter().map(|places| (places, true)).chain(outside.iter().map(|places| (places, false)));
    for (places, within) in cases {
        let site = Site::new();
        let token = confine(&site, places);
        for (verb, path, access, span) in TABLE {
            // There is no caller yet.
            if matches!(access, Access::Open | Access::Enter) {
                continue;
            }
            let wanted = match span {
                Span::Any => "yes",
                Span::Whole => "403",
                Span::App if within => "yes",
                Span::App => "403",
            };
            assert_eq!(tried(&site, verb, path, Some(&token)).await, wanted, "{verb} {path} in {places:?}");
        }
    }
}

#[test]
fn every_route_of_an_app_looks_at_the_app() {
    for (verb, path, _, span) in TABLE {
        assert_eq!(path.contains("/{app}"), *span == Span::App, "{verb} {path}");
    }
}

#[tokio::test]
async fn an_escaped_name_does_not_slip_past_a_confinement() {
    let site = Site::new();
    let token = confine(&site, &["staging"]);
    for path in ["/api/v1/apps/%70roduction/shop", "/api/v1/apps/staging%2F..%2Fproduction/shop"] {
        site.send(request(Method::GET, path, Some(&token), None)).await.problem(403, "forbidden");
    }
    let other = "/api/v1/apps/st%61ging/shop";
    site.send(request(Method::GET, other, Some(&token), None)).await.problem(404, "not_found");
}
