//! Waiting for a value. Tests never sleep for a length of time and then hope.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at. Short against everything that is waited for here.
const POLL: Duration = Duration::from_millis(30);

/// Looks until `look` finds a value, for at most `within`, and returns it.
///
/// # Errors
/// When the time is over; the message names `what` was waited for.
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("not within {within:?}: {what}");
        }
        #[allow(clippy::disallowed_methods, reason = "the one poll loop that everything else waits through")]
        thread::sleep(POLL);
    }
}
