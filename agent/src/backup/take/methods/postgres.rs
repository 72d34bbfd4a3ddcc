//! PostgreSQL: `pg_dumpall`, or the roles and some databases one after the other, as one text that `psql` loads.
//!
//! Text, and not the format of `pg_dump -Fc`: one way for one and for all databases, rows that can be counted as they
//! pass, and a dump that people can read and load without omni.

use super::super::super::facts::sql::END_MARK;
use super::{Kind, Load, Save, shell};
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::Item;

/// User and password as the image of PostgreSQL is told them.
const USER: &str = r#"set -e
user=${POSTGRES_USER:-postgres}
if [ -n "${POSTGRES_PASSWORD:-}" ]; then export PGPASSWORD="$POSTGRES_PASSWORD"
elif [ -r "${POSTGRES_PASSWORD_FILE:-}" ]; then PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); export PGPASSWORD
fi
"#;

/// The end is marked by omni: each database's dump has a mark of its own, so the last of those proves nothing.
const SAVE: &str = r#"if [ $# -eq 0 ]; then pg_dumpall -w --clean --if-exists -U "$user"
else
  pg_dumpall -w --globals-only --clean --if-exists -U "$user"
  for database in "$@"; do pg_dump -w --create --clean --if-exists -U "$user" -d "$database"; done
fi
"#;

/// Stops at the first error, so that what is loaded is whole or is said not to be; and says it without quoting the dump,
/// in which there are passwords.
const LOAD: &str = r#"exec psql -w -X -q -v ON_ERROR_STOP=1 -v VERBOSITY=terse -U "$user" -d postgres
"#;

pub(super) fn save(item: &Item, service: &ServiceName, databases: &[String]) -> Save {
    Save {
        service: service.clone(),
        command: shell(&format!("{USER}{SAVE}echo '{END_MARK}'\n"), databases),
        environment: Vec::new(),
        name: if databases.is_empty() { "pg_dumpall".to_owned() } else { "pg_dump".to_owned() },
        file: format!("{}.sql", item.name),
        kind: Kind::Postgres,
    }
}

pub(super) fn load(service: &ServiceName, data: Option<String>) -> Load {
    Load {
        service: service.clone(),
        data,
        // Over the network's loop: while an image makes its first database, its server listens on a socket only.
        ready: shell(&format!("{USER}exec pg_isready -q -h 127.0.0.1 -U \"$user\"\n"), &[]),
        command: shell(&format!("{USER}{LOAD}"), &[]),
        environment: Vec::new(),
        name: "psql".to_owned(),
        owner: Some(shell("printf %s \"${POSTGRES_USER:-postgres}\"", &[])),
        kind: Kind::Postgres,
        // Replaced by what the dump says; without any, the image does not start.
        defaults: vec![("POSTGRES_PASSWORD", "only-until-the-dump-is-loaded".to_owned())],
    }
}

/// Runs a query in a database, and prints the values of its first row, separated by tabs.
pub(in crate::backup) fn query(database: &str, query: &str) -> Vec<String> {
    let script = format!(
        "{USER}exec psql -w -X -q -A -t -F '\t' -v ON_ERROR_STOP=1 -U \"$user\" -d \"$1\" -c \"$2\"\n"
    );
    shell(&script, &[database.to_owned(), query.to_owned()])
}
