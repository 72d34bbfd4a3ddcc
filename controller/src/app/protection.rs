//! How protected apps are: for people, for `omni health`, for Prometheus.

use super::backups::{host_name, millis};
use super::{App, AppError};
use crate::backup::{AppStanding, CopyStanding, controllers, controllers_standing, standing};
use crate::state::{App as AppState, Goal, State};
use omni_common::api::v1::{AppBackupView, CopyView, Page, Protection};
use omni_common::clock::Time;
use std::sync::Arc;
use std::time::Duration;

impl App {
    /// How the backups of every app stand, by environment and name.
    pub fn backup_status(&self, state: &State) -> Result<Page<AppBackupView>, AppError> {
        Ok(Page::whole(self.standings(state).iter().map(|(app, own)| self.view(state, app, own)).collect()))
    }

    /// How the backups of every app that is to stay stand.
    /// The controllers' own state comes last.
    pub(super) fn standings(&self, state: &State) -> Vec<(Arc<AppState>, AppStanding)> {
        let now = self.clock.now();
        let apps = state.apps.values().filter(|app| matches!(app.goal, Goal::Run | Goal::Stop));
        let of_apps = apps.filter_map(|app| {
            let outline = self.releases.outline(state, &app.wanted()?.spec)?;
            Some((Arc::clone(app), standing(state, app, &outline, now)))
        });
        let own =
            (Arc::new(controllers::app(state)), controllers_standing(state, self.releases.policies(), now));
        of_apps.chain([own]).collect()
    }

    fn view(&self, state: &State, app: &AppState, own: &AppStanding) -> AppBackupView {
        let protection = protection(own);
        let rules = &own.three_two_one;
        AppBackupView {
            environment: app.key.environment.clone(),
            app: app.key.name.clone(),
            protection,
            sentence: sentence(state, app, own, protection),
            age_ms: own.age.map(millis),
            max_age_ms: millis(own.policy.max_age),
            why: own.why.clone(),
            restore_ms: own.restore.map(millis),
            drilled: own.drilled,
            drill_why: own.drill_why.clone(),
            copies: own.copies.iter().map(copy).collect(),
            copy_count: rules.copies,
            media: rules.media,
            offsite: rules.offsite,
            missing: if is_needed(own) { rules.missing.clone() } else { Vec::new() },
            next: next(own, self.clock.now()),
            next_drill: next_drill(own, self.clock.now()),
        }
    }
}

/// In a word.
pub(super) fn protection(own: &AppStanding) -> Protection {
    match own.age {
        _ if !is_needed(own) => Protection::NotNeeded,
        None => Protection::Unprotected,
        Some(_) if own.overdue => Protection::Overdue,
        Some(_) if own.drill_overdue || own.restore.is_none() => Protection::Unproven,
        Some(_) => Protection::Proven,
    }
}

fn is_needed(own: &AppStanding) -> bool {
    own.has_data && !own.policy.skip
}

fn next(own: &AppStanding, now: Time) -> Option<Time> {
    own.policy.schedule.next(now).filter(|_| is_needed(own) && own.policy.fault.is_none())
}

/// A drill needs something to bring back.
fn next_drill(own: &AppStanding, now: Time) -> Option<Time> {
    let drills = own.policy.drills.as_ref()?;
    let stored = own.copies.iter().any(|copy| copy.sets > 0);
    drills.schedule.next(now).filter(|_| is_needed(own) && own.policy.fault.is_none() && stored)
}

fn copy(own: &CopyStanding) -> CopyView {
    CopyView { repository: own.repository.clone(), newest: own.newest, checked: own.checked, count: own.sets }
}

/// What is lost when the host of an app's data dies now, and when the app is back.
fn sentence(state: &State, app: &AppState, own: &AppStanding, protection: Protection) -> String {
    let key = &app.key;
    if key.is_controllers() {
        return of_controllers(own, protection);
    }
    if protection == Protection::NotNeeded {
        return match own.policy.skip {
            true => format!("backups of {key} are switched off: its data goes with its host"),
            false => format!("{key} has no data of its own to lose"),
        };
    }
    let homes: std::collections::BTreeSet<_> = app.homes.values().flatten().copied().collect();
    let host = match homes.len() {
        1 => homes.first().map(|host| format!("host {}", host_name(state, *host))).unwrap_or_default(),
        _ => "a host with its data".to_owned(),
    };
    let loses = match own.age {
        None => format!("{key} loses all its data ({})", own.why),
        Some(age) => format!("{key} loses {}", about(age)),
    };
    let back = match (own.age, own.restore) {
        (None, _) => String::new(),
        (Some(_), Some(took)) => format!(" and is back in about {}", about(took)),
        (Some(_), None) => format!(", and how long it takes to be back is not known ({})", own.drill_why),
    };
    format!("if {host} dies now, {loses}{back}")
}

/// The same of the controllers' own state.
fn of_controllers(own: &AppStanding, protection: Protection) -> String {
    match (protection, own.age) {
        (Protection::NotNeeded, _) => {
            "backups of the controllers are switched off: the cluster goes with them".to_owned()
        }
        (_, None) => format!("if all controllers are lost now, the cluster is lost ({})", own.why),
        (_, Some(age)) => {
            format!("if all controllers are lost now, what was decided in the last {} is gone", about(age))
        }
    }
}

/// A length of time as people say it.
pub(super) fn about(length: Duration) -> String {
    let secs = length.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}
