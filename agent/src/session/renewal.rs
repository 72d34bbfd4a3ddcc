//! A fresh certificate over the live session, before the old one ends.

use async_trait::async_trait;
use omni_common::clock::Time;
use std::time::Duration;

/// A request that has not been answered after this long is made again.
const ANSWER: Duration = Duration::from_secs(30);
/// Shortest and longest wait after a refusal or a failure.
const MIN_RETRY: Duration = Duration::from_secs(10);
const MAX_RETRY: Duration = Duration::from_secs(600);

/// A certificate could not be renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// A key or request could not be made, or what came back does not fit.
    #[error("the certificate cannot be used")]
    Certificate(#[from] omni_certs::Error),
    /// A certificate came without having been asked for.
    #[error("a certificate came that was not asked for")]
    Unasked,
    /// It is for somebody else.
    #[error("the certificate is for {0}")]
    Stranger(omni_certs::Identity),
}

/// What shows a controller that this host is who it was, after its certificate has ended.
#[derive(Clone, Debug)]
pub struct Proof {
    /// A request signed with the certificate's key, DER.
    pub csr: Vec<u8>,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The root that issued it; only its controllers are told.
    pub ca: omni_certs::CaFingerprint,
}

/// The host's certificate, as a session renews it.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// From when to when the certificate holds.
    fn validity(&self) -> (Time, Time);

    /// A request for the next certificate, under a fresh key.
    fn request(&self) -> Result<Vec<u8>, RenewError>;

    /// A request for the next certificate under the key of this one, for when no session can be had any more.
    fn prove(&self) -> Result<Proof, RenewError>;

    /// Takes up the certificate that answers the newest request: connections made from now on use it.
    fn accept(&self, chain: Vec<Vec<u8>>) -> Result<(), RenewError>;

    /// Writes it to disk. When that fails, the agent goes on with what it has in memory and asks anew after a
    /// restart.
    async fn save(&self);
}

/// When to ask. Pure.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Time,
    not_after: Time,
    asked: Option<Time>,
}

impl Schedule {
    /// For a certificate that holds from and to these moments.
    pub(super) fn new((not_before, not_after): (Time, Time)) -> Self {
        Self { due: omni_certs::lifetimes::renew_at(not_before, not_after), not_after, asked: None }
    }

    /// Whether to ask now; true once for each request.
    pub(super) fn ask(&mut self, now: Time) -> bool {
        let waiting = self.asked.is_some_and(|asked| now.since(asked) < ANSWER);
        let ask = now >= self.due && !waiting;
        if ask {
            self.asked = Some(now);
        }
        ask
    }

    /// The request was refused, or its answer could not be used: wait, for less the nearer the end is.
    pub(super) fn refused(&mut self, now: Time) {
        let wait = (self.not_after.since(now) / 20).clamp(MIN_RETRY, MAX_RETRY);
        self.due = now.plus(wait);
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn it_asks_at_two_thirds_and_again_when_nothing_comes() {
        let start = Time::from_secs(1_800_000_000);
        let mut schedule = Schedule::new((start, start.plus(HOUR * 24)));
        assert!(!schedule.ask(start.plus(HOUR * 15)));
        let due = start.plus(HOUR * 16);
        assert!(schedule.ask(due));
        assert!(!schedule.ask(due.plus(Duration::from_secs(1))), "one request at a time");
        assert!(schedule.ask(due.plus(ANSWER)));
    }

    #[test]
    fn after_a_refusal_it_waits_but_not_past_the_end() {
        let start = Time::from_secs(1_800_000_000);
        let end = start.plus(HOUR * 24);
        let mut schedule = Schedule::new((start, end));
        let due = start.plus(HOUR * 16);
        assert!(schedule.ask(due));
        schedule.refused(due);
        assert!(!schedule.ask(due.plus(MAX_RETRY / 2)));
        assert!(schedule.ask(due.plus(MAX_RETRY)));
        schedule.refused(end.minus(Duration::from_secs(60)));
        assert!(schedule.ask(end.minus(Duration::from_secs(50))));
    }
}
