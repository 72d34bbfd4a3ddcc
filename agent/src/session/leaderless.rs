//! Gateways of no use: those that answer but reach no leader, and how long to bear those that do not answer. Pure.
//!
//! A gateway without a leader relays no leases, and the leader hears nothing of the gateway's hosts: it would declare
//! them down though they are well. So the agent looks for another gateway. When none does better, because nobody leads or
//! all are overloaded, moving about makes it worse: each handshake costs more than a hundred heartbeats. After one round
//! the agent settles down.

use super::end::End;
use rand::RngExt;
use rand::rngs::SmallRng;
use std::time::Duration;
use tokio::time::Instant;

/// A gateway is left when it has known of no lease for this many intervals. It knows of none when it has not reached a
/// leader for as long as the leader waits before it suspects a host; a gateway that is only slow still has the last one.
const MISSED: u32 = 3;
/// How much longer the most patient of agents waits than the least.
const LONGEST: f64 = 4.0 / 3.0;
/// Patience after a round in vain.
const SETTLED: Duration = Duration::from_secs(60);
/// A session with a leader that lasted this long shows that moving about is over. Shorter ones do not: on machines that
/// are overloaded, leases come now and then.
const STEADY: Duration = Duration::from_secs(60);
/// Doublings of the patience with silent gateways: from 2.5 intervals to 20.
const MAX_DOUBLINGS: u32 = 3;

/// The search for a gateway that answers and has a leader, over all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// Gateways left for want of a leader since the last steady session.
    left: u32,
    /// Gateways left for their silence since then.
    silent: u32,
    /// A leader was heard of at some time.
    led: bool,
}

impl Search {
    /// A session ended that lasted so long; `heard` says whether a leader acknowledged any heartbeat of it.
    pub(super) fn ended(&mut self, end: &End, heard: bool, lasted: Duration) {
        self.led |= heard;
        if heard && lasted >= STEADY {
            (self.left, self.silent) = (0, 0);
        }
        match end {
            End::Leaderless => self.left = self.left.saturating_add(1),
            End::Silent => self.silent = self.silent.saturating_add(1),
            _ => {}
        }
    }

    /// How many times the usual patience a gateway gets that does not answer. The first that falls silent is most
    /// likely dead. When the next does so too, it is likelier that all are overloaded, and that leaving them adds to it.
    pub(super) fn patience_with_silence(self) -> u32 {
        1 << self.silent.saturating_sub(1).min(MAX_DOUBLINGS)
    }

    /// How long to bear a gateway without a leader; absent when there is no other to go to.
    fn patience(self, beat: Duration, controllers: usize) -> Option<Duration> {
        let controllers = u32::try_from(controllers).unwrap_or(u32::MAX);
        if controllers < 2 {
            return None;
        }
        let first = beat * MISSED;
        // An agent that has had no lease yet may be one of thousands that started at this moment, whose first
        // heartbeats all wait for each other's handshakes.
        Some(if self.led && self.left < controllers { first } else { SETTLED.max(first) })
    }
}

/// When a leader was last heard of through one gateway.
#[derive(Debug)]
pub(super) struct Watch {
    search: Search,
    beat: Duration,
    controllers: usize,
    /// Times the patience that the search allows: agents differ by up to a third, because a whole fleet must not move at
    /// one moment when nobody leads for a while.
    stretch: f64,
    begun: Instant,
    heard: Instant,
}

impl Watch {
    /// For a session that begins now, with one of `controllers` and a heartbeat each `beat`.
    pub(super) fn new(
        search: Search,
        beat: Duration,
        controllers: usize,
        now: Instant,
        rng: &mut SmallRng,
    ) -> Self {
        let stretch = rng.random_range(1.0..=LONGEST);
        Self { search, beat, controllers, stretch, begun: now, heard: now }
    }

    /// The gateway knows of a lease. What this session has seen of a leader counts as much as what earlier ones have.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.search.led = true;
        if now.duration_since(self.begun) >= STEADY {
            self.search.left = 0;
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.search.patience(self.beat, self.controllers).map(|patience| patience.mul_f64(self.stretch))
    }

    /// When to leave; absent when there is nowhere to go.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.patience().map(|patience| self.heard + patience)
    }

    /// The moment to leave has come. Returns whether to do so: not when this process itself stood still past it,
    /// because then the leases may lie unread; they get another full wait.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        let Some(patience) = self.patience() else { return false };
        let stood_still = now > self.heard + patience + patience / 4;
        if stood_still {
            self.heard = now;
        }
        !stood_still
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const BEAT: Duration = Duration::from_secs(1);

    fn after(left: u32) -> Search {
        let mut search = Search { left: 0, silent: 0, led: true };
        for _ in 0..left {
            search.ended(&End::Leaderless, false, BEAT);
        }
        search
    }

    /// Gateways left in vain, of how many, whether there was a leader ever, and the seconds that the next one gets.
    #[test]
    fn after_one_round_in_vain_it_settles_down() {
        for (left, controllers, led, secs) in [
            (0, 3, true, Some(3)),
            (2, 3, true, Some(3)),
            (3, 3, true, Some(60)),
            (u32::MAX, 2, true, Some(60)),
            (0, 3, false, Some(60)),
            (3, 3, false, Some(60)),
            (0, 1, true, None),
            (9, 0, true, None),
        ] {
            let expected = secs.map(Duration::from_secs);
            let search = Search { left, silent: 0, led };
            assert_eq!(search.patience(BEAT, controllers), expected, "{left} of {controllers}");
        }
    }

    #[test]
    fn a_steady_session_with_a_leader_ends_the_search() {
        let mut search = after(7);
        search.ended(&End::Leaderless, false, STEADY);
        assert_eq!(search, after(8), "steady, and nobody led");
        search.ended(&End::Gone, true, BEAT);
        assert_eq!(search, after(8), "led for a moment");
        search.ended(&End::Leaderless, true, STEADY);
        assert_eq!(search, after(1), "it had a leader and lost it");
        search.ended(&End::Gone, true, STEADY);
        assert_eq!(search, after(0));
    }

    #[test]
    fn silence_is_borne_longer_when_it_follows_silence() {
        let mut search = after(0);
        let mut patience = |lasted| {
            search.ended(&End::Silent, true, lasted);
            search.patience_with_silence()
        };
        assert_eq!(patience(STEADY), 1, "a gateway died");
        assert_eq!([BEAT; 4].map(&mut patience), [2, 4, 8, 8]);
        assert_eq!(patience(STEADY), 1);
    }

    #[test]
    fn slow_heartbeats_get_their_intervals() {
        assert_eq!(after(0).patience(Duration::from_secs(10), 3), Some(Duration::from_secs(30)));
        let crawling = Duration::from_secs(40);
        assert_eq!(after(0).patience(crawling, 3), Some(crawling * MISSED));
    }

    fn watch(start: Instant) -> Watch {
        Watch::new(after(0), BEAT, 3, start, &mut SmallRng::seed_from_u64(1))
    }

    #[test]
    fn a_thousand_agents_do_not_move_at_once() {
        let start = Instant::now();
        let waits: Vec<_> = (0..1000)
            .map(|seed| {
                let mut rng = SmallRng::seed_from_u64(seed);
                let watch = Watch::new(after(0), BEAT, 3, start, &mut rng);
                watch.deadline().expect("there are others") - start
            })
            .collect();
        assert!(waits.iter().all(|wait| (BEAT * 3..=BEAT * 4).contains(wait)));
        for tenth in 0..10 {
            let from = BEAT * 3 + Duration::from_millis(tenth * 100);
            let moving =
                waits.iter().filter(|wait| (from..from + Duration::from_millis(100)).contains(*wait));
            assert!(moving.count() < 200, "after {from:?}");
        }
    }

    /// An agent's first session may last for months.
    #[test]
    fn what_a_session_has_seen_of_a_leader_counts_at_once() {
        let start = Instant::now();
        let watch = |search| Watch::new(search, BEAT, 3, start, &mut SmallRng::seed_from_u64(1));
        let left_after = |watch: &Watch, now: Instant| watch.deadline().expect("there are others") - now;
        let mut first = watch(Search::default());
        assert!(left_after(&first, start) >= SETTLED);
        first.heard(start + BEAT);
        assert!(left_after(&first, start + BEAT) <= BEAT * 4);
        let mut restless = watch(after(3));
        restless.heard(start + BEAT);
        assert!(left_after(&restless, start + BEAT) >= SETTLED);
        restless.heard(start + STEADY);
        assert!(left_after(&restless, start + STEADY) <= BEAT * 4);
    }

    #[test]
    fn only_a_leader_puts_off_the_end() {
        let start = Instant::now();
        let mut watch = watch(start);
        let first = watch.deadline().expect("there are others");
        watch.heard(start + BEAT);
        assert_eq!(watch.deadline(), Some(first + BEAT));
        assert!(watch.give_up(first + BEAT));
    }

    #[test]
    fn a_process_that_stood_still_does_not_blame_its_gateway() {
        let start = Instant::now();
        let mut watch = watch(start);
        let wait = watch.deadline().expect("there are others") - start;
        assert!(!watch.give_up(start + BEAT * 30));
        assert_eq!(watch.deadline(), Some(start + BEAT * 30 + wait));
    }
}
