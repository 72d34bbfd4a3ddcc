//! The state as version 2 of the snapshot had it: before there were backups and people.

use crate::state::model;
use crate::state::model::{
    Alert, Allocation, ApiToken, AppKey, AuditEntry, Cluster, Content, Controller, Deployment, Drain,
    Environment, Event, Failover, Goal, Gpus, Host, HostPort, JoinToken, LeaseFloor, Mode, StoredReply, Tier,
    UpdateRules,
};
use imbl::{OrdMap, OrdSet};
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::ids::{AllocationId, ControllerId, HostId, RequestId, TokenId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
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
    apps: OrdMap<AppKey, App>,
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
            apps: old.apps.into_iter().map(|(key, app)| (key, Arc::new(app.into()))).collect(),
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
            ..Self::default()
        }
    }
}

/// An app of then: nothing had ever come back from a snapshot.
#[derive(Clone, Deserialize)]
struct App {
    key: AppKey,
    created: Time,
    goal: Goal,
    release: u64,
    next_release: u64,
    releases: OrdMap<u64, Release>,
    scale: BTreeMap<String, u32>,
    round: u64,
    deployments: Vec<Deployment>,
    homes: BTreeMap<(String, u32), BTreeSet<HostId>>,
    failures: BTreeMap<(String, u32), Vec<(HostId, Time)>>,
    revision: u64,
}

#[derive(Clone, Deserialize)]
struct Release {
    number: u64,
    created: Time,
    author: String,
    source: Option<String>,
    note: Option<String>,
    spec: ContentDigest,
    files: Vec<ContentDigest>,
    groups: BTreeMap<String, Group>,
}

/// A group of then: however old its data was, nobody was asked.
#[derive(Clone, Deserialize)]
struct Group {
    services: Vec<String>,
    mode: Mode,
    exclusive: bool,
    failover: Failover,
    cpu_millis: u64,
    memory: u64,
    gpus: Vec<Gpus>,
    ports: Vec<HostPort>,
    constraints: Vec<String>,
    spread: Vec<String>,
    region: Option<String>,
    max_per_host: u32,
    volumes: Vec<String>,
    images: Vec<String>,
    platforms: Vec<String>,
    after: Vec<String>,
    critical: bool,
    tier: Tier,
    update: UpdateRules,
    rollback: UpdateRules,
}

impl From<App> for model::App {
    fn from(old: App) -> Self {
        Self {
            key: old.key,
            created: old.created,
            goal: old.goal,
            release: old.release,
            next_release: old.next_release,
            releases: old.releases.into_iter().map(|(number, one)| (number, Arc::new(one.into()))).collect(),
            scale: old.scale,
            round: old.round,
            deployments: old.deployments,
            homes: old.homes,
            rescued: BTreeMap::new(),
            accepted_loss: BTreeMap::new(),
            failures: old.failures,
            revision: old.revision,
        }
    }
}

impl From<Release> for model::Release {
    fn from(old: Release) -> Self {
        Self {
            number: old.number,
            created: old.created,
            author: old.author,
            source: old.source,
            note: old.note,
            spec: old.spec,
            files: old.files,
            groups: old.groups.into_iter().map(|(name, group)| (name, Arc::new(group.into()))).collect(),
        }
    }
}

impl From<Group> for model::Group {
    fn from(old: Group) -> Self {
        Self {
            services: old.services,
            mode: old.mode,
            exclusive: old.exclusive,
            failover: old.failover,
            max_data_age_ms: None,
            cpu_millis: old.cpu_millis,
            memory: old.memory,
            gpus: old.gpus,
            ports: old.ports,
            constraints: old.constraints,
            spread: old.spread,
            region: old.region,
            max_per_host: old.max_per_host,
            volumes: old.volumes,
            images: old.images,
            platforms: old.platforms,
            after: old.after,
            critical: old.critical,
            tier: old.tier,
            update: old.update,
            rollback: old.rollback,
        }
    }
}
