//! Wall time of a simulation: it stands still with the runtime's clock and jumps with it.

use omni_common::clock::{Clock, Time};
use tokio::time::Instant;

/// Where simulated time begins: 2027-01-15, so that nothing depends on the day a test runs.
const BEGIN: Time = Time::from_secs(1_800_000_000);

/// Wall time that runs with the runtime's clock.
#[derive(Clone, Copy, Debug)]
pub struct SimClock(Instant);

impl SimClock {
    /// A clock that shows [`BEGIN`] now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// When the simulation began.
    pub fn began(&self) -> Instant {
        self.0
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        BEGIN.plus(self.0.elapsed())
    }
}
