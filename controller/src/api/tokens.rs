//! `/tokens`.

use super::answer::{Answer, Gone};
use super::error::ApiError;
use super::extract::{Fresh, Named, Params, Write};
use super::{Api, Shared};
use omni_common::api::v1::{
    ApiTokenCreated, ApiTokenView, CreateApiToken, CreateJoinToken, JoinTokenCreated, JoinTokenView, Page,
    Problem, ReadQuery, TokensQuery,
};
use omni_common::ids::TokenId;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_join, create_join))
        .routes(routes!(remove_join))
        .routes(routes!(list_api, create_api))
        .routes(routes!(remove_api))
}

/// List join tokens
#[utoipa::path(get, path = "/api/v1/tokens/join", operation_id = "listJoinTokens", tag = "tokens",
    params(TokensQuery, ReadQuery),
    responses((status = 200, body = Page<JoinTokenView>), (status = 400, body = Problem)))]
async fn list_join(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<TokensQuery>,
) -> Result<Answer<Page<JoinTokenView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_join_tokens(&state, &query)?))
}

/// Make a join token
///
/// For `omni-agent join` or `omni-controller join`. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens/join", operation_id = "createJoinToken", tag = "tokens",
    request_body = CreateJoinToken,
    responses((status = 201, body = JoinTokenCreated), (status = 400, body = Problem),
        (status = 409, description = "An earlier call with this key made it; its text is gone.", body = Problem),
        (status = 422, body = Problem)))]
async fn create_join(
    api: Shared,
    Write { call, body, .. }: Write<CreateJoinToken>,
) -> Result<Answer<JoinTokenCreated>, ApiError> {
    Ok(Answer::from(api.app.create_join_token(&call, body).await?).created())
}

/// Take a join token back
#[utoipa::path(delete, path = "/api/v1/tokens/join/{id}", operation_id = "removeJoinToken", tag = "tokens",
    params(("id" = TokenId, Path, description = "Token id.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem)))]
async fn remove_join(
    api: Shared,
    Named(id): Named<TokenId>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.delete_join_token(&call, id).await?.into())
}

/// List API tokens
#[utoipa::path(get, path = "/api/v1/tokens/api", operation_id = "listApiTokens", tag = "tokens",
    params(TokensQuery, ReadQuery),
    responses((status = 200, body = Page<ApiTokenView>), (status = 400, body = Problem)))]
async fn list_api(
    api: Shared,
    Fresh(state): Fresh,
    Params(query): Params<TokensQuery>,
) -> Result<Answer<Page<ApiTokenView>>, ApiError> {
    Ok(Answer::at(state.index, api.app.list_api_tokens(&state, &query)?))
}

/// Make an API token
///
/// For people and programs. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens/api", operation_id = "createApiToken", tag = "tokens",
    request_body = CreateApiToken,
    responses((status = 201, body = ApiTokenCreated), (status = 400, body = Problem),
        (status = 409, description = "An earlier call with this key made it; its text is gone.", body = Problem),
        (status = 422, body = Problem)))]
async fn create_api(
    api: Shared,
    Write { call, body, .. }: Write<CreateApiToken>,
) -> Result<Answer<ApiTokenCreated>, ApiError> {
    Ok(Answer::from(api.app.create_api_token(&call, body).await?).created())
}

/// Take an API token back
///
/// Its open sockets are cut within a second. The last admin token cannot be taken back.
#[utoipa::path(delete, path = "/api/v1/tokens/api/{id}", operation_id = "removeApiToken", tag = "tokens",
    params(("id" = TokenId, Path, description = "Token id.")),
    responses((status = 204, description = "Removed."), (status = 404, body = Problem),
        (status = 409, description = "It is the last admin token.", body = Problem)))]
async fn remove_api(
    api: Shared,
    Named(id): Named<TokenId>,
    Write { call, .. }: Write<()>,
) -> Result<Gone, ApiError> {
    Ok(api.app.delete_api_token(&call, id).await?.into())
}
