//! Redis and Valkey: the client asks the server for its data as a replica would, and writes it as an RDB file.

use super::{Kind, Save, option, shell};
use omni_common::domain::app::{Service, ServiceName};
use omni_common::domain::backup::Item;

/// The client of the one or of the other. A password comes from the server's own command, or from the variable that
/// images of either are often told it in.
const CLIENT: &str = r#"set -e
if [ -z "${REDISCLI_AUTH:-}" ] && [ -n "${REDIS_PASSWORD:-}" ]; then export REDISCLI_AUTH="$REDIS_PASSWORD"; fi
client=redis-cli
if ! command -v redis-cli >/dev/null 2>&1; then client=valkey-cli; fi
"#;

pub(super) fn save(item: &Item, name: &ServiceName, service: &Service) -> Save {
    Save {
        service: name.clone(),
        command: shell(&format!("{CLIENT}exec \"$client\" --rdb -\n"), &[]),
        environment: environment(service),
        name: "redis-cli".to_owned(),
        file: format!("{}.rdb", item.name),
        kind: Kind::Rdb,
    }
}

/// Runs a command of the server and prints its answer.
pub(in crate::backup) fn ask(words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    shell(&format!("{CLIENT}exec \"$client\" --raw \"$@\"\n"), &words)
}

/// The variables of the client.
pub(in crate::backup) fn environment(service: &Service) -> Vec<String> {
    let port = option(service, "--port").map(|port| format!("REDISCLI_PORT={port}"));
    option(service, "--requirepass")
        .map(|password| format!("REDISCLI_AUTH={password}"))
        .into_iter()
        .chain(port)
        .collect()
}
