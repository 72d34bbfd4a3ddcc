//! How fresh an answer has to be.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Response header with the Raft index of the state that an answer was made from.
pub const INDEX_HEADER: &str = "x-omni-index";

/// How fresh an answer has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// It shows every write that was acknowledged before the call. Needs a leader.
    #[default]
    Linearizable,
    /// What the answering controller has; works without a leader, may be old.
    Stale,
}

/// Parameters that every read takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadQuery {
    /// `linearizable` (default) shows every write acknowledged before the call; `stale` shows what the
    /// answering controller has, also without a leader.
    #[param(inline)]
    #[serde(default, skip_serializing_if = "is_default")]
    pub consistency: Consistency,
    /// Wait until the state holds this Raft index, as named by `x-omni-index` of an earlier answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_index: Option<u64>,
}

fn is_default(consistency: &Consistency) -> bool {
    *consistency == Consistency::default()
}
