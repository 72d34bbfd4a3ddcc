//! Moving from one controller to another.

use super::*;
use crate::session::LeaseState;
use omni_common::wire::{CloseCode, GatewayFrame};

/// The promise, in simulated time.
const WITHIN: Duration = Duration::from_secs(1);

/// Two gateways and an agent; the first of the pair is the one it is with.
async fn pair(world: &World) -> (Gateway, Gateway, Running) {
    let gateways = [world.gateway(1), world.gateway(2)];
    let mut agent = world.agent(&[1, 2]);
    let first = agent.somewhere().await;
    let [one, two] = gateways;
    if one.id == first { (one, two, agent) } else { (two, one, agent) }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stops_is_left_at_once() {
    for how in [CloseCode::ShuttingDown, CloseCode::TooOld, CloseCode::Internal, CloseCode::Flood] {
        let world = World::new();
        let (mut near, far, mut agent) = pair(&world).await;
        near.closes(how).await;
        let lost = Instant::now();
        agent.with(far.id).await;
        assert!(lost.elapsed() < WITHIN, "{how}: {:?}", lost.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn goodbye_is_enough() {
    let world = World::new();
    let (mut near, far, mut agent) = pair(&world).await;
    near.says(GatewayFrame::Goodbye { reason: "upgrade".to_owned() }).await;
    let lost = Instant::now();
    agent.with(far.id).await;
    assert!(lost.elapsed() < WITHIN, "{:?}", lost.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_silent_is_left_after_two_and_a_half_heartbeats() {
    let world = World::new();
    let (near, far, mut agent) = pair(&world).await;
    world.net.crash(near.network.name());
    let lost = Instant::now();
    agent.with(far.id).await;
    let after = lost.elapsed();
    assert!(
        after > Duration::from_millis(1_500) && after < Duration::from_millis(3_500) + WITHIN,
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_hangs_is_left_though_its_connection_lives() {
    let world = World::new();
    let (near, far, mut agent) = pair(&world).await;
    near.set(|manners| &manners.mute, true);
    agent.with(far.id).await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_without_a_leader_is_left_before_the_host_is_given_up() {
    let world = World::new();
    let (near, far, mut agent) = pair(&world).await;
    let mut lease = agent.agent.lease();
    lease.wait_for(|state| matches!(state, LeaseState::Valid { .. })).await.expect("the agent lives");
    near.set(|manners| &manners.leaderless, true);
    agent.with(far.id).await;
    lease.wait_for(|state| matches!(state, LeaseState::Valid { .. })).await.expect("the agent lives");
    assert!(!matches!(*lease.borrow(), LeaseState::Expired), "the lease did not run out on the way");
}

#[tokio::test(start_paused = true)]
async fn when_nobody_leads_it_settles_down() {
    let world = World::new();
    let gateways = [world.gateway(1), world.gateway(2), world.gateway(3)];
    for gateway in &gateways {
        gateway.set(|manners| &manners.leaderless, true);
    }
    let mut agent = world.agent(&[1, 2, 3]);
    agent.somewhere().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let sessions = agent.status.borrow().sessions;
    // One round, and then about one session a minute.
    assert!((9..=14).contains(&sessions), "{sessions} sessions in ten minutes");
    agent.somewhere().await;
}

#[tokio::test(start_paused = true)]
async fn dead_controllers_in_the_list_cost_a_head_start_each() {
    let world = World::new();
    let alive = world.gateway(5);
    let begun = Instant::now();
    let mut agent = world.agent(&[1, 2, 3, 4, 5]);
    agent.with(alive.id).await;
    assert!(begun.elapsed() < Duration::from_millis(1_250), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_all_are_away_it_keeps_trying_and_catches_up() {
    let world = World::new();
    let mut agent = world.agent(&[1, 2, 3]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(agent.status.borrow().sessions, 0);
    let back = Instant::now();
    let mut gateway = world.gateway(2);
    agent.with(gateway.id).await;
    // The longest wait between rounds, and a round of dead addresses.
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    let sample = gateway
        .hears_of(|told| match told {
            Told::Telemetry(omni_common::wire::TelemetryFrame::Sample(sample)) => Some(sample),
            _ => None,
        })
        .await;
    assert!(sample.dropped > 0, "what could not be kept is counted");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_network_is_not_hammered() {
    let world = World::new();
    let agent = world.agent(&[1, 2, 3]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let dialled = world.net.counters()["dialled"];
    assert!(dialled < 600, "{dialled} dials in ten minutes");
    agent.stop.cancel();
    agent.ended.await.expect("no panic").expect("stopped on request");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_lasts_is_not_hammered_either() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent(&[1]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        gateway.hears_of(|told| matches!(told, Told::Hello(_)).then_some(())).await;
        gateway.closes(CloseCode::Internal).await;
    }
    let sessions = agent.status.borrow().sessions;
    assert!(sessions < 60, "{sessions} sessions in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_controller_learnt_of_in_a_session_is_used_later() {
    let world = World::new();
    let mut first = world.gateway(1);
    let newer = world.gateway(9);
    let mut agent = world.agent(&[1]);
    agent.with(first.id).await;
    let controllers = Some(list(2, &[1, 9]));
    first.says(GatewayFrame::HeartbeatAck { seq: 0, lease: None, controllers }).await;
    let known = || agent.agent.book.version() == 2;
    while !known() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.closes(CloseCode::ShuttingDown).await;
    agent.with(newer.id).await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_survives_a_move_and_ends_when_nobody_renews_it() {
    let world = World::new();
    let (mut near, far, mut agent) = pair(&world).await;
    let mut lease = agent.agent.lease();
    let valid = lease.wait_for(|state| matches!(state, LeaseState::Valid { .. })).await;
    drop(valid.expect("the agent lives"));
    for gateway in [&near, &far] {
        gateway.set(|manners| &manners.leaderless, true);
    }
    near.closes(CloseCode::ShuttingDown).await;
    agent.with(far.id).await;
    assert!(matches!(*lease.borrow(), LeaseState::Valid { .. }));
    let since = Instant::now();
    lease.wait_for(|state| *state == LeaseState::Expired).await.expect("the agent lives");
    assert!(since.elapsed() <= Duration::from_secs(6), "{:?}", since.elapsed());
}
