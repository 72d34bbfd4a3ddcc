//! When, where to, for how long and how it is proven: by hand over the release, over the cluster's defaults, over the rules of
//! the component or tier ([`super::basis`]). Each value knows which of them says it.

use super::basis::BasisOf;
use super::items::Outline;
use crate::state::{App, State};
use omni_catalogue::policies::{Engine, Probe as Rule, ProbeKind};
use omni_common::domain::backup::{DrillOptions, Item, PolicyOptions, Probe, Schedule, Span, Take};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a copy may take, in lengths of the backup, where only the backup's is said.
const COPY_LENGTHS: u32 = 2;

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
    /// Copies that take longer are given up.
    pub copy_duration: Duration,
    /// Oldest that the newest proven snapshot may be.
    pub max_age: Duration,
    /// What is kept, in restic's words without `keep-`.
    pub retention: BTreeMap<String, String>,
    /// How restores are proven; absent for not at all.
    pub drills: Option<Drills>,
    /// Whose rules hold where nobody says anything.
    pub basis: BasisOf,
    /// Who says what.
    pub sources: Sources,
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

/// Who says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A person, for this app.
    Hand,
    /// The app's compose file.
    File,
    /// The cluster's defaults.
    Defaults,
    /// The rules of the policy's basis.
    Rules,
    /// Nobody: there is only one repository.
    OnlyOne,
}

/// Who says each value of a policy; absent where nobody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Whether anything is taken.
    pub skip: Option<Source>,
    /// Repository.
    pub to: Option<Source>,
    /// Repositories that snapshots are copied to.
    pub copy_to: Option<Source>,
    /// Schedule.
    pub schedule: Source,
    /// Time zone.
    pub time_zone: Source,
    /// Jitter.
    pub jitter: Source,
    /// Length of a run.
    pub max_duration: Source,
    /// Age.
    pub max_age: Source,
    /// Retention.
    pub retention: Source,
    /// Whether there are drills.
    pub drill_skip: Option<Source>,
    /// Schedule of drills.
    pub drill_schedule: Source,
    /// Age of a drill.
    pub drill_max_age: Source,
    /// Length of a drill.
    pub drill_restore_within: Source,
    /// What a drill looks at.
    pub drill_probes: Source,
}

/// What was said, from the strongest word to the weakest.
struct Layers<'a> {
    said: [(Source, &'a PolicyOptions); 3],
    rules: &'a PolicyOptions,
}

impl Layers<'_> {
    /// What somebody said.
    fn said<T>(&self, get: impl Fn(&PolicyOptions) -> Option<T>) -> Option<(T, Source)> {
        self.said.iter().find_map(|(source, options)| Some((get(options)?, *source)))
    }

    /// What somebody said, or else the rules.
    fn find<T>(&self, get: impl Fn(&PolicyOptions) -> Option<T>) -> (T, Source) {
        let rules = || (get(self.rules).expect("rules leave nothing out"), Source::Rules);
        self.said(&get).unwrap_or_else(rules)
    }

    fn length(&self, get: impl Fn(&PolicyOptions) -> Option<Span>) -> (Duration, Source) {
        let (span, source) = self.find(get);
        (span.duration(), source)
    }

    fn drill<T>(&self, get: impl Fn(&DrillOptions) -> Option<T>) -> Option<(T, Source)> {
        self.said(|options| get(options.drill.as_ref()?))
    }
}

/// What holds for an app whose wanted release is outlined.
pub fn policy(state: &State, app: &App, outline: &Outline) -> Policy {
    let nothing = PolicyOptions::default();
    let by_hand = state.backup_policies.get(&app.key).map_or(&nothing, |policy| &**policy);
    let layers = Layers {
        said: [
            (Source::Hand, by_hand),
            (Source::File, &outline.options),
            (Source::Defaults, &state.backup_defaults.policy),
        ],
        rules: &outline.basis.options,
    };
    let rules = &outline.basis.rules;
    let (to, to_by) = destination(state, &layers, &rules.repository);
    let (copy_to, copy_to_by) = copies(state, &layers, to.as_deref(), &rules.copy_to);
    let (time_zone, time_zone_by) = layers.find(|options| options.time_zone.clone());
    let (schedule_text, schedule_by) = layers.find(|options| options.schedule.clone());
    let (jitter, jitter_by) = layers.length(|options| options.jitter);
    let (max_duration, max_duration_by) = layers.length(|options| options.max_duration);
    let (max_age, max_age_by) = layers.length(|options| options.max_age);
    let (retention, retention_by) = layers.find(|options| options.retention.clone());
    let skip = layers.said(|options| options.skip);
    let drill_skip = layers.drill(|drill| drill.skip);
    let (drills, drill_by) = drills(&layers, outline, &time_zone);
    Policy {
        skip: skip.is_some_and(|(skip, _)| skip),
        fault: fault(state, to.as_ref(), &copy_to),
        schedule: schedule(&schedule_text, &time_zone, &rules.schedule, &rules.time_zone),
        schedule_text,
        jitter,
        max_duration,
        copy_duration: match max_duration_by {
            Source::Rules => rules.copy_duration.duration(),
            _ => max_duration * COPY_LENGTHS,
        },
        max_age,
        retention: retention.into_iter().map(|(key, value)| (keep_option(&key), value)).collect(),
        drills: (!drill_skip.is_some_and(|(skip, _)| skip)).then_some(drills),
        basis: outline.basis.of.clone(),
        sources: Sources {
            skip: skip.map(|(_, source)| source),
            to: to_by,
            copy_to: copy_to_by,
            schedule: schedule_by,
            time_zone: time_zone_by,
            jitter: jitter_by,
            max_duration: max_duration_by,
            max_age: max_age_by,
            retention: retention_by,
            drill_skip: drill_skip.map(|(_, source)| source),
            drill_schedule: drill_by[0],
            drill_max_age: drill_by[1],
            drill_restore_within: drill_by[2],
            drill_probes: drill_by[3],
        },
        to,
        copy_to,
        time_zone,
    }
}

/// The repository that is named; else that of the rules when the cluster has one of that name; else the only one.
fn destination(state: &State, layers: &Layers<'_>, usual: &str) -> (Option<String>, Option<Source>) {
    let only = || {
        let mut all = state.repositories.keys();
        let first = all.next().filter(|_| all.next().is_none())?;
        Some((first.clone(), Source::OnlyOne))
    };
    let usual = || state.repositories.contains_key(usual).then(|| (usual.to_owned(), Source::Rules));
    layers.said(|options| options.to.clone()).or_else(usual).or_else(only).unzip()
}

/// The copies that are named; else those of the rules that the cluster has, where backups go to the repository that they
/// belong to. Whoever sends an app's data elsewhere says where its copies go, too.
fn copies(
    state: &State,
    layers: &Layers<'_>,
    to: Option<&str>,
    usual: &[String],
) -> (Vec<String>, Option<Source>) {
    if let Some((named, source)) = layers.said(|options| options.copy_to.clone()) {
        return (named.into_iter().filter(|name| Some(name.as_str()) != to).collect(), Some(source));
    }
    if to.is_none() || to != layers.rules.to.as_deref() {
        return (Vec::new(), None);
    }
    let there = |name: &&String| state.repositories.contains_key(*name);
    (usual.iter().filter(there).cloned().collect(), Some(Source::Rules))
}

/// Drills, and who says their schedule, age, length and probes.
fn drills(layers: &Layers<'_>, outline: &Outline, zone: &str) -> (Drills, [Source; 4]) {
    let rules = &outline.basis.rules;
    let usual = &rules.drill;
    let own_schedule = layers.drill(|drill| drill.schedule.clone());
    let own = own_schedule.is_some();
    let (schedule_text, schedule_by) =
        own_schedule.unwrap_or_else(|| (usual.schedule.clone(), Source::Rules));
    let length = |get: fn(&DrillOptions) -> Option<Span>, usual: Span| {
        let (span, source) = layers.drill(get).unwrap_or((usual, Source::Rules));
        (span.duration(), source)
    };
    let (max_age, max_age_by) = length(|drill| drill.max_age, usual.max_age);
    let (restore_within, restore_within_by) = length(|drill| drill.restore_within, usual.restore_within);
    let said = layers.drill(|drill| drill.probes.clone());
    let (probes, probes_by) = said.unwrap_or_else(|| (probes(outline), Source::Rules));
    let drills = Drills {
        schedule: schedule(&schedule_text, zone, &usual.schedule, &rules.time_zone),
        schedule_text,
        // A schedule of one's own may be more frequent than the rules' jitter.
        jitter: if own { Duration::ZERO } else { usual.jitter.duration() },
        max_duration: usual.max_duration.duration().max(restore_within),
        max_age,
        restore_within,
        probes,
    };
    (drills, [schedule_by, max_age_by, restore_within_by, probes_by])
}

/// What the rules ask of a drill, as far as it can be done here: that all is as it was written down, and what the kind of their
/// probe says beyond that. Items of other groups are not in a drill, so that is asked where there is just one group.
fn probes(outline: &Outline) -> Vec<Probe> {
    let mut probes = vec![Probe::Facts { item: None }];
    let (Some(rule), 1) = (&outline.basis.rules.drill.probe, outline.groups.len()) else { return probes };
    for item in outline.groups.values().flatten() {
        probes.extend(of_item(rule, item));
    }
    match rule.kind {
        ProbeKind::Git if outline.groups.values().flatten().any(is_files) => {
            probes.push(Probe::Git { item: None });
        }
        ProbeKind::Http => probes.extend(of_web(rule, outline)),
        _ => {}
    }
    probes
}

fn is_files(item: &Item) -> bool {
    matches!(item.take, Take::Volume { .. } | Take::HostPath { .. })
}

/// What the rules ask of the component whose rules they are.
fn of_web(rule: &Rule, outline: &Outline) -> Option<Probe> {
    let BasisOf::Component(name) = &outline.basis.of else { return None };
    let web = outline.web.get(name).filter(|web| outline.groups.contains_key(&web.group))?;
    Some(Probe::Http {
        service: web.service.clone(),
        port: web.port,
        path: rule.path.clone()?,
        status: None,
        text: None,
        needs: web.needs.clone(),
    })
}

/// What the rules ask about an item.
fn of_item(rule: &Rule, item: &Item) -> Option<Probe> {
    let name = item.name.clone();
    match (rule.kind, &item.take) {
        (ProbeKind::Sql, take) => {
            let answers = matches!(
                (take, rule.engine?),
                (Take::Postgres { .. }, Engine::Postgresql) | (Take::Mariadb { .. }, Engine::Mariadb)
            );
            let query = rule.query.clone()?;
            answers.then_some(Probe::Sql { item: name, database: None, query, equals: None })
        }
        // Where its files are taken instead, they are compared as files.
        (ProbeKind::Archive, Take::Command { .. }) => Some(Probe::Archive { item: Some(name) }),
        _ => None,
    }
}

/// What was said was looked at when it was said; a time zone may still be unknown to an older controller.
fn schedule(text: &str, zone: &str, usual: &str, usual_zone: &str) -> Schedule {
    let usual = || Schedule::new(usual, usual_zone).expect("rules are looked at when they are read");
    Schedule::new(text, zone).unwrap_or_else(|_| usual())
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
