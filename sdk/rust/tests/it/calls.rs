//! Failover and retries.

use crate::server::{Fake, nobody, problem};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use omni_common::api::v1::{
    Consistency, ContainersQuery, EnvironmentView, Event, EventsQuery, FilesQuery, Leadership, Page,
    VersionInfo,
};
use omni_common::clock::Time;
use omni_common::ids::{ClusterId, ControllerId};
use omni_sdk::{Error, Options};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn version(controller: u64) -> Json<VersionInfo> {
    Json(VersionInfo {
        version: "1.2.3".to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        controller: ControllerId(controller),
        cluster: ClusterId::from_u128(1),
    })
}

fn answering(controller: u64) -> Router {
    Router::new().route("/api/v1/version", get(move || async move { version(controller) }))
}

#[tokio::test]
async fn a_dead_controller_is_passed_over_and_the_living_one_remembered() {
    let fake = Fake::new();
    let second = fake.controller(answering(2));
    let client = fake.client(&[&nobody(), &second.address]);
    for _ in 0..3 {
        assert_eq!(client.version().await.expect("the second answers").controller, ControllerId(2));
    }
}

#[tokio::test]
async fn when_the_one_in_use_dies_the_next_takes_over() {
    let fake = Fake::new();
    let (first, second) = (fake.controller(answering(1)), fake.controller(answering(2)));
    let client = fake.client(&[&first.address, &second.address]);
    assert_eq!(client.version().await.expect("up").controller, ControllerId(1));
    drop(first);
    // The listener closes in the background; both answers are right until it has.
    loop {
        if client.version().await.expect("one is up").controller == ControllerId(2) {
            break;
        }
    }
}

#[tokio::test]
async fn nobody_there_is_said_with_each_address_and_why() {
    let fake = Fake::new();
    let (a, b) = (nobody(), nobody());
    let error = fake.client(&[&a, &b]).version().await.expect_err("nobody listens");
    let Error::NoControllerReachable { tried } = &error else { panic!("{error}") };
    let addresses: Vec<_> = tried.iter().map(|attempt| &attempt.address).collect();
    assert_eq!(addresses, [&a, &b]);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn no_leader_yet_is_waited_for() {
    let fake = Fake::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/api/v1/version",
        get(|State(calls): State<Arc<AtomicUsize>>| async move {
            match calls.fetch_add(1, Ordering::SeqCst) {
                0..2 => problem(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "election in progress"),
                _ => version(1).into_response(),
            }
        }),
    );
    let controller = fake.controller(router.with_state(calls.clone()));
    let client = fake.client(&[&controller.address]);
    assert!(client.version().await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_deadline_ends_the_wait_with_the_last_problem() {
    let fake = Fake::new();
    let never = || async { problem(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "election in progress") };
    let controller = fake.controller(Router::new().route("/api/v1/version", get(never)));
    let client = fake
        .client(&[&controller.address])
        .with(Options { timeout: Duration::from_millis(300), ..Options::default() });
    let error = client.version().await.expect_err("never a leader");
    assert_eq!((error.status(), error.code()), (Some(503), Some("no_leader")));
}

#[tokio::test]
async fn a_silent_controller_does_not_use_up_the_deadline() {
    let fake = Fake::new();
    let silent =
        fake.controller(Router::new().route("/api/v1/version", get(std::future::pending::<Response>)));
    let second = fake.controller(answering(2));
    let client = fake
        .client(&[&silent.address, &second.address])
        .with(Options { timeout: Duration::from_secs(6), ..Options::default() });
    assert_eq!(client.version().await.expect("the second answers").controller, ControllerId(2));
}

#[tokio::test]
async fn silence_until_the_deadline_is_a_timeout() {
    let fake = Fake::new();
    let silent = fake.controller(Router::new().fallback(get(std::future::pending::<Response>)));
    let timeout = Duration::from_millis(300);
    let client = fake.client(&[&silent.address]).with(Options { timeout, ..Options::default() });
    let error = client.version().await.expect_err("it says nothing");
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_call_that_takes_its_time_is_given_it() {
    let fake = Fake::new();
    let page = || async { Json(serde_json::json!({"items": [], "next_cursor": null})) };
    let files = "/api/v1/backup/snapshots/{environment}/{app}/{snapshot}/files";
    let controller = fake.controller(Router::new().route(files, get(page)).fallback(get(page)));
    let options = Options { timeout: Duration::ZERO, ..Options::default() };
    let client = fake.client(&[&controller.address]).with(options);
    assert!(matches!(client.repositories().await, Err(Error::TimedOut { .. })));
    let listed = client.snapshot_files("e", "a", "5a5a", FilesQuery::default()).await;
    assert!(listed.expect("it was waited for").is_empty());
}

#[tokio::test]
async fn a_problem_told_before_the_deadline_outlasts_silence() {
    let fake = Fake::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/api/v1/version",
        get(|State(asked): State<Arc<AtomicUsize>>| async move {
            if asked.fetch_add(1, Ordering::Relaxed) > 0 {
                std::future::pending::<()>().await;
            }
            problem(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "two of three are gone")
        }),
    );
    let controller = fake.controller(router.with_state(asked));
    let options = Options { timeout: Duration::from_secs(2), ..Options::default() };
    let client = fake.client(&[&controller.address]).with(options);
    let error = client.version().await.expect_err("nobody leads");
    assert_eq!(error.code(), Some("no_leader"), "{error}");
}

#[tokio::test]
async fn a_problem_arrives_typed_and_is_not_repeated() {
    let fake = Fake::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let router = Router::new().route(
        "/api/v1/hosts/{host}",
        get(|State(calls): State<Arc<AtomicUsize>>| async move {
            calls.fetch_add(1, Ordering::SeqCst);
            problem(StatusCode::NOT_FOUND, "host_not_found", "there is no host `web`")
        }),
    );
    let controller = fake.controller(router.with_state(calls.clone()));
    let error = fake.client(&[&controller.address]).host("web").await.expect_err("unknown");
    let problem = error.problem().expect("a problem");
    assert_eq!((problem.status, problem.code.as_str()), (404, "host_not_found"));
    assert_eq!(problem.request_id.as_deref(), Some("01J"));
    assert_eq!(error.to_string(), "there is no host `web`");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_repeated_write_carries_the_same_key_and_the_body() {
    type Seen = Arc<Mutex<Vec<(String, String)>>>;
    let fake = Fake::new();
    let seen = Seen::default();
    let take = |State(seen): State<Seen>, headers: HeaderMap, body: String| async move {
        let header = |name: &str| headers.get(name).map(|v| v.to_str().expect("text").to_owned());
        assert!(header("authorization").is_some_and(|value| value.starts_with("Bearer omni-api1.")));
        let mut seen = seen.lock().expect("not poisoned");
        seen.push((header("idempotency-key").expect("a key"), body));
        match seen.len() {
            1 => problem(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "election in progress"),
            _ => Json(Leadership { leader: ControllerId(3) }).into_response(),
        }
    };
    let router = Router::new().route("/api/v1/controllers/transfer", post(take));
    let controller = fake.controller(router.with_state(seen.clone()));
    let client = fake.client(&[&controller.address]);
    let now = client.transfer_leadership(Some(ControllerId(3))).await.expect("the second time");
    assert_eq!(now.leader, ControllerId(3));
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].1, r#"{"to":3}"#);
}

#[tokio::test]
async fn stale_reads_say_so() {
    let fake = Fake::new();
    let router = Router::new().route(
        "/api/v1/environments",
        get(|Query(query): Query<BTreeMap<String, String>>| async move {
            let items = match query.get("consistency").map(String::as_str) {
                Some("stale") => vec![],
                _ => vec![EnvironmentView { name: "default".to_owned(), revision: 1, created: Time::EPOCH }],
            };
            Json(Page::whole(items))
        }),
    );
    let controller = fake.controller(router);
    let client = fake.client(&[&controller.address]);
    assert_eq!(client.environments().await.expect("fresh").len(), 1);
    let stale = client.with(Options { consistency: Consistency::Stale, ..Options::default() });
    assert!(stale.environments().await.expect("stale").is_empty());
}

fn event(seq: u64) -> Event {
    Event {
        seq,
        index: seq,
        at: Time::from_secs(1),
        topic: "hosts".to_owned(),
        kind: "host.up".to_owned(),
        message: format!("event {seq}"),
        host: None,
        controller: None,
        data: BTreeMap::new(),
    }
}

#[tokio::test]
async fn pages_are_followed_up_to_the_wanted_number() {
    let fake = Fake::new();
    let router = Router::new().route(
        "/api/v1/events",
        get(|Query(query): Query<EventsQuery>| async move {
            let begin: u64 = query.cursor.map_or(0, |cursor| cursor.parse().expect("ours"));
            let count = u64::from(query.limit.expect("the client always says")).min(500);
            let end = (begin + count).min(1200);
            Json(Page {
                items: (begin..end).map(event).collect(),
                next_cursor: (end < 1200).then(|| end.to_string()),
            })
        }),
    );
    let controller = fake.controller(router);
    let client = fake.client(&[&controller.address]);
    assert_eq!(client.events(EventsQuery::default()).await.expect("all").len(), 1200);
    let some = EventsQuery { limit: Some(700), ..EventsQuery::default() };
    assert_eq!(client.events(some).await.expect("some").last().map(|event| event.seq), Some(699));
}

#[tokio::test]
async fn an_answer_of_another_shape_is_named_and_not_taken_for_empty() {
    let fake = Fake::new();
    let router =
        Router::new().route("/api/v1/containers", get(|| async { Json(serde_json::json!({"rows": []})) }));
    let controller = fake.controller(router);
    let client = fake.client(&[&controller.address]);
    let error = client.containers(ContainersQuery::default()).await.expect_err("no page");
    assert!(matches!(error, Error::BadAnswer { .. }), "{error}");
}

#[test]
fn calls_can_be_made_from_any_task() {
    fn sendable<T: Send>(_: &T) {}
    let fake = Fake::new();
    let client = fake.client(&[&nobody()]);
    sendable(&client.version());
    sendable(&client.containers(ContainersQuery::default()));
    let mut events = client.follow_events(Default::default(), None);
    sendable(&events.next());
    let mut logs = client.logs(Default::default());
    sendable(&logs.next());
    let mut live = client.live_metrics(&[]);
    sendable(&live.next());
    sendable(&client.exec("h", "web", Default::default()));
}
