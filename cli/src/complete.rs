//! Completion of live names.
//!
//! A person waits for this at each press of the tab key, so it asks once, takes what one controller has, and
//! gives up soon. Whatever goes wrong, no candidates are the answer: an error would land in the prompt.

use crate::contexts::Contexts;
use crate::names::full_name;
use crate::session::DEFAULT_ENVIRONMENT;
use crate::settings::{Settings, Typed, process_env};
use clap_complete::CompletionCandidate;
use omni_common::api::v1::{
    AlertsQuery, AppView, AppsQuery, CommaList, Consistency, ContainersQuery, HostsQuery, UsersQuery,
};
use omni_sdk::{Client, Options};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

/// Variable by which the shell's script asks for candidates.
pub(crate) const VARIABLE: &str = "OMNI_COMPLETE";
/// Longer than this nobody waits for a completion.
const PATIENCE: Duration = Duration::from_millis(900);
/// More candidates help nobody.
const MOST: u32 = 500;

/// Names of contexts.
pub(crate) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = settings().map(|(_, contexts)| contexts.contexts.into_keys().collect()).unwrap_or_default();
    matching(current, names)
}

/// Names of hosts.
pub(crate) fn hosts(current: &OsStr) -> Vec<CompletionCandidate> {
    let query = HostsQuery { q: typed(current), limit: Some(MOST), ..HostsQuery::default() };
    let names = ask(async |client| {
        let hosts = client.hosts(query).await.ok()?;
        Some(hosts.into_iter().map(|host| host.name).collect())
    });
    matching(current, names)
}

/// Names of people.
pub(crate) fn users(current: &OsStr) -> Vec<CompletionCandidate> {
    let query = UsersQuery { q: typed(current), limit: Some(MOST), ..UsersQuery::default() };
    let names = ask(async |client| {
        let users = client.users(query).await.ok()?;
        Some(users.into_iter().map(|user| user.name).collect())
    });
    matching(current, names)
}

/// Names of containers; behind `HOST/` where a name alone would not do.
pub(crate) fn containers(current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed(current).unwrap_or_default();
    let (host, name) = match typed.split_once('/') {
        Some((host, name)) => (Some(CommaList(vec![host.to_owned()])), name.to_owned()),
        None => (None, typed),
    };
    let with_host = host.is_some();
    let query = ContainersQuery {
        host,
        q: Some(name).filter(|name| !name.is_empty()),
        limit: Some(MOST),
        ..ContainersQuery::default()
    };
    let names = ask(async |client| {
        let found = client.containers(query).await.ok()?;
        let mut bearers: BTreeMap<&str, usize> = BTreeMap::new();
        for view in &found {
            *bearers.entry(&view.container.name).or_default() += 1;
        }
        let unique = |name: &str| bearers.get(name) == Some(&1);
        let text = |view| match view {
            view if with_host => full_name(view),
            view if unique(&view.container.name) => view.container.name.clone(),
            view => full_name(view),
        };
        Some(found.iter().map(text).collect())
    });
    matching(current, names)
}

/// Names of apps; behind `ENVIRONMENT/` in other environments than the one that is meant when none is named.
pub(crate) fn apps(current: &OsStr) -> Vec<CompletionCandidate> {
    let own = settings().and_then(|(settings, contexts)| settings.environment(&contexts));
    let own = own.unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    let typed = typed(current).unwrap_or_default();
    let whole = typed.contains('/');
    let query = AppsQuery { limit: Some(MOST), ..AppsQuery::default() };
    let names = ask(async |client| {
        let apps = client.apps(query).await.ok()?;
        let text = |app: &AppView| match app.environment == own && !whole {
            true => app.name.clone(),
            false => format!("{}/{}", app.environment, app.name),
        };
        Some(apps.iter().map(text).collect())
    });
    matching(current, names)
}

/// Names of environments.
pub(crate) fn environments(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |client| {
        let environments = client.environments().await.ok()?;
        Some(environments.into_iter().map(|environment| environment.name).collect())
    });
    matching(current, names)
}

/// Fingerprints of alerts that hold.
pub(crate) fn alerts(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |client| {
        let alerts = client.alerts(&AlertsQuery::default()).await.ok()?;
        Some(alerts.into_iter().map(|alert| alert.fingerprint).collect())
    });
    matching(current, names)
}

/// Names of repositories of backups.
pub(crate) fn repositories(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |client| {
        let repositories = client.repositories().await.ok()?;
        Some(repositories.into_iter().map(|repository| repository.name).collect())
    });
    matching(current, names)
}

/// Names of secrets.
pub(crate) fn secrets(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |client| {
        let secrets = client.secrets().await.ok()?;
        Some(secrets.into_iter().map(|secret| secret.name.into()).collect())
    });
    matching(current, names)
}

/// Names of controllers.
pub(crate) fn controllers(current: &OsStr) -> Vec<CompletionCandidate> {
    let names = ask(async |client| {
        let controllers = client.controllers().await.ok()?;
        Some(controllers.into_iter().map(|controller| controller.name).collect())
    });
    matching(current, names)
}

fn typed(current: &OsStr) -> Option<String> {
    current.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn matching(current: &OsStr, names: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = current.to_str().unwrap_or_default();
    names.into_iter().filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
}

fn settings() -> Option<(Settings, Contexts)> {
    let settings = Settings::merge(Typed::default(), &process_env).ok()?;
    let contexts = Contexts::load(&settings.config_path).ok()?;
    Some((settings, contexts))
}

/// Asks the current context's cluster, on a runtime of its own.
fn ask(question: impl AsyncFnOnce(Client) -> Option<Vec<String>>) -> Vec<String> {
    let answer = || {
        let (settings, contexts) = settings()?;
        let connection = settings.connection(&contexts).ok()?;
        let options = Options { timeout: PATIENCE, consistency: Consistency::Stale };
        let client = Client::new(connection.addresses, &connection.token, options).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, question(client)).await.ok()? })
    };
    answer().unwrap_or_default()
}
