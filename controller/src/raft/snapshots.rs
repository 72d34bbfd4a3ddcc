//! Raft snapshots at rest: the newest one, whole or not at all.

use super::types::SnapshotMeta;
use omni_common::codec;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A snapshot: what it covers, and the encoded state.
#[derive(Clone, Debug)]
pub(crate) struct StoredSnapshot {
    pub(crate) meta: SnapshotMeta,
    pub(crate) data: Arc<Vec<u8>>,
}

/// A place for the newest snapshot.
pub(crate) trait SnapshotStore: Send + Sync + 'static {
    /// Replaces the newest snapshot. When this returns, it survives a power failure.
    fn save(&self, snapshot: &StoredSnapshot) -> io::Result<()>;
    /// The newest snapshot.
    fn load(&self) -> io::Result<Option<StoredSnapshot>>;
}

/// Snapshots in a folder: a file is written beside the old one, synced, and renamed over it.
#[derive(Debug)]
pub(crate) struct FileSnapshots {
    dir: PathBuf,
}

const NAME: &str = "snapshot.omnisnap";

impl FileSnapshots {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }
}

impl SnapshotStore for FileSnapshots {
    fn save(&self, snapshot: &StoredSnapshot) -> io::Result<()> {
        let meta = codec::encode(&snapshot.meta)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))?;
        let length = u32::try_from(meta.len()).expect("a frame is under a megabyte");
        let target = self.dir.join(NAME);
        let temporary = target.with_extension("new");
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&crc32fast::hash(&meta).to_le_bytes())?;
        file.write_all(&meta)?;
        file.write_all(&snapshot.data)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &target)?;
        std::fs::File::open(&self.dir)?.sync_all()
    }

    fn load(&self) -> io::Result<Option<StoredSnapshot>> {
        let path = self.dir.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        parse(&bytes).map(Some).ok_or_else(|| {
            let advice = "remove this controller and join it again under a new id";
            let message = format!("the snapshot {} is damaged; {advice}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }
}

fn parse(bytes: &[u8]) -> Option<StoredSnapshot> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (meta, data) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if crc32fast::hash(meta) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some(StoredSnapshot { meta: codec::decode(meta).ok()?, data: Arc::new(data.to_vec()) })
}

/// The newest snapshot in memory, for simulation; outlives a simulated crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemorySnapshots {
    newest: Arc<Mutex<Option<StoredSnapshot>>>,
}

impl MemorySnapshots {
    /// What a crash at this moment leaves.
    pub(super) fn survivor(&self) -> Self {
        let newest = self.newest.lock().expect("no holder of this lock panics").clone();
        Self { newest: Arc::new(Mutex::new(newest)) }
    }
}

impl SnapshotStore for MemorySnapshots {
    fn save(&self, snapshot: &StoredSnapshot) -> io::Result<()> {
        *self.newest.lock().expect("no holder of this lock panics") = Some(snapshot.clone());
        Ok(())
    }

    fn load(&self) -> io::Result<Option<StoredSnapshot>> {
        Ok(self.newest.lock().expect("no holder of this lock panics").clone())
    }
}
