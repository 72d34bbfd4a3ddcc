//! The lease: until when the leader promises not to give this host's exclusive work to another.
//!
//! It runs from the moment the agent *sent* the heartbeat that the leader acknowledged, by the agent's own
//! monotonic clock, so neither a slow answer nor a wrong wall clock can make it longer than the leader thinks.
//! It belongs to the agent, not to a session: an agent that moves to another gateway keeps it.

use omni_common::wire::Lease;
use std::collections::VecDeque;

/// How many heartbeats back an acknowledgement may reach. At one a second and a lease of a few seconds, an
/// older one could not extend anything.
const REMEMBERED: usize = 64;
/// Longest lease believed, so that a broken gateway cannot keep a cut-off host running for ever.
const MAX_TTL_MS: u32 = 120_000;

/// What the lease says at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// No leader has acknowledged a heartbeat of this process yet.
    Never,
    /// Exclusive work may run until then, in the agent's monotonic milliseconds.
    Valid {
        /// First millisecond at which it is over.
        until_ms: u64,
    },
    /// It ran out: exclusive work must not run.
    Expired,
}

/// The arithmetic of the lease, without a clock of its own.
#[derive(Clone, Debug, Default)]
pub struct LeaseClock {
    sent: VecDeque<u64>,
    newest: Option<Granted>,
}

/// The newest lease: which heartbeat it answers and when it ends.
#[derive(Clone, Copy, Debug)]
struct Granted {
    sent_ms: u64,
    until_ms: u64,
}

impl LeaseClock {
    /// A heartbeat leaves now.
    pub fn sent(&mut self, now_ms: u64) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(now_ms);
    }

    /// The gateway relayed a lease. Returns whether it says anything new.
    ///
    /// Only the echo of a heartbeat that this process sent counts: the echo of an earlier process's heartbeat
    /// would be measured on the wrong time line. The newest heartbeat decides, even when its lease is the
    /// shorter one: the leader waits no longer than that.
    pub fn granted(&mut self, lease: Lease) -> bool {
        if !self.sent.contains(&lease.sent_ms) {
            return false;
        }
        let until_ms = lease.sent_ms.saturating_add(lease.ttl_ms.min(MAX_TTL_MS).into());
        let news = self.newest.is_none_or(|newest| {
            lease.sent_ms > newest.sent_ms || (lease.sent_ms == newest.sent_ms && until_ms < newest.until_ms)
        });
        if news {
            self.newest = Some(Granted { sent_ms: lease.sent_ms, until_ms });
        }
        news
    }

    /// When the newest heartbeat was sent that a leader has acknowledged.
    pub fn acknowledged(&self) -> Option<u64> {
        self.newest.map(|newest| newest.sent_ms)
    }

    /// What the lease says at `now_ms`.
    pub fn state(&self, now_ms: u64) -> LeaseState {
        match self.newest {
            None => LeaseState::Never,
            Some(Granted { until_ms, .. }) if now_ms < until_ms => LeaseState::Valid { until_ms },
            Some(_) => LeaseState::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_runs_from_the_sending() {
        let mut clock = LeaseClock::default();
        assert_eq!(clock.state(0), LeaseState::Never);
        clock.sent(1_000);
        assert!(clock.granted(Lease { sent_ms: 1_000, ttl_ms: 6_000 }));
        assert_eq!(clock.state(6_999), LeaseState::Valid { until_ms: 7_000 });
        assert_eq!(clock.state(7_000), LeaseState::Expired);
    }

    #[test]
    fn an_echo_of_something_never_sent_is_ignored() {
        let mut clock = LeaseClock::default();
        clock.sent(1_000);
        assert!(!clock.granted(Lease { sent_ms: 900, ttl_ms: 6_000 }));
        assert!(!clock.granted(Lease { sent_ms: 50_000, ttl_ms: 6_000 }));
        assert_eq!(clock.state(1_001), LeaseState::Never);
    }

    /// One step of a world in which the agent sends, the leader acknowledges under a changing TTL, and relayed
    /// leases arrive late, doubled and out of order.
    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Send,
        /// The leader sees the n-th newest heartbeat and grants this TTL.
        Acknowledge(usize, u32),
        /// The n-th newest lease reaches the agent (again).
        Arrive(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..4_000).prop_map(Step::Wait),
            Just(Step::Send),
            (0usize..8, 1u32..20_000).prop_map(|(back, ttl)| Step::Acknowledge(back, ttl)),
            (0usize..8).prop_map(Step::Arrive),
        ]
    }

    proptest! {
        /// The agent never believes in its lease for longer than the leader, whose newest grant decides, waits
        /// after any grant it has made since: what the agent holds is always something the leader granted, and
        /// an older grant never displaces a newer one.
        #[test]
        fn only_the_newest_grant_that_arrived_counts(steps in prop::collection::vec(step(), 1..200)) {
            let mut clock = LeaseClock::default();
            let (mut now, mut sent) = (0u64, Vec::new());
            let (mut grants, mut arrived) = (Vec::<Lease>::new(), Vec::<Lease>::new());
            for step in steps {
                match step {
                    Step::Wait(by) => now += by,
                    Step::Send => { now += 1; sent.push(now); clock.sent(now); }
                    Step::Acknowledge(back, ttl_ms) if back < sent.len() => {
                        let sent_ms = sent[sent.len() - 1 - back];
                        // A leader never takes an older heartbeat for newer, nor grants the same one twice.
                        if grants.last().is_none_or(|last| last.sent_ms < sent_ms) {
                            grants.push(Lease { sent_ms, ttl_ms });
                        }
                    }
                    Step::Arrive(back) if back < grants.len() => {
                        let lease = grants[grants.len() - 1 - back];
                        arrived.push(lease);
                        clock.granted(lease);
                    }
                    Step::Acknowledge(..) | Step::Arrive(_) => {}
                }
                let newest = arrived.iter().max_by_key(|lease| lease.sent_ms);
                let until = newest.map(|lease| lease.sent_ms + u64::from(lease.ttl_ms));
                match clock.state(now) {
                    LeaseState::Never => prop_assert!(until.is_none()),
                    LeaseState::Valid { until_ms } => prop_assert!(now < until_ms && until == Some(until_ms)),
                    LeaseState::Expired => prop_assert!(until.is_some_and(|until| until <= now)),
                }
            }
        }
    }
}
