//! `omni hosts`: list, label, cordon and remove hosts.

use crate::args::{HostNames, HostsCommand, HostsListArgs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::fresh::Age;
use crate::names;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, bytes, percent, rate};
use anyhow::Result;
use omni_common::api::v1::{
    CommaList, ContainerCounts, HostStatus, HostView, HostsQuery, SampleSummary, UpdateHost,
};
use omni_common::clock::Time;
use std::collections::BTreeMap;

/// Runs one of the host commands; the list when none is named.
pub(crate) async fn run(
    command: Option<&HostsCommand>,
    list_args: &HostsListArgs,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    match command {
        None => list(list_args, session, out).await,
        Some(HostsCommand::List(args)) => list(args, session, out).await,
        Some(HostsCommand::Show { host }) => super::hosts_show::run(host, session, out).await,
        Some(HostsCommand::Label { host, labels }) => label(host, labels, session, out).await,
        Some(HostsCommand::Cordon(names)) => cordon(names, true, session, out).await,
        Some(HostsCommand::Uncordon(names)) => cordon(names, false, session, out).await,
        Some(HostsCommand::Drain(args)) => super::drain::drain(args, session, out).await,
        Some(HostsCommand::Undrain(names)) => super::drain::undrain(names, session, out).await,
        Some(HostsCommand::Rm { host, yes }) => remove(host, *yes, session, out).await,
    }
}

/// As it is written in JSON.
pub(crate) fn status_word(status: HostStatus) -> &'static str {
    match status {
        HostStatus::Pending => "pending",
        HostStatus::Up => "up",
        HostStatus::Suspect => "suspect",
        HostStatus::Down => "down",
    }
}

/// Of a host's status.
pub(crate) fn status_tone(status: HostStatus) -> Tone {
    match status {
        HostStatus::Up => Tone::Good,
        HostStatus::Suspect | HostStatus::Pending => Tone::Warn,
        HostStatus::Down => Tone::Bad,
    }
}

async fn list(args: &HostsListArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let list = |values: Vec<String>| (!values.is_empty()).then_some(CommaList(values));
    let query = HostsQuery {
        status: list(args.status.iter().map(|&status| status_word(status).to_owned()).collect()),
        label: list(args.label.clone()),
        region: args.region.clone(),
        ..HostsQuery::default()
    };
    let hosts = session.client.hosts(query).await?;
    if hosts.is_empty() && out.for_people() {
        say_why_none(args, out);
        return Ok(ExitStatus::Done);
    }
    out.table(&hosts, || table(&hosts, session.now))?;
    Ok(ExitStatus::Done)
}

fn say_why_none(args: &HostsListArgs, out: &mut Printer) {
    if args.status.is_empty() && args.label.is_empty() && args.region.is_none() {
        out.say("There is no host yet.");
        out.hint("run `omni token create --role agent` and paste its line on a machine");
    } else {
        out.say("No host fits.");
    }
}

/// One row each.
pub(super) fn table(hosts: &[HostView], now: Time) -> Table {
    let with_gpus = hosts.iter().any(|host| host.facts.as_ref().is_some_and(|facts| !facts.gpus.is_empty()));
    let gpu = Column::new("GPU").right().rank(2);
    let mut table = Table::new([
        Column::new("NAME").shrinks_to(12),
        Column::new("STATUS"),
        Column::new("CPU").right(),
        Column::new("MEM").right(),
        Column::new("DISK").right(),
        Column::new("NET IN").right().rank(4),
        Column::new("NET OUT").right().rank(4),
        if with_gpus { gpu } else { gpu.wide() },
        Column::new("CONTAINERS").right(),
        Column::new("SEEN").right(),
        Column::new("LABELS").shrinks_to(12).rank(5),
        Column::new("CPUS").right().wide(),
        Column::new("REGION").wide(),
        Column::new("ZONE").wide(),
        Column::new("DOCKER").wide(),
        Column::new("AGENT").wide(),
        Column::new("OS").wide(),
        Column::new("GATEWAY").wide(),
        Column::new("ID").wide(),
    ]);
    hosts.iter().for_each(|host| table.row(row(host, now)));
    table
}

fn row(host: &HostView, now: Time) -> Vec<Cell> {
    let sample = host.sample.clone().unwrap_or_default();
    let age = Age::from_millis(sample.age_ms);
    let load = |value: Option<f32>| age.reading(value.map(percent), value.map_or(Tone::Plain, Tone::of_load));
    let speed = |value: Option<f32>| age.reading(value.map(rate), Tone::Plain);
    let facts = host.facts.as_ref();
    let text = |value: Option<String>| Cell::from(value.unwrap_or_else(|| ABSENT.to_owned()));
    vec![
        host.name.as_str().into(),
        status(host, now),
        load(sample.cpu_percent),
        memory(&sample, age),
        load(sample.disk_percent),
        speed(sample.rx_bytes),
        speed(sample.tx_bytes),
        load(sample.gpu_percent),
        containers(host.containers, age),
        seen(host, now),
        labels(&host.labels).into(),
        text(facts.map(|facts| facts.cpus.to_string())),
        text(host.region.clone()),
        text(host.zone.clone()),
        text(facts.and_then(|facts| facts.docker.as_ref()).map(|docker| docker.version.clone())),
        text(facts.map(|facts| facts.agent_version.clone())),
        text(facts.map(|facts| facts.os.clone())),
        text(host.gateway.map(|gateway| gateway.to_string())),
        host.id.to_string().into(),
    ]
}

fn status(host: &HostView, now: Time) -> Cell {
    let mut text = status_word(host.status).to_owned();
    if host.status != HostStatus::Up {
        text += &format!(" {}", crate::units::span(now.since(host.status_since)));
    }
    if host.cordoned {
        text += ", cordoned";
    }
    let tone = match host.status {
        HostStatus::Up if host.cordoned => Tone::Warn,
        status => status_tone(status),
    };
    Cell::toned(text, tone)
}

fn memory(sample: &SampleSummary, age: Age) -> Cell {
    let (Some(used), Some(total)) = (sample.memory_used, sample.memory_total) else {
        return ABSENT.into();
    };
    let tone = crate::units::share(used, total).map_or(Tone::Plain, Tone::of_load);
    age.reading(Some(format!("{}/{}", bytes(used), bytes(total))), tone)
}

fn containers(counts: Option<ContainerCounts>, age: Age) -> Cell {
    let Some(counts) = counts else {
        return ABSENT.into();
    };
    let trouble = counts.unhealthy + counts.restarting;
    let mut text = format!("{}/{}", counts.running, counts.total);
    if trouble > 0 {
        text = format!("{trouble} bad, {text}");
    }
    age.reading(Some(text), if trouble > 0 { Tone::Bad } else { Tone::Plain })
}

fn seen(host: &HostView, now: Time) -> Cell {
    match host.last_seen {
        None => Cell::toned("never", Tone::Warn),
        Some(at) if host.status == HostStatus::Up => Age(now.since(at)).cell(),
        Some(at) => Cell::toned(ago(at, now), Tone::Warn),
    }
}

/// `a=1 b=2`
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return ABSENT.to_owned();
    }
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

async fn label(host: &str, changes: &[String], session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let labels = changes.iter().map(|text| parse_label_change(text)).collect::<Result<_, Failure>>()?;
    let change = UpdateHost { labels: Some(labels), ..UpdateHost::default() };
    let known = names::host(&session.client, host).await?;
    let host = session.client.update_host(&known.id.to_string(), &change, None).await?;
    if !out.for_people() {
        out.text(&host, |_| String::new())?;
    }
    out.say(&format!("Labels of {} are now: {}", host.name, self::labels(&host.labels)));
    Ok(ExitStatus::Done)
}

/// `key=value` sets, `key-` removes.
fn parse_label_change(text: &str) -> Result<(String, Option<String>), Failure> {
    if let Some((key, value)) = text.split_once('=')
        && !key.is_empty()
    {
        return Ok((key.to_owned(), Some(value.to_owned())));
    }
    match text.strip_suffix('-') {
        Some(key) if !key.is_empty() && !text.contains('=') => Ok((key.to_owned(), None)),
        _ => Err(Failure::Usage(format!(
            "`{text}` changes no label: write `key=value` to set one, `key-` to remove it"
        ))),
    }
}

/// Cordons or uncordons hosts, one after the other; the first failure ends it.
pub(crate) async fn cordon(
    names: &HostNames,
    cordoned: bool,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let change = UpdateHost { cordoned: Some(cordoned), ..UpdateHost::default() };
    let mut changed = Vec::new();
    for name in &names.hosts {
        let known = names::host(&session.client, name).await?;
        let host = session.client.update_host(&known.id.to_string(), &change, None).await?;
        out.say(&match cordoned {
            true => format!("{} is cordoned: nothing new is placed on it.", host.name),
            false => format!("{} takes new work again.", host.name),
        });
        changed.push(host);
    }
    if !out.for_people() {
        out.text(&changed, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

async fn remove(host: &str, yes: bool, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let host = names::host(&session.client, host).await?;
    let running = host.containers.map_or(0, |counts| counts.running as usize);
    let question = format!(
        "Remove host {} ({}, {} running)? Its agent is cut off; its containers keep running there.",
        host.name,
        status_word(host.status),
        crate::units::count(running, "container"),
    );
    confirm(&question, yes, out)?;
    session.client.remove_host(&host.id.to_string()).await?;
    out.say(&format!("Host {} is removed. To bring it back, let it join with a new token.", host.name));
    Ok(ExitStatus::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_changes_are_read() {
        let parsed = |text: &str| parse_label_change(text).expect("a change");
        assert_eq!(parsed("gpu=a100"), ("gpu".to_owned(), Some("a100".to_owned())));
        assert_eq!(parsed("note=a=b-"), ("note".to_owned(), Some("a=b-".to_owned())));
        assert_eq!(parsed("gpu="), ("gpu".to_owned(), Some(String::new())));
        assert_eq!(parsed("gpu-"), ("gpu".to_owned(), None));
        for nonsense in ["gpu", "=x", "-", "="] {
            assert!(parse_label_change(nonsense).is_err(), "{nonsense}");
        }
    }
}
