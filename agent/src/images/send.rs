//! Hands an image on: reads it out of the engine once, and sends what the other host lacks.

use super::archive::{self, ArchiveError, Layer};
use super::{BEAT, IDLE, Images};
use crate::docker::Engine;
use crate::executors::{Ended, Failure, RequestStream};
use bytes::Bytes;
use omni_common::domain::app::ContentDigest;
use omni_common::wire::{
    ImageInput, ImageOffer, ImageReply, ImageRequest, MAX_LAYERS, ReplyFrame, RequestInput,
};
use std::collections::BTreeMap;
use std::io::{self, Read, SeekFrom};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Bytes of a layer in one frame, and how many frames wait to be sent.
const CHUNK: usize = 256 << 10;
const CHUNKS: usize = 4;
/// The other host compares the offer with what its engine has before it answers.
const ANSWER: Duration = Duration::from_secs(120);

/// The layers that the other side lacks, and from which byte on.
type Wanted = BTreeMap<ContentDigest, u64>;

impl Images {
    /// Answers a request for an image.
    pub async fn send(&self, request: ImageRequest, stream: &mut RequestStream) -> Result<(), Ended> {
        let Ok(_place) = self.sending.clone().try_acquire_owned() else {
            return Err(Failure::busy("this host hands on as many images as it can at a time").into());
        };
        let engine = self.docker.engine()?;
        let offer = offer(&engine, &request).await?;
        stream.reply.send(&image(ImageReply::Offer(offer))).await?;
        let wanted = wanted(stream).await?;
        self.send_layers(&engine, &request.id, wanted, stream).await
    }

    async fn send_layers(
        &self,
        engine: &Engine,
        id: &ContentDigest,
        wanted: Wanted,
        stream: &mut RequestStream,
    ) -> Result<(), Ended> {
        let (replies, mut ready) = mpsc::channel(CHUNKS);
        let saved = SyncIoBridge::new(StreamReader::new(Box::pin(engine.save(id))));
        let staging = self.staging.clone();
        let reading = tokio::task::spawn_blocking(move || read(saved, &staging, wanted, &replies));
        let mut beat = tokio::time::interval(BEAT);
        loop {
            let reply = tokio::select! {
                reply = ready.recv() => match reply {
                    Some(reply) => reply,
                    None => break,
                },
                _ = beat.tick() => ImageReply::Waiting,
                () = stream.over.cancelled() => return Err(Ended::Gone),
            };
            let sent = tokio::time::timeout(IDLE, stream.reply.send(&image(reply))).await;
            sent.unwrap_or(Err(Ended::Gone))?;
            beat.reset();
        }
        match reading.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::failed(error).into()),
            Err(error) => Err(Failure::failed(error).into()),
        }
    }
}

fn image(reply: ImageReply) -> ReplyFrame {
    ReplyFrame::Image(reply)
}

/// What there is to be had of the image.
async fn offer(engine: &Engine, request: &ImageRequest) -> Result<ImageOffer, Failure> {
    if !engine.store().await?.keeps_layers {
        return Err(Failure::unsupported(
            "this host's engine keeps images in containerd's store, from which they are not handed on yet",
        ));
    }
    let name = format!("sha256:{}", request.id);
    let facts = engine.image(&name).await?;
    let facts =
        facts.ok_or_else(|| Failure::not_found(format!("the image {name} is no longer on this host")))?;
    if !request.platform.starts_with(&facts.platform) {
        let message = format!("it is for {}, and {} is asked for", facts.platform, request.platform);
        return Err(Failure { code: "other_platform", message });
    }
    if facts.layers.len() > MAX_LAYERS {
        return Err(Failure::unsupported(format!("it has more than {MAX_LAYERS} layers")));
    }
    Ok(ImageOffer { layers: facts.layers, size_bytes: facts.size_bytes })
}

/// The other side's answer to the offer.
async fn wanted(stream: &mut RequestStream) -> Result<Wanted, Ended> {
    let answer = tokio::select! {
        answer = tokio::time::timeout(ANSWER, stream.input.next()) => answer,
        () = stream.over.cancelled() => return Err(Ended::Gone),
    };
    match answer {
        Ok(Ok(Some(RequestInput::Image(ImageInput::Want(layers))))) if layers.len() <= MAX_LAYERS => {
            Ok(layers.into_iter().map(|layer| (layer.digest, layer.from)).collect())
        }
        Ok(Ok(Some(_))) => Err(Failure::invalid("the layers that are wanted were to be named").into()),
        Ok(Ok(None) | Err(_)) | Err(_) => Err(Ended::Gone),
    }
}

/// Reads the saved image to its end, and hands on what is wanted of it.
fn read(
    saved: impl Read,
    staging: &super::staging::Staging,
    mut wanted: Wanted,
    replies: &mpsc::Sender<ImageReply>,
) -> Result<(), ArchiveError> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    let tell = |reply: ImageReply| replies.blocking_send(reply).map_err(gone);
    let deliver = |layer: Layer<'_>| {
        let Some(from) = wanted.remove(&layer.digest) else { return Ok(()) };
        // What has more bytes than the layer is not this layer: the other side finds out, and begins anew.
        let from = from.min(layer.size);
        layer.content.seek(SeekFrom::Start(from))?;
        tell(ImageReply::Layer { digest: layer.digest, size_bytes: layer.size, from })?;
        let mut left = layer.size - from;
        while left > 0 {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            layer.content.read_exact(&mut chunk)?;
            left -= chunk.len() as u64;
            tell(ImageReply::Chunk(chunk.into()))?;
        }
        Ok(())
    };
    let saved = archive::read(saved, |size| staging.aside(size), deliver)?;
    tell(ImageReply::Config(Bytes::clone(&saved.config))).map_err(ArchiveError::Store)
}
