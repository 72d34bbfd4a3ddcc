//! Who may call what: the one place. A route without a line here is refused to everyone, and a test says so.

use crate::state::ApiRole;
use axum::http::Method;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: it shows nothing of the cluster.
    Open,
    /// A token of this role or a higher one.
    Needs(ApiRole),
    /// The same, but a caller that cannot set headers may send the token as its first message.
    Socket(ApiRole),
    /// A viewer's token, unless the operator made metrics public.
    Scrape,
    /// Nothing: it is how one comes in. Passwords are throttled, and a page must be ours.
    Enter,
    /// The cookie of a browser's session, from a page of ours; or the pass of one. No other route looks at cookies.
    Cookie,
}

/// Who of those confined to environments or apps may call, beside their role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Nobody: it is about hosts, the cluster, or everything at once.
    Whole,
    /// Everybody: it shows nothing that belongs to an app, or only what the caller may see.
    Any,
    /// Those who reach the app in the path.
    App,
}

use Access::{Cookie, Enter, Needs, Open, Scrape, Socket};
use ApiRole::{Admin, Operator, Viewer};
use Span::{Any, App, Whole};

/// Method, path, access, span.
pub(crate) const TABLE: &[(&str, &str, Access, Span)] = &[
    ("GET", "/", Open, Any),
    ("GET", "/assets/{file}", Open, Any),
    ("GET", "/healthz", Open, Any),
    ("GET", "/readyz", Open, Any),
    ("GET", "/metrics", Scrape, Whole),
    ("GET", "/api/v1/openapi.json", Open, Any),
    ("GET", "/api/v1/docs", Open, Any),
    ("GET", "/api/v1/version", Needs(Viewer), Any),
    ("GET", "/api/v1/whoami", Needs(Viewer), Any),
    ("GET", "/api/v1/status", Needs(Viewer), Any),
    ("GET", "/api/v1/health", Needs(Viewer), Any),
    ("GET", "/api/v1/liveness", Needs(Viewer), Any),
    ("PUT", "/api/v1/liveness", Needs(Admin), Whole),
    ("GET", "/api/v1/hosts", Needs(Viewer), Any),
    ("GET", "/api/v1/hosts/{host}", Needs(Viewer), Any),
    ("PATCH", "/api/v1/hosts/{host}", Needs(Operator), Whole),
    ("DELETE", "/api/v1/hosts/{host}", Needs(Admin), Whole),
    ("GET", "/api/v1/hosts/{host}/metrics", Needs(Viewer), Any),
    ("GET", "/api/v1/hosts/{host}/processes", Needs(Viewer), Whole),
    ("GET", "/api/v1/hosts/{host}/projects", Needs(Viewer), Whole),
    // With the values of its variables.
    ("GET", "/api/v1/hosts/{host}/projects/{project}", Needs(Operator), Whole),
    ("GET", "/api/v1/metrics/live", Socket(Viewer), Any),
    ("GET", "/api/v1/containers", Needs(Viewer), Any),
    ("GET", "/api/v1/containers/{host}/{container}", Needs(Viewer), Any),
    // A terminal can do whatever the container can.
    ("GET", "/api/v1/containers/{host}/{container}/exec", Socket(Operator), Any),
    ("GET", "/api/v1/images", Needs(Viewer), Any),
    // What is sent can be run.
    ("GET", "/api/v1/images/push", Socket(Operator), Whole),
    ("GET", "/api/v1/logs", Socket(Viewer), Any),
    ("GET", "/api/v1/events", Needs(Viewer), Any),
    ("GET", "/api/v1/events/live", Socket(Viewer), Any),
    ("GET", "/api/v1/controllers", Needs(Viewer), Any),
    ("GET", "/api/v1/controllers/{controller}", Needs(Viewer), Any),
    ("DELETE", "/api/v1/controllers/{controller}", Needs(Admin), Whole),
    ("POST", "/api/v1/controllers/transfer", Needs(Admin), Whole),
    // Whoever may add a controller gets it anyway.
    ("POST", "/api/v1/cluster/key/reveal", Needs(Admin), Whole),
    ("GET", "/api/v1/tokens/join", Needs(Admin), Whole),
    ("POST", "/api/v1/tokens/join", Needs(Admin), Whole),
    ("DELETE", "/api/v1/tokens/join/{id}", Needs(Admin), Whole),
    ("GET", "/api/v1/tokens/api", Needs(Admin), Whole),
    ("POST", "/api/v1/tokens/api", Needs(Admin), Whole),
    ("DELETE", "/api/v1/tokens/api/{id}", Needs(Admin), Whole),
    ("GET", "/api/v1/apps", Needs(Viewer), Any),
    ("POST", "/api/v1/apps", Needs(Operator), Any),
    ("POST", "/api/v1/apps/read", Needs(Viewer), Any),
    ("POST", "/api/v1/apps/plan", Needs(Operator), Any),
    ("GET", "/api/v1/apps/{environment}/{app}", Needs(Viewer), App),
    ("PATCH", "/api/v1/apps/{environment}/{app}", Needs(Operator), App),
    ("DELETE", "/api/v1/apps/{environment}/{app}", Needs(Operator), App),
    // What is built is run as it is built.
    ("GET", "/api/v1/apps/{environment}/{app}/build", Socket(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/restart", Needs(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/accept-loss", Needs(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/rollback", Needs(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/move", Needs(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/move/confirm", Needs(Operator), App),
    ("POST", "/api/v1/apps/{environment}/{app}/move/back", Needs(Operator), App),
    ("GET", "/api/v1/apps/{environment}/{app}/explain", Needs(Viewer), App),
    ("GET", "/api/v1/apps/{environment}/{app}/releases", Needs(Viewer), App),
    // Shows the values of variables, passwords among them.
    ("GET", "/api/v1/apps/{environment}/{app}/releases/{release}", Needs(Operator), App),
    ("GET", "/api/v1/apps/{environment}/{app}/diff", Needs(Viewer), App),
    ("POST", "/api/v1/apps/{environment}/{app}/deployments/{deployment}", Needs(Operator), App),
    ("POST", "/api/v1/hosts/{host}/drain", Needs(Operator), Whole),
    ("GET", "/api/v1/alerts", Needs(Viewer), Whole),
    ("DELETE", "/api/v1/alerts/{fingerprint}", Needs(Operator), Whole),
    ("POST", "/api/v1/hooks/alertmanager", Needs(Operator), Whole),
    // Names say what there is to steal.
    ("GET", "/api/v1/secrets", Needs(Operator), Whole),
    ("GET", "/api/v1/secrets/{name}", Needs(Operator), Whole),
    // Who replaces a password locks others out; who sees one has what it opens.
    ("PUT", "/api/v1/secrets/{name}", Needs(Admin), Whole),
    ("DELETE", "/api/v1/secrets/{name}", Needs(Admin), Whole),
    ("POST", "/api/v1/secrets/{name}/reveal", Needs(Admin), Whole),
    ("GET", "/api/v1/backup/repositories", Needs(Viewer), Whole),
    // All apps' data may go there.
    ("POST", "/api/v1/backup/repositories", Needs(Admin), Whole),
    ("GET", "/api/v1/backup/repositories/{name}", Needs(Viewer), Whole),
    ("DELETE", "/api/v1/backup/repositories/{name}", Needs(Admin), Whole),
    ("GET", "/api/v1/backup/repositories/{name}/locks", Needs(Viewer), Whole),
    // As a check or a prune, and what is at work can be made to fail.
    ("POST", "/api/v1/backup/repositories/{name}/unlock", Needs(Operator), Whole),
    ("GET", "/api/v1/backup/runs", Needs(Viewer), Whole),
    ("POST", "/api/v1/backup/runs", Needs(Operator), Whole),
    ("GET", "/api/v1/backup/runs/{run}", Needs(Viewer), Whole),
    ("POST", "/api/v1/backup/runs/{run}/cancel", Needs(Operator), Whole),
    ("GET", "/api/v1/backup/snapshots", Needs(Viewer), Any),
    // Names of files tell what is in them, and whoever sees them could bring them back.
    ("GET", "/api/v1/backup/snapshots/{environment}/{app}/{snapshot}/files", Needs(Operator), App),
    ("POST", "/api/v1/backup/restores", Needs(Operator), Whole),
    ("GET", "/api/v1/backup/status", Needs(Viewer), Whole),
    ("GET", "/api/v1/backup/policies/{environment}/{app}", Needs(Viewer), App),
    ("PUT", "/api/v1/backup/policies/{environment}/{app}", Needs(Operator), App),
    ("DELETE", "/api/v1/backup/policies/{environment}/{app}", Needs(Operator), App),
    ("GET", "/api/v1/backup/defaults", Needs(Viewer), Whole),
    ("PUT", "/api/v1/backup/defaults", Needs(Admin), Whole),
    ("GET", "/api/v1/systems", Needs(Viewer), Whole),
    ("GET", "/api/v1/systems/{system}", Needs(Viewer), Whole),
    ("GET", "/api/v1/environments", Needs(Viewer), Any),
    ("POST", "/api/v1/environments", Needs(Admin), Whole),
    ("DELETE", "/api/v1/environments/{name}", Needs(Admin), Whole),
    // Names who did what from which address.
    ("GET", "/api/v1/audit", Needs(Admin), Whole),
    ("GET", "/api/v1/prometheus/sd", Needs(Viewer), Whole),
    ("GET", "/api/v1/session/ways", Open, Any),
    ("POST", "/api/v1/session", Enter, Any),
    ("POST", "/api/v1/session/invitation", Enter, Any),
    ("POST", "/api/v1/session/pass", Cookie, Any),
    // A browser on its way to the OpenID provider and back.
    ("GET", "/api/v1/session/oidc", Enter, Any),
    ("GET", "/api/v1/session/oidc/callback", Enter, Any),
    ("POST", "/api/v1/session/oidc/device", Enter, Any),
    ("POST", "/api/v1/session/oidc/device/poll", Enter, Any),
    ("GET", "/api/v1/oidc", Needs(Admin), Whole),
    ("PUT", "/api/v1/oidc", Needs(Admin), Whole),
    ("DELETE", "/api/v1/oidc", Needs(Admin), Whole),
    ("DELETE", "/api/v1/session", Needs(Viewer), Any),
    ("GET", "/api/v1/account", Needs(Viewer), Any),
    ("PUT", "/api/v1/account/password", Needs(Viewer), Any),
    ("GET", "/api/v1/account/sessions", Needs(Viewer), Any),
    ("DELETE", "/api/v1/account/sessions", Needs(Viewer), Any),
    ("DELETE", "/api/v1/account/sessions/{id}", Needs(Viewer), Any),
    ("GET", "/api/v1/users", Needs(Admin), Whole),
    ("POST", "/api/v1/users", Needs(Admin), Whole),
    ("GET", "/api/v1/users/{user}", Needs(Admin), Whole),
    ("PATCH", "/api/v1/users/{user}", Needs(Admin), Whole),
    ("DELETE", "/api/v1/users/{user}", Needs(Admin), Whole),
    ("GET", "/api/v1/users/{user}/sessions", Needs(Admin), Whole),
    ("DELETE", "/api/v1/users/{user}/sessions", Needs(Admin), Whole),
    ("DELETE", "/api/v1/users/{user}/sessions/{id}", Needs(Admin), Whole),
];

/// Access and span by method and path.
type Index = HashMap<(&'static str, &'static str), (Access, Span)>;

/// What the route of that template asks of its caller; absent when the table does not know it.
pub(crate) fn access(method: &Method, path: &str) -> Option<(Access, Span)> {
    static INDEX: LazyLock<Index> = LazyLock::new(|| {
        TABLE.iter().map(|(method, path, access, span)| ((*method, *path), (*access, *span))).collect()
    });
    // HEAD is answered by the handler of GET.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    INDEX.get(&(method, path)).copied()
}
