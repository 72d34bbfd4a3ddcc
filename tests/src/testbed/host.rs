//! One host: power, cable, engine and programs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::docker::{self, Engine};
use super::image::TestImage;
use super::machine::Machine;
use super::network::{self, Slowed, Switch};
use super::process::Process;
use super::run::Run;

/// A host of the testbed. All methods take `&self`, so that tests can work on several hosts at once.
#[derive(Debug)]
pub struct Host {
    name: String,
    number: usize,
    address: String,
    engine: Engine,
    dir: PathBuf,
    power: Mutex<Option<Power>>,
    switch: Switch,
    run: Arc<Run>,
}

/// What exists while the host is on.
#[derive(Debug)]
struct Power {
    engine: Option<Process>,
    machine: Machine,
}

impl Host {
    /// A host that is off.
    pub(super) fn new(
        run: &Arc<Run>,
        switch: &Switch,
        name: &str,
        number: usize,
        engine: Engine,
    ) -> Result<Self> {
        let dir = run.dir().join(name);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Self {
            name: name.to_owned(),
            number,
            address: network::address(number)?,
            engine,
            dir,
            power: Mutex::new(None),
            switch: switch.clone(),
            run: Arc::clone(run),
        })
    }

    /// Its name, which is also its hostname.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address on the switch.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it has an engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Its folder, for the data of programs on it. It survives power cuts, like a disk.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Boots it: spaces, cable, engine. Containers with a restart policy come back by themselves.
    ///
    /// # Errors
    /// When it is on already, or something of it does not start.
    pub fn power_on(&self) -> Result<()> {
        let mut power = self.power();
        ensure!(power.is_none(), "{} is on already", self.name);
        let machine = Machine::boot(&self.run, &self.name)?;
        self.switch.plug(&machine, self.number)?;
        let engine = match self.engine {
            Engine::Docker => Some(docker::start(&self.run, &machine, &self.name, &self.dir)?),
            Engine::None => None,
        };
        *power = Some(Power { engine, machine });
        Ok(())
    }

    /// Kills every process on the host at once, engine and containers included; nothing gets to say goodbye.
    ///
    /// # Errors
    /// When the host is off.
    pub fn power_off(&self) -> Result<()> {
        let power = self.power().take().ok_or_else(|| self.is_off())?;
        // The cable first: the kernel would close the connections of killed processes, a dead machine does not.
        self.switch.unplug(self.number)?;
        drop(power);
        Ok(())
    }

    /// Pulls the network plug. Programs on the host go on.
    ///
    /// # Errors
    /// When the host is off.
    pub fn cut(&self) -> Result<()> {
        self.powered(|_| self.switch.set_connected(self.number, false))
    }

    /// Puts the plug back.
    ///
    /// # Errors
    /// When the host is off.
    pub fn heal(&self) -> Result<()> {
        self.powered(|_| self.switch.set_connected(self.number, true))
    }

    /// Drops all packets between this host and `peer`, without either noticing that a link is down.
    ///
    /// # Errors
    /// When this host is off or has no packet filter.
    pub fn block(&self, peer: &Host) -> Result<()> {
        self.powered(|power| network::set_blocked(&power.machine, peer.address(), true))
    }

    /// Undoes one [`Host::block`].
    ///
    /// # Errors
    /// When this host is off or `peer` was not blocked.
    pub fn unblock(&self, peer: &Host) -> Result<()> {
        self.powered(|power| network::set_blocked(&power.machine, peer.address(), false))
    }

    /// Delays every packet that this host sends, if the kernel can.
    ///
    /// # Errors
    /// When the host is off or `tc` fails for another reason than a kernel without netem.
    pub fn slow(&self, delay: Duration) -> Result<Slowed> {
        self.powered(|power| network::slow(&power.machine, delay))
    }

    /// Narrows what this host sends to so many kilobits per second.
    ///
    /// # Errors
    /// When the host is off or `tc` fails.
    pub fn throttle(&self, kilobits_per_second: u32) -> Result<()> {
        self.powered(|power| network::throttle(&power.machine, kilobits_per_second))
    }

    /// Undoes [`Host::slow`] and [`Host::throttle`].
    ///
    /// # Errors
    /// When the host is off or `tc` fails.
    pub fn full_speed(&self) -> Result<()> {
        self.powered(|power| network::full_speed(&power.machine))
    }

    /// A command that will run on the host. Its working directory is `/`.
    ///
    /// # Errors
    /// When the host is off.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        self.powered(|power| Ok(power.machine.command(program)))
    }

    /// The same, with the network of this machine instead of the host's: for programs that work with something
    /// on this machine's loopback.
    ///
    /// # Errors
    /// When the host is off.
    pub fn local_command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        self.powered(|power| Ok(power.machine.local_command(program)))
    }

    /// Pid of the engine, as this machine numbers it.
    ///
    /// # Errors
    /// When the host is off or has no engine that runs.
    pub fn engine_pid(&self) -> Result<u32> {
        self.powered(|power| {
            let pid = power.engine.as_ref().filter(|engine| engine.is_running()).and_then(Process::pid);
            pid.with_context(|| format!("{} has no running Docker engine", self.name))
        })
    }

    /// Runs a program on the host to its end and returns its standard output, without the last newline.
    ///
    /// # Errors
    /// When it fails; the error carries what it said.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let mut command = self.command(program)?;
        command.args(args);
        let output = network::output(&mut command)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Err(anyhow!("on {}: {command:?} failed ({}): {stdout}\n{stderr}", self.name, output.status))
    }

    /// Starts a program on the host; it runs until it ends, is killed, or the host loses power.
    ///
    /// # Errors
    /// When the host is off or the program cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        name: &str,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Process> {
        let mut command = self.command(program)?;
        command.args(args);
        self.spawn_command(name, command)
    }

    /// Starts a command made by [`Host::command`], for programs that need an environment.
    ///
    /// # Errors
    /// As [`Host::spawn`].
    pub fn spawn_command(&self, name: &str, command: Command) -> Result<Process> {
        let name = format!("{}-{name}", self.name);
        let log = self.run.log_path(&name);
        Process::start(&name, command, log)
    }

    /// Runs `docker ARGS` against this host's engine and returns what it printed.
    ///
    /// # Errors
    /// When the command fails; the error carries what it said.
    pub fn docker<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        ensure!(self.engine == Engine::Docker, "{} has no Docker engine", self.name);
        docker::docker(&self.dir, args)
    }

    /// The engine's socket as seen from outside the host. On the host it is also `/run/docker.sock`.
    pub fn docker_socket(&self) -> PathBuf {
        docker::socket(&self.dir)
    }

    /// Stops the engine as a crash would (`kill -9` of dockerd) and starts it again. Containers go on in between;
    /// Docker, without its live-restore option, stops them when it returns and starts those that should be up.
    ///
    /// # Errors
    /// When the host is off or has no engine, or the engine does not come back.
    pub fn restart_engine(&self) -> Result<()> {
        let mut power = self.power();
        let power = power.as_mut().ok_or_else(|| self.is_off())?;
        power
            .engine
            .as_mut()
            .with_context(|| format!("{} has no Docker engine", self.name))?
            .kill_with_children()?;
        power.engine = Some(docker::start(&self.run, &power.machine, &self.name, &self.dir)?);
        Ok(())
    }

    /// Runs `work` on a thread of this process that is on the host's network: sockets that it opens, those of
    /// an async runtime that it starts included, are the host's.
    ///
    /// # Errors
    /// When the host is off.
    ///
    /// # Panics
    /// When `work` panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let network = self.powered(|power| {
            File::open(format!("/proc/{}/ns/net", power.machine.pid()))
                .context("opening the host's network space")
        })?;
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(super) fn import(&self, image: &TestImage) -> Result<()> {
        image.import_into(&self.dir)
    }

    fn powered<T>(&self, act: impl FnOnce(&Power) -> Result<T>) -> Result<T> {
        act(self.power().as_ref().ok_or_else(|| self.is_off())?)
    }

    /// A panic elsewhere leaves the power as it was, so a poisoned lock tells nothing.
    fn power(&self) -> MutexGuard<'_, Option<Power>> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_off(&self) -> anyhow::Error {
        anyhow!("{} is off", self.name)
    }
}
