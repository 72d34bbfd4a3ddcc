//! Environments: namespaces for apps.

use crate::clock::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentView {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// Raft index of its last change.
    pub revision: u64,
}

/// Makes an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEnvironment {
    /// Its name.
    pub name: String,
}
