//! Several hosts on one machine: real processes, real networks, a real Docker engine on each.
//!
//! ```text
//!   test process                     Testbed (tests/src/testbed)
//!        │ nsenter
//!        ▼
//!   ┌─ h1 ──────────────┐  ┌─ h2 ──────────────┐       a host: its own network, process,
//!   │ omni-agent        │  │ omni-controller   │       mount and name spaces, held open by
//!   │ dockerd ─ shims   │  │                   │       one process. Kill that one and the
//!   │ eth0 10.77.0.11   │  │ eth0 10.77.0.12   │       kernel kills all the others: power loss
//!   └──────┬────────────┘  └──────┬────────────┘
//!          p1   ┌─ switch ─┐      p2                   a bridge in a network space of its own;
//!          └────┤   br0    ├──────┘                    nothing touches the machine's own network
//!               └──────────┘
//! ```
//!
//! ```no_run
//! use omni_tests::testbed::{self, IMAGE};
//! testbed::test(3, |bed| {
//!     bed.host("h1").docker(["run", "-d", "--name", "web", IMAGE, "http", "8080"])?;
//!     bed.host("h1").cut()
//! });
//! ```
//!
//! The testbed needs root, and only the lack of root is a reason to skip a test ([`skip_reason`]). A missing program is a failure, because `make test` installs what is needed.
//!
//! # What was measured on Debian 12 (Docker 20.10.24, cgroup v1, kernel 6.18, no systemd)
//!
//! - dockerd picks overlay2 by itself on ext4 (vfs where overlays cannot be mounted), and its default bridge, NAT and
//!   published ports work inside a host's network space: containers reach other hosts.
//! - Three hosts with engines are up in a second and a half on two cores, and gone in under a second. Each costs
//!   about 120 MB of memory with an idle engine.
//! - Entering with `nsenter` keeps `/sys`, and with it the cgroup tree, as the machine has it; `ip netns
//!   exec` would mount a fresh one without cgroups and dockerd would not start.
//! - A host's overlay and namespace mounts live in its mount space and vanish with it. Only cgroup folders
//!   stay behind; dropping the testbed removes them, and so does the next run when this one was killed.
//! - That kernel has no `netem`, so links cannot be delayed there ([`Host::slow`] says so); `tbf` is there,
//!   so they can be narrowed ([`Host::throttle`]).
//!
//! # What is shared between hosts
//!
//! The kernel, its clock, the file system outside the host's own folder, CPU and memory. A host's `/run` is
//! its own, so each engine also listens on the usual `/run/docker.sock`.

mod cgroup;
mod docker;
mod host;
mod image;
mod machine;
mod network;
mod package;
mod process;
mod procfs;
mod run;
mod wait;

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

pub use docker::Engine;
pub use host::Host;
pub use image::{HEALTH_TEST, IMAGE};
pub use network::Slowed;
pub use package::Package;
pub use process::{Process, program};
pub use wait::eventually;

pub(crate) use run::Run;

use image::TestImage;
use network::Switch;

/// A test on the testbed: makes it with `hosts` hosts, hands it to `body`, and prints the ends of all logs when
/// that fails. Skips, loudly, when this user cannot make one.
///
/// # Panics
/// When the testbed cannot be made or `body` fails.
pub fn test(hosts: usize, body: impl FnOnce(&mut Testbed) -> Result<()>) {
    if let Some(reason) = skip_reason() {
        eprintln!("{reason}");
        return;
    }
    let mut bed = Testbed::new(hosts).unwrap_or_else(|error| panic!("the testbed did not start: {error:?}"));
    if let Err(error) = body(&mut bed) {
        panic!("{error:?}");
    }
}

/// Why the testbed cannot be used by this user, when it cannot. Tests print it loudly and end.
pub fn skip_reason() -> Option<String> {
    (!rustix::process::geteuid().is_root()).then(|| {
        "SKIPPED: the testbed makes network namespaces and starts Docker engines, which takes root".into()
    })
}

/// A switch and the hosts plugged into it. Dropping it takes everything down.
#[derive(Debug)]
pub struct Testbed {
    // Dropped in this order: hosts lose power before the switch goes, and the files go last.
    hosts: Vec<Host>,
    switch: Switch,
    image: TestImage,
    run: Arc<Run>,
}

impl Testbed {
    /// Hosts `h1` to `hN`, each with a Docker engine that holds the test image.
    ///
    /// # Errors
    /// When the spaces cannot be made (not root) or an engine does not answer; the error carries its log.
    pub fn new(hosts: usize) -> Result<Self> {
        let mut bed = Self::empty()?;
        let names: Vec<String> = (1..=hosts).map(|number| format!("h{number}")).collect();
        bed.add_hosts(&names, Engine::Docker)?;
        Ok(bed)
    }

    /// A switch without hosts.
    ///
    /// # Errors
    /// As [`Testbed::new`].
    pub fn empty() -> Result<Self> {
        let run = Arc::new(Run::begin()?);
        let image = TestImage::build(&run.dir().join("image"))?;
        let switch = Switch::start(&run)?;
        Ok(Self { hosts: Vec::new(), switch, image, run })
    }

    /// Adds hosts under these names, all started at the same time.
    ///
    /// # Errors
    /// When a name is taken or a host does not start.
    pub fn add_hosts<N: AsRef<str>>(&mut self, names: &[N], engine: Engine) -> Result<()> {
        let first = self.hosts.len();
        for name in names {
            let name = name.as_ref();
            anyhow::ensure!(self.find(name).is_none(), "there is a host named {name} already");
            let number = self.hosts.len() + 1;
            self.hosts.push(Host::new(&self.run, &self.switch, name, number, engine)?);
        }
        self.start(&self.hosts[first..])
    }

    /// Gives all engines an image of what Debian packages.
    ///
    /// # Errors
    /// When the package is not installed here.
    pub fn install(&self, package: Package) -> Result<()> {
        let engines = self.hosts.iter().filter(|host| host.engine() == Engine::Docker);
        package.install(self.run.dir(), engines)
    }

    /// The host of this name.
    ///
    /// # Panics
    /// When there is none: a test names its own hosts.
    pub fn host(&self, name: &str) -> &Host {
        self.find(name).unwrap_or_else(|| panic!("the testbed has no host named {name}"))
    }

    /// All hosts, in the order they were added.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    fn find(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name() == name)
    }

    fn start(&self, hosts: &[Host]) -> Result<()> {
        thread::scope(|scope| {
            let starts: Vec<_> = hosts.iter().map(|host| scope.spawn(|| self.start_one(host))).collect();
            starts.into_iter().try_for_each(|start| start.join().expect("starting a host does not panic"))
        })
    }

    fn start_one(&self, host: &Host) -> Result<()> {
        host.power_on().with_context(|| format!("starting host {}", host.name()))?;
        if host.engine() == Engine::Docker {
            host.import(&self.image)?;
        }
        Ok(())
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if thread::panicking() {
            self.run.print_logs();
        }
    }
}
