//! Issues certificates with the cluster's root key, which lies in the replicated state under the cluster key.

use crate::recovery::file::{self, FileError};
use crate::state::{Cluster, State};
use omni_certs::{Authority, ClusterKey, Identity, Issued, Role, lifetimes};
use omni_common::clock::Time;
use std::sync::Arc;
use std::time::Duration;

/// What the sealed root key is bound to, so that one cluster's key cannot be put into another's state.
pub(crate) fn ca_key_context(cluster: omni_common::ids::ClusterId) -> Vec<u8> {
    format!("omni ca key of {cluster}").into_bytes()
}

/// A certificate could not be issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// No cluster is known here yet.
    #[error("this controller has not caught up with the cluster yet")]
    NotReady,
    /// The cluster key does not open the root key, or the request is malformed.
    #[error(transparent)]
    Certs(#[from] omni_certs::Error),
}

/// Opens the root key for the moment of signing.
#[derive(Clone)]
pub(crate) struct Issuer {
    key: Arc<ClusterKey>,
    lifetime: Lifetimes,
}

/// How long certificates run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) host: Duration,
    pub(crate) controller: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { host: lifetimes::HOST, controller: lifetimes::CONTROLLER }
    }
}

impl Issuer {
    pub(crate) fn new(key: Arc<ClusterKey>, lifetime: Lifetimes) -> Self {
        Self { key, lifetime }
    }

    /// The cluster key's bytes, for a controller that joins.
    pub(crate) fn cluster_key(&self) -> Vec<u8> {
        self.key.as_bytes().to_vec()
    }

    /// Opens what was sealed under the cluster key for `context`.
    pub(crate) fn open(
        &self,
        context: &[u8],
        sealed: &[u8],
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, omni_certs::Error> {
        self.key.open(context, sealed)
    }

    /// The whole state as a file for outside of the cluster.
    pub(crate) fn seal_state(&self, state: &State, now: Time) -> Result<Vec<u8>, FileError> {
        file::write(state, &self.key, now)
    }

    /// How long a host's certificate holds.
    pub(crate) fn host_lifetime(&self) -> Duration {
        self.lifetime.host
    }

    /// Certifies the key in `csr` for a member.
    pub(crate) fn issue(
        &self,
        state: &State,
        csr: &[u8],
        role: Role,
        alt_names: &[String],
        now: Time,
    ) -> Result<Issued, IssueError> {
        let cluster = state.cluster.as_ref().ok_or(IssueError::NotReady)?;
        let lifetime = match role {
            Role::Host(_) => self.lifetime.host,
            Role::Controller(_) => self.lifetime.controller,
        };
        let identity = Identity { cluster: cluster.id, role };
        Ok(self.authority(cluster)?.issue(csr, identity, alt_names, now, lifetime)?)
    }

    fn authority(&self, cluster: &Cluster) -> Result<Authority, IssueError> {
        let key = self.key.open(&ca_key_context(cluster.id), &cluster.ca_key_sealed)?;
        Ok(Authority::from_parts(&cluster.ca_cert, &key)?)
    }
}

/// Names in a controller's certificate: whatever people may type to reach it.
pub(crate) fn controller_names(addresses: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for address in addresses {
        let host = address.rsplit_once(':').map_or(*address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !names.contains(&host) && !host.is_empty() {
            names.push(host);
        }
    }
    names
}
