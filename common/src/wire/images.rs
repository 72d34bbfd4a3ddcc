//! Images on their way from one host to another.
//!
//! ```text
//!  host that needs it          its gateway                         host that has it
//!   HostRequest::Image ──────▶ whose host has it? ─AgentRequest::Image─▶ looks
//!                  ◀─HostReply::Found─ │ ◀───────────ReplyFrame::Image(Offer)─
//!                  ◀───────────────Offer, then bytes pass as they are────▶
//!   RequestInput::Image(WantedLayers) ─────────────────────────────▶ reads them out of its engine
//!                  ◀──(Waiting | Layer, Chunk…)…, Config, End ──────
//! ```
//!
//! From a workstation an image comes as the tar file that engines save and load:
//!
//! ```text
//!  controller                                   host
//!   AgentRequest::LoadImage ──────────────────▶
//!   RequestInput::Image(Chunk)…, Eof ─────────▶ into its engine
//!                             ◀─ Started, (Waiting)…, Loaded, End
//! ```
//!
//! What an image is built from comes in the same way, as a tar file:
//!
//! ```text
//!  controller                                   host
//!   AgentRequest::Build ──────────────────────▶
//!   RequestInput::Image(Chunk)…, Eof ─────────▶ into its engine's builder
//!                 ◀─ Started, (Waiting | BuildOutput)…, Built, End
//! ```
//!
//! After [`HostReply::Found`](super::HostReply::Found) the stream carries [`ReplyFrame`](super::ReplyFrame) one way and
//! [`RequestInput`](super::RequestInput) the other.

use crate::domain::app::ContentDigest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Ability of both sides, told in hello and welcome: images are reported, asked for and handed on.
pub const CAPABILITY_IMAGES: &str = "images/1";
/// Most layers of one image. Engines take up to 127.
pub const MAX_LAYERS: usize = 512;
/// Most bytes of an image's configuration.
pub const MAX_IMAGE_CONFIG: usize = 512 << 10;
/// Most bytes of a builder's output in one frame; the rest of a longer line is left out.
pub const MAX_BUILD_OUTPUT: usize = 16 << 10;
/// Most images that one host reports, the newest first.
pub const MAX_IMAGES_PER_HOST: usize = 1_000;
/// Most names reported of one image.
pub const MAX_TAGS_PER_IMAGE: usize = 16;
/// Keeps a frame of images with the longest names under the frame limit.
pub const MAX_IMAGES_PER_FRAME: usize = 64;

/// An image that a host needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageWanted {
    /// Its name, as the app's file has it.
    pub reference: String,
    /// The platform that it has to be for, e.g. `linux/arm64`.
    pub platform: String,
}

/// An image that a host is asked to hand on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRequest {
    /// Which.
    pub id: ContentDigest,
    /// The platform that it has to be for.
    pub platform: String,
}

/// What is said of an image before any of it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageOffer {
    /// Digests of its layers unpacked, lowest first; at most [`MAX_LAYERS`]. The same one may appear twice.
    pub layers: Vec<ContentDigest>,
    /// What all of them take unpacked, bytes; for people.
    pub size_bytes: u64,
}

/// One layer that is missing, and how much of it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedLayer {
    /// Which.
    pub digest: ContentDigest,
    /// Bytes of it that arrived before the transfer broke off.
    pub from: u64,
}

/// Towards the host that has the image, or is to have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageInput {
    /// The layers to send; all others are there. Once, after the offer.
    Want(Vec<WantedLayer>),
    /// The next bytes of a saved image that the host is to load.
    Chunk(Bytes),
}

/// From that host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageReply {
    /// First.
    Offer(ImageOffer),
    /// The engine is at work and there is nothing to send yet.
    Waiting,
    /// A layer begins; its bytes follow in chunks. In any order, each of the wanted ones once.
    Layer {
        /// Which.
        digest: ContentDigest,
        /// All its bytes.
        size_bytes: u64,
        /// The first chunk begins here.
        from: u64,
    },
    /// The next bytes of the layer.
    Chunk(Bytes),
    /// The image's configuration as it was built, at most [`MAX_IMAGE_CONFIG`] bytes; after all layers.
    Config(Bytes),
    /// A saved image is loaded.
    Loaded {
        /// What the engine calls the images in it: names, or ids of those without one.
        images: Vec<String>,
    },
    /// What the builder says, at most [`MAX_BUILD_OUTPUT`] bytes at once; not always whole lines.
    BuildOutput(String),
    /// The image is built, and has the name that was asked for.
    Built {
        /// What the engine calls it.
        id: ContentDigest,
    },
}
