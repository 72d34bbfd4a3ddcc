//! `omni systems`: what the platform consists of, and what of it runs.

use crate::args::SystemsArgs;
use crate::exit::ExitStatus;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::ABSENT;
use anyhow::Result;
use omni_common::api::v1::{ComponentView, Condition, SystemView, Tier};

/// Prints all systems, or the components of one.
pub(crate) async fn run(args: &SystemsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    match &args.system {
        None => {
            let systems = session.client.systems().await?;
            out.table(&systems, || table(&systems))?;
        }
        Some(name) => {
            let system = session.client.system(name).await?;
            out.table(&system, || components(&system))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// One row each.
pub(super) fn table(systems: &[SystemView]) -> Table {
    let mut table = Table::new([
        Column::new("NO").right(),
        Column::new("SYSTEM").shrinks_to(12),
        Column::new("CODENAME").shrinks_to(8).rank(1),
        Column::new("TIER").rank(2),
        Column::new("CONDITION"),
        Column::new("RUNNING").right(),
        Column::new("FOR").shrinks_to(20).wide(),
    ]);
    systems.iter().for_each(|system| {
        let runs = system.components.iter().filter(|one| one.condition == Condition::Running).count();
        table.row(vec![
            system.number.to_string().into(),
            system.name.as_str().into(),
            system.codename.as_deref().unwrap_or(ABSENT).into(),
            tier(system.tier).into(),
            condition(system.condition),
            format!("{runs} of {}", system.components.len()).into(),
            system.summary.as_str().into(),
        ]);
    });
    table
}

/// One row for each component.
pub(super) fn components(system: &SystemView) -> Table {
    let mut table = Table::new([
        Column::new("COMPONENT").shrinks_to(12),
        Column::new("TIER").rank(2),
        Column::new("CONDITION"),
        Column::new("WHERE").shrinks_to(12),
        Column::new("IMAGE").shrinks_to(16).rank(1),
        Column::new("LICENCE").wide(),
        Column::new("NEEDS").wide(),
        Column::new("WHAT").wide(),
    ]);
    system.components.iter().for_each(|one| table.row(row(one)));
    table
}

fn row(one: &ComponentView) -> Vec<Cell> {
    let listed = |names: Vec<String>| if names.is_empty() { ABSENT.to_owned() } else { names.join(" ") };
    let places = one.containers.iter().map(|container| format!("{}/{}", container.host_name, container.name));
    vec![
        one.name.as_str().into(),
        tier(one.tier).into(),
        condition(one.condition),
        listed(places.collect()).into(),
        one.image.as_deref().unwrap_or(ABSENT).into(),
        one.licence.as_str().into(),
        listed(one.needs.clone()).into(),
        one.summary.as_str().into(),
    ]
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Critical => "critical",
        Tier::High => "high",
        Tier::Medium => "medium",
        Tier::Standard => "standard",
    }
}

fn condition(condition: Condition) -> Cell {
    match condition {
        Condition::Absent => Cell::toned("absent", Tone::Dim),
        Condition::Running => Cell::toned("running", Tone::Good),
        Condition::Starting => Cell::toned("starting", Tone::Warn),
        Condition::Unknown => Cell::toned("unknown", Tone::Warn),
        Condition::Degraded => Cell::toned("degraded", Tone::Warn),
        Condition::Down => Cell::toned("down", Tone::Bad),
    }
}
