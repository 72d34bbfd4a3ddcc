//! `omni ps`: containers of all hosts in one list.

use crate::args::{PsArgs, PsSort};
use crate::exit::ExitStatus;
use crate::fresh::Age;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::{Cell, Column, Table};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, bytes, percent, rate, share, span};
use anyhow::Result;
use omni_common::api::v1::{CommaList, ContainerView, ContainersQuery};
use omni_common::clock::Time;
use omni_common::domain::{Container, ContainerState, Health, Port};
use std::collections::BTreeSet;

/// States in which a container is up, whether or not it gets anywhere.
const UP: [&str; 3] = ["running", "restarting", "paused"];

/// Lists containers; those that are up unless something else is asked for.
pub(crate) async fn run(args: &PsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let mut found = session.client.containers(query(args)).await?;
    sort(&mut found, args.sort);
    if found.is_empty() && out.for_people() {
        out.say(if args.all {
            "No container fits."
        } else {
            "No running container fits; `-a` also shows the others."
        });
        return Ok(ExitStatus::Done);
    }
    out.table(&found, || table(&found, session.now))?;
    let old = found.iter().filter(|view| Age::from_millis(view.observed_age_ms).is_stale()).count();
    if old > 0 {
        let rows = crate::units::count(old, "row");
        out.say(&format!("{rows} in parentheses: no report for a while, see `omni hosts`"));
    }
    Ok(ExitStatus::Done)
}

fn query(args: &PsArgs) -> ContainersQuery {
    let list = |values: &[String]| (!values.is_empty()).then(|| values.iter().collect::<CommaList>());
    let state = match (args.state.is_empty(), args.all) {
        (false, _) => list(&args.state),
        (true, true) => None,
        (true, false) => Some(UP.into_iter().collect()),
    };
    ContainersQuery {
        host: list(&args.host),
        label: list(&args.label),
        component: list(&args.component),
        state,
        q: args.text.clone(),
        ..ContainersQuery::default()
    }
}

fn sort(views: &mut [ContainerView], by: PsSort) {
    let place = |view: &ContainerView| (view.host_name.clone(), view.container.name.clone());
    let cpu =
        |view: &ContainerView| view.sample.as_ref().and_then(|sample| sample.cpu_percent).unwrap_or(-1.0);
    let memory = |view: &ContainerView| view.sample.as_ref().and_then(|sample| sample.memory_used);
    match by {
        PsSort::Host => views.sort_by_key(place),
        PsSort::Name => views.sort_by_key(|view| (view.container.name.clone(), view.host_name.clone())),
        PsSort::Cpu => views.sort_by(|a, b| cpu(b).total_cmp(&cpu(a))),
        PsSort::Mem => views.sort_by_key(|view| std::cmp::Reverse(memory(view))),
    }
}

/// One row each.
pub(super) fn table(views: &[ContainerView], now: Time) -> Table {
    let hosts: BTreeSet<_> = views.iter().map(|view| view.host).collect();
    // With a single host its name is the least telling column.
    let host = Column::new("HOST").shrinks_to(8).rank(u8::from(hosts.len() == 1) * 5);
    let mut table = Table::new([
        host,
        Column::new("NAME").shrinks_to(16),
        Column::new("STATE").shrinks_to(17),
        Column::new("CPU").right(),
        Column::new("MEM").right(),
        Column::new("UP").right(),
        Column::new("IMAGE").shrinks_to(14).rank(2),
        Column::new("PORTS").shrinks_to(8).rank(4),
        Column::new("RESTARTS").right().wide(),
        Column::new("NET IN").right().wide(),
        Column::new("NET OUT").right().wide(),
        Column::new("READ").right().wide(),
        Column::new("WRITE").right().wide(),
        Column::new("PIDS").right().wide(),
        Column::new("COMPONENT").wide(),
        Column::new("TIER").wide(),
        Column::new("NETWORKS").wide(),
        Column::new("ID").wide(),
    ]);
    views.iter().for_each(|view| table.row(row(view, now)));
    table
}

fn row(view: &ContainerView, now: Time) -> Vec<Cell> {
    let ContainerView { container, role, .. } = view;
    let age = Age::from_millis(view.observed_age_ms);
    let sample = view.sample.as_ref();
    let speed = |value: Option<f32>| age.reading(value.map(rate), Tone::Plain);
    let text = |value: Option<String>| Cell::from(value.unwrap_or_else(|| ABSENT.to_owned()));
    let (state, tone) = state(container);
    vec![
        view.host_name.as_str().into(),
        container.name.as_str().into(),
        age.reading(Some(format!("{state}{}{}", ended(container, now), age.remark())), tone),
        age.reading(sample.and_then(|sample| sample.cpu_percent).map(percent), Tone::Plain),
        memory(view, age),
        age.reading(uptime(container, now), Tone::Plain),
        container.image.as_str().into(),
        ports(&container.ports).into(),
        restarts(container),
        speed(sample.and_then(|sample| sample.rx_bytes)),
        speed(sample.and_then(|sample| sample.tx_bytes)),
        speed(sample.and_then(|sample| sample.read_bytes)),
        speed(sample.and_then(|sample| sample.write_bytes)),
        text(sample.and_then(|sample| sample.pids).map(|pids| pids.to_string())),
        text(role.as_ref().map(|role| role.component.clone())),
        text(role.as_ref().and_then(|role| role.tier.clone())),
        text(networks(container)),
        container.short_id().into(),
    ]
}

/// What a container is up to, in a word or two. A check that passes is told apart from no check at all.
pub(crate) fn state(container: &Container) -> (String, Tone) {
    let state = container.state;
    match (state, container.health, container.exit_code) {
        (ContainerState::Running, Health::Healthy, _) => ("healthy".to_owned(), Tone::Good),
        (ContainerState::Running, Health::Unhealthy, _) => ("unhealthy".to_owned(), Tone::Bad),
        (ContainerState::Running, Health::Starting, _) => ("starting".to_owned(), Tone::Warn),
        (ContainerState::Running, Health::None, _) => ("running".to_owned(), Tone::Plain),
        (ContainerState::Exited, _, Some(code)) if container.oom_killed => {
            (format!("oom killed {code}"), Tone::Bad)
        }
        (ContainerState::Exited, _, Some(0)) => ("exited 0".to_owned(), Tone::Dim),
        (ContainerState::Exited, _, Some(code)) => (format!("exited {code}"), Tone::Warn),
        _ => (state_word(state).to_owned(), Tone::of_state(state)),
    }
}

fn state_word(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "created",
        ContainerState::Running => "running",
        ContainerState::Paused => "paused",
        ContainerState::Restarting => "restarting",
        ContainerState::Removing => "removing",
        ContainerState::Exited => "exited",
        ContainerState::Dead => "dead",
        ContainerState::Unknown => "unknown",
    }
}

/// Since when it is up.
fn uptime(container: &Container, now: Time) -> Option<String> {
    let is_up = matches!(container.state, ContainerState::Running | ContainerState::Paused);
    container.started.filter(|_| is_up).map(|at| span(now.since(at)))
}

/// How long ago it ended, for those that are not up.
fn ended(container: &Container, now: Time) -> String {
    match (container.state, container.finished) {
        (ContainerState::Exited | ContainerState::Dead, Some(at)) => format!(", {}", ago(at, now)),
        _ => String::new(),
    }
}

fn memory(view: &ContainerView, age: Age) -> Cell {
    let sample = view.sample.as_ref();
    let Some(used) = sample.and_then(|sample| sample.memory_used) else {
        return ABSENT.into();
    };
    match sample.and_then(|sample| sample.memory_limit) {
        None => age.reading(Some(bytes(used)), Tone::Plain),
        Some(limit) => {
            let tone = share(used, limit).map_or(Tone::Plain, Tone::of_load);
            age.reading(Some(format!("{}/{}", bytes(used), bytes(limit))), tone)
        }
    }
}

fn restarts(container: &Container) -> Cell {
    let tone = if container.restarts > 0 { Tone::Warn } else { Tone::Plain };
    Cell::toned(container.restarts.to_string(), tone)
}

fn networks(container: &Container) -> Option<String> {
    let names: Vec<&str> = container.networks.iter().map(|network| network.network.as_str()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Published ports, each once: Docker lists IPv4 and IPv6 apart.
fn ports(ports: &[Port]) -> String {
    let published: BTreeSet<String> = ports.iter().filter_map(port).collect();
    if published.is_empty() {
        return ABSENT.to_owned();
    }
    published.into_iter().collect::<Vec<_>>().join(" ")
}

fn port(port: &Port) -> Option<String> {
    let outside = port.host_port?;
    let loopback = port.host_ip.as_deref().is_some_and(|ip| ip.starts_with("127.") || ip == "::1");
    let place = if loopback { "lo:" } else { "" };
    let protocol = if port.protocol == "tcp" { String::new() } else { format!("/{}", port.protocol) };
    Some(match port.container_port {
        inside if inside == outside => format!("{place}{outside}{protocol}"),
        inside => format!("{place}{outside}>{inside}{protocol}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::container;

    fn published(host_ip: &str, host_port: u16, container_port: u16, protocol: &str) -> Port {
        Port {
            host_ip: Some(host_ip.to_owned()),
            host_port: Some(host_port),
            container_port,
            protocol: protocol.to_owned(),
        }
    }

    #[test]
    fn ports_are_listed_once_and_say_when_only_this_host_can_reach_them() {
        let list = [
            published("0.0.0.0", 80, 8080, "tcp"),
            published("::", 80, 8080, "tcp"),
            published("127.0.0.1", 5432, 5432, "tcp"),
            published("0.0.0.0", 53, 53, "udp"),
        ];
        assert_eq!(ports(&list), "53/udp 80>8080 lo:5432");
        assert_eq!(ports(&[]), "-");
    }

    #[test]
    fn a_container_without_a_check_is_never_green() {
        let mut view = container("web-1", "nginx", "aaaa");
        assert_eq!(state(&view.container), ("running".to_owned(), Tone::Plain));
        view.container.health = Health::Healthy;
        assert_eq!(state(&view.container), ("healthy".to_owned(), Tone::Good));
        view.container.state = ContainerState::Exited;
        view.container.exit_code = Some(137);
        assert_eq!(state(&view.container), ("exited 137".to_owned(), Tone::Warn));
        view.container.oom_killed = true;
        assert_eq!(state(&view.container), ("oom killed 137".to_owned(), Tone::Bad));
    }
}
