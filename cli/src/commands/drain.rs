//! `omni drain` and `omni undrain`: empties hosts, and lets them take work again.

use super::apps::watch::will_pass;
use super::apps::words::{instance, instance_word};
use crate::args::{DrainArgs, HostNames};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::names;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::harmless;
use anyhow::Result;
use indicatif::ProgressBar;
use omni_common::api::v1::{AllocationView, AppView, AppsQuery, DrainHost, HostStatus, HostView};
use omni_common::domain::AllocationState;
use omni_common::ids::HostId;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often hosts that are waited for are asked about.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Instances named when the wait is over; the rest is counted.
const NAMED: usize = 8;

/// Empties hosts. All are found before the first is drained.
pub(crate) async fn drain(args: &DrainArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let body = DrainHost { drain: true, deadline_seconds: args.deadline.map(|deadline| deadline.as_secs()) };
    let hosts = change(&args.hosts, &body, session).await?;
    for host in &hosts {
        if host.status == HostStatus::Down {
            let name = &host.name;
            out.say(&format!("{name} is down: what ran there starts elsewhere, as far as its data lets it, and nothing new is placed there when it returns."));
            continue;
        }
        let then = match args.deadline {
            None => "what finds no other place stays until it does".to_owned(),
            Some(after) => {
                format!("what finds no other place within {} is stopped", crate::units::span(after))
            }
        };
        out.say(&format!("{} is being emptied: nothing new is placed on it, and {then}.", host.name));
    }
    if let Some(limit) = args.wait.wait {
        let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
        empty(&ids, limit, session, out).await?;
        out.say("Nothing of omni's runs there any more.");
    }
    finish(&hosts, out)
}

/// Lets hosts take work again.
pub(crate) async fn undrain(names: &HostNames, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let hosts = change(&names.hosts, &DrainHost::default(), session).await?;
    for host in &hosts {
        out.say(&format!("{} takes new work again. What was moved away stays where it is.", host.name));
    }
    finish(&hosts, out)
}

async fn change(typed: &[String], body: &DrainHost, session: &Session) -> Result<Vec<HostView>> {
    let mut known = Vec::new();
    for name in typed {
        known.push(names::host(&session.client, name).await?);
    }
    let mut changed = Vec::new();
    for host in known {
        changed.push(session.client.drain_host(&host.id.to_string(), body).await?);
    }
    Ok(changed)
}

fn finish(hosts: &[HostView], out: &mut Printer) -> Result<ExitStatus> {
    if !out.for_people() {
        out.text(&hosts, |_| String::new())?;
    }
    Ok(ExitStatus::Done)
}

/// Waits until nothing runs on these hosts.
async fn empty(hosts: &[HostId], limit: Duration, session: &Session, out: &mut Printer) -> Result<()> {
    let deadline = Instant::now() + limit;
    let shown = out.look().talk_is_terminal && out.for_people();
    let spinner = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.enable_steady_tick(Duration::from_millis(120));
    let mut known = Vec::new();
    loop {
        match left(hosts, session).await {
            Ok(left) if left.is_empty() => {
                spinner.finish_and_clear();
                return Ok(());
            }
            Ok(left) => known = left,
            Err(error) if will_pass(&error) => {}
            Err(error) => return Err(error.into()),
        }
        spinner.set_message(harmless(&told(&known)));
        if Instant::now() + ASK_EVERY > deadline {
            spinner.finish_and_clear();
            return Err(Failure::TimedOut { what: told(&known), after: limit }.into());
        }
        sleep(ASK_EVERY).await;
    }
}

/// What still runs there.
async fn left(hosts: &[HostId], session: &Session) -> omni_sdk::Result<Vec<String>> {
    let mut left = Vec::new();
    for host in hosts {
        let query = AppsQuery { host: Some(host.to_string()), ..AppsQuery::default() };
        left.extend(remaining(*host, &session.client.apps(query).await?));
    }
    Ok(left)
}

/// `default/shop main.0 on web-1: healthy`, for each instance that is still there.
fn remaining(host: HostId, apps: &[AppView]) -> Vec<String> {
    let there =
        |one: &&AllocationView| one.host == host && one.state != AllocationState::Stopped && !one.lost;
    let line = |app: &AppView, one: &AllocationView| {
        let name = format!("{}/{}", app.environment, app.name);
        format!("{name} {} on {}: {}", instance(one), one.host_name, instance_word(one))
    };
    apps.iter().flat_map(|app| app.allocations.iter().filter(there).map(move |one| line(app, one))).collect()
}

fn told(left: &[String]) -> String {
    let named = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match left.len() {
        0 => "no answer yet".to_owned(),
        all if all > NAMED => format!("still there: {named}; and {} more", all - NAMED),
        _ => format!("still there: {named}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{allocation, app, host_id};

    #[test]
    fn what_is_still_there_is_named() {
        let mut shop = app("default", "shop");
        shop.allocations = vec![
            allocation("main", 0, "web-1"),
            allocation("main", 1, "web-2"),
            AllocationView { state: AllocationState::Stopped, ..allocation("main", 2, "web-1") },
            AllocationView { lost: true, ..allocation("main", 3, "web-1") },
        ];
        let left = remaining(host_id("web-1"), &[shop]);
        assert_eq!(left, ["default/shop main.0 on web-1: healthy"]);
        assert_eq!(told(&left), "still there: default/shop main.0 on web-1: healthy");
        let many: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        assert_eq!(told(&many), "still there: 0; 1; 2; 3; 4; 5; 6; 7; and 2 more");
    }
}
