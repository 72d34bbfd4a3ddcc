//! What is written down about data when it is taken, so that a drill can tell whether it came back.
//!
//! | key | of | exact while a writer runs |
//! | --- | --- | --- |
//! | `files`, `bytes` | files | yes: restic's own count of what it has read |
//! | `sha256:PATH` | a few small files, the same ones each time | yes: only files that did not change while they were read |
//! | `bytes`, `sha256` | a stream | yes: counted in the stream itself |
//! | `archive`, `entries`, `entry:PATH`, `members`, `sums` | what a command writes, where it is a tar archive | yes, likewise |
//! | `tables`, `rows`, `rows:DATABASE.TABLE` | a dump of PostgreSQL | yes, within each database: the rows in its dump |
//! | `same_moment:INSTANCE` | any item | the run of another app's data that began with this one; not compared |
//! | `keys:DATABASE` | a dump of Redis | yes: keys that never expire, as the dump's own header has them |

pub(super) mod archive;
pub(super) mod rdb;
pub(super) mod sql;
pub(super) mod stream;
mod tar;
pub(super) mod tree;

use std::collections::BTreeMap;

/// How the keys begin that name a backup of the same moment. They are about the run and not about the data.
pub(super) const SAME_MOMENT: &str = "same_moment:";

/// Facts by key.
pub(super) type Facts = BTreeMap<String, String>;

/// The first difference between what was written down and what is there, as a sentence. What was not written down is not
/// compared.
pub(super) fn difference(expected: &Facts, found: &Facts) -> Option<String> {
    let mut of_data = expected.iter().filter(|(key, _)| !key.starts_with(SAME_MOMENT));
    of_data.find_map(|(key, value)| match found.get(key) {
        Some(found) if found == value => None,
        Some(found) => Some(format!("{key} was {value} and is {found}")),
        None => Some(format!("{key} was {value} and is not there")),
    })
}
