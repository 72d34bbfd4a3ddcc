//! Staged layers as the tar file that an engine loads. Layers that the engine has are named in it and left out: it looks
//! for a layer among its own before it opens the file.

use super::archive::Saved;
use super::staging::Staging;
use bytes::Bytes;
use omni_common::domain::app::ContentDigest;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use tokio::sync::mpsc;

/// Bytes handed to the engine at once, and how many such pieces wait for it.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// The tar file of an image under this name, with these layers, as it is written.
pub(super) fn stream(
    staging: &Staging,
    reference: &str,
    saved: Saved,
    layers: BTreeSet<ContentDigest>,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (pieces, taken) = mpsc::channel(PIECES);
    let (staging, reference) = (staging.clone(), reference.to_owned());
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
        if let Err(error) = write(out, &staging, &reference, &saved, &layers) {
            // An engine that has given up has said why.
            pieces.blocking_send(Err(error)).ok();
        }
    });
    taken
}

fn write(
    out: impl Write,
    staging: &Staging,
    reference: &str,
    saved: &Saved,
    layers: &BTreeSet<ContentDigest>,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    let path = |digest: &ContentDigest| format!("{digest}/layer.tar");
    for digest in layers {
        let (file, size) = staging.open(digest)?;
        append(&mut tar, &path(digest), size, file)?;
    }
    let config = format!("{}.json", ContentDigest::of(&saved.config));
    append(&mut tar, &config, saved.config.len() as u64, &saved.config[..])?;
    let paths: Vec<String> = saved.layers.iter().map(path).collect();
    let manifest = json!([{ "Config": config, "RepoTags": [reference], "Layers": paths }]).to_string();
    append(&mut tar, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
    tar.into_inner()?.flush()
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    size: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    tar.append_data(&mut header, path, content)
}

/// Writes into a channel.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        self.0.blocking_send(piece).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
