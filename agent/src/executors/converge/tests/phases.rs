//! How a container is doing, as a table.

use crate::executors::converge::names::{self, Own};
use crate::executors::converge::phase::{LOOP, Phase, Restarts, phase};
use omni_common::clock::Time;
use omni_common::domain::{Container, ContainerState, Health};
use std::time::Duration;

const NOW: Time = Time::from_secs(1_800_000_000);

fn container(policy: &str, state: ContainerState) -> Container {
    let mut container = crate::sim::container("web");
    container.labels = [
        (names::ALLOCATION, "00000000-0000-0000-0000-000000000001"),
        (names::HOST, "h"),
        (names::APP, "shop"),
        (names::GROUP, "main"),
        (names::SERVICE, "web"),
        (names::SLOT, "0"),
        (names::RESTART, policy),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    container.state = state;
    container.health = Health::None;
    container.started = Some(NOW.minus(Duration::from_secs(300)));
    container
}

fn of(container: &Container, count: u32, stopped: bool) -> Phase {
    phase(&Own::read(container, "h").expect("ours"), Restarts { count, stopped }, NOW)
}

fn exited(policy: &str, code: i64) -> Container {
    let finished = Some(NOW.minus(Duration::from_secs(1)));
    let started = Some(NOW.minus(Duration::from_secs(3)));
    Container { exit_code: Some(code), finished, started, ..container(policy, ContainerState::Exited) }
}

#[test]
fn ends() {
    let halted = |phase: Phase| matches!(phase, Phase::Halted(_));
    assert_eq!(of(&exited("no", 0), 0, false), Phase::Completed);
    assert_eq!(of(&exited("no", 1), 0, false), Phase::Crashed("ended with exit code 1".to_owned()));
    assert!(halted(of(&exited("no", 143), 0, false)));
    assert!(halted(of(&exited("no", 1), 0, true)), "the agent stopped it, to start it again");
    assert!(halted(of(&exited("always", 0), 0, false)));
    assert!(halted(of(&exited("unless-stopped", 1), LOOP - 1, false)));
    assert!(matches!(of(&exited("unless-stopped", 1), LOOP, false), Phase::Looping(_)));
    assert_eq!(of(&exited("on-failure", 0), 0, false), Phase::Completed);
    assert!(halted(of(&exited("on-failure:3", 1), 2, false)));
    assert!(matches!(of(&exited("on-failure:3", 1), 3, false), Phase::Crashed(_)));
}

#[test]
fn rests_grow_and_a_good_run_forgives() {
    let rest = |container: &Container, count| match of(container, count, false) {
        Phase::Halted(at) => at.since(container.finished.expect("it ended")).as_secs(),
        other => panic!("{other:?}"),
    };
    let short = exited("always", 1);
    assert_eq!([0, 1, 2, 3].map(|count| rest(&short, count)), [0, 2, 4, 8]);
    let long = Container { started: Some(NOW.minus(Duration::from_secs(3_000))), ..short };
    assert_eq!(rest(&long, 3), 0);
}

#[test]
fn runs() {
    let running = container("always", ContainerState::Running);
    assert_eq!(of(&running, 0, false), Phase::Up);
    let with = |health| Container { health, ..running.clone() };
    assert_eq!(of(&with(Health::Healthy), 0, false), Phase::Up);
    assert_eq!(of(&with(Health::Starting), 0, false), Phase::Warming);
    assert_eq!(of(&with(Health::Unhealthy), 0, false), Phase::Sick(String::new()));
    let fresh =
        Container { started: Some(NOW.minus(Duration::from_secs(2))), restarts: 2, ..running.clone() };
    assert!(matches!(of(&fresh, 0, false), Phase::Shaky(_)));
    let again = Container { restarts: LOOP, ..fresh };
    assert!(matches!(of(&again, 0, false), Phase::Looping(_)));
    let settled = Container { started: running.started, ..again };
    assert_eq!(of(&settled, 0, false), Phase::Up, "it has run for minutes since");
    for (state, expected) in [
        (ContainerState::Created, Phase::Created),
        (ContainerState::Paused, Phase::Paused),
        (ContainerState::Removing, Phase::Going),
    ] {
        assert_eq!(of(&container("no", state), 0, false), expected);
    }
    let between = container("always", ContainerState::Restarting);
    assert!(matches!(of(&between, 0, false), Phase::Shaky(_)));
}

#[test]
fn labels_that_are_not_ours_are_nobodys() {
    let mut container = container("no", ContainerState::Running);
    assert!(Own::read(&container, "another").is_none());
    container.labels.insert(names::ALLOCATION.to_owned(), "not an id".to_owned());
    assert!(Own::read(&container, "h").is_none());
}
