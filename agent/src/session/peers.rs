//! Which controller to try next, and how long to wait when none answered.
//!
//! Pure: the random source comes in. A thousand agents that lose their controllers at once spread over the
//! others by the random order, and over time by the random wait.

use omni_common::ids::ControllerId;
use omni_common::wire::ControllerAddress;
use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::time::Duration;

/// First wait after a round in which no controller took us.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait between two rounds.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The order of one round: controllers of our own region first, then the others, each group shuffled. The one
/// that just failed comes last.
pub(super) fn order(
    controllers: &[ControllerAddress],
    region: Option<&str>,
    failed: Option<ControllerId>,
    rng: &mut SmallRng,
) -> Vec<ControllerAddress> {
    let mut order = controllers.to_vec();
    order.shuffle(rng);
    // Stable, so the shuffle survives within each group.
    order.sort_by_key(|controller| {
        let near = region.is_some() && controller.region.as_deref() == region;
        (Some(controller.id) == failed, !near)
    });
    order
}

/// How long to wait before round `attempt` (counted from zero): between half and all of an exponential step.
pub(super) fn delay(attempt: u32, rng: &mut SmallRng) -> Duration {
    let step = FIRST_WAIT.saturating_mul(1u32 << attempt.min(16)).min(MAX_WAIT);
    step.mul_f64(rng.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn controllers(count: u64) -> Vec<ControllerAddress> {
        let one = |id| ControllerAddress {
            id: ControllerId(id),
            quic: format!("c{id}:7600"),
            region: Some(if id % 2 == 0 { "eu" } else { "us" }.to_owned()),
        };
        (1..=count).map(one).collect()
    }

    proptest! {
        #[test]
        fn every_controller_is_tried_once_near_ones_first(count in 0u64..9, failed in 0u64..9, seed: u64) {
            let all = controllers(count);
            let failed = ControllerId(failed);
            let order = order(&all, Some("eu"), Some(failed), &mut SmallRng::seed_from_u64(seed));
            prop_assert_eq!(order.iter().map(|c| c.id).collect::<BTreeSet<_>>().len(), all.len());
            let rank = |c: &ControllerAddress| (c.id == failed, c.region.as_deref() != Some("eu"));
            prop_assert!(order.is_sorted_by_key(rank));
        }

        #[test]
        fn waits_grow_to_a_cap_and_differ(attempt in 0u32..100, seed: u64) {
            let wait = delay(attempt, &mut SmallRng::seed_from_u64(seed));
            prop_assert!(wait <= MAX_WAIT);
            prop_assert!(wait >= FIRST_WAIT / 2);
        }
    }

    #[test]
    fn a_thousand_agents_do_not_come_at_once() {
        let tenths = (0..1000)
            .map(|seed| delay(10, &mut SmallRng::seed_from_u64(seed)).as_millis() / 100)
            .fold([0; 51], |mut counts, tenth| {
                counts[tenth as usize] += 1;
                counts
            });
        assert!(tenths.iter().all(|&count| count < 100), "{tenths:?}");
    }
}
