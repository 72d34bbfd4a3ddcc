//! The depot over restarts and bad disks, and reports on their way.

use super::*;
use crate::ledger::Ledger;
use bytes::Bytes;
use omni_common::domain::AllocationState;
use omni_common::domain::app::{
    AppSpec, ConfigSource, ContentDigest, FileMount, FileOrigin, FileRef, Group, GroupName, PackedFile,
    Service, ServiceName,
};
use omni_common::ids::AllocationId;
use omni_common::wire::{AllocationReport, Desired, DesiredAllocation, MAX_REPORT_LOG};
use std::collections::BTreeSet;
use std::sync::Arc;

const CONFIG: &[u8] = b"listen 80\n";

/// An app with one config.
fn app(image: &str) -> AppSpec {
    let web = ServiceName::new("web").expect("a name");
    let content = FileRef { digest: ContentDigest::of(CONFIG), size: CONFIG.len() as u64, mode: 0o444 };
    let packed = PackedFile { content, origin: FileOrigin::Inline, labels: Default::default() };
    let mount = FileMount {
        source: "site".to_owned(),
        target: "/etc/site".to_owned(),
        uid: None,
        gid: None,
        mode: None,
    };
    let service = Service { image: Some(image.to_owned()), configs: vec![mount], ..Service::default() };
    AppSpec {
        name: "shop".to_owned(),
        groups: [(GroupName::main(), Group { services: [web.clone()].into(), ..Group::default() })].into(),
        services: [(web, service)].into(),
        configs: [("site".to_owned(), ConfigSource::Packed(packed))].into(),
        ..AppSpec::default()
    }
}

fn desired(generation: u64, apps: &[&AppSpec]) -> Desired {
    let allocation = |(number, app): (usize, &&AppSpec)| DesiredAllocation {
        id: AllocationId::from_u128(number as u128),
        epoch: 1,
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        release: 1,
        spec: app.digest(),
        exclusive: false,
        run: true,
        purge: false,
        gpus: Vec::new(),
    };
    Desired { generation, allocations: apps.iter().enumerate().map(allocation).collect() }
}

fn ledger(root: &tempfile::TempDir) -> Arc<Ledger> {
    Arc::new(Ledger::create(root.path()).expect("fresh folder"))
}

/// Keeps the depot until it holds this generation.
async fn keep_until(depot: &Depot, generation: u64) {
    let mut changes = depot.changes();
    tokio::select! {
        () = depot.keep() => {}
        _ = changes.wait_for(|_| depot.generation() == generation) => {}
    }
}

#[tokio::test]
async fn what_is_desired_and_its_contents_outlive_the_process() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let app = app("web:1");
    let config = ContentDigest::of(CONFIG);
    {
        let depot = Depot::open(ledger(&root)).expect("nothing there");
        depot.desire(desired(4, &[&app]));
        keep_until(&depot, 4).await;
        assert_eq!(*depot.wanted().borrow(), BTreeSet::from([app.digest()]));
        assert!(depot.wishes()[0].spec.is_err());
        depot.provide(&app.digest(), Bytes::from(app.to_canonical_json())).await;
        assert_eq!(*depot.wanted().borrow(), BTreeSet::from([config.clone()]));
        let lacks = depot.wishes()[0].lacks.clone().expect("the config");
        assert!(lacks.contains("has not arrived yet"), "{lacks}");
        depot.provide(&config, Bytes::from_static(CONFIG)).await;
    }
    let depot = Depot::open(ledger(&root)).expect("whole");
    assert!(depot.wanted().borrow().is_empty());
    let wish = depot.wishes().remove(0);
    assert_eq!((depot.generation(), wish.spec.expect("read").as_ref(), wish.lacks), (4, &app, None));
    assert_eq!(depot.content(&config).await.expect("whole").as_deref(), Some(CONFIG));
}

#[tokio::test]
async fn an_older_generation_is_ignored_and_idle_contents_are_dropped() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (old, new) = (app("web:1"), app("web:2"));
    let depot = Depot::open(ledger(&root)).expect("nothing there");
    depot.desire(desired(4, &[&old]));
    keep_until(&depot, 4).await;
    depot.provide(&old.digest(), Bytes::from(old.to_canonical_json())).await;
    depot.desire(desired(3, &[]));
    depot.desire(desired(4, &[]));
    depot.desire(desired(6, &[&new]));
    depot.desire(desired(5, &[]));
    keep_until(&depot, 6).await;
    assert_eq!(depot.wishes().len(), 1);
    assert!(
        depot.content(&old.digest()).await.expect("whole").is_some(),
        "what the new one needs is not known yet"
    );
    depot.provide(&new.digest(), Bytes::from(new.to_canonical_json())).await;
    assert_eq!(depot.content(&old.digest()).await.expect("whole"), None);
}

#[tokio::test]
async fn bad_content_is_a_reason_and_not_a_crash() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let app = app("web:1");
    {
        let ledger = ledger(&root);
        ledger.save_desired(&desired(1, &[&app])).expect("disk works");
        ledger.save_content(&app.digest(), &app.to_canonical_json()).expect("disk works");
        std::fs::write(root.path().join("contents").join(app.digest().as_str()), b"{}").expect("disk works");
    }
    let depot = Depot::open(ledger(&root)).expect("content does not stop the agent");
    let (state, reason) = depot.wishes()[0].reason().expect("nothing can be begun");
    assert_eq!(state, AllocationState::Preparing);
    assert!(reason.expect("a sentence").contains("remove the file, and it is fetched again"));
    let broken = b"no JSON".as_slice();
    depot.desire(Desired {
        allocations: vec![DesiredAllocation {
            spec: ContentDigest::of(broken),
            ..desired(2, &[&app]).allocations.remove(0)
        }],
        generation: 2,
    });
    keep_until(&depot, 2).await;
    depot.provide(&ContentDigest::of(broken), Bytes::from_static(b"no JSON")).await;
    let (state, reason) = depot.wishes()[0].reason().expect("nothing can be begun");
    assert_eq!(state, AllocationState::Failed);
    assert!(reason.expect("a sentence").contains("cannot be read"));
}

#[test]
fn a_torn_desired_state_stops_the_agent() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let ledger = ledger(&root);
    ledger.save_desired(&desired(1, &[])).expect("disk works");
    let path = root.path().join("desired");
    let whole = std::fs::read(&path).expect("exists");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("disk works");
    let error = Depot::open(ledger).err().expect("torn");
    assert!(error.to_string().contains("desired is torn"), "{error}");
}

fn report(id: u128, state: AllocationState) -> AllocationReport {
    AllocationReport { id: AllocationId::from_u128(id), epoch: 1, state, reason: None, log: None }
}

#[test]
fn reports_coalesce_and_nothing_is_lost() {
    let reports = Reports::new();
    reports.rewind();
    assert_eq!(reports.take(8), None, "nothing is known yet");
    reports.update([report(1, AllocationState::Starting), report(2, AllocationState::Starting)]);
    reports.update([report(1, AllocationState::Healthy)]);
    let first = reports.take(1).expect("an account");
    assert_eq!(
        (first.all, first.more, first.reports),
        (true, true, vec![report(1, AllocationState::Healthy)])
    );
    // What changes during an account is told after it.
    reports.update([report(1, AllocationState::Failed), report(3, AllocationState::Pending)]);
    let second = reports.take(8).expect("the rest");
    assert_eq!((second.all, second.more, second.reports.len()), (false, false, 1));
    let changes = reports.take(8).expect("changes");
    assert_eq!(changes.reports, [report(1, AllocationState::Failed), report(3, AllocationState::Pending)]);
    reports.update([report(1, AllocationState::Failed)]);
    assert_eq!(reports.take(8), None);
}

#[test]
fn the_last_report_of_what_is_over_is_told_and_forgotten() {
    let reports = Reports::new();
    reports.update([report(1, AllocationState::Stopping)]);
    reports.conclude(report(1, AllocationState::Stopped));
    assert_eq!(reports.take(8).expect("the last word").reports, [report(1, AllocationState::Stopped)]);
    assert!(reports.known().is_empty());
    reports.conclude(report(1, AllocationState::Stopped));
    reports.update([report(1, AllocationState::Preparing)]);
    reports.take(8);
    assert_eq!(reports.known().len(), 1, "it came back before its end was told");
}

#[test]
fn a_full_frame_of_the_longest_reports_fits() {
    let reports = Reports::new();
    let long = |id| AllocationReport {
        reason: Some("ü".repeat(9_000)),
        log: Some("é".repeat(90_000)),
        ..report(id, AllocationState::Failed)
    };
    reports.update((0..128).map(long));
    let account = reports.take(128).expect("all");
    assert_eq!(account.reports[0].log.as_ref().map(String::len), Some(MAX_REPORT_LOG));
    let frame =
        omni_common::wire::AgentFrame::Allocations { all: true, reports: account.reports, more: false };
    assert!(omni_common::codec::encode(&frame).is_ok());
}
