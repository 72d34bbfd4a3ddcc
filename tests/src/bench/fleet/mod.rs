//! The fleet: thousands of simulated agents in a process of their own, so that what they cost is not taken for
//! what the controllers cost.
//!
//! ```text
//!  scale ── handle.rs ──  orders ──▶  ── agents.rs ── one QUIC socket and one certificate an agent ──▶ controllers
//!                       ◀── news
//! ```
//!
//! Both sides speak lines of JSON over a loopback connection that the fleet opens. When that breaks the fleet ends.

mod agents;
mod handle;

pub(super) use agents::live;
pub(super) use handle::Fleet;

use omni_common::ids::ControllerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the fleet is told.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Make hosts of all of them; nothing runs yet.
    Enroll(Crowd),
    /// Start all agents at the same moment, as after a power cut of the whole place.
    Start,
}

/// Who the agents are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Crowd {
    /// Join token.
    pub(super) token: String,
    /// Where the controllers are.
    pub(super) controllers: Vec<SocketAddr>,
    /// How many hosts.
    pub(super) hosts: u32,
    /// Containers on each.
    pub(super) containers: u32,
}

/// How the fleet is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    /// Hosts that have an identity.
    pub(super) enrolled: u32,
    /// Live sessions by gateway.
    pub(super) sessions: BTreeMap<ControllerId, u32>,
    /// Sessions begun since the start.
    pub(super) begun: u64,
    /// Leases that ran out.
    pub(super) expired: u64,
    /// Samples taken.
    pub(super) samples: u64,
    /// Samples that no gateway took in time.
    pub(super) dropped: u64,
}

impl News {
    /// Agents that have a session.
    pub(super) fn connected(&self) -> u32 {
        self.sessions.values().sum()
    }

    /// Agents whose session is elsewhere than at `gateway`.
    pub(super) fn connected_without(&self, gateway: ControllerId) -> u32 {
        self.connected() - self.sessions.get(&gateway).copied().unwrap_or_default()
    }

    /// A session was at `before` and is at `now`.
    fn moved(&mut self, before: Option<ControllerId>, now: Option<ControllerId>) {
        if let Some(left) = before.and_then(|gateway| self.sessions.get_mut(&gateway)) {
            *left = left.saturating_sub(1);
        }
        if let Some(gateway) = now {
            *self.sessions.entry(gateway).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_where_they_are() {
        let (one, two) = (ControllerId(1), ControllerId(2));
        let mut news = News::default();
        news.moved(None, Some(one));
        news.moved(None, Some(one));
        news.moved(Some(one), Some(two));
        assert_eq!((news.connected(), news.connected_without(two)), (2, 1));
        news.moved(Some(two), None);
        assert_eq!((news.connected(), news.connected_without(two)), (1, 1));
    }

    #[test]
    fn news_survive_the_wire() {
        let news = News { sessions: BTreeMap::from([(ControllerId(3), 7)]), begun: 9, ..News::default() };
        let text = serde_json::to_string(&news).expect("plain value");
        assert_eq!(serde_json::from_str::<News>(&text).expect("ours"), news);
    }
}
