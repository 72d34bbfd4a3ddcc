//! What has to be true of policies. Every problem is collected, none is mended.

use super::file::{Copies, Drill, File, Limits, Said, Times, VERSION};
use crate::error::Problem;
use crate::{Catalogue, Method, Tier};
use omni_common::domain::backup::{DrillOptions, PolicyOptions, Schedule, Span};
use std::collections::{BTreeMap, BTreeSet};

const TIERS: [Tier; 4] = [Tier::Critical, Tier::High, Tier::Medium, Tier::Standard];
/// A limit of more would be none.
const MOST_AT_A_TIME: u32 = 64;
/// Nothing begins later than this after its time.
const MOST_JITTER: Span = Span::secs(86_400);

/// Everything that is wrong with a file.
pub(super) fn problems(name: &str, file: &File) -> Vec<Problem> {
    let mut report = Report { file: name, names: file.repositories.keys().collect(), problems: Vec::new() };
    if file.version != VERSION {
        report.wrong(None, "version", format!("{} is unknown; this omni reads {VERSION}", file.version));
        return report.problems;
    }
    report.schedule(None, "time_zone", "0 0 * * *", &file.time_zone);
    let Limits { per_host, per_repository, drills_per_host } = file.limits;
    if [per_host, per_repository, drills_per_host].iter().any(|limit| !(1..=MOST_AT_A_TIME).contains(limit)) {
        report.wrong(None, "limits", format!("are 1 to {MOST_AT_A_TIME} runs at a time"));
    }
    for (name, rules) in &file.repositories {
        let (prune, check) = (&rules.maintenance.prune, &rules.maintenance.check);
        for (key, schedule) in [("prune", &prune.schedule), ("check", &check.schedule)] {
            report.schedule(
                None,
                &format!("repositories.{name}.maintenance.{key}"),
                schedule,
                &file.time_zone,
            );
        }
    }
    for tier in TIERS {
        let key = format!("tiers.{}", tier.as_str());
        let Some(rules) = file.tiers.get(&tier) else {
            report.wrong(None, &key, "is missing: data of no component follows its tier");
            continue;
        };
        let own = Own { repository: &rules.repository, backup: &rules.backup, copy: &rules.copy };
        report.rules(None, &key, &own, rules.max_age, &rules.retention, &rules.drill);
        for (job, schedule) in
            [("prune", &rules.maintenance.prune.schedule), ("check", &rules.maintenance.check.schedule)]
        {
            report.schedule(None, &format!("{key}.maintenance.{job}"), schedule, &file.time_zone);
        }
    }
    for (name, spanned) in &file.policies {
        let (rules, at) = (&spanned.value, Some((name.as_str(), spanned.referenced.line())));
        let own = Own { repository: &rules.repository, backup: &rules.backup, copy: &rules.copy };
        report.rules(at, "", &own, rules.max_age, &rules.retention, &rules.drill);
        if rules.drill.probe.is_none() {
            report.wrong(at, "drill.probe", "is missing");
        }
        if rules.worst_age > rules.max_age {
            let what =
                format!("{} is over max_age {}: generate the file again", rules.worst_age, rules.max_age);
            report.wrong(at, "worst_age", what);
        }
        let tags = [format!("component={name}"), format!("tier={}", rules.tier.as_str())];
        if rules.tags != tags {
            report.wrong(at, "tags", format!("are not {}", tags.join(", ")));
        }
    }
    for (name, by) in &file.covered {
        if !file.policies.contains_key(by) {
            report.wrong(Some((name.as_str(), 1)), "covered", format!("by `{by}`, which has no policy"));
        }
    }
    report.problems
}

/// Where a rule's snapshots go and when.
struct Own<'a> {
    repository: &'a String,
    backup: &'a Times,
    copy: &'a Copies,
}

/// A component and its first line.
type At<'a> = Option<(&'a str, u64)>;

struct Report<'a> {
    file: &'a str,
    names: BTreeSet<&'a String>,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn wrong(&mut self, at: At<'_>, key: &str, what: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: at.map_or(1, |(_, line)| line),
            component: at.map(|(name, _)| name.to_owned()),
            key: Some(key.to_owned()),
            what: what.into(),
        });
    }

    fn schedule(&mut self, at: At<'_>, key: &str, text: &str, zone: &str) {
        if let Err(error) = Schedule::new(text, zone) {
            self.wrong(at, key, error.to_string());
        }
    }

    fn rules(
        &mut self,
        at: At<'_>,
        key: &str,
        own: &Own<'_>,
        max_age: Span,
        retention: &BTreeMap<String, String>,
        drill: &Drill,
    ) {
        for name in own.copy.to.iter().chain([own.repository]) {
            if !self.names.contains(name) {
                self.wrong(at, &keyed(key, "repository"), format!("`{name}` is not among `repositories`"));
            }
        }
        // The same rules as for what people write.
        let options = PolicyOptions {
            skip: None,
            to: Some(own.repository.clone()),
            copy_to: Some(own.copy.to.clone()),
            schedule: Some(own.backup.schedule.clone()),
            time_zone: Some(own.backup.time_zone.clone()),
            jitter: Some(own.backup.jitter),
            max_duration: Some(own.backup.max_duration),
            max_age: Some(max_age),
            retention: Some(retention.clone()),
            drill: Some(DrillOptions { schedule: Some(drill.schedule.clone()), ..DrillOptions::default() }),
        };
        if let Err(what) = options.check() {
            self.wrong(at, &keyed(key, "backup"), what);
        }
        if drill.jitter > MOST_JITTER {
            self.wrong(at, &keyed(key, "drill.jitter"), "is at most `1d`");
        }
        if drill.restore_within > drill.max_age {
            self.wrong(at, &keyed(key, "drill.restore_within"), "is longer than `drill.max_age`");
        }
    }
}

fn keyed(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Where a file was made from another catalogue, a sentence each.
pub(super) fn stale(said: &BTreeMap<String, Said>, catalogue: &Catalogue) -> Vec<String> {
    let mut found = Vec::new();
    for entry in catalogue.entries() {
        let (component, name) = (&entry.component, entry.component.name.as_str());
        let backup = &component.backup;
        let why = match (said.get(name), backup.method) {
            (None, Method::None | Method::Shared) => None,
            (None, _) => Some("has data and no policy: it follows its tier".to_owned()),
            (Some(Said::Nothing), Method::None) => None,
            (Some(Said::Covered(by)), Method::Shared) if Some(by) == backup.shared_with.as_ref() => None,
            (Some(Said::Policy { system, tier, take, keys }), method)
                if !matches!(method, Method::None | Method::Shared) =>
            {
                let differs = [
                    ("system", *system != entry.system),
                    ("tier", *tier != component.tier),
                    ("take", !take.agrees(backup)),
                    ("keys", *keys != backup.keys),
                ];
                let names: Vec<&str> =
                    differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
                let names = names.join(", ");
                (!names.is_empty()).then(|| format!("has another {names} in the catalogue"))
            }
            (Some(_), _) => Some("is taken in another way by the catalogue".to_owned()),
        };
        found.extend(why.map(|why| format!("{name} {why}")));
    }
    let unknown = said.keys().filter(|name| catalogue.get(name).is_none());
    found.extend(unknown.map(|name| format!("{name} is not in the catalogue")));
    found
}
