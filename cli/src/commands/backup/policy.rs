//! `omni backup policy` and `defaults`: what holds for apps.

use crate::app_name::{AppName, explained};
use crate::args::{DefaultsArgs, PolicyArgs, PolicyCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::harmless;
use anyhow::Result;
use omni_common::api::v1::{BackupDefaults, BackupPolicyView, PolicySource, PolicySourceKind};
use omni_common::domain::backup::{DrillOptions, PolicyOptions, Probe};
use std::collections::BTreeMap;

/// Width of the left column.
const KEYS: usize = 14;

pub(super) async fn run(command: &PolicyCommand, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (app, asked) = match command {
        PolicyCommand::Show(app) => (app, None),
        PolicyCommand::Set { app, policy } => (app, Some(Some(options(policy)?))),
        PolicyCommand::Unset(app) => (app, Some(None)),
    };
    let name = AppName::read(app, &session.environment)?;
    let answer = match &asked {
        None => session.client.backup_policy(&name.environment, &name.name).await,
        Some(policy) => {
            session.client.set_backup_policy(&name.environment, &name.name, policy.as_ref()).await
        }
    };
    let view = match answer {
        Ok(view) => view,
        Err(error) => return Err(explained(&name, error, session).await),
    };
    out.text(&view, |_| draw(&view))?;
    Ok(ExitStatus::Done)
}

/// Shows the defaults, or sets what was typed of them.
pub(super) async fn defaults(
    args: &DefaultsArgs,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let now = session.client.backup_defaults().await?;
    let limit = |typed: Option<u32>, now: Option<u32>| match typed {
        Some(0) => None,
        typed => typed.or(now),
    };
    let wanted = BackupDefaults {
        policy: options(&args.policy)?.over(now.policy.clone()),
        per_host: limit(args.per_host, now.per_host),
        per_repository: limit(args.per_repository, now.per_repository),
        drills_per_host: limit(args.drills_per_host, now.drills_per_host),
        ..now.clone()
    };
    let shown = if wanted == now { now } else { session.client.set_backup_defaults(&wanted).await? };
    out.text(&shown, |_| draw_defaults(&shown))?;
    Ok(ExitStatus::Done)
}

fn options(args: &PolicyArgs) -> Result<PolicyOptions, Failure> {
    let rule = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::Usage(format!("`{text}` is no rule: write `daily=30d`"))),
    };
    let keep: BTreeMap<String, String> = args.keep.iter().map(rule).collect::<Result<_, _>>()?;
    let drill = DrillOptions {
        skip: args.no_drills.then_some(true),
        schedule: args.drill_schedule.clone(),
        ..DrillOptions::default()
    };
    let options = PolicyOptions {
        skip: args.skip.then_some(true),
        to: args.to.clone(),
        copy_to: (!args.copy_to.is_empty()).then(|| args.copy_to.clone()),
        schedule: args.schedule.clone(),
        time_zone: args.time_zone.clone(),
        jitter: None,
        max_duration: args.max_duration,
        max_age: args.max_age,
        retention: (!keep.is_empty()).then_some(keep),
        drill: (drill != DrillOptions::default()).then_some(drill),
    };
    options.check().map_err(Failure::Usage)?;
    Ok(options)
}

fn draw(view: &BackupPolicyView) -> String {
    let mut page = Page { view, lines: Vec::new() };
    page.add("app", format!("{}/{}", view.environment, view.app), &[]);
    if let Some(fault) = &view.fault {
        page.add("fault", fault, &[]);
    }
    let reason = view.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    page.add("follows", format!("{}{reason}", source(&view.follows)), &[]);
    if view.skip {
        page.add("backups", "switched off", &["skip"]);
    }
    page.add("to", view.to.as_deref().unwrap_or("nowhere"), &["to"]);
    if !view.copy_to.is_empty() {
        page.add("copied to", view.copy_to.join(", "), &["copy_to"]);
    }
    page.add(
        "schedule",
        format!("{} ({}), up to {} later", view.schedule, view.time_zone, view.jitter),
        &["schedule", "time_zone", "jitter"],
    );
    page.add("takes at most", view.max_duration, &["max_duration"]);
    if !view.copy_to.is_empty() {
        page.add("copies take", format!("{} at most", view.copy_duration), &["copy_duration"]);
    }
    page.add("oldest", view.max_age, &["max_age"]);
    let keep: Vec<String> = view.retention.iter().map(|(key, value)| format!("{key} {value}")).collect();
    page.add("kept", keep.join(", "), &["retention"]);
    match &view.drill {
        None => page.add("drills", "none", &["drill.skip"]),
        Some(drill) => {
            page.add("drills", &drill.schedule, &["drill.schedule"]);
            page.add("drilled", format!("at least every {}", drill.max_age), &["drill.max_age"]);
            page.add("back within", drill.restore_within, &["drill.restore_within"]);
            let probes: Vec<String> = drill.probes.iter().map(probe).collect();
            page.add("shown by", probes.join("; "), &["drill.probes"]);
        }
    }
    for (group, items) in &view.items {
        for item in items {
            let quiesce = if item.quiesce == "none" { String::new() } else { format!(", {}", item.quiesce) };
            page.add("item", format!("{} of {group}: {} {}{quiesce}", item.name, item.method, item.of), &[]);
        }
    }
    if view.items.is_empty() {
        page.add("item", "none: it has no data of its own", &[]);
    }
    if view.by_hand.is_some() {
        page.add("by hand", "`omni backup policy unset` goes back to the app's file", &[]);
    }
    page.draw()
}

/// Lines of a policy: what, the value, and who says it.
struct Page<'a> {
    view: &'a BackupPolicyView,
    lines: Vec<(&'static str, String, String)>,
}

impl Page<'_> {
    /// `values` are the names of what stands in the line.
    fn add(&mut self, key: &'static str, text: impl ToString, values: &[&str]) {
        let named = values.iter().filter_map(|name| Some((*name, source(self.view.sources.get(*name)?))));
        let said: Vec<(&str, String)> = named.collect();
        let alike = said.iter().all(|(_, source)| *source == said[0].1);
        let by = match said.first() {
            Some((_, source)) if alike => source.clone(),
            _ => {
                let each = said.iter().map(|(name, source)| format!("{}: {source}", name.replace('_', " ")));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        self.lines.push((key, text.to_string(), by));
    }

    fn draw(&self) -> String {
        let line = |(key, text, by): &(&str, String, String)| {
            let by = if by.is_empty() { String::new() } else { format!("  [{by}]") };
            format!("{key:<KEYS$}{}\n", harmless(&format!("{text}{by}")))
        };
        self.lines.iter().map(line).collect()
    }
}

fn source(source: &PolicySource) -> String {
    let name = source.name.as_deref().unwrap_or_default();
    match source.kind {
        PolicySourceKind::ByHand => "by hand".to_owned(),
        PolicySourceKind::File => "compose file".to_owned(),
        PolicySourceKind::Defaults => "cluster's defaults".to_owned(),
        PolicySourceKind::Component => format!("component {name}"),
        PolicySourceKind::Tier => format!("tier {name}"),
        PolicySourceKind::OnlyOne => "the only repository".to_owned(),
    }
}

fn probe(probe: &Probe) -> String {
    match probe {
        Probe::Facts { item: None } => "what was written down when it was taken".to_owned(),
        Probe::Facts { item: Some(item) } => format!("what was written down about {item}"),
        Probe::Sql { item, query, .. } => format!("`{query}` answered by {item}"),
        Probe::Command { service, .. } => format!("a command in {service}"),
        Probe::Archive { item: None } => "archives that commands write are whole".to_owned(),
        Probe::Archive { item: Some(item) } => format!("the archive {item} is whole"),
        Probe::Git { item: None } => "`git fsck` of every repository in it".to_owned(),
        Probe::Git { item: Some(item) } => format!("`git fsck` of every repository in {item}"),
        Probe::Http { service, port, path, .. } => format!("{service} answers {path} on port {port}"),
    }
}

fn draw_defaults(defaults: &BackupDefaults) -> String {
    let said = serde_json::to_value(&defaults.policy).unwrap_or_default();
    let own = said.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null());
    let mut lines: Vec<(String, String)> = own
        .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    if let Some(limits) = &defaults.limits {
        let by = |set: bool| if set { "set" } else { "backup policies" };
        let mut add = |key: &str, text: String, set: bool| {
            lines.push((key.to_owned(), format!("{text}  [{}]", by(set))));
        };
        add("per host", format!("{} runs at a time", limits.per_host), defaults.per_host.is_some());
        let per_repository = format!("{} runs at a time", limits.per_repository);
        add("per repository", per_repository, defaults.per_repository.is_some());
        let drills = format!("{} at a time on one host", limits.drills_per_host);
        add("drills", drills, defaults.drills_per_host.is_some());
        let made_up = match limits.catch_up {
            true => format!("made up for within {}", limits.spread),
            false => "not made up for".to_owned(),
        };
        add("missed runs", made_up, defaults.spread.is_some() && limits.catch_up);
    }
    lines.iter().map(|(key, value)| format!("{key:<16}{}\n", harmless(value))).collect()
}
