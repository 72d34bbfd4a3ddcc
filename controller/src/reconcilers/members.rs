//! Keeps the Raft group's members equal to the controllers of the state, and leadership off a failing disk.

use super::driver::Reconciler;
use crate::ingest::Gateway;
use crate::peer::{PeerAnswer, PeerCall};
use async_trait::async_trait;
use omni_common::ids::ControllerId;
use std::sync::Arc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(1);
/// A controller that answers within this is there to be added.
const REACH_WITHIN: Duration = Duration::from_millis(800);
/// Catching up takes at most this long; a later run goes on.
const ADD_WITHIN: Duration = Duration::from_secs(60);

pub(crate) struct Members {
    gateway: Arc<Gateway>,
}

impl Members {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    async fn answers(&self, id: ControllerId, address: &str) -> bool {
        let call = self.gateway.link.peers.call(id, address, &PeerCall::Status, REACH_WITHIN).await;
        matches!(call, Ok(PeerAnswer::Status(_)))
    }
}

#[async_trait]
impl Reconciler for Members {
    fn name(&self) -> &'static str {
        "members"
    }

    fn period(&self) -> Duration {
        PERIOD
    }

    async fn run(&mut self) -> Result<(), String> {
        let node = &self.gateway.link.node;
        // The group's members are known from the log, the state only from what was applied of it: a leader that
        // has just been elected must not take a controller for removed that it has yet to see join.
        let index = node.read_index().await.map_err(|e| e.to_string())?;
        let state = self.gateway.store.at_least(index).await;
        if state.cluster.is_none() {
            return Ok(());
        }
        let status = node.status();
        if let Some(reason) = status.disk_error {
            tracing::error!(reason, "handing leadership over because this disk takes no writes");
            return crate::mesh::hand_over(node, None).await.map_err(|e| e.to_string());
        }
        for controller in state.controllers.values() {
            let moved = node.address(controller.id).as_ref() != Some(&controller.quic);
            if (moved || !status.voters.contains(&controller.id))
                && self.answers(controller.id, &controller.quic).await
            {
                let adding = node.add_voter(controller.id, controller.quic.clone());
                tokio::time::timeout(ADD_WITHIN, adding)
                    .await
                    .map_err(|_| format!("controller {} does not catch up", controller.name))?
                    .map_err(|e| e.to_string())?;
                tracing::info!(node = %controller.id, "controller votes");
            }
        }
        let members = status.voters.iter().chain(&status.learners);
        for gone in members.filter(|member| !state.controllers.contains_key(*member)) {
            node.remove_member(*gone).await.map_err(|e| e.to_string())?;
            self.gateway.link.peers.forget(*gone).await;
        }
        Ok(())
    }
}
