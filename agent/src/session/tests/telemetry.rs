//! What the host tells without being asked.

use super::*;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::{ContainerState, Health, HostImage, HostSample};
use omni_common::wire::{
    CloseCode, GatewayFrame, MAX_CONTAINERS_PER_FRAME, MAX_IMAGES_PER_FRAME, TelemetryFrame,
};

async fn sample(gateway: &mut Gateway) -> HostSample {
    gateway
        .hears_of(|told| match told {
            Told::Telemetry(TelemetryFrame::Sample(sample)) => Some(sample),
            _ => None,
        })
        .await
}

/// The listing of containers at the beginning of a session: ids, and how many frames they came in.
async fn listing(gateway: &mut Gateway) -> (Vec<String>, usize) {
    let (mut ids, mut frames) = (Vec::new(), 0);
    loop {
        let Told::Telemetry(frame) = gateway.hears().await else { continue };
        match frame {
            TelemetryFrame::Facts(_) => assert_eq!(frames, 0, "facts come first"),
            TelemetryFrame::Containers { reset, upsert, more, .. } => {
                assert_eq!(reset, frames == 0, "the first frame resets");
                assert!(upsert.len() <= MAX_CONTAINERS_PER_FRAME);
                ids.extend(upsert.into_iter().map(|container| container.id));
                frames += 1;
                if !more {
                    return (ids, frames);
                }
            }
            TelemetryFrame::Images { .. } | TelemetryFrame::Runs(_) => {}
            TelemetryFrame::Sample(_) => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn facts_then_every_container_then_changes_at_once() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent_with(&[1], 150, None);
    let (ids, frames) = listing(&mut gateway).await;
    assert_eq!((ids.len(), frames), (150, 3));
    let changed = Instant::now();
    agent.host.change(42, ContainerState::Exited, Health::None);
    let told = gateway
        .hears_of(|told| match told {
            Told::Telemetry(TelemetryFrame::Containers { reset: false, upsert, .. }) => Some(upsert),
            _ => None,
        })
        .await;
    assert_eq!((told.len(), told[0].state), (1, ContainerState::Exited));
    assert_eq!(told[0].id, agent.host.container_id(42));
    assert!(changed.elapsed() < Duration::from_millis(10), "{:?}", changed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_new_session_lists_everything_again() {
    let world = World::new();
    let mut first = world.gateway(1);
    let mut agent = world.agent_with(&[1, 2], 5, None);
    agent.with(first.id).await;
    assert_eq!(listing(&mut first).await.0.len(), 5);
    first.closes(CloseCode::ShuttingDown).await;
    agent.nowhere().await;
    // Changed while nobody was listening.
    agent.host.change(1, ContainerState::Paused, Health::None);
    let mut second = world.gateway(2);
    assert_eq!(listing(&mut second).await.0.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn watching_makes_samples_frequent_for_a_while() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let _agent = world.agent(&[1]);
    let usual = sample(&mut gateway).await.at;
    let next = sample(&mut gateway).await.at;
    assert_eq!(next.since(usual).as_secs(), 10);
    gateway.says(GatewayFrame::Watch { interval_ms: 1_000, for_ms: 5_000 }).await;
    let mut gaps = Vec::new();
    let mut last = next;
    for _ in 0..7 {
        let at = sample(&mut gateway).await.at;
        gaps.push(at.since(last).as_secs());
        last = at;
    }
    assert_eq!(gaps.iter().filter(|&&gap| gap == 1).count(), 5, "{gaps:?}");
    assert_eq!(gaps.last(), Some(&10), "the usual pace is back: {gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_read_costs_samples_but_not_the_session() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    gateway.set(|manners| &manners.deaf_to_telemetry, true);
    // Samples of about 300 KiB: a few fill the stream, a few more the outbox.
    let mut agent = world.agent_with(&[1], 2_000, None);
    agent.with(gateway.id).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(agent.status.borrow().sessions, 1, "heartbeats go on");
    agent.host.change(7, ContainerState::Exited, Health::None);
    gateway.forget();
    gateway.set(|manners| &manners.deaf_to_telemetry, false);
    let (mut dropped, mut told) = (0, false);
    while dropped == 0 || !told {
        match gateway.hears().await {
            Told::Telemetry(TelemetryFrame::Sample(sample)) => dropped += sample.dropped,
            Told::Telemetry(TelemetryFrame::Containers { upsert, .. }) => {
                told |= upsert.iter().any(|container| container.state == ContainerState::Exited);
            }
            _ => {}
        }
    }
    assert!(dropped > 30, "{dropped}");
}

fn image(number: usize) -> HostImage {
    HostImage {
        id: ContentDigest::of(&number.to_be_bytes()),
        tags: vec![format!("web:{number}")],
        size_bytes: 1,
        created: None,
    }
}

/// The next listing of images: their names, and how many frames they came in.
async fn images(gateway: &mut Gateway) -> (Vec<String>, usize) {
    let (mut names, mut frames) = (Vec::new(), 0);
    loop {
        let Told::Telemetry(TelemetryFrame::Images { reset, images, more }) = gateway.hears().await else {
            continue;
        };
        assert_eq!(reset, frames == 0, "the first frame resets");
        assert!(images.len() <= MAX_IMAGES_PER_FRAME);
        names.extend(images.into_iter().flat_map(|image| image.tags));
        frames += 1;
        if !more {
            return (names, frames);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn images_are_told_whenever_they_change() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    let agent = world.agent_with(&[1], 1, None);
    agent.host.set_images((0..150).map(image).collect());
    let (names, frames) = images(&mut gateway).await;
    assert_eq!((names.len(), names[149].as_str(), frames), (150, "web:149", 3));
    agent.host.set_images(Vec::new());
    assert_eq!(images(&mut gateway).await, (Vec::new(), 1), "none is also worth telling");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_knows_nothing_of_images_is_not_told() {
    let world = World::new();
    let mut gateway = world.gateway(1);
    gateway.set(|manners| &manners.imageless, true);
    let agent = world.agent_with(&[1], 1, None);
    agent.host.set_images(vec![image(1)]);
    // A sample comes each ten seconds: a listing would have come long before the third.
    for _ in 0..3 {
        let told = gateway.hears_of(|told| match told {
            Told::Telemetry(frame @ (TelemetryFrame::Images { .. } | TelemetryFrame::Sample(_))) => {
                Some(frame)
            }
            _ => None,
        });
        assert!(matches!(told.await, TelemetryFrame::Sample(_)));
    }
}
