//! Saved images of both layouts, hostile ones, and transfers that do not keep to the order.

use super::archive::{ArchiveError, Layer, Saved, read};
use super::receive::Fetch;
use super::staging::Staging;
use super::*;
use crate::docker::{ImageStore, Watcher};
use bytes::Bytes;
use omni_common::clock::SystemClock;
use omni_common::domain::app::ContentDigest;
use omni_common::wire::{ImageOffer, ImageReply};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Larger than what is kept in memory.
const LARGE: usize = 700 << 10;

fn config_of(layers: &[Vec<u8>]) -> Vec<u8> {
    let ids: Vec<String> =
        layers.iter().map(|layer| format!("sha256:{}", ContentDigest::of(layer))).collect();
    json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}).to_string().into_bytes()
}

/// A tar file of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // Set by hand: the library refuses to write what an attacker would.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).expect("memory takes it");
    }
    builder.into_inner().expect("memory takes it")
}

/// As engines before 25 save it: a folder for each layer, the manifest last.
fn by_folder(layers: &[Vec<u8>]) -> Vec<u8> {
    let paths: Vec<String> = (0..layers.len()).map(|number| format!("{number:064x}/layer.tar")).collect();
    let config = config_of(layers);
    let name = format!("{}.json", ContentDigest::of(&config));
    let manifest = json!([{"Config": name, "RepoTags": null, "Layers": paths}]).to_string();
    let mut files: Vec<(&str, &[u8])> = vec![("repositories", b"{}")];
    files.extend(paths.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)));
    files.extend([(name.as_str(), config.as_slice()), ("manifest.json", manifest.as_bytes())]);
    tar(&files)
}

/// As later ones do: everything by its digest.
fn by_digest(layers: &[Vec<u8>]) -> Vec<u8> {
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", ContentDigest::of(bytes));
    let config = config_of(layers);
    let paths: Vec<String> = layers.iter().map(|layer| path(layer)).collect();
    let manifest = json!([{"Config": path(&config), "RepoTags": ["a:1"], "Layers": paths}]).to_string();
    let config_path = path(&config);
    let mut files: Vec<(&str, &[u8])> = vec![(&config_path, &config)];
    files.extend(paths.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)));
    files.extend([("manifest.json", manifest.as_bytes()), ("oci-layout", b"{}".as_slice())]);
    tar(&files)
}

type Delivered = BTreeMap<ContentDigest, Vec<u8>>;

fn read_all(saved: &[u8]) -> Result<(Saved, Delivered), ArchiveError> {
    let mut delivered = Delivered::new();
    let deliver = |layer: Layer<'_>| {
        let mut bytes = Vec::new();
        layer.content.read_to_end(&mut bytes)?;
        assert_eq!((bytes.len() as u64, ContentDigest::of(&bytes)), (layer.size, layer.digest.clone()));
        assert!(delivered.insert(layer.digest, bytes).is_none(), "each once");
        Ok(())
    };
    let saved = read(saved, |_| tempfile::tempfile(), deliver)?;
    Ok((saved, delivered))
}

fn layers() -> Vec<Vec<u8>> {
    let large = |byte: u8| vec![byte; LARGE];
    vec![large(1), b"a small one".to_vec(), large(2), large(1)]
}

#[test]
fn both_layouts_are_read() {
    let layers = layers();
    for saved in [by_folder(&layers), by_digest(&layers)] {
        let (saved, delivered) = read_all(&saved).expect("a saved image");
        assert_eq!(saved.config, config_of(&layers));
        assert_eq!(saved.layers, layers.iter().map(|layer| ContentDigest::of(layer)).collect::<Vec<_>>());
        let expected: BTreeSet<ContentDigest> = saved.layers.iter().cloned().collect();
        assert_eq!(delivered.keys().cloned().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let layers = layers();
    let config = config_of(&layers);
    let manifest = |config: &str, layers: &[&str]| json!([{"Config": config, "Layers": layers}]).to_string();
    let one = manifest("c.json", &["l"]);
    let check = |files: &[(&str, &[u8])], expected: &str| {
        let refused = read_all(&tar(files)).expect_err("refused").to_string();
        assert!(refused.contains(expected), "{refused:?} does not say {expected:?}");
    };
    check(&[], "it has no manifest.json");
    check(&[("manifest.json", b"{}")], "its manifest.json cannot be read");
    check(&[("manifest.json", b"[]")], "it has 0 images");
    check(&[("manifest.json", one.as_bytes())], "its configuration is not in it");
    check(&[("c.json", b"nonsense"), ("manifest.json", one.as_bytes())], "its configuration cannot be read");
    check(
        &[("c.json", &config), ("l", b"another"), ("manifest.json", one.as_bytes())],
        "none of its files has that digest",
    );
    let bad = br#"{"rootfs": {"diff_ids": ["sha256:../../etc"]}}"#;
    check(&[("c.json", bad), ("manifest.json", one.as_bytes())], "is no digest of a layer");
    let many = json!({"rootfs": {"diff_ids": vec!["sha256:0"; 600]}}).to_string();
    check(&[("c.json", many.as_bytes()), ("manifest.json", one.as_bytes())], "it has 600 layers");
    // Paths lead nowhere: they are looked up in memory, and these are not.
    let up = manifest("../c.json", &["l"]);
    check(&[("../c.json", &config), ("manifest.json", up.as_bytes())], "its configuration is not in it");
    let many: Vec<(&str, &[u8])> = vec![("x", b"y".as_slice()); 5000];
    check(&many, "more than 4096 files");
    let junk = vec![0; 512 << 10];
    let large: Vec<(&str, &[u8])> = vec![("x", junk.as_slice()); 40];
    check(&large, "bytes in small files");
}

#[test]
fn a_size_that_lies_is_found_out() {
    let mut saved = by_folder(&[vec![1; LARGE]]);
    saved.truncate(LARGE / 2);
    assert!(matches!(read_all(&saved), Err(ArchiveError::Unreadable(_))));
    let asked = std::cell::Cell::new(0);
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 50);
    header.set_path("x").expect("a path");
    header.set_cksum();
    let refuse = |size| {
        asked.set(size);
        Err(io::Error::from(io::ErrorKind::StorageFull))
    };
    let refused = read(header.as_bytes().as_slice(), refuse, |_| Ok(())).expect_err("no room");
    assert!(matches!(refused, ArchiveError::Store(_)), "{refused}");
    assert_eq!(asked.get(), 1 << 50, "before a byte of it was written");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        read_all(&bytes).err();
    }

    #[test]
    fn a_byte_that_flips_is_no_other_image(at in 0usize..8192, bit in 0u8..8) {
        let layers = vec![b"one".to_vec(), b"two".to_vec()];
        let mut saved = by_digest(&layers);
        let at = at % saved.len();
        saved[at] ^= 1 << bit;
        if let Ok((saved, delivered)) = read_all(&saved) {
            prop_assert!(saved.layers.iter().all(|layer| delivered.contains_key(layer)));
        }
    }
}

/// A host that fetches, whose engine is not there.
struct Receiving {
    dir: tempfile::TempDir,
    images: Images,
}

impl Receiving {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let nowhere = "/nonexistent/docker.sock".parse().expect("a path");
        let (docker, _) = Watcher::new(nowhere, std::sync::Arc::new(SystemClock));
        let images = Images::new(docker, dir.path().join("images"));
        Self { dir, images }
    }

    /// Lacks these layers of an image that has them all.
    fn fetch(&self, layers: &[Vec<u8>], lacking: &[&[u8]]) -> Fetch<'_> {
        let store = ImageStore { keeps_layers: true, root: self.dir.path().to_owned() };
        let offer = ImageOffer {
            layers: layers.iter().map(|layer| ContentDigest::of(layer)).collect(),
            size_bytes: layers.iter().map(|layer| layer.len() as u64).sum(),
        };
        let lacking = lacking.iter().map(|layer| ContentDigest::of(layer)).collect();
        Fetch::of(&self.images, "h1", ContentDigest::of(&config_of(layers)), offer, store, lacking)
    }
}

fn layer(bytes: &[u8], from: usize) -> ImageReply {
    ImageReply::Layer { digest: ContentDigest::of(bytes), size_bytes: bytes.len() as u64, from: from as u64 }
}

fn chunk(bytes: &[u8]) -> ImageReply {
    ImageReply::Chunk(Bytes::copy_from_slice(bytes))
}

#[test]
fn what_was_asked_for_is_taken() {
    let receiving = Receiving::new();
    let layers = vec![b"here already".to_vec(), b"missing".to_vec(), Vec::new()];
    let mut fetch = receiving.fetch(&layers, &[b"missing", b""]);
    for reply in [
        ImageReply::Waiting,
        layer(b"missing", 0),
        chunk(b"miss"),
        ImageReply::Waiting,
        chunk(b"ing"),
        layer(b"", 0),
        ImageReply::Config(config_of(&layers).into()),
    ] {
        fetch.reply(reply).expect("in order");
    }
    assert_eq!(fetch.is_whole(), Ok(()));
    // The next attempt, after one whose engine did not take it, needs nothing more.
    assert!(receiving.fetch(&layers, &[b"missing", b""]).wanted().is_empty());
}

#[test]
fn a_transfer_that_broke_off_asks_for_the_rest() {
    let receiving = Receiving::new();
    let layers = vec![b"a layer".to_vec()];
    let mut fetch = receiving.fetch(&layers, &[b"a layer"]);
    fetch.reply(layer(b"a layer", 0)).expect("in order");
    fetch.reply(chunk(b"a la")).expect("in order");
    assert!(fetch.is_whole().is_err());
    drop(fetch);
    let mut fetch = receiving.fetch(&layers, &[b"a layer"]);
    assert_eq!(fetch.wanted(), [(ContentDigest::of(b"a layer"), 4)].into());
    fetch.reply(layer(b"a layer", 4)).expect("in order");
    fetch.reply(chunk(b"yer")).expect("it is what it is called");
    fetch.reply(ImageReply::Config(config_of(&layers).into())).expect("in order");
    assert_eq!(fetch.is_whole(), Ok(()));
}

#[test]
fn what_is_not_what_was_asked_for_is_refused() {
    let layers = vec![b"missing".to_vec()];
    let check = |replies: &[ImageReply], expected: &str| {
        let receiving = Receiving::new();
        let mut fetch = receiving.fetch(&layers, &[b"missing"]);
        let (last, before) = replies.split_last().expect("some");
        before.iter().for_each(|reply| fetch.reply(reply.clone()).expect("in order"));
        let refused = fetch.reply(last.clone()).expect_err("refused").to_string();
        assert!(refused.contains(expected), "{refused:?} does not say {expected:?}");
    };
    check(&[layer(b"missing", 0), chunk(b"MISSING")], "arrived with the digest");
    check(&[layer(b"missing", 0), chunk(b"missing and more")], "has more than its 7 bytes");
    check(&[layer(b"another", 0)], "a layer that was not asked for");
    check(&[layer(b"missing", 3)], "a layer with a hole in it");
    check(&[layer(b"missing", 0), layer(b"missing", 0)], "a layer began before the one before it was whole");
    check(&[chunk(b"missing")], "bytes of no layer");
    let offer = ImageOffer { layers: Vec::new(), size_bytes: 0 };
    check(&[ImageReply::Offer(offer)], "a second offer");
    let config = ImageReply::Config(Bytes::from_static(b"{}"));
    check(&[config.clone(), config], "a second configuration");
    let huge = ImageReply::Layer { digest: ContentDigest::of(b"missing"), size_bytes: 1 << 60, from: 0 };
    check(&[huge], "MiB are needed");
}

#[test]
fn an_image_is_known_by_its_configuration() {
    let layers = vec![b"missing".to_vec()];
    let check = |replies: &[ImageReply], expected: &str| {
        let receiving = Receiving::new();
        let mut fetch = receiving.fetch(&layers, &[b"missing"]);
        replies.iter().for_each(|reply| fetch.reply(reply.clone()).expect("in order"));
        let refused = fetch.is_whole().expect_err("refused");
        assert!(refused.contains(expected), "{refused:?} does not say {expected:?}");
    };
    check(&[], "layers are missing");
    let whole = [layer(b"missing", 0), chunk(b"missing")];
    check(&whole, "its configuration is missing");
    let other = ImageReply::Config(config_of(&[b"other".to_vec()]).into());
    check(&[whole[0].clone(), whole[1].clone(), other], "its configuration is not that of the image");
}

#[tokio::test]
async fn what_is_loaded_is_what_was_saved() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let staging = Staging::new(dir.path().join("images"));
    let layers = layers();
    for bytes in &layers {
        let mut arriving = staging.begin(&ContentDigest::of(bytes), bytes.len() as u64, 0).expect("room");
        arriving.append(bytes).expect("room");
        arriving.finish().expect("right");
    }
    let names: Vec<ContentDigest> = layers.iter().map(|layer| ContentDigest::of(layer)).collect();
    let saved = Saved { config: config_of(&layers).into(), layers: names.clone() };
    let mut pieces = load::stream(&staging, "team/site:1", saved.clone(), names.iter().cloned().collect());
    let mut file = Vec::new();
    while let Some(piece) = pieces.recv().await {
        file.extend_from_slice(&piece.expect("it can be read"));
    }
    let (read, delivered) = read_all(&file).expect("a saved image");
    assert_eq!(read, saved);
    assert_eq!(delivered.len(), 3, "the same layer once");
}
