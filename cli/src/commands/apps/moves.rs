//! `omni move`: brings an app to another host with its data, confirms that, or takes it back.

use super::progress::Verdict;
use super::watch::{DEFAULT_WAIT, settle, until};
use crate::app_name::{AppName, explained, find};
use crate::args::MoveArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::harmless;
use crate::units::{ago, bytes, span};
use anyhow::Result;
use omni_common::api::v1::{
    AppView, ConfirmMove, MovePlan, MoveStage, MoveView, OldDataReason, OldDataView, StartMove,
};
use omni_common::clock::Time;
use omni_common::ids::MoveId;
use std::collections::BTreeSet;
use std::time::Duration;

/// Does what was typed.
pub(crate) async fn run(args: &MoveArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    match (&args.to, args.confirm, args.back) {
        (Some(to), ..) => start(args, to, session, out).await,
        (None, true, _) => confirmed(args, session, out).await,
        (None, _, true) => back(args, session, out).await,
        (None, false, false) => Err(Failure::Usage(
            "say where to with `--to HOST`, or what to do about the last move with `--confirm` or `--back`"
                .to_owned(),
        )
        .into()),
    }
}

async fn start(args: &MoveArgs, to: &str, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let name = AppName::read(&args.app, &session.environment)?;
    let mut body = StartMove {
        to: to.to_owned(),
        group: args.group.clone(),
        service: args.service.clone(),
        repository: args.via.clone(),
        dry_run: true,
    };
    let plan = match session.client.move_app(&name.environment, &name.name, &body).await {
        Ok(plan) => plan,
        Err(error) => return Err(explained(&name, error, session).await),
    };
    if args.plan {
        out.text(&plan, |_| draw(&plan))?;
        return Ok(ExitStatus::Done);
    }
    out.say(draw(&plan).trim_end());
    confirm(&question(&name, &plan), args.yes, out)?;
    body.dry_run = false;
    // What was shown is what is done.
    body.repository = plan.repository.clone();
    let begun = session.client.move_app(&name.environment, &name.name, &body).await?;
    let Some(moving) = begun.moving.clone() else { return Ok(ExitStatus::Done) };
    let Some(limit) = wait(args, out) else {
        out.text(&begun, |_| {
            format!("{name} moves to {}; `omni apps show {name}` tells how it goes.\n", begun.to_name)
        })?;
        return Ok(ExitStatus::Done);
    };
    let app = follow(&name, moving.id, limit, session, out).await?;
    out.text(&app, |_| settled(&name, &app))?;
    Ok(ExitStatus::Done)
}

/// How long it is waited for; by itself in a terminal.
fn wait(args: &MoveArgs, out: &Printer) -> Option<Duration> {
    let watched = out.look().talk_is_terminal && out.for_people() && !args.detach;
    args.wait.or(watched.then_some(DEFAULT_WAIT))
}

/// Follows a move to its end. The app as it then is; an error when it is not where it was to go.
async fn follow(
    name: &AppName,
    id: MoveId,
    limit: Duration,
    session: &Session,
    out: &mut Printer,
) -> Result<AppView> {
    let late = format!("the move of {name} goes on; `omni apps show {name}` tells how it is");
    until(name, limit, &late, session, out, |app| verdict(app, id)).await
}

/// How far a move has come.
fn verdict(app: &AppView, id: MoveId) -> Verdict {
    let name = format!("{}/{}", app.environment, app.name);
    let Some(moving) = app.moving.as_ref().filter(|one| one.id == id) else {
        let why =
            format!("the move of {name} is not known any more; `omni apps show {name}` tells where it is");
        return Verdict::Bad { why, log: None };
    };
    let reason = moving.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let bad = |what: &str| Verdict::Bad { why: format!("{name} {what}{reason}"), log: last_words(app) };
    match moving.stage {
        MoveStage::Settled | MoveStage::Confirmed => Verdict::Done,
        MoveStage::Failed => bad(&format!("was not moved to {} and goes on where it was", moving.to_name)),
        MoveStage::Returned => bad(&format!("did not stay on {} and is back where it was", moving.to_name)),
        _ => Verdict::Going(at(moving)),
    }
}

fn last_words(app: &AppView) -> Option<String> {
    app.allocations.iter().find_map(|one| one.log.clone())
}

/// What a move is at, in a few words.
pub(crate) fn at(moving: &MoveView) -> String {
    let what = match moving.stage {
        MoveStage::Copying => "copies its data while it runs".to_owned(),
        MoveStage::Preparing => format!("{} gets ready", moving.to_name),
        MoveStage::Stopping => "stops".to_owned(),
        MoveStage::Syncing => "copies what has changed since".to_owned(),
        MoveStage::Filling => format!("its data goes to {}", moving.to_name),
        MoveStage::Starting => format!("starts on {}", moving.to_name),
        MoveStage::Returning => format!("leaves {} again", moving.to_name),
        MoveStage::Settled => format!("runs on {}; the old copy is kept", moving.to_name),
        MoveStage::Confirmed => format!("runs on {}", moving.to_name),
        MoveStage::Failed => format!("was not moved to {}", moving.to_name),
        MoveStage::Returned => format!("came back from {}", moving.to_name),
    };
    let Some(progress) = &moving.progress else { return what };
    match (progress.bytes, progress.total_bytes) {
        (0, _) => what,
        (done, Some(all)) => format!("{what}: {} of {}", bytes(done), bytes(all)),
        (done, None) => format!("{what}: {}", bytes(done)),
    }
}

/// One line on the newest move.
pub(crate) fn move_line(moving: &MoveView, now: Time) -> String {
    let mut text = format!("{}, {}, by {}", at(moving), ago(moving.since, now), moving.by);
    if let (Some(stopped), Some(healthy)) = (moving.stopped, moving.healthy) {
        text += &format!(", away for {}", span(healthy.since(stopped)));
    }
    if let Some(reason) = &moving.reason {
        text += &format!(": {reason}");
    }
    harmless(&text)
}

/// One line on data that was left behind.
pub(crate) fn old_line(old: &OldDataView, now: Time) -> String {
    let why = match old.why {
        OldDataReason::Moved => "it moved away",
        OldDataReason::Rescued => "the host was lost, and it came back elsewhere",
        OldDataReason::Unused => "it was never used",
        OldDataReason::TriedHere => "it ran there for a while",
    };
    let volumes = if old.volumes.is_empty() { "data".to_owned() } else { old.volumes.join(", ") };
    let going = if old.going { ", is being removed" } else { "" };
    let place = format!("{}.{} on {}", old.group, old.slot, old.host_name);
    harmless(&format!("{volumes} of {place}, {}: {why}{going}", ago(old.since, now)))
}

fn draw(plan: &MovePlan) -> String {
    let mut text = format!("{}/{} moves to {}:\n", plan.environment, plan.app, plan.to_name);
    for (number, step) in plan.steps.iter().enumerate() {
        text += &format!("  {}. {step}\n", number + 1);
    }
    for note in &plan.notes {
        text += &format!("  note: {note}\n");
    }
    text.split_inclusive('\n').map(|line| format!("{}\n", harmless(line.trim_end()))).collect()
}

fn question(name: &AppName, plan: &MovePlan) -> String {
    match plan.legs.iter().any(|leg| leg.data) {
        true => format!("Move {name}? It is away while the last of its data is brought over."),
        false => format!("Move {name}?"),
    }
}

fn settled(name: &AppName, app: &AppView) -> String {
    let Some(moving) = &app.moving else { return String::new() };
    let away = match (moving.stopped, moving.healthy) {
        (Some(stopped), Some(healthy)) => format!(", and was away for {}", span(healthy.since(stopped))),
        _ => String::new(),
    };
    let mut text = format!("{name} runs on {}{away}.\n", moving.to_name);
    if app.old_data.iter().any(|old| !old.going) {
        text += &format!(
            "The old copy is kept: `omni move {name} --confirm` removes it, `omni move {name} --back` returns to it.\n"
        );
    }
    harmless_lines(&text)
}

fn harmless_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", harmless(line))).collect()
}

async fn confirmed(args: &MoveArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(&args.app, session).await?;
    let old: Vec<&OldDataView> = app.old_data.iter().filter(|old| !old.going).collect();
    if old.is_empty() {
        out.say(&format!("{name} has left no data behind."));
        return Ok(ExitStatus::Done);
    }
    let list: String = old.iter().map(|old| format!("\n  {}", old_line(old, session.now))).collect();
    // Also with `--yes`: what is lost is to stand in the log of who did it.
    out.warn(&format!("old data of {name} is deleted:{list}"));
    confirm(&format!("Delete it? {name} cannot go back to it then."), args.yes, out)?;
    let hosts: BTreeSet<String> = old.iter().map(|old| old.host.to_string()).collect();
    let body = ConfirmMove { hosts: hosts.into_iter().collect() };
    let app = session.client.confirm_move(&name.environment, &name.name, &body).await?;
    let Some(limit) = args.wait else {
        out.text(&app, |_| format!("the old data of {name} is being removed.\n"))?;
        return Ok(ExitStatus::Done);
    };
    let gone = |app: &AppView| app.old_data.iter().all(|old| !old.going);
    let app = settle(&name, limit, session, out, gone).await?;
    out.text(&app, |_| format!("the old data of {name} is gone.\n"))?;
    Ok(ExitStatus::Done)
}

async fn back(args: &MoveArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let (name, app) = find(&args.app, session).await?;
    let Some(moving) = &app.moving else {
        // The controller says what there is to say about that.
        return Err(match session.client.return_move(&name.environment, &name.name).await {
            Err(error) => error.into(),
            Ok(_) => Failure::NotFound(format!("{name} has not been moved")).into(),
        });
    };
    let question = match moving.stage {
        MoveStage::Settled => format!(
            "Take {name} back? What it wrote on {} since {} is not brought along.",
            moving.to_name,
            ago(moving.healthy.unwrap_or(moving.since), session.now)
        ),
        _ => format!("Give the move of {name} to {} up?", moving.to_name),
    };
    confirm(&question, args.yes, out)?;
    let id = moving.id;
    let app = session.client.return_move(&name.environment, &name.name).await?;
    let Some(limit) = wait(args, out) else {
        out.text(&app, |_| {
            format!("{name} goes on where it was; `omni apps show {name}` tells how it is.\n")
        })?;
        return Ok(ExitStatus::Done);
    };
    let there = |app: &AppView| {
        let open = app.moving.as_ref().is_some_and(|one| one.id == id && one.stage.is_open());
        !open && app.healthy >= app.wanted
    };
    let app = settle(&name, limit, session, out, there).await?;
    out.text(&app, |_| format!("{name} runs where it was.\n"))?;
    Ok(ExitStatus::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{app, moving, now, old_data};

    #[test]
    fn a_move_is_told_by_its_stage() {
        let mut shop = app("default", "shop");
        let id = MoveId::from_u128(7);
        assert!(matches!(verdict(&shop, id), Verdict::Bad { .. }));
        shop.moving = Some(moving(MoveStage::Filling, None));
        assert_eq!(verdict(&shop, id), Verdict::Going("its data goes to web-2".to_owned()));
        shop.moving = Some(moving(MoveStage::Settled, None));
        assert_eq!(verdict(&shop, id), Verdict::Done);
        shop.moving = Some(moving(MoveStage::Failed, Some("the disk is full")));
        let Verdict::Bad { why, .. } = verdict(&shop, id) else { panic!("it failed") };
        assert_eq!(why, "default/shop was not moved to web-2 and goes on where it was: the disk is full");
    }

    #[test]
    fn what_is_left_behind_is_named_with_its_host() {
        let now = now();
        assert_eq!(old_line(&old_data("web-1"), now), "pgdata of main.0 on web-1, 3m ago: it moved away");
        let line = move_line(&moving(MoveStage::Settled, None), now);
        assert!(
            line.starts_with("runs on web-2; the old copy is kept, ") && line.contains("away for 12s"),
            "{line}"
        );
    }
}
