//! Backups that a host takes by itself while no controller is reachable: what it has to know ahead. As due.rs decides, so does
//! the agent by what stands here.

use super::give::is_made;
use super::limits::Limits;
use super::opening::Opener;
use super::order::lone_backup;
use super::policy::{offset, policy};
use crate::state::{Allocation, Goal, Run, RunKind, RunTask, State, subject};
use omni_common::domain::backup::{CatchUp, ItemName, StandingOrder, StandingOrders};
use omni_common::ids::{HostId, RunId};
use omni_common::wire::MAX_STANDING;
use std::time::Duration;

/// All that a host may do by itself: backups of the instances that live there, into repositories that are known to exist.
/// Whatever does not fit waits for a controller.
pub(crate) fn standing(state: &State, host: HostId, limits: &Limits, opener: &dyn Opener) -> StandingOrders {
    let mut orders = StandingOrders::default();
    let mut bytes = 0;
    let here = state.allocations_on(host).filter(|held| held.counts());
    for found in here.filter_map(|held| of_one(state, held, limits, opener)) {
        let size = serde_json::to_vec(&found).map_or(MAX_STANDING, |bytes| bytes.len() + 1);
        // Room for the brackets around them.
        if bytes + size + 64 > MAX_STANDING {
            continue;
        }
        bytes += size;
        orders.orders.push(found);
    }
    orders
}

fn of_one(state: &State, held: &Allocation, limits: &Limits, opener: &dyn Opener) -> Option<StandingOrder> {
    let app = state.apps.get(&held.app).filter(|app| app.goal == Goal::Run)?;
    if state.open_move(&app.key).is_some() {
        return None;
    }
    let (_, outline) = opener.release(state, &app.key, app.release)?;
    let policy = policy(state, app, &outline);
    let items = outline.groups.get(&held.group).filter(|items| !items.is_empty())?;
    let to = policy.to.as_ref().filter(|_| !policy.skip && policy.fault.is_none())?;
    let repository = state.repositories.get(to)?;
    // Who makes a repository must be alone in that, which a host that is alone cannot know.
    if repository.host.is_some_and(|only| only != held.host) || !is_made(state, to) {
        return None;
    }
    let instance = (held.group.clone(), held.slot);
    let items: Vec<ItemName> = items.iter().map(|item| item.name.clone()).collect();
    let run = Run {
        app: Some(app.key.clone()),
        instance: Some(instance.clone()),
        release: held.release,
        ..Run::new(
            RunId::from_u128(0),
            RunTask::Backup { items: items.clone() },
            to,
            millis(policy.max_duration),
        )
    };
    let mut task = lone_backup(state, &run, &items, opener).ok()?;
    task.to.create = false;
    let subject = subject(run.app.as_ref(), run.instance.as_ref(), "");
    let newest = state
        .snapshots_of(&app.key)
        .rev()
        .find(|(key, one)| one.whole && one.instance == instance && key.repository == *to);
    Some(StandingOrder {
        task,
        release: held.release,
        max_duration_ms: run.max_duration_ms,
        schedule: policy.schedule_text.clone(),
        time_zone: policy.time_zone.clone(),
        later_ms: millis(offset(&subject, policy.jitter)),
        served: state.run_marks.get(&(RunKind::Backup, subject.clone())).copied(),
        newest: newest.map(|(key, _)| key.taken),
        window_ms: millis(policy.jitter + policy.max_duration + policy.copy_duration),
        catch_up: limits.catch_up.then(|| CatchUp {
            older_than_ms: millis(policy.max_age / 2),
            wait_ms: millis(offset(&subject, limits.spread)),
        }),
    })
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
