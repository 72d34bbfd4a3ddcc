//! The cluster as a whole.

use super::hosts::count;
use super::ports::Group;
use super::{App, AppError, Call, View};
use crate::state::command::NewAudit;
use crate::state::{Command, HostStatus, State};
use omni_certs::{ClusterKey, KeyText};
use omni_common::api::v1::{
    ClusterHealth, ClusterKeyView, ClusterStatus, ContainerCounts, ControllerCounts, HostCounts,
    LivenessTimes, VersionInfo,
};
use omni_common::domain::backup::Hidden;
use omni_common::wire::{PROTOCOL_MAX, PROTOCOL_MIN};

/// This build's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl App {
    /// The cluster in a few numbers.
    pub async fn cluster_status(&self, state: &State) -> Result<ClusterStatus, AppError> {
        let cluster = state.cluster.as_ref().ok_or(AppError::NoCluster)?;
        let group = self.mesh.group().await;
        Ok(ClusterStatus {
            cluster: cluster.id,
            ca_fingerprint: self.ca.to_string(),
            created: cluster.created,
            answering: self.controller,
            version: VERSION.to_owned(),
            leader: group.leader,
            index: state.index,
            controllers: controller_counts(state, &group),
            hosts: host_counts(state),
            containers: self.container_counts(state),
            gpus: gpus(state),
            health: self.health_of(state, &group).state,
            now: self.clock.now(),
        })
    }

    /// The cluster's health, look by look.
    pub async fn cluster_health(&self, state: &State) -> ClusterHealth {
        let group = self.mesh.group().await;
        self.health_of(state, &group)
    }

    /// Failure detection of all hosts that have none of their own.
    pub fn liveness(&self, state: &State) -> Result<LivenessTimes, AppError> {
        let cluster = state.cluster.as_ref().ok_or(AppError::NoCluster)?;
        Ok(cluster.liveness.into())
    }

    /// Sets it.
    pub async fn set_liveness(
        &self,
        call: &Call,
        times: LivenessTimes,
    ) -> Result<View<LivenessTimes>, AppError> {
        let written = self.write(call, |_| Ok(Command::SetLiveness(times.into()))).await?;
        Ok(View { index: written.state.index, body: self.liveness(&written.state)? })
    }

    /// The cluster's key, for escrow. That it was asked for is in the audit trail before it is given out.
    pub async fn reveal_cluster_key(&self, call: &Call) -> Result<View<ClusterKeyView>, AppError> {
        let entry = self.audited(call, "cluster.key-reveal");
        let build = |state: &State| {
            let cluster = state.cluster.as_ref().ok_or(AppError::NoCluster)?.id;
            Ok(Command::RecordAudit(vec![NewAudit { target: cluster.to_string(), ..entry.clone() }]))
        };
        let written = self.write(call, build).await?;
        let cluster = written.state.cluster.as_ref().ok_or(AppError::NoCluster)?.id;
        let text = KeyText { cluster, key: ClusterKey::clone(&self.cluster_key) }.reveal();
        let body = ClusterKeyView { cluster, key: Hidden::new(text.as_str()) };
        Ok(View { index: written.state.index, body })
    }

    /// What answers here.
    pub fn version(&self) -> Result<VersionInfo, AppError> {
        let state = self.store.current();
        let cluster = state.cluster.as_ref().ok_or(AppError::NoCluster)?;
        Ok(VersionInfo {
            version: VERSION.to_owned(),
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            controller: self.controller,
            cluster: cluster.id,
        })
    }

    /// Whether this controller can serve: it has a state and knows a leader.
    pub fn is_ready(&self) -> bool {
        self.store.current().cluster.is_some() && self.mesh.leader().is_some()
    }

    /// Containers of all hosts that are still members.
    pub(crate) fn container_counts(&self, state: &State) -> ContainerCounts {
        let members = self.observed.hosts().into_iter().filter(|(id, _)| state.hosts.contains_key(id));
        members.filter_map(|(_, observed)| observed.containers.clone()).fold(
            ContainerCounts::default(),
            |sum, containers| {
                let of_host = count(containers.values());
                ContainerCounts {
                    total: sum.total + of_host.total,
                    running: sum.running + of_host.running,
                    unhealthy: sum.unhealthy + of_host.unhealthy,
                    restarting: sum.restarting + of_host.restarting,
                }
            },
        )
    }
}

pub(crate) fn host_counts(state: &State) -> HostCounts {
    state.hosts.values().fold(HostCounts::default(), |mut counts, host| {
        counts.total += 1;
        counts.cordoned += u32::from(host.cordoned);
        match host.status {
            HostStatus::Pending => counts.pending += 1,
            HostStatus::Up => counts.up += 1,
            HostStatus::Suspect => counts.suspect += 1,
            HostStatus::Down => counts.down += 1,
        }
        counts
    })
}

fn controller_counts(state: &State, group: &Group) -> ControllerCounts {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    ControllerCounts {
        total: number(state.controllers.len()),
        voters: number(group.voters.len()),
        reachable: number(group.reached.len()),
    }
}

pub(crate) fn gpus(state: &State) -> u32 {
    let facts = state.hosts.values().filter_map(|host| host.facts.as_ref());
    facts.map(|facts| u32::try_from(facts.gpus.len()).unwrap_or(u32::MAX)).fold(0, u32::saturating_add)
}
