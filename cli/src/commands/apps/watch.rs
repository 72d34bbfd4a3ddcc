//! Waits for the outcome of a change to an app, and tells what happens on the way.

use super::progress::{Verdict, news, verdict};
use super::show::log_lines;
use super::words::status_word;
use crate::app_name::AppName;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::session::Session;
use crate::table::harmless;
use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use omni_common::api::v1::AppView;
use omni_common::ids::DeploymentId;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long an outcome is waited for when nothing else is said: images of some gigabytes over a slow link.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(30 * 60);
/// How often an app that is waited for is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Follows a deployment to its end. The app as it then is; an error when that is not where it was to go.
pub(crate) async fn follow(
    name: &AppName,
    id: DeploymentId,
    limit: Duration,
    session: &Session,
    out: &mut Printer,
) -> Result<AppView> {
    let what = format!("the deployment of {name} goes on; `omni rollout watch {name}` follows it");
    until(name, limit, &what, session, out, |app| verdict(app, id)).await
}

/// Waits until an app is as it should be.
pub(crate) async fn settle(
    name: &AppName,
    limit: Duration,
    session: &Session,
    out: &mut Printer,
    so: impl Fn(&AppView) -> bool,
) -> Result<AppView> {
    let what = format!("{name} is not yet as it should be; `omni apps show {name}` tells why");
    until(name, limit, &what, session, out, |app| match so(app) {
        true => Verdict::Done,
        false => Verdict::Going(status_word(app.status).to_owned()),
    })
    .await
}

/// Waits until `judge` has a verdict, and tells what happens meanwhile.
pub(crate) async fn until(
    name: &AppName,
    limit: Duration,
    late: &str,
    session: &Session,
    out: &mut Printer,
    judge: impl Fn(&AppView) -> Verdict,
) -> Result<AppView> {
    let deadline = Instant::now() + limit;
    let bar = Bar::new(out);
    let mut before: Option<AppView> = None;
    loop {
        match session.client.app(&name.environment, &name.name).await {
            Ok(app) => {
                for line in news(before.as_ref(), &app) {
                    bar.tell(&line, out);
                }
                match judge(&app) {
                    Verdict::Done => return Ok(app),
                    Verdict::Going(at) => bar.show(&app, &at),
                    Verdict::Bad { why, log } => return Err(bad(&why, log.as_deref())),
                }
                before = Some(app);
            }
            // Controllers may change their leader while an app is rolled out.
            Err(error) if will_pass(&error) => bar.wait(&error),
            Err(error) => return Err(error.into()),
        }
        if Instant::now() + ASK_EVERY > deadline {
            return Err(Failure::TimedOut { what: late.to_owned(), after: limit }.into());
        }
        sleep(ASK_EVERY).await;
    }
}

/// Waits until an app is gone.
pub(crate) async fn gone(
    name: &AppName,
    limit: Duration,
    session: &Session,
    out: &mut Printer,
) -> Result<()> {
    let so = settle(name, limit, session, out, |_| false).await;
    match so {
        Err(error) if of_call(&error).and_then(omni_sdk::Error::status) == Some(404) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn of_call(error: &anyhow::Error) -> Option<&omni_sdk::Error> {
    error.downcast_ref()
}

/// Whether an error may be gone the next time. A refused token is not.
pub(crate) fn will_pass(error: &omni_sdk::Error) -> bool {
    error.status().is_none_or(|status| status >= 500 || status == 429)
}

fn bad(why: &str, log: Option<&str>) -> anyhow::Error {
    match log {
        None => anyhow!("{why}"),
        Some(log) => {
            let lines = log_lines(log, false);
            anyhow!("{why}\nLast lines of the container that failed:\n{}", lines.trim_end())
        }
    }
}

/// A bar on a terminal, lines elsewhere, silence for programs.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(out: &Printer) -> Self {
        if !out.look().talk_is_terminal || !out.for_people() {
            return Self(None);
        }
        // Until the first look nothing is done of something.
        let bar = ProgressBar::new(1);
        let style = ProgressStyle::with_template("{spinner} [{bar:20}] {pos}/{len} {wide_msg}")
            .expect("the template is a constant that a test has read")
            .progress_chars("=> ");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(Some(bar))
    }

    fn tell(&self, line: &str, out: &mut Printer) {
        match &self.0 {
            Some(bar) => bar.suspend(|| out.say(line)),
            None => out.say(line),
        }
    }

    fn show(&self, app: &AppView, at: &str) {
        let Some(bar) = &self.0 else { return };
        let (done, wanted) = match &app.deployment {
            Some(deployment) if super::words::is_open(deployment) => (deployment.done, deployment.wanted),
            _ => (app.healthy, app.wanted),
        };
        bar.set_length(u64::from(wanted));
        bar.set_position(u64::from(done));
        bar.set_message(harmless(at));
    }

    fn wait(&self, error: &omni_sdk::Error) {
        let Some(bar) = &self.0 else { return };
        let text = error.to_string();
        bar.set_message(harmless(text.lines().next().unwrap_or_default()));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Look;
    use crate::settings::Format;
    use std::io;

    #[test]
    fn a_bar_can_be_drawn_on_a_terminal_and_is_not_there_for_programs() {
        let printer = |format| {
            let look = Look { talk_is_terminal: true, ..Look::default() };
            Printer::on(Box::new(io::sink()), Box::new(io::sink()), format, look)
        };
        assert!(Bar::new(&printer(Format::Table)).0.is_some());
        assert!(Bar::new(&printer(Format::Json)).0.is_none());
    }

    #[test]
    fn the_failing_containers_last_lines_stand_below_the_reason() {
        let error = bad("it failed", Some("one\u{1b}[2J\ntwo\n"));
        let text = "it failed\nLast lines of the container that failed:\n  one\u{fffd}[2J\n  two";
        assert_eq!(error.to_string(), text);
        assert_eq!(bad("it failed", None).to_string(), "it failed");
    }
}
