//! A simulated host against the wishes of a cluster, in simulated time.

use super::*;
use crate::workloads::Workloads;
use bytes::Bytes;
use omni_common::domain::AllocationState::{self, *};
use omni_common::domain::app::{AppSpec, Group, GroupName, Service, ServiceName};
use omni_common::ids::AllocationId;
use omni_common::wire::{Desired, DesiredAllocation};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

struct Bed {
    engine: Arc<SimEngine>,
    lease: watch::Sender<LeaseState>,
    generation: u64,
    _running: AbortOnDropHandle<()>,
}

impl Bed {
    fn new(engine: Arc<SimEngine>) -> Self {
        let lease = watch::Sender::new(LeaseState::Valid { until_ms: u64::MAX });
        let running = tokio::spawn({
            let (engine, lease) = (engine.clone(), lease.subscribe());
            async move { engine.run(lease, Monotonic::simulated()).await }
        });
        Self {
            generation: engine.depot().generation(),
            engine,
            lease,
            _running: AbortOnDropHandle::new(running),
        }
    }

    async fn desire(&mut self, allocations: &[(u128, &str, bool)]) {
        self.generation += 1;
        let mut desired = Desired { generation: self.generation, allocations: Vec::new() };
        for &(id, image, exclusive) in allocations {
            let spec = app(image);
            desired.allocations.push(DesiredAllocation {
                id: AllocationId::from_u128(id),
                epoch: 1,
                environment: "default".to_owned(),
                app: "shop".to_owned(),
                group: "main".to_owned(),
                slot: 0,
                release: 1,
                spec: spec.digest(),
                exclusive,
                run: true,
                purge: false,
                gpus: Vec::new(),
            });
        }
        self.engine.depot().desire(desired);
        for &(_, image, _) in allocations {
            let bytes = app(image).to_canonical_json();
            self.engine.depot().provide(&app(image).digest(), Bytes::from(bytes)).await;
        }
    }

    async fn becomes(&self, states: &[(u128, AllocationState)]) {
        let expected: Vec<_> =
            states.iter().map(|&(id, state)| (AllocationId::from_u128(id), state)).collect();
        let shown = || {
            self.engine.allocations().iter().map(|here| (here.allocation.id, here.state)).collect::<Vec<_>>()
        };
        let mut changes = self.engine.changes();
        let waited =
            tokio::time::timeout(Duration::from_secs(600), changes.wait_for(|_| shown() == expected)).await;
        assert!(waited.is_ok(), "{:?}", self.engine.allocations());
    }
}

fn app(image: &str) -> AppSpec {
    let web = ServiceName::new("web").expect("a name");
    let group = Group { services: [web.clone()].into(), ..Group::default() };
    AppSpec {
        name: "shop".to_owned(),
        groups: [(GroupName::main(), group)].into(),
        services: [(web, Service { image: Some(image.to_owned()), ..Service::default() })].into(),
        ..AppSpec::default()
    }
}

#[tokio::test(start_paused = true)]
async fn images_decide_how_it_goes() {
    let mut bed = Bed::new(Arc::default());
    bed.desire(&[(1, "web:1", false), (2, "fail:1", false), (3, "sick:1", false)]).await;
    bed.becomes(&[(1, Healthy), (2, Failed), (3, Starting)]).await;
    bed.engine.sicken(AllocationId::from_u128(1));
    bed.becomes(&[(1, Unhealthy), (2, Failed), (3, Starting)]).await;
    bed.desire(&[]).await;
    bed.becomes(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_instance_of_an_exclusive_slot_waits_for_the_one_before() {
    let mut bed = Bed::new(Arc::default());
    bed.desire(&[(1, "web:1", true)]).await;
    bed.becomes(&[(1, Healthy)]).await;
    bed.desire(&[(2, "web:2", true)]).await;
    let mut changes = bed.engine.changes();
    while bed.engine.allocations().iter().all(|here| here.allocation.id != AllocationId::from_u128(2)) {
        changes.changed().await.expect("it lives");
        assert!(bed.engine.running().len() <= 1);
    }
    bed.becomes(&[(2, Healthy)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_leaves_everything_running_and_a_power_cut_does_not() {
    let mut bed = Bed::new(Arc::default());
    bed.desire(&[(1, "web:1", true)]).await;
    bed.becomes(&[(1, Healthy)]).await;
    let engine = bed.engine.clone();
    drop(bed);
    assert_eq!(engine.running().len(), 1);
    let bed = Bed::new(engine.clone());
    bed.becomes(&[(1, Healthy)]).await;
    drop(bed);
    engine.power_cut();
    assert!(engine.running().is_empty());
    let bed = Bed::new(engine);
    bed.lease.send_replace(LeaseState::Never);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bed.engine.running().is_empty(), "the disk remembers, the lease is still to come");
    bed.lease.send_replace(LeaseState::Valid { until_ms: u64::MAX });
    bed.becomes(&[(1, Healthy)]).await;
}
