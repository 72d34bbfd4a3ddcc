//! restic repeats what failed, for a quarter of an hour and more, and cannot be told not to. What cannot end
//! well by repeating is ended here, with the reason that stands in its message: `Save(<lock/01d64c0b77>)
//! returned error, retrying after 552.330144ms: open …: permission denied`.

use super::patterns::{Cause, cause};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Requests under way at once are few (five, unless told otherwise). Beyond this bound new ones are not
/// timed.
const MAX_REQUESTS: usize = 64;

/// A message about a repetition.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Repetition<'a> {
    /// `Save(<lock/01d64c0b77>)`.
    request: &'a str,
    /// How long restic waits before it tries again.
    wait: Duration,
    /// Why it has to.
    reason: &'a str,
}

impl<'a> Repetition<'a> {
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (request, rest) = line.split_once(" returned error, retrying after ")?;
        let (wait, reason) = rest.split_once(": ")?;
        // Go writes `1m27.9s`.
        let wait: SignedDuration = wait.parse().unwrap_or_default();
        Some(Self { request, wait: wait.try_into().unwrap_or_default(), reason })
    }

    /// What no repetition changes.
    pub(super) fn hopeless(&self, checking: bool) -> Option<Cause> {
        let gone = self.request.starts_with("Load(")
            && ["no such file or directory", "does not exist"]
                .iter()
                .any(|words| self.reason.contains(words));
        if gone {
            // A check goes on to what else is wrong.
            return Some(Cause::Damaged).filter(|_| !checking);
        }
        let whole = format!("{} {}", self.request, self.reason);
        cause(&whole).filter(|cause| matches!(cause, Cause::Refused | Cause::AccessDenied | Cause::Full))
    }
}

/// Since when each request is being repeated.
#[derive(Debug, Default)]
pub(super) struct Retries {
    since: BTreeMap<String, Instant>,
}

impl Retries {
    /// Whether a request has been repeated for longer than `patience`, or will have been before it is tried
    /// again.
    pub(super) fn exhausted(
        &mut self,
        repetition: &Repetition<'_>,
        patience: Duration,
        now: Instant,
    ) -> bool {
        if let Some(since) = self.since.get(repetition.request) {
            return now.saturating_duration_since(*since).saturating_add(repetition.wait) > patience;
        }
        if self.since.len() < MAX_REQUESTS {
            self.since.insert(repetition.request.to_owned(), now);
        }
        repetition.wait > patience
    }
}
