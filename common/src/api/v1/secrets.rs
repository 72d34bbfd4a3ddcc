//! Secrets: kept sealed, shown only when that is asked for.

use crate::clock::Time;
use crate::domain::SecretName;
use crate::domain::backup::Hidden;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// Its name.
    pub name: SecretName,
    /// When its first version was put.
    pub created: Time,
    /// Versions that are kept, newest first.
    pub versions: Vec<SecretVersionView>,
    /// Repositories that are opened with it.
    pub used_by: Vec<String>,
    /// Grows with each change.
    pub revision: u64,
}

/// A version of a secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretVersionView {
    /// Its number.
    pub version: u64,
    /// When it was put.
    pub at: Time,
    /// Who put it.
    pub by: String,
    /// Bytes of the value.
    pub size: u32,
}

/// A new version of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// The value: text of at most 64 KiB.
    #[schema(value_type = String)]
    pub value: Hidden,
}

/// Which version of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealSecret {
    /// Its number; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A secret's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretValue {
    /// Its name.
    pub name: SecretName,
    /// Of which version.
    pub version: u64,
    /// The value.
    #[schema(value_type = String)]
    pub value: Hidden,
}

/// What of a secret is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RemoveSecretQuery {
    /// Only this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}
