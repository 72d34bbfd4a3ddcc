//! A program running on a host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use super::procfs::{self, Who};
use super::run;
use super::wait::eventually;

/// Entering a host's spaces takes milliseconds; only a machine in trouble takes this long.
const ENTER_WITHIN: Duration = Duration::from_secs(20);

/// One of this workspace's programs as cargo built it, e.g. `omni-agent`.
///
/// # Errors
/// When it is not there: `cargo build --workspace --bins` makes it, and `make test` runs that first.
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding this test's own file")?;
    // target/debug/deps/it-<hash> is below target/debug/<name>; target/release/omni-bench is beside target/release/<name>.
    let places = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let mut built = places.filter(|path| path.is_file());
    built.next().with_context(|| format!("{name} is missing; run `cargo build --workspace --bins`"))
}

/// A program. On a host it belongs to that: dropping this value does not stop it, a power cut does. One that is on no host is
/// killed with this value, because nothing else would end it.
#[derive(Debug)]
pub struct Process {
    name: String,
    /// `nsenter`, which waits for the program and ends as the program ended; on no host, the program itself.
    entry: Child,
    /// The program itself; `None` when it had ended before it could be looked at.
    program: Option<Who>,
    log: PathBuf,
}

impl Process {
    /// Starts a command made by [`Machine::command`](super::machine::Machine::command).
    pub(super) fn start(name: &str, command: Command, log: PathBuf) -> Result<Self> {
        let mut entry = spawn(name, command, &log)?;
        let program = eventually("the program has started", ENTER_WITHIN, || {
            let ended = matches!(entry.try_wait(), Ok(Some(_)));
            let program = procfs::children(entry.id()).first().copied().and_then(Who::of);
            (ended || program.is_some()).then_some(program)
        })?;
        Ok(Self { name: name.to_owned(), entry, program, log })
    }

    /// Starts a command of this machine, which is on no host.
    pub(crate) fn start_here(name: &str, command: Command, log: PathBuf) -> Result<Self> {
        let entry = spawn(name, command, &log)?;
        let program = Who::of(entry.id());
        Ok(Self { name: name.to_owned(), entry, program, log })
    }

    /// Who it is, for the list of processes that a later run has to kill if this one cannot.
    pub(crate) fn who(&self) -> Option<Who> {
        self.program
    }

    /// The name it was started under, which is also its log's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program's pid as the machine numbers it; `None` when it ended at once.
    pub fn pid(&self) -> Option<u32> {
        self.program.map(|program| program.pid)
    }

    /// Whether the program still runs.
    pub fn is_running(&self) -> bool {
        self.program.is_some_and(Who::is_alive)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let program = self.program.filter(|program| program.is_alive());
        let pid = program.and_then(Who::kernel_pid).ok_or_else(|| anyhow!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))?;
        // nsenter stops when its child is stopped, and would leave it a zombie that holds the whole host.
        if matches!(signal, Signal::CONT | Signal::KILL) {
            kill_process(Pid::from_child(&self.entry), Signal::CONT).ok();
        }
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(ENTER_WITHIN).map(drop)
    }

    /// [`Process::kill`], and waits for the end of its children, which the kernel kills with it or which end by
    /// themselves a moment later.
    pub(super) fn kill_with_children(&mut self) -> Result<()> {
        let children: Vec<Who> =
            self.pid().map(procfs::children).unwrap_or_default().into_iter().filter_map(Who::of).collect();
        self.kill()?;
        let gone = || (!children.iter().any(|child| child.is_alive())).then_some(());
        eventually(&format!("the children of {} have ended", self.name), ENTER_WITHIN, gone)
    }

    /// Waits for the program's end, for at most `within`. A signal shows in the status as it would directly.
    ///
    /// # Errors
    /// When the time is over.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let (name, entry) = (&self.name, &mut self.entry);
        eventually(&format!("{name} ends"), within, || entry.try_wait().ok().flatten())
    }

    /// Everything it has printed so far, on both streams, over all starts under this name.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where its output goes.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// When the time is over, with the whole log.
    pub fn await_log(&self, text: &str, within: Duration) -> Result<()> {
        eventually(&format!("{} prints {text:?}", self.name), within, || {
            self.log().ok().filter(|log| log.contains(text)).map(drop)
        })
        .with_context(|| format!("its log:\n{}", self.log().unwrap_or_default()))
    }
}

/// A test that fails leaves programs stopped. Their `nsenter` must go on, for the reason given in [`Process::signal`].
impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.entry.try_wait(), Ok(None)) {
            return;
        }
        if self.pid() == Some(self.entry.id()) {
            self.entry.kill().ok();
            self.entry.wait().ok();
        } else {
            kill_process(Pid::from_child(&self.entry), Signal::CONT).ok();
        }
    }
}

fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Child> {
    let output = run::open_log(log)?;
    let errors = output.try_clone().context("sharing a log")?;
    command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("starting {name}"))
}
