//! A system: components that people know under one number and name.

use crate::{Component, ComponentName, Tier};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// A system of the platform, without its components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct System {
    /// Its number: 1 to 37 are built in.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// The name people use.
    pub codename: Option<String>,
    /// The tier it stands in.
    pub tier: Tier,
    /// What it is for.
    pub summary: String,
    /// Systems that it enhances.
    pub extends: Vec<u16>,
    /// Components of other systems that it works with.
    pub reuses: Vec<ComponentName>,
}

/// A catalogue file as written. Head fields may be missing where the system is known already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemFile {
    pub(crate) system: Spanned<u16>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) codename: Option<String>,
    #[serde(default)]
    pub(crate) tier: Option<Tier>,
    #[serde(default)]
    pub(crate) summary: Option<String>,
    #[serde(default)]
    pub(crate) extends: Vec<u16>,
    #[serde(default)]
    pub(crate) reuses: Vec<ComponentName>,
    pub(crate) components: Vec<Spanned<Component>>,
}
