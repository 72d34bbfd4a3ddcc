//! `omni status`: the cluster on one screen.

use crate::exit::ExitStatus;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::{Column, Fit, Table, harmless, wrap};
use crate::tone::Tone;
use crate::units::ago;
use anyhow::Result;
use omni_common::api::v1::{
    ClusterHealth, ClusterStatus, ControllerView, Event, EventsQuery, HealthCheck, HealthState,
};
use omni_common::clock::Time;
use omni_common::ids::ControllerId;
use serde::Serialize;

/// Events shown.
const EVENTS: u32 = 5;

/// All that the screen is made of.
#[derive(Serialize)]
struct Screen {
    context: Option<String>,
    status: ClusterStatus,
    health: ClusterHealth,
    controllers: Vec<ControllerView>,
    /// Newest last.
    events: Vec<Event>,
}

/// Shows the screen. It informs; `omni health` judges by exit code.
pub(crate) async fn run(session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let client = &session.client;
    let recent = EventsQuery { limit: Some(EVENTS), ..EventsQuery::default() };
    let (status, health, controllers, mut events) =
        tokio::try_join!(client.status(), client.health(), client.controllers(), client.events(recent))?;
    events.reverse();
    let context = session.connection.context.clone();
    let screen = Screen { context, status, health, controllers, events };
    out.text(&screen, |look| draw(&screen, look))?;
    Ok(ExitStatus::Done)
}

fn draw(screen: &Screen, look: Look) -> String {
    [headline(screen, look), numbers(screen, look), attention(&screen.health, look), recent(screen, look)]
        .concat()
}

/// Of a health state.
pub(super) fn tone(state: HealthState) -> Tone {
    match state {
        HealthState::Ok => Tone::Good,
        HealthState::Unknown | HealthState::Degraded => Tone::Warn,
        HealthState::Failed => Tone::Bad,
    }
}

/// As it is written in JSON.
pub(super) fn word(state: HealthState) -> &'static str {
    match state {
        HealthState::Ok => "ok",
        HealthState::Unknown => "unknown",
        HealthState::Degraded => "degraded",
        HealthState::Failed => "failed",
    }
}

fn headline(screen: &Screen, look: Look) -> String {
    let status = &screen.status;
    let name = screen.context.clone().unwrap_or_else(|| status.cluster.to_string());
    let facts = format!(
        "id {}  index {}  answered by {} ({})",
        status.cluster,
        status.index,
        controller_name(screen, status.answering),
        harmless(&status.version),
    );
    format!(
        "Cluster {} is {}\n{}\n\n",
        Tone::Strong.paint(&harmless(&name), look.colour),
        tone(status.health).paint(word(status.health), look.colour),
        Tone::Dim.paint(&facts, look.colour),
    )
}

fn controller_name(screen: &Screen, id: ControllerId) -> String {
    let named = screen.controllers.iter().find(|controller| controller.id == id);
    named.map_or_else(|| format!("controller {id}"), |controller| harmless(&controller.name))
}

fn numbers(screen: &Screen, look: Look) -> String {
    let ClusterStatus { controllers, hosts, containers, gpus, leader, .. } = &screen.status;
    let colour = look.colour;
    let missing = controllers.total.saturating_sub(controllers.reachable);
    let others = containers.total.saturating_sub(containers.running + containers.restarting);
    let leader = match leader {
        Some(leader) => format!("{} leads", controller_name(screen, *leader)),
        None => Tone::Bad.paint("no leader", colour),
    };
    let line = |title: &str, total: u32, parts: Vec<String>| {
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let text = format!("{title:<12} {total:>5}   {}", parts.join(", "));
        text.trim_end().to_owned() + "\n"
    };
    let count = |number: u32, word: &str, tone: Tone| match number {
        0 => String::new(),
        number => tone.paint(&format!("{number} {word}"), colour),
    };
    let controller_parts = vec![
        count(controllers.reachable, "reachable", Tone::Good),
        count(missing, "missing", Tone::Bad),
        count(controllers.total.saturating_sub(controllers.voters), "not voting", Tone::Warn),
        leader,
    ];
    let host_parts = vec![
        count(hosts.up, "up", Tone::Good),
        count(hosts.suspect, "suspect", Tone::Warn),
        count(hosts.down, "down", Tone::Bad),
        count(hosts.pending, "never heard of", Tone::Warn),
        count(hosts.cordoned, "cordoned", Tone::Warn),
    ];
    let container_parts = vec![
        count(containers.running, "running", Tone::Good),
        count(containers.unhealthy, "unhealthy", Tone::Bad),
        count(containers.restarting, "restarting", Tone::Bad),
        count(others, "not running", Tone::Dim),
    ];
    let mut text = line("Controllers", controllers.total, controller_parts);
    text += &line("Hosts", hosts.total, host_parts);
    text += &line("Containers", containers.total, container_parts);
    if *gpus > 0 {
        text += &line("GPUs", *gpus, vec![]);
    }
    text
}

fn attention(health: &ClusterHealth, look: Look) -> String {
    let open: Vec<&HealthCheck> =
        health.checks.iter().filter(|check| check.state != HealthState::Ok).collect();
    if open.is_empty() {
        let all = crate::units::count(health.checks.len(), "check");
        let well = Tone::Good.paint(&format!("Nothing needs attention ({all} passed)."), look.colour);
        return format!("\n{well}\n") + &worth_knowing(health, look);
    }
    let mut text = format!("\n{}\n", Tone::Strong.paint("Needs attention", look.colour));
    for check in open {
        text += &finding(check, look);
    }
    text + &worth_knowing(health, look)
}

/// What is well and yet has something that a person may want to do about it.
fn worth_knowing(health: &ClusterHealth, look: Look) -> String {
    let told = |check: &&HealthCheck| check.state == HealthState::Ok && check.hint.is_some();
    let found: String = health.checks.iter().filter(told).map(|check| finding(check, look)).collect();
    match found.is_empty() {
        true => found,
        false => format!("\n{}\n{found}", Tone::Strong.paint("Worth knowing", look.colour)),
    }
}

/// Columns before a finding's message.
const FINDING_INDENT: usize = 26;

/// What a check found, with what to do about it.
pub(super) fn finding(check: &HealthCheck, look: Look) -> String {
    let room = look.width.unwrap_or(usize::MAX).saturating_sub(FINDING_INDENT);
    let state = tone(check.state).paint(&format!("{:<9}", word(check.state)), look.colour);
    let mut lines = wrap(&harmless(&check.message), room).into_iter();
    let first = lines.next().unwrap_or_default();
    let mut text = format!("  {state} {:<13} {first}\n", harmless(&check.name));
    let hint = check.hint.iter().flat_map(|hint| wrap(&harmless(hint), room));
    let hint = hint.map(|line| Tone::Dim.paint(&line, look.colour));
    for line in lines.chain(hint) {
        text += &format!("{:FINDING_INDENT$}{line}\n", "");
    }
    text
}

fn recent(screen: &Screen, look: Look) -> String {
    if screen.events.is_empty() {
        return String::new();
    }
    let title = Tone::Strong.paint("Recent events", look.colour);
    let fit =
        Fit { width: look.width.map(|width| width.saturating_sub(2)), colour: look.colour, wide: false };
    let table = events_table(&screen.events, screen.status.now).render_rows(fit);
    let indented: String = table.lines().map(|line| format!("  {line}\n")).collect();
    format!("\n{title}\n{indented}")
}

fn events_table(events: &[Event], now: Time) -> Table {
    let mut table =
        Table::new([Column::new("AGE").right(), Column::new("KIND"), Column::new("MESSAGE").shrinks_to(20)]);
    for event in events {
        table.row([ago(event.at, now).into(), event.kind.as_str().into(), event.message.as_str().into()]);
    }
    table
}
