//! What is to be done about backups, and what came of it.

use super::*;
use omni_common::domain::app::{AppSpec, ServiceName};
use omni_common::domain::backup::{
    BackupTask, Credentials as Keys, Hidden, Instance, Item, ItemName, Quiesce, Repository, RunOrder,
    RunOutcome, RunState, Take, Task,
};
use omni_common::ids::RunId;
use omni_common::wire::{AgentFrame, CloseCode, DesiredRuns, GatewayFrame, RunReport, TelemetryFrame};

fn order(id: u128) -> RunOrder {
    let instance = Instance {
        environment: "default".to_owned(),
        app: "shop".to_owned(),
        group: "main".to_owned(),
        slot: u32::try_from(id).expect("small"),
        spec: AppSpec::default(),
    };
    let service = ServiceName::new("db").expect("a name");
    let item = Item {
        name: ItemName::new("postgres-db").expect("a name"),
        take: Take::Postgres { service, databases: Vec::new(), data: None },
        quiesce: Quiesce::None,
    };
    let to = Repository {
        name: "near".to_owned(),
        location: "/srv/backup".to_owned(),
        password: Hidden::new("open sesame"),
        credentials: Keys::None,
        ca: None,
        create: true,
        upload_kib: None,
        download_kib: None,
    };
    let task = Task::Backup(Box::new(BackupTask {
        instance,
        items: vec![item],
        to,
        moves: None,
        same_moment: Default::default(),
    }));
    RunOrder { id: RunId::from_u128(id), max_duration_ms: 60_000, task }
}

impl Gateway {
    fn has_order(&self, order: &RunOrder) {
        let bytes = serde_json::to_vec(order).expect("plain values");
        self.manners.orders.lock().expect("no test panics while holding it").insert(order.id, bytes);
    }

    async fn names(&mut self, generation: u64, runs: &[u128]) {
        let runs = runs.iter().map(|id| RunId::from_u128(*id)).collect();
        self.says(GatewayFrame::Runs(DesiredRuns { generation, runs })).await;
    }

    async fn told_of_run(&mut self) -> RunReport {
        self.hears_of(|told| match told {
            Told::Frame(AgentFrame::Run(report)) => Some(*report),
            _ => None,
        })
        .await
    }

    async fn told_end_of(&mut self, id: u128) -> RunOutcome {
        loop {
            let report = self.told_of_run().await;
            if let (true, Some(outcome)) = (report.run == RunId::from_u128(id), report.outcome) {
                return outcome;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_run_is_fetched_done_and_told_of_until_it_is_named_no_more() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    gateway.has_order(&order(1));
    let agent = world.agent(&[1]);
    gateway.names(5, &[1]).await;
    assert_eq!(gateway.told_of_run().await, RunReport { run: RunId::from_u128(1), outcome: None });
    let progress = gateway
        .hears_of(|told| match told {
            Told::Telemetry(TelemetryFrame::Runs(progress)) => Some(progress),
            _ => None,
        })
        .await;
    assert_eq!(progress.len(), 1);
    let outcome = gateway.told_end_of(1).await;
    assert_eq!((outcome.state, outcome.items.len()), (RunState::Succeeded, 1));
    // Another session hears it as well.
    gateway.closes(CloseCode::ShuttingDown).await;
    gateway.forget();
    assert_eq!(gateway.told_end_of(1).await, outcome);
    // It has been taken note of.
    gateway.hears_of(|told| matches!(told, Told::Frame(AgentFrame::Heartbeat { .. })).then_some(())).await;
    let mut gateway = world_without(gateway, 6, &[]).await;
    gateway.closes(CloseCode::ShuttingDown).await;
    gateway.forget();
    gateway.has_order(&order(2));
    gateway.hears_of(|told| matches!(told, Told::Hello(_)).then_some(())).await;
    gateway.names(7, &[2]).await;
    let first = gateway.told_of_run().await;
    assert_eq!(first.run, RunId::from_u128(2), "nobody is told of the first run any more");
    agent.stop.cancel();
}

/// Names other runs, and waits until the agent has taken that up.
async fn world_without(mut gateway: Gateway, generation: u64, runs: &[u128]) -> Gateway {
    gateway.names(generation, runs).await;
    for _ in 0..2 {
        gateway
            .hears_of(|told| matches!(told, Told::Frame(AgentFrame::Heartbeat { .. })).then_some(()))
            .await;
    }
    gateway
}

#[tokio::test(start_paused = true)]
async fn an_order_nobody_understands_fails_its_run_and_quotes_nothing() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let text = br#"{"id": "open sesame", "task": {"dance": {}}}"#.to_vec();
    gateway.manners.orders.lock().expect("free").insert(RunId::from_u128(1), text);
    let _agent = world.agent(&[1]);
    gateway.names(1, &[1]).await;
    let outcome = gateway.told_end_of(1).await;
    assert_eq!((outcome.state, outcome.code.as_deref()), (RunState::Failed, Some("order_unreadable")));
    assert!(!format!("{outcome:?}").contains("sesame"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_without_runs_hears_of_none() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    gateway.set(|manners| &manners.runless, true);
    gateway.has_order(&order(1));
    let _agent = world.agent(&[1]);
    // It names one all the same, which an honest one does not; nobody fetches its order.
    gateway.names(1, &[1]).await;
    for _ in 0..20 {
        let told = gateway.hears().await;
        assert!(!matches!(told, Told::Frame(AgentFrame::Run(_)) | Told::Telemetry(TelemetryFrame::Runs(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_not_there_yet_is_asked_for_again() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let _agent = world.agent(&[1]);
    gateway.names(1, &[1]).await;
    for _ in 0..5 {
        gateway
            .hears_of(|told| matches!(told, Told::Frame(AgentFrame::Heartbeat { .. })).then_some(()))
            .await;
    }
    gateway.has_order(&order(1));
    assert_eq!(gateway.told_end_of(1).await.state, RunState::Succeeded);
}
