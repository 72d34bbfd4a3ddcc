//! Hosts: list, look at, change, remove.

use super::cursor::Paging;
use super::ports::HostObserved;
use super::selectors::{LabelSelector, allows, words};
use super::{App, AppError, Call, View};
use crate::state::command::HostPatch;
use crate::state::{Command, Host, HostStatus, LivenessConfig, State};
use omni_common::api::v1::{
    self as api, ContainerCounts, DrainHost, HostView, HostsQuery, LivenessTimes, Page, SampleSummary,
    UpdateHost,
};
use omni_common::domain::{Container, ContainerState, Health};
use omni_common::ids::HostId;
use std::ops::Bound;
use std::time::Duration;
use tokio::time::Instant;

impl App {
    /// A page of hosts, in the order they joined.
    pub fn list_hosts(&self, state: &State, query: &HostsQuery) -> Result<Page<HostView>, AppError> {
        let statuses = words::<api::HostStatus>("status", query.status.as_ref())?;
        let labels = LabelSelector::parse(query.label.as_ref())?;
        let paging: Paging<HostId> =
            Paging::new("hosts", &filters(query), query.limit, query.cursor.as_deref())?;
        let from = paging.after.map_or(Bound::Unbounded, Bound::Excluded);
        let wanted = |host: &&Host| {
            allows(statuses.as_deref(), &host.status.into())
                && labels.matches(&host.labels)
                && query.region.as_ref().is_none_or(|region| host.region.as_ref() == Some(region))
                && query.q.as_ref().is_none_or(|text| host.name.contains(text.as_str()))
        };
        let hosts = state.hosts.range((from, Bound::Unbounded)).map(|(_, host)| &**host);
        Ok(paging.take(hosts.filter(wanted).map(|host| (host.id, self.host_view(state, host)))))
    }

    /// One host by name or id.
    pub fn get_host(&self, state: &State, name: &str) -> Result<HostView, AppError> {
        find_host(state, name).map(|host| self.host_view(state, host))
    }

    /// Changes a host. With `expect`, only when that is still its revision.
    pub async fn update_host(
        &self,
        call: &Call,
        name: &str,
        body: UpdateHost,
        expect: Option<u64>,
    ) -> Result<View<HostView>, AppError> {
        let patch = patch(body);
        let build = |state: &State| {
            let host = find_host(state, name)?.id;
            let patch = patch.clone();
            Ok(Command::UpdateHost { host, patch, expect })
        };
        let written = self.write(call, build).await?;
        let host = find_host(&written.state, name)?;
        Ok(View { index: written.state.index, body: self.host_view(&written.state, host) })
    }

    /// Begins or ends to empty a host.
    pub async fn drain_host(
        &self,
        call: &Call,
        name: &str,
        body: DrainHost,
    ) -> Result<View<HostView>, AppError> {
        let deadline = body.deadline_seconds.map(|secs| self.clock.now().plus(Duration::from_secs(secs)));
        let build = |state: &State| {
            let host = find_host(state, name)?.id;
            Ok(Command::DrainHost { host, drain: body.drain, deadline })
        };
        let written = self.write(call, build).await?;
        let host = find_host(&written.state, name)?;
        Ok(View { index: written.state.index, body: self.host_view(&written.state, host) })
    }

    /// Removes a host: its certificate is revoked and its session cut.
    pub async fn remove_host(&self, call: &Call, name: &str) -> Result<View<()>, AppError> {
        let build = |state: &State| Ok(Command::RemoveHost(find_host(state, name)?.id));
        let written = self.write(call, build).await?;
        Ok(View { index: written.state.index, body: () })
    }

    pub(crate) fn host_view(&self, state: &State, host: &Host) -> HostView {
        let observed = self.observed.host(host.id).unwrap_or_default();
        HostView {
            id: host.id,
            name: host.name.clone(),
            status: host.status.into(),
            status_since: host.status_since,
            cordoned: host.cordoned,
            draining: state.drains.contains_key(&host.id),
            labels: host.labels.clone(),
            region: host.region.clone(),
            zone: host.zone.clone(),
            joined: host.joined,
            facts: host.facts.clone(),
            sample: summary(&observed),
            gateway: observed.gateway,
            containers: observed.containers.as_ref().map(|all| count(all.values())),
            last_seen: observed.last_seen,
            liveness: host.liveness.map(LivenessTimes::from),
            revision: host.revision,
        }
    }
}

/// The host of that name or id.
pub(crate) fn find_host<'a>(state: &'a State, name: &str) -> Result<&'a Host, AppError> {
    state.find_host(name).ok_or_else(|| AppError::not_found("host", name))
}

/// How long ago `at` was, milliseconds.
pub(crate) fn age_ms(at: Instant) -> u64 {
    u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Counts containers by what they do.
pub(crate) fn count<'a>(containers: impl Iterator<Item = &'a Container>) -> ContainerCounts {
    containers.fold(ContainerCounts::default(), |mut counts, container| {
        counts.total += 1;
        counts.running += u32::from(container.state == ContainerState::Running);
        counts.restarting += u32::from(container.state == ContainerState::Restarting);
        let sick = container.state == ContainerState::Running && container.health == Health::Unhealthy;
        counts.unhealthy += u32::from(sick);
        counts
    })
}

fn summary(observed: &HostObserved) -> Option<SampleSummary> {
    observed.sample.as_ref().map(|(sample, at)| SampleSummary::of(sample, age_ms(*at)))
}

/// What decides the list, without its position.
fn filters(query: &HostsQuery) -> HostsQuery {
    HostsQuery { limit: None, cursor: None, ..query.clone() }
}

fn patch(body: UpdateHost) -> HostPatch {
    let mut patch = HostPatch {
        cordoned: body.cordoned,
        liveness: body.liveness.map(|own| own.map(LivenessConfig::from)),
        ..HostPatch::default()
    };
    for (key, value) in body.labels.unwrap_or_default() {
        match value {
            Some(value) => {
                patch.set_labels.insert(key, value);
            }
            None => patch.remove_labels.push(key),
        }
    }
    patch
}

impl From<HostStatus> for api::HostStatus {
    fn from(status: HostStatus) -> Self {
        match status {
            HostStatus::Pending => Self::Pending,
            HostStatus::Up => Self::Up,
            HostStatus::Suspect => Self::Suspect,
            HostStatus::Down => Self::Down,
        }
    }
}

impl From<LivenessConfig> for LivenessTimes {
    fn from(config: LivenessConfig) -> Self {
        Self {
            heartbeat_ms: config.heartbeat_ms,
            suspect_ms: config.suspect_ms,
            lease_ms: config.lease_ms,
            margin_ms: config.margin_ms,
        }
    }
}

impl From<LivenessTimes> for LivenessConfig {
    fn from(times: LivenessTimes) -> Self {
        Self {
            heartbeat_ms: times.heartbeat_ms,
            suspect_ms: times.suspect_ms,
            lease_ms: times.lease_ms,
            margin_ms: times.margin_ms,
        }
    }
}
