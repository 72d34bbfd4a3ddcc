//! Services are frozen, stopped or told while their data is read, and always let go again.

use super::debts::{Change, Debt};
use super::failure::Failure;
use super::place::Place;
use super::seam::{Docker, Exec, called};
use super::{Context, Shared};
use crate::executors::converge::names::Own;
use omni_common::domain::Container;
use omni_common::domain::ContainerState;
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::{Item, Quiesce};
use std::collections::BTreeSet;
use std::time::Duration;

/// A hook may take this long.
const HOOK: Duration = Duration::from_secs(600);

/// What is changed for an item, in this order. Pure.
pub(super) fn plan(place: &Place<'_>, item: &Item, containers: &[Container]) -> Result<Vec<Change>, Failure> {
    let running = |services: &[ServiceName]| -> Result<Vec<Own<'_>>, Failure> {
        for service in services {
            place.service(service)?;
        }
        let whose: BTreeSet<ServiceName> = match services.is_empty() {
            true => place.writers(&item.take),
            false => services.iter().cloned().collect(),
        };
        let mut own = place.own(containers);
        own.retain(|own| {
            own.container.state == ContainerState::Running
                && whose.iter().any(|service| service.as_str() == own.service)
        });
        // What stands highest goes first, as when an app is stopped.
        own.sort_by(|a, b| (b.order, &a.container.name).cmp(&(a.order, &b.container.name)));
        Ok(own)
    };
    Ok(match &item.quiesce {
        Quiesce::None => Vec::new(),
        Quiesce::Pause { services } => {
            let pause = |own: &Own<'_>| Change::Paused { container: own.container.id.clone() };
            running(services)?.iter().map(pause).collect()
        }
        Quiesce::Stop { services } => {
            let stop = |own: &Own<'_>| Change::Stopped {
                container: own.container.id.clone(),
                grace_ms: own.grace_ms(),
            };
            running(services)?.iter().map(stop).collect()
        }
        Quiesce::Hook { service, before, after } => {
            let container = place.running(containers, service)?.id.clone();
            vec![Change::Hooked { container, before: before.clone(), after: after.clone() }]
        }
    })
}

/// Does something while these changes are in force. They are undone when it has ended, however it has, and at once when the
/// run is given up: services do not wait for restic to end.
pub(super) async fn quiesced<T>(
    context: &Context<'_>,
    changes: Vec<Change>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    if changes.is_empty() {
        return work.await;
    }
    for change in changes {
        if let Err(failure) = apply(context, change).await {
            undo(context.shared, context.run).await.ok();
            return Err(failure);
        }
    }
    tokio::pin!(work);
    let early = tokio::select! {
        biased;
        done = &mut work => Some(done),
        () = context.errand.cancel.cancelled() => None,
    };
    if let Err(reason) = undo(context.shared, context.run).await {
        tracing::warn!(run = %context.run, reason, "what was changed for a backup could not be undone yet");
    }
    match early {
        Some(done) => done,
        None => work.await,
    }
}

async fn apply(context: &Context<'_>, change: Change) -> Result<(), Failure> {
    context.shared.debts.owe(Debt { run: context.run, change: change.clone() }).await?;
    let docker = context.shared.docker.as_ref();
    match &change {
        Change::Paused { container } => Ok(docker.pause(container).await?),
        Change::Stopped { container, grace_ms } => {
            Ok(docker.hold(container, Duration::from_millis(*grace_ms)).await?)
        }
        Change::Hooked { container, before, .. } => hook(docker, container, before)
            .await
            .map_err(|reason| Failure::new("hook_failed", format!("nothing was taken, because {reason}"))),
    }
}

async fn hook(docker: &dyn Docker, container: &str, command: &[String]) -> Result<(), String> {
    if command.is_empty() {
        return Ok(());
    }
    let exec = Exec {
        container: container.to_owned(),
        command: command.to_vec(),
        environment: Vec::new(),
        input: false,
    };
    let name = format!("the hook {}", called(command));
    let program = docker.run(exec).await.map_err(|error| format!("{name} could not be run: {error}"))?;
    program.finish(&name, HOOK).await.map(drop)
}

/// Undoes what a run has changed.
///
/// # Errors
/// A sentence about what could not be undone now. It stays owed.
pub(super) async fn undo(shared: &Shared, run: omni_common::ids::RunId) -> Result<(), String> {
    pay(shared, Some(run)).await
}

/// Undoes what a run has changed, or any run when none is named: the newest change first.
pub(super) async fn pay(shared: &Shared, run: Option<omni_common::ids::RunId>) -> Result<(), String> {
    let mut first = None;
    for debt in shared.debts.of(run) {
        let docker = shared.docker.as_ref();
        let paid = match &debt.change {
            Change::Paused { container } => docker.unpause(container).await,
            Change::Stopped { container, .. } => docker.release(container).await,
            Change::Hooked { container, after, .. } => unhook(docker, container, after).await,
        };
        match paid {
            Ok(()) => shared.debts.settle(&debt).await,
            Err(error) => drop(first.get_or_insert(error.to_string())),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Runs the second half of a hook. One that fails is told of and not repeated: what it has done by then nobody knows.
async fn unhook(
    docker: &dyn Docker,
    container: &str,
    after: &[String],
) -> Result<(), crate::docker::DockerError> {
    let there = docker.inspect(container).await?;
    if there.is_none_or(|found| found.state != ContainerState::Running) {
        return Ok(());
    }
    if let Err(reason) = hook(docker, container, after).await {
        tracing::error!(container, reason, "hook after a backup failed");
    }
    Ok(())
}
