//! What of the project folder travels with a release, and what stays on the host.
//!
//! A mounted file travels. A mounted folder that nothing writes to travels whole; one that something writes to
//! is data, stays on the host, and what was packed of it is only what it begins with.

use super::Reader;
use super::service::Draft;
use crate::fault::{FaultKind, quoted};
use crate::input::{ProjectFile, Reference, ReferenceKind, packed_limit};
use crate::report::At;
use omni_common::domain::app::{
    ContentDigest, FileRef, MAX_PACKED_BYTES, MountSource, ProjectContent, ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};

/// A mount of something beside the compose file.
#[derive(Clone, Debug)]
struct MountUse {
    read_only: bool,
    at: At,
    key: String,
}

/// What is packed so far.
#[derive(Debug, Default)]
pub(super) struct Packing {
    /// By path from the packed folder.
    mounts: BTreeMap<String, Vec<MountUse>>,
    files: BTreeMap<ContentDigest, Vec<u8>>,
    sensitive: BTreeSet<ContentDigest>,
    public: BTreeSet<ContentDigest>,
    bytes: usize,
}

impl Packing {
    pub(super) fn mount(&mut self, path: &str, read_only: bool, at: At, key: &str) {
        let known = self.mounts.entry(path.to_owned()).or_default();
        known.push(MountUse { read_only, at, key: key.to_owned() });
    }

    pub(super) fn add(&mut self, bytes: Vec<u8>, mode: u32, secret: bool) -> FileRef {
        let digest = ContentDigest::of(&bytes);
        let size = bytes.len();
        let known = if secret { &mut self.sensitive } else { &mut self.public };
        known.insert(digest.clone());
        if !self.files.contains_key(&digest) {
            self.bytes += size;
            // Past the bound only the count goes on, for the message.
            let kept = if self.bytes <= MAX_PACKED_BYTES { bytes } else { Vec::new() };
            self.files.insert(digest.clone(), kept);
        }
        FileRef { digest, size: size as u64, mode: mode & 0o7777 }
    }

    /// Whether a folder that something writes to is this one, above it or below it.
    fn is_written(&self, path: &str, packed: &BTreeMap<String, ProjectFile>) -> bool {
        let within = |inner: &str, outer: &str| {
            outer.is_empty()
                || inner == outer
                || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        self.mounts
            .iter()
            .filter(|(other, uses)| uses.iter().any(|mount| !mount.read_only) && !packed.contains_key(*other))
            .any(|(other, _)| within(path, other) || within(other, path))
    }
}

/// Decides for every mount beside the compose file what the release brings.
pub(super) fn settle(drafts: &mut BTreeMap<ServiceName, Draft>, reader: &mut Reader<'_>) {
    let paths: Vec<(String, Vec<MountUse>)> =
        reader.packing.mounts.iter().map(|(path, uses)| (path.clone(), uses.clone())).collect();
    let mut contents = BTreeMap::new();
    for (path, uses) in paths {
        let content = content(&path, &uses, reader);
        contents.insert(reader.in_app(&path), content);
    }
    for mount in drafts.values_mut().flat_map(|draft| &mut draft.service.mounts) {
        if let MountSource::Project(project) = &mut mount.source
            && let Some(content) = contents.get(&project.path)
        {
            project.content = content.clone();
        }
    }
}

fn content(path: &str, uses: &[MountUse], reader: &mut Reader<'_>) -> ProjectContent {
    let input = reader.input;
    let written = reader.packing.is_written(path, &input.project_files);
    let folder = input.folder(path);
    let left_out = input.left_out.contains(path);
    let file = input.project_files.get(path);
    reader.report.refer(Reference {
        path: path.to_owned(),
        kind: ReferenceKind::Mount,
        optional: true,
        writable: written,
        given: file.is_some() || left_out || !folder.is_empty(),
    });
    let Some(first) = uses.first() else { return ProjectContent::OnHost };
    if let Some(file) = file {
        if let Some(writer) = uses.iter().find(|mount| !mount.read_only) {
            let message =
                "the file travels with the release: what a container writes to it is gone with the next one";
            reader.report.note(writer.at, &writer.key, message);
        }
        return ProjectContent::File(reader.packing.add(file.bytes.clone(), file.mode, false));
    }
    if !folder.is_empty() && !left_out {
        let files: BTreeMap<String, FileRef> = folder
            .into_iter()
            .map(|(name, file)| (name, reader.packing.add(file.bytes.clone(), file.mode, false)))
            .collect();
        if !written {
            return ProjectContent::Folder(files);
        }
        let message = "something writes to this folder: its files are put on a host once, and not changed by later releases";
        reader.report.note(first.at, &first.key, message);
        return ProjectContent::Seed(files);
    }
    if !left_out {
        let message =
            format!("`{}` is mounted and was not packed", quoted(if path.is_empty() { "." } else { path }));
        reader.report.need(first.at, &first.key, path, message);
    } else if !written {
        let message =
            "nothing of this folder travels with the release: a host where it is missing gets an empty one";
        reader.report.note(first.at, &first.key, message);
    }
    ProjectContent::OnHost
}

type Packed = (BTreeMap<ContentDigest, Vec<u8>>, BTreeSet<ContentDigest>);

/// The packed content, when it is within its bound.
pub(super) fn finish(reader: &mut Reader<'_>) -> Packed {
    let packing = std::mem::take(&mut reader.packing);
    if packing.bytes > MAX_PACKED_BYTES {
        let mut largest: Vec<(usize, &String)> =
            reader.input.project_files.iter().map(|(path, file)| (file.bytes.len(), path)).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let largest: Vec<String> =
            largest.iter().take(3).map(|(size, path)| format!("{} ({size} bytes)", quoted(path))).collect();
        let message = format!(
            "the content that would travel with a release has {} bytes; it may have {}. The largest: {}",
            packing.bytes,
            packed_limit(),
            largest.join(", ")
        );
        let hint = "put large content into an image or a volume, or leave folders of data on the host";
        reader.report.fault(At::default(), "", FaultKind::TooLarge, message, hint);
    }
    // What is public somewhere is no secret, however it is mounted elsewhere.
    let sensitive = packing.sensitive.difference(&packing.public).cloned().collect();
    (packing.files, sensitive)
}
