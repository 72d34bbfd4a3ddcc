//! The two sides of the comparison, and the calls that are put on them.
//!
//! A write changes one small value and is acknowledged when a majority has it on disk. etcd puts 128 bytes under one
//! of 64 keys. omni sets a label of 128 bytes on one of 64 hosts, which is a real command of its API: beside the label
//! it leaves an event, an audit entry and the remembered answer of its request.

use super::etcd::EtcdCluster;
use super::load::Target;
use super::omni::{MEMBERS, OmniCluster};
use anyhow::{Result, ensure};
use omni_common::api::v1::UpdateHost;
use omni_common::clock::{Clock, SystemClock};
use omni_common::ids::{HostId, RequestId};
use omni_controller::bench_client::BenchLink;
use omni_controller::state::command::{Actor, ActorKind, HostPatch};
use omni_controller::state::{ApiRole, Command, Proposal};
use omni_sdk::{Client, Options};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Things that are written to, on either side: one for each of the most clients.
pub(super) const THINGS: u32 = 64;
/// Bytes of a written value.
pub(super) const VALUE: usize = 128;
/// The label that writes set.
pub(super) const LABEL: &str = "bench";

/// Who is measured, and through which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    /// etcd, over gRPC, to its leader.
    Etcd,
    /// omni, over QUIC as controllers and agents speak, to its leader.
    OmniMesh,
    /// omni, over its public HTTPS API, to its leader.
    OmniApi,
}

impl Side {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Etcd, Self::OmniMesh, Self::OmniApi];

    /// For tables.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Etcd => "etcd (gRPC)",
            Self::OmniMesh => "omni (mesh, QUIC)",
            Self::OmniApi => "omni (API, HTTPS)",
        }
    }
}

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Work {
    /// Committed writes.
    Writes,
    /// Linearizable reads.
    Reads,
}

/// A value that differs from turn to turn.
pub(super) fn value(client: usize, turn: u64) -> String {
    let mut text = format!("{client}-{turn}-");
    text.extend(std::iter::repeat_n('x', VALUE.saturating_sub(text.len())));
    text
}

/// Writes and reads over one connection to etcd's leader.
#[derive(Clone)]
pub(super) struct EtcdTarget {
    client: etcd_client::Client,
    work: Work,
}

impl EtcdTarget {
    /// Finds the leader and connects.
    ///
    /// # Errors
    /// When nobody leads.
    pub(super) async fn new(cluster: &EtcdCluster, work: Work) -> Result<Self> {
        Self::through(cluster, cluster.leader().await?, work).await
    }

    /// Through one member, whether it leads or not.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) async fn through(cluster: &EtcdCluster, member: usize, work: Work) -> Result<Self> {
        Ok(Self { client: cluster.client(member).await?, work })
    }
}

/// The key of a client.
pub(super) fn key(client: usize) -> String {
    format!("/bench/host-{}", client + 1)
}

impl Target for EtcdTarget {
    async fn call(&self, client: usize, turn: u64) -> Result<()> {
        let mut kv = self.client.kv_client();
        match self.work {
            Work::Writes => drop(kv.put(key(client), value(client, turn), None).await?),
            Work::Reads => {
                let answer = kv.get(key(client), None).await?;
                ensure!(answer.count() == 1, "etcd lost {}", key(client));
            }
        }
        Ok(())
    }
}

/// Writes and reads over one connection to omni's leader, as controllers speak.
#[derive(Clone)]
pub(super) struct MeshTarget {
    link: BenchLink,
    hosts: Arc<[HostId]>,
    work: Work,
}

impl MeshTarget {
    /// Finds the leader and connects.
    ///
    /// # Errors
    /// When nobody leads.
    pub(super) async fn new(cluster: &OmniCluster, hosts: &Arc<[HostId]>, work: Work) -> Result<Self> {
        let link = cluster.link(cluster.leader().await?).await?;
        Ok(Self { link, hosts: Arc::clone(hosts), work })
    }
}

impl Target for MeshTarget {
    async fn call(&self, client: usize, turn: u64) -> Result<()> {
        match self.work {
            Work::Writes => {
                let host = self.hosts[client % self.hosts.len()];
                self.link.propose(set_label(host, value(client, turn))).await?;
            }
            Work::Reads => drop(self.link.read_index().await?),
        }
        Ok(())
    }
}

/// The proposal that the API would make of the same write by the first admin token.
fn set_label(host: HostId, value: String) -> Proposal {
    let actor = Actor {
        kind: ActorKind::Token,
        name: "token:bench".to_owned(),
        role: Some(ApiRole::Admin),
        from: Some("127.0.0.1".to_owned()),
    };
    let set_labels = BTreeMap::from([(LABEL.to_owned(), value)]);
    let patch = HostPatch { set_labels, ..HostPatch::default() };
    Proposal {
        request: RequestId::mint(),
        fingerprint: None,
        at: SystemClock.now(),
        actor,
        command: Command::UpdateHost { host, patch, expect: None },
    }
}

/// Writes and reads over the public API, as the SDK speaks: HTTP/2, one kept connection.
#[derive(Clone)]
pub(super) struct ApiTarget {
    client: Client,
    hosts: Arc<[String]>,
    work: Work,
}

impl ApiTarget {
    /// Through the leader.
    ///
    /// # Errors
    /// When nobody leads.
    pub(super) async fn new(cluster: &OmniCluster, hosts: &Arc<[String]>, work: Work) -> Result<Self> {
        Self::through(cluster, cluster.leader().await?, hosts, work)
    }

    /// Through one member, whether it leads or not.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(super) fn through(
        cluster: &OmniCluster,
        member: usize,
        hosts: &Arc<[String]>,
        work: Work,
    ) -> Result<Self> {
        let client = cluster.client(&[member % MEMBERS], Options::default())?;
        Ok(Self { client, hosts: Arc::clone(hosts), work })
    }
}

impl Target for ApiTarget {
    async fn call(&self, client: usize, turn: u64) -> Result<()> {
        let host = &self.hosts[client % self.hosts.len()];
        match self.work {
            Work::Writes => {
                let labels = BTreeMap::from([(LABEL.to_owned(), Some(value(client, turn)))]);
                let change = UpdateHost { labels: Some(labels), ..UpdateHost::default() };
                self.client.update_host(host, &change, None).await?;
            }
            Work::Reads => drop(self.client.host(host).await?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_size_and_differ() {
        assert_eq!(value(3, 77).len(), VALUE);
        assert_ne!(value(3, 77), value(3, 78));
    }
}
