//! Apps, as tests deploy them and wait for them.

use super::{Answer, Mesh, SOON};
use crate::testbed::eventually;
use anyhow::{Context, Result};
use omni_common::api::v1::{AllocationView, AppStatus, AppView, Event};
use omni_common::domain::AllocationState;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The environment of apps that name none.
const ENVIRONMENT: &str = "default";

/// A folder with a compose file, as somebody has it on a desk.
#[derive(Clone, Debug)]
pub struct Project {
    folder: PathBuf,
}

impl Project {
    /// One whose compose file this is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(folder: PathBuf, compose: &str) -> Result<Self> {
        let project = Self { folder };
        project.write("compose.yaml", compose)?;
        Ok(project)
    }

    /// Writes a file of it.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().context("it is in a folder")?)?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `deploy FOLDER` and these words, for `omni`.
    pub fn deploy(&self, words: &[&str]) -> Vec<String> {
        let folder = self.folder.display().to_string();
        ["deploy".to_owned(), folder].into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
    }
}

impl Mesh<'_> {
    /// Deploys a project and waits for the outcome.
    ///
    /// # Errors
    /// When `omni` cannot be run; that the deployment fails is for the caller to judge.
    pub fn deploy(&self, project: &Project, words: &[&str]) -> Result<Answer> {
        self.omni().run(project.deploy(&[&["--yes", "--wait=2m"], words].concat()))
    }

    /// An app as the cluster shows it.
    ///
    /// # Errors
    /// When no controller answers, or there is no such app.
    pub fn app(&self, name: &str) -> Result<AppView> {
        Ok(self.api().ask(async |client| client.app(ENVIRONMENT, name).await)?)
    }

    /// Waits until an app is as wanted, and returns it.
    ///
    /// # Errors
    /// When it takes longer than `within`; the error shows the app as it was last.
    pub fn await_app(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&AppView) -> bool,
    ) -> Result<AppView> {
        let mut last = String::new();
        let found = eventually(&format!("app {name}: {what}"), within, || match self.app(name) {
            Ok(app) => {
                last = told(&app);
                wanted(&app).then_some(app)
            }
            Err(error) => {
                last = format!("{error:#}");
                None
            }
        });
        found.with_context(|| format!("last seen: {last}"))
    }

    /// Waits until an app is healthy at a release, with nothing left of what was there before but what is on lost hosts.
    ///
    /// # Errors
    /// As [`Mesh::await_app`].
    pub fn await_settled(&self, name: &str, release: u64) -> Result<AppView> {
        self.await_app(name, &format!("settled at release {release}"), SOON, |app| {
            app.status == AppStatus::Healthy
                && app.release == release
                && present(app).all(|one| one.release == release && is_well(one))
        })
    }

    /// What happened to an app so far, oldest first.
    ///
    /// # Errors
    /// When no controller answers.
    pub fn events_of_app(&self, name: &str) -> Result<Vec<Event>> {
        let about = |event: &Event| event.data.get("app").is_some_and(|app| app == name);
        Ok(self.events()?.into_iter().filter(about).collect())
    }
}

/// Whether it is meant to run, and is healthy.
pub fn is_well(one: &AllocationView) -> bool {
    one.run && !one.lost && one.state == AllocationState::Healthy
}

/// Whether an app is healthy with so many instances, all of them well, and no others.
pub fn settled(app: &AppView, count: usize) -> bool {
    app.status == AppStatus::Healthy && app.allocations.len() == count && app.allocations.iter().all(is_well)
}

/// Instances on hosts that have not been given up.
pub fn present(app: &AppView) -> impl Iterator<Item = &AllocationView> {
    app.allocations.iter().filter(|one| !one.lost)
}

/// An app in a few lines, for messages.
pub fn told(app: &AppView) -> String {
    let mut text =
        format!("{:?}, release {}, {} of {} healthy", app.status, app.release, app.healthy, app.wanted);
    for one in &app.allocations {
        let (to, lost) = (if one.run { "run" } else { "stop" }, if one.lost { ", lost" } else { "" });
        let why = one.reason.as_deref().unwrap_or(&one.why);
        text += &format!(
            "\n  {} {} of release {} on {}: {}{lost}, to {to}: {why}",
            one.group, one.slot, one.release, one.host_name, one.state
        );
    }
    text.extend(app.groups.iter().flat_map(|group| &group.waiting).map(|why| format!("\n  waits: {why}")));
    if let Some(newest) = &app.deployment {
        text += &format!("\n  {:?} to {}: {:?} {:?}", newest.from, newest.to, newest.state, newest.reason);
    }
    text
}

/// Names of the hosts where an app's healthy instances are.
pub fn hosts_of(app: &AppView) -> BTreeSet<&str> {
    app.allocations.iter().filter(|one| is_well(one)).map(|one| one.host_name.as_str()).collect()
}
