//! A controller that serves fixtures, and a user who runs `omni` against it.

mod apps;
mod backups;
pub(crate) mod people;

use crate::fixtures;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use omni_certs::testing::cluster;
use omni_certs::{Secret, TokenKind, TokenText};
use omni_common::api::v1::*;
use omni_common::ids::{ClusterId, ControllerId, TokenId};
use omni_common::wire::OutputStream;
use serde::Serialize;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How the fake behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// All checks pass.
    pub(crate) well: bool,
    /// The token's role is viewer.
    pub(crate) viewer: bool,
    /// Nobody leads.
    pub(crate) leaderless: bool,
}

/// A request that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) call: String,
    pub(crate) body: String,
    pub(crate) key: Option<String>,
}

#[derive(Clone)]
struct Fake {
    mood: Mood,
    token: String,
    /// The token of a session that was signed in for.
    session: String,
    written: Arc<Mutex<Vec<Written>>>,
    script: apps::Script,
}

/// A fake controller and a user with an empty home.
pub(crate) struct World {
    pub(crate) token: String,
    pub(crate) url: String,
    /// Fingerprint of the cluster's root.
    pub(crate) ca: String,
    home: TempDir,
    written: Arc<Mutex<Vec<Written>>>,
    _runtime: Runtime,
}

/// What a run of `omni` left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is text");
        Self {
            code: output.status.code().expect("it ended by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The whole run as one text, for snapshots.
    pub(crate) fn transcript(&self) -> String {
        let mut text = format!("exit code {}\n", self.code);
        for (name, part) in [("standard output", &self.out), ("standard error", &self.err)] {
            if !part.is_empty() {
                text += &format!("--- {name}\n{part}");
            }
        }
        text
    }

    /// Checks that it succeeded and reads its output as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).expect("JSON of the expected shape")
    }
}

impl World {
    /// A healthy-minded fake, and a user who has logged in.
    pub(crate) fn new() -> Self {
        Self::in_mood(Mood::default())
    }

    /// The same in a given mood.
    pub(crate) fn in_mood(mood: Mood) -> Self {
        let world = Self::stranger(mood);
        world.write_context("home", &[&world.url]);
        world
    }

    /// The same, but the user has no context yet.
    pub(crate) fn stranger(mood: Mood) -> Self {
        let cluster = cluster();
        let secret = Secret::generate().expect("the random source works");
        let ca = cluster.authority.fingerprint();
        let token = TokenText::new(TokenKind::Api, TokenId::from_u128(7), &secret, ca).to_string();
        let session = TokenText::new(TokenKind::Session, TokenId::from_u128(0x71), &secret, ca).to_string();
        let written = Arc::new(Mutex::new(Vec::new()));
        let fake = Fake {
            mood,
            token: token.clone(),
            session,
            written: written.clone(),
            script: apps::Script::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket can be non-blocking");
        let url = format!("https://{}", listener.local_addr().expect("bound"));
        let runtime = Runtime::new().expect("a runtime");
        let tls = RustlsConfig::from_config(Arc::new(cluster.controller.api_server_config()));
        let server = {
            let _entered = runtime.enter();
            from_tcp_rustls(listener, tls).expect("a listener")
        };
        runtime.spawn(server.serve(router(fake).into_make_service()));
        Self {
            token,
            url,
            ca: ca.to_string(),
            home: TempDir::new().expect("a folder"),
            written,
            _runtime: runtime,
        }
    }

    /// The user's contexts file.
    pub(crate) fn config(&self) -> PathBuf {
        self.home.path().join("omni/config.toml")
    }

    /// Writes a context as `omni login` would.
    pub(crate) fn write_context(&self, name: &str, urls: &[&str]) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.config();
        std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
        let text =
            format!("current = {name:?}\n[contexts.{name}]\nurls = {urls:?}\ntoken = {:?}\n", self.token);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    }

    /// What was changed so far.
    pub(crate) fn written(&self) -> Vec<Written> {
        self.written.lock().expect("not poisoned").clone()
    }

    /// `omni` with an environment of its own, to be completed and run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omni"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    /// Runs `omni` with `line`, split at spaces.
    pub(crate) fn omni(&self, line: &str) -> Run {
        let args: Vec<&str> = line.split(' ').filter(|part| !part.is_empty()).collect();
        Run::of(self.command(&args).output().expect("it runs"))
    }

    /// Runs a prepared command.
    pub(crate) fn run(&self, command: &mut Command) -> Run {
        Run::of(command.output().expect("it runs"))
    }

    /// A transcript without what differs from run to run.
    pub(crate) fn stable(&self, text: &str) -> String {
        text.replace(&self.url, "https://CONTROLLER").replace(&self.token, "TOKEN")
    }
}

fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or_default().to_owned(),
        status: status.as_u16(),
        detail: Some(detail.to_owned()),
        instance: None,
        code: code.to_owned(),
        request_id: Some("01JDREQUEST".to_owned()),
        errors: Vec::new(),
    };
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
    (status, kind, serde_json::to_string(&problem).expect("plain")).into_response()
}

fn not_found(kind: &str, name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", &format!("no {kind} `{name}`"))
}

async fn system(Path(name): Path<String>) -> Response {
    let found = fixtures::systems().into_iter().find(|one| one.number.to_string() == name);
    found.map_or_else(|| not_found("system", &name), |one| Json(one).into_response())
}

fn router(fake: Fake) -> Router {
    let reads = Router::new()
        .route("/api/v1/version", get(version))
        .route("/api/v1/whoami", get(whoami))
        .route("/api/v1/status", get(|| async { Json(fixtures::status()) }))
        .route("/api/v1/health", get(health))
        .route("/api/v1/events", get(events))
        .route("/api/v1/audit", get(|| async { Json(Page::whole(fixtures::audit())) }))
        .route("/api/v1/containers", get(containers))
        .route("/api/v1/images", get(|| async { Json(Page::whole(fixtures::images())) }))
        .route("/api/v1/controllers", get(|| async { Json(Page::whole(fixtures::controllers())) }))
        .route("/api/v1/alerts", get(|| async { Json(Page::whole(fixtures::alerts())) }))
        .route("/api/v1/systems", get(|| async { Json(Page::whole(fixtures::systems())) }))
        .route("/api/v1/systems/{system}", get(system))
        .route("/api/v1/hosts", get(hosts))
        .route("/api/v1/hosts/{host}", get(host).patch(update_host).delete(removed))
        .route("/api/v1/hosts/{host}/metrics", get(metrics));
    let writes = Router::new()
        .route("/api/v1/controllers/{controller}", delete(removed))
        .route("/api/v1/controllers/transfer", post(transfer))
        .route("/api/v1/tokens/join", get(join_tokens).post(create_join_token))
        .route("/api/v1/tokens/join/{id}", delete(removed))
        .route("/api/v1/tokens/api", get(api_tokens).post(create_api_token))
        .route("/api/v1/tokens/api/{id}", delete(removed))
        .route("/api/v1/alerts/{fingerprint}", delete(removed));
    let sockets = Router::new()
        .route("/api/v1/events/live", get(socket(events_live)))
        .route("/api/v1/metrics/live", get(socket(metrics_live)))
        .route("/api/v1/logs", get(logs))
        .route("/api/v1/images/push", get(push))
        .route("/api/v1/containers/{host}/{container}/exec", get(exec));
    reads
        .merge(writes)
        .merge(sockets)
        .merge(apps::router())
        .merge(backups::router())
        .merge(people::router())
        .fallback(|request: Request| async move {
            let what = format!("the API has no {} {}", request.method(), request.uri().path());
            problem(StatusCode::NOT_FOUND, "no_route", &what)
        })
        .layer(from_fn_with_state(fake.clone(), guard))
        .with_state(fake)
}

fn header(request: &Request, name: &str) -> Option<String> {
    let value = request.headers().get(name)?;
    Some(value.to_str().expect("headers are text").to_owned())
}

/// Checks the token and the role, takes down what is written, and has no leader when it is in that mood.
async fn guard(State(fake): State<Fake>, request: Request, next: Next) -> Response {
    let shown = header(&request, "authorization");
    let entrance = request.method() == Method::POST && request.uri().path().starts_with("/api/v1/session");
    let known =
        [&fake.token, &fake.session].into_iter().any(|token| shown == Some(format!("Bearer {token}")));
    if entrance && shown.is_some() || !entrance && !known {
        return problem(StatusCode::UNAUTHORIZED, "unauthenticated", "the token is not known");
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let call = format!("{} {path}", request.method());
    let stale = request.uri().query().is_some_and(|query| query.contains("consistency=stale"));
    if fake.mood.leaderless && !stale && !call.ends_with("whoami") {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no_leader", "no controller leads at the moment");
    }
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    if fake.mood.viewer {
        return problem(
            StatusCode::FORBIDDEN,
            "forbidden",
            "this needs the role operator; the token has viewer",
        );
    }
    let key = header(&request, "idempotency-key");
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("small");
    let body = String::from_utf8(bytes.to_vec()).expect("JSON is text");
    fake.written.lock().expect("not poisoned").push(Written { call, body, key });
    next.run(Request::from_parts(parts, bytes.into())).await
}

async fn version() -> Json<VersionInfo> {
    Json(VersionInfo {
        version: "0.1.0".to_owned(),
        protocol_min: 1,
        protocol_max: 1,
        controller: ControllerId(1),
        cluster: fixtures::status().cluster,
    })
}

async fn whoami(State(fake): State<Fake>) -> Json<WhoAmI> {
    Json(WhoAmI {
        name: "ann".to_owned(),
        role: if fake.mood.viewer { AccessRole::Viewer } else { AccessRole::Admin },
        scope: AccessScope::default(),
        token: TokenId::from_u128(7),
        user: None,
        expires: None,
        cluster: ClusterId::from_u128(0x0193_5e1a_0000_7000_8000_0000_0000_0001),
    })
}

async fn health(State(fake): State<Fake>) -> Json<ClusterHealth> {
    Json(fixtures::health(fake.mood.well))
}

async fn events(Query(query): Query<EventsQuery>) -> Json<Page<Event>> {
    let mut events = fixtures::events();
    if let Some(since) = query.since {
        events.retain(|event| event.seq > since);
        events.reverse();
    }
    events.truncate(query.limit.unwrap_or(100) as usize);
    Json(Page::whole(events))
}

async fn hosts(Query(query): Query<HostsQuery>) -> Json<Page<HostView>> {
    let mut hosts = fixtures::hosts();
    if let Some(status) = &query.status {
        let word =
            |host: &HostView| serde_json::to_value(host.status).expect("a word").as_str().map(str::to_owned);
        hosts.retain(|host| status.iter().any(|wanted| word(host).as_deref() == Some(wanted)));
    }
    if let Some(text) = &query.q {
        hosts.retain(|host| host.name.contains(text));
    }
    Json(Page::whole(hosts))
}

async fn host(Path(name): Path<String>) -> Response {
    let found = fixtures::hosts().into_iter().find(|host| host.name == name || host.id.to_string() == name);
    found.map_or_else(|| not_found("host", &name), |host| Json(host).into_response())
}

async fn update_host(Path(id): Path<String>, Json(change): Json<UpdateHost>) -> Response {
    let found = fixtures::hosts().into_iter().find(|host| host.id.to_string() == id);
    let Some(mut host) = found else {
        return not_found("host", &id);
    };
    host.cordoned = change.cordoned.unwrap_or(host.cordoned);
    for (key, value) in change.labels.unwrap_or_default() {
        match value {
            Some(value) => host.labels.insert(key, value),
            None => host.labels.remove(&key),
        };
    }
    Json(host).into_response()
}

async fn metrics(Path(id): Path<String>) -> Json<HostMetrics> {
    let host = fixtures::hosts().into_iter().find(|host| host.id.to_string() == id).expect("asked by id");
    let gpus = host.facts.iter().flat_map(|facts| &facts.gpus).map(|_| fixtures::gpu_sample()).collect();
    let down = host.status == HostStatus::Down;
    Json(HostMetrics {
        host: host.id,
        host_name: host.name,
        latest: Some(omni_common::domain::HostSample { gpus, ..fixtures::sample(12.4, 3 << 30) }),
        latest_age_ms: Some(if down { 200_000 } else { 1500 }),
        history: Vec::new(),
        source: MetricsSource::Gateway,
    })
}

async fn containers(Query(query): Query<ContainersQuery>) -> Response {
    let known = fixtures::hosts();
    let named = |name: &str| known.iter().any(|host| host.name == name || host.id.to_string() == name);
    if let Some(missing) = query.host.iter().flat_map(CommaList::iter).find(|name| !named(name)) {
        return not_found("host", missing);
    }
    let one_of = |list: &Option<CommaList>, value: &str| {
        list.as_ref().is_none_or(|list| list.iter().any(|wanted| wanted == value))
    };
    let mut found = fixtures::containers();
    found.retain(|view| {
        let container = &view.container;
        let state = serde_json::to_value(container.state).expect("a word");
        let component = view.role.as_ref().map_or("", |role| &role.component);
        let text = |q: &String| {
            container.name.contains(q) || container.image.contains(q) || container.id.starts_with(q)
        };
        one_of(&query.state, state.as_str().expect("a word"))
            && (one_of(&query.host, &view.host_name) || one_of(&query.host, &view.host.to_string()))
            && one_of(&query.component, component)
            && query.q.as_ref().is_none_or(text)
    });
    found.truncate(query.limit.unwrap_or(100) as usize);
    Json(Page::whole(found)).into_response()
}

async fn removed() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn transfer(Json(body): Json<TransferLeadership>) -> Json<Leadership> {
    Json(Leadership { leader: body.to.unwrap_or(ControllerId(2)) })
}

async fn join_tokens() -> Json<Page<JoinTokenView>> {
    Json(Page::whole(vec![fixtures::join_token()]))
}

async fn api_tokens() -> Json<Page<ApiTokenView>> {
    Json(Page::whole(fixtures::api_tokens()))
}

async fn create_join_token(Json(body): Json<CreateJoinToken>) -> (StatusCode, Json<JoinTokenCreated>) {
    let created = JoinTokenCreated {
        token: "omni-join1.fresh".to_owned(),
        view: JoinTokenView {
            role: body.role,
            labels: body.labels,
            uses_left: body.uses.filter(|uses| *uses > 0).or(Some(1)),
            ..fixtures::join_token()
        },
    };
    (StatusCode::CREATED, Json(created))
}

async fn create_api_token(Json(body): Json<CreateApiToken>) -> (StatusCode, Json<ApiTokenCreated>) {
    let created = ApiTokenCreated {
        token: "omni-api1.fresh".to_owned(),
        view: ApiTokenView { name: body.name, role: body.role, ..fixtures::api_tokens().remove(0) },
    };
    (StatusCode::CREATED, Json(created))
}

/// A handler that upgrades and then holds `conversation`.
fn socket<F, C>(
    conversation: C,
) -> impl Fn(WebSocketUpgrade) -> std::future::Ready<Response> + Clone + Send + 'static
where
    C: Fn(WebSocket) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    move |upgrade: WebSocketUpgrade| std::future::ready(upgrade.on_upgrade(conversation.clone()))
}

async fn send(socket: &mut WebSocket, message: &impl Serialize) -> bool {
    let text = serde_json::to_string(message).expect("plain");
    socket.send(Message::text(text)).await.is_ok()
}

async fn finish(mut socket: WebSocket) {
    let done = CloseFrame { code: socket_close::DONE, reason: "".into() };
    // The client may have gone already; then there is nobody to tell.
    socket.send(Message::Close(Some(done))).await.ok();
    while let Some(Ok(_)) = socket.recv().await {}
}

/// Tells an event again and again, as long as somebody listens.
async fn events_live(mut socket: WebSocket) {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return };
    let Ok(EventsRequest::Subscribe { id, since, .. }) = serde_json::from_str(&text) else {
        panic!("the first message subscribes, not {text}")
    };
    let mut seq = since.unwrap_or(43);
    if !send(&mut socket, &EventsMessage::Subscribed { id: id.clone(), seq }).await {
        return;
    }
    loop {
        seq += 1;
        let data = Event { seq, ..fixtures::events().remove(0) };
        let kind = data.kind.clone();
        if !send(&mut socket, &EventsMessage::Event { id: id.clone(), seq, kind, data }).await {
            return;
        }
    }
}

async fn metrics_live(mut socket: WebSocket) {
    let samples = vec![fixtures::live("web-1", "aaaa1111", 55.0)];
    if send(&mut socket, &LiveMetricsMessage::Samples { samples }).await {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

async fn logs(upgrade: WebSocketUpgrade, Query(query): Query<LogsQuery>) -> Response {
    upgrade.on_upgrade(|socket| tell_logs(socket, query))
}

/// Two lines of each container that was asked for, one on each output. `gitea-migrate` has no log.
async fn tell_logs(mut socket: WebSocket, query: LogsQuery) {
    let wanted = query.container.unwrap_or_default();
    let components = query.component.unwrap_or_default();
    let chosen = |view: &ContainerView| {
        let component = view.role.as_ref().map(|role| role.component.as_str());
        wanted.iter().any(|one| one == format!("{}/{}", view.host, view.container.id))
            || components.iter().any(|one| Some(one) == component)
    };
    let views: Vec<ContainerView> = fixtures::containers().into_iter().filter(chosen).collect();
    let sources = views.iter().map(|view| LogSource {
        host: view.host,
        host_name: view.host_name.clone(),
        container: view.container.id.clone(),
        container_name: view.container.name.clone(),
        component: None,
    });
    let mut messages = vec![LogsMessage::Sources { sources: sources.collect() }];
    for second in 0..2 {
        let with_log = views.iter().zip(0..).filter(|(view, _)| view.container.name != "gitea-migrate");
        let lines = with_log.map(|(view, source)| LogEntry {
            source,
            host: view.host_name.clone(),
            container: view.container.name.clone(),
            at: Some(format!("2026-11-23T10:00:0{second}.123456789Z").parse().expect("RFC 3339")),
            stream: if second == 0 { OutputStream::Stdout } else { OutputStream::Stderr },
            line: format!("line {second} of {}", view.container.name),
        });
        messages.push(LogsMessage::Lines { lines: lines.collect() });
    }
    if let Some(position) = views.iter().position(|view| view.container.name == "gitea-migrate") {
        messages.push(LogsMessage::SourceEnded {
            source: u32::try_from(position).expect("few"),
            problem: Some(Problem {
                kind: "about:blank".to_owned(),
                title: "Not found".to_owned(),
                status: 404,
                detail: Some("its log driver keeps no log".to_owned()),
                instance: None,
                code: "unsupported".to_owned(),
                request_id: None,
                errors: Vec::new(),
            }),
        });
    }
    messages.push(LogsMessage::End);
    for message in &messages {
        if !send(&mut socket, message).await {
            return;
        }
    }
    finish(socket).await;
}

async fn push(upgrade: WebSocketUpgrade, Query(query): Query<PushQuery>) -> Response {
    upgrade.on_upgrade(|socket| take_image(socket, query))
}

/// Hosts tell how many bytes they got; when all are meant, `web-2` has no room.
async fn take_image(mut socket: WebSocket, query: PushQuery) {
    let mut hosts = vec!["web-1".to_owned()];
    if query.all {
        hosts.push("web-2".to_owned());
    }
    send(&mut socket, &PushOutput::Started { hosts: hosts.clone() }).await;
    let mut count = 0;
    loop {
        match socket.recv().await {
            Some(Ok(Message::Binary(bytes))) => count += bytes.len(),
            Some(Ok(Message::Text(text))) if text.contains("eof") => break,
            _ => return,
        }
    }
    for host in hosts {
        let (images, problem) = match host.as_str() {
            "web-1" => (vec![format!("{count} bytes")], None),
            _ => {
                let problem = Problem {
                    kind: "about:blank".to_owned(),
                    title: "Failed".to_owned(),
                    status: 502,
                    detail: Some("web-2: the disk of this host is too full".to_owned()),
                    instance: None,
                    code: "agent_failed".to_owned(),
                    request_id: None,
                    errors: Vec::new(),
                };
                (Vec::new(), Some(problem))
            }
        };
        send(&mut socket, &PushOutput::Host(PushOutcome { host, images, problem })).await;
    }
    send(&mut socket, &PushOutput::End).await;
}

async fn exec(upgrade: WebSocketUpgrade, Path(place): Path<(String, String)>) -> Response {
    upgrade.on_upgrade(|socket| run_program(socket, place))
}

/// `cat` repeats its input; `false` complains and ends with 7; anything else cannot be started.
async fn run_program(mut socket: WebSocket, (_, id): (String, String)) {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return };
    let Ok(ExecInput::Start(start)) = serde_json::from_str(&text) else {
        panic!("the first message starts, not {text}")
    };
    assert!(fixtures::containers().iter().any(|view| view.container.id == id), "containers are named by id");
    let tagged = |tag: u8, text: &[u8]| Message::binary([&[tag], text].concat());
    match start.command[0].as_str() {
        "cat" => {
            send(&mut socket, &ExecOutput::Started).await;
            while let Some(Ok(Message::Binary(bytes))) = socket.recv().await {
                socket.send(tagged(EXEC_STDOUT, &bytes)).await.expect("the client listens");
            }
            send(&mut socket, &ExecOutput::Exit { code: 0 }).await;
        }
        "false" => {
            send(&mut socket, &ExecOutput::Started).await;
            socket.send(tagged(EXEC_STDERR, b"no\n")).await.expect("the client listens");
            send(&mut socket, &ExecOutput::Exit { code: 7 }).await;
        }
        other => {
            let problem = Problem {
                kind: "about:blank".to_owned(),
                title: "Not running".to_owned(),
                status: 409,
                detail: Some(format!("cannot run {other}: the container does not run")),
                instance: None,
                code: "not_running".to_owned(),
                request_id: None,
                errors: Vec::new(),
            };
            send(&mut socket, &ExecOutput::Error { problem }).await;
        }
    }
    finish(socket).await;
}
