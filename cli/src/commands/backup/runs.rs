//! Runs: begin one, list, look at, give up.

use super::follow::words;
use super::{begun, expect_app, filter};
use crate::app_name::{AppName, explained};
use crate::args::{AppArg, FollowArg, RunsArgs};
use crate::exit::ExitStatus;
use crate::printer::{Look, Printer};
use crate::session::Session;
use crate::table::{Cell, Column, Table, harmless};
use crate::tone::Tone;
use crate::units::{ABSENT, ago, bytes, span};
use anyhow::Result;
use omni_common::api::v1::{CommaList, RunKind, RunView, RunsQuery, StartRun};
use omni_common::clock::Time;
use omni_common::domain::backup::{ItemOutcome, RunState};

/// Width of the left column of one run's screen.
const KEYS: usize = 12;

pub(super) async fn backup(
    app: &AppArg,
    to: Option<&str>,
    follow: FollowArg,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let name = AppName::read(app, &session.environment)?;
    let body = StartRun::Backup {
        environment: name.environment.clone(),
        app: name.name.clone(),
        to: to.map(str::to_owned),
    };
    match session.client.start_runs(&body).await {
        Ok(runs) => begun(runs, follow, session, out).await,
        Err(error) => Err(explained(&name, error, session).await),
    }
}

pub(super) async fn list(args: &RunsArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (environment, app) = filter(args.app.as_deref())?;
    let some = |list: &[String]| (!list.is_empty()).then(|| list.iter().cloned().collect::<CommaList>());
    let query = RunsQuery {
        environment,
        app: app.clone(),
        kind: some(&args.kind),
        state: some(&args.state),
        repository: args.repository.clone(),
        limit: Some(args.limit),
        cursor: None,
    };
    let runs = session.client.runs(query).await?;
    if runs.is_empty() {
        expect_app(app.as_deref(), session).await?;
        if out.for_people() {
            out.say("There is no such run.");
            return Ok(ExitStatus::Done);
        }
    }
    out.table(&runs, || table(&runs, session.now))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn show(id: &str, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let run = session.client.run(id).await?;
    out.text(&run, |look| draw(&run, session.now, look))?;
    Ok(ExitStatus::Done)
}

pub(super) async fn cancel(ids: &[String], session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    for id in ids {
        let run = session.client.cancel_run(id).await?;
        out.say(&format!("Run {} is given up: {} {}.", run.id.short(), kind_word(&run), subject(&run)));
    }
    Ok(ExitStatus::Done)
}

/// The word for what a run is for.
pub(super) fn kind_word(run: &RunView) -> &'static str {
    match run.kind {
        RunKind::Backup => "backup",
        RunKind::Copy => "copy",
        RunKind::Check => "check",
        RunKind::Prune => "prune",
        RunKind::Restore => "restore",
        RunKind::Drill => "drill",
        RunKind::Move => "move",
    }
}

/// What a run is about.
pub(super) fn subject(run: &RunView) -> String {
    match (&run.environment, &run.app, &run.group, run.slot) {
        (Some(environment), Some(app), Some(group), Some(slot)) => {
            format!("{environment}/{app} {group}.{slot}")
        }
        (Some(environment), Some(app), ..) => format!("{environment}/{app}"),
        _ => run.repository.clone(),
    }
}

/// How a run ended, in a line.
pub(super) fn outcome(run: &RunView) -> String {
    let took = match (run.began, run.ended) {
        (Some(began), Some(ended)) => format!(" in {}", span(ended.since(began))),
        _ => String::new(),
    };
    let message = run.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{} {} {}{took}{message}", kind_word(run), subject(run), run.state)
}

fn tone(state: RunState) -> Tone {
    match state {
        RunState::Queued => Tone::Dim,
        RunState::Running => Tone::Plain,
        RunState::Succeeded => Tone::Good,
        RunState::Partial | RunState::Cancelled => Tone::Warn,
        RunState::Failed => Tone::Bad,
    }
}

/// One row each.
pub(crate) fn table(runs: &[RunView], now: Time) -> Table {
    let mut table = Table::new([
        Column::new("RUN"),
        Column::new("KIND"),
        Column::new("OF").shrinks_to(12),
        Column::new("REPOSITORY").shrinks_to(8),
        Column::new("STATE"),
        Column::new("HOST").shrinks_to(6).rank(2),
        Column::new("BEGAN").right(),
        Column::new("TOOK").right().rank(3),
        Column::new("BY").shrinks_to(6).rank(4),
        Column::new("WHAT").shrinks_to(12).rank(1),
        Column::new("FULL ID").wide(),
    ]);
    for run in runs {
        table.row(row(run, now));
    }
    table
}

fn row(run: &RunView, now: Time) -> Vec<Cell> {
    let took = run.began.map(|began| span(run.ended.unwrap_or(now).since(began)));
    let place =
        run.to.as_ref().map_or_else(|| run.repository.clone(), |to| format!("{} > {to}", run.repository));
    let what = match run.state {
        RunState::Queued | RunState::Running => words(run),
        _ => run.message.clone().unwrap_or_else(|| sizes(&run.items)),
    };
    let text = |value: Option<String>| value.unwrap_or_else(|| ABSENT.to_owned()).into();
    vec![
        run.id.short().into(),
        kind_word(run).into(),
        subject(run).into(),
        place.into(),
        Cell::toned(run.state.as_str(), tone(run.state)),
        text(run.host_name.clone()),
        text(run.began.map(|began| ago(began, now))),
        text(took),
        run.by.as_str().into(),
        what.into(),
        run.id.to_string().into(),
    ]
}

fn sizes(items: &[ItemOutcome]) -> String {
    let sum = |of: fn(&ItemOutcome) -> u64| items.iter().map(of).sum::<u64>();
    match items.is_empty() {
        true => ABSENT.to_owned(),
        false => format!("{}, {} new", bytes(sum(|item| item.bytes)), bytes(sum(|item| item.added_bytes))),
    }
}

/// One run's screen.
fn draw(run: &RunView, now: Time, look: Look) -> String {
    let state = tone(run.state).paint(run.state.as_str(), look.colour);
    let mut lines = vec![
        ("run", run.id.to_string()),
        ("kind", kind_word(run).to_owned()),
        ("of", harmless(&subject(run))),
        ("repository", harmless(&run.repository)),
    ];
    lines.extend(run.to.iter().map(|to| ("copied to", harmless(to))));
    lines.push(("state", state));
    lines.extend(run.message.iter().map(|message| ("why", harmless(message))));
    if !run.state.is_over() {
        lines.push(("at", harmless(&words(run))));
    }
    lines.extend(run.host_name.iter().map(|host| ("host", harmless(host))));
    lines.push(("wanted by", format!("{}, {}", harmless(&run.by), ago(run.created, now))));
    lines.extend(run.began.map(|began| ("began", ago(began, now))));
    lines.extend(run.began.zip(run.ended).map(|(began, ended)| ("took", span(ended.since(began)))));
    if run.attempt > 1 {
        lines.push(("try", run.attempt.to_string()));
    }
    let mut text: String = lines.iter().map(|(key, value)| format!("{key:<KEYS$}{value}\n")).collect();
    for item in &run.items {
        text += &one_item(item, look);
    }
    text
}

fn one_item(item: &ItemOutcome, look: Look) -> String {
    let state = tone(item.state).paint(item.state.as_str(), look.colour);
    let id = item.snapshot.as_deref().map_or(ABSENT, |id| id.get(..8).unwrap_or(id));
    let mut text = format!(
        "{:<KEYS$}{} {state}, snapshot {}, {} in {} files, {} new\n",
        "item",
        item.item,
        harmless(id),
        bytes(item.bytes),
        item.files,
        bytes(item.added_bytes)
    );
    text.extend(item.message.iter().map(|message| format!("{:<KEYS$}  {}\n", "", harmless(message))));
    text.extend(item.missing.iter().map(|path| format!("{:<KEYS$}  missing: {}\n", "", harmless(path))));
    text
}
