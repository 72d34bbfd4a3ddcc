//! The state as version 1 of the snapshot had it: before there were apps.

use crate::state::model;
use crate::state::model::{
    ApiToken, AuditEntry, Cluster, Controller, Environment, Event, Host, JoinToken, StoredReply,
};
use imbl::OrdMap;
use omni_common::clock::Time;
use omni_common::ids::{ControllerId, HostId, RequestId, TokenId};
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
            plan_version: old.index,
            ..Self::default()
        }
    }
}
