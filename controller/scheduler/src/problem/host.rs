//! Hosts.

use super::constraint::{same_arch, same_text};
use super::{Gpu, Port};
use omni_common::clock::Time;
use omni_common::ids::HostId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Whether a host can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostState {
    /// Enrolled, never heard from.
    Pending,
    /// Heartbeats arrive.
    Up,
    /// Heartbeats are late: nothing new, nothing moved.
    Suspect,
    /// No heartbeat for longer than any lease can run.
    Down {
        /// Every lease the host held is over by the margin, so nothing exclusive can run there any more.
        fenced: bool,
    },
    /// It is being removed: emptied like a draining one.
    Leaving,
}

impl HostState {
    /// Whether nothing there can be seen or told.
    pub(crate) fn is_down(self) -> bool {
        matches!(self, Self::Down { .. })
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down { fenced: true } => "down",
            Self::Down { fenced: false } => "down, its leases not yet over",
            Self::Leaving => "leaving",
        })
    }
}

/// What Compose files call a node's role: a machine that a controller runs on is a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A controller runs beside the agent.
    Manager,
    /// An agent alone.
    Worker,
}

/// Operating system and CPU architecture, in the words of Docker or of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64` and `x86_64` are the same, as are `arm64` and `aarch64`.
    pub arch: String,
}

impl Platform {
    /// Whether something built for `self` runs on `host`. An absent architecture runs anywhere.
    pub(crate) fn runs_on(&self, host: &Self) -> bool {
        let arch = self.arch.is_empty() || same_arch(&self.arch, &host.arch);
        same_text(&self.os, &host.os) && arch
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)
    }
}

/// Keeps every group away that does not say it can stand it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() { f.write_str(&self.key) } else { write!(f, "{}={}", self.key, self.value) }
    }
}

/// A machine with an agent.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its name, unique among hosts.
    pub name: Arc<str>,
    /// Region.
    pub region: Option<Arc<str>>,
    /// Zone.
    pub zone: Option<Arc<str>>,
    /// Labels that operators and join tokens gave it.
    pub labels: BTreeMap<String, String>,
    /// Labels of its Docker engine.
    pub engine_labels: BTreeMap<String, String>,
    /// Operating system and architecture.
    pub platform: Platform,
    /// Whether a controller runs there.
    pub role: Role,
    /// Whether it can be counted on.
    pub state: HostState,
    /// Since when it has that state. Hosts lost within one window count as lost at once.
    pub state_since: Time,
    /// Nothing new is placed on it.
    pub cordoned: bool,
    /// It is emptied.
    pub draining: bool,
    /// It was to be empty by now: what cannot go elsewhere stops.
    pub overdue: bool,
    /// It is overdue for so long that not even a successor on its way is waited for.
    pub expired: bool,
    /// What keeps groups away.
    pub taints: Vec<Taint>,
    /// CPU time it has, thousandths of a CPU.
    pub millicores: u64,
    /// Memory it has, bytes.
    pub memory: u64,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
    /// CPU time that containers omni does not own reserve or use, thousandths of a CPU.
    pub foreign_millicores: u64,
    /// Memory that they reserve or use, bytes.
    pub foreign_memory: u64,
    /// Ports that they, or other programs, hold.
    pub foreign_ports: Vec<Port>,
    /// Image references and digests it has.
    pub images: BTreeSet<Arc<str>>,
}

impl Host {
    /// An empty Linux host that is up, with no capacity: a beginning for tests and examples.
    pub fn new(id: HostId, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            region: None,
            zone: None,
            labels: BTreeMap::new(),
            engine_labels: BTreeMap::new(),
            platform: Platform { os: "linux".into(), arch: "x86_64".into() },
            role: Role::Worker,
            state: HostState::Up,
            state_since: Time::EPOCH,
            cordoned: false,
            draining: false,
            overdue: false,
            expired: false,
            taints: Vec::new(),
            millicores: 0,
            memory: 0,
            gpus: Vec::new(),
            foreign_millicores: 0,
            foreign_memory: 0,
            foreign_ports: Vec::new(),
            images: BTreeSet::new(),
        }
    }

    /// Whether what runs there should go elsewhere.
    pub(crate) fn departs(&self) -> bool {
        self.draining || self.state == HostState::Leaving
    }
}
