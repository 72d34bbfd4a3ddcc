//! What is in a snapshot: a host that reaches its repository is asked for one folder at a time.

use super::agent::{lost, next, unexpected};
use super::apps::find_app;
use super::backups::{host_name, is_controllers};
use super::cursor::Paging;
use super::ports::MeshError;
use super::{App, AppError};
use crate::backup::opening::{Opener, opened};
use crate::backup::readers;
use crate::state::{AppKey, Host, Snapshot, SnapshotKey, State};
use omni_common::api::v1::{FilesQuery, MAX_PAGE, Page};
use omni_common::domain::backup::{FileEntry, FilesOrder, Hidden, Take};
use omni_common::ids::HostId;
use omni_common::wire::{AgentRequest, ReplyFrame};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// An agent gives up after 24 s and says why; a call may take 30 s.
const WITHIN: Duration = Duration::from_secs(27);
/// Hosts that are tried when one is away or too old for it.
const MAX_TRIED: usize = 3;
/// Longest path, bytes: the longest that Linux has.
const MAX_PATH: usize = 4096;
/// Shortest beginning of an id.
const MIN_ID: usize = 4;

impl App {
    /// A page of one folder of a snapshot.
    pub async fn snapshot_files(
        &self,
        state: &State,
        app: (&str, &str),
        id: &str,
        query: &FilesQuery,
    ) -> Result<Page<FileEntry>, AppError> {
        let path = path(query.path.as_deref())?;
        let key = AppKey { environment: app.0.to_owned(), name: app.1.to_owned() };
        let (key, one) = find_snapshot(state, &key, id)?;
        let limit = query.limit.unwrap_or(MAX_PAGE);
        let filters = (&key.repository, &key.id, &path);
        let paging: Paging<u64> = Paging::new("files", &filters, Some(limit), query.cursor.as_deref())?;
        let skip = paging.after.map_or(0, |last| last.saturating_add(1));
        let repository = state.repositories.get(&key.repository);
        let repository = repository.ok_or_else(|| AppError::not_found("repository", &*key.repository))?;
        let hosts = readers(state, repository, one.host).map_err(AppError::NotHere)?;
        let opener = &*self.releases;
        let order = FilesOrder {
            repository: opened(state, &key.repository, opener)
                .map_err(|error| AppError::NotHere(error.to_string()))?,
            snapshot: key.id.clone(),
            include: include(state, key, one, opener),
            path,
            skip,
            // One more tells whether more follow.
            most: limit + 1,
        };
        let listed = timeout(WITHIN, self.listed(state, &hosts, &order)).await;
        let entries = listed.unwrap_or_else(|_| {
            let host = hosts.first().map_or_else(String::new, |host| host_name(state, *host));
            Err(AppError::AgentSilent { host, seconds: WITHIN.as_secs() })
        })?;
        Ok(paging.take((skip..).zip(entries)))
    }

    /// Asks one host after the other until one can be asked.
    async fn listed(
        &self,
        state: &State,
        hosts: &[HostId],
        order: &FilesOrder,
    ) -> Result<Vec<FileEntry>, AppError> {
        let text = serde_json::to_string(order).expect("an order is plain values");
        let request = AgentRequest::Files(Hidden::new(text));
        let mut last = AppError::NotHere("no host could be asked".to_owned());
        for host in hosts.iter().take(MAX_TRIED).filter_map(|host| state.hosts.get(host)) {
            match self.list_on(host, request.clone()).await {
                Err(error @ AppError::Mesh { source: MeshError::NotConnected | MeshError::Outdated, .. }) => {
                    last = error
                }
                answered => return answered,
            }
        }
        Err(last)
    }

    async fn list_on(&self, host: &Host, request: AgentRequest) -> Result<Vec<FileEntry>, AppError> {
        let opened = self.mesh.open(host.id, request).await;
        let mut stream = opened.map_err(|source| lost(&host.name, source))?;
        let mut entries = Vec::new();
        loop {
            match next(&host.name, &mut stream).await? {
                Some(ReplyFrame::Started) => {}
                Some(ReplyFrame::Files(more)) => entries.extend(more),
                Some(ReplyFrame::End) => return Ok(entries),
                // Half a listing must not look like a whole one.
                None => {
                    let broken = MeshError::Lost("it ended before all was told".to_owned());
                    return Err(lost(&host.name, broken));
                }
                Some(_) => return Err(unexpected(&host.name)),
            }
        }
    }
}

/// A path within the item, from its root.
fn path(said: Option<&str>) -> Result<String, AppError> {
    let said = said.unwrap_or("/");
    let bad = said.len() > MAX_PATH
        || said.contains('\0')
        || said.split('/').any(|part| matches!(part, "." | ".."));
    if bad {
        let detail = format!("a path within the item, without `.` and `..`, of at most {MAX_PATH} bytes");
        return Err(AppError::invalid("path", detail));
    }
    let parts: Vec<&str> = said.split('/').filter(|part| !part.is_empty()).collect();
    Ok(format!("/{}", parts.join("/")))
}

/// The snapshot of an app with an id that begins like this.
fn find_snapshot<'a>(
    state: &'a State,
    app: &AppKey,
    id: &str,
) -> Result<(&'a SnapshotKey, &'a Arc<Snapshot>), AppError> {
    if is_controllers(&app.environment, &app.name) {
        let why =
            "a snapshot of the controllers' state is one sealed file; `omni-controller restore` opens it";
        return Err(AppError::invalid("app", why));
    }
    let mut fitting = state.snapshots_of(app).filter(|(key, _)| key.id.starts_with(id));
    let found = fitting.next().filter(|_| id.len() >= MIN_ID);
    let Some(found) = found else {
        // A mistyped app has no snapshots either.
        if state.snapshots_of(app).next().is_none() {
            find_app(state, &app.environment, &app.name)?;
        }
        return Err(AppError::not_found("snapshot", format!("{id}` of `{app}")));
    };
    // Two names of one repository show the same snapshot twice.
    match fitting.all(|(key, _)| key.id == found.0.id) {
        true => Ok(found),
        false => Err(AppError::invalid(
            "snapshot",
            format!("`{id}` is the beginning of several ids; write more of it"),
        )),
    }
}

/// The paths that the item was limited to, as far as its release is still known.
fn include(state: &State, key: &SnapshotKey, one: &Snapshot, opener: &dyn Opener) -> Vec<String> {
    let release = opener.release(state, &key.app, one.release);
    let item = release.as_ref().and_then(|(_, outline)| outline.item(&one.instance.0, &one.item));
    match item.map(|item| &item.take) {
        Some(Take::Volume { include, .. }) => include.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_root_and_stays_below_it() {
        for (said, meant) in [
            (None, "/"),
            (Some(""), "/"),
            (Some("a//b/"), "/a/b"),
            (Some("/ a"), "/ a"),
            (Some("/..a"), "/..a"),
        ] {
            assert_eq!(path(said).expect("good"), meant, "{said:?}");
        }
        for bad in ["..", "/a/../b", "/./a", "a\0", &"x".repeat(MAX_PATH + 1)] {
            assert!(path(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
