//! Whether the gateway still answers. Pure.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// A gateway that leaves heartbeats unanswered for this many intervals is given up. At one a second that is half
/// a second before the leader would begin to suspect this host.
const MISSED: f64 = 2.5;
/// Unanswered heartbeats remembered; far more than are ever sent before giving up.
const REMEMBERED: usize = 16;

/// The heartbeats of one session that have not been answered.
#[derive(Debug)]
pub(super) struct Acks {
    patience: Duration,
    unanswered: VecDeque<(u64, Instant)>,
    last_seq: u64,
}

impl Acks {
    /// For heartbeats sent this often, with so many times the usual patience.
    pub(super) fn new(interval: Duration, times: u32) -> Self {
        Self { patience: interval.mul_f64(MISSED) * times, unanswered: VecDeque::new(), last_seq: 0 }
    }

    /// A heartbeat leaves; returns its number.
    pub(super) fn sent(&mut self, now: Instant) -> u64 {
        self.last_seq += 1;
        if self.unanswered.len() < REMEMBERED {
            self.unanswered.push_back((self.last_seq, now));
        }
        self.last_seq
    }

    /// The gateway answered heartbeat `seq`, and thereby all before it.
    pub(super) fn answered(&mut self, seq: u64) {
        while self.unanswered.front().is_some_and(|&(sent, _)| sent <= seq) {
            self.unanswered.pop_front();
        }
    }

    /// When to give the gateway up; absent while it owes no answer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.unanswered.front().map(|&(_, sent)| sent + self.patience)
    }

    /// The moment to give up has come. Returns whether to do so: not when this process itself stood still past
    /// that moment, because then the answers may lie unread; they get another full wait.
    pub(super) fn give_up(&mut self, now: Instant) -> bool {
        let stood_still = self.deadline().is_some_and(|deadline| now > deadline + self.patience / 4);
        if stood_still {
            for (_, sent) in &mut self.unanswered {
                *sent = now;
            }
        }
        !stood_still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_oldest_unanswered_heartbeat_decides() {
        let start = Instant::now();
        let mut acks = Acks::new(SECOND, 1);
        assert_eq!(acks.deadline(), None);
        assert_eq!(acks.sent(start), 1);
        assert_eq!(acks.sent(start + SECOND), 2);
        assert_eq!(acks.deadline(), Some(start + SECOND.mul_f64(2.5)));
        acks.answered(1);
        assert_eq!(acks.deadline(), Some(start + SECOND + SECOND.mul_f64(2.5)));
        acks.answered(2);
        assert_eq!(acks.deadline(), None);
    }

    #[test]
    fn a_process_that_stood_still_does_not_blame_its_gateway() {
        let start = Instant::now();
        let mut acks = Acks::new(SECOND, 1);
        acks.sent(start);
        assert!(!acks.give_up(start + SECOND * 30));
        let deadline = acks.deadline().expect("still unanswered");
        assert_eq!(deadline, start + SECOND * 30 + SECOND.mul_f64(2.5));
        assert!(acks.give_up(deadline));
    }

    #[test]
    fn a_late_or_invented_answer_changes_nothing() {
        let mut acks = Acks::new(SECOND, 1);
        acks.sent(Instant::now());
        acks.answered(0);
        assert!(acks.deadline().is_some());
        for _ in 0..1000 {
            acks.sent(Instant::now());
        }
        assert_eq!(acks.unanswered.len(), REMEMBERED);
        acks.answered(u64::MAX);
        assert_eq!(acks.deadline(), None);
    }
}
