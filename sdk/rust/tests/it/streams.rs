//! Streams over WebSockets, and how they survive the loss of a controller.

use crate::server::{Fake, problem};
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use omni_common::api::v1::{
    EXEC_STDERR, EXEC_STDOUT, Event, EventsMessage, EventsRequest, ExecInput, ExecOutput, ExecStart,
    LogEntry, LogSource, LogsMessage, LogsQuery, socket_close,
};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use omni_common::wire::OutputStream;
use omni_sdk::{EventItem, ExecEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

async fn send(socket: &mut WebSocket, message: &impl Serialize) {
    let text = serde_json::to_string(message).expect("plain");
    socket.send(Message::text(text)).await.expect("the client listens");
}

async fn receive<T: DeserializeOwned>(socket: &mut WebSocket) -> T {
    let message = socket.recv().await.expect("the client talks").expect("in frames");
    serde_json::from_str(message.to_text().expect("as text")).expect("as agreed")
}

async fn close(socket: &mut WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: "test".into() };
    socket.send(Message::Close(Some(frame))).await.expect("the client listens");
}

fn event(seq: u64) -> EventsMessage {
    EventsMessage::Event {
        id: "events".to_owned(),
        seq,
        kind: "host.up".to_owned(),
        data: Event {
            seq,
            index: seq,
            at: Time::from_secs(1),
            topic: "hosts".to_owned(),
            kind: "host.up".to_owned(),
            message: String::new(),
            host: None,
            controller: None,
            data: BTreeMap::new(),
        },
    }
}

/// Tells two events after wherever the client is, then stops as a controller that restarts does.
async fn two_events_then_restart(mut socket: WebSocket, asked: Arc<Mutex<Vec<Option<u64>>>>) {
    let EventsRequest::Subscribe { since, .. } = receive(&mut socket).await else {
        panic!("subscribes first")
    };
    asked.lock().expect("not poisoned").push(since);
    let newest = since.unwrap_or(40);
    let subscribed = EventsMessage::Subscribed { id: "events".to_owned(), seq: newest };
    send(&mut socket, &subscribed).await;
    for seq in newest + 1..=newest + 2 {
        send(&mut socket, &event(seq)).await;
    }
    close(&mut socket, socket_close::RESTARTING).await;
}

#[tokio::test]
async fn events_resume_after_the_last_one_seen() {
    let fake = Fake::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let upgrade = |ws: WebSocketUpgrade, State(asked): State<Arc<Mutex<Vec<Option<u64>>>>>| async move {
        ws.on_upgrade(|socket| two_events_then_restart(socket, asked))
    };
    let router = Router::new().route("/api/v1/events/live", get(upgrade)).with_state(asked.clone());
    let controller = fake.controller(router);
    let mut events = fake.client(&[&controller.address]).follow_events(Default::default(), None);
    let mut seen = Vec::new();
    while seen.len() < 5 {
        match events.next().await.expect("the stream is mended") {
            EventItem::Event(event) => seen.push(event.seq),
            EventItem::Gap { .. } => panic!("nothing was lost"),
        }
    }
    assert_eq!(seen, [41, 42, 43, 44, 45]);
    assert_eq!(asked.lock().expect("not poisoned")[..2], [None, Some(42)]);
}

#[tokio::test]
async fn a_gap_in_the_events_is_told() {
    let fake = Fake::new();
    let upgrade = |ws: WebSocketUpgrade| async {
        ws.on_upgrade(|mut socket| async move {
            let _: EventsRequest = receive(&mut socket).await;
            let id = "events".to_owned();
            send(&mut socket, &EventsMessage::Reset { id, seq: 900 }).await;
            send(&mut socket, &event(901)).await;
            socket.recv().await;
        })
    };
    let controller = fake.controller(Router::new().route("/api/v1/events/live", get(upgrade)));
    let mut events = fake.client(&[&controller.address]).follow_events(Default::default(), Some(3));
    assert_eq!(events.next().await.expect("told"), EventItem::Gap { seq: 900 });
    let EventItem::Event(event) = events.next().await.expect("goes on") else { panic!("one gap only") };
    assert_eq!(event.seq, 901);
}

#[tokio::test]
async fn a_revoked_token_ends_the_stream() {
    let fake = Fake::new();
    let upgrade = |ws: WebSocketUpgrade| async {
        ws.on_upgrade(|mut socket| async move { close(&mut socket, socket_close::UNAUTHENTICATED).await })
    };
    let controller = fake.controller(Router::new().route("/api/v1/events/live", get(upgrade)));
    let mut events = fake.client(&[&controller.address]).follow_events(Default::default(), None);
    assert_eq!(events.next().await.expect_err("revoked").status(), Some(401));
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_a_typed_problem() {
    let fake = Fake::new();
    let refuse = || async { problem(StatusCode::FORBIDDEN, "forbidden", "viewers cannot open terminals") };
    let controller = fake.controller(Router::new().fallback(get(refuse)));
    let client = fake.client(&[&controller.address]);
    let refused = client.exec("web-1", "web", ExecStart::default()).await.err().expect("refused");
    assert_eq!((refused.status(), refused.code()), (Some(403), Some("forbidden")));
}

fn line(nanos: i64, text: &str) -> LogEntry {
    LogEntry {
        source: 0,
        host: "h".to_owned(),
        container: "web".to_owned(),
        at: Some(jiff::Timestamp::from_nanosecond(nanos.into()).expect("in range")),
        stream: OutputStream::Stdout,
        line: text.to_owned(),
    }
}

/// A log of four lines, two of them at the same moment. The first reader is cut off after the third.
async fn log_of_four(mut socket: WebSocket, query: LogsQuery) {
    let source = LogSource {
        host: HostId::from_u128(1),
        host_name: "h".to_owned(),
        container: "abc".to_owned(),
        container_name: "web".to_owned(),
        component: None,
    };
    send(&mut socket, &LogsMessage::Sources { sources: vec![source] }).await;
    let all = [line(1_000_000, "a"), line(2_000_000, "b"), line(2_000_000, "c"), line(2_000_000, "d")];
    let Some(since) = query.since else {
        send(&mut socket, &LogsMessage::Lines { lines: all[..3].to_vec() }).await;
        return close(&mut socket, socket_close::RESTARTING).await;
    };
    assert_eq!((since, query.tail), (Time::from_millis(2), None));
    send(&mut socket, &LogsMessage::Lines { lines: all[1..].to_vec() }).await;
    send(&mut socket, &LogsMessage::End).await;
    close(&mut socket, socket_close::DONE).await;
}

#[tokio::test]
async fn a_followed_log_goes_on_without_repeating_or_losing_a_line() {
    let fake = Fake::new();
    let upgrade = |ws: WebSocketUpgrade, Query(query): Query<LogsQuery>| async {
        ws.on_upgrade(|socket| log_of_four(socket, query))
    };
    let controller = fake.controller(Router::new().route("/api/v1/logs", get(upgrade)));
    let mut logs = fake.client(&[&controller.address]).logs(LogsQuery {
        container: Some(["web"].into_iter().collect()),
        follow: true,
        tail: Some(10),
        ..LogsQuery::default()
    });
    let (mut lines, mut listings) = (Vec::new(), 0);
    while let Some(message) = logs.next().await.expect("the stream is mended") {
        match message {
            LogsMessage::Lines { lines: more } => lines.extend(more.into_iter().map(|entry| entry.line)),
            LogsMessage::Sources { .. } => listings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lines, ["a", "b", "c", "d"]);
    assert_eq!(listings, 1, "the same containers are not listed twice");
}

/// Echoes input to standard output, sizes to standard error, and ends with the number of sizes.
async fn echo(mut socket: WebSocket) {
    let ExecInput::Start(start) = receive(&mut socket).await else { panic!("starts first") };
    assert_eq!(start.command, ["cat"]);
    send(&mut socket, &ExecOutput::Started).await;
    let tagged = |tag: u8, bytes: &[u8]| Message::binary([&[tag], bytes].concat());
    let mut sizes = 0;
    while let Some(Ok(message)) = socket.recv().await {
        let reply = match &message {
            Message::Binary(bytes) => tagged(EXEC_STDOUT, bytes),
            Message::Text(text) => match serde_json::from_str(text).expect("as agreed") {
                ExecInput::Resize { cols, rows } => {
                    sizes += 1;
                    tagged(EXEC_STDERR, format!("{cols}x{rows}").as_bytes())
                }
                _ => break,
            },
            _ => continue,
        };
        socket.send(reply).await.expect("the client listens");
    }
    send(&mut socket, &ExecOutput::Exit { code: sizes }).await;
}

#[tokio::test]
async fn a_program_is_talked_to_in_both_directions() {
    let fake = Fake::new();
    let upgrade = |ws: WebSocketUpgrade, Path(place): Path<(String, String)>| async move {
        assert_eq!(place, ("web-1".to_owned(), "a/b".to_owned()));
        ws.on_upgrade(echo)
    };
    let controller =
        fake.controller(Router::new().route("/api/v1/containers/{host}/{container}/exec", get(upgrade)));
    let start = ExecStart { command: vec!["cat".to_owned()], stdin: true, ..ExecStart::default() };
    let client = fake.client(&[&controller.address]);
    let (mut writer, mut reader) = client.exec("web-1", "a/b", start).await.expect("it starts");
    assert_eq!(reader.next().await.expect("started"), ExecEvent::Started);
    writer.input(Bytes::from_static(b"hello")).await.expect("taken");
    assert_eq!(reader.next().await.expect("echoed"), ExecEvent::Stdout(Bytes::from_static(b"hello")));
    writer.resize(120, 40).await.expect("taken");
    assert_eq!(reader.next().await.expect("echoed"), ExecEvent::Stderr(Bytes::from_static(b"120x40")));
    writer.end_of_input().await.expect("taken");
    assert_eq!(reader.next().await.expect("ended"), ExecEvent::Exit(1));
}
