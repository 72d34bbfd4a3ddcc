//! Turns changes of containers into events of the replicated state, within bounds.
//!
//! A container in a crash loop must not fill the log: each host may cause [`BURST`] events at once and
//! [`PER_SECOND`] on average. What is beyond is counted, and told in one event once there is room again.

use super::observed::ContainerChange;
use crate::app::ports::Propose;
use crate::state::{Actor, Command, NewEvent, Proposal};
use omni_common::clock::{Clock, Time};
use omni_common::domain::{Container, ContainerState, Health};
use omni_common::ids::{HostId, RequestId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Events one host may cause at once.
const BURST: f64 = 40.0;
/// Events one host may cause on average.
const PER_SECOND: f64 = 1.0;
/// Events waiting to be committed; beyond that the newest are dropped and counted.
const WAITING: usize = 10_000;
/// Most events in one command.
const BATCH: usize = 500;
const TICK: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Budget {
    room: f64,
    at: Time,
    dropped: u64,
}

/// Events on their way into the log.
#[derive(Default)]
pub(crate) struct ContainerEvents {
    waiting: Mutex<Vec<NewEvent>>,
    budgets: Mutex<BTreeMap<HostId, Budget>>,
}

impl ContainerEvents {
    /// Notes what changed on `host`.
    pub(crate) fn note(&self, host: HostId, name: &str, changes: Vec<ContainerChange>, now: Time) {
        for change in changes {
            let Some((kind, message, container)) = describe(&change, name) else {
                continue;
            };
            let event = event(host, kind, message, container, now);
            self.push(host, name, event, now);
        }
    }

    fn push(&self, host: HostId, name: &str, event: NewEvent, now: Time) {
        let mut budgets = self.budgets.lock().expect("no holder of this lock panics");
        let budget = budgets.entry(host).or_insert(Budget { room: BURST, at: now, dropped: 0 });
        budget.room = (budget.room + now.since(budget.at).as_secs_f64() * PER_SECOND).min(BURST);
        budget.at = now.max(budget.at);
        let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
        if budget.room < 1.0 || waiting.len() >= WAITING {
            budget.dropped += 1;
            metrics::counter!(crate::metrics::EVENTS_DROPPED).increment(1);
            return;
        }
        budget.room -= 1.0;
        let dropped = std::mem::take(&mut budget.dropped);
        if dropped > 0 {
            waiting.push(dropped_event(host, name, dropped, now));
        }
        waiting.push(event);
    }

    /// Commits what waits, until told to stop. What cannot be committed waits longer.
    pub(crate) async fn run(
        &self,
        proposer: Arc<dyn Propose>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let batch: Vec<_> = {
                let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
                let count = waiting.len().min(BATCH);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                continue;
            }
            let proposal = Proposal {
                request: RequestId::mint(),
                fingerprint: None,
                at: clock.now(),
                actor: Actor::system(),
                command: Command::RecordEvents(batch.clone()),
            };
            if let Err(error) = proposer.propose(proposal).await {
                tracing::debug!(error = %error, "events wait for the log");
                let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
                waiting.splice(0..0, batch);
            }
        }
    }
}

fn event(host: HostId, kind: &str, message: String, container: &Container, at: Time) -> NewEvent {
    let mut data = BTreeMap::from([
        ("container".to_owned(), container.name.clone()),
        ("id".to_owned(), container.short_id().to_owned()),
        ("image".to_owned(), container.image.clone()),
    ]);
    if let Some(role) = container.platform_role() {
        data.insert("component".to_owned(), role.component);
    }
    if let Some(code) = container.exit_code {
        data.insert("exit_code".to_owned(), code.to_string());
    }
    NewEvent { at, topic: "container".to_owned(), kind: kind.to_owned(), message, host: Some(host), data }
}

fn dropped_event(host: HostId, name: &str, count: u64, at: Time) -> NewEvent {
    NewEvent {
        at,
        topic: "container".to_owned(),
        kind: "container.events_dropped".to_owned(),
        message: format!("{count} container events of {name} were left out because there were too many"),
        host: Some(host),
        data: BTreeMap::from([("count".to_owned(), count.to_string())]),
    }
}

/// What is worth an event: life-cycle and health, not each restart counter.
fn describe<'a>(change: &'a ContainerChange, host: &str) -> Option<(&'static str, String, &'a Container)> {
    let (before, now) = match change {
        ContainerChange::Removed(gone) => {
            return Some(("container.removed", format!("{} was removed from {host}", gone.name), gone));
        }
        ContainerChange::Changed(before, now) => (before.as_deref(), &**now),
    };
    let name = &now.name;
    if before.is_none_or(|before| before.state != now.state || before.started != now.started) {
        let found = match now.state {
            ContainerState::Created if before.is_none() => {
                ("container.created", format!("{name} was made on {host}"))
            }
            ContainerState::Running => ("container.started", format!("{name} runs on {host}")),
            ContainerState::Paused => ("container.paused", format!("{name} is paused on {host}")),
            ContainerState::Restarting => ("container.restarting", format!("{name} restarts on {host}")),
            ContainerState::Exited | ContainerState::Dead if now.oom_killed => {
                ("container.oom", format!("{name} on {host} was killed for lack of memory"))
            }
            ContainerState::Exited | ContainerState::Dead => {
                let code =
                    now.exit_code.map_or_else(|| "unknown code".to_owned(), |code| format!("code {code}"));
                ("container.exited", format!("{name} on {host} ended with {code}"))
            }
            _ => return None,
        };
        return Some((found.0, found.1, now));
    }
    if before.is_some_and(|before| before.health != now.health) {
        return match now.health {
            Health::Healthy => Some(("container.healthy", format!("{name} on {host} is healthy"), now)),
            Health::Unhealthy => Some(("container.unhealthy", format!("{name} on {host} is unhealthy"), now)),
            Health::None | Health::Starting => None,
        };
    }
    None
}
