//! Bringing data back: into a folder, in place, or into scratch space where it is probed.
//!
//! ```text
//! snapshot ──files──▶ stage.rs: beside their place, then moved there
//!          ──dump───▶ load.rs ──▶ lone.rs: the service's container, alone, reads it
//!
//! folder.rs    each item in a folder of its own
//! in_place.rs  marked as unfinished from before the first change until all is well
//! ready.rs     what an instance that moves here needs, before it comes
//! drill.rs     volumes and containers made for it; probe.rs asks them, git.rs and http.rs with it
//! ```

mod drill;
mod folder;
mod git;
mod http;
mod in_place;
mod load;
mod lone;
mod probe;
mod rdb;
mod ready;
mod stage;

pub(super) use in_place::nothing_runs;
pub(super) use ready::ready;
pub(super) use stage::base;

use super::Shared;
use super::context::{Context, nothing_yet, sum_up};
use super::failure::Failure;
use super::repository::Opened;
use crate::docker::DockerError;
use crate::runs::Done;
use omni_common::clock::Time;
use omni_common::domain::backup::{Destination, ItemOutcome, RestoreItem, RestoreTask, RunState};
use omni_common::ids::RunId;
use omni_restic::{Filter, Snapshot};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// On what is made for a run and removed after it: the run's id. The converger takes no notice of what has it.
const RUN: &str = "omni.run";
/// On the same things: the host whose agent made it. Several agents may share one engine.
const RUN_HOST: &str = "omni.run.host";

/// The word of a drill that brought all back, and could not probe all of it.
const NOT_PROBED: &str = "not_probed";

/// Brings data back.
pub(super) async fn restore(context: &Context<'_>, task: &RestoreTask) -> Done {
    let mut outcomes: Vec<ItemOutcome> = Vec::new();
    let mut not_shown: Vec<String> = Vec::new();
    let done = async {
        let wanted = look(context, task).await?;
        for one in &wanted.items {
            let mut outcome = nothing_yet(&one.told.item.name, taken(&one.snapshot));
            outcome.snapshot = Some(one.snapshot.id.as_str().to_owned());
            outcomes.push(outcome);
        }
        match &task.into {
            Destination::Folder { path } => folder::restore(context, &wanted, path, &mut outcomes).await,
            Destination::InPlace { replace } => {
                in_place::restore(context, task, &wanted, *replace, &mut outcomes).await
            }
            Destination::Scratch { probes } => {
                not_shown = drill::restore(context, task, &wanted, probes, &mut outcomes).await?;
                Ok(())
            }
        }
    };
    let failure = done.await.err();
    if let Some(failure) = &failure {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.state == RunState::Failed) {
            outcome.state = failure.state();
            outcome
                .message
                .get_or_insert_with(|| "not done, because the restore as a whole failed".to_owned());
        }
    }
    let done = sum_up(outcomes, failure);
    match not_shown.is_empty() {
        true => done,
        // All came back, and less was proven than was asked: neither green nor red.
        false => Done {
            state: RunState::Partial,
            code: Some(NOT_PROBED.to_owned()),
            message: Some(format!("not probed: {}", not_shown.join("; "))),
            ..done
        },
    }
}

/// Items and their snapshots, all of which are there.
struct Wanted<'t> {
    opened: Opened,
    items: Vec<One<'t>>,
}

/// An item and its snapshot.
struct One<'t> {
    told: &'t RestoreItem,
    snapshot: Snapshot,
}

async fn look<'t>(context: &Context<'_>, task: &'t RestoreTask) -> Result<Wanted<'t>, Failure> {
    let opened = context.open(&task.from)?;
    let all = Filter::default();
    let listed = context
        .unless_cancelled(opened.unlocked(|| opened.restic.snapshots(&opened.repository, &all)))
        .await?;
    let listed: BTreeMap<String, Snapshot> =
        listed.into_iter().map(|snapshot| (snapshot.id.as_str().to_owned(), snapshot)).collect();
    let find = |told: &'t RestoreItem| {
        let snapshot = listed.get(&told.snapshot).cloned().ok_or_else(|| {
            let (name, id) = (&task.from.name, &told.snapshot);
            Failure::new(
                "snapshot_missing",
                format!("the repository {name} has no snapshot {id}; list what it has"),
            )
        })?;
        Ok(One { told, snapshot })
    };
    let items = task.items.iter().map(find).collect::<Result<Vec<_>, Failure>>()?;
    Ok(Wanted { opened, items })
}

fn taken(snapshot: &Snapshot) -> Time {
    Time::from_millis(snapshot.time.as_millisecond())
}

/// The labels of what is made for a run.
fn labels(context: &Context<'_>) -> BTreeMap<String, String> {
    let pairs = [(RUN, context.run.to_string()), (RUN_HOST, context.shared.host.clone())];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What a thing that is made for a run is called.
fn scratch_name(context: &Context<'_>, what: &str) -> String {
    format!("omni-run-{}-{what}", context.run.short())
}

/// Removes the containers and volumes that were made for a run, or for any when none is named.
///
/// # Errors
/// A sentence about what could not be removed now.
pub(super) async fn remove_scratch(shared: &Shared, run: Option<RunId>) -> Result<(), String> {
    // Whatever an earlier process has left is removed once, as soon as there is an engine.
    let all = run.is_none() || shared.leftovers.load(Ordering::Relaxed);
    let mine = run.is_some_and(|run| shared.scratch().remove(&run));
    if !all && !mine {
        return Ok(());
    }
    let only = if all { None } else { run };
    match remove(shared, only).await {
        Ok(()) => {
            shared.leftovers.store(false, Ordering::Relaxed);
            Ok(())
        }
        Err(DockerError::Absent { .. }) if run.is_none() => {
            shared.leftovers.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => {
            if let (true, Some(run)) = (mine, run) {
                shared.scratch().insert(run);
            }
            // A host that has no engine has nothing left over on it either.
            match mine {
                false if matches!(error, DockerError::Absent { .. }) => Ok(()),
                _ => Err(error.to_string()),
            }
        }
    }
}

async fn remove(shared: &Shared, run: Option<RunId>) -> Result<(), DockerError> {
    let docker = shared.docker.as_ref();
    let mine = |labels: &BTreeMap<String, String>| {
        labels.get(RUN_HOST) == Some(&shared.host)
            && run.is_none_or(|run| labels.get(RUN) == Some(&run.to_string()))
    };
    // What belongs to a run that is under way at the same time is left to it.
    let under_way = shared.scratch().clone();
    let theirs = |labels: &BTreeMap<String, String>| {
        let run = labels.get(RUN).and_then(|text| text.parse::<RunId>().ok());
        run.is_some_and(|run| under_way.contains(&run))
    };
    for container in docker.containers().await? {
        if mine(&container.labels) && !theirs(&container.labels) {
            docker.remove(&container.id).await?;
        }
    }
    let label = match run {
        Some(run) => format!("{RUN}={run}"),
        None => format!("{RUN_HOST}={}", shared.host),
    };
    for name in docker.volumes(&label).await? {
        let volume = docker.volume(&name).await?;
        if volume.is_some_and(|volume| mine(&volume.labels) && !theirs(&volume.labels)) {
            docker.remove_volume(&name).await?;
        }
    }
    Ok(())
}
