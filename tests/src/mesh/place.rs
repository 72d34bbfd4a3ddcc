//! Where the programs of a mesh run: on this machine, or on a host of the testbed.

use crate::testbed::{self, Host, Process, Run};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports on a loopback address begin here.
const FIRST_PORT: u16 = 7600;

/// This machine's loopback, at an address that only this test process uses: its ports are never taken.
#[derive(Debug)]
pub struct Loopback {
    run: Run,
    address: String,
    next_port: AtomicU16,
}

impl Loopback {
    /// A folder and an address of their own.
    ///
    /// # Errors
    /// When there is no room for files.
    pub fn new() -> Result<Self> {
        // The whole of 127.0.0.0/8 is loopback on Linux; a process id fits its last three bytes.
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        Ok(Self {
            run: Run::begin()?,
            address: format!("127.{}.{middle}.{low}", 64 | high),
            next_port: AtomicU16::new(FIRST_PORT),
        })
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A port that nothing of this test uses yet.
    pub fn port(&self) -> u16 {
        self.next_port.fetch_add(1, Ordering::Relaxed)
    }

    /// A folder for files of a test.
    pub fn dir(&self) -> &Path {
        self.run.dir()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run.print_logs();
        }
    }
}

/// Where a program runs.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// On this machine.
    Here(&'a Loopback),
    /// On a host of the testbed.
    On(&'a Host),
}

impl<'a> Place<'a> {
    /// The address that programs there listen on.
    pub fn address(&self) -> &'a str {
        match self {
            Self::Here(here) => here.address(),
            Self::On(host) => host.address(),
        }
    }

    /// Two ports for a controller. A host has one controller at most, so it has the usual ones.
    pub(super) fn controller_ports(&self) -> (u16, u16) {
        match self {
            Self::Here(here) => (here.port(), here.port()),
            Self::On(_) => (FIRST_PORT, FIRST_PORT + 1),
        }
    }

    /// The folder of a program of this name; it may not exist yet.
    pub fn dir(&self, name: &str) -> PathBuf {
        match self {
            Self::Here(here) => here.dir().join(name),
            Self::On(host) => host.dir().join(name),
        }
    }

    /// A command that will run there.
    ///
    /// # Errors
    /// When the host is off.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        match self {
            Self::Here(_) => Ok(Command::new(program)),
            Self::On(host) => host.command(program),
        }
    }

    /// One of this workspace's programs, to be run there.
    ///
    /// # Errors
    /// When it is not built, or the host is off.
    pub fn program(&self, name: &str) -> Result<Command> {
        self.command(testbed::program(name)?)
    }

    /// Starts a command made by [`Place::command`]; its output goes to a log of this name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        match self {
            Self::Here(here) => {
                let process = Process::start_here(name, command, here.run.log_path(name))?;
                here.run.remember(&[process.who()])?;
                Ok(process)
            }
            Self::On(host) => host.spawn_command(name, command),
        }
    }

    /// Makes a folder and returns it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir(name);
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// Runs `work` where sockets that it opens are of that place.
    ///
    /// # Errors
    /// When the host is off.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        match self {
            Self::Here(_) => Ok(work()),
            Self::On(host) => host.inside(work),
        }
    }
}
