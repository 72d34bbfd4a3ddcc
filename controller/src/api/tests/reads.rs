//! The cluster, controllers, environments, events, pages.

use super::{Site, request};
use crate::app::ports::HostObserved;
use crate::app::testing::{container, host};
use crate::state::HostStatus;
use axum::http::{Method, StatusCode, header};
use omni_common::api::v1::{
    ClusterHealth, ClusterStatus, Condition, ControllerRole, ControllerView, EnvironmentView, Event,
    HealthState, ImageView, Leadership, LivenessTimes, Page, SystemView, VersionInfo,
};
use omni_common::domain::app::ContentDigest;
use omni_common::domain::{Health, HostImage, LABEL_COMPONENT};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn the_cluster_in_numbers_and_its_health() {
    let site = Site::new();
    let mut sick = container("c1", "web");
    sick.health = Health::Unhealthy;
    site.bench.add_reporting(1, "web-1", vec![sick, container("c2", "db")]);
    let mut lost = host(2, "web-2");
    lost.status = HostStatus::Down;
    site.bench.add_host(lost);
    let status: ClusterStatus = site.get("/api/v1/status").await.ok();
    assert_eq!((status.hosts.total, status.hosts.up, status.hosts.down), (2, 1, 1));
    assert_eq!((status.containers.running, status.containers.unhealthy), (2, 1));
    assert_eq!(status.health, HealthState::Degraded);
    let health: ClusterHealth = site.get("/api/v1/health").await.ok();
    let state = |name: &str| health.checks.iter().find(|check| check.name == name).map(|check| check.state);
    assert_eq!(state("raft"), Some(HealthState::Ok));
    assert_eq!(state("hosts"), Some(HealthState::Degraded));
    assert_eq!(state("containers"), Some(HealthState::Degraded));
    assert_eq!(state("observations"), Some(HealthState::Ok));
}

#[tokio::test]
async fn controllers_by_name_and_number() {
    let site = Site::new();
    let page: Page<ControllerView> = site.get("/api/v1/controllers").await.ok();
    assert_eq!(page.items.len(), 1);
    for name in ["c1", "1"] {
        let one: ControllerView = site.get(&format!("/api/v1/controllers/{name}")).await.ok();
        assert_eq!((one.role, one.lag, one.answering), (ControllerRole::Leader, Some(0), true));
    }
    site.delete("/api/v1/controllers/c1").await.problem(409, "conflict");
    site.delete("/api/v1/controllers/c9").await.problem(404, "not_found");
    site.post("/api/v1/controllers/transfer", json!({"to": 9})).await.problem(404, "not_found");
    let now: Leadership = site.post("/api/v1/controllers/transfer", json!({})).await.ok();
    assert_eq!(now.leader.0, 1);
}

#[tokio::test]
async fn systems_of_the_catalogue_beside_what_runs() {
    let site = Site::new();
    let mut gitea = container("c1", "omni-gitea");
    gitea.labels.insert(LABEL_COMPONENT.to_owned(), "gitea".to_owned());
    site.bench.add_reporting(1, "web-1", vec![gitea, container("c2", "unlabelled")]);
    let page: Page<SystemView> = site.get("/api/v1/systems").await.ok();
    assert_eq!(page.items.iter().map(|one| one.number).collect::<Vec<_>>(), (1..=37).collect::<Vec<_>>());
    let found: Vec<_> = page.items.iter().filter(|one| one.condition == Condition::Running).collect();
    let [forge] = found.as_slice() else { panic!("{found:#?}") };
    let component = forge.components.iter().find(|one| one.name == "gitea").expect("the catalogue has it");
    assert_eq!(component.containers[0].host_name, "web-1");
    let codename = forge.codename.as_deref().expect("it has one").to_lowercase().replace(' ', "%20");
    for name in [codename, forge.number.to_string()] {
        let one: SystemView = site.get(&format!("/api/v1/systems/{name}")).await.ok();
        assert_eq!(&one, *forge);
    }
    site.get("/api/v1/systems/99").await.problem(404, "not_found");
}

#[tokio::test]
async fn images_and_the_hosts_that_have_them() {
    let site = Site::new();
    let image = |id: &str, tags: &[&str]| HostImage {
        id: ContentDigest::of(id.as_bytes()),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        size_bytes: 7,
        created: None,
    };
    let add = |number, name: &str, images: Vec<HostImage>| {
        let id = site.bench.add_reporting(number, name, Vec::new());
        let seen = HostObserved { images: Some(Arc::new(images)), ..HostObserved::default() };
        site.bench.observed.set(id, seen);
    };
    add(1, "web-2", vec![image("a", &["web:1", "web:latest"])]);
    add(2, "web-1", vec![image("a", &["web:1"]), image("b", &["web:latest"])]);
    site.bench.add_reporting(3, "web-3", Vec::new());
    let list = async |query: &str| -> Vec<String> {
        let page: Page<ImageView> = site.get(&format!("/api/v1/images{query}")).await.ok();
        let shown = |image: ImageView| {
            let hosts: Vec<String> = image.hosts.into_iter().map(|host| host.name).collect();
            format!("{} {}", image.name, hosts.join(","))
        };
        page.items.into_iter().map(shown).collect()
    };
    let mut all = list("").await;
    all.sort();
    assert_eq!(all, ["web:1 web-1,web-2", "web:latest web-1", "web:latest web-2"]);
    assert_eq!(list("?q=web:1").await, ["web:1 web-1,web-2"]);
    assert_eq!(list("?host=web-2&q=latest").await, ["web:latest web-2"]);
    let id = ContentDigest::of(b"b");
    assert_eq!(list(&format!("?q=sha256:{}", &id.as_str()[..12])).await, ["web:latest web-1"]);
    let first: Page<ImageView> = site.get("/api/v1/images?limit=1").await.ok();
    let cursor = first.next_cursor.expect("more follow");
    assert_eq!(list(&format!("?limit=2&cursor={cursor}")).await.len(), 2);
    site.get("/api/v1/images?host=web-9").await.problem(404, "not_found");
}

#[tokio::test]
async fn environments_come_and_go() {
    let site = Site::new();
    let made: EnvironmentView = site.post("/api/v1/environments", json!({"name": "staging"})).await.ok();
    assert_eq!(made.name, "staging");
    let page: Page<EnvironmentView> = site.get("/api/v1/environments").await.ok();
    assert_eq!(page.items.len(), 2, "and the default one");
    assert_eq!(site.delete("/api/v1/environments/staging").await.status, StatusCode::NO_CONTENT);
    site.delete("/api/v1/environments/staging").await.problem(404, "not_found");
}

#[tokio::test]
async fn failure_detection_of_the_cluster() {
    let site = Site::new();
    let before: LivenessTimes = site.get("/api/v1/liveness").await.ok();
    let put = async |times: LivenessTimes| {
        let body = serde_json::to_value(times).expect("plain value");
        site.call(Method::PUT, "/api/v1/liveness", crate::state::ApiRole::Admin, Some(body)).await
    };
    let slower = LivenessTimes { lease_ms: 60_000, ..before };
    let after: LivenessTimes = put(slower).await.ok();
    assert_eq!(after, slower);
    put(LivenessTimes { suspect_ms: 90_000, ..before }).await.problem(422, "invalid");
}

#[tokio::test]
async fn past_events_newest_first_or_from_a_number_on() {
    let site = Site::new();
    for name in ["a", "b", "c"] {
        site.post("/api/v1/environments", json!({"name": name})).await;
    }
    let list = async |query: &str| {
        let page: Page<Event> = site.get(&format!("/api/v1/events?{query}")).await.ok();
        page.items.into_iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, [3, 2, 1, 0]);
    assert_eq!(list("since=1").await, [2, 3]);
    assert_eq!(list("topic=cluster").await, [0]);
    assert_eq!(list("kind=environment.created&limit=2").await, [3, 2]);
    let first: Page<Event> = site.get("/api/v1/events?since=0&limit=2").await.ok();
    let cursor = first.next_cursor.expect("one more");
    assert_eq!(list(&format!("since=0&limit=2&cursor={cursor}")).await, [3]);
}

#[tokio::test]
async fn anyone_may_know_that_it_runs() {
    let site = Site::new();
    let probe = async |path| site.send(request(Method::GET, path, None, None)).await;
    assert_eq!(probe("/healthz").await.status, StatusCode::OK);
    let ready = probe("/readyz").await;
    assert_eq!((ready.status, ready.text().as_str()), (StatusCode::OK, "{\"ok\":true}"));
    site.stop.cancel();
    assert_eq!(probe("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let version: VersionInfo = site.get("/api/v1/version").await.ok();
    assert_eq!(version.controller.0, 1);
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere() {
    let site = Site::new();
    for path in ["/", "/api/v1/docs"] {
        let page = site.send(request(Method::GET, path, None, None)).await;
        assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let text = page.text();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} names another site");
        assert!(!text.contains("onclick") && !text.contains("style="), "{path} holds inline code");
        let assets = text.split('"').filter(|part| part.starts_with("/assets/"));
        for asset in assets.map(str::to_owned).collect::<Vec<_>>() {
            let reply = site.send(request(Method::GET, &asset, None, None)).await;
            assert_eq!(reply.status, StatusCode::OK, "{asset}");
            assert_eq!(reply.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        }
    }
}
