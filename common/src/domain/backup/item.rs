//! What is taken.

use crate::domain::app::ServiceName;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Most items of one app instance.
pub const MAX_ITEMS: usize = 64;

/// Longest name of an item, bytes.
const MAX_NAME: usize = 96;

/// Name of an item within its app, e.g. `volume-data` or `postgres-db`: small letters, digits, `.`, `_`, `-`.
///
/// It stands in a tag of restic, so it has none of restic's separators.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct ItemName(String);

/// A text that is no name of an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name of something to back up has 1 to {MAX_NAME} of a-z, 0-9, `.`, `_`, `-`")]
pub struct InvalidItemName;

impl ItemName {
    /// Checks a text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidItemName> {
        let text = text.into();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        match !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(good) {
            true => Ok(Self(text)),
            false => Err(InvalidItemName),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ItemName {
    type Error = InvalidItemName;

    fn try_from(text: String) -> Result<Self, InvalidItemName> {
        Self::new(text)
    }
}

impl From<ItemName> for String {
    fn from(name: ItemName) -> Self {
        name.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is saved as one snapshot and comes back as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// Its name in the app.
    pub name: ItemName,
    /// How it is taken.
    pub take: Take,
    /// What is done to the services that write it, meanwhile.
    #[serde(default)]
    pub quiesce: Quiesce,
}

/// How an item is taken, and by that how it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The files of a volume, by the volume's name in the app.
    Volume {
        /// The name.
        volume: String,
        /// Only these paths below its root; empty for all.
        #[serde(default)]
        include: Vec<String>,
        /// Patterns of restic that are left out.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// The files of a path on the host.
    HostPath {
        /// Absolute path; or one beside the app's compose file, as `./data` or `.`, which lies in the app's folder on the
        /// host.
        path: String,
        /// Patterns of restic that are left out.
        #[serde(default)]
        exclude: Vec<String>,
    },
    /// Dumps of a PostgreSQL server, streamed from a program in its container.
    Postgres {
        /// Who runs the server.
        service: ServiceName,
        /// Which databases; empty for all of them with the roles (`pg_dumpall`).
        #[serde(default)]
        databases: Vec<String>,
        /// The volume that the server keeps its files in, which is emptied before a dump is loaded.
        data: Option<String>,
    },
    /// Dumps of a MariaDB or MySQL server.
    Mariadb {
        /// Who runs the server.
        service: ServiceName,
        /// Which databases; empty for all.
        #[serde(default)]
        databases: Vec<String>,
        /// The volume that the server keeps its files in.
        data: Option<String>,
    },
    /// The RDB file of a Redis or Valkey server.
    Redis {
        /// Who runs the server.
        service: ServiceName,
        /// The volume that the server keeps its files in.
        data: Option<String>,
    },
    /// Whatever a command in a container writes to its standard output.
    Command {
        /// In whose container.
        service: ServiceName,
        /// Writes the data.
        save: Vec<String>,
        /// Reads the data from its standard input; empty when it cannot be loaded by itself.
        #[serde(default)]
        load: Vec<String>,
    },
}

/// What is done to services while their data is read; always undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quiesce {
    /// Nothing.
    #[default]
    None,
    /// Their processes are frozen.
    Pause {
        /// Whose; empty for every service that mounts what is taken.
        #[serde(default)]
        services: Vec<ServiceName>,
    },
    /// They are stopped and started again.
    Stop {
        /// Whose; empty for every service that mounts what is taken.
        #[serde(default)]
        services: Vec<ServiceName>,
    },
    /// Commands in a container, one before and one after.
    Hook {
        /// In whose container.
        service: ServiceName,
        /// Before the first byte is read; when it fails, nothing is taken.
        before: Vec<String>,
        /// After the last one, whatever happened.
        after: Vec<String>,
    },
}
