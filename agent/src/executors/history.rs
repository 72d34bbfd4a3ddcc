//! Recorded samples of this host, a chunk at a time: a day of a host with many containers is hundreds of megabytes.

use super::{Ended, Failure, RequestStream};
use crate::history::Chunks;
use crate::host::Host;
use omni_common::clock::Time;
use omni_common::domain::HostSample;
use omni_common::wire::ReplyFrame;

/// Most samples in one answer: a day and a bit at the usual pace.
const MAX_SAMPLES: u32 = 10_000;

pub(super) async fn run(
    host: &Host,
    from: Time,
    to: Time,
    max: u32,
    stream: &mut RequestStream,
) -> Result<(), Ended> {
    if from > to || max == 0 {
        return Err(Failure::invalid("the range is empty").into());
    }
    let mut chunks = host.history(from, to, max.min(MAX_SAMPLES) as usize).await.map_err(Failure::failed)?;
    stream.reply.send(&ReplyFrame::Started).await?;
    while let (Some(samples), rest) = next(chunks).await? {
        stream.reply.send(&ReplyFrame::Samples(samples)).await?;
        chunks = rest;
    }
    Ok(())
}

/// The next chunk, read from disk without holding up the other tasks.
async fn next(mut chunks: Chunks) -> Result<(Option<Vec<HostSample>>, Chunks), Failure> {
    let read =
        tokio::task::spawn_blocking(move || chunks.next().transpose().map(|samples| (samples, chunks)));
    match read.await {
        Ok(samples) => samples.map_err(Failure::failed),
        Err(error) => Err(Failure::failed(error)),
    }
}
