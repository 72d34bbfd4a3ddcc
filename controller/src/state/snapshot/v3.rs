//! The state as version 3 of the snapshot had it: before apps moved between hosts.

use crate::state::model;
use crate::state::model::{
    Alert, Allocation, ApiToken, App, AppKey, AuditEntry, BackupDefaults, BackupRepository, Cluster, Content,
    Controller, Drain, Environment, Event, Host, JoinToken, LeaseFloor, OidcSettings, Run, RunKind, Secret,
    Snapshot, SnapshotKey, StoredReply, User, UserSession,
};
use imbl::{OrdMap, OrdSet};
use omni_common::clock::Time;
use omni_common::domain::SecretName;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::backup::PolicyOptions;
use omni_common::ids::{AllocationId, ControllerId, HostId, RequestId, RunId, TokenId};
use serde::Deserialize;
use std::sync::Arc;

/// The fields of then, in their order.
#[derive(Deserialize)]
pub(super) struct State {
    index: u64,
    now: Time,
    cluster: Option<Cluster>,
    controllers: OrdMap<ControllerId, Controller>,
    next_controller: u64,
    hosts: OrdMap<HostId, Arc<Host>>,
    host_names: OrdMap<String, HostId>,
    join_tokens: OrdMap<TokenId, JoinToken>,
    api_tokens: OrdMap<TokenId, ApiToken>,
    environments: OrdMap<String, Environment>,
    events: OrdMap<u64, Arc<Event>>,
    next_event: u64,
    audit: OrdMap<u64, Arc<AuditEntry>>,
    next_audit: u64,
    replies: OrdMap<RequestId, Arc<StoredReply>>,
    own_replies: OrdMap<u64, RequestId>,
    keyed_replies: OrdMap<u64, RequestId>,
    controllers_version: u64,
    apps: OrdMap<AppKey, Arc<App>>,
    contents: OrdMap<ContentDigest, Arc<Content>>,
    contents_size: u64,
    allocations: OrdMap<AllocationId, Arc<Allocation>>,
    host_allocations: OrdSet<(HostId, AllocationId)>,
    app_allocations: OrdSet<(AppKey, AllocationId)>,
    generations: OrdMap<HostId, u64>,
    drains: OrdMap<HostId, Drain>,
    alerts: OrdMap<String, Arc<Alert>>,
    lease_floor: Option<LeaseFloor>,
    plan_version: u64,
    secrets: OrdMap<SecretName, Arc<Secret>>,
    secrets_size: u64,
    repositories: OrdMap<String, Arc<BackupRepository>>,
    backup_defaults: BackupDefaults,
    backup_policies: OrdMap<AppKey, Arc<PolicyOptions>>,
    runs: OrdMap<RunId, Arc<Run>>,
    open_runs: OrdSet<RunId>,
    host_runs: OrdSet<(HostId, RunId)>,
    run_generations: OrdMap<HostId, u64>,
    run_marks: OrdMap<(RunKind, String), Time>,
    runners: OrdSet<HostId>,
    snapshots: OrdMap<SnapshotKey, Arc<Snapshot>>,
    users: OrdMap<String, Arc<User>>,
    sessions: OrdMap<TokenId, UserSession>,
    oidc: Option<OidcSettings>,
}

impl From<State> for model::State {
    fn from(old: State) -> Self {
        Self {
            index: old.index,
            now: old.now,
            cluster: old.cluster,
            controllers: old.controllers,
            next_controller: old.next_controller,
            hosts: old.hosts,
            host_names: old.host_names,
            join_tokens: old.join_tokens,
            api_tokens: old.api_tokens,
            environments: old.environments,
            events: old.events,
            next_event: old.next_event,
            audit: old.audit,
            next_audit: old.next_audit,
            replies: old.replies,
            own_replies: old.own_replies,
            keyed_replies: old.keyed_replies,
            controllers_version: old.controllers_version,
            apps: old.apps,
            contents: old.contents,
            contents_size: old.contents_size,
            allocations: old.allocations,
            host_allocations: old.host_allocations,
            app_allocations: old.app_allocations,
            generations: old.generations,
            drains: old.drains,
            alerts: old.alerts,
            lease_floor: old.lease_floor,
            plan_version: old.plan_version,
            secrets: old.secrets,
            secrets_size: old.secrets_size,
            repositories: old.repositories,
            backup_defaults: old.backup_defaults,
            backup_policies: old.backup_policies,
            runs: old.runs,
            open_runs: old.open_runs,
            host_runs: old.host_runs,
            run_generations: old.run_generations,
            run_marks: old.run_marks,
            runners: old.runners,
            snapshots: old.snapshots,
            users: old.users,
            sessions: old.sessions,
            oidc: old.oidc,
            ..Self::default()
        }
    }
}
