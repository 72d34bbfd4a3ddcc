//! Backups: a repository that every host reaches, where the app's data goes while everything breaks.

use super::apps::{APP, person};
use super::dice::Dice;
use super::world::World;
use anyhow::{Context, Result};
use omni_common::api::v1::{CreateRepository, StartRun};
use omni_common::domain::backup::RunState;
use omni_common::ids::{RequestId, RunId};
use omni_controller::app::Call;
use omni_controller::raft::RaftRole;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Where data goes.
pub(super) const REPOSITORY: &str = "vault";
/// A run that is asked for when nothing is broken is over by then, whatever waits before it.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// Adds the repository.
///
/// # Errors
/// When nobody takes it.
pub(super) async fn prepare(world: &Arc<World>, dice: &mut Dice) -> Result<()> {
    let body = json!({"name": REPOSITORY, "location": "rest:https://vault.example/"});
    let body: CreateRepository = serde_json::from_value(body).expect("a repository");
    let process = world.running().into_iter().next().context("a controller runs")?;
    process.controller.app().create_repository(&call(dice), &body).await.context("adding a repository")?;
    Ok(())
}

/// I3: when the faults are over, a backup that is asked for is taken.
///
/// # Errors
/// When it is not in time; the error says how it stands.
pub(super) async fn settle(world: &Arc<World>, dice: &mut Dice) -> Result<()> {
    let leads = |process: &super::member::Process| process.raft().role == RaftRole::Leader;
    let process = world.running().into_iter().find(leads).context("nobody leads")?;
    let wanted = StartRun::Backup { environment: "default".to_owned(), app: APP.to_owned(), to: None };
    let begun =
        process.controller.app().start_run(&call(dice), &wanted).await.context("asking for a backup")?;
    let ids: Vec<RunId> = begun.body.items.iter().map(|run| run.id).collect();
    anyhow::ensure!(!ids.is_empty(), "the app has data and no backup of it begins");
    let mut stands = String::new();
    let done = || {
        let state = world.newest();
        let runs: Vec<_> = ids.iter().filter_map(|id| state.runs.get(id)).collect();
        stands = format!("{:?}", runs.iter().map(|run| (run.state, &run.message)).collect::<Vec<_>>());
        runs.iter().all(|run| run.state == RunState::Succeeded).then_some(())
    };
    let done = world.eventually("a backup that is asked for is taken", DONE_WITHIN, done).await;
    done.with_context(|| format!("I3: {stands}"))
}

fn call(dice: &mut Dice) -> Call {
    Call::everywhere(person(), RequestId::from_u128(u128::from(dice.number()) | (5 << 100)))
}
