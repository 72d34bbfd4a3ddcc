//! `omni health`: a judgement by exit code, for scripts and monitors.

use super::status::{finding, tone, word};
use crate::args::HealthArgs;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::session::Session;
use anyhow::Result;
use indicatif::ProgressBar;
use omni_common::api::v1::{ClusterHealth, HealthState};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a cluster that is waited for is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Judges, or waits until all is well.
pub(crate) async fn run(args: &HealthArgs, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let health = match args.wait {
        None => session.client.health().await?,
        Some(limit) => wait(limit, session, out).await?,
    };
    out.text(&health, |look| draw(&health, look))?;
    Ok(if health.state == HealthState::Ok { ExitStatus::Done } else { ExitStatus::Failed })
}

/// Asks until all is well. What is wrong meanwhile, an unreachable cluster included, is what is waited out.
async fn wait(limit: Duration, session: &Session, out: &mut Printer) -> Result<ClusterHealth> {
    let deadline = Instant::now() + limit;
    let spinner = spinner(out);
    loop {
        // However short the wait, the cluster is given time for one answer.
        let asked = timeout_at(deadline.max(Instant::now() + ASK_EVERY), session.client.health());
        let seen = match asked.await.unwrap_or_else(|_| Err(no_answer(limit))) {
            Ok(health) if health.state == HealthState::Ok => {
                spinner.finish_and_clear();
                return Ok(health);
            }
            Ok(health) => summary(&health),
            Err(error) if will_pass(&error) => {
                error.to_string().lines().next().unwrap_or_default().to_owned()
            }
            Err(error) => return Err(error.into()),
        };
        spinner.set_message(seen.clone());
        if Instant::now() + ASK_EVERY > deadline {
            spinner.finish_and_clear();
            return Err(Failure::TimedOut { what: seen, after: limit }.into());
        }
        sleep(ASK_EVERY).await;
    }
}

fn no_answer(after: Duration) -> omni_sdk::Error {
    omni_sdk::Error::TimedOut { after, tried: Vec::new() }
}

/// Whether an error may be gone the next time. A refused token is not.
fn will_pass(error: &omni_sdk::Error) -> bool {
    error.status().is_none_or(|status| status >= 500 || status == 429)
}

fn spinner(out: &Printer) -> ProgressBar {
    let spinner =
        if out.look().talk_is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner.set_message("asking");
    spinner
}

/// The worst of the checks in a few words.
fn summary(health: &ClusterHealth) -> String {
    let worst = health.checks.iter().max_by_key(|check| check.state);
    worst.map_or_else(
        || word(health.state).to_owned(),
        |check| format!("{} {}: {}", check.name, word(check.state), check.message),
    )
}

fn draw(health: &ClusterHealth, look: Look) -> String {
    let state = tone(health.state).paint(word(health.state), look.colour);
    let checks: String = health.checks.iter().map(|check| finding(check, look)).collect();
    format!("{state}\n{checks}")
}
