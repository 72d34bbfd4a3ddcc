//! One file of the ring.

use super::HistoryError;
use super::record::{HEADER, Header, Record};
use super::{SEGMENT_BYTES, SEGMENT_RECORDS};
use omni_common::clock::Time;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Newest format this version writes and reads.
pub(super) const FORMAT: u32 = 1;
const MAGIC: [u8; 8] = *b"OMNIHIST";
/// Magic, then the format.
const FILE_HEADER: usize = 12;
const SUFFIX: &str = ".ring";

/// Where a record lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Time,
    offset: u32,
    /// Header and encoded sample.
    pub(super) size: u32,
}

/// A file that can be read while the ring goes on.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    path: PathBuf,
}

/// A segment. The index of an older one is read when it is first searched.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    path: PathBuf,
    /// Open for writing, in the newest segment only.
    file: Option<Arc<File>>,
    entries: Option<Vec<Entry>>,
    /// Bytes up to the end of the last whole record.
    length: u64,
}

/// Numbers of the segments in a folder, in order. Other files are none of ours.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u64>, HistoryError> {
    let entries = fs::read_dir(dir).map_err(HistoryError::io("list", dir))?;
    let mut numbers: Vec<u64> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(SUFFIX)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn file_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}{SUFFIX}"))
}

fn file_header() -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..].copy_from_slice(&FORMAT.to_le_bytes());
    header
}

impl Segment {
    /// A new one.
    pub(super) fn create(dir: &Path, number: u64) -> Result<Self, HistoryError> {
        let path = file_path(dir, number);
        // A file is left over when the disk had room for its name and none for its header.
        let file = open_writable(&path).map_err(HistoryError::io("make", &path))?;
        let mut segment = Self { number, path, file: Some(Arc::new(file)), entries: None, length: 0 };
        segment.begin()?;
        Ok(segment)
    }

    /// One that is on disk; its header is checked, its records are not.
    pub(super) fn known(dir: &Path, number: u64) -> Result<Self, HistoryError> {
        let path = file_path(dir, number);
        let file = File::open(&path).map_err(HistoryError::io("open", &path))?;
        check_header(&file, &path)?;
        Ok(Self { number, path, file: None, entries: None, length: FILE_HEADER as u64 })
    }

    /// No more records come. Returns the segment's number.
    pub(super) fn close(&mut self) -> u64 {
        self.file = None;
        self.number
    }

    pub(super) fn newest(&self) -> Option<Time> {
        self.entries.as_ref()?.last().map(|entry| entry.at)
    }

    /// Makes the newest segment ready for appending: reads it whole and cuts off what is torn.
    pub(super) fn repair(&mut self) -> Result<(), HistoryError> {
        let file = open_writable(&self.path).map_err(HistoryError::io("open", &self.path))?;
        let file = Arc::new(file);
        self.file = Some(Arc::clone(&file));
        let mut begun = [0; FILE_HEADER];
        if file.read_exact_at(&mut begun, 0).is_err() || begun != file_header() {
            return self.begin();
        }
        let entries = walk(&file, true).map_err(HistoryError::io("read", &self.path))?;
        self.length = end(&entries);
        self.entries = Some(entries);
        file.set_len(self.length).map_err(HistoryError::io("repair", &self.path))
    }

    /// Whether a record may be added.
    pub(super) fn has_room(&self, record: &Record) -> bool {
        let records = self.entries.as_ref().map_or(0, Vec::len);
        records < SEGMENT_RECORDS && self.length + record.bytes.len() as u64 <= SEGMENT_BYTES
    }

    /// Adds a record behind the last whole one. What a failed write left there is written over by the next.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), HistoryError> {
        let file = self.file.as_ref().expect("only the newest segment is appended to, and it is open");
        if let Err(source) = file.write_all_at(&record.bytes, self.length) {
            // Best effort: it gives back the room that the torn record took on a full disk.
            file.set_len(self.length).ok();
            return Err(HistoryError::io("write", &self.path)(source));
        }
        let entry = Entry {
            at: record.at,
            offset: u32::try_from(self.length).expect("a segment is a few megabytes"),
            size: u32::try_from(record.bytes.len()).expect("a record is below a megabyte"),
        };
        self.length += u64::from(entry.size);
        self.entries.get_or_insert_default().push(entry);
        Ok(())
    }

    /// Records in a range of time.
    pub(super) fn entries_between(&mut self, from: Time, to: Time) -> Result<Vec<Entry>, HistoryError> {
        if self.entries.is_none() {
            let file = File::open(&self.path).map_err(HistoryError::io("open", &self.path))?;
            let entries = walk(&file, false).map_err(HistoryError::io("read", &self.path))?;
            self.entries = Some(entries);
        }
        let entries = self.entries.iter().flatten();
        Ok(entries.filter(|entry| (from..=to).contains(&entry.at)).copied().collect())
    }

    /// The file, for reading.
    pub(super) fn source(&self) -> Result<Source, HistoryError> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(&self.path).map_err(HistoryError::io("open", &self.path))?),
        };
        Ok(Source { file, path: self.path.clone() })
    }

    /// Removes the file; one that is gone already is as good.
    pub(super) fn delete(&self) -> Result<(), HistoryError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HistoryError::io("delete", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Empties the file and writes its header.
    fn begin(&mut self) -> Result<(), HistoryError> {
        let file = self.file.as_ref().expect("opened just before");
        file.set_len(0)
            .and_then(|()| file.write_all_at(&file_header(), 0))
            .map_err(HistoryError::io("begin", &self.path))?;
        self.length = FILE_HEADER as u64;
        self.entries = Some(Vec::new());
        Ok(())
    }
}

impl Source {
    /// The bytes of a record, unchecked.
    pub(super) fn read(&self, entry: Entry) -> Result<Vec<u8>, HistoryError> {
        let mut bytes = vec![0; entry.size as usize];
        self.file
            .read_exact_at(&mut bytes, u64::from(entry.offset))
            .map_err(HistoryError::io("read", &self.path))?;
        Ok(bytes)
    }
}

fn open_writable(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A header that was never finished is fine (it is a torn end); one that says something else is not ours.
fn check_header(file: &File, path: &Path) -> Result<(), HistoryError> {
    let mut header = [0; FILE_HEADER];
    match file.read_exact_at(&mut header, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        result => result.map_err(HistoryError::io("read", path))?,
    }
    let (magic, format) = header.split_at(MAGIC.len());
    // Some file systems show zeros where a power cut kept the length of a file and lost its contents.
    if header == [0; FILE_HEADER] {
        return Ok(());
    }
    if magic != MAGIC {
        return Err(HistoryError::Foreign { path: path.to_owned() });
    }
    let found = format.iter().rev().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    if found > FORMAT {
        return Err(HistoryError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}

/// All records up to the first that cannot be one; with `verify`, up to the first whose checksum is wrong.
fn walk(file: &File, verify: bool) -> io::Result<Vec<Entry>> {
    let length = file.metadata()?.len().min(SEGMENT_BYTES);
    let mut entries = Vec::new();
    let mut payload = Vec::new();
    let mut offset = FILE_HEADER as u64;
    while offset + HEADER as u64 <= length {
        let mut head = [0; HEADER];
        file.read_exact_at(&mut head, offset)?;
        let Some(header) = Header::parse(head) else {
            break;
        };
        let next = offset + HEADER as u64 + u64::from(header.length);
        if next > length {
            break;
        }
        if verify {
            payload.resize(header.length as usize, 0);
            file.read_exact_at(&mut payload, offset + HEADER as u64)?;
            if !header.matches(&payload) {
                break;
            }
        }
        entries.push(Entry {
            at: header.at,
            offset: u32::try_from(offset).expect("a segment is a few megabytes"),
            size: u32::try_from(next - offset).expect("a record is below a megabyte"),
        });
        offset = next;
    }
    Ok(entries)
}

/// Where the last record ends.
fn end(entries: &[Entry]) -> u64 {
    entries.last().map_or(FILE_HEADER as u64, |last| u64::from(last.offset) + u64::from(last.size))
}

#[cfg(test)]
impl Segment {
    /// Puts another handle in place of the file's own.
    pub(super) fn replace_file(&mut self, open: impl FnOnce(&Path) -> io::Result<File>) {
        self.file = Some(Arc::new(open(&self.path).expect("it is there")));
    }
}
