//! What the cluster agrees on. All maps are persistent: a copy of the whole state costs O(1), so readers and
//! planners work on a frozen one. Large values are shared, because a change copies the neighbours of what it
//! touches.

mod access;
mod alert;
mod allocation;
mod app;
mod cluster;
mod host;
mod moves;
mod oidc;
mod record;
mod repository;
mod run;
mod secret;
mod user;

pub use access::*;
pub use alert::*;
pub use allocation::*;
pub use app::*;
pub use cluster::*;
pub use host::*;
pub use moves::*;
pub use oidc::*;
pub use record::*;
pub use repository::*;
pub use run::*;
pub use secret::*;
pub use user::*;

use imbl::{OrdMap, OrdSet};
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::PolicyOptions;
use omni_common::ids::{AllocationId, ControllerId, HostId, RequestId, RunId, TokenId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Everything the controllers have agreed on, up to one log index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Index of the last log entry that this state includes: its version.
    pub index: u64,
    /// Newest time that any applied proposal carried; never goes back.
    pub now: Time,
    /// The cluster; absent until the first entry bootstraps it.
    pub cluster: Option<Cluster>,
    /// Members of the Raft group and learners on their way in.
    pub controllers: OrdMap<ControllerId, Controller>,
    /// Number the next controller gets. Never reused: a wiped disk must come back under a new one.
    pub next_controller: u64,
    /// Hosts.
    pub hosts: OrdMap<HostId, Arc<Host>>,
    /// Host names in use.
    pub host_names: OrdMap<String, HostId>,
    /// Tokens by which machines join.
    pub join_tokens: OrdMap<TokenId, JoinToken>,
    /// Tokens by which people and programs call the API.
    pub api_tokens: OrdMap<TokenId, ApiToken>,
    /// Namespaces for apps.
    pub environments: OrdMap<String, Environment>,
    /// Last [`MAX_EVENTS`] events by number.
    pub events: OrdMap<u64, Arc<Event>>,
    /// Number of the next event.
    pub next_event: u64,
    /// Last [`MAX_AUDIT`] audit entries by number.
    pub audit: OrdMap<u64, Arc<AuditEntry>>,
    /// Number of the next audit entry.
    pub next_audit: u64,
    /// Answers already given, so that a repeated request applies once.
    pub replies: OrdMap<RequestId, Arc<StoredReply>>,
    /// Requests of omni itself, by log index: the last [`MAX_OWN_REPLIES`].
    pub own_replies: OrdMap<u64, RequestId>,
    /// Requests with a key of their caller's, by log index: the last [`MAX_KEYED_REPLIES`], for
    /// [`KEYED_REPLIES_FOR`].
    pub keyed_replies: OrdMap<u64, RequestId>,
    /// Grows whenever a controller's address, region or membership changes; agents compare it.
    pub controllers_version: u64,
    /// Apps.
    pub apps: OrdMap<AppKey, Arc<App>>,
    /// Specifications and files of releases.
    pub contents: OrdMap<ContentDigest, Arc<Content>>,
    /// Bytes of all contents as they are kept.
    pub contents_size: u64,
    /// What runs where.
    pub allocations: OrdMap<AllocationId, Arc<Allocation>>,
    /// The same by host.
    pub host_allocations: OrdSet<(HostId, AllocationId)>,
    /// The same by app.
    pub app_allocations: OrdSet<(AppKey, AllocationId)>,
    /// Log index of the last change of what a host is to run: the generation that agents compare.
    pub generations: OrdMap<HostId, u64>,
    /// Hosts that are being emptied.
    pub drains: OrdMap<HostId, Drain>,
    /// Alerts that hold or did lately, by fingerprint.
    pub alerts: OrdMap<String, Arc<Alert>>,
    /// The longest times of failure detection that were given up lately.
    pub lease_floor: Option<LeaseFloor>,
    /// Log index of the last decision about apps, placement or hosts. A plan made before it is stale.
    pub plan_version: u64,
    /// Secrets, by name.
    pub secrets: OrdMap<SecretName, Arc<Secret>>,
    /// Bytes of all versions of all secrets as they are kept.
    pub secrets_size: u64,
    /// Repositories of backups, by name.
    pub repositories: OrdMap<String, Arc<BackupRepository>>,
    /// What holds for backups of every app that says nothing else.
    pub backup_defaults: BackupDefaults,
    /// What was set by hand about an app's backups, over what its release says.
    pub backup_policies: OrdMap<AppKey, Arc<PolicyOptions>>,
    /// Runs: all that are not over, and the newest that are.
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// Those that are not over.
    pub open_runs: OrdSet<RunId>,
    /// Those that have been given to a host, by host.
    pub host_runs: OrdSet<(HostId, RunId)>,
    /// Log index of the last change of a host's runs: the generation that agents compare.
    pub run_generations: OrdMap<HostId, u64>,
    /// Newest time of its schedule that was served or passed over, by what is due and for whom.
    pub run_marks: OrdMap<(RunKind, String), Time>,
    /// Hosts whose agents do runs.
    pub runners: OrdSet<HostId>,
    /// What is known to lie in repositories.
    pub snapshots: OrdMap<SnapshotKey, Arc<Snapshot>>,
    /// People, by name.
    pub users: OrdMap<String, Arc<User>>,
    /// Their sessions.
    pub sessions: OrdMap<TokenId, UserSession>,
    /// The OpenID provider.
    pub oidc: Option<OidcSettings>,
    /// The newest move of each app between hosts.
    pub moves: OrdMap<AppKey, Arc<Move>>,
    /// Data on hosts where its instances do not live any more.
    pub old_data: OrdMap<OldDataKey, OldData>,
}

/// Events kept; the oldest go first, and a reader behind them is told that there is a gap.
pub const MAX_EVENTS: usize = 20_000;
/// Audit entries kept in the state.
pub const MAX_AUDIT: usize = 20_000;
/// Answers kept to requests of omni itself. Its retries end within seconds.
pub const MAX_OWN_REPLIES: usize = 10_000;
/// Answers kept to requests that carry an idempotency key of their caller's.
pub const MAX_KEYED_REPLIES: usize = 50_000;
/// How long such answers are kept, unless [`MAX_KEYED_REPLIES`] newer ones come.
pub const KEYED_REPLIES_FOR: Duration = Duration::from_secs(24 * 3600);

impl State {
    /// The host of that id or name.
    pub fn find_host(&self, id_or_name: &str) -> Option<&Host> {
        let by_name = self.host_names.get(id_or_name).copied();
        by_name
            .or_else(|| id_or_name.parse::<HostId>().ok())
            .and_then(|id| self.hosts.get(&id))
            .map(Arc::as_ref)
    }

    /// The app of that name in an environment.
    pub fn find_app(&self, environment: &str, name: &str) -> Option<&Arc<App>> {
        self.apps.get(&AppKey { environment: environment.to_owned(), name: name.to_owned() })
    }

    /// What a host is to run or to stop, in id order.
    pub fn allocations_on(&self, host: HostId) -> impl Iterator<Item = &Arc<Allocation>> {
        let all = (host, AllocationId::from_u128(0))..=(host, AllocationId::from_u128(u128::MAX));
        self.host_allocations.range(all).filter_map(|(_, id)| self.allocations.get(id))
    }

    /// The allocations of an app, in id order.
    pub fn allocations_of(&self, app: &AppKey) -> impl Iterator<Item = &Arc<Allocation>> {
        let all =
            (app.clone(), AllocationId::from_u128(0))..=(app.clone(), AllocationId::from_u128(u128::MAX));
        self.app_allocations.range(all).filter_map(|(_, id)| self.allocations.get(id))
    }

    /// Runs that are not over, oldest first.
    pub fn open_runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.open_runs.iter().filter_map(|id| self.runs.get(id))
    }

    /// Runs that a host is to do, oldest first.
    pub fn runs_on(&self, host: HostId) -> impl Iterator<Item = &Arc<Run>> {
        let all = (host, RunId::from_u128(0))..=(host, RunId::from_u128(u128::MAX));
        self.host_runs.range(all).filter_map(|(_, id)| self.runs.get(id))
    }

    /// The snapshots of an app, oldest first.
    pub fn snapshots_of(
        &self,
        app: &AppKey,
    ) -> impl DoubleEndedIterator<Item = (&SnapshotKey, &Arc<Snapshot>)> {
        let first =
            |taken| SnapshotKey { app: app.clone(), taken, repository: String::new(), id: String::new() };
        let (from, to) = (first(Time::from_millis(i64::MIN)), first(Time::from_millis(i64::MAX)));
        self.snapshots.range(from..to)
    }

    /// The move of an app that is under way.
    pub fn open_move(&self, app: &AppKey) -> Option<&Arc<Move>> {
        self.moves.get(app).filter(|one| one.stage.is_open())
    }

    /// Data of an app that was left behind, by instance and host.
    pub fn old_data_of(&self, app: &AppKey) -> impl Iterator<Item = (&OldDataKey, &OldData)> {
        let first = OldDataKey { app: app.clone(), instance: (String::new(), 0), host: HostId::from_u128(0) };
        self.old_data.range(first..).take_while(move |(key, _)| key.app == *app)
    }

    /// The controller of that number or name.
    pub fn find_controller(&self, id_or_name: &str) -> Option<&Controller> {
        self.controllers
            .values()
            .find(|controller| controller.name == id_or_name)
            .or_else(|| id_or_name.parse::<ControllerId>().ok().and_then(|id| self.controllers.get(&id)))
    }

    /// Whether a certificate's identity is still a member: removal is revocation.
    pub fn accepts_certificate(&self, role: omni_certs::Role) -> bool {
        match role {
            omni_certs::Role::Host(id) => self.hosts.contains_key(&id),
            omni_certs::Role::Controller(id) => self.controllers.contains_key(&id),
        }
    }

    /// Where the pages of this cluster's controllers come from. An address that could mean something else in a header,
    /// or that browsers do not take there (a bare IPv6 one), is left out.
    pub fn origins(&self) -> Vec<String> {
        let plain = |api: &&str| {
            !api.is_empty() && api.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'))
        };
        let addresses = self.controllers.values().map(|one| one.api.as_str());
        // Browsers leave out the usual port.
        addresses
            .filter(plain)
            .map(|api| format!("https://{}", api.strip_suffix(":443").unwrap_or(api)))
            .collect()
    }

    /// The list that agents hold.
    pub fn controller_list(&self) -> omni_common::wire::ControllerList {
        omni_common::wire::ControllerList {
            version: self.controllers_version,
            controllers: self
                .controllers
                .values()
                .map(|controller| omni_common::wire::ControllerAddress {
                    id: controller.id,
                    quic: controller.quic.clone(),
                    region: controller.region.clone(),
                })
                .collect(),
        }
    }
}
