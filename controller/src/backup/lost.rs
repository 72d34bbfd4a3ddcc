//! Runs that will not come to an end by themselves: their host is down, or their time is over.
//!
//! A host that is down has been fenced: it lost its lease, and was waited for. What may be done elsewhere is done there;
//! what belongs to that host's data has failed.

use crate::state::command::RunStep;
use crate::state::{HostStatus, Run, RunKind, State};
use omni_common::clock::Time;
use omni_common::domain::backup::RunState;
use std::time::Duration;

/// A host gives its run up by itself when its time is over; this long after that it is taken for lost.
const GRACE: Duration = Duration::from_secs(10 * 60);
/// A host that was given a run begins within this, or another one may.
const BEGIN_WITHIN: Duration = Duration::from_secs(15 * 60);
/// A run that found no host for so long is given up, and says why it waited.
const WAIT_AT_MOST: Duration = Duration::from_secs(2 * 3600);
/// The same for copies, which are worth more than the place in the queue that they take.
const COPY_WAITS_AT_MOST: Duration = Duration::from_secs(24 * 3600);

pub(super) fn steps(state: &State, now: Time) -> Vec<RunStep> {
    state.open_runs().filter_map(|run| step(state, run, now)).collect()
}

fn step(state: &State, run: &Run, now: Time) -> Option<RunStep> {
    let Some(host) = run.host else { return overdue(run, now) };
    let known = state.hosts.get(&host);
    let name = known.map_or("a removed host", |host| host.name.as_str());
    if known.is_none_or(|host| host.status == HostStatus::Down) {
        return Some(take_back(run, "host_lost", format!("host {name} went down")));
    }
    let allowed = Duration::from_millis(run.max_duration_ms).saturating_add(GRACE);
    match run.began {
        Some(began) if now.since(began) > allowed => Some(RunStep::End {
            run: run.id,
            state: RunState::Failed,
            code: "timed_out".to_owned(),
            why: format!("host {name} did not come to an end within its time"),
        }),
        None if run.given.is_some_and(|given| now.since(given) > BEGIN_WITHIN) => {
            Some(take_back(run, "not_begun", format!("host {name} did not begin with it")))
        }
        _ => None,
    }
}

fn take_back(run: &Run, code: &str, why: String) -> RunStep {
    let anywhere =
        run.only.is_none() && !matches!(run.kind(), RunKind::Backup | RunKind::Restore | RunKind::Move);
    match anywhere {
        true => RunStep::TakeBack { run: run.id, why },
        false => RunStep::End { run: run.id, state: RunState::Failed, code: code.to_owned(), why },
    }
}

fn overdue(run: &Run, now: Time) -> Option<RunStep> {
    let most = match run.kind() {
        RunKind::Copy => COPY_WAITS_AT_MOST,
        _ => WAIT_AT_MOST.max(Duration::from_millis(run.max_duration_ms)),
    };
    let waited = now.since(run.created.max(run.not_before)) > most;
    waited.then(|| RunStep::End {
        run: run.id,
        state: RunState::Failed,
        code: "no_host".to_owned(),
        why: run.message.clone().unwrap_or_else(|| "no host was free for it".to_owned()),
    })
}
