//! How a container is doing, and what an allocation comes to. Pure.

use super::names::{self, Own};
use omni_common::clock::Time;
use omni_common::domain::{AllocationState, Container, ContainerState, Health};
use std::collections::BTreeMap;
use std::time::Duration;

/// A container that ran this long before it ended was well: its next start waits for nothing.
const RAN_WELL: Duration = Duration::from_secs(60);
/// A container that was restarted counts as running again only after this time.
const SETTLED: Duration = Duration::from_secs(10);
/// So many restarts, the last of them just now, are a loop.
pub const LOOP: u32 = 5;
/// Waits before a container is started again: doubled each time, as the engine does.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Exit codes of a process that was ended from outside (SIGKILL, SIGTERM), and of one that ended with its engine.
const FROM_OUTSIDE: [i64; 3] = [137, 143, 255];

/// How a container is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is to be made.
    Missing,
    /// Made, never started.
    Created,
    /// It runs, and is healthy when it has a check.
    Up,
    /// It runs, and its check has not decided yet.
    Warming,
    /// It runs, and its check fails.
    Sick(String),
    /// It ended not long ago and runs again, or will in a moment.
    Shaky(String),
    /// It ends again and again.
    Looping(String),
    /// Somebody has frozen it.
    Paused,
    /// It was ended from outside, or ended and is to run on: it is started again from this moment on.
    Halted(Time),
    /// Its work is done.
    Completed,
    /// It ended with an error and stays ended.
    Crashed(String),
    /// It is being removed.
    Going,
    /// A backup has stopped it, and will let go of it.
    Held,
}

/// What the agent itself remembers of containers that it starts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Starts after an end that was not a good one, in a row.
    pub count: u32,
    /// It was stopped by the agent, to be started again when it may.
    pub stopped: bool,
}

/// How this container is doing.
pub fn phase(own: &Own<'_>, restarts: Restarts, now: Time) -> Phase {
    let container = own.container;
    match container.state {
        ContainerState::Created | ContainerState::Unknown => Phase::Created,
        ContainerState::Paused => Phase::Paused,
        ContainerState::Removing => Phase::Going,
        ContainerState::Restarting => shaky(container, restarts, now),
        ContainerState::Running => running(container, restarts, now),
        ContainerState::Exited | ContainerState::Dead => ended(container, restarts),
    }
}

/// Whether its process is there, and may write.
pub fn is_alive(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
}

fn running(container: &Container, restarts: Restarts, now: Time) -> Phase {
    let fresh = container.started.is_none_or(|started| now.since(started) < SETTLED);
    match container.health {
        Health::Unhealthy => Phase::Sick(container.health_output.clone().unwrap_or_default()),
        Health::Healthy => Phase::Up,
        _ if fresh && container.restarts.max(restarts.count) > 0 => shaky(container, restarts, now),
        Health::Starting => Phase::Warming,
        Health::None => Phase::Up,
    }
}

fn shaky(container: &Container, restarts: Restarts, now: Time) -> Phase {
    let count = container.restarts.max(restarts.count);
    let exit = container.exit_code.map(|code| format!(", last with exit code {code}")).unwrap_or_default();
    let recent = container.started.is_none_or(|started| now.since(started) < RAN_WELL * 2);
    if count >= LOOP && recent {
        return Phase::Looping(format!("has ended and been restarted {count} times{exit}"));
    }
    Phase::Shaky(format!("ended and was restarted ({count} times{exit})"))
}

fn ended(container: &Container, restarts: Restarts) -> Phase {
    let code = container.exit_code.unwrap_or(0);
    let policy = container.labels.get(names::RESTART).map_or("no", String::as_str);
    let finished = container.finished.unwrap_or_default();
    if restarts.stopped {
        return Phase::Halted(finished);
    }
    let again = || match restarts.count >= LOOP {
        // It goes on being started, and is shown for what it is.
        true => Phase::Looping(format!(
            "has ended and been restarted {} times, last with exit code {code}",
            restarts.count
        )),
        false => Phase::Halted(finished.plus(wait(container, restarts))),
    };
    let outside = FROM_OUTSIDE.contains(&code) && !container.oom_killed;
    match policy.split_once(':').unwrap_or((policy, "")) {
        ("always" | "unless-stopped", _) => again(),
        (_, _) if code == 0 => Phase::Completed,
        ("on-failure", most)
            if most.parse().is_ok_and(|most: u32| restarts.count.max(container.restarts) >= most) =>
        {
            crashed(container, code)
        }
        ("on-failure", _) => again(),
        _ if outside => again(),
        _ => crashed(container, code),
    }
}

fn crashed(container: &Container, code: i64) -> Phase {
    let memory = if container.oom_killed { ": it used more memory than it may" } else { "" };
    Phase::Crashed(format!("ended with exit code {code}{memory}"))
}

/// How long a container rests after it ended.
fn wait(container: &Container, restarts: Restarts) -> Duration {
    if ran_well(container) || restarts.count == 0 {
        return Duration::ZERO;
    }
    FIRST_WAIT.saturating_mul(1 << restarts.count.min(16)).min(MAX_WAIT)
}

/// Whether its last run was long enough to forget the ends before it.
pub fn ran_well(container: &Container) -> bool {
    matches!((container.started, container.finished), (Some(started), Some(finished)) if finished.since(started) >= RAN_WELL)
}

/// The moment at which a container that ends in a loop is started again.
pub fn loop_again(container: &Container, restarts: Restarts) -> Time {
    container.finished.unwrap_or_default().plus(wait(container, restarts))
}

/// One container of an allocation, for the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Docker's id, when it is there.
    pub id: Option<String>,
    /// How it is doing.
    pub phase: Phase,
}

/// What else decides how far an allocation is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// It cannot be as it is asked for.
    pub impossible: Option<String>,
    /// What went wrong when a step was last tried, and whether trying again can help.
    pub trouble: Option<(String, bool)>,
    /// Something is got ready first.
    pub preparing: Option<String>,
    /// It may not run now.
    pub barred: Option<String>,
    /// What is waited for.
    pub waiting: Option<String>,
    /// It was healthy with this specification.
    pub was_healthy: bool,
}

/// What an allocation comes to: its state, why, and the container whose log says more.
pub type Verdict = (AllocationState, Option<String>, Option<String>);

/// What an allocation that is to run comes to.
pub fn judge(parts: &[Part], situation: &Situation) -> Verdict {
    use AllocationState::{Failed, Healthy, Preparing, Starting, Stopped, Stopping, Unhealthy};
    let about = |part: &Part, text: &str| Some(format!("{} {text}", part.name));
    for part in parts {
        if let Phase::Crashed(text) | Phase::Looping(text) = &part.phase {
            return (Failed, about(part, text), part.id.clone());
        }
    }
    if let Some(reason) = &situation.impossible {
        return (Failed, Some(reason.clone()), None);
    }
    let alive = parts
        .iter()
        .any(|part| matches!(part.phase, Phase::Up | Phase::Warming | Phase::Sick(_) | Phase::Shaky(_)));
    let unwell = if situation.was_healthy { Unhealthy } else { Starting };
    match &situation.trouble {
        Some((reason, true)) => return (Failed, Some(reason.clone()), None),
        Some((reason, false)) => {
            let state = if situation.was_healthy || alive { unwell } else { Preparing };
            return (state, Some(reason.clone()), None);
        }
        None => {}
    }
    if let Some(barred) = &situation.barred {
        // Not stopped: that is what has ended well by itself.
        return (if alive { Stopping } else { Preparing }, Some(barred.clone()), None);
    }
    if let Some(preparing) = &situation.preparing {
        return (Preparing, Some(preparing.clone()), None);
    }
    if let Some((part, text)) = parts.iter().find_map(|part| Some((part, unwell_text(&part.phase)?))) {
        let failing =
            matches!(part.phase, Phase::Sick(_) | Phase::Shaky(_)).then(|| part.id.clone()).flatten();
        let reason = situation.waiting.clone().filter(|_| failing.is_none()).or_else(|| about(part, &text));
        return (unwell, reason, failing);
    }
    if let Some(waiting) = &situation.waiting {
        return (unwell, Some(waiting.clone()), None);
    }
    if !parts.is_empty() && parts.iter().all(|part| part.phase == Phase::Completed) {
        return (Stopped, Some("all its containers have ended with exit code 0".to_owned()), None);
    }
    (Healthy, None, None)
}

/// Why a container is not yet what it should be.
fn unwell_text(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Up | Phase::Completed => None,
        Phase::Missing => Some("is to be made".to_owned()),
        Phase::Created => Some("is to be started".to_owned()),
        Phase::Warming => Some("is not known to be healthy yet".to_owned()),
        Phase::Sick(output) if output.trim().is_empty() => Some("is unhealthy".to_owned()),
        Phase::Sick(output) => Some(format!("is unhealthy: {}", output.trim())),
        Phase::Shaky(text) | Phase::Looping(text) | Phase::Crashed(text) => Some(text.clone()),
        Phase::Paused => Some("is paused".to_owned()),
        Phase::Halted(_) => Some("has ended and is to be started again".to_owned()),
        Phase::Going => Some("is being removed".to_owned()),
        Phase::Held => Some("is stopped while a backup is taken".to_owned()),
    }
}

/// The restarts that are remembered, by container id.
pub type RestartBook = BTreeMap<String, Restarts>;
