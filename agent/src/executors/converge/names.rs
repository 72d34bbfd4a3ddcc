//! Names and labels of what omni makes on a host, and where its files lie. Pure.
//!
//! | thing | name |
//! | --- | --- |
//! | container | its `container_name`, else `[ENV.]APP[.SLOT]-SERVICE-NUMBER` |
//! | network, volume | its `name`, else `[ENV.]APP[.SLOT]_NAME` |
//! | files | `DATA/apps/ENV/APP/GROUP.SLOT/`, secrets under `/run/omni/secrets/` in the same way |
//!
//! The environment `default` and slot 0 are left out, so that an app looks as it does under compose. Groups that run on
//! every host have one instance a host at most and leave the slot out as well. An app has no dot in its name, so the
//! parts cannot be confused; where names meet nevertheless, labels tell whose a thing is, and the deploy fails with a
//! sentence instead of sharing it.
//!
//! While an older allocation still holds a container's name, the new container is called `NAME-ALLOCATION` with the
//! first eight digits of its allocation, and takes the name when it is free. A network that an older allocation of the
//! slot is in is made anew under such a name and keeps it, so that old and new never answer for each other.

use omni_common::domain::Container;
use omni_common::domain::app::{Group, GroupMode, Service, ServiceName};
use omni_common::ids::AllocationId;
use omni_common::wire::DesiredAllocation;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The app.
pub const APP: &str = "omni.app";
/// Its environment.
pub const ENVIRONMENT: &str = "omni.environment";
/// The group within the app.
pub const GROUP: &str = "omni.group";
/// The service.
pub const SERVICE: &str = "omni.service";
/// Which of the group's instances, from zero.
pub const SLOT: &str = "omni.slot";
/// Which of the service's containers in the instance, from one.
pub const NUMBER: &str = "omni.number";
/// The release it was made for.
pub const RELEASE: &str = "omni.release";
/// The allocation it was made for. What lacks this label is never touched.
pub const ALLOCATION: &str = "omni.allocation";
/// The host that made it. Several agents may share one engine; each sees only its own.
pub const HOST: &str = "omni.host";
/// The epoch it was made in.
pub const EPOCH: &str = "omni.epoch";
/// Hash of everything that makes the container what it is.
pub const DEFINITION: &str = "omni.definition";
/// `true`: it may run only while the host's lease is valid.
pub const EXCLUSIVE: &str = "omni.exclusive";
/// How many services it stands on, one upon the other; what stands highest is stopped first.
pub const ORDER: &str = "omni.order";
/// How long it may take to stop, milliseconds.
pub const STOP_GRACE: &str = "omni.stop_grace_ms";
/// Commands run in it before it is stopped, JSON.
pub const PRE_STOP: &str = "omni.pre_stop";
/// When it is started again after it ended, in Compose's words.
pub const RESTART: &str = "omni.restart";
/// Ids of the containers whose namespaces or volumes it shares.
pub const JOINS: &str = "omni.joins";
/// The compose project that a container was taken over from. No engine knows this one: see `plan/adopt.rs`.
pub const ADOPTED: &str = "omni.adopted";
/// What omni says on its containers, and lays over those that it has taken over.
pub const OWN: &[&str] = &[
    APP,
    ENVIRONMENT,
    GROUP,
    SERVICE,
    SLOT,
    NUMBER,
    RELEASE,
    ALLOCATION,
    HOST,
    EPOCH,
    DEFINITION,
    EXCLUSIVE,
    ORDER,
    STOP_GRACE,
    PRE_STOP,
    RESTART,
    JOINS,
];
/// The network's name in the app.
pub const NETWORK: &str = "omni.network";
/// The volume's name in the app.
pub const VOLUME: &str = "omni.volume";

/// Environment of apps that name none.
pub const DEFAULT_ENVIRONMENT: &str = "default";
/// A container is given this long to stop when nothing else is said: the engine's own default.
pub const DEFAULT_GRACE_MS: u64 = 10_000;

/// An instance of a group: what runs once on a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotKey {
    /// Environment of the app.
    pub environment: String,
    /// The app.
    pub app: String,
    /// The group.
    pub group: String,
    /// Which instance, from zero.
    pub slot: u32,
}

impl From<&DesiredAllocation> for SlotKey {
    fn from(allocation: &DesiredAllocation) -> Self {
        Self {
            environment: allocation.environment.clone(),
            app: allocation.app.clone(),
            group: allocation.group.clone(),
            slot: allocation.slot,
        }
    }
}

impl SlotKey {
    /// `[ENV.]APP[.SLOT]`, in front of every name that is derived.
    pub fn prefix(&self, group: &Group) -> String {
        let mut prefix = self.app.clone();
        if self.environment != DEFAULT_ENVIRONMENT {
            prefix = format!("{}.{prefix}", self.environment);
        }
        if self.slot > 0 && group.mode != GroupMode::Global {
            prefix = format!("{prefix}.{}", self.slot);
        }
        prefix
    }

    /// The folder of the slot below `root`.
    pub fn folder(&self, root: &Path) -> PathBuf {
        root.join(&self.environment).join(&self.app).join(format!("{}.{}", self.group, self.slot))
    }

    /// The labels that say whose a thing is.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let pairs = [
            (APP, self.app.clone()),
            (ENVIRONMENT, self.environment.clone()),
            (GROUP, self.group.clone()),
            (SLOT, self.slot.to_string()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The name that a container is to have.
pub fn container_name(
    key: &SlotKey,
    group: &Group,
    service: &ServiceName,
    body: &Service,
    number: u32,
) -> String {
    match &body.container_name {
        Some(name) => {
            let slot = if key.slot > 0 && group.mode != GroupMode::Global {
                format!(".{}", key.slot)
            } else {
                String::new()
            };
            let number = if number > 1 { format!("-{number}") } else { String::new() };
            format!("{name}{slot}{number}")
        }
        None => format!("{}-{service}-{number}", key.prefix(group)),
    }
}

/// What a thing is called while another still holds its name.
pub fn interim(name: &str, allocation: AllocationId) -> String {
    let digits: String = allocation.to_string().chars().filter(char::is_ascii_hexdigit).collect();
    // The last digits: ids that are made one after the other begin alike.
    format!("{name}-{}", &digits[digits.len().saturating_sub(8)..])
}

/// A container that omni made, as its labels tell.
#[derive(Clone, Debug)]
pub struct Own<'a> {
    /// The container.
    pub container: &'a Container,
    /// The allocation it was made for.
    pub allocation: AllocationId,
    /// Its epoch then.
    pub epoch: u64,
    /// The instance it belongs to.
    pub slot: SlotKey,
    /// Its service.
    pub service: String,
    /// Which of the service's containers.
    pub number: u32,
    /// Hash of its definition.
    pub definition: String,
    /// Whether it may run only under a lease.
    pub exclusive: bool,
    /// How high it stands.
    pub order: u32,
}

impl<'a> Own<'a> {
    /// Reads the labels; absent for a container that this host's agent did not make.
    pub fn read(container: &'a Container, host: &str) -> Option<Self> {
        let text = |name: &str| container.labels.get(name).map(String::as_str);
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        let small = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
        text(HOST).filter(|label| *label == host)?;
        Some(Self {
            container,
            allocation: text(ALLOCATION)?.parse().ok()?,
            epoch: number(EPOCH).unwrap_or(0),
            slot: SlotKey {
                environment: text(ENVIRONMENT).unwrap_or(DEFAULT_ENVIRONMENT).to_owned(),
                app: text(APP)?.to_owned(),
                group: text(GROUP)?.to_owned(),
                slot: small(SLOT)?,
            },
            service: text(SERVICE)?.to_owned(),
            number: small(NUMBER).unwrap_or(1),
            definition: text(DEFINITION).unwrap_or_default().to_owned(),
            exclusive: text(EXCLUSIVE) == Some("true"),
            order: small(ORDER).unwrap_or(0),
        })
    }

    /// How long it may take to stop, milliseconds.
    pub fn grace_ms(&self) -> u64 {
        let text = self.container.labels.get(STOP_GRACE);
        text.and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_GRACE_MS)
    }
}
