//! Compose projects that run on a host and become apps without a restart.
//!
//! ```text
//! list    what the containers of a host say of their projects
//! define  the agent reads the files that they name ──▶ a project as a deploy takes it (definition.rs), or one written from
//!         what the engine says of the containers (inspected.rs)
//! take    a deploy says `adopt`: its app has to fit what runs (fit.rs); it goes on with the volumes, networks and folders of
//!         the project (settle.rs), and names the containers that its host's agent takes over
//! ```
//!
//! The app keeps in its specification where it came from, so that its later releases go on with the same data.

mod definition;
mod fit;
mod inspected;
mod settle;
#[cfg(test)]
pub(crate) mod tests;

pub(super) use settle::settle;

use super::hosts::find_host;
use super::{App, AppError, Call};
use crate::state::{Host, HostStatus, State};
use omni_common::api::v1::{
    Adopt, DefinitionSource, FieldError, HostProject, ProjectContainer, ProjectDefinition, ReadingNote,
};
use omni_common::domain::app::{Adopted, AdoptedContainer, AppSpec, GroupMode, ServiceName};
use omni_common::domain::{
    Container, ContainerState, FoundProject, LABEL_ALLOCATION, LABEL_COMPOSE_FILES, LABEL_COMPOSE_FOLDER,
    LABEL_COMPOSE_ONEOFF, LABEL_COMPOSE_PROJECT, LABEL_COMPOSE_SERVICE,
};
use omni_common::wire::{AgentRequest, ReplyFrame};
use std::collections::{BTreeMap, BTreeSet};

/// Largest answer of an agent about a project, bytes: its files twice, and what an engine says of all its containers.
const MAX_ANSWER: usize = 64 << 20;
/// Most times that an agent is asked for further files: they may include each other.
const MAX_ROUNDS: usize = 20;

impl App {
    /// The compose projects of a host.
    pub fn list_projects(&self, state: &State, host: &str) -> Result<Vec<HostProject>, AppError> {
        let host = find_host(state, host)?;
        let observed = self.observed.host(host.id);
        let containers = observed.as_ref().and_then(|observed| observed.containers.as_ref());
        let mut projects: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
        for container in containers.into_iter().flat_map(|all| all.values()) {
            let once =
                label(container, LABEL_COMPOSE_ONEOFF).is_some_and(|it| it.eq_ignore_ascii_case("true"));
            // What omni made says a project too, and is an app's already.
            let made =
                container.labels.contains_key(LABEL_ALLOCATION) && !container.labels.contains_key(ADOPTED);
            if let (Some(project), false, false) = (label(container, LABEL_COMPOSE_PROJECT), once, made) {
                projects.entry(project).or_default().push(container);
            }
        }
        let taken =
            |name: &str| state.apps.keys().any(|key| key.environment == "default" && key.name == name);
        Ok(projects.into_iter().map(|(name, all)| listed(host, name, &all, taken(name))).collect())
    }

    /// A project of a host, as it could be deployed.
    pub async fn define_project(
        &self,
        state: &State,
        host: &str,
        project: &str,
        from: Option<DefinitionSource>,
    ) -> Result<ProjectDefinition, AppError> {
        let host = find_host(state, host)?;
        let mut found = self.find_project(host, project, &[]).await?;
        let by_files = from != Some(DefinitionSource::Containers);
        let mut notes = Vec::new();
        if by_files {
            match self.by_files(host, &mut found).await? {
                Ok(project) => {
                    return Ok(defined(host, &found, project, DefinitionSource::Files, notes));
                }
                Err(reason) if from == Some(DefinitionSource::Files) => {
                    return Err(AppError::NotHere(format!(
                        "{reason}; `--from containers` writes the definition from what runs"
                    )));
                }
                Err(reason) => {
                    notes.push(format!("{reason}: the definition is written from what runs"));
                }
            }
        }
        let (project, more) = inspected::project(&found)?;
        notes.extend(more);
        Ok(defined(host, &found, project, DefinitionSource::Containers, notes))
    }

    /// The project of the files that the containers name; a sentence when they are of no use.
    async fn by_files(
        &self,
        host: &Host,
        found: &mut FoundProject,
    ) -> Result<Result<omni_common::api::v1::Project, String>, AppError> {
        let mut asked: BTreeSet<String> = BTreeSet::new();
        for _ in 0..MAX_ROUNDS {
            let project = match definition::project(found) {
                Ok(project) => project,
                Err(reason) => return Ok(Err(reason)),
            };
            let wanted = definition::wanted(found, &project)?;
            let fresh: Vec<String> = wanted.into_iter().filter(|path| asked.insert(path.clone())).collect();
            if fresh.is_empty() {
                return Ok(Ok(project));
            }
            let all: Vec<String> = asked.iter().cloned().collect();
            *found = self.find_project(host, &found.name.clone(), &all).await?;
        }
        Ok(Err(format!("its files ask for more and more files, after {MAX_ROUNDS} rounds still")))
    }

    /// Asks a host's agent for a project.
    async fn find_project(
        &self,
        host: &Host,
        name: &str,
        files: &[String],
    ) -> Result<FoundProject, AppError> {
        if host.status != HostStatus::Up {
            return Err(AppError::NotHere(format!(
                "{} is {}: a project can be looked at while its host is up",
                host.name,
                host.status.as_str()
            )));
        }
        let mut json = Vec::new();
        let take = |frame| match frame {
            ReplyFrame::Project(bytes) if json.len() + bytes.len() <= MAX_ANSWER => {
                json.extend(bytes);
                Ok(())
            }
            other => Err(other),
        };
        let request = AgentRequest::Project { name: name.to_owned(), files: files.to_vec() };
        self.ask(host, request, take).await.map_err(|error| too_old(host, error))?;
        serde_json::from_slice(&json).map_err(|_| AppError::AgentProtocol { host: host.name.clone() })
    }

    /// What a deploy that adopts has to know of the host; absent for one that does not.
    pub async fn taking(
        &self,
        state: &State,
        call: &Call,
        adopt: Option<&Adopt>,
    ) -> Result<Option<Taking>, AppError> {
        let Some(adopt) = adopt else { return Ok(None) };
        if !call.places.is_empty() {
            return Err(super::Denied::Place.into());
        }
        let host = find_host(state, &adopt.host)?;
        let found = self.find_project(host, &adopt.project, &[]).await?;
        let observed = self.observed.host(host.id);
        let known = observed.as_ref().and_then(|observed| observed.containers.as_ref());
        for container in &found.containers {
            let owner = known.and_then(|known| known.get(&container.id));
            if let Some(owner) = owner.filter(|owner| owner.labels.contains_key(LABEL_ALLOCATION)) {
                let label = |name: &str| label(owner, name).unwrap_or("?");
                return Err(AppError::NotHere(format!(
                    "the container {} of this project belongs to the app {}/{}",
                    owner.name,
                    label("omni.environment"),
                    label("omni.app")
                )));
            }
        }
        Ok(Some(Taking { host: host.id, host_name: host.name.clone(), found }))
    }
}

/// A project that a deploy is about to take over.
#[derive(Clone, Debug)]
pub struct Taking {
    host: omni_common::ids::HostId,
    host_name: String,
    found: FoundProject,
}

impl Taking {
    /// What the release remembers when nobody says where it comes from.
    pub(super) fn source(&self) -> String {
        format!("adopted from {}: {}", self.host_name, self.found.name)
    }

    /// Makes the app one that takes the project's containers over as they run.
    ///
    /// # Errors
    /// When it does not fit what runs, key by key.
    pub(super) fn apply(&self, spec: &mut AppSpec) -> Result<(), AppError> {
        for (name, service) in &mut spec.services {
            if service.image.is_none() {
                let running = self.found.containers.iter().find(|one| one.service == name.as_str());
                service.image = running.and_then(|one| fit::text(&one.inspect, "/Config/Image"));
            }
        }
        spec.adopted = Some(Adopted {
            host: self.host,
            project: self.found.name.clone(),
            folder: self.found.folder.clone(),
            containers: self.containers()?,
        });
        settle(spec);
        let mut faults = single(spec);
        faults.extend(fit::differences(spec, &self.found));
        match faults.is_empty() {
            true => Ok(()),
            false => Err(AppError::Invalid(faults)),
        }
    }

    /// What happens to each container, and what is started.
    pub(super) fn notes(&self, spec: &AppSpec) -> Vec<ReadingNote> {
        let note = |place: String, message: &str| ReadingNote { place, message: message.to_owned() };
        let mut notes = Vec::new();
        for one in &self.found.containers {
            let name = fit::text(&one.inspect, "/Name").unwrap_or_default();
            let state = fit::text(&one.inspect, "/State/Status").unwrap_or_default();
            let message = match state.as_str() {
                "running" => "is taken over as it runs",
                _ => "is taken over, and is started if its restart policy says so: it does not run now",
            };
            notes.push(note(name.trim_start_matches('/').to_owned(), message));
        }
        for service in spec.services.keys() {
            if !self.found.containers.iter().any(|one| one.service == service.as_str()) {
                notes.push(note(format!("services.{service}"), "has no container: it is started"));
            }
        }
        notes
    }

    fn containers(&self) -> Result<BTreeMap<String, AdoptedContainer>, AppError> {
        let one = |one: &omni_common::domain::FoundContainer| {
            let service = ServiceName::new(&one.service)
                .map_err(|error| AppError::NotHere(format!("a container of this project: {error}")))?;
            Ok((one.id.clone(), AdoptedContainer { service, number: one.number }))
        };
        self.found.containers.iter().map(one).collect()
    }
}

/// What of a specification is carried over from the release before, when that was taken over from a project.
pub(super) fn carry(before: &AppSpec, spec: &mut AppSpec) {
    let Some(adopted) = &before.adopted else { return };
    for (name, service) in &mut spec.services {
        if service.image.is_none() {
            service.image = before.services.get(name).and_then(|before| before.image.clone());
        }
    }
    spec.adopted = Some(adopted.clone());
    settle(spec);
    spec.adopted = Some(adopted.carried(before, spec));
}

/// A project runs once, on one host; an app that is to be there several times is not it.
fn single(spec: &AppSpec) -> Vec<FieldError> {
    let several = spec.groups.iter().filter(|(_, group)| group.mode != GroupMode::Replicated(1));
    several
        .flat_map(|(_, group)| &group.services)
        .map(|service| FieldError {
            pointer: format!("services.{service}.deploy"),
            detail: "asks for several instances, and the project runs once: leave `mode` and `replicas` out, and scale the app when it is adopted".to_owned(),
        })
        .collect()
}

/// An agent of before answers that it does not understand.
fn too_old(host: &Host, error: AppError) -> AppError {
    match error {
        AppError::Agent { code, message, .. }
            if code == "invalid" && message.contains("does not understand") =>
        {
            AppError::NotHere(format!(
                "the agent of {} is too old to adopt projects: install the newer omni-agent there",
                host.name
            ))
        }
        other => other,
    }
}

/// Label by which an agent marks a container that it has taken over.
const ADOPTED: &str = "omni.adopted";

fn label<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.labels.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn listed(host: &Host, name: &str, all: &[&Container], taken: bool) -> HostProject {
    let newest = all.iter().max_by_key(|one| one.created);
    let files = newest.and_then(|one| label(one, LABEL_COMPOSE_FILES)).unwrap_or_default();
    let services: BTreeSet<&str> = all.iter().filter_map(|one| label(one, LABEL_COMPOSE_SERVICE)).collect();
    let owner = all.iter().find(|one| one.labels.contains_key(LABEL_ALLOCATION));
    let reason = match owner {
        Some(one) => {
            let label = |name: &str| label(one, name).unwrap_or("?");
            Some(format!("is the app {}/{}", label("omni.environment"), label("omni.app")))
        }
        None if host.status != HostStatus::Up => Some(format!("{} is {}", host.name, host.status.as_str())),
        None if taken => {
            Some(format!("default/{name} is an app already; `--as NAME` adopts it under another"))
        }
        None => None,
    };
    HostProject {
        name: name.to_owned(),
        folder: newest.and_then(|one| label(one, LABEL_COMPOSE_FOLDER)).map(str::to_owned),
        files: files.split(',').filter(|one| !one.is_empty()).map(|one| one.trim().to_owned()).collect(),
        services: services.into_iter().map(str::to_owned).collect(),
        containers: count(all.len()),
        running: count(all.iter().filter(|one| one.state == ContainerState::Running).count()),
        adoptable: owner.is_none() && host.status == HostStatus::Up,
        reason,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn defined(
    host: &Host,
    found: &FoundProject,
    project: omni_common::api::v1::Project,
    from: DefinitionSource,
    notes: Vec<String>,
) -> ProjectDefinition {
    let container = |one: &omni_common::domain::FoundContainer| {
        let name = fit::text(&one.inspect, "/Name").unwrap_or_default();
        let state = fit::text(&one.inspect, "/State/Status").unwrap_or_default();
        ProjectContainer {
            id: one.id.clone(),
            name: name.trim_start_matches('/').to_owned(),
            service: one.service.clone(),
            number: one.number,
            state: serde_json::from_value(state.into()).unwrap_or(ContainerState::Unknown),
        }
    };
    ProjectDefinition {
        host: host.id,
        host_name: host.name.clone(),
        project,
        from,
        notes,
        containers: found.containers.iter().map(container).collect(),
    }
}
