//! Fetches an image from another host: asks the gateway, says what is missing, stages and checks what comes, and has the
//! engine load it.

use super::archive::{Saved, layers_of};
use super::staging::{Arriving, Held, check_room};
use super::{IDLE, Images, load};
use crate::docker::{DockerError, Engine, ImageStore};
use bytes::Bytes;
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use omni_common::domain::familiar_name;
use omni_common::wire::{
    HostReply, HostRequest, ImageInput, ImageOffer, ImageReply, ImageWanted, MAX_LAYERS, ReplyFrame,
    RequestInput, WantedLayer,
};
use omni_transport::{Connection, FrameReader, FrameWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::MutexGuard;

/// The gateway asks other hosts before it answers.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// What the engine says when a layer was left out that it does not have.
const LAYER_MISSING: &str = "no such file or directory";

/// No other host could help, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The end of a sentence about the image.
    pub reason: String,
    /// No host has it: asking again is not expected to help.
    pub lasting: bool,
}

impl Miss {
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), lasting: false }
    }
}

/// The right to fetch an image: one at a time, so that the second one finds the layers that it shares with the first.
pub struct Turn<'a> {
    images: &'a Images,
    _turn: MutexGuard<'a, ()>,
}

impl Images {
    /// Waits until no other image is being fetched.
    pub async fn turn(&self) -> Turn<'_> {
        Turn { images: self, _turn: self.receiving.lock().await }
    }
}

/// An image on its way in.
pub(super) struct Fetch<'a> {
    images: &'a Images,
    host: String,
    id: ContentDigest,
    offer: ImageOffer,
    store: ImageStore,
    /// The layers that the engine lacks.
    lacking: BTreeSet<ContentDigest>,
    /// Those of them that are to be sent, and from which byte on.
    wanted: BTreeMap<ContentDigest, u64>,
    arriving: Option<Arriving>,
    config: Option<Bytes>,
    /// Bytes that came over the network.
    moved: u64,
}

impl Turn<'_> {
    /// Has the image on this host under `reference`, from whichever host has it. `told` hears how it goes; `now` tells what
    /// is left of older transfers.
    ///
    /// # Errors
    /// When no host has it, or the way there broke: what has arrived is kept for the next attempt.
    pub async fn fetch(
        &self,
        engine: &Engine,
        reference: &str,
        platform: Option<&str>,
        now: Time,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), Miss> {
        let images = self.images;
        let name = familiar_name(reference).map_err(|error| Miss {
            reason: format!("other hosts cannot be asked: {error}"),
            lasting: true,
        })?;
        let connection = images.uplink.for_images();
        let connection =
            connection.ok_or_else(|| Miss::passing("no controller is there that could ask other hosts"))?;
        let platform = match platform {
            Some(platform) => platform.to_owned(),
            None => engine.platform().await.map_err(broken)?,
        };
        let asked = Asked::ask(connection, ImageWanted { reference: reference.to_owned(), platform }).await?;
        told(format!("copies {reference} from host {}", asked.host));
        let fetched = images.receive(engine, asked, reference, told).await;
        if let Err(error) = images.staging.sweep(now) {
            tracing::warn!(%error, "layers of older transfers not removed");
        }
        fetched.map(|(host, moved, lacking)| {
            tracing::info!(
                image = name,
                peer = host,
                bytes = moved,
                layers = lacking,
                "image copied from another host"
            );
        })
    }
}

/// A host that has the image, on the other end.
struct Asked {
    input: FrameWriter<RequestInput>,
    replies: FrameReader<ReplyFrame>,
    host: String,
    id: ContentDigest,
}

impl Asked {
    async fn ask(connection: Connection, wanted: ImageWanted) -> Result<Self, Miss> {
        let lost = |error: &dyn std::fmt::Display| {
            Miss::passing(format!("the controller could not be asked for other hosts: {error}"))
        };
        let (send, receive) = connection.open_bi().await.map_err(|error| lost(&error))?;
        let mut request = FrameWriter::new(send);
        request.send(&HostRequest::Image(wanted)).await.map_err(|error| lost(&error))?;
        let mut replies = FrameReader::<HostReply>::new(receive);
        match tokio::time::timeout(FOUND_WITHIN, replies.next()).await {
            Ok(Ok(Some(HostReply::Found { host, id }))) => {
                let input = FrameWriter::new(request.into_inner());
                Ok(Self { input, replies: replies.followed_by(), host, id })
            }
            Ok(Ok(Some(HostReply::Failed { code, message }))) => {
                Err(Miss { reason: message, lasting: code == "not_found" })
            }
            Ok(Ok(_)) => Err(lost(&"its answer was of another kind")),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(lost(&format!("no answer within {} s", FOUND_WITHIN.as_secs()))),
        }
    }

    async fn next(&mut self) -> Result<ReplyFrame, String> {
        match tokio::time::timeout(IDLE, self.replies.next()).await {
            Ok(Ok(Some(frame))) => Ok(frame),
            Ok(Ok(None)) => Err("the transfer ended in the middle".to_owned()),
            Ok(Err(error)) => Err(format!("the transfer broke off: {error}")),
            Err(_) => Err(format!("nothing came for {} s", IDLE.as_secs())),
        }
    }
}

impl Images {
    /// Takes in what the other host sends, and loads it. Returns who sent it, the bytes moved, and the layers that were
    /// lacking.
    async fn receive(
        &self,
        engine: &Engine,
        mut asked: Asked,
        reference: &str,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(String, u64, usize), Miss> {
        let from = |host: &str, reason: String| {
            Miss::passing(format!("it could not be copied from host {host}: {reason}"))
        };
        let offer = match asked.next().await {
            Ok(ReplyFrame::Image(ImageReply::Offer(offer))) if offer.layers.len() <= MAX_LAYERS => offer,
            Ok(ReplyFrame::Failed { message, .. }) => return Err(from(&asked.host, message)),
            Ok(_) => return Err(from(&asked.host, "it did not begin with an offer".to_owned())),
            Err(reason) => return Err(from(&asked.host, reason)),
        };
        let mut fetch = Fetch::plan(self, engine, &asked, offer).await?;
        let host = fetch.host.clone();
        fetch.take(&mut asked, reference, told).await.map_err(|reason| from(&host, reason))?;
        // The sending host is let go before the engine begins to unpack.
        drop(asked);
        told(format!("unpacks {reference}"));
        fetch.load(engine, reference).await?;
        Ok((host, fetch.moved, fetch.lacking.len()))
    }
}

fn broken(error: DockerError) -> Miss {
    Miss::passing(error.to_string())
}

impl<'a> Fetch<'a> {
    /// Compares the offer with what the engine and the staging folder have.
    async fn plan(
        images: &'a Images,
        engine: &Engine,
        asked: &Asked,
        offer: ImageOffer,
    ) -> Result<Self, Miss> {
        let store = engine.store().await.map_err(broken)?;
        let held = match store.keeps_layers && !images.wants_all.load(Ordering::Relaxed) {
            true => engine.layers_held(&offer.layers).await.map_err(broken)?,
            false => 0,
        };
        let lacking = offer.layers[held..].iter().cloned().collect();
        Ok(Self::of(images, &asked.host, asked.id.clone(), offer, store, lacking))
    }

    pub(super) fn of(
        images: &'a Images,
        host: &str,
        id: ContentDigest,
        offer: ImageOffer,
        store: ImageStore,
        lacking: BTreeSet<ContentDigest>,
    ) -> Self {
        let wanted = lacking.iter().filter_map(|digest| match images.staging.held(digest) {
            Held::Whole => None,
            Held::Part(from) => Some((digest.clone(), from)),
        });
        Self {
            images,
            host: host.to_owned(),
            id,
            wanted: wanted.collect(),
            lacking,
            offer,
            store,
            arriving: None,
            config: None,
            moved: 0,
        }
    }

    /// What is to be sent: layers, and from which byte on.
    pub(super) fn wanted(&self) -> BTreeMap<ContentDigest, u64> {
        self.wanted.clone()
    }

    /// Says what is wanted and takes it in to the end; an error is the end of a sentence.
    async fn take(
        &mut self,
        asked: &mut Asked,
        reference: &str,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), String> {
        let layers = self.wanted().into_iter().map(|(digest, from)| WantedLayer { digest, from });
        let want = ImageInput::Want(layers.collect());
        asked.input.send(&RequestInput::Image(want)).await.map_err(|error| error.to_string())?;
        loop {
            match asked.next().await? {
                ReplyFrame::Image(reply) => self.reply(reply).map_err(|error| error.to_string())?,
                ReplyFrame::End => return self.is_whole(),
                ReplyFrame::Failed { message, .. } => return Err(message),
                _ => return Err("it sent something else than an image".to_owned()),
            }
            told(format!("copies {reference} from host {}{}", self.host, self.progress()));
            // A fast sender must leave room for the other tasks.
            tokio::task::yield_now().await;
        }
    }

    /// Takes in one frame.
    pub(super) fn reply(&mut self, reply: ImageReply) -> io::Result<()> {
        let unexpected = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        match reply {
            ImageReply::Waiting => Ok(()),
            ImageReply::Offer(_) => unexpected("a second offer"),
            ImageReply::Layer { digest, size_bytes, from } => {
                if self.arriving.is_some() {
                    return unexpected("a layer began before the one before it was whole");
                }
                let Some(asked_from) = self.wanted.remove(&digest) else {
                    return unexpected("a layer that was not asked for");
                };
                if from > asked_from {
                    return unexpected("a layer with a hole in it");
                }
                self.arriving = Some(self.images.staging.begin(&digest, size_bytes, from)?);
                self.finish_layer()
            }
            ImageReply::Chunk(bytes) => {
                let Some(arriving) = &mut self.arriving else { return unexpected("bytes of no layer") };
                arriving.append(&bytes)?;
                self.moved += bytes.len() as u64;
                self.finish_layer()
            }
            ImageReply::Config(config) if self.config.is_none() => {
                self.config = Some(config);
                Ok(())
            }
            ImageReply::Config(_) => unexpected("a second configuration"),
            ImageReply::Loaded { .. } => unexpected("word of an image that it has loaded"),
            ImageReply::BuildOutput(_) | ImageReply::Built { .. } => {
                unexpected("word of an image that it builds")
            }
        }
    }

    fn finish_layer(&mut self) -> io::Result<()> {
        match self.arriving.take_if(|arriving| arriving.is_complete()) {
            Some(arriving) => arriving.finish(),
            None => Ok(()),
        }
    }

    /// Whether everything came, and is what was asked for.
    pub(super) fn is_whole(&self) -> Result<(), String> {
        if self.arriving.is_some() || !self.wanted.is_empty() {
            return Err("layers are missing at its end".to_owned());
        }
        let config = self.config.as_ref().ok_or("its configuration is missing")?;
        if ContentDigest::of(config) != self.id {
            return Err(format!("its configuration is not that of the image {}", self.id));
        }
        if layers_of(config)? != self.offer.layers {
            return Err("its configuration names other layers than were offered".to_owned());
        }
        Ok(())
    }

    /// In steps of a tenth, so that a report is not sent for every chunk.
    fn progress(&self) -> String {
        match self.offer.size_bytes {
            0 => String::new(),
            total => format!(": {} MiB", self.moved * 10 / total * (total >> 20) / 10),
        }
    }

    /// Has the engine load what is staged.
    async fn load(&self, engine: &Engine, reference: &str) -> Result<(), Miss> {
        let Some(config) = self.config.clone() else { return Err(Miss::passing("it has no configuration")) };
        let name = familiar_name(reference).map_err(|error| Miss::passing(error.to_string()))?;
        let saved = Saved { config, layers: self.offer.layers.clone() };
        self.check_room()?;
        let pieces = load::stream(&self.images.staging, &name, saved, self.lacking.clone());
        if let Err(error) = engine.load(pieces).await {
            let text = error.to_string();
            let left_out = self.lacking.len() < self.offer.layers.iter().collect::<BTreeSet<_>>().len();
            if left_out && text.contains(LAYER_MISSING) {
                // An engine that does not look among its own layers first, or has lost one since: it gets all of them.
                self.images.wants_all.store(true, Ordering::Relaxed);
            } else if !text.contains("no space left on device") {
                // What is staged may have rotted on this host's disk: it is fetched anew.
                self.forget();
            }
            return Err(Miss::passing(format!(
                "this host's engine does not load what came from host {}: {text}",
                self.host
            )));
        }
        self.forget();
        match engine.image(&name).await.map_err(broken)? {
            Some(facts) if !self.store.keeps_layers || facts.id == format!("sha256:{}", self.id) => Ok(()),
            _ => Err(Miss::passing("this host's engine has loaded it and does not show it")),
        }
    }

    /// The engine unpacks the file that it is sent, and then each layer from there.
    fn check_room(&self) -> Result<(), Miss> {
        let staged = self.lacking.iter().filter_map(|digest| self.images.staging.open(digest).ok());
        let bytes: u64 = staged.map(|(_, size)| size).sum();
        match check_room(&self.store.root, bytes.saturating_mul(2)) {
            // An engine may see its folder where this process does not.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                Err(Miss::passing(format!("the disk of this host is too full to unpack it: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn forget(&self) {
        for digest in &self.lacking {
            self.images.staging.remove(digest);
        }
    }
}
