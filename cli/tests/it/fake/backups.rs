//! The fake's routes about backups and secrets. What is begun for the app `shop` goes well at the second look; for any
//! other it fails.

use super::{Fake, not_found, problem};
use crate::fixtures;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use omni_common::api::v1::*;
use omni_common::domain::backup::{Hidden, PolicyOptions, RunState};
use omni_common::ids::RunId;

/// Run that was begun and goes well.
const WELL: u128 = 0x900d;
/// Run that was begun and fails.
const BADLY: u128 = 0xbad;

pub(super) fn router() -> Router<Fake> {
    Router::new()
        .route("/api/v1/secrets", get(|| async { Json(Page::whole(fixtures::secrets())) }))
        .route("/api/v1/secrets/{name}", get(secret).put(put_secret).delete(remove_secret))
        .route("/api/v1/secrets/{name}/reveal", post(reveal))
        .route("/api/v1/backup/repositories", get(repositories).post(create_repository))
        .route("/api/v1/backup/repositories/{name}", get(repository).delete(remove_repository))
        .route("/api/v1/backup/repositories/{name}/locks", get(locks))
        .route("/api/v1/backup/repositories/{name}/unlock", post(unlock))
        .route("/api/v1/backup/runs", get(runs).post(start))
        .route("/api/v1/backup/runs/{run}", get(run))
        .route("/api/v1/backup/runs/{run}/cancel", post(cancel))
        .route("/api/v1/backup/snapshots", get(snapshots))
        .route("/api/v1/backup/snapshots/{environment}/{app}/{snapshot}/files", get(files))
        .route("/api/v1/backup/restores", post(restore))
        .route("/api/v1/backup/status", get(|| async { Json(Page::whole(fixtures::backup_status())) }))
        .route("/api/v1/backup/policies/{environment}/{app}", get(policy).put(set_policy).delete(policy))
        .route(
            "/api/v1/backup/defaults",
            get(|| async { Json(fixtures::backup_defaults()) }).put(set_defaults),
        )
}

fn find_secret(name: &str) -> Result<SecretView, Box<Response>> {
    let found = fixtures::secrets().into_iter().find(|secret| secret.name.as_str() == name);
    found.ok_or_else(|| Box::new(not_found("secret", name)))
}

async fn secret(Path(name): Path<String>) -> Response {
    find_secret(&name).map_or_else(|missing| *missing, |secret| Json(secret).into_response())
}

async fn put_secret(Path(name): Path<String>, headers: HeaderMap, Json(body): Json<PutSecret>) -> Response {
    assert!(!body.value.reveal().ends_with('\n'), "the pipe's line end is not the value's");
    let known = find_secret(&name);
    if headers.get(header::IF_MATCH).is_some_and(|value| value == "\"0\"") && known.is_ok() {
        return problem(StatusCode::PRECONDITION_FAILED, "revision_mismatch", "it exists");
    }
    let mut secret = known.unwrap_or_else(|_| fixtures::secrets().remove(0));
    secret.versions[0].version = 3;
    Json(secret).into_response()
}

async fn reveal(Path(name): Path<String>, Json(body): Json<RevealSecret>) -> Response {
    match find_secret(&name) {
        Ok(secret) => {
            let value = SecretValue {
                name: secret.name,
                version: body.version.unwrap_or(2),
                value: Hidden::new("correct horse"),
            };
            Json(value).into_response()
        }
        Err(missing) => *missing,
    }
}

async fn remove_secret(Path(name): Path<String>, Query(_): Query<RemoveSecretQuery>) -> Response {
    find_secret(&name).map_or_else(|missing| *missing, |_| StatusCode::NO_CONTENT.into_response())
}

async fn repositories() -> Json<Page<RepositoryView>> {
    Json(Page::whole(fixtures::repositories()))
}

fn find_repository(name: &str) -> Result<RepositoryView, Box<Response>> {
    let found = fixtures::repositories().into_iter().find(|one| one.name == name);
    found.ok_or_else(|| Box::new(not_found("repository", name)))
}

async fn repository(Path(name): Path<String>) -> Response {
    find_repository(&name).map_or_else(|missing| *missing, |one| Json(one).into_response())
}

async fn create_repository(Json(body): Json<CreateRepository>) -> Response {
    let base = fixtures::repositories().remove(1);
    let own = || format!("backup/{}/password", body.name).try_into().expect("a name");
    let password = body.password.clone().unwrap_or_else(own);
    let made = RepositoryView { name: body.name, location: body.location, password, ..base };
    (StatusCode::CREATED, Json(made)).into_response()
}

async fn remove_repository(Path(name): Path<String>) -> Response {
    find_repository(&name).map_or_else(|missing| *missing, |_| StatusCode::NO_CONTENT.into_response())
}

async fn locks(Path(name): Path<String>) -> Response {
    match find_repository(&name) {
        Ok(_) => Json(Page::whole(fixtures::locks())).into_response(),
        Err(missing) => *missing,
    }
}

/// Only what nobody holds goes, unless it is forced.
async fn unlock(Path(name): Path<String>, Json(body): Json<UnlockRepository>) -> Response {
    if let Err(missing) = find_repository(&name) {
        return *missing;
    }
    let (removed, left) =
        fixtures::locks().into_iter().partition(|lock| body.force || lock.holder == LockHolder::Nobody);
    Json(UnlockedRepository { removed, left }).into_response()
}

async fn runs(Query(query): Query<RunsQuery>) -> Json<Page<RunView>> {
    let one_of = |list: &Option<CommaList>, value: &str| {
        list.as_ref().is_none_or(|list| list.iter().any(|wanted| wanted == value))
    };
    let mut runs = fixtures::runs();
    runs.retain(|run| {
        one_of(&query.kind, &word(&run.kind))
            && one_of(&query.state, run.state.as_str())
            && query.app.as_ref().is_none_or(|app| run.app.as_ref() == Some(app))
            && query.environment.as_ref().is_none_or(|name| run.environment.as_ref() == Some(name))
            && query.repository.as_ref().is_none_or(|name| run.repository == *name)
    });
    runs.truncate(query.limit.unwrap_or(100) as usize);
    Json(Page::whole(runs))
}

/// The word that serde writes for a plain variant.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).expect("plain").as_str().expect("a word").to_owned()
}

fn begun(id: u128, kind: RunKind, app: Option<&str>) -> RunView {
    RunView {
        kind,
        state: RunState::Queued,
        app: app.map(str::to_owned),
        environment: app.map(|_| "default".to_owned()),
        group: app.map(|_| "main".to_owned()),
        slot: app.map(|_| 0),
        began: None,
        ended: None,
        items: Vec::new(),
        ..fixtures::run(id)
    }
}

async fn start(Json(body): Json<StartRun>) -> Response {
    let run = match &body {
        StartRun::Backup { app, .. } | StartRun::Drill { app, .. } if app == "nothing" => {
            return not_found("app", "default/nothing");
        }
        StartRun::Backup { app, .. } if app == "shop" => begun(WELL, RunKind::Backup, Some(app)),
        StartRun::Backup { app, .. } => begun(BADLY, RunKind::Backup, Some(app)),
        StartRun::Drill { app, .. } => begun(WELL, RunKind::Drill, Some(app)),
        StartRun::Check { .. } => begun(WELL, RunKind::Check, None),
        StartRun::Prune { .. } => begun(BADLY, RunKind::Prune, None),
    };
    (StatusCode::CREATED, Json(Page::whole(vec![run]))).into_response()
}

async fn run(Path(id): Path<String>) -> Response {
    let known = fixtures::runs().into_iter().find(|run| run.id.to_string() == id || run.id.short() == id);
    if let Some(run) = known {
        return Json(run).into_response();
    }
    if id == RunId::from_u128(WELL).to_string() {
        return Json(fixtures::run(WELL)).into_response();
    }
    if id == RunId::from_u128(BADLY).to_string() {
        let message = Some("no host is up whose agent does backups: is restic there?".to_owned());
        let failed = RunView { state: RunState::Failed, message, ..fixtures::run(BADLY) };
        return Json(failed).into_response();
    }
    not_found("run", &id)
}

async fn cancel(Path(id): Path<String>) -> Response {
    let known = fixtures::runs().into_iter().find(|run| run.id.short() == id);
    match known {
        None => not_found("run", &id),
        Some(run) if run.state.is_over() => problem(StatusCode::CONFLICT, "conflict", "the run is over"),
        Some(run) => Json(RunView { state: RunState::Cancelled, ..run }).into_response(),
    }
}

async fn snapshots(Query(query): Query<SnapshotsQuery>) -> Json<Page<SnapshotView>> {
    let mut found = fixtures::snapshots();
    found.retain(|one| {
        query.app.as_ref().is_none_or(|app| one.app == *app)
            && query.environment.as_ref().is_none_or(|name| one.environment == *name)
            && query.item.as_ref().is_none_or(|item| one.item.as_str() == item)
            && query.repository.as_ref().is_none_or(|name| one.repository == *name)
    });
    Json(Page::whole(found))
}

/// Two pages of one folder.
async fn files(
    Path((environment, app, snapshot)): Path<(String, String, String)>,
    Query(query): Query<FilesQuery>,
) -> Response {
    let known = fixtures::snapshots();
    let known = known
        .iter()
        .any(|one| one.environment == environment && one.app == app && one.id.starts_with(&snapshot));
    if !known {
        return not_found("snapshot", &snapshot);
    }
    let mut all = match query.path.as_deref() {
        Some("/" | "/media") => fixtures::files(),
        Some("/empty") => Vec::new(),
        Some("/media/notes.txt") => {
            return problem(StatusCode::CONFLICT, "not_a_folder", "web-1: `/media/notes.txt` is no folder");
        }
        Some("/away") => {
            let why = "web-1: the repository home cannot be reached: connection refused";
            return problem(StatusCode::BAD_GATEWAY, "repository_unreadable", why);
        }
        path => {
            return problem(StatusCode::NOT_FOUND, "path_missing", &format!("web-1: there is no {path:?}"));
        }
    };
    let (page, next_cursor) = match query.cursor.as_deref() {
        None => {
            let rest = all.split_off(all.len().min(2));
            (all, (!rest.is_empty()).then(|| "more".to_owned()))
        }
        Some(cursor) => {
            assert_eq!(cursor, "more");
            (all.split_off(2), None)
        }
    };
    Json(Page { items: page, next_cursor }).into_response()
}

async fn restore(Json(body): Json<StartRestore>) -> Response {
    let mut plan = fixtures::restore_plan(body.folder.clone());
    plan.items.retain(|item| body.items.is_empty() || body.items.contains(&item.item));
    if body.dry_run {
        return Json(plan).into_response();
    }
    if plan.stops && !body.stop {
        return problem(StatusCode::CONFLICT, "conflict", "app default/shop runs");
    }
    plan.run = Some(begun(WELL, RunKind::Restore, Some("shop")));
    Json(plan).into_response()
}

async fn policy(Path((environment, app)): Path<(String, String)>) -> Response {
    match (environment.as_str(), app.as_str()) {
        ("default", "shop") => Json(fixtures::backup_policy()).into_response(),
        _ => not_found("app", &format!("{environment}/{app}")),
    }
}

async fn set_policy(Path(path): Path<(String, String)>, Json(body): Json<PolicyOptions>) -> Response {
    assert_eq!(body.check(), Ok(()), "it was looked at before it was sent");
    policy(Path(path)).await
}

async fn set_defaults(Json(mut body): Json<BackupDefaults>) -> Json<BackupDefaults> {
    let limits = body.limits.as_mut().expect("as it was told");
    limits.per_host = body.per_host.unwrap_or(2);
    Json(body)
}
