//! MariaDB and MySQL: `mariadb-dump` or `mysqldump`, whichever is there, in one transaction.
//!
//! The commands were tried by hand with MariaDB 10.11 of Debian 12.

use super::{Kind, Load, Save, shell};
use omni_common::domain::app::ServiceName;
use omni_common::domain::backup::Item;

/// Root's password as the images of both are told it.
const USER: &str = r#"set -e
for name in MYSQL_ROOT_PASSWORD MARIADB_ROOT_PASSWORD; do
  eval "value=\${$name:-}; file=\${${name}_FILE:-}"
  if [ -n "$value" ]; then export MYSQL_PWD="$value"
  elif [ -r "$file" ]; then MYSQL_PWD=$(cat "$file"); export MYSQL_PWD
  fi
done
either() { if command -v "$1" >/dev/null 2>&1; then echo "$1"; else echo "$2"; fi; }
"#;

const SAVE: &str = r#"if [ $# -eq 0 ]; then set -- --all-databases; else set -- --databases "$@"; fi
exec "$(either mariadb-dump mysqldump)" -u root --single-transaction --quick --routines --events --triggers --hex-blob --flush-privileges "$@"
"#;

pub(super) fn save(item: &Item, service: &ServiceName, databases: &[String]) -> Save {
    Save {
        service: service.clone(),
        command: shell(&format!("{USER}{SAVE}"), databases),
        environment: Vec::new(),
        name: "mariadb-dump".to_owned(),
        file: format!("{}.sql", item.name),
        kind: Kind::Mariadb,
    }
}

pub(super) fn load(service: &ServiceName, data: Option<String>) -> Load {
    let client = "exec \"$(either mariadb mysql)\" -u root";
    Load {
        service: service.clone(),
        data,
        // Over the network's loop: while an image makes its first database, its server listens on a socket only.
        ready: shell(
            &format!(
                "{USER}exec \"$(either mariadb-admin mysqladmin)\" -u root -h 127.0.0.1 --silent ping\n"
            ),
            &[],
        ),
        command: shell(&format!("{USER}{client}\n"), &[]),
        environment: Vec::new(),
        name: "mariadb".to_owned(),
        owner: None,
        kind: Kind::Mariadb,
        defaults: Vec::new(),
    }
}

/// Runs a query, and prints the values of its first row, separated by tabs.
pub(in crate::backup) fn query(database: &str, query: &str) -> Vec<String> {
    let script = format!("{USER}exec \"$(either mariadb mysql)\" -u root -N -B -D \"$1\" -e \"$2\"\n");
    shell(&script, &[database.to_owned(), query.to_owned()])
}
