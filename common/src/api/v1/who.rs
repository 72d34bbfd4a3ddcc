//! Who calls, and who answers.

use super::{AccessRole, AccessScope};
use crate::clock::Time;
use crate::ids::{ClusterId, ControllerId, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The caller as the controller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// Name, as audit entries show it.
    pub name: String,
    /// Role.
    pub role: AccessRole,
    /// What the role extends to.
    pub scope: AccessScope,
    /// The token used, or the session.
    pub token: TokenId,
    /// The person, when it is a session of theirs.
    pub user: Option<String>,
    /// When it ends; absent when it does not.
    pub expires: Option<Time>,
    /// The cluster.
    pub cluster: ClusterId,
}

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// The controller's version.
    pub version: String,
    /// Oldest agent protocol it speaks.
    pub protocol_min: u16,
    /// Newest agent protocol it speaks.
    pub protocol_max: u16,
    /// The answering controller.
    pub controller: ControllerId,
    /// The cluster.
    pub cluster: ClusterId,
}
