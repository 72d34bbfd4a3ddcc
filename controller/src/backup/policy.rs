//! When, where to, for how long and how it is proven: by hand over the release, over the cluster's defaults, over the
//! tier's. The tiers' values are those of `compose/backup/policies/policies.yaml`.

use crate::state::{App, State, Tier};
use omni_common::domain::backup::{DrillOptions, PolicyOptions, Probe, Schedule, Span};
use std::collections::BTreeMap;
use std::time::Duration;

/// What holds for an app.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Nothing of it is backed up, because that was said.
    pub skip: bool,
    /// Repository; absent when none is named and there is not just one.
    pub to: Option<String>,
    /// Repositories that snapshots are copied to.
    pub copy_to: Vec<String>,
    /// When backups begin, but for `jitter`.
    pub schedule: Schedule,
    /// Its words.
    pub schedule_text: String,
    /// Time zone of the schedules.
    pub time_zone: String,
    /// Backups begin up to this much later.
    pub jitter: Duration,
    /// A run that takes longer is given up.
    pub max_duration: Duration,
    /// Oldest that the newest proven snapshot may be.
    pub max_age: Duration,
    /// What is kept, in restic's words without `keep-`.
    pub retention: BTreeMap<String, String>,
    /// How restores are proven; absent for not at all.
    pub drills: Option<Drills>,
    /// Why it cannot be carried out as it stands.
    pub fault: Option<String>,
}

/// How restores are proven.
#[derive(Clone, Debug, PartialEq)]
pub struct Drills {
    /// When they begin.
    pub schedule: Schedule,
    /// Its words.
    pub schedule_text: String,
    /// They begin up to this much later.
    pub jitter: Duration,
    /// One that takes longer is given up.
    pub max_duration: Duration,
    /// Oldest that the last one that passed may be.
    pub max_age: Duration,
    /// One that takes longer has failed.
    pub restore_within: Duration,
    /// What has to hold.
    pub probes: Vec<Probe>,
}

struct Defaults {
    schedule: &'static str,
    jitter: u64,
    max_duration: u64,
    max_age: u64,
    retention: &'static [(&'static str, &'static str)],
    drill: &'static str,
    drill_jitter: u64,
    drill_duration: u64,
    drill_age: u64,
    within: u64,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

fn of_tier(tier: Tier) -> Defaults {
    match tier {
        Tier::Critical => Defaults {
            schedule: "0 * * * *",
            jitter: 5 * MINUTE,
            max_duration: 15 * MINUTE,
            max_age: 2 * HOUR,
            retention: &[
                ("last", "1"),
                ("within", "1d"),
                ("hourly", "2d"),
                ("daily", "30d"),
                ("weekly", "90d"),
                ("monthly", "1y"),
                ("yearly", "3y"),
            ],
            drill: "0 6 * * 2",
            drill_jitter: 4 * HOUR,
            drill_duration: HOUR,
            drill_age: 9 * DAY,
            within: 15 * MINUTE,
        },
        Tier::High => Defaults {
            schedule: "10 */4 * * *",
            jitter: 20 * MINUTE,
            max_duration: 45 * MINUTE,
            max_age: 6 * HOUR,
            retention: &[
                ("last", "1"),
                ("within", "1d"),
                ("hourly", "2d"),
                ("daily", "30d"),
                ("weekly", "90d"),
                ("monthly", "1y"),
            ],
            drill: "0 7 3 * *",
            drill_jitter: 6 * HOUR,
            drill_duration: 2 * HOUR,
            drill_age: 35 * DAY,
            within: HOUR,
        },
        Tier::Medium => Defaults {
            schedule: "30 1 * * *",
            jitter: 45 * MINUTE,
            max_duration: 90 * MINUTE,
            max_age: 30 * HOUR,
            retention: &[("last", "1"), ("daily", "14d"), ("weekly", "60d"), ("monthly", "180d")],
            drill: "0 8 5 1,4,7,10 *",
            drill_jitter: DAY,
            drill_duration: 4 * HOUR,
            drill_age: 100 * DAY,
            within: 4 * HOUR,
        },
        Tier::Standard => Defaults {
            schedule: "15 2 * * *",
            jitter: HOUR,
            max_duration: HOUR,
            max_age: 48 * HOUR,
            retention: &[("last", "1"), ("daily", "7d"), ("weekly", "30d"), ("monthly", "90d")],
            drill: "0 8 9 2,8 *",
            drill_jitter: DAY,
            drill_duration: 4 * HOUR,
            drill_age: 200 * DAY,
            within: 24 * HOUR,
        },
    }
}

/// What holds for an app whose release says `release`.
pub fn policy(state: &State, app: &App, release: &PolicyOptions) -> Policy {
    let by_hand = state.backup_policies.get(&app.key).map(|policy| PolicyOptions::clone(policy));
    let said = by_hand.unwrap_or_default().over(release.clone()).over(state.backup_defaults.policy.clone());
    let groups = app.wanted().into_iter().flat_map(|release| release.groups.values());
    let none = if app.key.is_controllers() { Tier::Critical } else { Tier::Standard };
    let tier = of_tier(groups.map(|group| group.tier).min().unwrap_or(none));
    let only = || {
        let mut all = state.repositories.keys();
        all.next().filter(|_| all.next().is_none()).cloned()
    };
    let to = said.to.clone().or_else(only);
    let copy_to: Vec<String> = said
        .copy_to
        .clone()
        .unwrap_or_default()
        .into_iter()
        .filter(|name| Some(name) != to.as_ref())
        .collect();
    let zone = said.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
    let (schedule_text, schedule) = schedule(said.schedule.as_deref(), tier.schedule, &zone);
    let retention = said.retention.clone().unwrap_or_else(|| {
        tier.retention.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    });
    Policy {
        skip: said.skip.unwrap_or(false),
        fault: fault(state, to.as_ref(), &copy_to),
        to,
        copy_to,
        schedule,
        schedule_text,
        jitter: length(said.jitter, tier.jitter),
        max_duration: length(said.max_duration, tier.max_duration),
        max_age: length(said.max_age, tier.max_age),
        retention: retention.into_iter().map(|(key, value)| (keep_option(&key), value)).collect(),
        drills: drills(said.drill.unwrap_or_default(), &tier, &zone),
        time_zone: zone,
    }
}

fn drills(said: DrillOptions, tier: &Defaults, zone: &str) -> Option<Drills> {
    if said.skip == Some(true) {
        return None;
    }
    let (schedule_text, schedule) = schedule(said.schedule.as_deref(), tier.drill, zone);
    let own = said.schedule.is_some();
    Some(Drills {
        schedule,
        schedule_text,
        // A schedule of one's own may be more frequent than the tier's jitter.
        jitter: Duration::from_secs(if own { 0 } else { tier.drill_jitter }),
        max_duration: Duration::from_secs(tier.drill_duration).max(length(said.restore_within, 0)),
        max_age: length(said.max_age, tier.drill_age),
        restore_within: length(said.restore_within, tier.within),
        probes: said.probes.unwrap_or_else(|| vec![Probe::Facts { item: None }]),
    })
}

fn schedule(said: Option<&str>, usual: &str, zone: &str) -> (String, Schedule) {
    let usual_schedule = || Schedule::new(usual, "UTC").expect("the tiers' schedules are tested");
    let text = said.unwrap_or(usual);
    // It was looked at when it was said; a time zone may be unknown to an older controller.
    (text.to_owned(), Schedule::new(text, zone).unwrap_or_else(|_| usual_schedule()))
}

fn length(said: Option<Span>, usual_secs: u64) -> Duration {
    said.map_or(Duration::from_secs(usual_secs), Span::duration)
}

fn keep_option(key: &str) -> String {
    match key {
        "last" | "within" => key.to_owned(),
        other => format!("within-{other}"),
    }
}

fn fault(state: &State, to: Option<&String>, copy_to: &[String]) -> Option<String> {
    if to.is_none() {
        return Some(match state.repositories.len() {
            0 => "there is no repository; add one with `omni backup repo add`".to_owned(),
            _ => "no repository is named; say `x-omni.backup.to`, or set the default with `omni backup defaults`"
                .to_owned(),
        });
    }
    let mut named = copy_to.iter().chain(to);
    let missing = named.find(|name| !state.repositories.contains_key(*name));
    missing.map(|name| format!("there is no repository `{name}`; add it with `omni backup repo add`"))
}

/// A delay within `jitter` that is the same every time for one subject, so that load is level and intervals stay even.
pub(super) fn offset(subject: &str, jitter: Duration) -> Duration {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(subject.as_bytes()).into();
    let hash = u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ]);
    match jitter.as_secs() {
        0 => Duration::ZERO,
        secs => Duration::from_secs(hash % secs),
    }
}
