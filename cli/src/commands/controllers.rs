//! `omni controllers`: the members of the Raft group.

use crate::args::ControllersCommand;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::names::{NameError, near};
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago};
use anyhow::{Context, Result};
use omni_common::api::v1::{ControllerRole, ControllerView};
use omni_common::clock::Time;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Entries a healthy follower may be behind while writes flow.
const LAG_WORTH_A_LOOK: u64 = 1000;

/// Runs one of the controller commands; the list when none is named.
pub(crate) async fn run(
    command: Option<&ControllersCommand>,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let all = session.client.controllers().await?;
    match command {
        Some(ControllersCommand::Key { out: file, reveal }) => {
            return key(file.as_deref(), *reveal, session, out).await;
        }
        None | Some(ControllersCommand::List) => out.table(&all, || table(&all, session.now))?,
        Some(ControllersCommand::Show { controller }) => show(find(controller, &all)?, session.now, out)?,
        Some(ControllersCommand::Rm { controller, yes }) => {
            let controller = find(controller, &all)?;
            return remove(controller, all.len(), *yes, session, out).await;
        }
        Some(ControllersCommand::TransferLeader { to }) => {
            let to = to.as_deref().map(|to| find(to, &all)).transpose()?;
            return transfer(to, &all, session, out).await;
        }
    }
    Ok(ExitStatus::Done)
}

/// The key alone on standard output, or in a file of its own.
async fn key(file: Option<&Path>, reveal: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let Some(path) = file else {
        if !reveal {
            let message = "the key of the cluster would be printed; write it to a file with `--out FILE`, or add `--reveal`";
            return Err(Failure::Usage(message.to_owned()).into());
        }
        let view = session.client.reveal_cluster_key().await?;
        out.text(&view, |_| format!("{}\n", view.key.reveal()))?;
        return Ok(ExitStatus::Done);
    };
    // Made before the key is asked for: what cannot be kept is not to be revealed.
    let mut kept = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    let written = async {
        let view = session.client.reveal_cluster_key().await?;
        writeln!(kept, "{}", view.key.reveal())?;
        kept.sync_all()?;
        Ok::<_, anyhow::Error>(view.cluster)
    };
    match written.await {
        Ok(cluster) => {
            out.say(&format!("The key of cluster {cluster} is in {}.", path.display()));
            out.hint("keep it away from the backups that it opens");
            Ok(ExitStatus::Done)
        }
        Err(error) => {
            // An empty file would be taken for a key.
            std::fs::remove_file(path).ok();
            Err(error)
        }
    }
}

/// By name or number.
fn find<'a>(wanted: &str, all: &'a [ControllerView]) -> Result<&'a ControllerView, NameError> {
    let fits = |one: &&ControllerView| one.name == wanted || one.id.to_string() == wanted;
    all.iter().find(fits).ok_or_else(|| NameError::Unknown {
        kind: "controller",
        name: wanted.to_owned(),
        near: near(wanted, all.iter().map(|one| one.name.as_str())),
    })
}

/// One row each.
pub(super) fn table(all: &[ControllerView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("ID").right(),
        Column::new("NAME").shrinks_to(10),
        Column::new("ROLE"),
        Column::new("STATE"),
        Column::new("LAG").right(),
        Column::new("HOSTS").right(),
        Column::new("API").shrinks_to(12).rank(1),
        Column::new("VERSION").rank(2),
        Column::new("JOINED").right().rank(3),
        Column::new("QUIC").wide(),
        Column::new("REGION").wide(),
        Column::new("ZONE").wide(),
        Column::new("APPLIED").right().wide(),
        Column::new("SNAPSHOT").right().wide(),
    ]);
    all.iter().for_each(|one| table.row(row(one, now)));
    table
}

fn row(one: &ControllerView, now: Time) -> Vec<Cell> {
    let text = |value: Option<String>| Cell::from(value.unwrap_or_else(|| ABSENT.to_owned()));
    let number = |value: Option<u64>| text(value.map(|value| value.to_string()));
    vec![
        one.id.to_string().into(),
        one.name.as_str().into(),
        role(one.role),
        state(one),
        one.lag.map_or_else(|| ABSENT.into(), lag),
        text(one.sessions.map(|sessions| sessions.to_string())),
        one.api.as_str().into(),
        text(one.version.clone()),
        ago(one.joined, now).into(),
        one.quic.as_str().into(),
        text(one.region.clone()),
        text(one.zone.clone()),
        number(one.applied),
        number(one.snapshot),
    ]
}

fn role(role: ControllerRole) -> Cell {
    match role {
        ControllerRole::Leader => Cell::toned("leader", Tone::Good),
        ControllerRole::Follower => "follower".into(),
        ControllerRole::Learner => Cell::toned("learner", Tone::Warn),
    }
}

fn state(one: &ControllerView) -> Cell {
    if one.reachable { Cell::toned("reachable", Tone::Good) } else { Cell::toned("missing", Tone::Bad) }
}

fn lag(entries: u64) -> Cell {
    let tone = if entries > LAG_WORTH_A_LOOK { Tone::Warn } else { Tone::Plain };
    Cell::toned(entries.to_string(), tone)
}

fn show(one: &ControllerView, now: Time, out: &mut Printer) -> Result<()> {
    out.text(one, |_| {
        let place: Vec<&str> = [&one.region, &one.zone].into_iter().flatten().map(String::as_str).collect();
        let number = |value: Option<u64>| value.map(|value| value.to_string());
        let role = match one.role {
            ControllerRole::Leader => "leader",
            ControllerRole::Follower => "follower",
            ControllerRole::Learner => "learner: keeps a copy, does not vote",
        };
        let lines = [
            ("controller", Some(format!("{} ({})", one.name, one.id))),
            ("role", Some(role.to_owned())),
            ("state", Some(if one.reachable { "reachable" } else { "missing" }.to_owned())),
            ("place", (!place.is_empty()).then(|| place.join(" / "))),
            ("API", Some(one.api.clone())),
            ("QUIC", Some(one.quic.clone())),
            ("joined", Some(ago(one.joined, now))),
            ("version", one.version.clone()),
            ("hosts", one.sessions.map(|sessions| sessions.to_string())),
            ("last log", number(one.last_log)),
            ("applied", number(one.applied)),
            ("lag", number(one.lag)),
            ("snapshot", number(one.snapshot)),
        ];
        let shown = lines.into_iter().filter_map(|(key, value)| Some((key, value?)));
        shown.map(|(key, value)| format!("{key:<12}{}\n", crate::table::harmless(&value))).collect()
    })
}

async fn remove(
    one: &ControllerView,
    count: usize,
    yes: bool,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let left = count.saturating_sub(1);
    let survives = match left.saturating_sub(1) / 2 {
        0 => "none of them may then fail".to_owned(),
        some => format!("{some} of them may then fail"),
    };
    let question = format!("Remove controller {} ({})? {left} are left; {survives}.", one.name, one.id);
    confirm(&question, yes, out)?;
    session.client.remove_controller(one.id).await?;
    out.say(&format!("Controller {} is removed. Its data folder can be deleted.", one.name));
    Ok(ExitStatus::Done)
}

async fn transfer(
    to: Option<&ControllerView>,
    all: &[ControllerView],
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let now = session.client.transfer_leadership(to.map(|one| one.id)).await?;
    let name = all
        .iter()
        .find(|one| one.id == now.leader)
        .map_or_else(|| now.leader.to_string(), |one| one.name.clone());
    if !out.for_people() {
        out.text(&now, |_| String::new())?;
    }
    out.say(&format!("Controller {name} leads now."));
    Ok(ExitStatus::Done)
}
