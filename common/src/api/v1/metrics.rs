//! What hosts measure: the recent past, and live.

use super::{CommaList, Problem};
use crate::clock::Time;
use crate::domain::HostSample;
use crate::ids::HostId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where recent history came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsSource {
    /// The host's own ring: 24 h at 10 s.
    Agent,
    /// One-minute means kept by the controllers, for a host that does not answer.
    Gateway,
}

/// Which history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MetricsQuery {
    /// From here (RFC 3339); an hour before `to` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// To here (RFC 3339); now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
    /// At most this many samples, thinned evenly; 360 when absent, 2000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Ask only this source; when absent, the agent, then the controllers.
    #[param(inline)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<MetricsSource>,
}

/// The newest sample of a host and its recent history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostMetrics {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub host_name: String,
    /// The newest sample within reach.
    pub latest: Option<HostSample>,
    /// How long ago it reached a controller, milliseconds.
    pub latest_age_ms: Option<u64>,
    /// Oldest first.
    pub history: Vec<HostSample>,
    /// Where `history` came from.
    pub source: MetricsSource,
}

/// Which hosts to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LiveMetricsQuery {
    /// These hosts (name or id), parted by commas; all of them when absent. Named hosts sample each second
    /// while they are watched.
    #[param(value_type = Option<String>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<CommaList>,
}

/// A sample as it arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveSample {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub host_name: String,
    /// How long ago it reached a controller, milliseconds.
    pub age_ms: u64,
    /// The sample.
    pub sample: HostSample,
}

/// Server to client on the live metrics socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum LiveMetricsMessage {
    /// New samples, at most one a host. A reader that falls behind misses samples in between, never the
    /// newest.
    Samples {
        /// In host order.
        samples: Vec<LiveSample>,
    },
    /// The last message.
    Error {
        /// Why.
        problem: Problem,
    },
}
