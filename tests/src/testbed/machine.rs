//! One set of kernel spaces, held open by one process: what a host (and the switch) is made of.
//!
//! `unshare` makes the spaces and starts a first process in them. When that process dies the kernel kills
//! every other process of its pid space, containers included, and drops the mounts and the network: nothing
//! needs to be hunted down. `unshare --kill-child` ties it to the test, so a killed test leaves no host.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, kill_process};

use super::procfs::{self, Who};
use super::run::Run;

/// The first process of the spaces. It stays a shell that waits, because waiting also reaps the orphans of its
/// pid space: a dead engine whose zombie lingers looks alive to the next one. `/run` is new, as after a boot.
const FIRST_PROCESS: &str = r#"
set -e
echo "$1" >/proc/sys/kernel/hostname
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
echo ready
while :; do
    sleep infinity &
    wait $!
done
"#;

/// A booted set of spaces. Dropping it is a power cut.
#[derive(Debug)]
pub(super) struct Machine {
    name: String,
    holder: Child,
    first: Who,
}

impl Machine {
    /// Makes the spaces and waits until their first process is ready.
    pub(super) fn boot(run: &Run, name: &str) -> Result<Self> {
        let mut holder = unshare(name, &run.log_path(name))?;
        let ready = await_ready(&mut holder);
        let first = procfs::children(holder.id()).first().copied().and_then(Who::of);
        let (Ok(()), Some(first)) = (ready, first) else {
            holder.kill().and_then(|()| holder.wait()).context("taking down a half-made host")?;
            bail!("host {name} did not start:\n{}", run.log_tail(name));
        };
        run.remember(&[Who::of(holder.id()), Some(first)])?;
        Ok(Self { name: name.to_owned(), holder, first })
    }

    /// The first process's pid in the machine's numbering.
    pub(super) fn pid(&self) -> u32 {
        self.first.pid
    }

    /// A command that will run inside, with the machine's own root file system.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-m", "-u", "-n", "-p", "--"]).arg(program);
        command
    }

    /// A command that will run inside, but with the network of whoever calls: it reaches his loopback.
    pub(super) fn local_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-m", "-u", "-p", "--"]).arg(program);
        command
    }

    /// A command that only has the network of this machine, for `ip` and `tc`, which name peers by outer pid.
    pub(super) fn network_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n", "--"]).arg(program);
        command
    }

    /// Kills everything inside and waits until it is gone.
    fn power_off(&mut self) -> Result<()> {
        if let Some(pid) = self.first.kernel_pid()
            && self.first.is_alive()
        {
            kill_process(pid, Signal::KILL).with_context(|| format!("killing host {}", self.name))?;
        }
        // The first process is reaped only after all others of its pid space, and `unshare` ends after it.
        self.holder.wait().with_context(|| format!("waiting for host {} to be gone", self.name))?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Err(error) = self.power_off() {
            eprintln!("testbed: {error:#}");
        }
    }
}

fn unshare(name: &str, log: &Path) -> Result<Child> {
    let log = std::fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
    Command::new("unshare")
        .args(["--fork", "--pid", "--kill-child", "--mount", "--mount-proc", "--net", "--uts", "--"])
        .args(["sh", "-c", FIRST_PROCESS, "sh", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("running unshare")
}

fn await_ready(holder: &mut Child) -> Result<()> {
    let stdout = holder.stdout.take().context("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("reading from the first process")?;
    if line.trim_end() == "ready" { Ok(()) } else { bail!("the first process ended early") }
}
