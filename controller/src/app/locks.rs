//! Locks of repositories: whose they are, and how they go.
//!
//! restic is asked for on a host, because controllers have none: on each host of the mesh that a lock names, which alone
//! can tell a process of its own that is gone from one that is at work.

use super::agent::{next, silent, unexpected};
use super::backups::host_name;
use super::{App, AppError, Call, View};
use crate::backup::opening::opened;
use crate::state::{BackupRepository, Host, HostStatus, Refusal, RefusalCode, State};
use omni_common::api::v1::{LockHolder, Page, RepositoryLock, UnlockRepository, UnlockedRepository};
use omni_common::clock::Time;
use omni_common::domain::backup::{HeldLock, Hidden, LocksOrder, Removal};
use omni_common::ids::HostId;
use omni_common::wire::{AgentRequest, ReplyFrame};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::timeout;

/// A call takes at most half a minute, and a removal asks more than one host.
const WITHIN: Duration = Duration::from_secs(20);
/// restic takes a lock for left behind that was not renewed for so long.
const STALE: Duration = Duration::from_secs(30 * 60);
/// Hosts asked about processes of their own.
const MAX_ASKED: usize = 4;

impl App {
    /// The locks that a repository has now.
    pub async fn repository_locks(
        &self,
        state: &State,
        name: &str,
    ) -> Result<Page<RepositoryLock>, AppError> {
        let repository = known(state, name)?;
        let locks = self.locks_from(state, asked(state, repository)?, repository, Removal::Nothing).await?;
        Ok(Page::whole(views(state, name, &locks, self.clock.now())))
    }

    /// Removes the locks that nobody holds, and when it is forced, all.
    pub async fn unlock_repository(
        &self,
        call: &Call,
        name: &str,
        body: UnlockRepository,
    ) -> Result<View<UnlockedRepository>, AppError> {
        let state = self.store.current();
        let repository = known(&state, name)?;
        let first = asked(&state, repository)?;
        let found = self.locks_from(&state, first, repository, Removal::Nothing).await?;
        let how = if body.force { "all, by force" } else { "those that nobody holds" };
        self.note(call, "repository.unlock", name.to_owned(), Some(how.to_owned())).await?;
        let left = match body.force {
            true => {
                let named = found.iter().map(|lock| lock.id.clone()).collect();
                self.locks_from(&state, first, repository, Removal::These(named)).await?
            }
            false => self.without_stale(&state, repository, first, found.clone()).await?,
        };
        let there: BTreeSet<&str> = left.iter().map(|lock| lock.id.as_str()).collect();
        let removed: Vec<HeldLock> =
            found.into_iter().filter(|lock| !there.contains(lock.id.as_str())).collect();
        let now = self.clock.now();
        let (removed, left) = (views(&state, name, &removed, now), views(&state, name, &left, now));
        Ok(View { index: self.store.current().index, body: UnlockedRepository { removed, left } })
    }

    /// What is left when each host has removed what dead processes of its own have left.
    async fn without_stale(
        &self,
        state: &State,
        repository: &BackupRepository,
        first: &Host,
        found: Vec<HeldLock>,
    ) -> Result<Vec<HeldLock>, AppError> {
        let mut left = found;
        for host in tidiers(state, &left, first) {
            if left.is_empty() {
                break;
            }
            left = self.locks_from(state, host, repository, Removal::Stale).await?;
        }
        Ok(left)
    }

    async fn locks_from(
        &self,
        state: &State,
        host: &Host,
        repository: &BackupRepository,
        remove: Removal,
    ) -> Result<Vec<HeldLock>, AppError> {
        let order = self.locks_order(state, repository, remove)?;
        let answered = async {
            let mut stream = self.open(host, AgentRequest::Locks(order)).await?;
            loop {
                match next(&host.name, &mut stream).await? {
                    Some(ReplyFrame::Locks(locks)) => return Ok(locks),
                    Some(ReplyFrame::Started) => {}
                    _ => return Err(unexpected(&host.name)),
                }
            }
        };
        timeout(WITHIN, answered).await.unwrap_or_else(|_| Err(silent(&host.name)))
    }

    fn locks_order(
        &self,
        state: &State,
        repository: &BackupRepository,
        remove: Removal,
    ) -> Result<Hidden, AppError> {
        let cannot = |why: String| AppError::Refused(Refusal::new(RefusalCode::Conflict, why));
        let repository = opened(state, &repository.name, &*self.releases);
        let repository = repository.map_err(|error| cannot(error.to_string()))?;
        let order = serde_json::to_string(&LocksOrder { repository, remove });
        Ok(Hidden::new(order.map_err(|error| cannot(error.to_string()))?))
    }
}

fn known<'a>(state: &'a State, name: &str) -> Result<&'a BackupRepository, AppError> {
    let found = state.repositories.get(name).map(|repository| &**repository);
    found.ok_or_else(|| AppError::not_found("repository", name))
}

/// The host that looks first: the only one that reaches the repository, or any that does backups.
fn asked<'a>(state: &'a State, repository: &BackupRepository) -> Result<&'a Host, AppError> {
    let able = |id: &HostId| {
        let up = state.hosts.get(id).filter(|host| host.status == HostStatus::Up);
        up.filter(|_| state.runners.contains(id)).map(|host| &**host)
    };
    let found = match &repository.host {
        Some(only) => able(only),
        None => state.runners.iter().find_map(able),
    };
    found.ok_or_else(|| {
        let who = repository.host.map_or_else(
            || "no host is up whose agent does backups".to_owned(),
            |only| {
                format!(
                    "{}, the only host that reaches it, is not up or has no restic",
                    host_name(state, only)
                )
            },
        );
        AppError::Refused(Refusal::new(RefusalCode::Conflict, who))
    })
}

/// Hosts by what they call themselves. One name may be several machines', and then it says nothing.
fn by_hostname(state: &State) -> BTreeMap<&str, Vec<&Host>> {
    let mut hosts: BTreeMap<&str, Vec<&Host>> = BTreeMap::new();
    for host in state.hosts.values() {
        if let Some(facts) = &host.facts {
            hosts.entry(facts.hostname.as_str()).or_default().push(host);
        }
    }
    hosts
}

/// Who removes what is left behind: hosts that locks name, as long as no other goes by the same name, because restic knows
/// its own processes by that alone; where there is none, whoever looked.
fn tidiers<'a>(state: &'a State, locks: &[HeldLock], first: &'a Host) -> Vec<&'a Host> {
    let hosts = by_hostname(state);
    let able = |host: &Host| host.status == HostStatus::Up && state.runners.contains(&host.id);
    let mut named: Vec<&Host> = locks
        .iter()
        .filter_map(|lock| match hosts.get(lock.hostname.as_str()).map(Vec::as_slice) {
            Some([one]) if able(one) => Some(*one),
            _ => None,
        })
        .collect();
    named.sort_by_key(|host| host.id);
    named.dedup_by_key(|host| host.id);
    named.truncate(MAX_ASKED);
    let own = first.facts.as_ref().map(|facts| facts.hostname.as_str());
    let alone = own.and_then(|name| hosts.get(name)).is_none_or(|same| same.len() == 1);
    if named.is_empty() && alone {
        named.push(first);
    }
    named
}

fn views(state: &State, name: &str, locks: &[HeldLock], now: Time) -> Vec<RepositoryLock> {
    let hosts = by_hostname(state);
    locks.iter().map(|lock| view(state, &hosts, name, lock, now)).collect()
}

fn view(
    state: &State,
    hosts: &BTreeMap<&str, Vec<&Host>>,
    repository: &str,
    lock: &HeldLock,
    now: Time,
) -> RepositoryLock {
    let same = hosts.get(lock.hostname.as_str()).map(Vec::as_slice).unwrap_or_default();
    let host = if let [one] = same { Some(*one) } else { None };
    let at_work = |host: &&Host| {
        let mut own = state.runs_on(host.id);
        own.find(|run| run.repositories().any(|name| name == repository)).map(|run| run.id)
    };
    let run = same.iter().find_map(at_work);
    let old = lock.renewed.is_some_and(|at| now.since(at) >= STALE);
    let holder = match run {
        Some(_) => LockHolder::Run,
        None if old => LockHolder::Nobody,
        None => LockHolder::Unknown,
    };
    let why = match (holder, host.map(|host| (&host.name, host.status))) {
        (LockHolder::Run, _) => format!(
            "run {} is at work there; wait for it, or cancel it",
            run.map(|run| run.short().to_string()).unwrap_or_default()
        ),
        (LockHolder::Nobody, _) => "it was not renewed for half an hour: its process is gone".to_owned(),
        (LockHolder::Unknown, None) if same.len() > 1 => {
            format!("{} hosts of the mesh call themselves so; ask on each", same.len())
        }
        (LockHolder::Unknown, None) => "it is no host of the mesh; ask whoever runs restic there".to_owned(),
        (LockHolder::Unknown, Some((name, HostStatus::Down))) => format!(
            "{name} is down; where it is cut off and not switched off it may be at work, and half an hour after its \
             last renewal the lock counts as left behind"
        ),
        (LockHolder::Unknown, Some((name, _))) => {
            format!("a process on {name} holds it that is no run of omni, or was one a moment ago")
        }
    };
    RepositoryLock {
        id: lock.id.clone(),
        hostname: lock.hostname.clone(),
        user: lock.username.clone(),
        process: lock.pid,
        renewed: lock.renewed,
        exclusive: lock.exclusive,
        host: host.map(|host| host.name.clone()),
        host_status: host.map(|host| host.status.into()),
        run,
        holder,
        why,
    }
}
