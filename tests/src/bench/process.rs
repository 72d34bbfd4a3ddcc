//! Programs under measurement: started here, and gone with this process however it ends.
//!
//! A program is killed when its [`Program`] is dropped, which covers errors and Ctrl-C. Against `kill -9` of the
//! benchmark itself it is started through `setpriv --pdeathsig`: the kernel kills it with its parent. That signal
//! is tied to the starting *thread*, so programs are started from the main task, never from a pool's thread.

use super::usage::{self, Usage};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A program that was told to stop gets this long.
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// How often an end is looked for; short against everything that is measured by it.
const POLL: Duration = Duration::from_millis(2);
/// Lines of its log shown when a program fails.
const TAIL: usize = 15;

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `program` with its output in `log`, which grows over restarts.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Self> {
        Self::spawn(name, Self::command(program, args), log)
    }

    /// What [`Program::start`] starts, for programs that need an environment.
    pub(super) fn command<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .env_clear()
            .env("PATH", usage::path());
        command
    }

    /// Starts a command as it is.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub(super) fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening {}", log.display()))?;
        let errors = output.try_clone().context("sharing a log")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().with_context(|| format!("starting {name} ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its pid: `setpriv` becomes the program.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far and holds now.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid()).with_context(|| format!("{} has ended:\n{}", self.name, self.log_tail()))
    }

    /// Fails, with the end of its log, when it has ended.
    ///
    /// # Errors
    /// As said.
    pub(super) fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait().context("looking after a program")?;
        ensure!(ended.is_none(), "{} ended ({}):\n{}", self.name, ended.unwrap_or_default(), self.log_tail());
        Ok(())
    }

    /// `kill -9`. The signal has been sent when this returns; the program is reaped later.
    ///
    /// # Errors
    /// When it has ended before.
    pub(super) fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it has ended before.
    pub(super) fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a pid is positive")?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not come.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + STOPS_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().context("waiting for a program")? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{} does not end:\n{}", self.name, self.log_tail());
            tokio::time::sleep(POLL).await;
        }
    }

    /// The end of what it has printed.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end between the look and the kill; both errors mean that it is gone.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// When it fails; the error carries what it said.
pub(super) async fn output<A: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = A>,
    within: Duration,
) -> Result<String> {
    let mut command = tokio::process::Command::new(program);
    command.args(args).env_clear().env("PATH", usage::path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(within, command.output())
        .await
        .with_context(|| format!("{} takes longer than {within:?}", program.display()))?
        .with_context(|| format!("running {}", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        program.display(),
        output.status,
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

/// A file for a program's log.
///
/// # Errors
/// When the folder cannot be made.
pub(super) fn log_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let path = logs.join(format!("{name}.log"));
    File::create(&path).with_context(|| format!("making {}", path.display()))?;
    Ok(path)
}

/// The first port tried. Below the range from which the kernel takes ports for outgoing connections: a killed
/// server's port must still be free when it comes back.
const FIRST_PORT: u16 = 20_100;
/// Ports tried before giving up.
const PORTS: u16 = 10_000;

/// A port on loopback that nobody listens on, neither over TCP nor over UDP. Each is given out once.
///
/// # Errors
/// When all are taken.
pub(super) fn free_port() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT + offset));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port from {FIRST_PORT} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        assert_ne!(free_port().expect("a port"), free_port().expect("another"));
    }

    #[tokio::test]
    async fn a_dropped_program_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = log_file(folder.path(), "sleeper").expect("a log");
        let start = || Program::start("sleeper", Path::new("/bin/sleep"), ["1000"], &log).expect("starts");
        let program = start();
        let pid = program.pid();
        drop(program);
        assert!(Usage::of(pid).is_none());
        let mut program = start();
        program.check().expect("it runs");
        program.terminate().expect("it runs");
        assert!(!program.wait().await.expect("it ends").success());
        assert!(program.check().is_err());
    }
}
