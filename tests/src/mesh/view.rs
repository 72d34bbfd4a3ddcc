//! What tests wait for, as the cluster itself tells it.

use super::{Controller, Mesh, SOON};
use crate::testbed::eventually;
use anyhow::{Context, Result};
use omni_common::api::v1::{
    ControllerRole, ControllerView, Event, EventsQuery, HostStatus, HostView, ImagesQuery,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most events that a test looks back at.
const EVENTS: u32 = 10_000;

impl<'a> Mesh<'a> {
    /// Waits until so many controllers vote and are reached, one of them leading.
    ///
    /// # Errors
    /// When it takes too long; the error shows the last list.
    pub fn await_voters(&self, count: usize) -> Result<()> {
        self.await_controllers(&format!("{count} voters, one of them leading"), |list| {
            let voting = list.iter().filter(|one| one.reachable && one.role != ControllerRole::Learner);
            let leading = list.iter().any(|one| one.reachable && one.role == ControllerRole::Leader);
            leading && voting.count() == count
        })
    }

    /// Waits until the list of controllers is as wanted.
    ///
    /// # Errors
    /// When it takes too long; the error shows the last list.
    pub fn await_controllers(&self, what: &str, wanted: impl Fn(&[ControllerView]) -> bool) -> Result<()> {
        let api = self.api();
        let mut last = None;
        let found = eventually(what, SOON, || {
            let list = api.ask(async |client| client.controllers().await);
            let done = list.as_ref().is_ok_and(|list| wanted(list));
            last = Some(list);
            done.then_some(())
        });
        found.with_context(|| format!("last seen: {last:#?}"))
    }

    /// Who leads, once somebody does.
    ///
    /// # Errors
    /// When nobody leads for long.
    pub fn leader(&self) -> Result<&Controller<'a>> {
        let api = self.api();
        let leader = eventually("somebody leads", SOON, || {
            api.ask(async |client| client.status().await).ok()?.leader
        })?;
        self.by_id(leader)
    }

    /// A host as the cluster shows it.
    ///
    /// # Errors
    /// When no controller answers, or there is no such host.
    pub fn host(&self, name: &str) -> Result<HostView> {
        Ok(self.api().ask(async |client| client.host(name).await)?)
    }

    /// Waits until a host has this status, and returns it.
    ///
    /// # Errors
    /// When it takes longer than `within`; the error shows the host as it was last.
    pub fn await_host(&self, name: &str, status: HostStatus, within: Duration) -> Result<HostView> {
        self.await_host_that(name, &format!("{status:?}"), within, |host| host.status == status)
    }

    /// Waits until a host is as wanted, and returns it.
    ///
    /// # Errors
    /// As [`Mesh::await_host`].
    pub fn await_host_that(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        wanted: impl Fn(&HostView) -> bool,
    ) -> Result<HostView> {
        let mut last = None;
        let found = eventually(&format!("host {name} is {what}"), within, || {
            let host = self.host(name);
            let done = host.as_ref().ok().filter(|host| wanted(host)).cloned();
            last = Some(host);
            done
        });
        found.with_context(|| format!("last seen: {last:#?}"))
    }

    /// Waits until it is known that these hosts have an image of this name, and no others. It need not be the same one: what
    /// each host imports for itself has an id of its own.
    ///
    /// # Errors
    /// When it takes too long; the error shows what was known last.
    pub fn await_image(&self, name: &str, hosts: &[&str]) -> Result<()> {
        let api = self.api();
        let mut last = None;
        let found = eventually(&format!("{name} is known to be on {hosts:?}"), SOON, || {
            let query = ImagesQuery { q: Some(name.to_owned()), ..ImagesQuery::default() };
            let images = api.ask(async |client| client.images(query.clone()).await);
            let on: BTreeSet<&str> = images
                .iter()
                .flatten()
                .filter(|image| image.name == name)
                .flat_map(|image| image.hosts.iter().map(|host| host.name.as_str()))
                .collect();
            let done = on == hosts.iter().copied().collect();
            last = Some(images);
            done.then_some(())
        });
        found.with_context(|| format!("last seen: {last:#?}"))
    }

    /// The controller that holds a host's session.
    ///
    /// # Errors
    /// When the host has no session for long.
    pub fn gateway(&self, host: &str) -> Result<&Controller<'a>> {
        let view = self.await_host_that(host, "connected", SOON, |host| host.gateway.is_some())?;
        self.by_id(view.gateway.context("it was there a moment ago")?)
    }

    /// Everything that happened, oldest first.
    ///
    /// # Errors
    /// When no controller answers.
    pub fn events(&self) -> Result<Vec<Event>> {
        let query = EventsQuery { since: Some(0), limit: Some(EVENTS), ..EventsQuery::default() };
        Ok(self.api().ask(async |client| client.events(query).await)?)
    }

    /// The events of one kind about one host, oldest first.
    ///
    /// # Errors
    /// When no controller answers.
    pub fn events_of(&self, host: &str, kind: &str) -> Result<Vec<Event>> {
        let id = self.host(host)?.id;
        let about = |event: &Event| event.host == Some(id) && event.kind == kind;
        Ok(self.events()?.into_iter().filter(about).collect())
    }

    /// The newest state that a controller has by itself, whoever leads.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn index_of(&self, controller: &Controller<'a>) -> Result<u64> {
        let api = self.api_of([controller]).stale();
        Ok(api.ask(async |client| client.status().await)?.index)
    }
}
