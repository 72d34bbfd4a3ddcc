//! The files of one testbed, and the removal of what dead runs left behind.
//!
//! A run's folder is named after its owner, `<pid>-<start time>-<n>`, so whether it is still needed can be
//! read off its name. A test that was killed cannot clean up; the next run does it before it starts.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};

use super::cgroup;
use super::procfs::Who;

/// Lines of each log that a failing test prints.
const TAIL_LINES: usize = 30;
/// A Unix socket's path may have 107 bytes; the longest below a run's folder needs about 30.
const MAX_DIR: usize = 75;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The folder of one testbed; removed on drop, with its cgroups.
#[derive(Debug)]
pub(crate) struct Run {
    id: String,
    dir: PathBuf,
}

impl Run {
    pub(crate) fn begin() -> Result<Self> {
        reap_dead_runs();
        let me = Who::of(std::process::id()).context("reading our own start time")?;
        let id = format!("{}-{}-{}", me.pid, me.started, NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = root().join(&id);
        ensure!(
            dir.as_os_str().len() <= MAX_DIR,
            "{} is too long a path for Unix sockets; set TMPDIR to a shorter one",
            dir.display()
        );
        fs::create_dir_all(dir.join("logs")).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self { id, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cgroup that holds the containers of host `name`.
    pub(super) fn cgroup(&self, name: &str) -> String {
        format!("/{}{}-{name}", cgroup::PREFIX, self.id)
    }

    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    /// The end of a log, for an error message.
    pub(super) fn log_tail(&self, name: &str) -> String {
        tail(&self.log_path(name))
    }

    /// Writes down processes that the next run must kill if this one cannot.
    pub(crate) fn remember(&self, processes: &[Option<Who>]) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.dir.join("processes"))?;
        for who in processes.iter().flatten() {
            writeln!(file, "{} {}", who.pid, who.started)?;
        }
        Ok(())
    }

    /// Prints the end of every log, for a test that failed.
    pub(crate) fn print_logs(&self) {
        let Ok(logs) = fs::read_dir(self.dir.join("logs")) else {
            return;
        };
        let mut logs: Vec<_> = logs.flatten().map(|entry| entry.path()).collect();
        logs.sort();
        for log in logs {
            eprintln!("---- the end of {} ----\n{}", log.display(), tail(&log));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        remove(&self.id, &self.dir);
    }
}

/// Opens a log for a program that may be started more than once.
pub(super) fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

fn root() -> PathBuf {
    std::env::temp_dir().join("omni-bed")
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Best effort: another test may be removing the same leftovers at this moment.
fn reap_dead_runs() {
    let Ok(entries) = fs::read_dir(root()) else { return };
    for entry in entries.flatten() {
        let id = entry.file_name().to_string_lossy().into_owned();
        if owner(&id).is_some_and(|owner| !owner.is_alive()) {
            kill_remembered(&entry.path());
            remove(&id, &entry.path());
        }
    }
}

fn owner(id: &str) -> Option<Who> {
    let mut parts = id.split('-');
    Some(Who { pid: parts.next()?.parse().ok()?, started: parts.next()?.parse().ok()? })
}

fn kill_remembered(dir: &Path) {
    let list = fs::read_to_string(dir.join("processes")).unwrap_or_default();
    for line in list.lines() {
        let who = line
            .split_once(' ')
            .and_then(|(pid, started)| Some(Who { pid: pid.parse().ok()?, started: started.parse().ok()? }));
        if let Some(who) = who.filter(|who| who.is_alive())
            && let Some(pid) = who.kernel_pid()
        {
            report(kill_process(pid, Signal::KILL).map_err(Into::into), "killing a leftover process");
        }
    }
}

fn remove(id: &str, dir: &Path) {
    report(cgroup::remove(id), "removing cgroups");
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            report(Err(error.into()), "removing the testbed's files");
        }
        _ => {}
    }
}

/// For drops and leftovers, where nobody can be handed an error.
fn report(result: Result<()>, doing: &str) {
    if let Err(error) = result {
        eprintln!("testbed: {doing}: {error:#}");
    }
}
