//! A host's own Docker engine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::machine::Machine;
use super::network::{output, succeed};
use super::process::Process;
use super::run::Run;
use super::wait::eventually;

/// A second on an idle machine; several engines on two busy cores take their time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// Whether a host has a Docker engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Its own dockerd, started with the host.
    Docker,
    /// None: a controller's host, or a host on which the agent has to say that Docker is absent.
    None,
}

/// The socket by which a test reaches the engine from outside the host.
pub(super) fn socket(dir: &Path) -> PathBuf {
    dir.join("docker.sock")
}

/// Starts the engine and waits until it answers. Its data stays in the host's folder over power cuts; what a
/// real machine keeps under `/run` is new, as after a boot.
pub(super) fn start(run: &Run, host: &Machine, name: &str, dir: &Path) -> Result<Process> {
    let mut dockerd = host.command("dockerd");
    dockerd
        .args([
            "--host",
            "unix:///run/docker.sock",
            "--exec-root",
            "/run/docker",
            "--pidfile",
            "/run/docker.pid",
        ])
        .arg("--host")
        .arg(format!("unix://{}", socket(dir).display()))
        .arg("--data-root")
        .arg(dir.join("docker"))
        .args(["--cgroup-parent", &run.cgroup(name)])
        // A registry of a test's own has no certificate.
        .args(["--insecure-registry", super::network::SUBNET])
        // systemd's cgroup driver would put all hosts' containers under the machine's one systemd.
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
    let log = format!("{name}-dockerd");
    let dockerd = Process::start(&log, dockerd, run.log_path(&log))?;
    await_answer(&dockerd, dir)
        .with_context(|| format!("the Docker engine's log:\n{}", run.log_tail(&log)))?;
    Ok(dockerd)
}

fn await_answer(dockerd: &Process, dir: &Path) -> Result<()> {
    let mut ping = cli(dir);
    ping.args(["version", "--format", "{{.Server.Version}}"]);
    let answered = eventually("the Docker engine answers", ANSWERS_WITHIN, || {
        let answers = output(&mut ping).is_ok_and(|output| output.status.success());
        (answers || !dockerd.is_running()).then_some(answers)
    })?;
    if answered { Ok(()) } else { bail!("the Docker engine ended") }
}

/// Makes an image from a root file system in a tar file.
pub(super) fn import(dir: &Path, tar: &Path, image: &str) -> Result<()> {
    let default = r#"CMD ["idle"]"#;
    succeed(cli(dir).args(["import", "--change", default]).arg(tar).arg(image))
}

/// Runs the `docker` command against the engine and returns what it printed, without the last newline.
pub(super) fn docker<A: AsRef<std::ffi::OsStr>>(
    dir: &Path,
    args: impl IntoIterator<Item = A>,
) -> Result<String> {
    let mut command = cli(dir);
    command.args(args);
    let output = output(&mut command)?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn cli(dir: &Path) -> Command {
    let mut command = Command::new("docker");
    command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
    command.arg("--host").arg(format!("unix://{}", socket(dir).display()));
    command
}
