//! `/backup/repositories`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Write};
use super::{Api, Shared};
use omni_common::api::v1::{
    CreateRepository, Page, Problem, ReadQuery, RepositoryLock, RepositoryView, UnlockRepository,
    UnlockedRepository,
};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, remove))
        .routes(routes!(locks))
        .routes(routes!(unlock))
}

/// List repositories of backups
#[utoipa::path(get, path = "/api/v1/backup/repositories", operation_id = "listRepositories", tag = "backup",
    params(ReadQuery), responses((status = 200, body = Page<RepositoryView>)))]
async fn list(api: Shared, Fresh(state): Fresh) -> Answer<Page<RepositoryView>> {
    Answer::at(state.index, api.app.list_repositories(&state))
}

/// Add a repository
///
/// Nothing is written to it before the first backup, which makes it when it is absent. Without `password` one is made
/// and kept as the secret `backup/NAME/password`.
#[utoipa::path(post, path = "/api/v1/backup/repositories", operation_id = "createRepository", tag = "backup",
    request_body = CreateRepository,
    responses((status = 201, body = RepositoryView), (status = 400, body = Problem),
        (status = 404, description = "A secret or host that is named does not exist.", body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    api: Shared,
    Write { call, body, .. }: Write<CreateRepository>,
) -> Result<Answer<RepositoryView>, ApiError> {
    Ok(Answer::from(api.app.create_repository(&call, &body).await?).created())
}

/// Show a repository
#[utoipa::path(get, path = "/api/v1/backup/repositories/{name}", operation_id = "getRepository", tag = "backup",
    params(("name" = String, Path, description = "Name."), ReadQuery),
    responses((status = 200, body = RepositoryView), (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(name): Named<String>,
) -> Result<Answer<RepositoryView>, ApiError> {
    Ok(Answer::at(state.index, api.app.get_repository(&state, &name)?))
}

/// Forget a repository
///
/// What lies in it stays there, and restic can read it with the password, which stays as a secret.
#[utoipa::path(delete, path = "/api/v1/backup/repositories/{name}", operation_id = "removeRepository", tag = "backup",
    params(("name" = String, Path, description = "Name.")),
    responses((status = 204, description = "It is forgotten."), (status = 404, body = Problem),
        (status = 409, description = "A run is using it.", body = Problem)))]
async fn remove(
    api: Shared,
    Named(name): Named<String>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.delete_repository(&call, &name).await?.into())
}

/// List the locks of a repository
///
/// Asked of a host that reaches it.
#[utoipa::path(get, path = "/api/v1/backup/repositories/{name}/locks", operation_id = "listRepositoryLocks",
    tag = "backup", params(("name" = String, Path, description = "Name."), ReadQuery),
    responses((status = 200, body = Page<RepositoryLock>), (status = 404, body = Problem),
        (status = 409, description = "No host that reaches it is up.", body = Problem)))]
async fn locks(
    api: Shared,
    Fresh(state): Fresh,
    Named(name): Named<String>,
) -> Result<Answer<Page<RepositoryLock>>, ApiError> {
    Ok(Answer::at(state.index, api.app.repository_locks(&state, &name).await?))
}

/// Remove locks of a repository
///
/// Those go that nobody holds: whose process is gone, or that were not renewed for half an hour. With `force` all go, and
/// whoever is at work loses what it has written since its last whole snapshot.
#[utoipa::path(post, path = "/api/v1/backup/repositories/{name}/unlock", operation_id = "unlockRepository",
    tag = "backup", params(("name" = String, Path, description = "Name.")), request_body = UnlockRepository,
    responses((status = 200, body = UnlockedRepository), (status = 404, body = Problem),
        (status = 409, description = "No host that reaches it is up.", body = Problem)))]
async fn unlock(
    api: Shared,
    Named(name): Named<String>,
    Write { call, body, .. }: Write<UnlockRepository>,
) -> Result<Answer<UnlockedRepository>, ApiError> {
    Ok(Answer::from(api.app.unlock_repository(&call, &name, body).await?))
}
