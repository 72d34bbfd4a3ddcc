//! The `omni` command.
//!
//! ```text
//! args (what was typed) ─▶ settings (flags over environment over file) ─▶ session ─▶ commands/<verb> ─▶ printer
//!                                                                                      │
//!                                                     failure (error ─▶ message, next step, exit code)
//! ```

mod app_name;
mod args;
mod commands;
mod complete;
mod contexts;
mod exit;
mod failure;
#[cfg(test)]
#[path = "../tests/it/fixtures/mod.rs"]
mod fixtures;
mod fresh;
mod hidden;
mod moment;
mod names;
mod printer;
mod session;
mod settings;
mod table;
mod tame;
mod tone;
mod units;

use anyhow::{Context, Result};
use args::{Cli, Command, SnapshotsCommand};
use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use exit::ExitStatus;
use omni_common::clock::{Clock, SystemClock};
use printer::{Look, OutputClosed, Printer};
use session::Session;
use settings::{ColourChoice, Settings, process_env};
use std::process::ExitCode;

fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).var(complete::VARIABLE).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&error),
    };
    let settings = match Settings::merge(cli.global.typed(), &process_env) {
        Ok(settings) => settings,
        Err(error) => {
            let format = cli.global.output.unwrap_or_default();
            let mut out = Printer::new(format, Look::detect(ColourChoice::Auto));
            return failure::report(&error.into(), &mut out).into();
        }
    };
    let mut out = Printer::new(settings.output, Look::detect(settings.colour));
    finish(run(cli.command, settings, &mut out), &mut out).into()
}

/// Help and version go to standard output and are no error; everything else is bad usage.
fn misunderstood(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when neither output can be written.
    error.print().ok();
    match error.exit_code() {
        0 => ExitStatus::Done.into(),
        _ => ExitStatus::Usage.into(),
    }
}

/// A reader that has seen enough is no failure; anything else is told with what to do next.
fn finish(result: Result<ExitStatus>, out: &mut Printer) -> ExitStatus {
    match result {
        Ok(status) => status,
        Err(error) if error.is::<OutputClosed>() => ExitStatus::Done,
        Err(error) => failure::report(&error, out),
    }
}

fn run(command: Command, settings: Settings, out: &mut Printer) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(dispatch(command, settings, out));
    // Whatever still waits (a name lookup, say) must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, settings: Settings, out: &mut Printer) -> Result<ExitStatus> {
    use commands::{
        account, adopt, alerts, apps, audit, auth, backup, completion, context, controllers, deploy, drain,
        events, exec, health, hosts, images, login, logs, ps, registry, secrets, status, systems, token, top,
        users, version,
    };
    let open = |out: &mut Printer| Session::open(&settings, SystemClock.now(), out);
    match command {
        Command::Login(args) => login::login(&args, &settings, out).await,
        Command::Logout(args) => login::logout(&args, &settings, out).await,
        Command::Context { command } => context::run(&command, &settings, out),
        Command::Completion(args) => completion::run(&args, out),
        Command::Version => version::run(open(out), out).await,
        Command::Status => status::run(&open(out)?, out).await,
        Command::Health(args) => health::run(&args, &open(out)?, out).await,
        Command::Adopt(args) => Box::pin(adopt::run(&args, &open(out)?, out)).await,
        Command::Deploy(args) => Box::pin(deploy::run(&args, &open(out)?, out)).await,
        Command::Apps { command, list } => apps::run(command.as_ref(), &list, &open(out)?, out).await,
        Command::Releases(app) => apps::releases::run(&app, &open(out)?, out).await,
        Command::Diff(args) => apps::diff::run(&args, &open(out)?, out).await,
        Command::Rollback(args) => apps::rollback::run(&args, &open(out)?, out).await,
        Command::Rollout { command } => apps::rollout::run(&command, &open(out)?, out).await,
        Command::Scale(args) => apps::scale::run(&args, &open(out)?, out).await,
        Command::Start(args) => apps::life::start(&args, &open(out)?, out).await,
        Command::Stop(args) => apps::life::stop(&args, &open(out)?, out).await,
        Command::Restart(args) => apps::life::restart(&args, &open(out)?, out).await,
        Command::Move(args) => Box::pin(apps::moves::run(&args, &open(out)?, out)).await,
        Command::Rm(args) => apps::remove::run(&args, &open(out)?, out).await,
        Command::Explain(app) => apps::explain::run(&app, &open(out)?, out).await,
        Command::Drain(args) => drain::drain(&args, &open(out)?, out).await,
        Command::Undrain(names) => drain::undrain(&names, &open(out)?, out).await,
        Command::Hosts { command, list } => hosts::run(command.as_ref(), &list, &open(out)?, out).await,
        Command::Cordon(names) => hosts::cordon(&names, true, &open(out)?, out).await,
        Command::Uncordon(names) => hosts::cordon(&names, false, &open(out)?, out).await,
        Command::Systems(args) => systems::run(&args, &open(out)?, out).await,
        Command::Image { command } => images::run(&command, &open(out)?, out).await,
        Command::Ps(args) => ps::run(&args, &open(out)?, out).await,
        Command::Top(args) => top::run(&args, &open(out)?, out).await,
        Command::Logs(args) => logs::run(&args, &open(out)?, out).await,
        Command::Exec(args) => exec::run(&args, &open(out)?, out).await,
        Command::Events(args) => events::run(&args, &open(out)?, out).await,
        Command::Backup { command } => backup::run(command.as_ref(), &open(out)?, out).await,
        Command::Snapshots { command: Some(SnapshotsCommand::Files(args)), .. } => {
            backup::files::run(&args, &open(out)?, out).await
        }
        Command::Snapshots { command: None, list } => backup::snapshots::run(&list, &open(out)?, out).await,
        Command::Restore(args) => Box::pin(backup::restore::run(&args, &open(out)?, out)).await,
        Command::Drills { command } => backup::drills::run(command.as_ref(), &open(out)?, out).await,
        Command::Registry { command } => registry::run(command.as_ref(), &open(out)?, out).await,
        Command::Secrets { command } => secrets::run(command.as_ref(), &open(out)?, out).await,
        Command::Users { command } => users::run(command.as_ref(), &open(out)?, out).await,
        Command::Account { command } => account::run(command.as_ref(), &open(out)?, out).await,
        Command::Auth { command } => auth::run(&command, &open(out)?, out).await,
        Command::Token { command } => token::run(&command, &open(out)?, out).await,
        Command::Controllers { command } => controllers::run(command.as_ref(), &open(out)?, out).await,
        Command::Alerts { command, list } => alerts::run(command.as_ref(), &list, &open(out)?, out).await,
        Command::Audit(args) => audit::run(&args, &open(out)?, out).await,
    }
}
