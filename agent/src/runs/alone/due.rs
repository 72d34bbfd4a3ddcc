//! Which backup a host that is alone begins. Pure.
//!
//! Controllers follow the same rules (`controller/src/backup/due.rs`); what is more here is that a clock may jump and nobody is
//! there to notice: a backup never comes sooner after the last one than half of what its schedule leaves between two.

use omni_common::clock::Time;
use omni_common::domain::backup::{RunState, Schedule, StandingOrder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Tries of one time of a schedule.
const TRIES: u32 = 3;
/// Waits before the second and third.
const PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(5 * 60)];
/// Reasons that do not pass by waiting.
const LASTING: [&str; 4] = ["wrong_password", "repository_missing", "out_of_reach", "invalid"];

/// The last try of a host by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The time of the schedule that it served.
    pub due: Time,
    /// Which try it was, from one.
    pub attempt: u32,
    /// When it began.
    pub began: Time,
    /// When it was over.
    pub ended: Option<Time>,
    /// It failed for a reason that may pass.
    pub again: bool,
}

/// What a host knows about the backups of one instance, beyond what controllers told it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// When the newest backup began that took something, whoever ordered it.
    pub taken: Option<Time>,
    /// The last try of its own.
    pub tried: Option<Tried>,
}

/// The moment of a decision.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// The host's wall clock, which may jump.
    pub now: Time,
    /// For how long the host has been alone beyond its patience, by a clock that does not jump.
    pub alone: Duration,
    /// How long ago its last own try of each instance began, by that clock; absent when this process made none.
    pub rested: BTreeMap<String, Duration>,
}

/// A backup that is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Which of the orders.
    pub order: usize,
    /// The time of the schedule.
    pub at: Time,
    /// Which try.
    pub attempt: u32,
}

/// Environment, app, group and slot of an order, as one word.
pub(super) fn subject(order: &StandingOrder) -> String {
    let of = &order.task.instance;
    format!("{}/{} {}.{}", of.environment, of.app, of.group, of.slot)
}

/// The one backup that a host which is alone begins now: the one whose data is oldest.
pub(super) fn due(orders: &[StandingOrder], past: &BTreeMap<String, Past>, moment: &Moment) -> Option<Due> {
    let nothing = Past::default();
    let found = orders.iter().enumerate().filter_map(|(number, order)| {
        let subject = subject(order);
        let past = past.get(&subject).unwrap_or(&nothing);
        let (at, attempt) = of_one(order, past, moment, moment.rested.get(&subject).copied())?;
        Some((newest(order, past, moment.now), subject, Due { order: number, at, attempt }))
    });
    found.min_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1))).map(|(_, _, due)| due)
}

fn of_one(
    order: &StandingOrder,
    past: &Past,
    moment: &Moment,
    rested: Option<Duration>,
) -> Option<(Time, u32)> {
    let schedule = Schedule::new(&order.schedule, &order.time_zone).ok()?;
    let later = Duration::from_millis(order.later_ms);
    let now = moment.now;
    let at = schedule.last(now.minus(later))?;
    if let Some(tried) = past.tried.as_ref().filter(|tried| tried.due == at) {
        return again(tried, now, rested).then_some((at, tried.attempt + 1));
    }
    let gap = schedule.next(at)?.since(at) / 2;
    let own = past.tried.as_ref();
    let too_soon = match (rested, own) {
        (Some(rested), _) => rested < gap,
        // An earlier process made it, and the clock may have been set either way since.
        (None, Some(tried)) => now.since(tried.began) < gap && tried.began.since(now) < gap,
        (None, None) => false,
    };
    if too_soon {
        return None;
    }
    // A time that the clock has not reached was served by a clock that was wrong.
    let served_here = own.map(|tried| tried.due).filter(|due| *due <= now);
    let taken = past.taken.filter(|taken| *taken <= now);
    let is_served = order.served.max(served_here).is_some_and(|served| served >= at);
    if is_served || taken.is_some_and(|taken| taken >= at.plus(later)) {
        return None;
    }
    let late = now.since(at.plus(later));
    if late > Duration::from_millis(order.window_ms) {
        let catch_up = order.catch_up?;
        let young = |newest: Time| now.since(newest) <= Duration::from_millis(catch_up.older_than_ms);
        let waits = moment.alone < Duration::from_millis(catch_up.wait_ms);
        if waits || newest(order, past, now).is_some_and(young) {
            return None;
        }
    }
    Some((at, 1))
}

/// Whether what failed is tried again now.
fn again(tried: &Tried, now: Time, rested: Option<Duration>) -> bool {
    let Some(ended) = tried.ended.filter(|_| tried.again && tried.attempt < TRIES) else { return false };
    let pause = PAUSES[(tried.attempt as usize).saturating_sub(1).min(PAUSES.len() - 1)];
    // Both clocks, where there are two: one may have been set.
    now.since(ended) >= pause && rested.is_none_or(|rested| rested >= pause)
}

/// Whether a try that came to this may come to more the next time.
pub(super) fn may_pass(state: RunState, code: Option<&str>) -> bool {
    state == RunState::Failed && !code.is_some_and(|code| LASTING.contains(&code))
}

fn newest(order: &StandingOrder, past: &Past, now: Time) -> Option<Time> {
    order.newest.max(past.taken).filter(|newest| *newest <= now)
}
