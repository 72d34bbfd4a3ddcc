//! Is the cluster well? One look a function; unknown counts as not well.

use super::App;
use super::apps::host_name;
use super::cluster::host_counts;
use super::ports::Group;
use super::protection::{about, protection};
use crate::backup::AppStanding;
use crate::state::{App as AppState, AppKey, Goal, HostStatus, State};
use omni_common::api::v1::{
    ClusterHealth, ContainerCounts, HealthCheck, HealthState, Protection, StrandedState, StrandedView,
};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Names listed in a message; the rest is a number.
const MAX_NAMED: usize = 5;

/// A loss is told for so long: over a long weekend.
const TOLD_FOR: Duration = Duration::from_secs(4 * 86_400);

impl App {
    /// Looks at everything.
    pub(crate) fn health_of(&self, state: &State, group: &Group) -> ClusterHealth {
        let unseen = state
            .hosts
            .values()
            .filter(|host| host.status == HostStatus::Up)
            .filter(|host| self.observed.host(host.id).is_none_or(|seen| seen.sample.is_none()))
            .count();
        let checks = vec![
            raft(group),
            controllers(state, group),
            disks(group),
            hosts(state),
            observations(unseen),
            containers(self.container_counts(state)),
            certificates(state, self.clock.now()),
            alerts(state),
            backups(state, &self.standings(state)),
            data(state, &self.stranded(state), self.clock.now()),
        ];
        ClusterHealth {
            state: checks.iter().map(|check| check.state).max().unwrap_or(HealthState::Unknown),
            checks,
            index: state.index,
        }
    }
}

fn check(name: &str, state: HealthState, message: impl Into<String>, hint: Option<&str>) -> HealthCheck {
    HealthCheck { name: name.to_owned(), state, message: message.into(), hint: hint.map(str::to_owned) }
}

fn raft(group: &Group) -> HealthCheck {
    match group.leader {
        Some(leader) => check("raft", HealthState::Ok, format!("controller {leader} leads"), None),
        None => check(
            "raft",
            HealthState::Failed,
            "no controller leads: nothing can be changed",
            Some("start controllers until more than half of the voters run"),
        ),
    }
}

fn controllers(state: &State, group: &Group) -> HealthCheck {
    let voters = group.voters.len();
    let reached =
        group.voters.iter().filter(|id| group.reached.iter().any(|status| status.id == **id)).count();
    let reached_ids: Vec<_> = group.reached.iter().map(|status| status.id).collect();
    let missing = state.controllers.values().filter(|one| !reached_ids.contains(&one.id));
    let missing = named(missing.map(|one| one.name.as_str()));
    let start = Some("start it again, or remove it with `omni controllers rm`");
    if reached <= voters / 2 {
        let message = format!("{reached} of {voters} voting controllers answer");
        return check("controllers", HealthState::Failed, message, start);
    }
    if let Some(missing) = missing {
        return check("controllers", HealthState::Degraded, format!("no answer from {missing}"), start);
    }
    if voters < 3 {
        let message = format!("{voters} of the 3 voting controllers that survive the loss of one");
        let hint = "add controllers with `omni token create --role controller`";
        return check("controllers", HealthState::Degraded, message, Some(hint));
    }
    check("controllers", HealthState::Ok, format!("all {voters} answer"), None)
}

fn disks(group: &Group) -> HealthCheck {
    let failing = group.reached.iter().find_map(|one| Some((one.id, one.disk_error.as_ref()?)));
    match failing {
        None => check("disks", HealthState::Ok, "every controller that answers can write its log", None),
        Some((id, reason)) => {
            let message = format!("controller {id} cannot write its log: {reason}");
            check(
                "disks",
                HealthState::Degraded,
                message,
                Some("make room on its disk; it goes on by itself"),
            )
        }
    }
}

fn hosts(state: &State) -> HealthCheck {
    let with = |status| {
        let hosts = state.hosts.values().filter(move |host| host.status == status);
        named(hosts.map(|host| host.name.as_str()))
    };
    let look = Some("see `omni hosts`");
    if let Some(down) = with(HostStatus::Down) {
        return check("hosts", HealthState::Degraded, format!("down: {down}"), look);
    }
    if let Some(suspect) = with(HostStatus::Suspect) {
        return check("hosts", HealthState::Degraded, format!("late with heartbeats: {suspect}"), look);
    }
    if let Some(pending) = with(HostStatus::Pending) {
        return check("hosts", HealthState::Unknown, format!("never heard of: {pending}"), look);
    }
    let counts = host_counts(state);
    match counts.total {
        0 => check(
            "hosts",
            HealthState::Ok,
            "no hosts yet",
            Some("add one with `omni token create --role agent`"),
        ),
        total => check("hosts", HealthState::Ok, format!("all {total} are up"), None),
    }
}

fn observations(unseen: usize) -> HealthCheck {
    match unseen {
        0 => check("observations", HealthState::Ok, "every host that is up reports", None),
        some => {
            let message = format!("{some} hosts are up, but this controller has no samples of them");
            check("observations", HealthState::Unknown, message, None)
        }
    }
}

fn containers(counts: ContainerCounts) -> HealthCheck {
    let ContainerCounts { total, running, unhealthy, restarting } = counts;
    if unhealthy + restarting == 0 {
        return check("containers", HealthState::Ok, format!("{running} of {total} run"), None);
    }
    let message = format!("{unhealthy} unhealthy, {restarting} restarting");
    check("containers", HealthState::Degraded, message, Some("see `omni ps`"))
}

fn certificates(state: &State, now: Time) -> HealthCheck {
    let hosts = state.hosts.values().map(|host| (host.name.as_str(), host.certificate.as_ref()));
    let controllers = state.controllers.values().map(|one| (one.name.as_str(), one.certificate.as_ref()));
    let over = hosts.chain(controllers).filter(|(_, own)| own.is_some_and(|own| own.not_after <= now));
    match named(over.map(|(name, _)| name)) {
        None => check("certificates", HealthState::Ok, "none has ended", None),
        Some(names) => {
            let hint =
                "it was away for longer than its certificate lives: let it join again with a new token";
            check("certificates", HealthState::Degraded, format!("ended: {names}"), Some(hint))
        }
    }
}

/// What Alertmanager reported: what is critical needs a person, what is not can wait for one.
fn alerts(state: &State) -> HealthCheck {
    let firing = || state.alerts.values().filter(|alert| alert.resolved.is_none());
    let critical = firing().filter(|alert| alert.severity.as_deref() == Some("critical"));
    match (named(critical.map(|alert| alert.name.as_str())), firing().count()) {
        (Some(names), _) => {
            check("alerts", HealthState::Degraded, format!("critical: {names}"), Some("see `omni alerts`"))
        }
        (None, 0) => check("alerts", HealthState::Ok, "none is reported", None),
        (None, some) => check("alerts", HealthState::Ok, format!("{some}, none of them critical"), None),
    }
}

/// Apps whose data would be lost, or that nobody has shown to come back, and repositories that are damaged.
fn backups(state: &State, standings: &[(Arc<AppState>, AppStanding)]) -> HealthCheck {
    let look = Some("see `omni backup status`");
    let damaged =
        state.repositories.values().filter(|one| one.checked.is_some_and(|checked| !checked.passed));
    if let Some(names) = named(damaged.map(|one| one.name.as_str())) {
        return check("backups", HealthState::Degraded, format!("damaged repositories: {names}"), look);
    }
    let such = |wanted: fn(&AppStanding) -> bool| {
        // Data of what is stopped does not change.
        let run = standings.iter().filter(|(app, _)| app.goal == Goal::Run);
        let found: Vec<String> =
            run.filter(|(_, own)| wanted(own)).map(|(app, _)| app.key.to_string()).collect();
        named(found.iter().map(String::as_str))
    };
    let overdue = such(|own| matches!(protection(own), Protection::Overdue | Protection::Unprotected));
    let undrilled = such(|own| protection(own) == Protection::Unproven && own.drill_overdue);
    match (overdue, undrilled) {
        // Backups are a choice until there is a place for them; `omni backup status` says what that means.
        (Some(names), _) if state.repositories.is_empty() => {
            let message = format!("there is no repository, and data of {names} is nowhere else");
            let hint = "add one with `omni backup repo add`";
            check("backups", HealthState::Ok, message, Some(hint))
        }
        (Some(names), _) => check("backups", HealthState::Degraded, format!("overdue: {names}"), look),
        (None, Some(names)) => {
            check("backups", HealthState::Degraded, format!("no drill passed lately: {names}"), look)
        }
        (None, None) => check("backups", HealthState::Ok, "no app's backups are overdue", None),
    }
}

/// Data on lost hosts: what does not come back by itself needs a person, and what came back without its last part is told
/// for some days.
fn data(state: &State, stranded: &BTreeMap<AppKey, Vec<StrandedView>>, now: Time) -> HealthCheck {
    let all = || stranded.iter().flat_map(|(app, views)| views.iter().map(move |view| (app, view)));
    let stuck = |(_, view): &(&AppKey, &StrandedView)| {
        matches!(view.state, StrandedState::TooOld | StrandedState::Stuck)
    };
    let sentence = |(app, view): (&AppKey, &StrandedView)| {
        format!("{app} {}.{} on {}: {}", view.group, view.slot, view.host_name, view.why)
    };
    if let Some((app, view)) = all().find(stuck) {
        let hint = format!("start {} again, or see `omni apps show {}`", view.host_name, app.name);
        let message = sentence((app, view)) + &besides(all().filter(stuck).count() - 1);
        return check("data", HealthState::Degraded, message, Some(&hint));
    }
    if let Some(first) = all().next() {
        return check("data", HealthState::Degraded, sentence(first), None);
    }
    match lately_lost(state, now) {
        None => check("data", HealthState::Ok, "no data is on a lost host", None),
        Some((message, hint)) => check("data", HealthState::Ok, message, Some(&hint)),
    }
}

/// What came back without its last part not long ago, the newest of it, and what to do about it.
fn lately_lost(state: &State, now: Time) -> Option<(String, String)> {
    let all =
        state.apps.values().flat_map(|app| app.rescued.iter().map(move |(own, rescued)| (app, own, rescued)));
    let mut lately: Vec<_> = all.filter(|(_, _, rescued)| now.since(rescued.at) <= TOLD_FOR).collect();
    lately.sort_by_key(|(_, _, rescued)| std::cmp::Reverse(rescued.at));
    let (app, (group, slot), rescued) = lately.first()?;
    let name = |host: HostId| host_name(state, host);
    let message = format!(
        "{} {group}.{slot} came back on {} without its last {} before {} was lost{}",
        app.key,
        name(rescued.to),
        about(rescued.down.since(rescued.taken)),
        name(rescued.from),
        besides(lately.len() - 1),
    );
    let hint = format!("enter again what was written to it between {} and {}", rescued.taken, rescued.down);
    Some((message, hint))
}

/// What is added to the first of several.
fn besides(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!("; and {others} more"),
    }
}

/// A few names and how many more there are; absent when there are none.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let all: Vec<&str> = names.collect();
    let shown = all[..all.len().min(MAX_NAMED)].join(", ");
    match all.len() {
        0 => None,
        n if n > MAX_NAMED => Some(format!("{shown} and {} more", n - MAX_NAMED)),
        _ => Some(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(named([].into_iter()), None);
        assert_eq!(named(["a", "b"].into_iter()).as_deref(), Some("a, b"));
        assert_eq!(named(["x"; 7].into_iter()).as_deref(), Some("x, x, x, x, x and 2 more"));
    }

    #[test]
    fn without_a_leader_or_a_majority_it_failed() {
        let group = Group::default();
        assert_eq!(raft(&group).state, HealthState::Failed);
        assert_eq!(controllers(&State::default(), &group).state, HealthState::Failed);
    }

    #[test]
    fn the_worst_look_counts() {
        assert!(HealthState::Ok < HealthState::Unknown);
        assert!(HealthState::Degraded < HealthState::Failed);
    }
}
