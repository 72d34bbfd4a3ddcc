//! Answers what agents ask for: specifications and files of releases, logins to registries and the controllers' own state here,
//! images in `images.rs`.

use super::accept::Gateway;
use super::sessions::Session;
use super::{images, runs};
use crate::state::{AppKey, RunKind, State, secret_context};
use omni_common::domain::Registry;
use omni_common::domain::app::ContentDigest;
use omni_common::ids::{HostId, RunId};
use omni_common::wire::{HostReply, HostRequest, ImageWanted};
use omni_transport::{FrameReader, FrameWriter, RecvStream, SendStream, TransportError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Streams of one agent served at once; further ones wait.
const AT_ONCE: usize = 8;
/// Images on their way to one agent at once. An agent fetches one after the other; the second place is for one that has
/// given up and begins anew.
const IMAGES_AT_ONCE: usize = 2;
/// An agent that opens a stream asks within this time, and takes the answer within it.
const WITHIN: Duration = Duration::from_secs(30);
/// An agent that keeps the controllers' state takes a piece of it within this time.
const STALLED: Duration = Duration::from_secs(300);
/// Bytes in one frame.
const CHUNK: usize = 256 << 10;

/// What contents are sealed for, so that one cannot stand in for another.
pub(crate) fn content_context(digest: &ContentDigest) -> Vec<u8> {
    format!("omni content {digest}").into_bytes()
}

/// Serves an agent's requests until its connection ends; returns why.
pub(super) async fn serve(gateway: Arc<Gateway>, session: Arc<Session>) -> TransportError {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let images = Arc::new(Semaphore::new(IMAGES_AT_ONCE));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("this semaphore is never closed");
        let (send, receive) = match session.connection.accept_bi().await {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let (gateway, images, host) = (Arc::clone(&gateway), Arc::clone(&images), session.host);
        tokio::spawn(async move {
            let answered = tokio::time::timeout(WITHIN, answer(&gateway, host, send, receive));
            let rest = answered.await;
            drop(slot);
            match rest {
                Ok(None) => {}
                Ok(Some(Longer::Image(asked))) => image(&gateway, host, *asked, &images).await,
                Ok(Some(Longer::State(run, replies))) => state(&gateway, host, run, replies).await,
                Err(_) => tracing::debug!(node = %host, "an agent did not take the content it asked for"),
            }
        });
    }
}

/// What takes longer than a content.
enum Longer {
    /// An image was asked for.
    Image(Box<ImageAsked>),
    /// The controllers' state, for a run.
    State(RunId, FrameWriter<HostReply>),
}

/// An image was asked for.
struct ImageAsked {
    wanted: ImageWanted,
    requests: FrameReader<HostRequest>,
    replies: FrameWriter<HostReply>,
}

async fn image(gateway: &Gateway, host: HostId, asked: ImageAsked, images: &Semaphore) {
    let ImageAsked { wanted, requests, mut replies } = asked;
    let served = match images.try_acquire() {
        Ok(_place) => Box::pin(images::serve(gateway, host, &wanted, requests, replies)).await,
        Err(_) => {
            let busy = failed("unavailable", "other images are on their way to this host".to_owned());
            replies.send(&busy).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(node = %host, %error, "an image did not arrive");
    }
}

async fn answer(gateway: &Gateway, host: HostId, send: SendStream, receive: RecvStream) -> Option<Longer> {
    let mut replies = FrameWriter::new(send);
    let mut requests = FrameReader::<HostRequest>::new(receive);
    let outcome = match requests.next().await {
        Ok(Some(HostRequest::Content(digest))) => content(gateway, host, &digest),
        Ok(Some(HostRequest::Run(id))) => {
            runs::order(gateway, host, id).map_err(|(code, message)| failed(code, message))
        }
        Ok(Some(HostRequest::Login(registry))) => login(gateway, host, &registry),
        Ok(Some(HostRequest::Image(wanted))) => {
            return Some(Longer::Image(Box::new(ImageAsked { wanted, requests, replies })));
        }
        Ok(Some(HostRequest::Standing(known))) => {
            runs::standing(gateway, host, known.as_ref()).map_err(|(code, message)| failed(code, message))
        }
        Ok(Some(HostRequest::Offline(run))) => match runs::hand_in(gateway, host, run).await {
            Ok(()) => Ok(Zeroizing::new(Vec::new())),
            Err((code, message)) => Err(failed(code, message)),
        },
        Ok(Some(HostRequest::State(run))) => return Some(Longer::State(run, replies)),
        Ok(None) => return None,
        Err(error) => Err(failed("invalid", error.to_string())),
    };
    let sent = match outcome {
        Ok(bytes) => deliver(&mut replies, &bytes).await,
        Err(refusal) => replies.send(&refusal).await.map_err(|error| error.to_string()),
    };
    if let Err(error) = sent {
        tracing::debug!(node = %host, error, "content was not delivered");
    }
    replies.finish();
    None
}

async fn deliver(replies: &mut FrameWriter<HostReply>, bytes: &[u8]) -> Result<(), String> {
    for chunk in bytes.chunks(CHUNK) {
        replies.send(&HostReply::Chunk(chunk.to_vec())).await.map_err(|error| error.to_string())?;
    }
    replies.send(&HostReply::End).await.map_err(|error| error.to_string())
}

/// The controllers' own state, when a run of this host is to keep it.
async fn state(gateway: &Gateway, host: HostId, run: RunId, mut replies: FrameWriter<HostReply>) {
    let sent = match sealed_state(gateway, host, run).await {
        Ok(bytes) => send_slowly(&mut replies, &bytes).await,
        Err(refusal) => replies.send(&refusal).await.map_err(|error| error.to_string()),
    };
    match sent {
        Ok(()) => tracing::debug!(node = %host, %run, "handed over the controllers' state"),
        Err(error) => tracing::warn!(node = %host, %run, error, "the controllers' state was not taken"),
    }
    replies.finish();
}

async fn sealed_state(gateway: &Gateway, host: HostId, run: RunId) -> Result<Vec<u8>, HostReply> {
    let state = gateway.store.current();
    if !keeps_state(&state, host, run) {
        return Err(failed("not_found", "this host has no such run".to_owned()));
    }
    let (issuer, now) = (gateway.issuer.clone(), gateway.clock.now());
    // A large state takes a second, and heartbeats must not wait for it.
    let sealed = tokio::task::spawn_blocking(move || issuer.seal_state(&state, now)).await;
    let sealed = sealed.map_err(|error| failed("unavailable", error.to_string()))?;
    sealed.map_err(|error| failed("unavailable", error.to_string()))
}

/// Whether a run is a backup of the controllers that this host is to do.
fn keeps_state(state: &State, host: HostId, run: RunId) -> bool {
    state.runs.get(&run).is_some_and(|run| {
        run.host == Some(host)
            && !run.state.is_over()
            && run.app.as_ref().is_some_and(AppKey::is_controllers)
            && run.kind() == RunKind::Backup
    })
}

/// As fast as it is taken, if it is taken at all: restic writes it to wherever the repository is.
async fn send_slowly(replies: &mut FrameWriter<HostReply>, bytes: &[u8]) -> Result<(), String> {
    let last = [HostReply::End];
    let frames = bytes.chunks(CHUNK).map(|chunk| HostReply::Chunk(chunk.to_vec())).chain(last);
    for frame in frames {
        match tokio::time::timeout(STALLED, replies.send(&frame)).await {
            Ok(sent) => sent.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("nothing was taken for {} s", STALLED.as_secs())),
        }
    }
    Ok(())
}

/// The bytes, when an allocation of this host needs them.
fn content(
    gateway: &Gateway,
    host: HostId,
    digest: &ContentDigest,
) -> Result<zeroize::Zeroizing<Vec<u8>>, HostReply> {
    let state = gateway.store.current();
    let found = state.contents.get(digest).filter(|_| needs(&state, host, digest));
    let content = found.ok_or_else(|| failed("not_found", "nothing here is of that digest".to_owned()))?;
    gateway
        .issuer
        .open(&content_context(digest), &content.sealed)
        .map_err(|error| failed("unavailable", error.to_string()))
}

fn needs(state: &State, host: HostId, digest: &ContentDigest) -> bool {
    state.allocations_on(host).any(|held| {
        let release = state.apps.get(&held.app).and_then(|app| app.releases.get(&held.release));
        release.is_some_and(|release| release.spec == *digest || release.files.contains(digest))
    })
}

/// How to sign in to a registry, when an allocation of this host has an image from there.
fn login(
    gateway: &Gateway,
    host: HostId,
    registry: &Registry,
) -> Result<zeroize::Zeroizing<Vec<u8>>, HostReply> {
    let state = gateway.store.current();
    let none = || failed("not_found", format!("there is no login to {registry}"));
    let name = registry.secret().map_err(|_| none())?;
    let secret = state.secrets.get(&name).filter(|_| pulls_from(&state, host, registry));
    let (_, version) = secret.and_then(|secret| secret.newest()).ok_or_else(none)?;
    gateway
        .issuer
        .open(&secret_context(&name), &version.sealed)
        .map_err(|error| failed("unavailable", error.to_string()))
}

fn pulls_from(state: &State, host: HostId, registry: &Registry) -> bool {
    state.allocations_on(host).any(|held| {
        let release = state.apps.get(&held.app).and_then(|app| app.releases.get(&held.release));
        let group = release.and_then(|release| release.groups.get(&held.group));
        group.is_some_and(|group| group.images.iter().any(|image| Registry::of_image(image) == *registry))
    })
}

fn failed(code: &str, message: String) -> HostReply {
    HostReply::Failed { code: code.to_owned(), message }
}
