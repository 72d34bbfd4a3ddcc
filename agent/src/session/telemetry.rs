//! What the host tells without being asked: facts, containers, samples, on a stream of its own.
//!
//! Changes of containers go first and at once. A gateway that reads slowly delays this stream and no other;
//! meanwhile changes coalesce in the inventory and samples drop oldest first in the outbox.

use super::Agent;
use crate::inventory::Delta;
use omni_common::domain::HostFacts;
use omni_common::wire::{MAX_CONTAINERS_PER_FRAME, TelemetryFrame};
use omni_transport::{Connection, FrameWriter, TransportError};
use std::time::Duration;
use tokio::time::Instant;

/// A frame of containers is closed when it has about this many bytes; with the largest container on top it
/// still fits a frame.
const FRAME_BYTES: usize = 512 << 10;
/// Facts that change without notice (memory added, an address, a card) are noticed this soon.
const RECHECK: Duration = Duration::from_secs(60);

/// Sends until the stream breaks.
pub(super) async fn run(agent: &Agent, connection: &Connection) -> TransportError {
    match send(agent, connection).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn send(agent: &Agent, connection: &Connection) -> Result<std::convert::Infallible, TransportError> {
    let mut writer = FrameWriter::new(connection.open_uni().await?);
    let machine = agent.machine.as_ref();
    let inventory = machine.inventory();
    let mut facts = machine.facts().await;
    send_facts(&mut writer, &facts).await?;
    inventory.rewind();
    let mut recheck = tokio::time::interval_at(Instant::now() + RECHECK, RECHECK);
    loop {
        tokio::select! {
            biased;
            () = inventory.changed() => {
                while let Some(delta) = inventory.take(MAX_CONTAINERS_PER_FRAME, FRAME_BYTES) {
                    writer.send(&containers(delta)).await?;
                }
            }
            () = either(machine.facts_changed(), recheck.tick()) => {
                let now = machine.facts().await;
                if now != facts {
                    send_facts(&mut writer, &now).await?;
                    facts = now;
                }
            }
            () = agent.outbox.filled() => {
                if let Some(sample) = agent.outbox.pop() {
                    writer.send(&TelemetryFrame::Sample(sample)).await?;
                }
            }
        }
    }
}

async fn either<T>(one: impl Future<Output = ()>, other: impl Future<Output = T>) {
    tokio::select! {
        () = one => {}
        _ = other => {}
    }
}

async fn send_facts(
    writer: &mut FrameWriter<TelemetryFrame>,
    facts: &HostFacts,
) -> Result<(), TransportError> {
    writer.send(&TelemetryFrame::Facts(facts.clone())).await
}

fn containers(delta: Delta) -> TelemetryFrame {
    TelemetryFrame::Containers {
        reset: delta.reset,
        upsert: delta.upsert,
        removed: delta.removed,
        more: delta.more,
    }
}
