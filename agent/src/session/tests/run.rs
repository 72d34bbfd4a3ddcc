//! What is to run, and what became of it.

use super::*;
use crate::workloads::Workloads;
use omni_common::domain::AllocationState::{self, *};
use omni_common::domain::app::{AppSpec, ContentDigest, Group, GroupName, Service, ServiceName};
use omni_common::ids::AllocationId;
use omni_common::wire::{AgentFrame, AllocationReport, CloseCode, Desired, DesiredAllocation, GatewayFrame};

fn spec(image: &str) -> AppSpec {
    let web = ServiceName::new("web").expect("a name");
    let group = Group { services: [web.clone()].into(), ..Group::default() };
    AppSpec {
        name: "shop".to_owned(),
        groups: [(GroupName::main(), group)].into(),
        services: [(web, Service { image: Some(image.to_owned()), ..Service::default() })].into(),
        ..AppSpec::default()
    }
}

fn allocation(id: u128, spec: &AppSpec) -> DesiredAllocation {
    DesiredAllocation {
        id: AllocationId::from_u128(id),
        epoch: 1,
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: 0,
        release: 1,
        spec: spec.digest(),
        exclusive: false,
        run: true,
        purge: false,
        gpus: Vec::new(),
    }
}

impl Gateway {
    fn has(&self, bytes: Vec<u8>) {
        let mut contents = self.manners.contents.lock().expect("no test panics while holding it");
        contents.insert(ContentDigest::of(&bytes), bytes);
    }

    /// The next frame about allocations.
    async fn told_of(&mut self) -> (bool, Vec<AllocationReport>, bool) {
        self.hears_of(|told| match told {
            Told::Frame(AgentFrame::Allocations { all, reports, more }) => Some((all, reports, more)),
            _ => None,
        })
        .await
    }

    /// Waits until an allocation is in this state, and returns the reason given.
    async fn sees(&mut self, id: u128, state: AllocationState) -> Option<String> {
        loop {
            let (_, reports, _) = self.told_of().await;
            let found = reports
                .into_iter()
                .find(|report| report.id == AllocationId::from_u128(id) && report.state == state);
            if let Some(found) = found {
                return found.reason;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_desired_is_fetched_run_and_reported() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let app = spec("web:1");
    gateway.has(app.to_canonical_json());
    let agent = world.agent(&[1]);
    let Told::Hello(hello) = gateway.hears().await else { panic!("hello comes first") };
    assert_eq!(hello.capabilities, ["run/1", "images/1", "runs/1", "files/1"]);
    assert_eq!(gateway.told_of().await, (true, Vec::new(), false), "a host without anything says so");
    gateway
        .says(GatewayFrame::Desired(Desired { generation: 3, allocations: vec![allocation(7, &app)] }))
        .await;
    gateway.sees(7, Healthy).await;
    let generation = gateway
        .hears_of(|told| match told {
            Told::Frame(AgentFrame::Heartbeat { generation, .. }) => Some(generation),
            _ => None,
        })
        .await;
    assert_eq!(generation, 3);
    // An older one changes nothing, a newer one that says nothing stops everything.
    gateway.says(GatewayFrame::Desired(Desired { generation: 2, allocations: Vec::new() })).await;
    gateway.says(GatewayFrame::Desired(Desired { generation: 4, allocations: Vec::new() })).await;
    gateway.sees(7, Stopped).await;
    assert!(agent.engine.allocations().is_empty());
    assert!(agent.engine.reports().known().is_empty(), "what is over is forgotten once it was told");
}

#[tokio::test(start_paused = true)]
async fn each_session_begins_with_a_full_account() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let app = spec("web:1");
    gateway.has(app.to_canonical_json());
    let mut agent = world.agent(&[1]);
    let allocations = (0..300).map(|id| allocation(id, &app)).collect();
    gateway.says(GatewayFrame::Desired(Desired { generation: 1, allocations })).await;
    gateway.sees(299, Healthy).await;
    gateway.closes(CloseCode::ShuttingDown).await;
    agent.nowhere().await;
    gateway.forget();
    let mut sizes = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let (all, reports, more) = gateway.told_of().await;
        assert_eq!(all, sizes.is_empty());
        sizes.push(reports.len());
        seen.extend(reports.iter().map(|report| (report.id, report.state)));
        if !more {
            break;
        }
    }
    assert_eq!((sizes, seen.len()), (vec![128, 128, 44], 300));
    assert!(seen.iter().all(|(_, state)| *state == Healthy));
}

#[tokio::test(start_paused = true)]
async fn content_that_cannot_be_had_is_waited_for_with_the_reason() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let app = spec("web:1");
    let _agent = world.agent(&[1]);
    gateway
        .says(GatewayFrame::Desired(Desired { generation: 1, allocations: vec![allocation(7, &app)] }))
        .await;
    let mut reason = gateway.sees(7, Preparing).await.expect("a reason");
    while !reason.contains("nothing of this host needs it (not_found)") {
        reason = gateway.sees(7, Preparing).await.expect("a reason");
    }
    gateway.has(app.to_canonical_json());
    gateway.sees(7, Healthy).await;
}

#[tokio::test(start_paused = true)]
async fn exclusive_work_ends_soon_after_its_lease_and_comes_back_with_it() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let app = spec("web:1");
    gateway.has(app.to_canonical_json());
    let agent = world.agent(&[1]);
    let exclusive = DesiredAllocation { exclusive: true, ..allocation(7, &app) };
    let shared = DesiredAllocation { slot: 1, ..allocation(8, &app) };
    let allocations = vec![exclusive, shared];
    gateway.says(GatewayFrame::Desired(Desired { generation: 1, allocations })).await;
    gateway.sees(8, Healthy).await;
    let mut lease = agent.agent.lease();
    let mut changes = agent.engine.changes();
    gateway.set(|manners| &manners.leaderless, true);
    lease.wait_for(|lease| *lease == crate::session::LeaseState::Expired).await.expect("it lives");
    let ended = Instant::now();
    changes.wait_for(|_| agent.engine.running().len() == 1).await.expect("it lives");
    assert!(ended.elapsed() <= crate::sim::FENCE, "{:?}", ended.elapsed());
    assert_eq!(agent.engine.running()[0].allocation.id, AllocationId::from_u128(8), "shared work goes on");
    gateway.set(|manners| &manners.leaderless, false);
    changes.wait_for(|_| agent.engine.running().len() == 2).await.expect("it lives");
    assert!(matches!(*lease.borrow(), crate::session::LeaseState::Valid { .. }));
}
