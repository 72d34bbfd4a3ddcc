//! Apps: what people deploy, change and take back while everything breaks, and what must hold of what runs.

use super::backups::REPOSITORY;
use super::dice::Dice;
use super::member::Process;
use super::world::World;
use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use omni_agent::sim::SimAllocation;
use omni_common::api::v1::Deploy;
use omni_common::ids::{AllocationId, DeploymentId, HostId, RequestId};
use omni_controller::app::Call;
use omni_controller::raft::RaftRole;
use omni_controller::state::command::Steer;
use omni_controller::state::{
    Actor, ActorKind, ApiRole, App, AppKey, Command, DeploymentState, Goal, HostStatus, Proposal,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The app that everybody works on.
pub(super) const APP: &str = "shop";
/// Pause between two things that are asked for.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(300)..Duration::from_secs(8);
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// A release that works is everywhere this long after the last fault: what is stopped and started first, one after the
/// other, each watched for a second.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// Asks for one thing after the other until told to stop. Whether it was heard, nobody knows.
pub(super) async fn operate(world: Arc<World>, mut dice: Dice, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(process) = dice.pick(&world.running()) {
            let asked = ask(&world, &process, &mut dice);
            tokio::select! {
                _ = tokio::time::timeout(PATIENCE, asked) => {}
                () = process.gone.cancelled() => {}
            }
        }
        tokio::time::sleep(dice.between(PAUSE)).await;
    }
}

async fn ask(world: &World, process: &Process, dice: &mut Dice) {
    let state = process.state();
    let app = state.find_app("default", APP).cloned();
    let hosts: Vec<HostId> = world.hosts().keys().copied().collect();
    let host = dice.pick(&hosts);
    let command = match (dice.below(100), app, host) {
        (0..45, _, _) | (_, None, _) => {
            let image = ["good", "good", "good", "fail", "sick"][dice.below(5)];
            return deploy(world, process, dice, image).await;
        }
        (45..55, Some(app), _) => {
            let count = u32::try_from(dice.below(3) + 1).expect("small");
            let replicas = BTreeMap::from([("web".to_owned(), Some(count))]);
            Command::ScaleApp { app: app.key.clone(), replicas, expect: None }
        }
        (55..62, Some(app), _) => {
            Command::RestartApp { app: app.key.clone(), deployment: DeploymentId::from_u128(number(dice)) }
        }
        (62..68, Some(app), _) => Command::SetGoal { app: app.key.clone(), goal: Goal::Stop, expect: None },
        (68..80, Some(app), _) => Command::SetGoal { app: app.key.clone(), goal: Goal::Run, expect: None },
        (80..86, Some(app), _) => {
            let what = [Steer::Pause, Steer::Resume, Steer::Promote, Steer::Abort][dice.below(4)];
            let open = app.open_deployment().map(|open| open.id);
            let deployment = open.unwrap_or(DeploymentId::from_u128(0));
            let back = DeploymentId::from_u128(number(dice));
            Command::SteerDeployment { app: app.key.clone(), deployment, back, what }
        }
        (86..92, Some(_), Some(host)) => Command::DrainHost { host, drain: true, deadline: None },
        (_, Some(_), Some(host)) => Command::DrainHost { host, drain: false, deadline: None },
        (_, Some(_), None) => return,
    };
    propose(world, process, dice, command).await;
}

fn number(dice: &mut Dice) -> u128 {
    u128::from(dice.number()) | (3 << 100)
}

async fn propose(world: &World, process: &Process, dice: &mut Dice, command: Command) {
    use omni_common::clock::Clock;
    let request = RequestId::from_u128(number(dice));
    let proposal = Proposal { request, fingerprint: None, at: world.clock.now(), actor: person(), command };
    process.controller.app().proposer.propose(proposal).await.ok();
}

pub(super) fn person() -> Actor {
    Actor {
        kind: ActorKind::Token,
        name: "token:operator".to_owned(),
        role: Some(ApiRole::Admin),
        from: None,
    }
}

/// One that may run twice, one that may not, and one with data, as people write it down.
async fn deploy(world: &World, process: &Process, dice: &mut Dice, image: &str) {
    let order = if dice.chance(50) { "stop-first" } else { "start-first" };
    let on_failure = if dice.chance(70) { "rollback" } else { "pause" };
    let failover = if dice.chance(50) { "mode: restore, max_data_age: 1h" } else { "mode: restart" };
    let release = dice.number();
    let compose = format!(
        "name: {APP}
services:
  web:
    image: {image}:{release}
    x-omni: {{group: web}}
    deploy:
      replicas: 2
      update_config: {{order: {order}, failure_action: {on_failure}, monitor: 1s}}
      rollback_config: {{order: {order}, monitor: 1s}}
  job: {{image: '{image}:{release}', x-omni: {{group: job, exclusive: true}}}}
  db: {{image: '{image}:{release}', volumes: ['data:/data'], x-omni: {{group: db}}}}
volumes: {{data: }}
x-omni: {{backup: {{to: {REPOSITORY}, schedule: '* * * * *'}}, failover: {{{failover}}}}}
"
    );
    let body = json!({"project": {
        "compose": ["compose.yaml"],
        "files": {"compose.yaml": {"content": STANDARD.encode(compose)}},
    }});
    let body: Deploy = serde_json::from_value(body).expect("a deploy");
    let call = Call::everywhere(person(), RequestId::from_u128(number(dice)));
    if let Err(error) = process.controller.app().deploy(&call, &body, None).await {
        world.verdict.note(format!("{} does not deploy: {error}", process.name()));
    } else {
        world.verdict.note(format!("{image}:{release} is deployed, {order}, {on_failure}"));
    }
}

/// What of exclusive work runs on which host.
fn writers(world: &World) -> BTreeMap<(String, u32), Vec<(String, SimAllocation)>> {
    let mut writers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for host in world.hosts().values() {
        for here in host.engine.running().into_iter().filter(|here| here.allocation.exclusive) {
            let slot = (here.allocation.group.clone(), here.allocation.slot);
            writers.entry(slot).or_default().push((host.name.clone(), here));
        }
    }
    writers
}

/// I1: never two running instances of one exclusive allocation where both could write.
///
/// # Errors
/// Names both.
pub(super) fn none_twice(world: &World) -> Result<()> {
    for ((group, slot), running) in writers(world) {
        let places: Vec<String> = running
            .iter()
            .map(|(host, here)| {
                format!(
                    "{host} (release {}, epoch {}, {})",
                    here.allocation.release, here.allocation.epoch, here.state
                )
            })
            .collect();
        ensure!(running.len() < 2, "I1: {group} {slot} runs on {}", places.join(" and on "));
    }
    Ok(())
}

/// Watches what runs on a host.
pub(super) async fn watch(world: Arc<World>, id: HostId) {
    let Some(mut changes) = world.hosts().get(&id).map(|host| host.engine.changes()) else { return };
    while changes.changed().await.is_ok() {
        let seen = none_twice(&world);
        world.verdict.check(seen);
    }
}

/// I6: when the faults are over and a release that works is deployed, it runs everywhere it should, and nothing else does.
///
/// # Errors
/// When it does not in time; the error says what is missing.
pub(super) async fn settle(world: &Arc<World>, dice: &mut Dice) -> Result<()> {
    let hosts: Vec<HostId> = world.hosts().keys().copied().collect();
    let leader = world.running().into_iter().find(|process| process.raft().role == RaftRole::Leader);
    let process = leader.context("nobody leads")?;
    for host in hosts {
        let undrain = Command::DrainHost { host, drain: false, deadline: None };
        propose(world, &process, dice, undrain).await;
    }
    deploy(world, &process, dice, "good").await;
    let newest = process.state().find_app("default", APP).map(|app| app.release);
    let newest = newest.context("I6: the last release was not taken")?;
    let mut missing = String::new();
    let look = || match what_is_missing(world, newest) {
        None => Some(()),
        Some(what) => {
            missing = what;
            None
        }
    };
    let settled = world.eventually("the last release runs", SETTLES_WITHIN, look).await;
    settled.with_context(|| format!("I6: {missing}"))
}

fn what_is_missing(world: &World, newest: u64) -> Option<String> {
    let state = world.newest();
    let key = AppKey { environment: "default".to_owned(), name: APP.to_owned() };
    let app: &App = state.apps.get(&key)?;
    let deployment = app.deployment().map(|one| (one.to, one.state));
    if deployment != Some((newest, DeploymentState::Done)) {
        let table: Vec<String> = state
            .allocations_of(&key)
            .map(|held| {
                let host = state.hosts.get(&held.host).map_or("?", |host| host.name.as_str());
                let (run, lost) = (if held.run { "" } else { " stop" }, if held.lost { " lost" } else { "" });
                format!("{} {}@{host} r{} {}{run}{lost}", held.group, held.slot, held.release, held.state)
            })
            .collect();
        let down: Vec<&str> = state
            .hosts
            .values()
            .filter(|host| host.status == HostStatus::Down)
            .map(|host| host.name.as_str())
            .collect();
        return Some(format!("the deployment is {deployment:?}, with {table:?}, down: {down:?}"));
    }
    let told: BTreeSet<AllocationId> = state.allocations_of(&key).map(|held| held.id).collect();
    let runs: BTreeSet<AllocationId> = world
        .hosts()
        .values()
        .flat_map(|host| host.engine.running())
        .map(|here| here.allocation.id)
        .collect();
    (runs != told).then(|| format!("{runs:?} runs, not {told:?}"))
}
