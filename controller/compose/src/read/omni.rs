//! `x-omni`, of a service or of the app.

use super::field::Field;
use crate::fault::quoted;
use crate::report::{At, Report};
use crate::units;
use crate::yaml::{Node, Value};
use omni_common::domain::app::{Failover, FailoverMode, GroupName, OmniOptions};
use omni_common::domain::backup::{OptionsOf, option_fault};
use serde_json::Value as Json;

/// What `x-omni` says, with the places for what may contradict something else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Omni {
    pub(crate) at: At,
    pub(crate) group: Option<GroupName>,
    pub(crate) replicas: Option<(u32, At)>,
    pub(crate) region: Option<(String, At)>,
    pub(crate) exclusive: Option<(bool, At)>,
    pub(crate) failover: Option<(Failover, At)>,
    pub(crate) options: OmniOptions,
}

/// Reads the `x-omni` of this part, the app's or a service's.
pub(crate) fn read(part: &Field<'_>, of: OptionsOf, report: &mut Report) -> Omni {
    let Some(field) = part.get("x-omni") else { return Omni::default() };
    if !field.is_mapping() {
        let message = format!("`x-omni` is a mapping, this is {}", field.node.what());
        field.wrong(report, message, "write e.g. `x-omni: {replicas: 2}`");
        return Omni::default();
    }
    Omni {
        at: field.at(),
        group: field.get("group").and_then(|field| group(&field, report)),
        replicas: field
            .get("replicas")
            .and_then(|field| Some((field.integer(report, 0, super::deploy::MAX_REPLICAS)?, field.at()))),
        region: field.get("region").and_then(|field| Some((field.text(report)?, field.at()))),
        exclusive: field.get("exclusive").and_then(|field| Some((field.boolean(report)?, field.at()))),
        failover: field.get("failover").map(|field| (failover(&field, report), field.at())),
        options: OmniOptions {
            backup: backup(&field, of, report),
            check: object(&field, "check", report),
            route: object(&field, "route", report),
        },
    }
}

fn group(field: &Field<'_>, report: &mut Report) -> Option<GroupName> {
    let text = field.text(report)?;
    match GroupName::new(text) {
        Ok(name) => Some(name),
        Err(error) => {
            field.wrong(report, error.to_string(), "");
            None
        }
    }
}

fn failover(field: &Field<'_>, report: &mut Report) -> Failover {
    let mode = if field.is_text() {
        field.wrong(report, "`failover` is a mapping", "write `failover: {mode: restart}`");
        None
    } else {
        field.get("mode").and_then(|field| super::word(&field, &["restart", "restore", "never"], report))
    };
    let mode = match mode.as_deref() {
        Some("restore") => FailoverMode::Restore,
        Some("never") => FailoverMode::Never,
        _ => FailoverMode::Restart,
    };
    let age = field.get("max_data_age");
    let max_data_age_ms = age.as_ref().and_then(|field| field.duration_ms(report));
    if let Some(age) = age.filter(|_| mode != FailoverMode::Restore) {
        age.wrong(
            report,
            "`max_data_age` is about restored data",
            "write `mode: restore` with it, or take it out",
        );
    }
    Failover { mode, max_data_age_ms }
}

/// `backup`: an object whose keys are looked at one by one, so that each fault has its own place.
fn backup(field: &Field<'_>, of: OptionsOf, report: &mut Report) -> Option<Json> {
    let json = object(field, "backup", report)?;
    for (key, entry) in field.get("backup")?.entries(report) {
        if let Some(fault) = json.get(key).and_then(|value| option_fault(of, key, value)) {
            entry.wrong(report, fault, "docs/backups.md lists what `x-omni.backup` takes");
        }
    }
    Some(json)
}

/// A part that another capability reads: an object, kept as it is written.
fn object(field: &Field<'_>, key: &str, report: &mut Report) -> Option<Json> {
    let field = field.get(key)?;
    if !field.is_mapping() {
        let message = format!("`{key}` is a mapping, this is {}", field.node.what());
        field.wrong(report, message, "");
        return None;
    }
    Some(json(field.node))
}

/// A part of the document as JSON; what is unquoted is what YAML takes it for.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar { text, plain: true } => match text.as_str() {
            "true" | "True" | "TRUE" => Json::Bool(true),
            "false" | "False" | "FALSE" => Json::Bool(false),
            _ => number(text).unwrap_or_else(|| Json::String(text.clone())),
        },
        Value::Scalar { text, .. } => Json::String(text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(json).collect()),
        Value::Mapping(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
        }
    }
}

/// Whole numbers only: a fraction would not come back the same from every reader.
fn number(text: &str) -> Option<Json> {
    let number = units::whole(text)?;
    (number.to_string() == text).then(|| Json::from(number))
}

/// What a label says about priority, when it is a word that means something.
pub(crate) fn check_word<'w>(word: &'w str, words: &[&'w str]) -> Result<&'w str, String> {
    if words.contains(&word) {
        Ok(word)
    } else {
        Err(format!("`{}` is none of {}", quoted(word), words.join(", ")))
    }
}
