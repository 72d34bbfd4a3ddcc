//! A whole run: found a cluster, break it for a while, mend it, and look whether everything is as promised.

use super::dice::Dice;
use super::faults::{Faults, Temper};
use super::invariants::{once, recovery};
use super::setup::{Size, found};
use super::workload::{Load, Workload};
use super::world::World;
use super::{apps, backups};
use anyhow::Result;
use omni_common::domain::backup::RunState;
use omni_controller::state::State;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How often invariants that depend on time are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Every write has its answer this long after the last fault: a client's longest call, an election, and the
/// deadline of a proposal.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How large the cluster is.
    pub size: Size,
    /// How busy its clients are.
    pub load: Load,
    /// What its faults are like.
    pub temper: Temper,
    /// For how long things break.
    pub rage: Duration,
}

impl Plan {
    /// What the dice make of a run.
    pub(super) fn roll(dice: &mut Dice) -> Self {
        Self {
            size: Size {
                controllers: if dice.chance(70) { 3 } else { 5 },
                hosts: u64::try_from(dice.below(5) + 3).expect("small"),
            },
            load: Load { writers: dice.below(3) + 2, readers: 2, pause: Duration::from_millis(500) },
            temper: Temper { may_lose_majority: dice.chance(30) },
            rage: dice.between(Duration::from_secs(25)..Duration::from_secs(60)),
        }
    }
}

/// Lives through one seed.
///
/// # Errors
/// The first violation, with what led to it.
pub async fn live(seed: u64) -> Result<String> {
    let mut dice = Dice::new(seed);
    let plan = Plan::roll(&mut dice);
    let world = World::new(dice.number());
    let story = run(&world, dice, plan);
    world.verdict.watch(story).await
}

async fn run(world: &Arc<World>, mut dice: Dice, plan: Plan) -> Result<String> {
    found(world, &mut dice, plan.size).await?;
    backups::prepare(world, &mut dice).await?;
    world.verdict.note(format!("{plan:?}"));
    let _looking = look_on(world);
    let workload = Workload::start(world, &mut dice, plan.load);
    let mut faults = Faults::new(Arc::clone(world), dice.fork(), plan.temper);
    faults.rage(plan.rage).await?;
    faults.calm().await?;
    recovery::converge(world).await?;
    workload.finish(ANSWERED_WITHIN).await?;
    apps::settle(world, &mut dice).await?;
    backups::settle(world, &mut dice).await?;
    let state = settle(world).await?;
    once::exactly(&world.invariants().history, &state)?;
    restart_all(world).await?;
    Ok(summary(world, &plan))
}

/// Looks at what depends on time, again and again.
pub(super) fn look_on(world: &Arc<World>) -> AbortOnDropHandle<()> {
    let world = Arc::clone(world);
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let seen = world.invariants().moment_passed(&world);
            world.verdict.check(seen);
            tokio::time::sleep(LOOK).await;
        }
    }))
}

/// Waits until every controller is at the same entry, and compares their states.
///
/// # Errors
/// When they do not get there, or differ.
pub(super) async fn settle(world: &Arc<World>) -> Result<Arc<State>> {
    let equal = || {
        let states: Vec<_> = world.running().iter().map(|process| (process.id, process.state())).collect();
        let index = states.first()?.1.index;
        states.iter().all(|(_, state)| state.index == index).then_some(states)
    };
    let states = world.eventually("all controllers are at the same entry", ANSWERED_WITHIN, equal).await?;
    for (id, state) in &states {
        world.invariants().compare(*id, state)?;
    }
    let (_, state) = states.into_iter().next().expect("somebody runs");
    Ok(state)
}

/// I5: all controllers are killed, and what their disks hold makes the same state again.
async fn restart_all(world: &Arc<World>) -> Result<()> {
    let before = settle(world).await?;
    let ids: Vec<_> = world.members().keys().copied().collect();
    for id in &ids {
        world.crash_controller(*id);
    }
    for id in ids {
        world.start_controller(id, None).await?;
    }
    recovery::converge(world).await?;
    let after = settle(world).await?;
    anyhow::ensure!(after.index >= before.index, "I2: entries are missing after all controllers were killed");
    once::exactly(&world.invariants().history, &after)
}

fn summary(world: &World, plan: &Plan) -> String {
    let state = world.newest();
    let told = |kind: &str| state.events.values().filter(|event| event.kind == kind).count();
    format!(
        "{} controllers, {} hosts, {} s, {} writes, {} deployments, {} instances placed, {} lost, {} backups",
        plan.size.controllers,
        plan.size.hosts,
        world.clock.began().elapsed().as_secs(),
        world.invariants().history.ops().len(),
        told("deployment.started"),
        told("allocation.placed"),
        told("allocation.lost"),
        state.runs.values().filter(|run| run.state == RunState::Succeeded).count()
    )
}
