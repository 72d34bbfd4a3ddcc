//! In front of every handler: who calls, may they, and are their parameters known.

use super::access::{Access, Span, access};
use super::cookies;
use super::error::{ApiError, Failure};
use super::{Api, Shared};
use crate::app::{AppError, Denied, Principal, RefusedCall};
use crate::metrics::{HTTP_REQUESTS, HTTP_SECONDS};
use crate::state::ApiRole;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use tokio::time::Instant;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};

/// A caller that was let in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who it is.
    pub(crate) principal: Principal,
    /// Where it calls from.
    pub(crate) from: Option<IpAddr>,
}

/// On a socket whose caller has not said yet who it is: what it needs to be.
#[derive(Clone, Debug)]
pub(crate) struct Owes {
    wants: Wants,
    /// Environment and app that the path names, where they decide.
    app: Option<(String, String)>,
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    role: ApiRole,
    span: Span,
}

/// The caller showed the cookie of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByCookie;

/// Query parameters that each route knows, by method and path.
pub(crate) type Parameters = HashMap<(String, String), HashSet<String>>;

/// Lets a request through to its handler, or answers for it; and counts it.
pub(crate) async fn guard(api: Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let target = request.uri().path().to_owned();
    let response = match admit(&api, &method, &path, request).await {
        Ok(request) => {
            let caller = request.extensions().get::<Caller>().cloned();
            let response = next.run(request).await;
            if !method.is_safe() {
                note_failed(&api, caller.as_ref(), &format!("{method} {path}"), &target, &response);
            }
            response
        }
        Err(error) => error.into_response(),
    };
    let status = response.status().as_u16().to_string();
    let labels = [("route", path), ("method", method.to_string())];
    metrics::histogram!(HTTP_SECONDS, &labels).record(began.elapsed());
    let [route, method] = labels;
    metrics::counter!(HTTP_REQUESTS, &[route, method, ("status", status)]).increment(1);
    response
}

async fn admit(api: &Shared, method: &Method, path: &str, request: Request) -> Result<Request, ApiError> {
    let (access, span) =
        access(method, path).ok_or(ApiError::Bug("a route without a line in the access table"))?;
    let role = match access {
        Access::Open | Access::Enter => None,
        Access::Scrape if api.options.metrics_public => None,
        Access::Scrape | Access::Cookie => Some(ApiRole::Viewer),
        Access::Needs(role) | Access::Socket(role) => Some(role),
    };
    let (mut parts, body) = request.into_parts();
    if let Some(role) = role {
        identify(api, method, path, access, Wants { role, span }, &mut parts).await?;
    }
    // A provider sends its own parameters along.
    if access != Access::Enter {
        check_parameters(api, method, path, parts.uri.query())?;
    }
    Ok(Request::from_parts(parts, body))
}

/// Finds who calls and whether they may, and leaves word of it for the handler.
async fn identify(
    api: &Api,
    method: &Method,
    path: &str,
    access: Access,
    wants: Wants,
    parts: &mut Parts,
) -> Result<(), ApiError> {
    let from = remote_of(parts);
    let what = format!("{method} {path}");
    let app = named_app(parts, wants.span).await?;
    let (known, by_cookie) = match bearer(&parts.headers) {
        None if matches!(access, Access::Socket(_)) => {
            parts.extensions.insert(Owes { wants, app });
            return Ok(());
        }
        None if access == Access::Cookie => {
            let cookie = session_cookie(api, &parts.headers);
            // Every page asks once whether somebody is signed in; that nobody is, is no attempt at anything.
            let cookie = cookie.ok_or(Denied::Missing)?;
            (cookie_holder(api, parts, cookie), true)
        }
        token => (token.ok_or(Denied::Missing).and_then(|token| api.app.authenticate(token)), false),
    };
    let principal = api.let_in(known, wants, app.as_ref(), from, &what, parts.uri.path())?;
    parts.extensions.insert(Caller { principal, from });
    if by_cookie {
        parts.extensions.insert(ByCookie);
    }
    Ok(())
}

/// The cookie of a session, when there is one.
fn session_cookie<'a>(api: &Api, headers: &'a HeaderMap) -> Option<&'a str> {
    cookies::read(headers, &cookies::session_name(&api.app.store.current())?)
}

/// Who holds the session of the cookie, when a page of this controller's own sent it.
fn cookie_holder(api: &Api, parts: &Parts, cookie: &str) -> Result<Principal, Denied> {
    cookies::check_own_page(parts)?;
    api.app.authenticate_cookie(cookie)
}

/// Environment and app that the path names, where they decide.
async fn named_app(parts: &mut Parts, span: Span) -> Result<Option<(String, String)>, ApiError> {
    if span != Span::App {
        return Ok(None);
    }
    let bug = ApiError::Bug("a route of an app does not name it");
    let found = RawPathParams::from_request_parts(parts, &()).await;
    let Ok(found) = found else { return Err(ApiError::parameter("path", "it does not decode")) };
    let value = |name: &str| found.iter().find(|(one, _)| *one == name).map(|(_, value)| value.to_owned());
    match (value("environment"), value("app")) {
        (Some(environment), Some(app)) => Ok(Some((environment, app))),
        _ => Err(bug),
    }
}

/// Notes a change that was turned down before it became a command; `apply` audits the others.
fn note_failed(api: &Api, caller: Option<&Caller>, what: &str, target: &str, response: &Response) {
    let failure = response.extensions().get::<Failure>();
    let (Some(Caller { principal, from }), Some(Failure(error))) = (caller, failure) else { return };
    let audited = matches!(**error, ApiError::App(AppError::Refused(_)));
    if response.status().is_client_error() && !audited {
        api.note(Some(principal), error.code(), *from, what, target);
    }
}

impl Api {
    /// Checks the token of a socket's first message.
    pub(crate) fn admit(
        &self,
        token: Option<&str>,
        owes: &Owes,
        from: Option<IpAddr>,
        what: &str,
        target: &str,
    ) -> Result<Principal, ApiError> {
        let known = token.ok_or(Denied::Missing).and_then(|token| self.app.authenticate(token));
        self.let_in(known, owes.wants, owes.app.as_ref(), from, what, target)
    }

    /// Checks whoever it is against what the route asks. What is refused is noted for the audit trail, and counted
    /// against the address when it was nobody known at all.
    fn let_in(
        &self,
        known: Result<Principal, Denied>,
        wants: Wants,
        app: Option<&(String, String)>,
        from: Option<IpAddr>,
        what: &str,
        target: &str,
    ) -> Result<Principal, ApiError> {
        let denied = match known {
            Ok(principal) => {
                match principal.check(wants.role).and_then(|()| wants.check_span(&principal, app)) {
                    Ok(()) => return Ok(principal),
                    Err(denied) => {
                        self.note(Some(&principal), ApiError::Denied(denied).code(), from, what, target);
                        return Err(denied.into());
                    }
                }
            }
            Err(denied) => denied,
        };
        if let Some(secs) = from.and_then(|from| self.throttle.failed(from, Instant::now())) {
            return Err(ApiError::Throttled(secs));
        }
        self.note(None, ApiError::Denied(denied).code(), from, what, target);
        Err(denied.into())
    }

    /// Notes that somebody did not come in.
    pub(crate) fn note_stranger(&self, code: &str, from: Option<IpAddr>, what: &str, target: &str) {
        self.note(None, code, from, what, target);
    }

    fn note(&self, who: Option<&Principal>, code: &str, from: Option<IpAddr>, what: &str, target: &str) {
        let call = RefusedCall {
            who: who.map_or_else(|| "anonymous".to_owned(), |who| who.actor(None).name),
            role: who.map(|who| who.role.as_str().to_owned()),
            from: from.map(|from| from.to_string()),
            action: what.to_owned(),
            target: target.to_owned(),
            outcome: code.to_owned(),
        };
        self.app.refusals.note(call, self.app.clock.now());
    }
}

impl Wants {
    /// Whether the caller's reach is enough.
    fn check_span(self, principal: &Principal, app: Option<&(String, String)>) -> Result<(), Denied> {
        let reach = principal.reach();
        let enough = match (self.span, app) {
            (Span::Any, _) => true,
            (Span::App, Some((environment, app))) => reach.has_app(environment, app),
            (Span::Whole, _) | (Span::App, None) => reach.is_whole(),
        };
        if enough { Ok(()) } else { Err(Denied::Place) }
    }
}

/// The token of an `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The address of the TCP peer. Forwarding headers are not believed: nothing says who set them.
pub(crate) fn remote_of(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

/// Query parameters by route, from the document.
pub(crate) fn parameters(document: &OpenApi) -> Parameters {
    let mut known = Parameters::new();
    for (path, item) in &document.paths.paths {
        let operations = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                RefOr::T(parameter) => Some(parameter),
                RefOr::Ref(_) => None,
            });
            let query = parameters.filter(|parameter| parameter.parameter_in == ParameterIn::Query);
            let names = query.map(|parameter| parameter.name.clone()).collect();
            known.insert((method.to_owned(), path.clone()), names);
        }
    }
    known
}

/// A mistyped filter must not look like a list without filter, so unknown parameters are errors.
fn check_parameters(api: &Api, method: &Method, path: &str, query: Option<&str>) -> Result<(), ApiError> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(());
    };
    let key = (method.as_str().replace("HEAD", "GET"), path.to_owned());
    let Some(known) = api.parameters.get(&key) else {
        return Ok(());
    };
    let given = query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair));
    for name in given.filter(|name| !name.is_empty()) {
        if !known.contains(name) {
            let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
            names.sort_unstable();
            let detail = match names.is_empty() {
                true => "this path takes no parameters".to_owned(),
                false => format!("unknown; this path takes {}", names.join(", ")),
            };
            return Err(ApiError::parameter(name, detail));
        }
    }
    Ok(())
}
