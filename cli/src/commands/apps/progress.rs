//! What to make of an app while a change to it is waited for. Pure: two views in, words out.

use super::moves::at as at_stage;
use super::words::{instance, instance_word, movement};
use omni_common::api::v1::{AllocationView, AppView, DeploymentState, DeploymentView, MoveView};
use omni_common::ids::DeploymentId;
use std::collections::BTreeSet;

/// How far a deployment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not there yet; what it is at.
    Going(String),
    /// It is over, and the app is where it was to go.
    Done,
    /// It did not work out, or waits for a person: why, and the failing container's last lines.
    Bad {
        /// In a sentence.
        why: String,
        /// Last output of the container that failed.
        log: Option<String>,
    },
}

/// The deployment of that id, whether it is the newest or not.
pub(crate) fn deployment(app: &AppView, id: DeploymentId) -> Option<&DeploymentView> {
    app.deployment.iter().chain(&app.earlier_deployments).find(|one| one.id == id)
}

/// How far the deployment of that id has come.
pub(crate) fn verdict(app: &AppView, id: DeploymentId) -> Verdict {
    let name = format!("{}/{}", app.environment, app.name);
    let Some(deployment) = deployment(app, id) else {
        let why = format!(
            "the deployment of {name} is not known any more; `omni apps show {name}` tells how it is"
        );
        return Verdict::Bad { why, log: None };
    };
    let what = movement(deployment);
    let reason = deployment.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let why = match deployment.state {
        DeploymentState::Running => return Verdict::Going(at(app, deployment)),
        DeploymentState::Done => return Verdict::Done,
        DeploymentState::Paused => {
            format!(
                "the deployment of {name} ({what}) is paused{reason}; `omni rollout resume|promote|abort {name}`"
            )
        }
        DeploymentState::Failed => format!("the deployment of {name} ({what}) failed{reason}"),
        DeploymentState::RolledBack => {
            let back = deployment.from.map(|from| format!("; {name} goes back to release {from}"));
            format!("the deployment of {name} ({what}) failed{reason}{}", back.unwrap_or_default())
        }
        DeploymentState::Superseded => {
            format!("another deployment of {name} took the place of this one ({what})")
        }
        DeploymentState::Aborted => format!("the deployment of {name} ({what}) was given up{reason}"),
    };
    Verdict::Bad { why, log: deployment.log.clone().filter(|log| !log.trim().is_empty()) }
}

/// The instances that are being brought up, or what is waited for, in a few words.
fn at(app: &AppView, deployment: &DeploymentView) -> String {
    let fresh = app.allocations.iter().filter(|one| one.run && one.release == deployment.to && !one.lost);
    let busy: Vec<String> = fresh
        .filter(|one| one.state != omni_common::domain::AllocationState::Healthy)
        .map(|one| format!("{} on {} {}", instance(one), one.host_name, one.state))
        .collect();
    match (busy.first(), waits(app).into_iter().next()) {
        (Some(first), _) if busy.len() > 1 => format!("{first}, and {} more", busy.len() - 1),
        (Some(first), _) => first.clone(),
        (None, Some(wait)) => format!("waits: {wait}"),
        (None, None) => movement(deployment),
    }
}

/// `GROUP: why`, of all groups.
fn waits(app: &AppView) -> BTreeSet<String> {
    let groups = app.groups.iter();
    groups.flat_map(|group| group.waiting.iter().map(|why| format!("{}: {why}", group.name))).collect()
}

/// What happened between two looks, a line each; from the first look, all that is under way.
pub(crate) fn news(before: Option<&AppView>, now: &AppView) -> Vec<String> {
    let old =
        |one: &AllocationView| before.and_then(|app| app.allocations.iter().find(|old| old.id == one.id));
    let mut lines = Vec::new();
    for one in &now.allocations {
        let same = |old: &AllocationView| {
            (instance_word(old), &old.reason, old.run) == (instance_word(one), &one.reason, one.run)
        };
        if !old(one).is_some_and(same) {
            lines.push(line(one));
        }
    }
    let gone = before.into_iter().flat_map(|app| &app.allocations);
    for one in gone.filter(|old| now.allocations.iter().all(|one| one.id != old.id)) {
        lines.push(format!("{} on {}: gone (release {})", instance(one), one.host_name, one.release));
    }
    let stage = |app: &AppView| app.moving.as_ref().map(|one| (one.id, one.stage));
    if let Some(moving) = now.moving.as_ref().filter(|one| one.stage.is_open())
        && before.is_none_or(|before| stage(before) != stage(now))
    {
        let still = MoveView { progress: None, ..moving.clone() };
        lines.push(format!("{}/{}: {}", now.environment, now.name, at_stage(&still)));
    }
    let known = before.map(waits).unwrap_or_default();
    lines.extend(waits(now).difference(&known).map(|wait| format!("waits: {wait}")));
    lines
}

fn line(one: &AllocationView) -> String {
    let reason = one.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let place = format!("{} on {}", instance(one), one.host_name);
    format!("{place}: {} (release {}){reason}", instance_word(one), one.release)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{allocation, app, deployment as move_to};
    use omni_common::domain::AllocationState;

    fn deploying(state: DeploymentState) -> (AppView, DeploymentId) {
        let mut app = app("default", "shop");
        let running = DeploymentView { state, ..move_to(2, Some(1)) };
        let id = running.id;
        app.deployment = Some(running);
        app.allocations = vec![
            AllocationView { release: 2, state: AllocationState::Starting, ..allocation("main", 0, "web-1") },
            allocation("main", 1, "web-2"),
        ];
        (app, id)
    }

    fn bad(verdict: Verdict) -> (String, Option<String>) {
        match verdict {
            Verdict::Bad { why, log } => (why, log),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_deployment_under_way_says_what_it_is_at() {
        let (mut app, id) = deploying(DeploymentState::Running);
        assert_eq!(verdict(&app, id), Verdict::Going("main.0 on web-1 starting".to_owned()));
        app.allocations[1].release = 2;
        app.allocations[1].state = AllocationState::Pending;
        assert_eq!(verdict(&app, id), Verdict::Going("main.0 on web-1 starting, and 1 more".to_owned()));
        app.allocations.clear();
        app.groups[0].waiting = vec!["there is no host".to_owned()];
        assert_eq!(verdict(&app, id), Verdict::Going("waits: main: there is no host".to_owned()));
        app.groups[0].waiting.clear();
        assert_eq!(verdict(&app, id), Verdict::Going("release 1 -> 2".to_owned()));
    }

    #[test]
    fn the_outcome_is_told_also_when_another_deployment_has_begun() {
        let (mut app, id) = deploying(DeploymentState::Done);
        assert_eq!(verdict(&app, id), Verdict::Done);
        let failed = DeploymentView {
            state: DeploymentState::RolledBack,
            reason: Some("main.0 on web-1 never became healthy".to_owned()),
            log: Some("cannot bind\n".to_owned()),
            ..app.deployment.take().expect("just put there")
        };
        app.deployment = Some(DeploymentView { back: true, ..move_to(1, Some(2)) });
        app.earlier_deployments = vec![failed];
        let (why, log) = bad(verdict(&app, id));
        assert_eq!(
            why,
            "the deployment of default/shop (release 1 -> 2) failed: main.0 on web-1 never became healthy; \
             default/shop goes back to release 1"
        );
        assert_eq!(log.as_deref(), Some("cannot bind\n"));
        app.earlier_deployments.clear();
        assert!(bad(verdict(&app, id)).0.contains("not known any more"));
    }

    #[test]
    fn every_other_end_is_no_success() {
        for (state, word) in [
            (DeploymentState::Paused, "resume|promote|abort default/shop"),
            (DeploymentState::Failed, "failed"),
            (DeploymentState::Superseded, "took the place"),
            (DeploymentState::Aborted, "given up"),
        ] {
            let (app, id) = deploying(state);
            let (why, _) = bad(verdict(&app, id));
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn only_what_is_new_is_told() {
        let (app, _) = deploying(DeploymentState::Running);
        assert_eq!(
            news(None, &app),
            ["main.0 on web-1: starting (release 2)", "main.1 on web-2: healthy (release 1)"]
        );
        assert!(news(Some(&app), &app).is_empty());
        let mut later = app.clone();
        later.allocations[0].state = AllocationState::Failed;
        later.allocations[0].reason = Some("web exited with 1".to_owned());
        later.allocations.remove(1);
        later.groups[0].waiting = vec!["its host is down".to_owned()];
        assert_eq!(
            news(Some(&app), &later),
            [
                "main.0 on web-1: failed (release 2): web exited with 1",
                "main.1 on web-2: gone (release 1)",
                "waits: main: its host is down",
            ]
        );
    }
}
