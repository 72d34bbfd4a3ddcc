//! Which hosts can look into a repository at once, for somebody who waits. Not a run: nothing is queued for it.

use crate::state::{BackupRepository, HostStatus, RunKind, State};
use omni_common::ids::HostId;

/// Hosts that can read a repository now, the one at `near` first: it knows most of what lies there already.
///
/// # Errors
/// A sentence about why there is none.
pub(crate) fn readers(
    state: &State,
    repository: &BackupRepository,
    near: HostId,
) -> Result<Vec<HostId>, String> {
    // What it takes away is still named by what was read a moment before.
    let pruned = state
        .open_runs()
        .find(|run| run.kind() == RunKind::Prune && run.host.is_some() && run.repository == repository.name);
    if let Some(run) = pruned {
        return Err(format!(
            "repository {} is being pruned by run {}; look again when that has ended",
            repository.name,
            run.id.short()
        ));
    }
    let up = |host: &HostId| state.hosts.get(host).is_some_and(|host| host.status == HostStatus::Up);
    let name = |host: HostId| {
        state
            .hosts
            .get(&host)
            .map_or_else(|| "a removed host".to_owned(), |host| format!("host {}", host.name))
    };
    match repository.host {
        Some(only) if !up(&only) => Err(format!(
            "repository {} can only be reached on {}, which is not up",
            repository.name,
            name(only)
        )),
        Some(only) if !state.runners.contains(&only) => Err(format!(
            "repository {} can only be reached on {}, whose agent does no backups: is restic there?",
            repository.name,
            name(only)
        )),
        Some(only) => Ok(vec![only]),
        None => {
            let mut hosts: Vec<HostId> = state.runners.iter().copied().filter(up).collect();
            hosts.sort_by_key(|host| (*host != near, *host));
            match hosts.is_empty() {
                true => Err("no host is up whose agent does backups: is restic there?".to_owned()),
                false => Ok(hosts),
            }
        }
    }
}
