//! What `x-omni.backup` of a compose file can say, of the app and of a service. One place for the rules: the compose
//! reader asks here and adds file, line and column.

use super::{Probe, Schedule, Span};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most other repositories that an app's snapshots are copied to.
pub const MAX_COPIES: usize = 8;
/// Most patterns, paths, names or words in one list.
const MAX_LIST: usize = 64;
/// Longest pattern, path, name or word, bytes.
const MAX_TEXT: usize = 1024;

/// Keys that speak of the app as a whole.
const APP_ONLY: [&str; 9] =
    ["to", "copy_to", "schedule", "time_zone", "jitter", "max_duration", "max_age", "retention", "drill"];
/// Keys that speak of one service's data.
const SERVICE_ONLY: [&str; 5] = ["method", "databases", "include", "save", "load"];
/// Keys of both.
const BOTH: [&str; 3] = ["skip", "exclude", "quiesce"];

/// Whose options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionsOf {
    /// `x-omni` at the top of the file.
    App,
    /// `x-omni` of a service.
    Service,
}

/// When, where to, for how long, and how it is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyOptions {
    /// Nothing of the app is backed up.
    pub skip: Option<bool>,
    /// Repository.
    pub to: Option<String>,
    /// Repositories that snapshots are copied to.
    pub copy_to: Option<Vec<String>>,
    /// Five cron fields.
    pub schedule: Option<String>,
    /// Of the schedules, e.g. `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// Runs begin up to this much later than scheduled, always the same for one app.
    pub jitter: Option<Span>,
    /// A run that takes longer is given up.
    pub max_duration: Option<Span>,
    /// Oldest that the newest proven snapshot may be.
    pub max_age: Option<Span>,
    /// What is kept: `last: 1`, `within: 1d`, `hourly: 2d`, `daily: 30d`, `weekly`, `monthly`, `yearly`.
    #[serde(deserialize_with = "texts")]
    pub retention: Option<BTreeMap<String, String>>,
    /// How a restore is proven.
    pub drill: Option<DrillOptions>,
}

/// How a restore is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DrillOptions {
    /// No drills.
    pub skip: Option<bool>,
    /// Five cron fields.
    pub schedule: Option<String>,
    /// Oldest that the last drill that passed may be.
    pub max_age: Option<Span>,
    /// A drill that takes longer has failed.
    pub restore_within: Option<Span>,
    /// What has to hold; facts that were written down when none are named.
    pub probes: Option<Vec<Probe>>,
}

/// How the data of a service is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceOptions {
    /// Nothing of it is taken.
    pub skip: Option<bool>,
    /// How; found out from image and catalogue when absent.
    pub method: Option<TakeMethod>,
    /// Which databases; all when absent.
    pub databases: Option<Vec<String>>,
    /// Only these paths below the roots of its volumes.
    pub include: Option<Vec<String>>,
    /// Patterns that are left out.
    pub exclude: Option<Vec<String>>,
    /// What is done to it meanwhile.
    pub quiesce: Option<QuiesceOption>,
    /// With `method: command`: writes the data to its standard output.
    pub save: Option<Vec<String>>,
    /// With `method: command`: reads the data from its standard input.
    pub load: Option<Vec<String>>,
}

/// Ways to take data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeMethod {
    /// Files of volumes and folders.
    Volume,
    /// `pg_dump`.
    Postgres,
    /// `mariadb-dump`.
    Mariadb,
    /// An RDB file.
    Redis,
    /// A command of one's own.
    Command,
    /// Nothing.
    None,
}

/// What is done to services while their data is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuiesceOption {
    /// Nothing.
    None,
    /// They are frozen.
    Pause,
    /// They are stopped.
    Stop,
    /// Commands in the service's container.
    Hook {
        /// Before the first byte is read.
        before: Vec<String>,
        /// After the last one.
        after: Vec<String>,
    },
}

/// The app's part of `x-omni.backup`, taken out of what the file says.
pub fn policy_options(json: Option<&Value>) -> Result<PolicyOptions, String> {
    let kept = keep(json, |key| APP_ONLY.contains(&key) || key == "skip");
    let options: PolicyOptions = serde_json::from_value(kept).map_err(|error| error.to_string())?;
    options.check().map(|()| options)
}

/// What the app says for all its services.
pub fn common_options(json: Option<&Value>) -> Result<ServiceOptions, String> {
    let kept = keep(json, |key| BOTH.contains(&key) && key != "skip");
    service_options(Some(&kept))
}

/// A service's part of `x-omni.backup`.
pub fn service_options(json: Option<&Value>) -> Result<ServiceOptions, String> {
    let options: ServiceOptions =
        serde_json::from_value(keep(json, |_| true)).map_err(|error| error.to_string())?;
    options.check().map(|()| options)
}

fn keep(json: Option<&Value>, wanted: impl Fn(&str) -> bool) -> Value {
    let map = json.and_then(Value::as_object).cloned().unwrap_or_default();
    Value::Object(map.into_iter().filter(|(key, _)| wanted(key)).collect())
}

/// What is wrong with one key and its value; nothing when it is fine.
pub fn option_fault(of: OptionsOf, key: &str, value: &Value) -> Option<String> {
    let (own, other, elsewhere) = match of {
        OptionsOf::App => (&APP_ONLY[..], &SERVICE_ONLY[..], "a service"),
        OptionsOf::Service => (&SERVICE_ONLY[..], &APP_ONLY[..], "the app, at the top of the file"),
    };
    if other.contains(&key) {
        return Some(format!("`{key}` belongs to `x-omni.backup` of {elsewhere}"));
    }
    if !own.contains(&key) && !BOTH.contains(&key) {
        let known: Vec<&str> = own.iter().chain(&BOTH).copied().collect();
        return Some(format!("`backup` has no key `{key}`; it has {}", known.join(", ")));
    }
    let alone = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
    let looked_at = match of {
        OptionsOf::App => policy_options(Some(&alone)).and_then(|_| common_options(Some(&alone))).map(drop),
        OptionsOf::Service => service_options(Some(&alone)).map(drop),
    };
    looked_at.err()
}

impl PolicyOptions {
    /// Looks at what no type says.
    pub fn check(&self) -> Result<(), String> {
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        let drill = self.drill.as_ref();
        for text in [self.schedule.as_deref(), drill.and_then(|drill| drill.schedule.as_deref())]
            .into_iter()
            .flatten()
        {
            Schedule::new(text, zone).map_err(|error| error.to_string())?;
        }
        if self.schedule.is_none() {
            Schedule::new("0 0 * * *", zone).map_err(|error| error.to_string())?;
        }
        let copies = self.copy_to.as_deref().unwrap_or_default();
        if copies.len() > MAX_COPIES {
            return Err(format!("at most {MAX_COPIES} repositories to copy to"));
        }
        if self.to.as_ref().is_some_and(|to| copies.contains(to)) {
            return Err("a repository is not copied to itself; take it out of `copy_to`".to_owned());
        }
        for name in copies.iter().chain(&self.to) {
            crate::domain::check_name(name).map_err(|error| error.to_string())?;
        }
        if self.jitter.is_some_and(|jitter| jitter > Span::secs(86_400)) {
            return Err("`jitter` is at most `1d`".to_owned());
        }
        if let Some(retention) = &self.retention {
            check_retention(retention)?;
        }
        let probes = drill.and_then(|drill| drill.probes.as_deref()).unwrap_or_default();
        if let Some(fault) = probes.iter().find_map(Probe::fault) {
            return Err(fault);
        }
        if probes.len() > 16 { Err("at most 16 probes".to_owned()) } else { Ok(()) }
    }

    /// These, and where they say nothing, the others.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        let drill = match (self.drill, other.drill) {
            (Some(own), Some(other)) => Some(DrillOptions {
                skip: own.skip.or(other.skip),
                schedule: own.schedule.or(other.schedule),
                max_age: own.max_age.or(other.max_age),
                restore_within: own.restore_within.or(other.restore_within),
                probes: own.probes.or(other.probes),
            }),
            (own, other) => own.or(other),
        };
        Self {
            skip: self.skip.or(other.skip),
            to: self.to.or(other.to),
            copy_to: self.copy_to.or(other.copy_to),
            schedule: self.schedule.or(other.schedule),
            time_zone: self.time_zone.or(other.time_zone),
            jitter: self.jitter.or(other.jitter),
            max_duration: self.max_duration.or(other.max_duration),
            max_age: self.max_age.or(other.max_age),
            retention: self.retention.or(other.retention),
            drill,
        }
    }
}

impl ServiceOptions {
    fn check(&self) -> Result<(), String> {
        let lists = [&self.databases, &self.include, &self.exclude, &self.save, &self.load];
        let mut words: Vec<&String> = lists.into_iter().flatten().flatten().collect();
        if let Some(QuiesceOption::Hook { before, after }) = &self.quiesce {
            if before.is_empty() || after.is_empty() {
                return Err("a hook needs both `before` and `after`".to_owned());
            }
            words.extend(before.iter().chain(after));
        }
        if lists.into_iter().flatten().any(|list| list.len() > MAX_LIST) {
            return Err(format!("at most {MAX_LIST} entries"));
        }
        if words.iter().any(|word| word.is_empty() || word.len() > MAX_TEXT || word.contains('\0')) {
            return Err(format!("entries have 1 to {MAX_TEXT} bytes, none of them zero"));
        }
        let climbs = |path: &&String| path.split('/').any(|part| part == "..");
        match self.include.iter().flatten().find(climbs) {
            Some(path) => Err(format!("`{path}` leads out of the volume")),
            None => Ok(()),
        }
    }
}

/// `last` is a number, the others are lengths of time as restic writes them (`1y`, `30d`, `12h`).
fn check_retention(retention: &BTreeMap<String, String>) -> Result<(), String> {
    const KEYS: [&str; 7] = ["last", "within", "hourly", "daily", "weekly", "monthly", "yearly"];
    if retention.is_empty() {
        return Err("`retention` keeps nothing; write e.g. `{last: 1, daily: 30d}`".to_owned());
    }
    for (key, value) in retention {
        if !KEYS.contains(&key.as_str()) {
            return Err(format!("`retention` has no key `{key}`; it has {}", KEYS.join(", ")));
        }
        let good = match key.as_str() {
            "last" => value.parse::<u32>().is_ok_and(|number| number > 0),
            _ => is_keep_length(value),
        };
        if !good {
            let wanted = if key == "last" { "a number" } else { "a length of time as `30d`" };
            return Err(format!(
                "`{key}: {value}` is not {wanted}; counts let an intruder push good snapshots out"
            ));
        }
    }
    Ok(())
}

fn is_keep_length(text: &str) -> bool {
    let mut digits = 0;
    for c in text.chars() {
        match c {
            '0'..='9' => digits += 1,
            'y' | 'm' | 'd' | 'h' if (1..=4).contains(&digits) => digits = 0,
            _ => return false,
        }
    }
    digits == 0 && !text.is_empty()
}

/// A mapping whose values may be written as numbers.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    if !deserializer.is_human_readable() {
        return Option::deserialize(deserializer);
    }
    let Some(map) = Option::<BTreeMap<String, Value>>::deserialize(deserializer)? else { return Ok(None) };
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        _ => Err(de::Error::custom(format!("`{key}` is a number or a length of time"))),
    };
    map.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(of: OptionsOf, key: &str, value: Value) -> String {
        option_fault(of, key, &value).unwrap_or_default()
    }

    #[test]
    fn good_options_are_taken() {
        let app = [
            ("to", json!("home")),
            ("copy_to", json!(["away", "cloud"])),
            ("schedule", json!("0 * * * *")),
            ("max_age", json!("2h")),
            ("retention", json!({"last": 1, "daily": "30d", "yearly": "3y6m"})),
            ("quiesce", json!("stop")),
            ("drill", json!({"schedule": "0 6 * * 2", "probes": [{"facts": {"item": null}}]})),
        ];
        for (key, value) in app {
            assert_eq!(fault(OptionsOf::App, key, value), "", "{key}");
        }
        let hook = json!({"hook": {"before": ["sync"], "after": ["true"]}});
        for (key, value) in [("method", json!("postgres")), ("quiesce", hook), ("skip", json!(true))] {
            assert_eq!(fault(OptionsOf::Service, key, value), "", "{key}");
        }
    }

    #[test]
    fn bad_options_say_why() {
        use OptionsOf::{App, Service};
        for (of, key, value, why) in [
            (App, "tto", json!("x"), "no key `tto`"),
            (App, "method", json!("redis"), "belongs to `x-omni.backup` of a service"),
            (Service, "schedule", json!("0 * * * *"), "belongs to `x-omni.backup` of the app"),
            (App, "schedule", json!("hourly"), "five cron fields"),
            (App, "time_zone", json!("Mars"), "no time zone"),
            (App, "max_age", json!(5), "invalid type"),
            (App, "retention", json!({"daily": 7}), "a length of time"),
            (App, "retention", json!({}), "keeps nothing"),
            (Service, "method", json!("mongo"), "unknown variant"),
            (Service, "include", json!(["../x"]), "out of the volume"),
            (Service, "quiesce", json!({"hook": {"before": ["a"], "after": []}}), "both"),
        ] {
            let told = fault(of, key, value);
            assert!(told.contains(why), "{key}: {told}");
        }
    }
}
