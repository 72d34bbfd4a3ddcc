//! Hosts and containers.

use super::{Reply, Site, request};
use crate::app::testing::{Bench, container, host};
use crate::state::ApiRole;
use axum::http::{Method, StatusCode};
use omni_common::api::v1::{
    ContainerView, HostMetrics, HostView, MetricsSource, Page, Processes, UpdateHost,
};
use omni_common::domain::{Container, ContainerState, Health, LABEL_COMPONENT, Process};
use omni_common::wire::{AgentRequest, ReplyFrame};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

async fn names(site: &Site, path: &str) -> Vec<String> {
    let page: Page<HostView> = site.get(path).await.ok();
    page.items.into_iter().map(|host| host.name).collect()
}

async fn change(site: &Site, if_match: Option<&str>, body: serde_json::Value) -> Reply {
    let token = Bench::token(ApiRole::Operator);
    let mut asked = request(Method::PATCH, "/api/v1/hosts/web-1", Some(&token), Some(body));
    if let Some(tag) = if_match {
        asked.headers_mut().insert("if-match", tag.parse().expect("a header"));
    }
    site.send(asked).await
}

#[tokio::test]
async fn hosts_are_filtered_and_paged() {
    let site = Site::new();
    for number in 1..=5 {
        let mut one = host(number, &format!("web-{number}"));
        one.labels.insert("disk".to_owned(), if number < 3 { "ssd" } else { "hdd" }.to_owned());
        one.cordoned = number == 5;
        site.bench.add_host(one);
    }
    assert_eq!(names(&site, "/api/v1/hosts?label=disk%3Dssd").await, ["web-1", "web-2"]);
    assert_eq!(names(&site, "/api/v1/hosts?status=down,pending").await, [""; 0]);
    assert_eq!(names(&site, "/api/v1/hosts?q=b-3").await, ["web-3"]);
    let first: Page<HostView> = site.get("/api/v1/hosts?limit=2&label=disk").await.ok();
    let cursor = first.next_cursor.expect("three more follow");
    let rest = format!("/api/v1/hosts?limit=4&label=disk&cursor={cursor}");
    assert_eq!(names(&site, &rest).await, ["web-3", "web-4", "web-5"]);
    site.get(&format!("/api/v1/hosts?cursor={cursor}")).await.problem(400, "bad_cursor");
}

#[tokio::test]
async fn a_host_is_changed_only_as_it_was_seen() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    let seen = site.get("/api/v1/hosts/web-1").await;
    let tag = seen.header("etag").to_owned();
    let body = json!({"cordoned": true, "labels": {"a": "1", "b": "2"}});
    let changed = change(&site, Some(&tag), body.clone()).await;
    let view: HostView = changed.ok();
    assert!(view.cordoned);
    assert_ne!(changed.header("etag"), tag);
    change(&site, Some(&tag), body).await.problem(412, "revision_mismatch");
    let view: HostView = change(&site, None, json!({"labels": {"a": null}})).await.ok();
    assert_eq!(view.labels, BTreeMap::from([("b".to_owned(), "2".to_owned())]));
    assert!(view.cordoned, "what is not named stays");
    change(&site, Some("7"), json!({})).await.problem(400, "invalid_parameter");
    change(&site, None, json!({"labels": {"": "x"}})).await.problem(422, "invalid");
}

#[tokio::test]
async fn a_host_that_is_emptied_says_so() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    for drain in [true, false] {
        let view: HostView = site.post("/api/v1/hosts/web-1/drain", json!({"drain": drain})).await.ok();
        assert_eq!((view.draining, view.cordoned), (drain, false));
        let view: HostView = site.get("/api/v1/hosts/web-1").await.ok();
        assert_eq!(view.draining, drain);
    }
}

#[tokio::test]
async fn failure_detection_of_one_host() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    let times = json!({"heartbeat_ms": 2000, "suspect_ms": 8000, "lease_ms": 20000, "margin_ms": 4000});
    let view: HostView = change(&site, None, json!({"liveness": times})).await.ok();
    assert_eq!(view.liveness.map(|own| own.lease_ms), Some(20000));
    let keep = serde_json::to_value(UpdateHost::default()).expect("plain value");
    let view: HostView = change(&site, None, keep).await.ok();
    assert!(view.liveness.is_some());
    let view: HostView = change(&site, None, json!({"liveness": null})).await.ok();
    assert_eq!(view.liveness, None);
}

#[tokio::test]
async fn a_removed_host_is_gone() {
    let site = Site::new();
    site.bench.add_host(host(1, "web-1"));
    let reply = site.delete("/api/v1/hosts/web-1").await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    site.get("/api/v1/hosts/web-1").await.problem(404, "not_found");
    site.delete("/api/v1/hosts/web-1").await.problem(404, "not_found");
}

fn containers() -> Vec<Container> {
    let mut database = container("aaaa1111", "db");
    database.health = Health::Unhealthy;
    database.labels.insert(LABEL_COMPONENT.to_owned(), "postgres".to_owned());
    let mut stopped = container("aaaa2222", "job");
    stopped.state = ContainerState::Exited;
    vec![database, stopped, container("bbbb3333", "web")]
}

#[tokio::test]
async fn containers_of_all_hosts_are_one_list() {
    let site = Site::new();
    site.bench.add_reporting(1, "web-1", containers());
    site.bench.add_reporting(2, "web-2", vec![container("cccc4444", "web")]);
    site.bench.add_host(host(3, "silent"));
    let list = async |query: &str| {
        let page: Page<ContainerView> = site.get(&format!("/api/v1/containers?{query}")).await.ok();
        let name = |view: ContainerView| format!("{}/{}", view.host_name, view.container.name);
        page.items.into_iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["web-1/db", "web-1/job", "web-1/web", "web-2/web"]);
    assert_eq!(list("host=web-2").await, ["web-2/web"]);
    assert_eq!(list("component=postgres").await, ["web-1/db"]);
    assert_eq!(list("state=exited,dead").await, ["web-1/job"]);
    assert_eq!(list("health=unhealthy").await, ["web-1/db"]);
    assert_eq!(list("q=bbbb").await, ["web-1/web"]);
    assert_eq!(list("label=omni.quantum.component").await, ["web-1/db"]);
    assert_eq!(list("host=silent").await, [""; 0]);
}

#[tokio::test]
async fn pages_of_containers_cross_hosts() {
    let site = Site::new();
    site.bench.add_reporting(1, "web-1", containers());
    site.bench.add_reporting(2, "web-2", containers());
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<ContainerView> = site.get(&format!("/api/v1/containers?limit=2{cursor}")).await.ok();
        seen.extend(page.items.into_iter().map(|view| (view.host_name, view.container.name)));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected =
        ["web-1", "web-2"].map(|host| ["db", "job", "web"].map(|name| (host.to_owned(), name.to_owned())));
    assert_eq!(seen, expected.concat());
}

#[tokio::test]
async fn a_container_goes_by_name_id_or_the_beginning_of_an_id() {
    let site = Site::new();
    site.bench.add_reporting(1, "web-1", containers());
    for name in ["web", "bbbb3333", "bbbb"] {
        let view: ContainerView = site.get(&format!("/api/v1/containers/web-1/{name}")).await.ok();
        assert_eq!(view.container.name, "web");
    }
    for name in ["aaaa", "bb", "other"] {
        site.get(&format!("/api/v1/containers/web-1/{name}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn history_comes_from_the_host_or_else_from_the_controllers() {
    let mut site = Site::new();
    site.bench.add_reporting(1, "web-1", vec![]);
    let agent = async {
        let (_, agent) = site.bench.agents.recv().await.expect("a request");
        assert!(matches!(agent.request, AgentRequest::History { max: 7, .. }));
        for frame in [ReplyFrame::Started, ReplyFrame::Samples(vec![Default::default()]), ReplyFrame::End] {
            agent.replies.send(frame).await.expect("somebody reads");
        }
    };
    let router = site.router.clone();
    let path = "/api/v1/hosts/web-1/metrics?max=7";
    let asked = request(Method::GET, path, Some(&Bench::token(ApiRole::Viewer)), None);
    let (response, ()) = tokio::join!(tower::ServiceExt::oneshot(router, asked), agent);
    let body = axum::body::to_bytes(response.expect("a router never fails").into_body(), 1 << 20).await;
    let metrics: HostMetrics = serde_json::from_slice(&body.expect("in memory")).expect("metrics");
    assert_eq!((metrics.source, metrics.history.len()), (MetricsSource::Agent, 1));

    site.bench.mesh.connected.store(false, Ordering::SeqCst);
    let metrics: HostMetrics = site.get(path).await.ok();
    assert_eq!(metrics.source, MetricsSource::Gateway);
    site.get("/api/v1/hosts/web-1/metrics?source=agent").await.problem(502, "host_not_connected");
}

#[tokio::test]
async fn processes_are_asked_of_the_agent() {
    let mut site = Site::new();
    site.bench.add_reporting(1, "web-1", vec![]);
    let agent = async {
        let (_, agent) = site.bench.agents.recv().await.expect("a request");
        let process =
            Process { pid: 1, name: "init".to_owned(), cpu_percent: 0.0, memory: 1, container: None };
        for frame in [ReplyFrame::Started, ReplyFrame::Processes(vec![process]), ReplyFrame::End] {
            agent.replies.send(frame).await.expect("somebody reads");
        }
    };
    let router = site.router.clone();
    let asked =
        request(Method::GET, "/api/v1/hosts/web-1/processes", Some(&Bench::token(ApiRole::Viewer)), None);
    let (response, ()) = tokio::join!(tower::ServiceExt::oneshot(router, asked), agent);
    let body = axum::body::to_bytes(response.expect("a router never fails").into_body(), 1 << 20).await;
    let processes: Processes = serde_json::from_slice(&body.expect("in memory")).expect("processes");
    assert_eq!(processes.items[0].name, "init");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_is_not_waited_for_for_ever() {
    let site = Site::new();
    site.bench.add_reporting(1, "web-1", vec![]);
    site.get("/api/v1/hosts/web-1/processes").await.problem(504, "host_silent");
}
