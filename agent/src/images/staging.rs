//! Layers on their way into the engine, in a folder of their own. A layer is named by its digest; one that has not all
//! arrived has `.part` behind it, and goes on from there when the transfer is taken up again.
//!
//! What lies here counts for nothing until its digest was counted, so nothing is synchronised to the disk: after a crash a
//! layer may be short, the engine refuses it, and it is fetched anew.

use super::archive::finish;
use omni_common::clock::Time;
use omni_common::domain::app::ContentDigest;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Layers that nobody came back for are removed after this time …
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// … and the oldest first when all of them take more than this many bytes.
const MAX_KEPT: u64 = 32 << 30;
/// This much of the disk stays free: the rest of the host needs it.
pub const MARGIN: u64 = 256 << 20;
const PART: &str = ".part";
/// Read at once.
const PIECE: usize = 128 << 10;

/// The folder.
#[derive(Clone, Debug)]
pub struct Staging {
    folder: PathBuf,
}

/// What is there of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it.
    Whole,
    /// So many bytes from its beginning.
    Part(u64),
}

/// A layer that is arriving.
#[derive(Debug)]
pub struct Arriving {
    file: File,
    hash: Sha256,
    digest: ContentDigest,
    size: u64,
    have: u64,
    part: PathBuf,
    whole: PathBuf,
}

impl Staging {
    /// In this folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// A file without a name, of which the disk takes `size` bytes and keeps its margin. It is gone when it is dropped.
    pub fn aside(&self, size: u64) -> io::Result<File> {
        self.make()?;
        self.check_room(size)?;
        tempfile::tempfile_in(&self.folder)
    }

    /// What is there of a layer.
    pub fn held(&self, digest: &ContentDigest) -> Held {
        if self.whole(digest).exists() {
            return Held::Whole;
        }
        Held::Part(fs::metadata(self.part(digest)).map_or(0, |meta| meta.len()))
    }

    /// A layer that is whole, and its size.
    pub fn open(&self, digest: &ContentDigest) -> io::Result<(File, u64)> {
        let file = File::open(self.whole(digest))?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// Takes up a layer of `size` bytes from its byte `from` on; what is there beyond that is given up.
    pub fn begin(&self, digest: &ContentDigest, size: u64, from: u64) -> io::Result<Arriving> {
        self.make()?;
        self.check_room(size.saturating_sub(from))?;
        let part = self.part(digest);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part)?;
        let mut hash = Sha256::new();
        let have = count(&mut (&mut file).take(from), &mut hash)?;
        if have != from {
            return Err(io::Error::other(format!("{} has {have} bytes, not {from}", part.display())));
        }
        file.set_len(from)?;
        file.seek(SeekFrom::Start(from))?;
        let (digest, whole) = (digest.clone(), self.whole(digest));
        Ok(Arriving { file, hash, digest, size, have, part, whole })
    }

    /// Forgets a layer.
    pub fn remove(&self, digest: &ContentDigest) {
        for path in [self.whole(digest), self.part(digest)] {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "layer not removed");
            }
        }
    }

    /// Removes what nobody came back for: what is too old at `now`, and the oldest of what is too much.
    pub fn sweep(&self, now: Time) -> io::Result<()> {
        self.sweep_within(now, MAX_KEPT)
    }

    fn sweep_within(&self, now: Time, limit: u64) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut layers = Vec::new();
        for entry in entries {
            let (path, meta) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            layers.push((Time::from_secs(meta.mtime()), meta.len(), path));
        }
        layers.sort_by(|a, b| b.cmp(a));
        let mut kept = 0;
        for (modified, size, path) in layers {
            kept += size;
            if now.since(modified) > KEPT_FOR || kept > limit {
                fs::remove_file(path)?;
                kept -= size;
            }
        }
        Ok(())
    }

    fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Whether the disk takes so many bytes more and keeps its margin.
    fn check_room(&self, size: u64) -> io::Result<()> {
        check_room(&self.folder, size)
    }

    fn whole(&self, digest: &ContentDigest) -> PathBuf {
        self.folder.join(digest.as_str())
    }

    fn part(&self, digest: &ContentDigest) -> PathBuf {
        self.folder.join(format!("{digest}{PART}"))
    }
}

/// Whether the disk under `folder` takes so many bytes more and keeps its margin.
pub fn check_room(folder: &Path, size: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= size.saturating_add(MARGIN) {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(io::Error::new(
        io::ErrorKind::StorageFull,
        format!(
            "{} MiB are needed at {}, of which {} MiB are to stay free, and {} MiB are free",
            mib(size.saturating_add(MARGIN)),
            folder.display(),
            mib(MARGIN),
            mib(free)
        ),
    ))
}

impl Arriving {
    /// Whether all bytes are there.
    pub fn is_complete(&self) -> bool {
        self.have == self.size
    }

    /// Adds the next bytes.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let have = self.have.saturating_add(bytes.len() as u64);
        if have > self.size {
            return Err(io::Error::other(format!(
                "the layer {} has more than its {} bytes",
                self.digest, self.size
            )));
        }
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.have = have;
        Ok(())
    }

    /// Keeps the layer when it is what it is called; else forgets it.
    pub fn finish(self) -> io::Result<()> {
        let counted = finish(self.hash);
        if counted != self.digest {
            fs::remove_file(&self.part)?;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the layer {} arrived with the digest {counted}", self.digest),
            ));
        }
        fs::rename(&self.part, &self.whole)
    }
}

/// Reads to the end and counts digest and bytes.
fn count(input: &mut impl Read, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut total = 0;
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(total),
            count => {
                hash.update(&buffer[..count]);
                total += count as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn staging() -> (tempfile::TempDir, Staging) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let staging = Staging::new(dir.path().join("images"));
        (dir, staging)
    }

    #[test]
    fn a_layer_goes_on_where_it_broke_off() {
        let (_dir, staging) = staging();
        let bytes = b"a layer of an image".repeat(1000);
        let digest = ContentDigest::of(&bytes);
        let size = bytes.len() as u64;
        assert_eq!(staging.held(&digest), Held::Part(0));
        let mut arriving = staging.begin(&digest, size, 0).expect("room");
        arriving.append(&bytes[..7000]).expect("room");
        drop(arriving);
        assert_eq!(staging.held(&digest), Held::Part(7000));
        // From before where it broke off: the rest is given up.
        let mut arriving = staging.begin(&digest, size, 6000).expect("room");
        assert_eq!(staging.held(&digest), Held::Part(6000));
        arriving.append(&bytes[6000..]).expect("room");
        assert!(arriving.is_complete());
        arriving.finish().expect("its digest is right");
        assert_eq!(staging.held(&digest), Held::Whole);
        let (mut file, known) = staging.open(&digest).expect("it is there");
        let mut read = Vec::new();
        file.read_to_end(&mut read).expect("readable");
        assert!(read == bytes && known == size);
        staging.remove(&digest);
        assert_eq!(staging.held(&digest), Held::Part(0));
    }

    #[test]
    fn what_is_not_what_it_is_called_is_forgotten() {
        let (_dir, staging) = staging();
        let digest = ContentDigest::of(b"right");
        let mut arriving = staging.begin(&digest, 5, 0).expect("room");
        arriving.append(b"wrong").expect("room");
        let refused = arriving.finish().expect_err("another digest");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert!(refused.to_string().contains(digest.as_str()), "{refused}");
        assert_eq!(staging.held(&digest), Held::Part(0));
    }

    #[test]
    fn a_part_that_rotted_is_found_out_at_the_end() {
        let (_dir, staging) = staging();
        let digest = ContentDigest::of(b"right");
        staging.begin(&digest, 5, 0).expect("room").append(b"rog").expect("room");
        let mut arriving = staging.begin(&digest, 5, 3).expect("room");
        arriving.append(b"ht").expect("room");
        arriving.finish().expect_err("another digest");
        assert_eq!(staging.held(&digest), Held::Part(0), "the next attempt begins anew");
    }

    #[test]
    fn more_than_was_announced_is_refused() {
        let (_dir, staging) = staging();
        let mut arriving = staging.begin(&ContentDigest::of(b"x"), 3, 0).expect("room");
        arriving.append(b"ab").expect("room");
        assert!(arriving.append(b"cd").is_err());
    }

    #[test]
    fn a_disk_that_would_be_full_is_said_before_it_is() {
        let (_dir, staging) = staging();
        let refused = staging.begin(&ContentDigest::of(b"x"), 1 << 60, 0).expect_err("no disk has that");
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("MiB are free"), "{refused}");
        assert!(staging.aside(1 << 60).is_err());
    }

    #[test]
    fn what_nobody_came_back_for_goes_the_oldest_first() {
        let (_dir, staging) = staging();
        let now = Time::from_secs(1_000_000);
        staging.sweep(now).expect("a folder that is not there is swept");
        let layer = |text: &str, age: u64| {
            let digest = ContentDigest::of(text.as_bytes());
            let mut arriving = staging.begin(&digest, text.len() as u64, 0).expect("room");
            arriving.append(text.as_bytes()).expect("room");
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - age);
            arriving.file.set_modified(written).expect("times can be set");
            arriving.finish().expect("right");
            digest
        };
        let (old, older) = (layer("aaaa", 100), layer("bbbb", 200));
        let (oldest, forgotten) = (layer("cccc", 300), layer("dddd", 25 * 3600));
        staging.sweep_within(now, 8).expect("swept");
        let left = [&old, &older, &oldest, &forgotten].map(|layer| staging.held(layer) == Held::Whole);
        assert_eq!(left, [true, true, false, false]);
    }
}
