//! What happened, in order, and the socket that follows it.
//!
//! ```text
//! client                                                        server
//!   {"op":"subscribe","id":"a","topic":"events","since":41} ──▶
//!                                            ◀── {"op":"subscribed","id":"a","seq":57}
//!                                            ◀── {"op":"event","id":"a","seq":42,"type":"host.down","data":{…}} …
//! ```
//!
//! `seq` is part of the replicated state, so a client may resume at another controller. When the history
//! since `since` is gone the server says `reset`: the client loads what it shows anew and goes on from there.

use super::{CommaList, Problem};
use crate::clock::Time;
use crate::ids::{ControllerId, HostId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Counts up by one from event to event over the life of the cluster.
    pub seq: u64,
    /// Raft index of the entry that caused it.
    pub index: u64,
    /// When.
    pub at: Time,
    /// The noun it is about: `app`, `allocation`, `backup`, `host`, `container`, `alert`, `controller`, `token`, `user`, `environment` or `cluster`.
    pub topic: String,
    /// Stable word, e.g. `host.down`.
    pub kind: String,
    /// For a person.
    pub message: String,
    /// The host it is about.
    pub host: Option<HostId>,
    /// The controller it is about.
    pub controller: Option<ControllerId>,
    /// More facts.
    pub data: BTreeMap<String, String>,
}

/// Which past events. Newest first, unless `since` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only these topics, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<CommaList>,
    /// Only these kinds, parted by commas.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CommaList>,
    /// Only about this host (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only events after this `seq`, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which events a subscription carries. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventFilter {
    /// Any of these topics; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Any of these kinds; all when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Only about this host (name or id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Client to server on the event socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum EventsRequest {
    /// Begin to send.
    Subscribe {
        /// Chosen by the client; every answer names it.
        id: String,
        /// `events`.
        topic: String,
        /// Which of them.
        #[serde(default)]
        filter: EventFilter,
        /// Begin after this `seq`; with new events when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// Stop sending.
    Unsubscribe {
        /// Which subscription.
        id: String,
    },
}

/// Server to client on the event socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum EventsMessage {
    /// A subscription began.
    Subscribed {
        /// Which.
        id: String,
        /// Newest `seq` at that moment.
        seq: u64,
    },
    /// A subscription ended as asked.
    Unsubscribed {
        /// Which.
        id: String,
    },
    /// Something happened.
    Event {
        /// Which subscription.
        id: String,
        /// The event's `seq`.
        seq: u64,
        /// The event's kind.
        #[serde(rename = "type")]
        kind: String,
        /// The event.
        data: Event,
    },
    /// Events after `since` are no longer known, or the client read too slowly: load anew, then go on
    /// after `seq`.
    Reset {
        /// Which subscription.
        id: String,
        /// Newest `seq`.
        seq: u64,
    },
    /// A message could not be honoured.
    Error {
        /// Which subscription, when it is about one.
        id: Option<String>,
        /// Why.
        problem: Problem,
    },
}
