//! An engine on a socket of its own that answers from recorded answers of a real one, and misbehaves on demand.
//! It knows the few paths that the agent uses and refuses all others, as the real one does.

use crate::config::DockerSocket;
use crate::docker::demux::frame;
use omni_common::wire::OutputStream;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// What the engine is like at the moment.
#[derive(Default)]
struct State {
    containers: BTreeMap<String, Value>,
    /// Names of images.
    images: Vec<String>,
    /// Containers that inspect never returns for.
    hanging: BTreeSet<String>,
    /// Requests that were answered with "no such path".
    unknown: Vec<String>,
    resized: Vec<String>,
    /// Takes requests and answers none.
    frozen: bool,
}

/// Counters that tests watch.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) inspecting: AtomicUsize,
    pub(crate) most_inspecting: AtomicUsize,
    pub(crate) log_bytes: AtomicU64,
}

/// A scripted engine.
pub(crate) struct FakeEngine {
    dir: Arc<tempfile::TempDir>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

struct Shared {
    state: Mutex<State>,
    counters: Counters,
    events: broadcast::Sender<String>,
    /// Log streams that are open.
    logs_open: watch::Sender<usize>,
    /// Programs whose input is still open.
    execs_open: watch::Sender<usize>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while holding it")
    }
}

impl FakeEngine {
    /// An engine with these containers, as `inspect-*.json` describes them.
    pub(crate) fn start(containers: &[&str]) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let engine = Self {
            dir,
            shared: Arc::new(Shared {
                state: Mutex::default(),
                counters: Counters::default(),
                events: broadcast::channel(4096).0,
                logs_open: watch::Sender::new(0),
                execs_open: watch::Sender::new(0),
            }),
            stop: CancellationToken::new(),
        };
        for name in containers {
            engine.put(recorded(&format!("inspect-{name}")));
        }
        engine.listen();
        engine
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// Where it is.
    pub(crate) fn socket(&self) -> DockerSocket {
        self.path().to_string_lossy().parse().expect("an absolute path")
    }

    fn listen(&self) {
        let listener = UnixListener::bind(self.path()).expect("a free path");
        let (shared, stop) = (self.shared.clone(), self.stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let (shared, stop) = (shared.clone(), stop.clone());
                tokio::spawn(async move { stop.run_until_cancelled(serve(stream, &shared)).await });
            }
        });
    }

    /// Ends as a killed daemon does: the socket file stays, nobody answers, connections break.
    pub(crate) fn kill(&mut self) {
        self.stop.cancel();
    }

    /// Starts again, with the containers it had.
    pub(crate) fn restart(&mut self) {
        self.kill();
        std::fs::remove_file(self.path()).ok();
        self.stop = CancellationToken::new();
        self.listen();
    }

    fn put(&self, inspect: Value) -> String {
        let id = inspect["Id"].as_str().expect("recorded with an id").to_owned();
        self.state().containers.insert(id.clone(), inspect);
        id
    }

    /// Makes or changes a container and says so.
    pub(crate) fn change(&self, action: &str, inspect: Value) -> String {
        let id = self.put(inspect);
        self.tell(action, &id);
        id
    }

    /// Removes a container and says so.
    pub(crate) fn destroy(&self, id: &str) {
        self.state().containers.remove(id);
        self.tell("destroy", id);
    }

    /// Takes requests from now on and answers none, or does so again.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.state().frozen = frozen;
    }

    /// Inspecting this container never returns.
    pub(crate) fn hang(&self, id: &str) {
        self.state().hanging.insert(id.to_owned());
    }

    /// Makes an image of this name and says so.
    pub(crate) fn build(&self, tag: &str) {
        self.state().images.push(tag.to_owned());
        self.tell_of("image", "tag", tag);
    }

    fn tell(&self, action: &str, id: &str) {
        self.tell_of("container", action, id);
    }

    fn tell_of(&self, what: &str, action: &str, id: &str) {
        let event = json!({
            "Type": what, "Action": action, "Actor": {"ID": id, "Attributes": {}},
            "scope": "local", "time": 1_795_411_150, "timeNano": 1_795_411_150_795_120_591_i64,
        });
        // Fine when nobody listens: the next listing shows it.
        self.shared.events.send(format!("{event}\n")).ok();
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) fn logs_open(&self) -> watch::Receiver<usize> {
        self.shared.logs_open.subscribe()
    }

    pub(crate) fn execs_open(&self) -> watch::Receiver<usize> {
        self.shared.execs_open.subscribe()
    }

    pub(crate) fn resized(&self) -> Vec<String> {
        self.state().resized.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.stop.cancel();
        if !std::thread::panicking() {
            let unknown = std::mem::take(&mut self.state().unknown);
            assert!(unknown.is_empty(), "paths that an engine does not have: {unknown:?}");
        }
    }
}

/// A recorded answer.
pub(crate) fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/docker/{name}.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a recorded answer")).expect("JSON")
}

/// A recorded running container under another id and name.
pub(crate) fn copy(name: &str, number: usize) -> Value {
    let mut inspect = recorded("inspect-web");
    inspect["Id"] = json!(format!("{number:0>64x}"));
    inspect["Name"] = json!(format!("/{name}"));
    inspect
}

/// A request's head and body.
struct Request {
    method: String,
    path: String,
    query: String,
    body: Vec<u8>,
}

async fn read(stream: &mut BufReader<UnixStream>) -> Option<Request> {
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).await.ok().filter(|&count| count > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), body })
}

async fn serve(stream: UnixStream, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let request = read(&mut stream).await?;
    if shared.state().frozen {
        std::future::pending::<()>().await;
    }
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["version"]) => answer(&mut stream, 200, &recorded("version")).await,
        ("GET", ["info"]) => answer(&mut stream, 200, &recorded("info")).await,
        ("GET", ["_ping"]) => answer(&mut stream, 200, &json!("OK")).await,
        ("GET", ["images", "json"]) => answer(&mut stream, 200, &images(shared)).await,
        ("GET", ["containers", "json"]) => answer(&mut stream, 200, &list(shared)).await,
        ("GET", ["containers", id, "json"]) => inspect(&mut stream, shared, id).await,
        ("GET", ["containers", id, "logs"]) => logs(&mut stream, shared, id, &request.query).await,
        ("GET", ["events"]) => events(&mut stream, shared).await,
        ("POST", ["containers", id, "exec"]) => create_exec(&mut stream, shared, id, &request.body).await,
        ("POST", ["exec", id, "start"]) => start_exec(&mut stream, shared, id).await,
        ("POST", ["exec", _, "resize"]) => {
            shared.state().resized.push(request.query);
            answer(&mut stream, 200, &Value::Null).await
        }
        ("GET", ["exec", _, "json"]) => {
            answer(&mut stream, 200, &json!({"Running": false, "ExitCode": 3, "Pid": 0})).await
        }
        _ => {
            let line = format!("{} {}", request.method, request.path);
            shared.state().unknown.push(line);
            answer(&mut stream, 404, &json!({"message": "page not found"})).await
        }
    }
}

async fn answer(stream: &mut BufReader<UnixStream>, status: u16, body: &Value) -> Option<()> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()
}

fn missing(id: &str) -> Value {
    json!({"message": format!("No such container: {id}")})
}

fn find(shared: &Shared, reference: &str) -> Option<Value> {
    let state = shared.state();
    let named = |value: &&Value| value["Name"].as_str() == Some(&format!("/{reference}"));
    let found = state.containers.get(reference);
    found.or_else(|| state.containers.values().find(named)).cloned()
}

fn list(shared: &Shared) -> Value {
    let state = shared.state();
    let summary = |inspect: &Value| {
        json!({
            "Id": inspect["Id"], "Names": [inspect["Name"]], "Image": inspect["Config"]["Image"],
            "ImageID": inspect["Image"], "Labels": inspect["Config"]["Labels"], "Created": 1_795_411_150,
            "State": inspect["State"]["Status"], "Status": "Up 1 second",
        })
    };
    state.containers.values().map(summary).collect()
}

fn images(shared: &Shared) -> Value {
    let image = |(number, tag): (usize, &String)| {
        json!({
            "Id": format!("sha256:{number:0>64x}"), "RepoTags": [tag], "RepoDigests": null, "ParentId": "",
            "Created": 1_795_411_150, "Size": 1000, "VirtualSize": 1000, "SharedSize": -1, "Labels": null,
            "Containers": -1,
        })
    };
    shared.state().images.iter().enumerate().map(image).collect()
}

async fn inspect(stream: &mut BufReader<UnixStream>, shared: &Shared, id: &str) -> Option<()> {
    let now = shared.counters.inspecting.fetch_add(1, Ordering::Relaxed) + 1;
    shared.counters.most_inspecting.fetch_max(now, Ordering::Relaxed);
    let hangs = shared.state().hanging.contains(id);
    if hangs {
        std::future::pending::<()>().await;
    }
    let found = find(shared, id);
    let (status, body) = found.map_or_else(|| (404, missing(id)), |inspect| (200, inspect));
    // Let the others that are under way arrive, so that their number shows.
    tokio::task::yield_now().await;
    shared.counters.inspecting.fetch_sub(1, Ordering::Relaxed);
    answer(stream, status, &body).await
}

async fn chunk(stream: &mut BufReader<UnixStream>, bytes: &[u8]) -> Option<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    stream.write_all(b"\r\n").await.ok()
}

async fn begin_stream(stream: &mut BufReader<UnixStream>) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()
}

async fn events(stream: &mut BufReader<UnixStream>, shared: &Shared) -> Option<()> {
    let mut events = shared.events.subscribe();
    begin_stream(stream).await?;
    loop {
        chunk(stream, events.recv().await.ok()?.as_bytes()).await?;
    }
}

/// Counts an open stream while it lives.
struct Open<'a>(&'a watch::Sender<usize>);

impl<'a> Open<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// The log of `web` is three lines, and with `follow` then nothing more; that of any other container never ends.
async fn logs(stream: &mut BufReader<UnixStream>, shared: &Shared, id: &str, query: &str) -> Option<()> {
    let Some(inspect) = find(shared, id) else {
        return answer(stream, 404, &missing(id)).await;
    };
    if inspect["HostConfig"]["LogConfig"]["Type"] == "none" {
        let message = json!({"message": "configured logging driver does not support reading"});
        return answer(stream, 501, &message).await;
    }
    let _open = Open::new(&shared.logs_open);
    begin_stream(stream).await?;
    if inspect["Name"] == "/web" {
        for (output, text) in
            [(OutputStream::Stdout, "one"), (OutputStream::Stderr, "two"), (OutputStream::Stdout, "three")]
        {
            chunk(stream, &frame(output, format!("2026-11-23T05:20:31.724944702Z {text}\n").as_bytes()))
                .await?;
        }
        if query.contains("follow=1") {
            // Until the reader goes away.
            stream.read_u8().await.ok();
        }
        return chunk(stream, b"").await;
    }
    let line = frame(
        OutputStream::Stdout,
        format!("2026-11-23T05:20:31.724944702Z {}\n", "x".repeat(500)).as_bytes(),
    );
    let many = line.repeat(100);
    loop {
        chunk(stream, &many).await?;
        shared.counters.log_bytes.fetch_add(many.len() as u64, Ordering::Relaxed);
    }
}

async fn create_exec(
    stream: &mut BufReader<UnixStream>,
    shared: &Shared,
    id: &str,
    body: &[u8],
) -> Option<()> {
    let config: Value = serde_json::from_slice(body).ok()?;
    assert!(config["Cmd"].is_array(), "an engine refuses an exec without a command");
    match find(shared, id) {
        None => answer(stream, 404, &missing(id)).await,
        Some(inspect) if inspect["State"]["Running"] != json!(true) => {
            answer(stream, 409, &json!({"message": format!("Container {id} is not running")})).await
        }
        Some(_) => {
            answer(stream, 201, &json!({"Id": if config["Tty"] == json!(true) { "tty" } else { "plain" }}))
                .await
        }
    }
}

/// The program says back what it is told, until it is told no more.
async fn start_exec(stream: &mut BufReader<UnixStream>, shared: &Shared, id: &str) -> Option<()> {
    let head = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    let _open = Open::new(&shared.execs_open);
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return stream.shutdown().await.ok();
        }
        let told = &buffer[..count];
        let said = if id == "tty" { told.to_vec() } else { frame(OutputStream::Stderr, told) };
        stream.write_all(&said).await.ok()?;
    }
}
