//! People at sockets: who may open which, and when they end.

use super::request;
use super::sockets::{Client, Port};
use crate::app::testing::{NOW, allocation, container};
use crate::state::{
    Actor, ApiRole, AppKey, Command, NewEvent, Proposal, SignIn, State, User, UserSession, UserSource,
};
use axum::http::Method;
use omni_certs::SecretHash;
use omni_common::api::v1::{ContainerView, EventsMessage, LogsMessage, Page, socket_close};
use omni_common::ids::{AllocationId, RequestId, TokenId};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Somebody with a session; gives the pass of their page.
fn page_of(port: &Port, role: ApiRole, places: &[&str]) -> String {
    let bench = &port.site.bench;
    let id = TokenId::from_u128(7);
    let user = User {
        name: "ann".to_owned(),
        display_name: None,
        role,
        places: places.iter().map(|place| (*place).to_owned()).collect(),
        password: None,
        source: UserSource::Local,
        disabled: false,
        created: NOW,
        created_by: "test".to_owned(),
        changed: NOW,
        signed_in: None,
        revision: 1,
    };
    let session = UserSession {
        id,
        hash: SecretHash::of(b"x"),
        user: "ann".to_owned(),
        cookie: true,
        by: SignIn::Password,
        created: NOW,
        seen: NOW,
        idle_secs: 3600,
        ends: NOW.plus(Duration::from_secs(7200)),
        from: None,
        agent: None,
    };
    bench.change(|state| {
        state.users.insert("ann".to_owned(), Arc::new(user));
        state.sessions.insert(id, session);
    });
    bench.app.new_pass(id).expect("sealed").pass
}

async fn following(port: &Port, pass: &str) -> Client {
    let mut client = port.dial("events/live", None).await;
    client.say(json!({"op": "auth", "token": pass})).await;
    client.say(json!({"op": "subscribe", "id": "a", "topic": "events"})).await;
    let _: EventsMessage = client.hear().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_socket_ends_with_its_session_and_when_rights_change() {
    type Change = fn(&mut State);
    let changes: [(&str, Change); 4] = [
        ("the session is ended", |state| state.sessions = Default::default()),
        ("the person is disabled", |state| ann(state).disabled = true),
        ("their role changed", |state| ann(state).role = ApiRole::Viewer),
        ("they are confined now", |state| ann(state).places = vec!["staging".to_owned()]),
    ];
    for (what, change) in changes {
        let port = Port::open();
        let pass = page_of(&port, ApiRole::Operator, &[]);
        let mut client = following(&port, &pass).await;
        port.site.bench.change(change);
        let began = tokio::time::Instant::now();
        assert_eq!(client.closed().await, socket_close::UNAUTHENTICATED, "{what}");
        assert!(began.elapsed() <= Duration::from_secs(1), "{what}");
    }
    // That the pass of its opening is over does not end a socket; that the session is, does.
    let port = Port::open();
    let pass = page_of(&port, ApiRole::Viewer, &[]);
    let mut client = following(&port, &pass).await;
    port.site.bench.clock.advance(Duration::from_secs(3599));
    port.site.post("/api/v1/environments", json!({"name": "still-here"})).await;
    let _: EventsMessage = client.hear().await;
    port.site.bench.clock.advance(Duration::from_secs(1));
    assert_eq!(client.closed().await, socket_close::UNAUTHENTICATED);
}

fn ann(state: &mut State) -> &mut User {
    Arc::make_mut(state.users.get_mut("ann").expect("she is there"))
}

/// A container that was made for an allocation of an app, and one that only says so.
fn with_apps(port: &Port) {
    let mut own = container("aaaa", "shop-web");
    let held = AllocationId::from_u128(1);
    own.labels.insert("omni.allocation".to_owned(), held.to_string());
    let mut forged = container("bbbb", "other");
    for (label, value) in [("omni.environment", "staging"), ("omni.app", "shop")] {
        forged.labels.insert(label.to_owned(), value.to_owned());
    }
    let host = port.site.bench.add_reporting(1, "web-1", vec![own, forged]);
    port.site.bench.change(|state| {
        let app = AppKey { environment: "staging".to_owned(), name: "shop".to_owned() };
        let held = allocation(held, app, host);
        state.allocations.insert(held.id, Arc::new(held));
    });
}

#[tokio::test(start_paused = true)]
async fn who_is_confined_reads_logs_and_opens_terminals_of_their_own_apps_alone() {
    let mut port = Port::open();
    with_apps(&port);
    let pass = page_of(&port, ApiRole::Operator, &["staging"]);
    for path in ["containers/web-1/other/exec", "logs?container=other"] {
        let mut client = port.dial(path, None).await;
        client.say(json!({"op": "auth", "token": pass})).await;
        if path.ends_with("exec") {
            client.say(json!({"op": "start", "command": ["sh"]})).await;
        }
        assert_eq!(client.closed().await, socket_close::NOT_FOUND, "{path}");
    }
    assert!(port.site.bench.agents.try_recv().is_err(), "no host was asked");
    let mut client = port.dial("logs?container=shop-web", None).await;
    client.say(json!({"op": "auth", "token": pass})).await;
    let LogsMessage::Sources { sources } = client.hear().await else { panic!("sources come first") };
    assert_eq!(sources[0].container_name, "shop-web");
    let list = request(Method::GET, "/api/v1/containers", Some(&pass), None);
    let page: Page<ContainerView> = port.site.send(list).await.ok();
    let names: Vec<&str> = page.items.iter().map(|view| view.container.name.as_str()).collect();
    assert_eq!(names, ["shop-web"]);
    for (path, status) in [("shop-web", 200), ("other", 404)] {
        let path = format!("/api/v1/containers/web-1/{path}");
        let asked = request(Method::GET, &path, Some(&pass), None);
        assert_eq!(port.site.send(asked).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_confined_builds_images_of_their_own_apps_alone() {
    let port = Port::open();
    let pass = page_of(&port, ApiRole::Operator, &["staging"]);
    for (path, code) in
        [("staging/shop", socket_close::BAD_MESSAGE), ("default/shop", socket_close::FORBIDDEN)]
    {
        let mut client = port.dial(&format!("apps/{path}/build"), None).await;
        client.say(json!({"op": "auth", "token": pass})).await;
        client.say(json!({"op": "eof"})).await;
        assert_eq!(client.closed().await, code, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_confined_hears_of_hosts_and_of_their_own_apps() {
    let port = Port::open();
    let pass = page_of(&port, ApiRole::Viewer, &["staging"]);
    let mut client = following(&port, &pass).await;
    let event = |topic: &str, environment: Option<&str>| {
        let mut data = BTreeMap::new();
        for (key, value) in environment.iter().flat_map(|one| [("environment", *one), ("app", "shop")]) {
            data.insert(key.to_owned(), value.to_owned());
        }
        NewEvent {
            at: NOW,
            topic: topic.to_owned(),
            kind: format!("{topic}.happened"),
            message: String::new(),
            host: None,
            data,
        }
    };
    let all = vec![
        event("app", Some("production")),
        event("container", None),
        event("token", None),
        event("host", None),
        event("app", Some("staging")),
    ];
    let proposal = Proposal {
        request: RequestId::from_u128(99),
        fingerprint: None,
        at: NOW,
        actor: Actor::system(),
        command: Command::RecordEvents(all),
    };
    port.site.bench.app.proposer.propose(proposal).await.expect("applied");
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let EventsMessage::Event { kind, .. } = client.hear().await else { panic!("an event") };
        kinds.push(kind);
    }
    assert_eq!(kinds, ["host.happened", "app.happened"]);
}
