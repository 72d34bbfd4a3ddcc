//! Moves between hosts over the API: what is planned, and what is refused and why.

use super::*;
use crate::state::command::PlanStep;
use crate::state::{Actor, AppKey, Command, DeploymentState, Proposal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use omni_common::api::v1::{AppView, MovePlan, MoveStage, RepositoryView};
use omni_common::domain::{AllocationState, DockerFacts, HostFacts};
use omni_common::ids::{AllocationId, HostId, RequestId};
use omni_common::wire::AllocationReport;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

const SHOP: &str = "name: shop\nservices:\n  db:\n    image: postgres:16\n    volumes: [data:/var/lib/postgresql/data]\n  web:\n    image: web:1\n    deploy: {replicas: 2}\n    x-omni: {group: front}\nvolumes: {data: }\n";
const MOVE: &str = "/api/v1/apps/default/shop/move";

static NEXT: AtomicU64 = AtomicU64::new(1 << 40);

async fn propose(site: &Site, command: Command) {
    let proposal = Proposal {
        request: RequestId::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into()),
        fingerprint: None,
        at: site.bench.app.clock.now(),
        actor: Actor::system(),
        command,
    };
    site.bench.app.proposer.propose(proposal).await.expect("it leads").outcome.expect("taken");
}

/// Two hosts whose agents do runs, and the app on the first of them, its database healthy.
async fn shop() -> (Site, [HostId; 2]) {
    let site = Site::new();
    let file = json!({"content": STANDARD.encode(SHOP)});
    let body = json!({"project": {"compose": ["compose.yaml"], "files": {"compose.yaml": file}}});
    let app = site.post("/api/v1/apps", body).await.ok::<AppView>();
    let hosts =
        [(1, "web-1"), (2, "web-2")].map(|(number, name)| site.bench.add_reporting(number, name, vec![]));
    for host in hosts {
        propose(&site, Command::RecordRunner { host, able: true }).await;
        let facts = Box::new(with_docker());
        propose(&site, Command::RecordFacts { host, facts }).await;
    }
    let key = AppKey { environment: "default".to_owned(), name: "shop".to_owned() };
    let place = PlanStep::Place {
        id: AllocationId::from_u128(1),
        app: key.clone(),
        group: "main".to_owned(),
        slot: 0,
        host: hosts[0],
        release: app.release,
        gpus: Vec::new(),
        why: "it is missing".to_owned(),
    };
    let done = PlanStep::Conclude {
        app: key,
        deployment: app.deployment.expect("it moves").id,
        state: DeploymentState::Done,
        reason: None,
        log: None,
    };
    let state = site.bench.app.store.current();
    propose(&site, Command::AdoptPlan { based_on: state.plan_version, steps: vec![place, done] }).await;
    (site, hosts)
}

pub(super) fn with_docker() -> HostFacts {
    let docker = DockerFacts {
        version: "20.10".into(),
        api_version: "1.41".into(),
        storage_driver: "overlay2".into(),
        cgroup_version: "2".into(),
        root_dir: "/var/lib/docker".into(),
        runtimes: vec![],
    };
    HostFacts {
        arch: "x86_64".into(),
        cpus: 8,
        memory_total: 16 << 30,
        docker: Some(docker),
        ..HostFacts::default()
    }
}

async fn becomes_healthy(site: &Site, host: HostId) {
    let state = site.bench.app.store.current();
    let id = AllocationId::from_u128(1);
    let epoch = state.allocations[&id].epoch;
    let report = AllocationReport { id, epoch, state: AllocationState::Healthy, reason: None, log: None };
    propose(site, Command::RecordAllocations { host, all: false, reports: vec![report] }).await;
}

async fn add_repository(site: &Site, name: &str, host: Option<&str>) {
    let location = if host.is_some() { "/srv/backup" } else { "rest:https://b.example.org:8000/x" };
    let body = json!({"name": name, "location": location, "host": host});
    site.post("/api/v1/backup/repositories", body).await.ok::<RepositoryView>();
}

#[tokio::test]
async fn what_cannot_move_is_told_why() {
    let (site, hosts) = shop().await;
    let detail = async |body: Value, status, code| {
        let problem = site.post(MOVE, body).await.problem(status, code);
        let errors: Vec<&str> = problem.errors.iter().map(|error| error.detail.as_str()).collect();
        format!("{} {}", problem.detail.unwrap_or_default(), errors.join(" "))
    };
    let why = detail(json!({"to": "web-2", "group": "main"}), 409, "conflict").await;
    assert!(why.contains("not healthy"), "{why}");
    becomes_healthy(&site, hosts[0]).await;
    detail(json!({"to": "web-9", "group": "main"}), 404, "not_found").await;
    for (body, status, code, part) in [
        (json!({"to": "web-1", "group": "main"}), 409, "conflict", "already"),
        (json!({"to": "web-2", "group": "none"}), 400, "invalid", "front, main"),
        (json!({"to": "web-2", "service": "none"}), 400, "invalid", "no group"),
        (json!({"to": "web-2", "service": "web"}), 400, "invalid", "2 instances"),
        (json!({"to": "web-2", "group": "main", "service": "db"}), 400, "invalid", "either"),
        (json!({"to": "web-2"}), 409, "conflict", "repository"),
        (json!({"to": "web-2", "repository": "none"}), 404, "not_found", ""),
    ] {
        let why = detail(body.clone(), status, code).await;
        assert!(why.contains(part), "{body}: {why}");
    }
    add_repository(&site, "one", Some("web-1")).await;
    let why = detail(json!({"to": "web-2", "repository": "one"}), 400, "invalid").await;
    assert!(why.contains("only web-1 reaches one"), "{why}");
    let why = detail(json!({"to": "web-2"}), 409, "conflict").await;
    assert!(why.contains("none that both web-1 and web-2 reach"), "{why}");
    add_repository(&site, "home", None).await;
    let cordon = json!({"cordoned": true});
    let cordoned = site.call(Method::PATCH, "/api/v1/hosts/web-2", ApiRole::Admin, Some(cordon)).await;
    assert!(cordoned.status.is_success());
    let why = detail(json!({"to": "web-2"}), 409, "conflict").await;
    assert!(why.contains("host web-2 cannot take main") && why.contains("cordoned"), "{why}");
}

#[tokio::test]
async fn a_plan_is_shown_and_a_move_is_begun_once() {
    let (site, hosts) = shop().await;
    becomes_healthy(&site, hosts[0]).await;
    add_repository(&site, "home", None).await;
    let plan: MovePlan = site.post(MOVE, json!({"to": "web-2", "dry_run": true})).await.ok();
    assert_eq!((plan.repository.as_deref(), plan.legs.len(), &plan.moving), (Some("home"), 1, &None));
    assert!(plan.legs[0].data && plan.legs[0].from_name == "web-1", "{plan:?}");
    assert!(plan.steps.len() == 7 && plan.steps[2] == "stop main.0", "{:?}", plan.steps);
    assert!(plan.notes.iter().any(|note| note.contains("front has 2 instances")), "{:?}", plan.notes);
    assert_eq!(site.get("/api/v1/apps/default/shop").await.ok::<AppView>().moving, None, "only shown");

    let viewer = site.call(Method::POST, MOVE, ApiRole::Viewer, Some(json!({"to": "web-2"}))).await;
    viewer.problem(403, "forbidden");
    let begun: MovePlan = site.post(MOVE, json!({"to": "web-2"})).await.ok();
    assert_eq!(begun.moving.map(|moving| moving.stage), Some(MoveStage::Copying));
    let why = site.post(MOVE, json!({"to": "web-2"})).await.problem(409, "conflict");
    assert!(why.detail.is_some_and(|why| why.contains("is being moved to web-2 (copying)")));
    site.delete("/api/v1/apps/default/shop").await.problem(409, "conflict");

    let app: AppView = site.post(&format!("{MOVE}/back"), json!(null)).await.ok();
    let moving = app.moving.expect("it is remembered");
    assert_eq!(
        (moving.stage, moving.reason.as_deref()),
        (MoveStage::Failed, Some("given up by token:admins"))
    );
    site.post(&format!("{MOVE}/back"), json!(null)).await.problem(409, "conflict");
    site.post(&format!("{MOVE}/confirm"), json!({"hosts": ["web-1"]})).await.problem(404, "not_found");
    site.post(&format!("{MOVE}/confirm"), json!({"hosts": []})).await.problem(400, "invalid");
    let trail = site.get("/api/v1/audit").await.text();
    assert!(trail.contains("move.start") && trail.contains("default/shop to web-2"), "{trail}");
}
