//! Who is alive: a pure detector over arrival times, held by the leader.
//!
//! ```text
//!  heartbeat      suspect_ms            lease_ms      lease_ms + margin_ms
//!     |── up ─────────|──── suspect ────────|── (lease over) ──|──── down ────▶
//! ```
//!
//! A lease runs from the moment the agent *sent* the heartbeat, which is before it arrived here; so when a
//! host is declared down, its lease has been over for at least the margin. A fresh leader has heard nobody
//! and gives every host a full window from the moment it began to lead; so does one that could not look for a
//! while, because it slept or had lost its quorum.
//!
//! Whoever is declared down gets no lease before it is declared up again: what ran on it may be started elsewhere
//! from that moment. The moment is when the verdict is *given*, since it may be committed at any time after.

use crate::state::command::HostTransition;
use crate::state::{Host, HostStatus, LivenessConfig, State};
use omni_common::ids::{BootId, HostId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Sweeps come several times a second. After a pause longer than this, silence says something about this
/// controller and nothing about the hosts.
const BLIND: Duration = Duration::from_secs(2);
/// A host that was heard of before the controllers were restored has so long to come back before it counts as down: its
/// agent may have to find the new controllers first, and nothing is moved meanwhile.
const RETURN: Duration = Duration::from_secs(300);

/// What was last heard of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    at: Duration,
    boot: BootId,
}

/// Arrival times since this controller began to lead. All times are monotonic, from one origin.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    began: Duration,
    swept: Duration,
    heard: BTreeMap<HostId, Heard>,
    /// Until when leases may be out that were granted in this term, the margin included.
    earned: BTreeMap<HostId, Duration>,
    /// Hosts that a sweep found down, while it is not known what the log made of that.
    undecided: BTreeSet<HostId>,
}

impl Detector {
    /// A detector that begins to listen at `now`.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            began: now,
            swept: now,
            heard: BTreeMap::new(),
            earned: BTreeMap::new(),
            undecided: BTreeSet::new(),
        }
    }

    /// A heartbeat of `host` arrived at `now`.
    pub(crate) fn observe(&mut self, host: HostId, boot: BootId, now: Duration) {
        self.heard.insert(host, Heard { at: now, boot });
    }

    /// At `now` a heartbeat of `host` earned a lease by these times.
    pub(crate) fn granted(&mut self, host: HostId, config: &LivenessConfig, now: Duration) {
        let until = now + Duration::from_millis(config.down_ms().into());
        let earned = self.earned.entry(host).or_default();
        *earned = until.max(*earned);
    }

    /// What should change, at `now`, about the status of hosts in `state`.
    pub(crate) fn sweep(&mut self, state: &State, now: Duration) -> Vec<HostTransition> {
        if now.saturating_sub(self.swept) > BLIND {
            (self.began, self.heard) = (now, BTreeMap::new());
        }
        self.swept = now;
        self.heard.retain(|host, _| state.hosts.contains_key(host));
        self.undecided.retain(|host| state.hosts.contains_key(host));
        self.earned.retain(|host, _| state.hosts.contains_key(host));
        // The leader before may have granted by longer times.
        let inherited = state.lease_floor.map_or(Duration::ZERO, |floor| self.began + floor.at(state.now));
        let default = state.cluster.as_ref().map_or_else(LivenessConfig::default, |cluster| cluster.liveness);
        let found: Vec<_> = state
            .hosts
            .values()
            .filter_map(|host| {
                let heard = self.heard.get(&host.id);
                let config = host.liveness.unwrap_or(default);
                let leased = self.earned.get(&host.id).copied().unwrap_or_default().max(inherited);
                let status = match judge(host, heard.map(|heard| heard.at), self.began, now, &config) {
                    // Times may have become shorter since.
                    HostStatus::Down if now < leased && host.status == HostStatus::Up => HostStatus::Suspect,
                    HostStatus::Down if now < leased => host.status,
                    status => status,
                };
                let boot = heard.map(|heard| heard.boot);
                let restarted = boot.is_some() && boot != host.boot;
                // Said again where it is undecided: the log keeps the order, so the last word counts.
                let news = status != host.status || restarted || self.undecided.contains(&host.id);
                news.then_some(HostTransition { host: host.id, status, boot })
            })
            .collect();
        let down = found.iter().filter(|transition| transition.status == HostStatus::Down);
        self.undecided.extend(down.map(|transition| transition.host));
        found
    }

    /// These transitions, found by the newest sweep, are in the log and applied.
    pub(crate) fn decided(&mut self, transitions: &[HostTransition]) {
        for transition in transitions {
            self.undecided.remove(&transition.host);
        }
    }

    /// Whether a heartbeat of `host` may earn a lease, as it stands in a state no older than the heartbeat.
    pub(crate) fn may_lease(&self, host: &Host) -> bool {
        host.status != HostStatus::Down && !self.undecided.contains(&host.id)
    }
}

/// A host's status at `now`, given what it was.
fn judge(
    host: &Host,
    heard: Option<Duration>,
    began: Duration,
    now: Duration,
    config: &LivenessConfig,
) -> HostStatus {
    let millis = |ms: u32| Duration::from_millis(ms.into());
    let before = host.status;
    let Some(at) = heard else {
        // Not heard since this controller leads: nothing new is known until a full window has passed.
        let window = match (before, host.boot) {
            // It has never been heard of.
            (HostStatus::Pending, None) => return before,
            (HostStatus::Pending, Some(_)) => RETURN.max(millis(config.down_ms())),
            _ => millis(config.down_ms()),
        };
        return if now.saturating_sub(began) >= window { HostStatus::Down } else { before };
    };
    let silence = now.saturating_sub(at);
    if silence >= millis(config.down_ms()) {
        HostStatus::Down
    } else if silence >= millis(config.suspect_ms) {
        // Silence never brings a host back.
        if before == HostStatus::Down { HostStatus::Down } else { HostStatus::Suspect }
    } else {
        HostStatus::Up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LeaseFloor;
    use omni_common::clock::Time;
    use proptest::prelude::*;

    fn host(number: u128, status: HostStatus) -> Host {
        Host {
            id: HostId::from_u128(number),
            name: format!("h{number}"),
            labels: BTreeMap::new(),
            region: None,
            zone: None,
            joined: Time::EPOCH,
            status,
            status_since: Time::EPOCH,
            cordoned: false,
            liveness: None,
            certificate: None,
            facts: None,
            boot: None,
            revision: 0,
        }
    }

    fn state(hosts: Vec<Host>) -> State {
        State {
            hosts: hosts.into_iter().map(|host| (host.id, std::sync::Arc::new(host))).collect(),
            ..State::default()
        }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    const BOOT: BootId = BootId::from_u128(1);

    /// Sweeps each second from the one after `from`, and gives what the one at `to` found.
    fn sweep_each_second(detector: &mut Detector, state: &State, from: u64, to: u64) -> Vec<HostTransition> {
        let found = (from + 1..=to).map(|at| detector.sweep(state, secs(at))).last();
        found.unwrap_or_else(|| detector.sweep(state, secs(to)))
    }

    /// Each line: seconds since the last heartbeat, what it was, what it becomes.
    #[test]
    fn silence_turns_up_into_suspect_into_down() {
        use HostStatus::{Down, Pending, Suspect, Up};
        for (silence, before, after) in [
            (0, Pending, Up),
            (2, Up, Up),
            (3, Up, Suspect),
            (7, Suspect, Suspect),
            (8, Suspect, Down),
            (8, Up, Down),
            (0, Down, Up),
            (5, Down, Down),
        ] {
            let mut detector = Detector::new(secs(100));
            let id = HostId::from_u128(1);
            detector.observe(id, BOOT, secs(100));
            let mut known = host(1, before);
            known.boot = Some(BOOT);
            let found = sweep_each_second(&mut detector, &state(vec![known]), 100, 100 + silence);
            let status = found.first().map_or(before, |transition| transition.status);
            assert_eq!(status, after, "{silence} s after a heartbeat, {before:?}");
        }
    }

    #[test]
    fn a_fresh_leader_gives_everybody_a_full_window() {
        let mut detector = Detector::new(secs(1_000));
        let hosts =
            state(vec![host(1, HostStatus::Up), host(2, HostStatus::Suspect), host(3, HostStatus::Pending)]);
        assert_eq!(sweep_each_second(&mut detector, &hosts, 1_000, 1_007), []);
        let down: Vec<_> =
            detector.sweep(&hosts, secs(1_008)).into_iter().map(|t| (t.host, t.status)).collect();
        let id = HostId::from_u128;
        assert_eq!(down, [(id(1), HostStatus::Down), (id(2), HostStatus::Down)]);
    }

    #[test]
    fn a_host_of_before_a_restore_has_minutes_to_come_back() {
        let known = Host { boot: Some(BOOT), ..host(1, HostStatus::Pending) };
        let hosts = state(vec![known, host(2, HostStatus::Pending)]);
        let mut detector = Detector::new(secs(0));
        assert_eq!(sweep_each_second(&mut detector, &hosts, 0, 299), []);
        let found: Vec<_> =
            detector.sweep(&hosts, secs(300)).into_iter().map(|one| (one.host, one.status)).collect();
        assert_eq!(found, [(HostId::from_u128(1), HostStatus::Down)], "the other one has never been there");
    }

    #[test]
    fn silence_while_nobody_looked_says_nothing_about_hosts() {
        let hosts = state(vec![host(1, HostStatus::Up)]);
        let mut detector = Detector::new(secs(0));
        detector.observe(HostId::from_u128(1), BOOT, secs(0));
        sweep_each_second(&mut detector, &hosts, 0, 2);
        assert_eq!(detector.sweep(&hosts, secs(60)), [], "asleep, or without a quorum, for a minute");
        assert_eq!(sweep_each_second(&mut detector, &hosts, 60, 67), [], "a full window begins");
        assert_eq!(detector.sweep(&hosts, secs(68)).len(), 1);
    }

    #[test]
    fn a_restart_is_noted_though_the_status_stays() {
        let mut detector = Detector::new(secs(0));
        detector.observe(HostId::from_u128(1), BootId::from_u128(2), secs(1));
        let mut known = host(1, HostStatus::Up);
        known.boot = Some(BOOT);
        let found = detector.sweep(&state(vec![known]), secs(1));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].boot, Some(BootId::from_u128(2)));
    }

    #[test]
    fn who_was_found_down_gets_no_lease_before_the_log_says_up() {
        use HostStatus::{Down, Suspect, Up};
        let mut detector = Detector::new(secs(0));
        let known = |status| Host { boot: Some(BOOT), ..host(1, status) };
        let id = HostId::from_u128(1);
        detector.observe(id, BOOT, secs(0));
        assert!(detector.may_lease(&known(Suspect)));
        let found = sweep_each_second(&mut detector, &state(vec![known(Suspect)]), 0, 8);
        assert_eq!(found[0].status, Down);
        detector.observe(id, BOOT, secs(8));
        assert!(!detector.may_lease(&known(Suspect)), "the verdict is on its way into the log");
        let found = detector.sweep(&state(vec![known(Up)]), secs(8));
        assert_eq!(found.len(), 1, "nobody knows what became of the verdict, so the next one is said aloud");
        assert_eq!(found[0].status, Up);
        assert!(!detector.may_lease(&known(Up)));
        detector.decided(&found);
        assert!(detector.may_lease(&known(Up)));
        assert!(!detector.may_lease(&known(Down)), "a state that has it down");
    }

    #[test]
    fn a_pause_does_not_forget_what_is_undecided() {
        let mut detector = Detector::new(secs(0));
        let known = host(1, HostStatus::Suspect);
        let hosts = state(vec![known.clone()]);
        detector.observe(known.id, BOOT, secs(0));
        sweep_each_second(&mut detector, &hosts, 0, 8);
        detector.sweep(&hosts, secs(60));
        assert!(!detector.may_lease(&known));
    }

    #[test]
    fn a_lease_that_is_out_does_not_get_shorter_with_the_times() {
        let long = LivenessConfig { lease_ms: 60_000, ..LivenessConfig::default() };
        let known = || host(1, HostStatus::Up);
        let mut detector = Detector::new(secs(0));
        detector.observe(known().id, BOOT, secs(0));
        detector.granted(known().id, &long, secs(0));
        // The times are short again from here on.
        let found = sweep_each_second(&mut detector, &state(vec![known()]), 0, 61);
        assert!(found.iter().all(|transition| transition.status == HostStatus::Suspect), "{found:?}");
        let found = detector.sweep(&state(vec![known()]), secs(62));
        assert_eq!(found.first().map(|transition| transition.status), Some(HostStatus::Down));
        // Another leader knows of the longer times from the state.
        let mut shortened = state(vec![known()]);
        shortened.lease_floor = Some(LeaseFloor { down_ms: long.down_ms(), at: shortened.now });
        let mut next = Detector::new(secs(100));
        let early = sweep_each_second(&mut next, &shortened, 100, 161);
        assert!(early.iter().all(|transition| transition.status == HostStatus::Suspect), "{early:?}");
        assert_eq!(
            next.sweep(&shortened, secs(162)).first().map(|found| found.status),
            Some(HostStatus::Down)
        );
    }

    proptest! {
        /// The promise that fencing rests on: when a host is declared down, every lease that any of its
        /// heartbeats could have earned is over, even on a clock that runs `drift` per cent slow.
        #[test]
        fn nobody_is_down_while_a_lease_can_run(
            gaps in proptest::collection::vec((0u64..4_000, 0u64..500), 1..40),
            step in 50u64..500,
            drift in 0u64..20,
        ) {
            let config = LivenessConfig::default();
            let mut detector = Detector::new(Duration::ZERO);
            let mut known = host(1, HostStatus::Up);
            known.boot = Some(BOOT);
            let mut at = 0;
            let mut beats = Vec::new();
            for (gap, travel) in gaps {
                at += gap;
                beats.push((at, at + travel));
            }
            let mut now = 0;
            let end = at + 20_000;
            let mut arrived: Vec<_> = beats.clone();
            arrived.sort_by_key(|(_, arrives)| *arrives);
            let mut next = 0;
            let mut last_sent = None;
            while now < end {
                while next < arrived.len() && arrived[next].1 <= now {
                    detector.observe(known.id, BOOT, Duration::from_millis(arrived[next].1));
                    last_sent = last_sent.max(Some(arrived[next].0));
                    next += 1;
                }
                for transition in detector.sweep(&state(vec![known.clone()]), Duration::from_millis(now)) {
                    known.status = transition.status;
                    if transition.status == HostStatus::Down && let Some(sent) = last_sent {
                        let lease = u64::from(config.lease_ms) * (100 + drift) / 100;
                        prop_assert!(now >= sent + lease, "down at {now} ms, lease until {}", sent + lease);
                    }
                }
                now += step;
            }
            prop_assert_eq!(known.status, HostStatus::Down, "silence ends in down");
        }
    }
}
