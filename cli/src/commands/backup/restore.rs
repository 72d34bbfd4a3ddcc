//! `omni restore`: brings data back, into the app or into a folder.

use super::begun;
use crate::app_name::{AppName, explained};
use crate::args::RestoreArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::moment;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::table::harmless;
use crate::units::{ago, bytes};
use anyhow::Result;
use jiff::Zoned;
use jiff::tz::TimeZone;
use omni_common::api::v1::{AcceptLoss, RestorePlan, StartRestore};
use omni_common::clock::Time;
use omni_common::domain::backup::ItemName;

pub(crate) async fn run(args: &RestoreArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let name = AppName::read(&args.app, &session.environment)?;
    if args.accept_loss {
        return accept_loss(args, &name, session, out).await;
    }
    let mut body = body(args, &name, session.now)?;
    let plan = match session.client.restore(&StartRestore { dry_run: true, ..body.clone() }).await {
        Ok(plan) => plan,
        Err(error) => return Err(explained(&name, error, session).await),
    };
    if args.dry_run {
        out.text(&plan, |_| draw(&plan, session.now))?;
        return Ok(ExitStatus::Done);
    }
    out.say(draw(&plan, session.now).trim_end());
    if plan.folder.is_none() {
        confirm(&question(&name, &plan, args.keep), args.yes, out)?;
    }
    // What was shown is what is done, whatever is taken meanwhile.
    body.stop = plan.stops;
    body.snapshot = body
        .snapshot
        .or_else(|| plan.items.first().filter(|_| plan.items.len() == 1).map(|one| one.snapshot.clone()));
    body.at = body.at.or_else(|| body.snapshot.is_none().then_some(plan.taken));
    let begins = session.client.restore(&body).await?;
    begun(begins.run.into_iter().collect(), args.follow, session, out).await
}

/// What the app's file would rather wait for.
async fn accept_loss(
    args: &RestoreArgs,
    name: &AppName,
    session: &Session,
    out: &mut Printer,
) -> Result<ExitStatus> {
    let question =
        format!("let {name} come back with older data than its file allows? what was written since is lost");
    confirm(&question, args.yes, out)?;
    let body = AcceptLoss { group: args.group.clone(), slot: args.slot };
    match session.client.accept_loss(&name.environment, &name.name, &body).await {
        Ok(_) => out.say(&format!(
            "{name} comes back from the newest snapshot that can be used; see `omni apps show`."
        )),
        Err(error) => return Err(explained(name, error, session).await),
    }
    Ok(ExitStatus::Done)
}

fn body(args: &RestoreArgs, name: &AppName, now: Time) -> Result<StartRestore> {
    let item = |text: &String| {
        ItemName::new(text.clone()).map_err(|error| Failure::Usage(format!("`{text}`: {error}")))
    };
    let folder = args.to_folder.as_deref().map(place).transpose()?;
    let zoned = || Zoned::new(now.timestamp(), TimeZone::system());
    let at = args.at.as_deref().map(|text| moment::parse(text, &zoned())).transpose();
    Ok(StartRestore {
        environment: name.environment.clone(),
        app: name.name.clone(),
        group: args.group.clone(),
        slot: args.slot,
        snapshot: args.snapshot.clone(),
        at: at.map_err(|error| Failure::Usage(error.to_string()))?,
        items: args.item.iter().map(item).collect::<Result<_, _>>()?,
        path: args.path.clone(),
        repository: args.from.clone(),
        host: folder.as_ref().map(|(host, _)| host.clone()),
        folder: folder.map(|(_, folder)| folder),
        keep: args.keep,
        stop: false,
        dry_run: false,
    })
}

fn place(text: &str) -> Result<(String, String), Failure> {
    match text.split_once(':') {
        Some((host, folder)) if !host.is_empty() && folder.starts_with('/') => {
            Ok((host.to_owned(), folder.to_owned()))
        }
        _ => Err(Failure::Usage(format!("`{text}` is no folder of a host: write `HOST:/FOLDER`"))),
    }
}

fn draw(plan: &RestorePlan, now: Time) -> String {
    let place = match &plan.folder {
        Some(folder) => format!("into {folder} of {}", plan.host_name),
        None => format!("into its own volumes on {}", plan.host_name),
    };
    let mut text = format!(
        "{}/{} {}.{} as it was {} ({}), from {}, {place}:\n",
        plan.environment,
        plan.app,
        plan.group,
        plan.slot,
        ago(plan.taken, now),
        plan.taken,
        plan.repository
    );
    for item in &plan.items {
        let id = item.snapshot.get(..8).unwrap_or(&item.snapshot);
        text += &format!("  {} from snapshot {id}, {}\n", item.item, bytes(item.bytes));
    }
    text.split_inclusive('\n').map(|line| format!("{}\n", harmless(line.trim_end()))).collect()
}

fn question(name: &AppName, plan: &RestorePlan, keep: bool) -> String {
    let what = if keep { "Fill what is absent or empty there" } else { "Replace what is there now" };
    match plan.stops {
        true => format!("{what}? {name} is stopped for it and started afterwards."),
        false => format!("{what}?"),
    }
}
