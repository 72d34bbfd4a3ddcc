//! How long certificates live, and when they are renewed.

use omni_common::clock::Time;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// The root: ten years. Replacing it means joining every machine again, so it outlives hardware.
pub const ROOT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// A host's certificate. A day limits what a stolen key is worth, and leaves eight hours of controller
/// outage before anything expires.
pub const HOST: Duration = HOUR.saturating_mul(24);
/// A controller's certificate.
pub const CONTROLLER: Duration = HOUR.saturating_mul(24);
/// Certificates begin this long before they are made, for peers whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// When a certificate should be renewed: at two thirds of its life.
pub fn renew_at(not_before: Time, not_after: Time) -> Time {
    let life = not_after.since(not_before);
    not_before.plus(life / 3 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_at_two_thirds() {
        let from = Time::from_secs(1_800_000_000);
        assert_eq!(renew_at(from, from.plus(HOST)), from.plus(HOUR * 16));
        assert_eq!(renew_at(from, from), from);
        assert_eq!(renew_at(from, Time::EPOCH), from, "a nonsensical life is over at once");
    }
}
