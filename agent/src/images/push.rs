//! Loads a saved image that somebody sends from a workstation. Its bytes go into the engine as they come: what is wrong
//! with them the engine finds out, which also knows forms that are not read here.

use super::staging::check_room;
use super::{BEAT, IDLE, Images};
use crate::docker::Engine;
use crate::executors::{Ended, Failure, RequestStream};
use bytes::Bytes;
use omni_common::wire::{ImageInput, ImageReply, ReplyFrame, RequestInput};
use omni_transport::FrameReader;
use std::io;
use std::path::Path;
use tokio::sync::mpsc;

/// Pieces that wait for the engine.
const PIECES: usize = 4;
/// The disk is looked at after so many bytes.
const LOOK_EVERY: u64 = 64 << 20;

impl Images {
    /// Answers a request to load an image.
    pub async fn take_pushed(&self, stream: &mut RequestStream) -> Result<(), Ended> {
        let Ok(_turn) = self.receiving.try_lock() else {
            return Err(Failure::busy("another image is on its way to this host").into());
        };
        let engine = self.docker.engine()?;
        let root = engine.store().await.map_err(Failure::from)?.root;
        has_room(&root)?;
        stream.reply.send(&ReplyFrame::Started).await?;
        let images = load(&engine, &root, stream).await?;
        stream.reply.send(&ReplyFrame::Image(ImageReply::Loaded { images })).await
    }
}

async fn load(engine: &Engine, root: &Path, stream: &mut RequestStream) -> Result<Vec<String>, Ended> {
    let (pieces, taken) = mpsc::channel(PIECES);
    let RequestStream { input, reply, over } = stream;
    let loading = engine.load(taken);
    let mut loading = std::pin::pin!(loading);
    let feeding = feed(input, pieces, root);
    let mut feeding = std::pin::pin!(feeding);
    let mut fed = None;
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            loaded = &mut loading => {
                // Why it was not fed to the end says more than that the engine did not like that.
                return match fed {
                    Some(Err(failure)) => Err(failure),
                    _ => loaded.map_err(Ended::from),
                };
            }
            ended = &mut feeding, if fed.is_none() => fed = Some(ended),
            _ = beat.tick() => reply.send(&ReplyFrame::Image(ImageReply::Waiting)).await?,
            () = over.cancelled() => return Err(Ended::Gone),
        }
    }
}

/// Hands on what comes. When it breaks off, so does what the engine gets: half an image is none.
pub(super) async fn feed(
    input: &mut FrameReader<RequestInput>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    root: &Path,
) -> Result<(), Ended> {
    let mut total = 0;
    let failure: Ended = loop {
        match tokio::time::timeout(IDLE, input.next()).await {
            Ok(Ok(Some(RequestInput::Image(ImageInput::Chunk(bytes))))) => {
                let before = total / LOOK_EVERY;
                total += bytes.len() as u64;
                if total / LOOK_EVERY != before
                    && let Err(full) = has_room(root)
                {
                    break full.into();
                }
                if pieces.send(Ok(bytes)).await.is_err() {
                    // The engine has ended, and says why itself.
                    return Ok(());
                }
            }
            Ok(Ok(Some(RequestInput::Eof))) => return Ok(()),
            Ok(Ok(Some(_))) => break Failure::invalid("the bytes of an image were to follow").into(),
            Ok(Ok(None) | Err(_)) => break Ended::Gone,
            Err(_) => break Failure::failed(format!("nothing came for {} s", IDLE.as_secs())).into(),
        }
    };
    pieces.send(Err(io::ErrorKind::UnexpectedEof.into())).await.ok();
    Err(failure)
}

/// Whether the engine's disk keeps its margin. An engine may see its folder where this process does not.
pub(super) fn has_room(root: &Path) -> Result<(), Failure> {
    match check_room(root, 0) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(Failure::failed(format!("the disk of this host is too full: {error}")))
        }
        _ => Ok(()),
    }
}
