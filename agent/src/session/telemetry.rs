//! What the host tells without being asked: facts, containers, images, samples, on a stream of its own.
//!
//! Changes of containers go first and at once. A gateway that reads slowly delays this stream and no other;
//! meanwhile changes coalesce in the inventory and samples drop oldest first in the outbox.

use super::Agent;
use crate::docker::Images;
use crate::inventory::Delta;
use omni_common::domain::{HostFacts, HostImage};
use omni_common::wire::{MAX_CONTAINERS_PER_FRAME, MAX_IMAGES_PER_FRAME, TelemetryFrame};
use omni_transport::{Connection, FrameWriter, TransportError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

/// A frame of containers is closed when it has about this many bytes; with the largest container on top it
/// still fits a frame.
const FRAME_BYTES: usize = 512 << 10;
/// Facts that change without notice (memory added, an address, a card) are noticed this soon.
const RECHECK: Duration = Duration::from_secs(60);
/// How far runs are is told this often.
const PROGRESS: Duration = Duration::from_secs(1);

/// Sends until the stream breaks; `images` and `runs` to a gateway that knows about them.
pub(super) async fn run(agent: &Agent, connection: &Connection, images: bool, runs: bool) -> TransportError {
    match send(agent, connection, images, runs).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn send(
    agent: &Agent,
    connection: &Connection,
    images: bool,
    runs: bool,
) -> Result<std::convert::Infallible, TransportError> {
    let mut writer = FrameWriter::new(connection.open_uni().await?);
    let machine = agent.machine.as_ref();
    let inventory = machine.inventory();
    let mut facts = machine.facts().await;
    send_facts(&mut writer, &facts).await?;
    inventory.rewind();
    let mut images = images.then(|| machine.images());
    if let Some(images) = &mut images {
        images.mark_changed();
    }
    let mut images_told = false;
    let mut progress = tokio::time::interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
            listed = newest(&mut images) => {
                // Until they were listed once nothing is known, which is not the same as that there are none.
                images_told |= listed.is_some();
                if images_told {
                    for frame in images_of(listed.as_deref().map_or(&[][..], Vec::as_slice)) {
                        writer.send(&frame).await?;
                    }
                }
            }
            _ = progress.tick(), if runs => {
                let under_way = agent.runs.progress();
                if !under_way.is_empty() {
                    writer.send(&TelemetryFrame::Runs(under_way)).await?;
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

/// The images whenever they have changed; never for a gateway that does not know about them. Cancel-safe.
async fn newest(images: &mut Option<watch::Receiver<Images>>) -> Images {
    if let Some(images) = images
        && images.changed().await.is_ok()
    {
        return images.borrow_and_update().clone();
    }
    std::future::pending().await
}

fn images_of(listed: &[HostImage]) -> Vec<TelemetryFrame> {
    let mut chunks: Vec<Vec<HostImage>> =
        listed.chunks(MAX_IMAGES_PER_FRAME).map(<[HostImage]>::to_vec).collect();
    if chunks.is_empty() {
        chunks.push(Vec::new());
    }
    let last = chunks.len() - 1;
    let frame = |(number, images)| TelemetryFrame::Images { reset: number == 0, images, more: number < last };
    chunks.into_iter().enumerate().map(frame).collect()
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
