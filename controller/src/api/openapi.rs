//! The OpenAPI document, generated from the handlers and completed from the access table, so that what the
//! document says of roles and common errors is what the code does.

use super::access::{Access, access};
use super::extract::IDEMPOTENCY_KEY;
use super::{
    Api, alerts, apps, audit, backups, builds, cluster, containers, controllers, environments, events, exec,
    hosts, images, logs, metrics, moves, oidc, probes, projects, prometheus, repositories, secrets, sessions,
    systems, tokens, users, who,
};
use crate::state::ApiRole;
use axum::http::Method;
use omni_common::api::v1::{
    BuildInput, BuildOutput, EventsMessage, EventsRequest, ExecInput, ExecOutput, INDEX_HEADER,
    LiveMetricsMessage, LogsMessage, PROBLEM_JSON, Problem, PushInput, PushOutput, SocketAuth,
};
use std::sync::Arc;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;

const DESCRIPTION: &str = "\
Reads are linearizable unless `consistency=stale` is asked for; `x-omni-index` names the state an answer was made \
from. Lists come in pages: hand `next_cursor` back as `cursor` with the same filters. Writes take an \
`idempotency-key`: the same key of the same caller applies once, and keeps its answer for 24 hours, \
or until fifty thousand later ones. Errors are `application/problem+json` (RFC 9457); branch on `code`. Any controller answers any call; 503 \
with `retry-after` means that no controller leads at the moment.";

#[derive(OpenApi)]
#[openapi(
    info(title = "omni", version = "1", description = DESCRIPTION, license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "hosts", description = "Machines with an agent."),
        (name = "metrics", description = "What hosts measure."),
        (name = "images", description = "Images, and the hosts that have them."),
        (name = "containers", description = "Containers of all hosts, their logs, and programs in them."),
        (name = "events", description = "What happened."),
        (name = "cluster", description = "The cluster as a whole."),
        (name = "controllers", description = "The members of the Raft group."),
        (name = "environments", description = "Namespaces for apps."),
        (name = "systems", description = "What the platform consists of, and what of it runs."),
        (name = "alerts", description = "What Alertmanager reported."),
        (name = "backup", description = "Repositories, runs, snapshots, restores, and how protected apps are."),
        (name = "secrets", description = "Passwords and keys, kept sealed."),
        (name = "tokens", description = "What machines join with, and what callers show."),
        (name = "users", description = "People, and what they may do."),
        (name = "session", description = "Signing in and out, and one's own account."),
        (name = "audit", description = "Who did what, and who was refused."),
        (name = "caller", description = "Who calls, and who answers."),
        (name = "prometheus", description = "What Prometheus asks for."),
        (name = "probes", description = "What anyone may know."),
    ),
    components(schemas(
        Problem, SocketAuth, EventsRequest, EventsMessage, LogsMessage, LiveMetricsMessage, ExecInput, ExecOutput,
        PushInput, PushOutput, BuildInput, BuildOutput
    )),
    modifiers(&Bearer),
)]
struct Frame;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.description = Some(
            "An API token, `omni-api1.…`; a session's, `omni-session1.…`; or a page's pass, `omni-pass1.…`."
                .to_owned(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(http));
    }
}

/// All documented routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(Frame::openapi())
        .merge(apps::routes())
        .merge(moves::routes())
        .merge(hosts::routes())
        .merge(metrics::routes())
        .merge(containers::routes())
        .merge(builds::routes())
        .merge(images::routes())
        .merge(projects::routes())
        .merge(logs::routes())
        .merge(exec::routes())
        .merge(events::routes())
        .merge(cluster::routes())
        .merge(controllers::routes())
        .merge(environments::routes())
        .merge(tokens::routes())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(oidc::routes())
        .merge(audit::routes())
        .merge(who::routes())
        .merge(systems::routes())
        .merge(alerts::routes())
        .merge(secrets::routes())
        .merge(repositories::routes())
        .merge(backups::routes())
        .merge(prometheus::routes())
        .merge(probes::routes())
}

/// The whole document.
pub fn document() -> Document {
    complete(routes().into_openapi())
}

/// Adds what is the same for many routes: security, role, headers, common errors.
pub(crate) fn complete(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            (Method::GET, &mut item.get),
            (Method::POST, &mut item.post),
            (Method::PUT, &mut item.put),
            (Method::PATCH, &mut item.patch),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                complete_one(&method, path, operation);
            }
        }
    }
    document
}

fn complete_one(method: &Method, path: &str, operation: &mut Operation) {
    problems_are_problems(operation);
    fill_descriptions(operation);
    let role = match access(method, path) {
        Some((Access::Needs(role) | Access::Socket(role), _)) => role,
        Some((Access::Scrape, _)) => ApiRole::Viewer,
        Some((Access::Enter | Access::Cookie, _)) => return complete_entrance(operation),
        Some((Access::Open, _)) | None => return,
    };
    let security = SecurityRequirement::new("token", std::iter::empty::<String>());
    operation.security = Some(vec![security]);
    let line = format!("Needs the role {}.", role.as_str());
    let text = operation.description.take().filter(|text| !text.is_empty());
    operation.description = Some(text.map_or(line.clone(), |text| format!("{text}\n\n{line}")));
    if method != Method::GET {
        operation.parameters.get_or_insert_default().push(key_parameter().into());
    }
    for (status, text) in common_problems(method) {
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| problem(text).into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2') && path != "/metrics", response) {
            response.headers.entry(INDEX_HEADER.to_owned()).or_insert_with(|| index_header().into());
        }
    }
}

/// Ways in need no token.
fn complete_entrance(operation: &mut Operation) {
    const PROBLEMS: &[(&str, &str)] = &[
        ("400", "The body is wrong."),
        ("401", "Name, password, token or cookie is not good."),
        ("403", "A browser was made to send this by a page that is not the controller's own."),
        ("429", "Too many attempts; see `retry-after`."),
        ("503", "No leader at the moment, or too much to do; see `retry-after`."),
    ];
    for (status, text) in PROBLEMS {
        operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| problem(text).into());
    }
}

fn common_problems(method: &Method) -> &'static [(&'static str, &'static str)] {
    const READ: &[(&str, &str)] = &[
        ("400", "A parameter is unknown or wrong."),
        ("401", "No valid token."),
        ("403", "The token's role does not allow this."),
        ("429", "Too many failed attempts."),
        ("500", "A bug; the log of the controller says more."),
        ("503", "No leader at the moment, or too much to do; see `retry-after`."),
        ("504", "It took too long."),
    ];
    const WRITE: &[(&str, &str)] = &[
        ("400", "The body or a parameter is wrong."),
        ("401", "No valid token."),
        ("403", "The token's role does not allow this."),
        ("413", "The body is too large."),
        ("415", "The body is not JSON."),
        ("422", "The idempotency key was used for something else, or a value is not acceptable."),
        ("429", "Too many failed attempts."),
        ("500", "A bug; the log of the controller says more."),
        ("503", "No leader at the moment, or too much to do; see `retry-after`."),
        ("504", "The outcome is not known; ask again with the same key."),
        ("507", "The controllers' disks take no more."),
    ];
    if method == Method::GET { READ } else { WRITE }
}

/// Handlers name [`Problem`] as a body; it travels under its own content type.
fn problems_are_problems(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if !(status.starts_with('4') || status.starts_with('5')) || status == "503" {
            continue;
        }
        if let Some(content) = response.content.shift_remove("application/json") {
            response.content.insert(PROBLEM_JSON.to_owned(), content);
        }
    }
}

/// The specification wants a sentence for each answer.
fn fill_descriptions(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = default_text(status).to_owned();
        }
    }
}

fn default_text(status: &str) -> &'static str {
    match status {
        "200" => "What was asked for.",
        "201" => "It was made.",
        "400" => "The body or a parameter is wrong.",
        "404" => "There is no such thing.",
        "409" => "The state of the cluster does not allow it.",
        "422" => "The idempotency key was used for something else, or a value is not acceptable.",
        _ => "It failed.",
    }
}

fn problem(text: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(text).content(PROBLEM_JSON, content).build()
}

fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

fn key_parameter() -> Parameter {
    ParameterBuilder::new()
        .name(IDEMPOTENCY_KEY.as_str())
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The change applies once for each key of a caller; send the same key when you repeat a call.",
        ))
        .schema(Some(string()))
        .build()
}

fn index_header() -> utoipa::openapi::header::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
        .description(Some("Raft index of the state that the answer was made from."))
        .build()
}

/// The document as it is served and committed.
pub(crate) fn render(document: &Document) -> String {
    let mut text = serde_json::to_string_pretty(document).expect("the document is plain values");
    text.push('\n');
    text
}
