//! What has to hold of restored data.

use super::drill::Scratch;
use super::{One, Wanted, git, http};
use crate::backup::context::Context;
use crate::backup::facts::archive::{ARCHIVE, BROKEN};
use crate::backup::facts::{Facts, difference};
use crate::backup::failure::Failure;
use crate::backup::seam::called;
use crate::backup::take::methods::{mariadb, postgres};
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::{ItemName, Phase, Probe, Take};
use std::time::Duration;
use tokio::time::Instant;

/// A query, or a look at one repository, may take this long.
pub(super) const QUERY: Duration = Duration::from_secs(600);
/// A command is tried until it ends well, for this long: the service has to come up first.
const COMMAND: Duration = Duration::from_secs(120);
/// One attempt may take this long.
const ATTEMPT: Duration = Duration::from_secs(60);
/// And is made this often.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What came of a probe that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It holds.
    Holds,
    /// It could not be asked here; why, as a sentence. A drill with such a probe has proven less than it should.
    Not(String),
}

/// Looks whether it holds.
pub(super) async fn probe(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &mut Scratch<'_>,
    probe: &Probe,
) -> Result<Shown, Failure> {
    context.check()?;
    match probe {
        Probe::Facts { item } => facts(context, wanted, scratch, item.as_ref()).await.map(|()| Shown::Holds),
        Probe::Sql { item, database, query, equals } => {
            context.errand.reporter.enter(Phase::Verifying, Some(item));
            let found = sql(context, wanted, scratch, item, database.as_deref(), query).await?;
            match equals {
                Some(expected) if *expected != found => Err(failed(format!(
                    "the query `{query}` of {item} should answer {expected} and answers {found}"
                ))),
                _ => Ok(Shown::Holds),
            }
        }
        Probe::Command { service, command: words } => {
            command(context, scratch, service, words).await.map(|()| Shown::Holds)
        }
        Probe::Archive { item } => archive(context, wanted, scratch, item.as_ref()),
        Probe::Git { item } => git::probe(context, wanted, scratch, item.as_ref()).await,
        Probe::Http { service, port, path, status, text, needs } => {
            let wish = http::Wish { service, port: *port, path, status: *status, text: text.as_deref() };
            http::probe(context, wanted, scratch, &wish, needs).await
        }
    }
}

pub(super) fn failed(message: String) -> Failure {
    Failure::new("probe_failed", message)
}

async fn facts(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &mut Scratch<'_>,
    item: Option<&ItemName>,
) -> Result<(), Failure> {
    let theirs = wanted.items.iter().filter(|one| item.is_none_or(|item| one.told.item.name == *item));
    for one in theirs {
        let name = &one.told.item.name;
        context.errand.reporter.enter(Phase::Verifying, Some(name));
        let mut found = scratch.facts.get(name).cloned().unwrap_or_default();
        if let Take::Postgres { service, .. } = &one.told.item.take {
            found.extend(rows(context, scratch, service, &one.told.facts).await?);
        }
        compare(one, &found)?;
    }
    Ok(())
}

/// Whether an item came back as it was taken.
fn compare(one: &One<'_>, found: &Facts) -> Result<(), Failure> {
    let name = &one.told.item.name;
    if one.told.facts.is_empty() {
        return Err(failed(format!(
            "nothing was written down about {name} when it was taken, so there is nothing to compare"
        )));
    }
    match difference(&one.told.facts, found) {
        Some(difference) => Err(failed(format!("{name} did not come back as it was taken: {difference}"))),
        None => Ok(()),
    }
}

/// Whether what commands wrote are archives that are whole, with the entries that they had.
fn archive(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &Scratch<'_>,
    item: Option<&ItemName>,
) -> Result<Shown, Failure> {
    let written = |one: &&One<'_>| matches!(one.told.item.take, Take::Command { .. });
    let named = |one: &&One<'_>| item.is_none_or(|item| one.told.item.name == *item);
    let theirs: Vec<&One<'_>> = wanted.items.iter().filter(written).filter(named).collect();
    if theirs.is_empty() {
        let what = item.map_or_else(|| "any of its data".to_owned(), ToString::to_string);
        return Ok(Shown::Not(format!("no archive was looked at, because no command writes {what}")));
    }
    let mut others = Vec::new();
    for one in theirs {
        let name = &one.told.item.name;
        context.errand.reporter.enter(Phase::Verifying, Some(name));
        let found = scratch.facts.get(name).cloned().unwrap_or_default();
        compare(one, &found)?;
        match (found.get(ARCHIVE), found.get(BROKEN)) {
            (None, _) => others.push(name.to_string()),
            (Some(_), Some(why)) => {
                return Err(failed(format!("the archive that {name} is came back broken: {why}")));
            }
            (Some(_), None) => {}
        }
    }
    Ok(match others.as_slice() {
        [] => Shown::Holds,
        some => Shown::Not(format!(
            "{} came back byte for byte, and is no tar archive: whether it is whole cannot be told",
            some.join(", ")
        )),
    })
}

/// The rows that are in the server now, of the tables that were written down.
async fn rows(
    context: &Context<'_>,
    scratch: &Scratch<'_>,
    service: &ServiceName,
    expected: &Facts,
) -> Result<Facts, Failure> {
    let mut found = Facts::new();
    let Some(lone) = scratch.servers.get(service) else { return Ok(found) };
    let tables = expected.keys().filter_map(|key| Some((key, key.strip_prefix("rows:")?.split_once('.')?)));
    let tables: Vec<(&String, (&str, &str))> = tables.collect();
    // One query a database, so that a hundred tables do not take a hundred clients.
    for of_one in tables.chunk_by(|a, b| a.1.0 == b.1.0) {
        let counts: Vec<String> =
            of_one.iter().map(|(_, (_, table))| format!("(SELECT count(*) FROM {table})")).collect();
        let query = postgres::query(of_one[0].1.0, &format!("SELECT {}", counts.join(", ")));
        let answer = lone.ask(context, &query, &[], QUERY).await;
        let answer = answer.map_err(|reason| failed(format!("rows cannot be counted: {reason}")))?;
        let values = answer.trim_end().split('\t');
        found.extend(of_one.iter().zip(values).map(|((key, _), value)| ((*key).clone(), value.to_owned())));
    }
    Ok(found)
}

async fn sql(
    context: &Context<'_>,
    wanted: &Wanted<'_>,
    scratch: &Scratch<'_>,
    item: &ItemName,
    database: Option<&str>,
    query: &str,
) -> Result<String, Failure> {
    let one = wanted.items.iter().find(|one| one.told.item.name == *item);
    let take = one.map(|one| &one.told.item.take);
    let (service, words) = match take {
        Some(Take::Postgres { service, databases, .. }) => {
            let only = databases.first().map_or("postgres", String::as_str);
            (service, postgres::query(database.unwrap_or(only), query))
        }
        Some(Take::Mariadb { service, databases, .. }) => {
            let only = databases.first().map_or("mysql", String::as_str);
            (service, mariadb::query(database.unwrap_or(only), query))
        }
        _ => return Err(Failure::new("invalid", format!("{item} is no database that is restored here"))),
    };
    let Some(lone) = scratch.servers.get(service) else {
        return Err(failed(format!("{service} does not run")));
    };
    let answer = lone.ask(context, &words, &[], QUERY).await;
    let answer = answer.map_err(|reason| failed(format!("the query `{query}` of {item} fails: {reason}")))?;
    let first = answer.lines().next().and_then(|line| line.split('\t').next());
    Ok(first.unwrap_or_default().to_owned())
}

async fn command(
    context: &Context<'_>,
    scratch: &mut Scratch<'_>,
    service: &ServiceName,
    command: &[String],
) -> Result<(), Failure> {
    context.errand.reporter.enter(Phase::Verifying, None);
    let lone = scratch.server(context, service).await?;
    let deadline = Instant::now() + COMMAND;
    loop {
        context.check()?;
        match lone.ask(context, command, &[], ATTEMPT).await {
            Ok(_) => return Ok(()),
            Err(reason) if Instant::now() > deadline => {
                return Err(failed(format!("{} in {service} does not end well: {reason}", called(command))));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
