//! Files of snapshots over the router: who is asked, what for, and what is told of the answer.

use super::{Reply, Site, request};
use crate::app::testing::{Bench, FakeAgent, NOW, host};
use crate::state::{ApiRole, AppKey, HostStatus, Run, RunTask, Snapshot, SnapshotKey};
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{AppView, Page, RepositoryView, SnapshotView};
use omni_common::domain::backup::{FileEntry, FileKind, FilesOrder, ItemName};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::{AgentRequest, ReplyFrame};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SHOP: &str = "name: shop\nservices:\n  web:\n    image: web:1\n    volumes: [data:/data]\nvolumes: {data: }\nx-omni: {backup: {to: home}}\n";
const ID: &str = "5a5a0123";

fn key() -> AppKey {
    AppKey { environment: "default".to_owned(), name: "shop".to_owned() }
}

fn whole(id: &str) -> String {
    format!("{id:0<64}")
}

/// A path of the API about a snapshot of the app.
fn files(rest: &str) -> String {
    format!("/api/v1/backup/snapshots/default/shop/{rest}")
}

/// The app, a repository, two hosts that do backups, and a snapshot that was taken on the second.
async fn shop() -> Site {
    let site = Site::new();
    let file = json!({"content": STANDARD.encode(SHOP)});
    let body = json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}});
    site.post("/api/v1/apps", body).await.ok::<AppView>();
    let home = json!({"name": "home", "location": "rest:https://b.example.org:8000/x"});
    site.post("/api/v1/backup/repositories", home).await.ok::<RepositoryView>();
    for (number, name) in [(1, "web-1"), (2, "web-2")] {
        site.bench.add_host(host(number, name));
        site.bench.change(|state| {
            state.runners.insert(HostId::from_u128(number));
        });
    }
    add(&site, &key(), ID);
    site
}

fn add(site: &Site, app: &AppKey, id: &str) {
    let key = SnapshotKey { app: app.clone(), taken: NOW, repository: "home".to_owned(), id: whole(id) };
    let one = Snapshot {
        instance: ("main".to_owned(), 0),
        item: ItemName::new("volume-data").expect("a name"),
        run: RunId::from_u128(1),
        host: HostId::from_u128(2),
        release: 1,
        whole: true,
        stored: NOW,
        bytes: 1,
        added_bytes: 1,
        files: 1,
        facts: Default::default(),
    };
    site.bench.change(|state| {
        state.snapshots.insert(key, Arc::new(one));
    });
}

fn entry(name: &str) -> FileEntry {
    FileEntry {
        name: name.to_owned(),
        kind: FileKind::File,
        size: 7,
        mode: 0o640,
        uid: 0,
        gid: 0,
        modified: Some(NOW),
        target: None,
        whole: false,
    }
}

fn order(agent: &FakeAgent) -> FilesOrder {
    let AgentRequest::Files(text) = &agent.request else { panic!("{:?}", agent.request) };
    assert!(!format!("{:?}", agent.request).contains("password"), "it can be logged");
    serde_json::from_str(text.reveal()).expect("an order")
}

/// Calls with the token of `role`, and answers as the one agent that is asked does.
async fn asked(site: &mut Site, path: &str, frames: Vec<ReplyFrame>) -> (Reply, HostId, FilesOrder) {
    let asking = request(Method::GET, path, Some(&Bench::token(ApiRole::Operator)), None);
    let router = site.router.clone();
    let agent = async {
        let (host, agent) = site.bench.agents.recv().await.expect("a request");
        for frame in frames {
            agent.replies.send(frame).await.expect("somebody reads");
        }
        (host, order(&agent))
    };
    let (response, (host, order)) = tokio::join!(tower::ServiceExt::oneshot(router, asking), agent);
    let (parts, body) = response.expect("a router never fails").into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("in memory").to_vec();
    (Reply { status: parts.status, headers: parts.headers, body }, host, order)
}

fn answer(names: &[&str]) -> Vec<ReplyFrame> {
    let entries = names.iter().map(|name| ReplyFrame::Files(vec![entry(name)]));
    [ReplyFrame::Started].into_iter().chain(entries).chain([ReplyFrame::End]).collect()
}

#[tokio::test]
async fn the_host_that_took_it_is_asked_and_its_answer_comes_in_pages() {
    let mut site = shop().await;
    let path = files(&format!("{ID}/files?path=/a//b/&limit=2"));
    let (reply, asked_of, order) = asked(&mut site, &path, answer(&["a", "b", "c"])).await;
    assert_eq!(asked_of, HostId::from_u128(2));
    assert_eq!((order.snapshot, order.path, order.skip, order.most), (whole(ID), "/a/b".to_owned(), 0, 3));
    assert_eq!((order.repository.name.as_str(), order.repository.create), ("home", false));
    assert_eq!(order.repository.password.reveal().len(), 43, "the one that was made for it");
    let page: Page<FileEntry> = reply.ok();
    assert_eq!(page.items, [entry("a"), entry("b")]);
    let cursor = page.next_cursor.expect("one follows");
    let (reply, _, order) = asked(&mut site, &format!("{path}&cursor={cursor}"), answer(&["c"])).await;
    assert_eq!((order.skip, order.most), (2, 3));
    let page: Page<FileEntry> = reply.ok();
    assert_eq!((page.items, page.next_cursor), (vec![entry("c")], None));
    // It belongs to that folder.
    let other = files(&format!("{ID}/files?path=/a&limit=2&cursor={cursor}"));
    site.get(&other).await.problem(400, "bad_cursor");
    let (reply, _, order) = asked(&mut site, &files(&format!("{ID}/files")), answer(&[])).await;
    assert_eq!((order.path.as_str(), order.most), ("/", 501));
    assert!(reply.ok::<Page<FileEntry>>().items.is_empty());
}

#[tokio::test]
async fn what_the_host_says_is_told_with_a_code_of_its_own() {
    let mut site = shop().await;
    for (said, status, code) in [
        ("path_missing", 404, "path_missing"),
        ("snapshot_missing", 404, "snapshot_missing"),
        ("not_a_folder", 409, "not_a_folder"),
        ("unreachable", 502, "repository_unreadable"),
        ("wrong_password", 502, "repository_unreadable"),
        ("locked", 502, "repository_unreadable"),
        ("restic_failed", 502, "agent_failed"),
        ("slow", 504, "repository_slow"),
    ] {
        let failed = ReplyFrame::Failed { code: said.to_owned(), message: format!("so {said}") };
        let path = files(&format!("{ID}/files"));
        let (reply, ..) = asked(&mut site, &path, vec![ReplyFrame::Started, failed]).await;
        let problem = reply.problem(status, code);
        assert_eq!(problem.detail, Some(format!("web-2: so {said}")));
    }
    // Half of it is not passed off as all of it.
    let half = vec![ReplyFrame::Started, ReplyFrame::Files(vec![entry("a")])];
    let (reply, ..) = asked(&mut site, &files(&format!("{ID}/files")), half).await;
    reply.problem(502, "host_lost");
}

#[tokio::test]
async fn a_snapshot_is_found_only_under_its_own_app() {
    let site = shop().await;
    let other = AppKey { environment: "default".to_owned(), name: "other".to_owned() };
    add(&site, &other, "77777777");
    add(&site, &key(), "5a5affff");
    for (path, status, code) in [
        (files("77777777/files"), 404, "not_found"),
        (files("5a5/files"), 404, "not_found"),
        (files("5a5a/files"), 400, "invalid"),
        (files("5a5a0123/files?path=/a/../../etc"), 400, "invalid"),
        (files("5a5a0123/files?limit=0"), 400, "invalid"),
        (files("5a5a0123/files?limit=501"), 400, "invalid"),
        (files("5a5a0123/files?paht=/a"), 400, "invalid_parameter"),
        ("/api/v1/backup/snapshots/default/shpo/5a5a0123/files".to_owned(), 404, "not_found"),
        ("/api/v1/backup/snapshots/@omni/controllers/5a5a0123/files".to_owned(), 400, "invalid"),
    ] {
        site.get(&path).await.problem(status, code);
    }
}

#[tokio::test]
async fn who_cannot_look_into_the_repository_is_not_asked() {
    let mut site = shop().await;
    let path = files(&format!("{ID}/files"));
    // The host that took it is away: another one reaches the repository too.
    site.bench.change(|state| {
        let host = state.hosts.get_mut(&HostId::from_u128(2)).expect("it was added");
        Arc::make_mut(host).status = HostStatus::Down;
    });
    let (_, asked_of, _) = asked(&mut site, &path, answer(&[])).await;
    assert_eq!(asked_of, HostId::from_u128(1));
    site.bench.change(|state| {
        state.runners.remove(&HostId::from_u128(1));
    });
    let problem = site.get(&path).await.problem(409, "conflict");
    assert!(problem.detail.expect("told").contains("is restic there"));
    // A folder of one host is read there or nowhere.
    site.bench.change(|state| {
        let home = state.repositories.get_mut("home").expect("it was added");
        Arc::make_mut(home).host = Some(HostId::from_u128(2));
        state.runners.insert(HostId::from_u128(1));
    });
    let problem = site.get(&path).await.problem(409, "conflict");
    assert!(problem.detail.expect("told").contains("only be reached on host web-2, which is not up"));
    site.bench.change(|state| {
        let home = state.repositories.get_mut("home").expect("it was added");
        Arc::make_mut(home).host = None;
    });
    site.bench.mesh.connected.store(false, Ordering::SeqCst);
    site.get(&path).await.problem(502, "host_not_connected");
}

#[tokio::test]
async fn an_agent_that_is_too_old_for_it_is_passed_over_and_named_when_there_is_no_other() {
    let mut site = shop().await;
    let path = files(&format!("{ID}/files"));
    let mesh = Arc::clone(&site.bench.mesh);
    let outdated = |number: u128| {
        mesh.outdated.lock().expect("no panic while locked").push(HostId::from_u128(number));
    };
    outdated(2);
    let (reply, asked_of, _) = asked(&mut site, &path, answer(&["a"])).await;
    assert_eq!((asked_of, reply.status.as_u16()), (HostId::from_u128(1), 200));
    outdated(1);
    let problem = site.get(&path).await.problem(409, "unsupported");
    assert!(problem.detail.expect("told").contains("update omni-agent"));
}

#[tokio::test]
async fn a_prune_under_way_is_waited_for() {
    let site = shop().await;
    let run = RunId::from_u128(9);
    site.bench.change(|state| {
        let prune = Run { host: Some(HostId::from_u128(1)), ..Run::new(run, RunTask::Prune, "home", 1) };
        state.open_runs.insert(run);
        state.runs.insert(run, Arc::new(prune));
    });
    let problem = site.get(&files(&format!("{ID}/files"))).await.problem(409, "conflict");
    assert!(problem.detail.expect("told").contains(&run.short()));
}

/// Confines everybody to one app.
fn confine(site: &Site, app: &str) {
    site.bench.change(|state| {
        let ids: Vec<_> = state.api_tokens.keys().copied().collect();
        for id in ids {
            let token = state.api_tokens.get_mut(&id).expect("listed");
            token.environments = vec![format!("default/{app}")];
        }
    });
}

#[tokio::test]
async fn names_are_for_those_who_could_bring_the_files_back() {
    let site = shop().await;
    let path = files(&format!("{ID}/files"));
    site.call(Method::GET, &path, ApiRole::Viewer, None).await.problem(403, "forbidden");
    confine(&site, "other");
    site.call(Method::GET, &path, ApiRole::Operator, None).await.problem(403, "forbidden");
    confine(&site, "shop");
    site.bench.mesh.connected.store(false, Ordering::SeqCst);
    site.call(Method::GET, &path, ApiRole::Operator, None).await.problem(502, "host_not_connected");
}

#[tokio::test]
async fn who_is_confined_to_an_app_finds_its_snapshots_and_no_others() {
    let site = shop().await;
    add(&site, &AppKey { environment: "default".to_owned(), name: "other".to_owned() }, "77777777");
    add(&site, &AppKey { environment: "staging".to_owned(), name: "shop".to_owned() }, "88888888");
    let found = async |query: &str| -> Vec<String> {
        let page: Page<SnapshotView> = site.get(&format!("/api/v1/backup/snapshots{query}")).await.ok();
        page.items.into_iter().map(|one| one.id).collect()
    };
    assert_eq!(found("").await.len(), 3);
    confine(&site, "shop");
    assert_eq!(found("").await, [whole(ID)]);
    assert_eq!(found("?app=shop&limit=1").await, [whole(ID)]);
    // What they ask for by name is not told to be there.
    assert!(found("?app=other").await.is_empty());
    assert!(found("?environment=staging").await.is_empty());
}
