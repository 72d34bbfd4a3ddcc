//! How a service's process is started, watched, restarted and waited for.

use super::Reader;
use super::field::Field;
use crate::dotenv::{self, Format};
use crate::fault::{FaultKind, quoted};
use crate::input::{Reference, ReferenceKind};
use crate::interpolate::Variables;
use crate::paths::{folder_of, resolve};
use crate::report::Report;
use crate::yaml::Value;
use omni_common::domain::app::{
    Dependency, DependsCondition, Healthcheck, Hook, Logging, Namespace, PullPolicy, RestartPolicy, Service,
    ServiceName,
};
use std::collections::BTreeMap;

/// Reads the process of a service.
pub(super) fn read(service: &mut Service, field: &Field<'_>, reader: &mut Reader<'_>) {
    let report = &mut *reader.report;
    let text = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.text(report));
    let flag = |key: &str, report: &mut Report| field.get(key).and_then(|field| field.boolean(report));
    service.command = field.get("command").and_then(|field| field.command(report));
    service.entrypoint = field.get("entrypoint").and_then(|field| field.command(report));
    service.user = text("user", report);
    service.working_dir = text("working_dir", report);
    service.init = flag("init", report);
    service.tty = flag("tty", report).unwrap_or_default();
    service.stdin_open = flag("stdin_open", report).unwrap_or_default();
    service.stop_signal = text("stop_signal", report);
    service.stop_grace_ms = field.get("stop_grace_period").and_then(|field| field.duration_ms(report));
    service.group_add = field.get("group_add").map(|field| field.texts(report)).unwrap_or_default();
    service.post_start = hooks(field, "post_start", report);
    service.pre_stop = hooks(field, "pre_stop", report);
    service.healthcheck = field.get("healthcheck").and_then(|field| healthcheck(&field, report));
    service.logging = field.get("logging").map(|field| logging(&field, report));
    service.restart = field.get("restart").and_then(|field| restart(&field, report));
    service.pull_policy = pull_policy(field, report);
    service.environment = environment(field, reader);
    service.labels = labels(field, reader);
    service.annotations = field.get("annotations").map(|field| field.map(reader.report)).unwrap_or_default();
    if let Some(depends) = field.get("depends_on") {
        service.depends_on = depends_on(&depends, reader);
    }
}

/// Files first, in order, then what the compose file says itself.
fn environment(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    if let Some(files) = field.get("env_file") {
        for item in files.items_or_one(reader.report) {
            for (name, value) in env_file(&item, reader) {
                // A bare name in a file that is set nowhere says nothing.
                if let Some(value) = value.or_else(|| reader.variables.get(&name).cloned()) {
                    all.insert(name, Some(value));
                }
            }
        }
    }
    let Some(environment) = field.get("environment") else { return all };
    for (name, value, at) in environment.pairs(reader.report) {
        if name.is_empty() || name.contains('\0') {
            let message = format!("`{}` cannot be the name of a variable", quoted(&name));
            reader.report.fault(at, &environment.path, FaultKind::Value, message, "write `NAME=value`");
            continue;
        }
        let value = value.or_else(|| reader.variables.get(&name).cloned());
        all.insert(name, value);
    }
    note_rounded(&environment, reader.report);
    all
}

/// `VERSION: 1.10` without quotes is a number to other readers, which then write `1.1`.
fn note_rounded(environment: &Field<'_>, report: &mut Report) {
    for entry in environment.node.entries().unwrap_or_default() {
        let Value::Scalar { text, plain: true } = &entry.node.value else { continue };
        let number = text.contains('.') && text.ends_with('0') && text.parse::<f64>().is_ok();
        if number {
            let message = format!(
                "`{text}` is kept as it is written; docker compose would shorten it: put it in quotes"
            );
            report.note(entry.node.at, &format!("{}.{}", environment.path, entry.key), message);
        }
    }
}

fn env_file(item: &Field<'_>, reader: &mut Reader<'_>) -> Vec<(String, Option<String>)> {
    let (path, required, format) = if item.is_mapping() {
        let required = item.get("required").and_then(|field| field.boolean(reader.report)).unwrap_or(true);
        let format = item.get("format").and_then(|field| reader.word(&field, &["raw"]));
        (item.get("path"), required, if format.is_some() { Format::Raw } else { Format::Compose })
    } else {
        (Some(item.clone()), true, Format::Compose)
    };
    let Some(path) = path else {
        item.wrong(reader.report, "the environment file has no `path`", "write `- path: FILE`");
        return Vec::new();
    };
    variables_of(&path, !required, format, reader)
}

/// Reads a file of variables that a service names.
fn variables_of(
    field: &Field<'_>,
    optional: bool,
    format: Format,
    reader: &mut Reader<'_>,
) -> Vec<(String, Option<String>)> {
    let Some(text) = field.text(reader.report) else { return Vec::new() };
    let path = match resolve(reader.report.base(field.at()), &text) {
        Ok(path) => path,
        Err(outside) => {
            let (why, hint) = outside.explain();
            field.fault(reader.report, FaultKind::Reference, format!("`{}` {why}", quoted(&text)), hint);
            return Vec::new();
        }
    };
    let given = reader.input.bytes(&path);
    let left_out = reader.input.left_out.contains(&path);
    reader.report.refer(Reference {
        path: path.clone(),
        kind: ReferenceKind::Variables,
        optional,
        writable: false,
        given: given.is_some() || left_out,
    });
    let Some(bytes) = given else {
        if !optional {
            let message = format!("the file `{}` with variables was not packed", quoted(&path));
            reader.report.need(field.at(), &field.path, &path, message);
        }
        return Vec::new();
    };
    let file = reader.report.add_file(&path, folder_of(&path));
    let variables: &Variables = reader.variables;
    dotenv::parse(bytes, format, variables, file, reader.report)
}

fn labels(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(deploy) = field.get("deploy").and_then(|deploy| deploy.get("labels")) {
        all.extend(deploy.map(reader.report));
    }
    if let Some(files) = field.get("label_file") {
        for item in files.items_or_one(reader.report) {
            let read = variables_of(&item, false, Format::Compose, reader);
            all.extend(read.into_iter().map(|(name, value)| (name, value.unwrap_or_default())));
        }
    }
    if let Some(labels) = field.get("labels") {
        all.extend(labels.map(reader.report));
    }
    all
}

fn healthcheck(field: &Field<'_>, report: &mut Report) -> Option<Healthcheck> {
    let disabled = field.get("disable").and_then(|field| field.boolean(report)).unwrap_or_default();
    if disabled {
        return Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
    }
    let duration =
        |key: &str, report: &mut Report| field.get(key).and_then(|field| field.duration_ms(report));
    let check = Healthcheck {
        test: field.get("test").map(|field| health_test(&field, report)).unwrap_or_default(),
        interval_ms: duration("interval", report),
        timeout_ms: duration("timeout", report),
        start_period_ms: duration("start_period", report),
        start_interval_ms: duration("start_interval", report),
        retries: field.get("retries").and_then(|field| field.integer(report, 0, 1000)),
    };
    (check != Healthcheck::default()).then_some(check)
}

fn health_test(field: &Field<'_>, report: &mut Report) -> Vec<String> {
    if !field.is_list() {
        let text = field.text(report).unwrap_or_default();
        return vec!["CMD-SHELL".to_owned(), text];
    }
    let words = field.texts(report);
    let hint = "begin with `CMD`, `CMD-SHELL` or `NONE`, or write one text";
    match words.first().map(String::as_str) {
        Some("NONE") => {}
        Some("CMD-SHELL") if words.len() == 2 => {}
        Some("CMD") if words.len() > 1 => {}
        Some("CMD" | "CMD-SHELL") => field.wrong(report, "the test has not the right number of words", hint),
        Some(word) => field.wrong(report, format!("a test cannot begin with `{}`", quoted(word)), hint),
        None => {}
    }
    words
}

fn restart(field: &Field<'_>, report: &mut Report) -> Option<RestartPolicy> {
    let text = field.text(report)?;
    let (word, count) =
        text.split_once(':').map_or((text.as_str(), None), |(word, count)| (word, Some(count)));
    match (word, count) {
        // Unquoted `no` is the text itself here, and `false` to older readers.
        ("no" | "false" | "", None) => Some(RestartPolicy::No),
        ("always", None) => Some(RestartPolicy::Always),
        ("unless-stopped", None) => Some(RestartPolicy::UnlessStopped),
        ("on-failure", None) => Some(RestartPolicy::OnFailure(None)),
        ("on-failure", Some(count)) if count.parse::<u32>().is_ok() => {
            Some(RestartPolicy::OnFailure(count.parse().ok().filter(|count| *count > 0)))
        }
        _ => {
            let hint = "there are `no`, `always`, `unless-stopped` and `on-failure[:TIMES]`";
            field.wrong(report, format!("`{}` is no restart policy", quoted(&text)), hint);
            None
        }
    }
}

fn logging(field: &Field<'_>, report: &mut Report) -> Logging {
    Logging {
        driver: field.get("driver").and_then(|field| field.text(report)),
        options: field.get("options").map(|field| field.map(report)).unwrap_or_default(),
    }
}

fn hooks(field: &Field<'_>, key: &str, report: &mut Report) -> Vec<Hook> {
    let Some(field) = field.get(key) else { return Vec::new() };
    let mut hooks = Vec::new();
    for item in field.items(report) {
        let text = |key: &str, report: &mut Report| item.get(key).and_then(|field| field.text(report));
        let Some(command) = item.get("command").and_then(|field| field.command(report)) else {
            item.wrong(report, "the hook has no `command`", "write `- command: …`");
            continue;
        };
        let environment = item.get("environment").map(|field| field.pairs(report)).unwrap_or_default();
        hooks.push(Hook {
            command,
            user: text("user", report),
            privileged: item.get("privileged").and_then(|field| field.boolean(report)).unwrap_or_default(),
            working_dir: text("working_dir", report),
            environment: environment.into_iter().map(|(name, value, _)| (name, value)).collect(),
        });
    }
    hooks
}

fn pull_policy(field: &Field<'_>, report: &mut Report) -> Option<PullPolicy> {
    let field_refresh = field.get("pull_refresh_after");
    let policy = field.get("pull_policy");
    let Some(policy) = policy else {
        if let Some(field) = field_refresh {
            field.wrong(report, "it is without effect here", "add `pull_policy: refresh`");
        }
        return None;
    };
    let text = policy.text(report)?;
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let every = text.strip_prefix("every_").and_then(crate::units::duration_ms);
    match text.as_str() {
        "always" => Some(PullPolicy::Always),
        "never" => Some(PullPolicy::Never),
        "missing" | "if_not_present" => Some(PullPolicy::Missing),
        "build" => Some(PullPolicy::Build),
        "daily" => Some(PullPolicy::OlderThan(DAY_MS)),
        "weekly" => Some(PullPolicy::OlderThan(7 * DAY_MS)),
        "refresh" => {
            let after = field_refresh.and_then(|field| field.duration_ms(report)).unwrap_or(DAY_MS);
            Some(PullPolicy::OlderThan(after))
        }
        _ if every.is_some() => every.map(PullPolicy::OlderThan),
        _ => {
            let hint = "there are `always`, `never`, `missing`, `build`, `daily`, `weekly` and `every_12h`";
            policy.wrong(report, format!("`{}` is no pull policy", quoted(&text)), hint);
            None
        }
    }
}

fn depends_on(field: &Field<'_>, reader: &mut Reader<'_>) -> BTreeMap<ServiceName, Dependency> {
    let mut all = BTreeMap::new();
    let plain = Dependency { condition: DependsCondition::Started, restart: false, optional: false };
    if field.is_list() {
        for item in field.items(reader.report) {
            if let Some(name) = item.text(reader.report).and_then(|name| reader.service_name(&name, &item)) {
                all.insert(name, plain);
            }
        }
        return all;
    }
    for (name, part) in field.entries(reader.report) {
        let report = &mut *reader.report;
        let condition = part.get("condition").and_then(|field| condition(&field, report));
        let flag = |key: &str, report: &mut Report| part.get(key).and_then(|field| field.boolean(report));
        let dependency = Dependency {
            condition: condition.unwrap_or(DependsCondition::Started),
            restart: flag("restart", report).unwrap_or_default(),
            optional: !flag("required", report).unwrap_or(true),
        };
        if dependency.optional && !reader.is_active(name) {
            part.note(
                reader.report,
                format!("`{}` is not part of the app: nothing waits for it", quoted(name)),
            );
        } else if let Some(name) = reader.service_name(name, &part) {
            all.insert(name, dependency);
        }
    }
    all
}

fn condition(field: &Field<'_>, report: &mut Report) -> Option<DependsCondition> {
    let text = field.text(report)?;
    match text.as_str() {
        "service_started" => Some(DependsCondition::Started),
        "service_healthy" => Some(DependsCondition::Healthy),
        "service_completed_successfully" => Some(DependsCondition::Completed),
        _ => {
            let known = ["service_started", "service_healthy", "service_completed_successfully"];
            let hint = crate::suggest::hint(&text, known);
            field.wrong(report, format!("`{}` is no condition", quoted(&text)), &hint);
            None
        }
    }
}

/// A namespace: `host`, `service:NAME`, `container:NAME` and the words that this kind of namespace knows.
pub(super) fn namespace(
    field: &Field<'_>,
    words: super::Words,
    reader: &mut Reader<'_>,
) -> Option<Namespace> {
    let text = field.text(reader.report)?;
    if text.is_empty() {
        return None;
    }
    let known = words.contains(&text.as_str());
    match text.as_str() {
        "host" if known => return Some(Namespace::Host),
        "private" if known => return Some(Namespace::Private),
        "shareable" if known => return Some(Namespace::Shareable),
        "none" if known => return Some(Namespace::None),
        _ => {}
    }
    match text.split_once(':') {
        Some(("service", name)) if words.contains(&"service") => {
            reader.service_name(name, field).map(Namespace::Service)
        }
        Some(("container", name)) if words.contains(&"service") && !name.is_empty() => {
            Some(Namespace::Container(name.to_owned()))
        }
        _ => {
            let hint = crate::suggest::hint(&text, words.iter().copied());
            field.wrong(reader.report, format!("`{}` is no namespace here", quoted(&text)), &hint);
            None
        }
    }
}
