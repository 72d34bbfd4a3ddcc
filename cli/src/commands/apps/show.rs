//! `omni apps show`: what runs where, what waits and why, and how the newest deployment went.

use super::moves::{move_line, old_line};
use super::words::{
    deployment_tone, deployment_word, instance, instance_tone, instance_word, movement, status_tone,
    status_word,
};
use crate::app_name::find;
use crate::args::AppArg;
use crate::exit::ExitStatus;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::{Cell, Column, Fit, Table, harmless};
use crate::tame::tame;
use crate::tone::Tone;
use crate::units::{ABSENT, ago, count, span};
use anyhow::Result;
use omni_common::api::v1::{AllocationView, AppView, DeploymentView, GroupView};
use omni_common::clock::Time;
use std::time::Duration;

/// Width of the left column.
const KEYS: usize = 12;

/// Shows one app.
pub(crate) async fn run(app: &AppArg, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (_, app) = find(app, session).await?;
    let wide = out.wide();
    out.text(&app, |look| draw(&app, session.now, look, wide))?;
    Ok(ExitStatus::Done)
}

/// The screen.
pub(crate) fn draw(app: &AppView, now: Time, look: Look, wide: bool) -> String {
    let mut text = head(app, now, look);
    if !app.allocations.is_empty() {
        let fit = Fit { width: look.width, colour: look.colour, wide };
        text += &format!("\n{}", instances(&app.allocations, now).render(fit));
    }
    let waiting: Vec<String> = app.groups.iter().flat_map(waits).collect();
    if !waiting.is_empty() {
        text += &format!("\n{}\n", Tone::Strong.paint("Waiting", look.colour));
        text.extend(waiting.iter().map(|line| format!("  {line}\n")));
    }
    for failed in app.allocations.iter().filter(|one| one.log.is_some()) {
        let title = format!("Last lines of {} on {}", instance(failed), harmless(&failed.host_name));
        text += &format!("\n{}\n", Tone::Strong.paint(&title, look.colour));
        text += &log_lines(failed.log.as_deref().unwrap_or_default(), look.colour);
    }
    text
}

fn head(app: &AppView, now: Time, look: Look) -> String {
    let status = status_tone(app.status).paint(status_word(app.status), look.colour);
    let name = format!("{}/{}", harmless(&app.environment), harmless(&app.name));
    let mut lines = vec![
        ("app", Tone::Strong.paint(&name, look.colour)),
        ("status", format!("{status}, {} of {} healthy", app.healthy, app.wanted)),
        ("release", app.release.to_string()),
    ];
    let groups = app.groups.iter().map(|group| ("group", group_line(group)));
    lines.extend(groups);
    if let Some(deployment) = &app.deployment {
        lines.push(("deployment", deployment_line(deployment, now, look)));
    }
    lines.extend(app.volumes.iter().map(|volume| {
        let owner = format!("{}.{}", volume.group, volume.slot);
        let came = volume.restored.as_ref().map(|restored| {
            let lost = Duration::from_millis(restored.lost_ms);
            format!(
                ", of {}: {} before {} was lost are gone",
                ago(restored.taken, now),
                span(lost),
                restored.from_host
            )
        });
        let line = format!("{} of {owner} on {}{}", volume.name, volume.host_name, came.unwrap_or_default());
        ("volume", harmless(&line))
    }));
    if let Some(moving) = &app.moving {
        lines.push(("move", move_line(moving, now)));
    }
    lines.extend(app.old_data.iter().map(|old| ("old data", old_line(old, now))));
    lines.push(("made", ago(app.created, now)));
    lines.iter().map(|(key, value)| format!("{key:<KEYS$}{value}\n")).collect()
}

fn group_line(group: &GroupView) -> String {
    let replicas = group
        .replicas
        .map_or_else(|| "on every host that fits".to_owned(), |number| count(number as usize, "instance"));
    let exclusive = if group.exclusive { ", never two at once" } else { "" };
    harmless(&format!("{}: {replicas}{exclusive} ({})", group.name, group.services.join(", ")))
}

/// One line on a deployment.
pub(crate) fn deployment_line(deployment: &DeploymentView, now: Time, look: Look) -> String {
    let state = deployment_tone(deployment.state).paint(deployment_word(deployment.state), look.colour);
    let mut text = format!(
        "{}, {state} {}, by {}",
        movement(deployment),
        ago(deployment.since, now),
        harmless(&deployment.by)
    );
    if let Some(reason) = &deployment.reason {
        text += &format!(": {}", harmless(reason));
    }
    text
}

fn waits(group: &GroupView) -> Vec<String> {
    group.waiting.iter().map(|why| harmless(&format!("{}: {why}", group.name))).collect()
}

fn instances(allocations: &[AllocationView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("INSTANCE").shrinks_to(10),
        Column::new("HOST").shrinks_to(8),
        Column::new("STATE"),
        Column::new("RELEASE").right(),
        Column::new("SINCE").right(),
        Column::new("REASON").shrinks_to(12).rank(1),
        Column::new("EPOCH").right().wide(),
        Column::new("WHY HERE").wide(),
        Column::new("ID").wide(),
    ]);
    for one in allocations {
        let word =
            if one.run { instance_word(one).to_owned() } else { format!("{}, to go", instance_word(one)) };
        table.row([
            instance(one).into(),
            one.host_name.as_str().into(),
            Cell::toned(word, instance_tone(one)),
            one.release.to_string().into(),
            ago(one.since, now).into(),
            one.reason.clone().unwrap_or_else(|| ABSENT.to_owned()).into(),
            one.epoch.to_string().into(),
            one.why.as_str().into(),
            one.id.to_string().into(),
        ]);
    }
    table
}

/// A container's last lines, indented; they cannot steer the terminal.
pub(crate) fn log_lines(log: &str, colour: bool) -> String {
    log.lines().map(|line| format!("  {}\n", tame(line, colour))).collect()
}
