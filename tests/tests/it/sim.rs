//! Clusters under simulated faults. `make sim SEED=n` repeats one seed; `docs/how-to/simulate.md` tells more.

use omni_tests::sim::live;
use omni_tests::sim::seeds::{Share, each};
use tokio::runtime::{Builder, Runtime};

/// Seeds of every run of the tests; shared out between the four tests below.
const SEEDS: u64 = 12;

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without I/O")
}

fn share(part: u64) {
    each(Share { part, of: 4, seeds: SEEDS }, paused, live);
}

#[test]
fn promises_hold_under_faults_first_share() {
    share(0);
}

#[test]
fn promises_hold_under_faults_second_share() {
    share(1);
}

#[test]
fn promises_hold_under_faults_third_share() {
    share(2);
}

#[test]
fn promises_hold_under_faults_fourth_share() {
    share(3);
}
