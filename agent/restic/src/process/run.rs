//! The life of one child, from start to reaping.

use super::feed::{FeedEnd, Input, feed, fill};
use super::kill::{interrupt, kill};
use super::leash::{Leash, SHELL};
use super::lines::LineReader;
use crate::failure::{Exit, Findings};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long pipes are read on after restic has ended. Something else may hold them open.
const DRAIN: Duration = Duration::from_secs(2);
/// Waits for a line on its input, then becomes restic. Reads byte by byte up to the line's end, so what comes
/// after it is restic's. If its input ends first, this process died while it started restic, and nothing is
/// run.
const START: &str = r#"read -r go && [ "$go" = go ] && exec "$@""#;

/// A child to be.
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// All of it: nothing is inherited.
    pub(crate) environment: BTreeMap<String, OsString>,
    /// From a wish to stop to SIGKILL.
    pub(crate) grace: Duration,
}

/// A child that was.
pub(crate) struct Ended<T> {
    pub(crate) exit: Exit,
    /// Its number, which its lock has too.
    pub(crate) pid: u32,
    pub(crate) findings: Findings,
    pub(crate) fed: FeedEnd,
    /// What the reader of its output made of it; absent when that had to be dropped.
    pub(crate) output: Option<T>,
}

/// Runs a child to its end. `stop` ends it early; `read` gets its output, and may set `stop` too.
///
/// Dropping the future leaves restic to the leash.
pub(crate) async fn run<T, F: Future<Output = T>>(
    command: &Command,
    input: Input,
    mut findings: Findings,
    stop: &CancellationToken,
    read: impl FnOnce(ChildStdout) -> F,
) -> io::Result<Ended<T>> {
    let (mut child, pid, mut leash, pipe) = start(command).await?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("a child that was just started has no output"));
    };
    let mut pipe = Some(pipe);
    let mut output = None;
    let mut fed = FeedEnd::Broken;
    let status = {
        let mut reading = std::pin::pin!(read(stdout));
        let mut listening = std::pin::pin!(listen(stderr, &mut findings, stop));
        let mut feeding = std::pin::pin!(async {
            fed = feed(&mut pipe, input, &mut leash, stop).await;
            // Only for the sake of an interrupt: a whole input is closed, and an empty one needs no filler.
            fill(&mut pipe).await;
        });
        let mut ending = std::pin::pin!(end_on(stop, pid, command.grace));
        let mut heard = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                made = &mut reading, if output.is_none() => output = Some(made),
                () = &mut listening, if !heard => heard = true,
                () = &mut feeding => {}
                () = &mut ending => {}
            }
        };
        if output.is_none() {
            output = timeout(DRAIN, reading).await.ok();
        }
        if !heard {
            timeout(DRAIN, listening).await.ok();
        }
        status
    };
    drop(pipe);
    leash.done().await;
    Ok(Ended { exit: exit(status), pid, findings, fed, output })
}

async fn start(command: &Command) -> io::Result<(Child, u32, Leash, Sender)> {
    let (input, feeder): (PipeReader, PipeWriter) = io::pipe()?;
    let path = command.environment.get("PATH").cloned().unwrap_or_default();
    let mut leash = Leash::new(feeder.try_clone()?, &path, command.grace)?;
    let child = tokio::process::Command::new(SHELL)
        .args(["-c", START, "restic"])
        .arg(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(&command.environment)
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("a child that was just started has no number"))?;
    leash.hold(pid)?;
    let mut pipe = Sender::from_owned_fd(OwnedFd::from(feeder))?;
    pipe.write_all(b"go\n").await?;
    Ok((child, pid, leash, pipe))
}

/// Reads what restic complains about, and sets `stop` when it complains in vain.
async fn listen(stderr: ChildStderr, findings: &mut Findings, stop: &CancellationToken) {
    let mut lines = LineReader::new(stderr);
    while let Ok(Some(line)) = lines.next().await {
        if findings.line(&line, Instant::now()).is_some() {
            stop.cancel();
        }
    }
}

/// Once `stop` is set: asks, waits, kills.
async fn end_on(stop: &CancellationToken, pid: u32, grace: Duration) {
    stop.cancelled().await;
    interrupt(pid);
    sleep(grace).await;
    tracing::warn!(pid, "restic did not end when asked to, and is killed");
    kill(pid);
    std::future::pending().await
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}
