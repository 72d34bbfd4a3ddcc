//! Exclusive containers end with the lease (DESIGN 6, I1).
//!
//! ```text
//!   lease ends                                controllers may start another
//!       │ stop: SIGTERM        1 s │ SIGKILL by the engine      │
//!       ├──────────────────────────┼──── 1.3 s: SIGKILL by us ──┤
//!       0                          1                            2 s (margin)
//! ```
//!
//! - This runs beside everything else: a pull, a slow engine or a full disk does not delay it. When the engine does not
//!   stop a container in time, the container's first process is killed without it, after a look at its control group: a
//!   process number may have been given to another process since.
//! - Containers that this host runs under a lease have no restart policy in the engine, so neither an engine nor a host
//!   that comes back starts them: the agent does, while a lease is valid. Whatever runs nevertheless is stopped.
//! - An agent that is started again honours what the one before was promised (`carry.rs`), and no more than that.
//! - What remains: an agent that is killed and not started again within the lease cannot stop anything. The service
//!   manager starts it after a second; a host without one has to be looked after.

use super::carry::Carry;
use super::{Leased, Shared};
use crate::session::LeaseState;
use omni_common::domain::{Container, ContainerState};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

use super::super::names::Own;

/// A container may take this long to stop once the lease has ended.
const GRACE: Duration = Duration::from_secs(1);
/// So long the engine is waited for; the rest of the margin of two seconds is for doing it without the engine.
const ENGINE: Duration = Duration::from_millis(1_300);
/// While something runs that must not, it is looked at this often, whatever the engine tells.
const LOOK: Duration = Duration::from_millis(250);

/// Watches for ever.
pub(in super::super) async fn fence(shared: Arc<Shared>, mut leased: Leased) {
    let carry = Carry::new(&shared.dirs.secrets);
    let before = carry.read(leased.clock);
    let mut stopping: JoinSet<String> = JoinSet::new();
    let mut under_way: BTreeSet<String> = BTreeSet::new();
    let mut revision = shared.docker.containers().revision();
    let mut known = Vec::new();
    loop {
        while let Some(Ok(id)) = stopping.try_join_next() {
            under_way.remove(&id);
        }
        let state = *leased.state.borrow_and_update();
        if let LeaseState::Valid { until_ms } = state {
            carry.write(until_ms, leased.clock);
        }
        let carried = state == LeaseState::Never && before.is_some_and(|until| leased.clock.now_ms() < until);
        let mut runs = false;
        revision.mark_unchanged();
        // What an engine had that is away now may run on.
        if let Some(now) = shared.docker.containers().current() {
            known = exclusive(&shared, now);
        }
        if !leased.valid() {
            for container in known.clone() {
                runs = true;
                if !carried && under_way.insert(container.id.clone()) {
                    tracing::warn!(container = container.name, "no lease, stopping");
                    shared.memory().restarts.entry(container.id.clone()).or_default().stopped = true;
                    stopping.spawn(end(shared.clone(), container));
                }
            }
        }
        tokio::select! {
            _ = leased.state.changed() => {}
            _ = revision.changed() => {}
            () = tokio::time::sleep(LOOK), if runs => {}
        }
    }
}

/// The containers that run and may do so only under a lease.
fn exclusive(shared: &Shared, all: Vec<Container>) -> Vec<Container> {
    let alive = |container: &Container| {
        matches!(
            container.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        )
    };
    let ours = |container: &Container| Own::read(container, &shared.host).is_some_and(|own| own.exclusive);
    all.into_iter().filter(|container| alive(container) && ours(container)).collect()
}

/// Ends one container, with the engine's help if it has any to give.
async fn end(shared: Arc<Shared>, container: Container) -> String {
    let stopped = match shared.docker.engine() {
        Ok(engine) => tokio::time::timeout(ENGINE, engine.stop(&container.id, GRACE))
            .await
            .is_ok_and(|done| done.is_ok()),
        Err(_) => {
            kill(&container, Signal::TERM);
            tokio::time::sleep(GRACE).await;
            false
        }
    };
    if !stopped {
        kill(&container, Signal::KILL);
    }
    if let Ok(engine) = shared.docker.engine()
        && let Ok(newest) = engine.inspect(&container.id).await
    {
        shared.docker.containers().upsert(newest);
    }
    container.id
}

/// Sends a signal to the container's first process, when that is still it. With it all others of its pid space end.
fn kill(container: &Container, signal: Signal) {
    let Some(number) = container.pid.and_then(|pid| i32::try_from(pid).ok()) else { return };
    let groups = std::fs::read_to_string(format!("/proc/{number}/cgroup")).unwrap_or_default();
    let Some(pid) = Pid::from_raw(number).filter(|_| groups.contains(&container.id)) else { return };
    tracing::warn!(container = container.name, "the engine does not stop it, killing its process");
    if let Err(error) = kill_process(pid, signal) {
        tracing::error!(container = container.name, %error, "process not killed");
    }
}
