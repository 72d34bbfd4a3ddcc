//! WebSockets, over pipes in memory and under paused time, so that deadlines cost nothing.

use super::Site;
use crate::app::testing::{Bench, FakeAgent, container};
use crate::state::ApiRole;
use axum::serve::Listener;
use futures_util::{SinkExt, StreamExt};
use omni_common::api::v1::{EventsMessage, ExecOutput, LiveMetricsMessage, LogsMessage, socket_close};
use omni_common::wire::{AgentRequest, LogLine, OutputStream, ReplyFrame, RequestInput};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A pipe this small fills up soon when nobody reads.
const PIPE: usize = 64 << 10;

struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (DuplexStream, SocketAddr) {
        let pipe = match self.0.recv().await {
            Some(pipe) => pipe,
            None => std::future::pending().await,
        };
        (pipe, SocketAddr::from(([192, 0, 2, 7], 40000)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([192, 0, 2, 1], 7601)))
    }
}

/// A site that takes connections.
pub(super) struct Port {
    pub(super) site: Site,
    connect: mpsc::UnboundedSender<DuplexStream>,
}

impl Port {
    pub(super) fn open() -> Self {
        let site = Site::new();
        let (connect, pipes) = mpsc::unbounded_channel();
        let router = site.router.clone();
        tokio::spawn(async move { axum::serve(Pipes(pipes), router).await });
        Self { site, connect }
    }

    pub(super) async fn dial(&self, path: &str, role: Option<ApiRole>) -> Client {
        let (ours, theirs) = duplex(PIPE);
        self.connect.send(theirs).expect("the site listens");
        let mut request = format!("ws://omni/api/v1/{path}").into_client_request().expect("an address");
        if let Some(role) = role {
            let value = format!("Bearer {}", Bench::token(role)).parse().expect("a header");
            request.headers_mut().insert("authorization", value);
        }
        let (stream, _) = client_async(request, ours).await.expect("the socket opens");
        Client(stream)
    }
}

pub(super) struct Client(pub(super) WebSocketStream<DuplexStream>);

impl Client {
    pub(super) async fn say(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).await.expect("the site reads");
    }

    /// The next message that is no ping.
    async fn raw(&mut self) -> Message {
        loop {
            match self.0.next().await.expect("the socket is open").expect("it works") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub(super) async fn hear<T: DeserializeOwned>(&mut self) -> T {
        let message = self.raw().await;
        let text = message.to_text().unwrap_or_else(|_| panic!("not text: {message:?}"));
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Waits for the end and gives its code.
    pub(super) async fn closed(&mut self) -> u16 {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_says_who_it_is_first() {
    let port = Port::open();
    let mut client = port.dial("events/live", None).await;
    client.say(json!({"op": "auth", "token": Bench::token(ApiRole::Viewer)})).await;
    client.say(json!({"op": "subscribe", "id": "a", "topic": "events"})).await;
    assert!(matches!(client.hear().await, EventsMessage::Subscribed { .. }));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_who_it_is_is_shown_out() {
    let port = Port::open();
    let mut silent = port.dial("events/live", None).await;
    assert_eq!(silent.closed().await, socket_close::UNAUTHENTICATED);
    let mut wrong = port.dial("events/live", None).await;
    wrong.say(json!({"op": "auth", "token": "omni-api1.wrong"})).await;
    assert_eq!(wrong.closed().await, socket_close::UNAUTHENTICATED);
    let mut weak = port.dial("containers/web-1/web/exec", None).await;
    weak.say(json!({"op": "auth", "token": Bench::token(ApiRole::Viewer)})).await;
    assert_eq!(weak.closed().await, socket_close::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_cuts_its_sockets() {
    let port = Port::open();
    let mut client = port.dial("events/live", Some(ApiRole::Viewer)).await;
    client.say(json!({"op": "subscribe", "id": "a", "topic": "events"})).await;
    let _: EventsMessage = client.hear().await;
    port.site.bench.change(|state| {
        let viewer =
            state.api_tokens.values().find(|token| token.role == ApiRole::Viewer).map(|token| token.id);
        state.api_tokens.remove(&viewer.expect("there is one"));
    });
    let began = tokio::time::Instant::now();
    assert_eq!(client.closed().await, socket_close::UNAUTHENTICATED);
    assert!(began.elapsed() <= std::time::Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_controller_sends_its_clients_elsewhere() {
    let port = Port::open();
    let mut client = port.dial("metrics/live", Some(ApiRole::Viewer)).await;
    port.site.stop.cancel();
    assert_eq!(client.closed().await, socket_close::RESTARTING);
}

async fn event_numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match client.hear().await {
            EventsMessage::Event { seq, .. } => numbers.push(seq),
            other => panic!("{other:?}"),
        }
    }
    numbers
}

#[tokio::test(start_paused = true)]
async fn events_are_followed_and_resumed() {
    let port = Port::open();
    let site = &port.site;
    let make = async |name: &str| site.post("/api/v1/environments", json!({"name": name})).await;
    let mut client = port.dial("events/live", Some(ApiRole::Viewer)).await;
    client.say(json!({"op": "subscribe", "id": "a", "topic": "events"})).await;
    assert_eq!(
        client.hear::<EventsMessage>().await,
        EventsMessage::Subscribed { id: "a".to_owned(), seq: 0 }
    );
    make("one").await;
    make("two").await;
    assert_eq!(event_numbers(&mut client, 2).await, [1, 2]);
    drop(client);
    make("three").await;
    let mut again = port.dial("events/live", Some(ApiRole::Viewer)).await;
    again.say(json!({"op": "subscribe", "id": "b", "topic": "events", "since": 1})).await;
    assert!(matches!(again.hear().await, EventsMessage::Subscribed { seq: 3, .. }));
    assert_eq!(event_numbers(&mut again, 2).await, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_events_is_told() {
    let port = Port::open();
    port.site.bench.change(|state| {
        state.events.clear();
        state.next_event = 500;
    });
    let mut client = port.dial("events/live", Some(ApiRole::Viewer)).await;
    client.say(json!({"op": "subscribe", "id": "a", "topic": "events", "since": 3})).await;
    assert!(matches!(client.hear().await, EventsMessage::Subscribed { seq: 499, .. }));
    assert_eq!(client.hear::<EventsMessage>().await, EventsMessage::Reset { id: "a".to_owned(), seq: 499 });
}

#[tokio::test(start_paused = true)]
async fn nonsense_on_the_event_socket_is_answered() {
    let port = Port::open();
    let mut client = port.dial("events/live", Some(ApiRole::Viewer)).await;
    for (message, code) in [
        (json!({"op": "dance"}), "invalid_message"),
        (json!({"op": "subscribe", "id": "a", "topic": "news"}), "not_found"),
        (json!({"op": "subscribe", "id": "", "topic": "events"}), "invalid_message"),
        (json!({"op": "subscribe", "id": "a", "topic": "events", "filter": {"host": "x"}}), "not_found"),
    ] {
        client.say(message).await;
        match client.hear().await {
            EventsMessage::Error { problem, .. } => assert_eq!(problem.code, code),
            other => panic!("{other:?}"),
        }
    }
}

fn line(at: i64, text: &str) -> LogLine {
    LogLine { at_nanos: at, stream: OutputStream::Stdout, line: text.as_bytes().to_vec() }
}

/// The agents' sides of the next `count` requests, by the container's name that was asked for.
async fn agents(port: &mut Port, count: usize) -> Vec<FakeAgent> {
    let mut agents = Vec::new();
    for _ in 0..count {
        let (_, agent) = port.site.bench.agents.recv().await.expect("a request");
        agents.push(agent);
    }
    agents.sort_by_key(|agent| match &agent.request {
        AgentRequest::Logs(logs) => logs.container.clone(),
        other => panic!("{other:?}"),
    });
    agents
}

async fn lines(client: &mut Client, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match client.hear().await {
            LogsMessage::Lines { lines } => {
                seen.extend(lines.into_iter().map(|line| format!("{}/{}", line.host, line.line)))
            }
            other => panic!("{other:?}"),
        }
    }
    seen
}

pub(super) fn two_hosts() -> Port {
    let port = Port::open();
    port.site.bench.add_reporting(1, "web-1", vec![container("aaaa", "web")]);
    port.site.bench.add_reporting(2, "web-2", vec![container("bbbb", "web"), container("cccc", "db")]);
    port
}

#[tokio::test(start_paused = true)]
async fn logs_of_two_hosts_are_merged_by_time() {
    let mut port = two_hosts();
    let mut client = port.dial("logs?container=web&tail=9", Some(ApiRole::Viewer)).await;
    match client.hear().await {
        LogsMessage::Sources { sources } => {
            let names: Vec<_> =
                sources.iter().map(|one| (one.host_name.as_str(), one.container_name.as_str())).collect();
            assert_eq!(names, [("web-1", "web"), ("web-2", "web")]);
        }
        other => panic!("{other:?}"),
    }
    let agents = agents(&mut port, 2).await;
    for (agent, lines) in
        agents.iter().zip([vec![line(1, "a"), line(4, "d")], vec![line(2, "b"), line(3, "c")]])
    {
        for frame in [ReplyFrame::Started, ReplyFrame::Log(lines), ReplyFrame::End] {
            agent.replies.send(frame).await.expect("somebody reads");
        }
    }
    assert_eq!(lines(&mut client, 4).await, ["web-1/a", "web-2/b", "web-2/c", "web-1/d"]);
    let mut ended = Vec::new();
    loop {
        match client.hear().await {
            LogsMessage::SourceEnded { source, problem: None } => ended.push(source),
            LogsMessage::End => break,
            other => panic!("{other:?}"),
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [0, 1]);
    assert_eq!(client.closed().await, socket_close::DONE);
}

#[tokio::test(start_paused = true)]
async fn one_failing_container_does_not_end_the_others() {
    let mut port = two_hosts();
    let mut client = port.dial("logs?container=web-1/web,web-2/db&follow=true", Some(ApiRole::Viewer)).await;
    let _: LogsMessage = client.hear().await;
    let agents = agents(&mut port, 2).await;
    let failed =
        ReplyFrame::Failed { code: "unsupported".to_owned(), message: "its driver keeps no logs".to_owned() };
    agents[0].replies.send(failed).await.expect("somebody reads");
    match client.hear().await {
        LogsMessage::SourceEnded { source: 0, problem: Some(problem) } => {
            assert_eq!(problem.code, "unsupported")
        }
        other => panic!("{other:?}"),
    }
    for frame in [ReplyFrame::Started, ReplyFrame::Log(vec![line(1, "x")])] {
        agents[1].replies.send(frame).await.expect("somebody reads");
    }
    assert_eq!(lines(&mut client, 1).await, ["web-2/x"]);
    drop(client);
    agents[1].replies.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_container_does_not_hold_back_those_who_speak() {
    let mut port = two_hosts();
    let mut client = port.dial("logs?container=web&follow=true", Some(ApiRole::Viewer)).await;
    let _: LogsMessage = client.hear().await;
    let agents = agents(&mut port, 2).await;
    for agent in &agents {
        agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    }
    agents[1].replies.send(ReplyFrame::Log(vec![line(1, "x")])).await.expect("somebody reads");
    assert_eq!(lines(&mut client, 1).await, ["web-2/x"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_let_go_and_holds_nothing() {
    let mut port = two_hosts();
    let mut client = port.dial("logs?container=web-1/web&follow=true", Some(ApiRole::Viewer)).await;
    let _: LogsMessage = client.hear().await;
    let agent = agents(&mut port, 1).await.remove(0);
    agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    let mut sent = 0;
    let big = "x".repeat(60_000);
    // Ends only because the site lets go: under paused time its patience costs nothing.
    while agent.replies.send(ReplyFrame::Log(vec![line(1, &big)])).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "nothing held the agent back");
    }
    assert!(sent < 100, "{sent} frames went into buffers");
}

#[tokio::test(start_paused = true)]
async fn what_logs_are_meant_is_checked() {
    let port = two_hosts();
    for (query, code) in [("", "invalid"), ("?container=nope", "not_found"), ("?host=nowhere", "not_found")] {
        let mut client = port.dial(&format!("logs{query}"), Some(ApiRole::Viewer)).await;
        match client.hear().await {
            LogsMessage::Error { problem } => assert_eq!(problem.code, code, "{query}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn samples_come_as_they_change() {
    let port = two_hosts();
    let mut client = port.dial("metrics/live?host=web-2", Some(ApiRole::Viewer)).await;
    match client.hear().await {
        LiveMetricsMessage::Samples { samples } => assert_eq!(samples[0].host_name, "web-2"),
        other => panic!("{other:?}"),
    }
    let watched = port.site.bench.mesh.watched.lock().expect("no panic").clone();
    assert_eq!(watched.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_program_runs_with_input_output_and_an_exit() {
    let mut port = two_hosts();
    let mut client = port.dial("containers/web-1/web/exec", Some(ApiRole::Operator)).await;
    let start =
        json!({"op": "start", "command": ["cat"], "stdin": true, "tty": true, "cols": 80, "rows": 24});
    client.say(start).await;
    let (_, mut agent) = port.site.bench.agents.recv().await.expect("a request");
    match &agent.request {
        AgentRequest::Exec(exec) => {
            assert_eq!((exec.command[0].as_str(), exec.size), ("cat", Some((80, 24))))
        }
        other => panic!("{other:?}"),
    }
    agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    assert_eq!(client.hear::<ExecOutput>().await, ExecOutput::Started);
    client.0.send(Message::binary(&b"hi"[..])).await.expect("the site reads");
    client.say(json!({"op": "resize", "cols": 100, "rows": 30})).await;
    client.say(json!({"op": "eof"})).await;
    for expected in
        [RequestInput::Stdin(b"hi".to_vec()), RequestInput::Resize { cols: 100, rows: 30 }, RequestInput::Eof]
    {
        assert_eq!(agent.inputs.recv().await, Some(expected));
    }
    let output = ReplyFrame::Output { stream: OutputStream::Stderr, data: b"hi".to_vec() };
    agent.replies.send(output).await.expect("somebody reads");
    assert_eq!(client.raw().await, Message::binary(&b"\x02hi"[..]));
    agent.replies.send(ReplyFrame::Exit { code: 3 }).await.expect("somebody reads");
    assert_eq!(client.hear::<ExecOutput>().await, ExecOutput::Exit { code: 3 });
    assert_eq!(client.closed().await, socket_close::DONE);
    let entries = port.site.get("/api/v1/audit?what=container.exec").await.text();
    assert!(entries.contains("web-1/web") && entries.contains("cat"), "{entries}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_cannot_start_says_why() {
    let mut port = two_hosts();
    let mut wrong = port.dial("containers/web-1/web/exec", Some(ApiRole::Operator)).await;
    wrong.say(json!({"op": "start", "command": []})).await;
    assert!(matches!(wrong.hear().await, ExecOutput::Error { problem } if problem.code == "invalid"));
    let mut client = port.dial("containers/web-1/web/exec", Some(ApiRole::Operator)).await;
    client.say(json!({"op": "start", "command": ["sh"]})).await;
    let (_, agent) = port.site.bench.agents.recv().await.expect("a request");
    let failed = ReplyFrame::Failed { code: "not_running".to_owned(), message: "web is stopped".to_owned() };
    agent.replies.send(failed).await.expect("somebody reads");
    match client.hear().await {
        ExecOutput::Error { problem } => {
            assert_eq!((problem.status, problem.code.as_str()), (409, "not_running"))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.closed().await, socket_close::BAD_MESSAGE);
}

#[tokio::test(start_paused = true)]
async fn output_flows_while_input_is_stuck() {
    let mut port = two_hosts();
    let mut client = port.dial("containers/web-1/web/exec", Some(ApiRole::Operator)).await;
    client.say(json!({"op": "start", "command": ["yes"], "stdin": true})).await;
    let (_, agent) = port.site.bench.agents.recv().await.expect("a request");
    agent.replies.send(ReplyFrame::Started).await.expect("somebody reads");
    assert_eq!(client.hear::<ExecOutput>().await, ExecOutput::Started);
    // More than the way to the agent holds: the program reads nothing.
    for _ in 0..10 {
        client.0.send(Message::binary(vec![b'x'; 1000])).await.expect("the pipe holds it");
    }
    let output = ReplyFrame::Output { stream: OutputStream::Stdout, data: b"y".to_vec() };
    agent.replies.send(output).await.expect("somebody reads");
    assert_eq!(client.raw().await, Message::binary(&b"\x01y"[..]));
}
