//! Containers of all hosts in one list.

use super::cursor::Paging;
use super::hosts::{age_ms, find_host};
use super::ports::HostObserved;
use super::selectors::{LabelSelector, allows, texts, words};
use super::{App, AppError};
use crate::state::{Host, Reach, State};
use omni_common::api::v1::{ContainerView, ContainersQuery, Page};
use omni_common::domain::{Container, ContainerState, Health, LABEL_ALLOCATION, LABEL_COMPONENT};
use omni_common::ids::{AllocationId, HostId};
use std::ops::Bound;

/// What a list of containers is narrowed to.
pub(crate) struct ContainerFilter<'a> {
    hosts: Option<Vec<HostId>>,
    labels: LabelSelector,
    components: Option<Vec<&'a str>>,
    states: Option<Vec<ContainerState>>,
    healths: Option<Vec<Health>>,
    text: Option<&'a str>,
    within: Reach<'a>,
}

impl Default for ContainerFilter<'_> {
    /// All of them.
    fn default() -> Self {
        Self {
            hosts: None,
            labels: LabelSelector::default(),
            components: None,
            states: None,
            healths: None,
            text: None,
            within: Reach(&[]),
        }
    }
}

impl<'a> ContainerFilter<'a> {
    /// From the parameters of the list.
    fn parse(state: &State, query: &'a ContainersQuery, within: Reach<'a>) -> Result<Self, AppError> {
        Ok(Self {
            hosts: named_hosts(state, texts(query.host.as_ref()))?,
            labels: LabelSelector::parse(query.label.as_ref())?,
            components: texts(query.component.as_ref()),
            states: words("state", query.state.as_ref())?,
            healths: words("health", query.health.as_ref())?,
            text: query.q.as_deref(),
            within,
        })
    }

    /// By hosts, labels and components only.
    pub(crate) fn of(
        hosts: Option<Vec<HostId>>,
        labels: LabelSelector,
        components: Option<Vec<&'a str>>,
    ) -> Self {
        Self { hosts, labels, components, ..Self::default() }
    }

    /// Only what belongs to apps that the caller may have to do with.
    pub(crate) fn within(self, reach: Reach<'a>) -> Self {
        Self { within: reach, ..self }
    }

    fn allows_host(&self, host: HostId) -> bool {
        allows(self.hosts.as_deref(), &host)
    }

    fn allows(&self, container: &Container) -> bool {
        let component = container.labels.get(LABEL_COMPONENT).map(String::as_str);
        allows(self.states.as_deref(), &container.state)
            && allows(self.healths.as_deref(), &container.health)
            && self.labels.matches(&container.labels)
            && self.components.as_ref().is_none_or(|wanted| component.is_some_and(|c| wanted.contains(&c)))
            && self.text.is_none_or(|text| speaks_of(container, text))
    }
}

fn speaks_of(container: &Container, text: &str) -> bool {
    container.name.contains(text) || container.image.contains(text) || container.id.starts_with(text)
}

/// The ids of hosts given by name or id; all must exist, or a typing mistake would look like an empty host.
pub(crate) fn named_hosts(state: &State, names: Option<Vec<&str>>) -> Result<Option<Vec<HostId>>, AppError> {
    let find = |name: &str| find_host(state, name).map(|host| host.id);
    names.map(|names| names.into_iter().map(find).collect()).transpose()
}

/// A container and where it was seen.
pub(crate) struct Seen<'a> {
    pub(crate) host: &'a Host,
    pub(crate) observed: std::sync::Arc<HostObserved>,
    pub(crate) id: String,
}

impl Seen<'_> {
    /// What Docker says of it.
    pub(crate) fn container(&self) -> &Container {
        let all = self.observed.containers.as_ref().expect("seen in this listing");
        all.get(&self.id).expect("seen in this listing")
    }

    /// As the API shows it.
    pub(crate) fn view(&self) -> ContainerView {
        let container = self.container().clone();
        let sample = self.observed.sample.as_ref();
        ContainerView {
            host: self.host.id,
            host_name: self.host.name.clone(),
            role: container.platform_role(),
            sample: sample
                .and_then(|(sample, _)| sample.containers.iter().find(|one| one.id == container.id).cloned()),
            observed_age_ms: self.observed.containers_at.map_or(u64::MAX, age_ms),
            container,
        }
    }
}

impl App {
    /// A page of the containers of all hosts, by host and id.
    pub fn list_containers(
        &self,
        state: &State,
        query: &ContainersQuery,
        within: Reach<'_>,
    ) -> Result<Page<ContainerView>, AppError> {
        let filter = ContainerFilter::parse(state, query, within)?;
        let paging: Paging<(HostId, String)> =
            Paging::new("containers", &filters(query), query.limit, query.cursor.as_deref())?;
        let found = self.containers(state, &filter, paging.after.clone());
        Ok(paging.take(found.map(|seen| ((seen.host.id, seen.id.clone()), seen.view()))))
    }

    /// One container by its host and its name, id or the beginning of its id.
    pub fn get_container(
        &self,
        state: &State,
        host: &str,
        name: &str,
        within: Reach<'_>,
    ) -> Result<ContainerView, AppError> {
        self.find_container(state, host, name, within).map(|seen| seen.view())
    }

    /// The container of that host that goes by `name`, if it is one that the caller may have to do with.
    pub(crate) fn find_container<'a>(
        &self,
        state: &'a State,
        host: &str,
        name: &str,
        within: Reach<'_>,
    ) -> Result<Seen<'a>, AppError> {
        let host = find_host(state, host)?;
        let observed = self.observed.host(host.id).unwrap_or_default();
        let id = observed
            .containers
            .as_ref()
            .and_then(|all| pick(all.values().filter(|one| reaches(state, host, one, within)), name))
            .map(|container| container.id.clone());
        let id = id.ok_or_else(|| AppError::not_found("container", format!("{}/{name}", host.name)))?;
        Ok(Seen { host, observed, id })
    }

    /// Containers that pass `filter`, by host and id, behind `after`.
    pub(crate) fn containers<'a>(
        &'a self,
        state: &'a State,
        filter: &'a ContainerFilter<'a>,
        after: Option<(HostId, String)>,
    ) -> impl Iterator<Item = Seen<'a>> + 'a {
        let first = after.as_ref().map_or(Bound::Unbounded, |(host, _)| Bound::Included(*host));
        let hosts = state.hosts.range((first, Bound::Unbounded)).map(|(_, host)| host);
        hosts.filter(|host| filter.allows_host(host.id)).flat_map(move |host| {
            let behind = after.as_ref().filter(|(id, _)| *id == host.id).map(|(_, id)| id.as_str());
            self.containers_of(state, host, filter, behind)
        })
    }

    fn containers_of<'a>(
        &self,
        state: &State,
        host: &'a Host,
        filter: &ContainerFilter<'_>,
        behind: Option<&str>,
    ) -> Vec<Seen<'a>> {
        let Some(observed) = self.observed.host(host.id) else {
            return Vec::new();
        };
        let Some(all) = observed.containers.clone() else {
            return Vec::new();
        };
        let from = behind.map_or(Bound::Unbounded, Bound::Excluded);
        all.range::<str, _>((from, Bound::Unbounded))
            .filter(|(_, container)| {
                filter.allows(container) && reaches(state, host, container, filter.within)
            })
            .map(|(id, _)| Seen { host, observed: observed.clone(), id: id.clone() })
            .collect()
    }
}

/// Whether somebody of that reach may have to do with a container: whose it is, says the allocation that it was made for.
/// A label alone could have been written by anybody.
fn reaches(state: &State, host: &Host, container: &Container, within: Reach<'_>) -> bool {
    let made_for = || container.labels.get(LABEL_ALLOCATION).and_then(|id| id.parse::<AllocationId>().ok());
    within.is_whole()
        || made_for()
            .and_then(|id| state.allocations.get(&id))
            .is_some_and(|held| held.host == host.id && within.has_app(&held.app.environment, &held.app.name))
}

/// The container that goes by `name`: its name, its id, or a beginning of its id that fits no other.
pub(crate) fn pick<'a>(
    mut containers: impl Iterator<Item = &'a Container> + Clone,
    name: &str,
) -> Option<&'a Container> {
    if let Some(exact) = containers.clone().find(|one| one.name == name || one.id == name) {
        return Some(exact);
    }
    // Shorter beginnings are more likely a mistaken name.
    if name.len() < 4 {
        return None;
    }
    let first = containers.find(|one| one.id.starts_with(name))?;
    let second = containers.find(|one| one.id.starts_with(name));
    second.is_none().then_some(first)
}

/// What decides the list, without its position.
fn filters(query: &ContainersQuery) -> ContainersQuery {
    ContainersQuery { limit: None, cursor: None, ..query.clone() }
}
