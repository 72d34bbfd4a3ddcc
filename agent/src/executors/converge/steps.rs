//! What can be done to a host, one thing at a time. Pure values; `run/` does them.
//!
//! Every step may be done twice, and may find that it is done already: after a crash the plan is made again from what the
//! engine says.

use super::definition::Definition;
use super::mounts::OnHost;
use bollard::models::{EndpointSettings, RestartPolicy};
use omni_common::domain::app::{Hook, NetworkSpec, PullPolicy, VolumeSpec};
use omni_common::ids::AllocationId;
use std::collections::{BTreeMap, BTreeSet};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// For this allocation; absent for what belongs to none any more.
    pub allocation: Option<AllocationId>,
    /// What.
    pub action: Action,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// An image is on the host, as new as its policy wants it.
    Pull {
        /// Its reference.
        image: String,
        /// When to pull it.
        policy: PullPolicy,
        /// Platform that it has to be for.
        platform: Option<String>,
    },
    /// Networks, volumes and files are there.
    Lay(Layout),
    /// A container is made.
    Create {
        /// Under this name.
        name: String,
        /// As this.
        definition: Box<Definition>,
    },
    /// A container that runs already is taken over as it is.
    Adopt {
        /// The container.
        target: Target,
        /// What its labels would say.
        labels: BTreeMap<String, String>,
        /// When the engine starts it again from now on.
        restart: RestartPolicy,
    },
    /// A container is joined to a network.
    Connect {
        /// The container.
        target: Target,
        /// The network.
        network: String,
        /// Its place there.
        endpoint: Box<EndpointSettings>,
    },
    /// A container is started.
    Start {
        /// The container.
        target: Target,
        /// Only while the lease is valid.
        exclusive: bool,
        /// Commands run in it once it has started.
        hooks: Vec<Hook>,
    },
    /// A container is stopped.
    Stop {
        /// The container.
        target: Target,
        /// It may take this long, milliseconds.
        grace_ms: u64,
        /// Commands run in it before.
        hooks: Vec<Hook>,
        /// It is to be started again: its end is no failure.
        again: bool,
    },
    /// A container that does not run is removed, with its volumes that have no name.
    Remove(Target),
    /// A container takes the name it is to have.
    Rename {
        /// The container.
        target: Target,
        /// Its name from now on.
        to: String,
    },
    /// A network that nothing needs any more is removed.
    RemoveNetwork(String),
    /// A volume is removed with what is in it: somebody has said so.
    RemoveVolume(String),
}

/// A container that something is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Docker's id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
}

/// What an allocation needs to lie on the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Networks by their names on the host.
    pub networks: BTreeMap<String, Thing<NetworkSpec>>,
    /// Volumes by their names on the host.
    pub volumes: BTreeMap<String, Thing<VolumeSpec>>,
    /// Files and folders.
    pub files: Vec<OnHost>,
}

/// A network or volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing<T> {
    /// How it is to be made.
    pub spec: T,
    /// The labels it gets; one that is there already has to carry those of its owner.
    pub labels: BTreeMap<String, String>,
    /// Its name was given in the file: whoever made it, it is the one that is meant.
    pub named: bool,
}

impl Step {
    /// What the step is about: two steps of the same key never run at the same time.
    pub fn key(&self) -> String {
        let about = match &self.action {
            Action::Pull { image, .. } => format!("pull {image}"),
            Action::Lay(_) => "lay".to_owned(),
            Action::Create { definition, .. } => {
                format!("create {} {}", definition.service, definition.number)
            }
            Action::Adopt { target, .. } => format!("adopt {}", target.id),
            Action::Connect { target, network, .. } => format!("connect {} {network}", target.id),
            Action::Start { target, .. } => format!("start {}", target.id),
            Action::Stop { target, .. } => format!("stop {}", target.id),
            Action::Remove(target) => format!("remove {}", target.id),
            Action::Rename { target, .. } => format!("rename {}", target.id),
            Action::RemoveNetwork(name) => return removal_of("network", name),
            Action::RemoveVolume(name) => return removal_of("volume", name),
        };
        match (&self.action, self.allocation) {
            (Action::Pull { .. } | Action::Lay(_) | Action::Create { .. }, Some(id)) => {
                format!("{id} {about}")
            }
            _ => about,
        }
    }

    /// Whether it has to wait for one of the steps under way: a network or volume that is being removed would be found
    /// there, and be gone a moment later; and two that look for the same network at once would both make it, after which
    /// the engine knows neither by its name.
    pub fn waits_for(&self, under_way: &BTreeSet<String>) -> bool {
        match &self.action {
            Action::Lay(layout) => {
                let networks = layout.networks.keys().map(|name| removal_of("network", name));
                let volumes = layout.volumes.keys().map(|name| removal_of("volume", name));
                networks.chain(volumes).any(|removal| under_way.contains(&removal))
                    || under_way.iter().any(|key| key.ends_with(" lay"))
            }
            _ => false,
        }
    }

    /// What is done, for the log.
    pub fn word(&self) -> &'static str {
        match self.action {
            Action::Pull { .. } => "pull",
            Action::Lay(_) => "lay",
            Action::Create { .. } => "create",
            Action::Adopt { .. } => "adopt",
            Action::Connect { .. } => "connect",
            Action::Start { .. } => "start",
            Action::Stop { .. } => "stop",
            Action::Remove(_) => "remove",
            Action::Rename { .. } => "rename",
            Action::RemoveNetwork(_) => "remove network",
            Action::RemoveVolume(_) => "remove volume",
        }
    }
}

/// The key of a removal.
fn removal_of(what: &str, name: &str) -> String {
    format!("remove {what} {name}")
}
