//! `omni backup policy` and `defaults`: what holds for apps.

use crate::app_name::{AppName, explained};
use crate::args::{DefaultsArgs, PolicyArgs, PolicyCommand};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::harmless;
use anyhow::Result;
use omni_common::api::v1::{BackupDefaults, BackupPolicyView};
use omni_common::domain::backup::{DrillOptions, PolicyOptions};
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
    let wanted = BackupDefaults {
        policy: options(&args.policy)?.over(now.policy.clone()),
        per_host: args.per_host.unwrap_or(now.per_host),
        per_repository: args.per_repository.unwrap_or(now.per_repository),
        drills_per_host: args.drills_per_host.unwrap_or(now.drills_per_host),
        spread: now.spread,
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
    let keep: Vec<String> = view.retention.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let mut lines = vec![("app", format!("{}/{}", view.environment, view.app))];
    lines.extend(view.fault.iter().map(|fault| ("fault", fault.clone())));
    if view.skip {
        lines.push(("backups", "switched off".to_owned()));
    }
    lines.push(("to", view.to.clone().unwrap_or_else(|| "nowhere".to_owned())));
    if !view.copy_to.is_empty() {
        lines.push(("copied to", view.copy_to.join(", ")));
    }
    lines.push(("schedule", format!("{} ({}), up to {} later", view.schedule, view.time_zone, view.jitter)));
    lines.push(("takes at most", view.max_duration.to_string()));
    lines.push(("oldest", view.max_age.to_string()));
    lines.push(("kept", keep.join(", ")));
    lines.push(match &view.drill {
        None => ("drills", "none".to_owned()),
        Some(drill) => (
            "drills",
            format!(
                "{}, back within {}, at least every {}",
                drill.schedule, drill.restore_within, drill.max_age
            ),
        ),
    });
    for (group, items) in &view.items {
        for item in items {
            let quiesce = if item.quiesce == "none" { String::new() } else { format!(", {}", item.quiesce) };
            lines.push(("item", format!("{} of {group}: {} {}{quiesce}", item.name, item.method, item.of)));
        }
    }
    if view.items.is_empty() {
        lines.push(("item", "none: it has no data of its own".to_owned()));
    }
    if view.by_hand.is_some() {
        lines.push(("by hand", "yes; `omni backup policy unset` goes back to the app's file".to_owned()));
    }
    lines.iter().map(|(key, value)| format!("{key:<KEYS$}{}\n", harmless(value))).collect()
}

fn draw_defaults(defaults: &BackupDefaults) -> String {
    let said = serde_json::to_value(&defaults.policy).unwrap_or_default();
    let own = said.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null());
    let mut lines: Vec<(String, String)> = own
        .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    lines.push(("per host".to_owned(), format!("{} runs at a time", defaults.per_host)));
    lines.push(("per repository".to_owned(), format!("{} runs at a time", defaults.per_repository)));
    lines.push(("drills".to_owned(), format!("{} at a time on one host", defaults.drills_per_host)));
    lines.iter().map(|(key, value)| format!("{key:<16}{}\n", harmless(value))).collect()
}
