//! A program with a data folder that can be stopped, killed and started again.

use super::{Answer, Place, SOON};
use crate::testbed::{Process, eventually};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A controller or an agent. Methods take `&self`, so that a test can kill one while others talk to it.
#[derive(Debug)]
pub struct Program<'a> {
    name: String,
    binary: &'static str,
    place: Place<'a>,
    dir: PathBuf,
    process: Mutex<Option<Process>>,
}

impl<'a> Program<'a> {
    pub(super) fn new(place: Place<'a>, name: &str, binary: &'static str) -> Self {
        let dir = place.dir(name);
        Self { name: name.to_owned(), binary, place, dir, process: Mutex::new(None) }
    }

    /// Its name, which is also its log's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it runs.
    pub fn place(&self) -> Place<'a> {
        self.place
    }

    /// The command `BINARY VERB --data-dir DIR`.
    ///
    /// # Errors
    /// When the program is not built, or its host is off.
    pub fn command(&self, verb: &str) -> Result<Command> {
        let mut command = self.place.program(self.binary)?;
        command.arg(verb).arg("--data-dir").arg(&self.dir);
        Ok(command)
    }

    /// Runs one of its other verbs to the end.
    ///
    /// # Errors
    /// When it cannot be run; that it fails is for the caller to judge.
    pub fn call<A: AsRef<OsStr>>(&self, verb: &str, args: impl IntoIterator<Item = A>) -> Result<Answer> {
        let mut command = self.command(verb)?;
        command.args(args);
        Answer::of(command)
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it runs already or cannot be run.
    pub fn start(&self) -> Result<()> {
        self.start_as(self.command("run")?)
    }

    /// Starts it by a command of the caller's: with an environment, say.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub fn start_as(&self, command: Command) -> Result<()> {
        let mut process = self.process();
        ensure!(!process.as_ref().is_some_and(Process::is_running), "{} runs already", self.name);
        *process = Some(self.place.spawn(&self.name, command)?);
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<()> {
        self.with(Process::kill)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(SOON)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.with(|process| process.signal(signal))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it goes on for longer than `within`, or was never started.
    pub fn wait(&self, within: Duration) -> Result<ExitStatus> {
        self.with(|process| process.wait(within))
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_running)
    }

    /// All that it has logged, over all starts.
    ///
    /// # Errors
    /// When it was never started.
    pub fn log(&self) -> Result<String> {
        self.with(|process| process.log())
    }

    /// Waits until it has logged `text`.
    ///
    /// # Errors
    /// When the time is over, with the whole log.
    pub fn await_log(&self, text: &str, within: Duration) -> Result<()> {
        let found = eventually(&format!("{} logs {text:?}", self.name), within, || {
            self.log().ok().filter(|log| log.contains(text)).map(drop)
        });
        found.with_context(|| self.log().unwrap_or_default())
    }

    /// Its pid, as this machine numbers it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        self.with(|process| process.pid().context("it has ended"))
    }

    /// Its resident memory, bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory(&self) -> Result<u64> {
        let pid = self.pid()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("{} does not run", self.name))? << 10)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let mut process = self.process();
        act(process.as_mut().with_context(|| format!("{} was never started", self.name))?)
    }

    /// A panic elsewhere leaves the process as it was, so a poisoned lock tells nothing.
    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        if self.is_running()
            && let Err(error) = self.kill()
        {
            eprintln!("mesh: {error:#}");
        }
    }
}
