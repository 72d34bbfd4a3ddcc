//! `/backup`: runs, snapshots, restores, policies, and how all of it stands.

use super::answer::Answer;
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::guard::Caller;
use super::{Api, Shared};
use axum::Extension;
use omni_common::api::v1::{
    AppBackupView, BackupDefaults, BackupPolicyView, FilesQuery, Page, Problem, ReadQuery, RestorePlan,
    RunView, RunsQuery, SnapshotView, SnapshotsQuery, StartRestore, StartRun,
};
use omni_common::domain::backup::{FileEntry, PolicyOptions};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(runs, start))
        .routes(routes!(run))
        .routes(routes!(cancel))
        .routes(routes!(snapshots))
        .routes(routes!(files))
        .routes(routes!(restore))
        .routes(routes!(status))
        .routes(routes!(policy, set_policy, unset_policy))
        .routes(routes!(defaults, set_defaults))
}

/// List runs
///
/// Backups, copies, checks, prunes, restores and drills; newest first. Those that are over are kept for a while.
#[utoipa::path(get, path = "/api/v1/backup/runs", operation_id = "listRuns", tag = "backup",
    params(RunsQuery, ReadQuery),
    responses((status = 200, body = Page<RunView>), (status = 400, body = Problem)))]
async fn runs(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<RunsQuery>,
) -> Result<Answer<Page<RunView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_runs(&state, &query)?))
}

/// Begin runs
///
/// A backup or drill is one run for each instance of the app. Answers at once; the runs tell how it goes.
#[utoipa::path(post, path = "/api/v1/backup/runs", operation_id = "startRuns", tag = "backup", request_body = StartRun,
    responses((status = 201, body = Page<RunView>), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
async fn start(
    api: Shared,
    Write { call, body, .. }: Write<StartRun>,
) -> Result<Answer<Page<RunView>>, ApiError> {
    Ok(Answer::from(api.app.start_run(&call, &body).await?).created())
}

/// Show a run
///
/// With how far it is.
#[utoipa::path(get, path = "/api/v1/backup/runs/{run}", operation_id = "getRun", tag = "backup",
    params(("run" = String, Path, description = "Id, or its last eight digits."), ReadQuery),
    responses((status = 200, body = RunView), (status = 404, body = Problem)))]
async fn run(
    api: Shared,
    Fresh(state): Fresh,
    Named(id): Named<String>,
) -> Result<Answer<RunView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_run(&state, &id)?))
}

/// Give a run up
#[utoipa::path(post, path = "/api/v1/backup/runs/{run}/cancel", operation_id = "cancelRun", tag = "backup",
    params(("run" = String, Path, description = "Id, or its last eight digits.")),
    responses((status = 200, body = RunView), (status = 404, body = Problem),
        (status = 409, description = "It is over.", body = Problem)))]
async fn cancel(
    api: Shared,
    Named(id): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Answer<RunView>, ApiError> {
    Ok(Answer::from(api.app.cancel_run(&call, &id).await?))
}

/// List snapshots
///
/// What is known to lie in repositories, newest first within an app.
#[utoipa::path(get, path = "/api/v1/backup/snapshots", operation_id = "listSnapshots", tag = "backup",
    params(SnapshotsQuery, ReadQuery),
    responses((status = 200, body = Page<SnapshotView>), (status = 400, body = Problem)))]
async fn snapshots(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<SnapshotsQuery>,
    Extension(caller): Extension<Caller>,
) -> Result<Answer<Page<SnapshotView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_snapshots(&state, &query, caller.principal.reach())?))
}

/// List a folder of a snapshot
///
/// By name, and not what is below its folders. A host that reaches the repository is asked, which takes a second or more.
/// A path begins at the root of what was taken, as that of a restore does. A snapshot of a dump has one file.
#[utoipa::path(get, path = "/api/v1/backup/snapshots/{environment}/{app}/{snapshot}/files",
    operation_id = "listSnapshotFiles", tag = "backup",
    params(("environment" = String, Path, description = "Environment of the app."),
        ("app" = String, Path, description = "Name of the app."),
        ("snapshot" = String, Path, description = "Id, or its beginning of at least four digits."),
        FilesQuery, ReadQuery),
    responses((status = 200, body = Page<FileEntry>), (status = 400, body = Problem),
        (status = 404, description = "No such app, snapshot or path.", body = Problem),
        (status = 409, description = "The path is no folder, or no host can look into the repository now.",
            body = Problem),
        (status = 502, description = "The repository or the host cannot be reached.", body = Problem),
        (status = 504, description = "The repository takes too long.", body = Problem)))]
async fn files(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, app, snapshot)): Named<(String, String, String)>,
    Params(query): Params<FilesQuery>,
) -> Result<Answer<Page<FileEntry>>, ApiError> {
    let listed = api.app.snapshot_files(&state, (&environment, &app), &snapshot, &query).await?;
    Ok(Answer::at(state.index, listed))
}

/// Bring data back
///
/// Into the app's own volumes, or into a folder of a host. An app that runs is stopped for the former, when `stop` says
/// that it may be, and started again once it went well. With `dry_run`, only says what would be done.
#[utoipa::path(post, path = "/api/v1/backup/restores", operation_id = "startRestore", tag = "backup",
    request_body = StartRestore,
    responses((status = 200, body = RestorePlan), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "The app runs, or its data is being restored already.", body = Problem)))]
async fn restore(
    api: Shared,
    Fresh(state): Fresh,
    Write { call, body, .. }: Write<StartRestore>,
) -> Result<Answer<RestorePlan>, ApiError> {
    if body.dry_run {
        return Ok(Answer::at(state.index, api.app.plan_restore(&state, &body)?));
    }
    Ok(Answer::from(api.app.start_restore(&call, &body).await?))
}

/// Show how backups stand
///
/// For each app: what is lost when its host dies now, how long it takes to be back, and where copies are.
#[utoipa::path(get, path = "/api/v1/backup/status", operation_id = "backupStatus", tag = "backup", params(ReadQuery),
    responses((status = 200, body = Page<AppBackupView>)))]
async fn status(api: Shared, Fresh(state): Fresh) -> Result<Answer<Page<AppBackupView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.backup_status(&state)?))
}

/// Show what holds for an app's backups
///
/// What was set by hand goes over what its release says, that over the cluster's defaults, those over the policy of the
/// component that its data belongs to, or of its tier. `sources` tells which of them says each value.
#[utoipa::path(get, path = "/api/v1/backup/policies/{environment}/{app}", operation_id = "getBackupPolicy", tag = "backup",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name."),
        ReadQuery),
    responses((status = 200, body = BackupPolicyView), (status = 404, body = Problem)))]
async fn policy(
    api: Shared,
    Fresh(state): Fresh,
    Named((environment, app)): Named<(String, String)>,
) -> Result<Answer<BackupPolicyView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_backup_policy(&state, &environment, &app)?))
}

/// Set by hand what holds for an app's backups
#[utoipa::path(put, path = "/api/v1/backup/policies/{environment}/{app}", operation_id = "setBackupPolicy", tag = "backup",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    request_body = PolicyOptions,
    responses((status = 200, body = BackupPolicyView), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn set_policy(
    api: Shared,
    Named((environment, app)): Named<(String, String)>,
    Write { call, body, .. }: Write<PolicyOptions>,
) -> Result<Answer<BackupPolicyView>, ApiError> {
    Ok(Answer::from(api.app.set_backup_policy(&call, &environment, &app, Some(body)).await?))
}

/// Go back to what an app's release says about its backups
#[utoipa::path(delete, path = "/api/v1/backup/policies/{environment}/{app}", operation_id = "unsetBackupPolicy", tag = "backup",
    params(("environment" = String, Path, description = "Environment."), ("app" = String, Path, description = "Name.")),
    responses((status = 200, body = BackupPolicyView), (status = 404, body = Problem)))]
async fn unset_policy(
    api: Shared,
    Named((environment, app)): Named<(String, String)>,
    Write { call, .. }: Write<()>,
) -> Result<Answer<BackupPolicyView>, ApiError> {
    Ok(Answer::from(api.app.set_backup_policy(&call, &environment, &app, None).await?))
}

/// Show what holds for backups of apps that say nothing else
#[utoipa::path(get, path = "/api/v1/backup/defaults", operation_id = "getBackupDefaults", tag = "backup", params(ReadQuery),
    responses((status = 200, body = BackupDefaults)))]
async fn defaults(api: Shared, Fresh(state): Fresh) -> Answer<BackupDefaults> {
    Answer::at(state.index, api.app.get_backup_defaults(&state))
}

/// Set what holds for backups of apps that say nothing else
#[utoipa::path(put, path = "/api/v1/backup/defaults", operation_id = "setBackupDefaults", tag = "backup",
    request_body = BackupDefaults,
    responses((status = 200, body = BackupDefaults), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn set_defaults(
    api: Shared,
    Write { call, body, .. }: Write<BackupDefaults>,
) -> Result<Answer<BackupDefaults>, ApiError> {
    Ok(Answer::from(api.app.set_backup_defaults(&call, &body).await?))
}
