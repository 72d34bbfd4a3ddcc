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
}

use Access::{Needs, Open, Scrape, Socket};
use ApiRole::{Admin, Operator, Viewer};

/// Method, path, access.
pub(crate) const TABLE: &[(&str, &str, Access)] = &[
    ("GET", "/", Open),
    ("GET", "/assets/{file}", Open),
    ("GET", "/healthz", Open),
    ("GET", "/readyz", Open),
    ("GET", "/metrics", Scrape),
    ("GET", "/api/v1/openapi.json", Open),
    ("GET", "/api/v1/docs", Open),
    ("GET", "/api/v1/version", Needs(Viewer)),
    ("GET", "/api/v1/whoami", Needs(Viewer)),
    ("GET", "/api/v1/status", Needs(Viewer)),
    ("GET", "/api/v1/health", Needs(Viewer)),
    ("GET", "/api/v1/liveness", Needs(Viewer)),
    ("PUT", "/api/v1/liveness", Needs(Admin)),
    ("GET", "/api/v1/hosts", Needs(Viewer)),
    ("GET", "/api/v1/hosts/{host}", Needs(Viewer)),
    ("PATCH", "/api/v1/hosts/{host}", Needs(Operator)),
    ("DELETE", "/api/v1/hosts/{host}", Needs(Admin)),
    ("GET", "/api/v1/hosts/{host}/metrics", Needs(Viewer)),
    ("GET", "/api/v1/hosts/{host}/processes", Needs(Viewer)),
    ("GET", "/api/v1/metrics/live", Socket(Viewer)),
    ("GET", "/api/v1/containers", Needs(Viewer)),
    ("GET", "/api/v1/containers/{host}/{container}", Needs(Viewer)),
    // A terminal can do whatever the container can.
    ("GET", "/api/v1/containers/{host}/{container}/exec", Socket(Operator)),
    ("GET", "/api/v1/images", Needs(Viewer)),
    // What is sent can be run.
    ("GET", "/api/v1/images/push", Socket(Operator)),
    ("GET", "/api/v1/logs", Socket(Viewer)),
    ("GET", "/api/v1/events", Needs(Viewer)),
    ("GET", "/api/v1/events/live", Socket(Viewer)),
    ("GET", "/api/v1/controllers", Needs(Viewer)),
    ("GET", "/api/v1/controllers/{controller}", Needs(Viewer)),
    ("DELETE", "/api/v1/controllers/{controller}", Needs(Admin)),
    ("POST", "/api/v1/controllers/transfer", Needs(Admin)),
    ("GET", "/api/v1/tokens/join", Needs(Admin)),
    ("POST", "/api/v1/tokens/join", Needs(Admin)),
    ("DELETE", "/api/v1/tokens/join/{id}", Needs(Admin)),
    ("GET", "/api/v1/tokens/api", Needs(Admin)),
    ("POST", "/api/v1/tokens/api", Needs(Admin)),
    ("DELETE", "/api/v1/tokens/api/{id}", Needs(Admin)),
    ("GET", "/api/v1/apps", Needs(Viewer)),
    ("POST", "/api/v1/apps", Needs(Operator)),
    ("POST", "/api/v1/apps/read", Needs(Viewer)),
    ("POST", "/api/v1/apps/plan", Needs(Operator)),
    ("GET", "/api/v1/apps/{environment}/{app}", Needs(Viewer)),
    ("PATCH", "/api/v1/apps/{environment}/{app}", Needs(Operator)),
    ("DELETE", "/api/v1/apps/{environment}/{app}", Needs(Operator)),
    ("POST", "/api/v1/apps/{environment}/{app}/restart", Needs(Operator)),
    ("POST", "/api/v1/apps/{environment}/{app}/rollback", Needs(Operator)),
    ("GET", "/api/v1/apps/{environment}/{app}/explain", Needs(Viewer)),
    ("GET", "/api/v1/apps/{environment}/{app}/releases", Needs(Viewer)),
    // Shows the values of variables, passwords among them.
    ("GET", "/api/v1/apps/{environment}/{app}/releases/{release}", Needs(Operator)),
    ("GET", "/api/v1/apps/{environment}/{app}/diff", Needs(Viewer)),
    ("POST", "/api/v1/apps/{environment}/{app}/deployments/{deployment}", Needs(Operator)),
    ("POST", "/api/v1/hosts/{host}/drain", Needs(Operator)),
    ("GET", "/api/v1/alerts", Needs(Viewer)),
    ("DELETE", "/api/v1/alerts/{fingerprint}", Needs(Operator)),
    ("POST", "/api/v1/hooks/alertmanager", Needs(Operator)),
    // Names say what there is to steal.
    ("GET", "/api/v1/secrets", Needs(Operator)),
    ("GET", "/api/v1/secrets/{name}", Needs(Operator)),
    // Who replaces a password locks others out; who sees one has what it opens.
    ("PUT", "/api/v1/secrets/{name}", Needs(Admin)),
    ("DELETE", "/api/v1/secrets/{name}", Needs(Admin)),
    ("POST", "/api/v1/secrets/{name}/reveal", Needs(Admin)),
    ("GET", "/api/v1/backup/repositories", Needs(Viewer)),
    // All apps' data may go there.
    ("POST", "/api/v1/backup/repositories", Needs(Admin)),
    ("GET", "/api/v1/backup/repositories/{name}", Needs(Viewer)),
    ("DELETE", "/api/v1/backup/repositories/{name}", Needs(Admin)),
    ("GET", "/api/v1/backup/runs", Needs(Viewer)),
    ("POST", "/api/v1/backup/runs", Needs(Operator)),
    ("GET", "/api/v1/backup/runs/{run}", Needs(Viewer)),
    ("POST", "/api/v1/backup/runs/{run}/cancel", Needs(Operator)),
    ("GET", "/api/v1/backup/snapshots", Needs(Viewer)),
    ("POST", "/api/v1/backup/restores", Needs(Operator)),
    ("GET", "/api/v1/backup/status", Needs(Viewer)),
    ("GET", "/api/v1/backup/policies/{environment}/{app}", Needs(Viewer)),
    ("PUT", "/api/v1/backup/policies/{environment}/{app}", Needs(Operator)),
    ("DELETE", "/api/v1/backup/policies/{environment}/{app}", Needs(Operator)),
    ("GET", "/api/v1/backup/defaults", Needs(Viewer)),
    ("PUT", "/api/v1/backup/defaults", Needs(Admin)),
    ("GET", "/api/v1/systems", Needs(Viewer)),
    ("GET", "/api/v1/systems/{system}", Needs(Viewer)),
    ("GET", "/api/v1/environments", Needs(Viewer)),
    ("POST", "/api/v1/environments", Needs(Admin)),
    ("DELETE", "/api/v1/environments/{name}", Needs(Admin)),
    // Names who did what from which address.
    ("GET", "/api/v1/audit", Needs(Admin)),
    ("GET", "/api/v1/prometheus/sd", Needs(Viewer)),
];

/// What the route of that template asks of its caller; absent when the table does not know it.
pub(crate) fn access(method: &Method, path: &str) -> Option<Access> {
    static INDEX: LazyLock<HashMap<(&str, &str), Access>> =
        LazyLock::new(|| TABLE.iter().map(|(method, path, access)| ((*method, *path), *access)).collect());
    // HEAD is answered by the handler of GET.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    INDEX.get(&(method, path)).copied()
}
