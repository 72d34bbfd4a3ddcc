//! `/secrets`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::{Api, Shared};
use omni_common::api::v1::{
    Page, Problem, PutSecret, ReadQuery, RemoveSecretQuery, RevealSecret, SecretValue, SecretView,
};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, remove)).routes(routes!(reveal))
}

/// List secrets
///
/// By name, without their values.
#[utoipa::path(get, path = "/api/v1/secrets", operation_id = "listSecrets", tag = "secrets", params(ReadQuery),
    responses((status = 200, body = Page<SecretView>)))]
async fn list(api: Shared, Fresh(state): Fresh) -> Answer<Page<SecretView>> {
    Answer::at(state.index, api.app.list_secrets(&state))
}

/// Show a secret
///
/// Without its value: which versions there are, and who put them.
#[utoipa::path(get, path = "/api/v1/secrets/{name}", operation_id = "getSecret", tag = "secrets",
    params(("name" = String, Path, description = "Name; `/` in it is written as `%2F`."), ReadQuery),
    responses((status = 200, body = SecretView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn get(
    api: Shared,
    Fresh(state): Fresh,
    Named(name): Named<String>,
) -> Result<Answer<SecretView>, ApiError> {
    let secret = api.app.get_secret(&state, &name)?;
    let revision = secret.revision;
    Ok(Answer::at(state.index, secret).revision(revision))
}

/// Put a secret
///
/// As its next version; the oldest beyond ten are forgotten. It is sealed before it is written anywhere.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", operation_id = "putSecret", tag = "secrets",
    params(("name" = String, Path, description = "Name; `/` in it is written as `%2F`."),
        ("if-match" = Option<String>, Header, description = "`etag` of the secret; `\"0\"` for one that must not exist yet.")),
    request_body = PutSecret,
    responses((status = 200, body = SecretView, headers(("etag" = String, description = "For `if-match`."))),
        (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 412, description = "It has changed meanwhile.", body = Problem)))]
async fn put(
    api: Shared,
    Named(name): Named<String>,
    Write { call, expect, body }: Write<PutSecret>,
) -> Result<Answer<SecretView>, ApiError> {
    let view = api.app.put_secret(&call, &name, &body, expect).await?;
    let revision = view.body.revision;
    Ok(Answer::from(view).revision(revision))
}

/// Remove a secret, or one version of it
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", operation_id = "removeSecret", tag = "secrets",
    params(("name" = String, Path, description = "Name; `/` in it is written as `%2F`."), RemoveSecretQuery),
    responses((status = 204, description = "It is gone."), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "Something needs it.", body = Problem)))]
async fn remove(
    api: Shared,
    Named(name): Named<String>,
    Params(query): Params<RemoveSecretQuery>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.delete_secret(&call, &name, query.version).await?.into())
}

/// Reveal a secret
///
/// That its value was asked for is written to the audit trail first.
#[utoipa::path(post, path = "/api/v1/secrets/{name}/reveal", operation_id = "revealSecret", tag = "secrets",
    params(("name" = String, Path, description = "Name; `/` in it is written as `%2F`.")),
    request_body = RevealSecret,
    responses((status = 200, body = SecretValue), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn reveal(
    api: Shared,
    Named(name): Named<String>,
    Write { call, body, .. }: Write<RevealSecret>,
) -> Result<Answer<SecretValue>, ApiError> {
    Ok(Answer::from(api.app.reveal_secret(&call, &name, body).await?))
}
