//! What one round of trying controllers after the other came to, and what all of them have taught so far.

use super::end::{End, Next};
use super::leaderless::Search;
use super::removal::Removal;
use omni_common::ids::ControllerId;
use omni_common::wire::ControllerAddress;
use std::time::Duration;
use tokio::time::Instant;

/// A session that lasted this long was a good one: its end starts a fresh round without a wait.
const GOOD_SESSION: Duration = Duration::from_secs(5);
/// How long to leave the session to another process with our identity: doubled each time it happens again
/// within `YIELD_MEMORY`.
const FIRST_YIELD: Duration = Duration::from_secs(1);
const MAX_YIELD: Duration = Duration::from_secs(60);
const YIELD_MEMORY: Duration = Duration::from_secs(300);

/// What came of trying each controller once.
pub(super) enum Round {
    /// The agent stops.
    Stopped,
    /// Another process took the session.
    Yielded,
    /// There was a session that lasted; it is over.
    Lost,
    /// Nobody took us.
    Vain,
}

/// What the rounds so far have taught.
#[derive(Default)]
pub(super) struct Course {
    /// The controller that was lost or turned us away last.
    pub(super) left: Option<ControllerId>,
    pub(super) rounds_in_vain: u32,
    pub(super) last_words: String,
    pub(super) removal: Removal,
    pub(super) yields: Yields,
    pub(super) search: Search,
}

impl Course {
    /// A session, or, where there is no time it lasted, an attempt at one, has ended. Returns how the round ends, if it does.
    pub(super) fn ended(
        &mut self,
        controller: &ControllerAddress,
        end: &End,
        lasted: Option<Duration>,
    ) -> Option<Round> {
        let good = lasted.is_some_and(|lasted| lasted >= GOOD_SESSION);
        if good {
            self.rounds_in_vain = 0;
        }
        if self.rounds_in_vain == 0 {
            tracing::info!(controller = %controller.id, address = controller.quic, reason = %end, "session over");
        } else {
            tracing::debug!(controller = %controller.id, address = controller.quic, reason = %end, "session over");
        }
        self.left = Some(controller.id);
        self.last_words = end.to_string();
        match end.next() {
            Next::Stop => Some(Round::Stopped),
            Next::Yield => Some(Round::Yielded),
            Next::Doubt if lasted.is_some() => {
                self.removal.seen_to_go();
                Some(Round::Lost)
            }
            Next::Doubt => {
                self.removal.heard(controller.id, Instant::now());
                None
            }
            Next::Move if good => Some(Round::Lost),
            Next::Move => None,
        }
    }
}

/// How often another process has taken the session away.
#[derive(Default)]
pub(super) struct Yields {
    count: u32,
    last: Option<Instant>,
}

impl Yields {
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.duration_since(last) > YIELD_MEMORY) {
            self.count = 0;
        }
        let wait = FIRST_YIELD.saturating_mul(1 << self.count.min(10)).min(MAX_YIELD);
        tracing::warn!(
            wait_s = wait.as_secs(),
            "another process took over this host's session; is its data folder in use on a second machine?"
        );
        self.count += 1;
        self.last = Some(now + wait);
        wait
    }
}
