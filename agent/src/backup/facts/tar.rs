//! A tar archive as it passes: where its entries begin and end, and a sum of each. Nothing is kept of what is in them but
//! short lists of sums that archives carry about themselves.

use super::Facts;
use omni_common::wire::MAX_RUN_TEXT;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

const BLOCK: usize = 512;
/// Entries of which a sum is written down by name; all of them are in the sum over all.
const NAMED: usize = 32;
/// Longest name or list of sums that is read.
const MAX_KEPT: u64 = 64 << 10;
/// A member that has the sums of others.
const SUMS: &str = "SHA256SUMS";

/// Looks at an archive as it passes.
#[derive(Debug)]
pub(super) struct TarWatch {
    state: State,
    block: Vec<u8>,
    /// A name and a size that a special entry says of the next one.
    name: Option<Vec<u8>>,
    size: Option<u64>,
    entries: u64,
    members: Sha256,
    named: BTreeMap<String, String>,
    /// Lists of sums: the folder they lie in, and their text.
    lists: Vec<(String, Vec<u8>)>,
    fault: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Before the first header.
    Start,
    /// A header comes, or the end.
    Header,
    /// The map of a file with holes goes on.
    Map(Box<Entry>),
    /// What is in an entry.
    Content(Box<Entry>),
    /// So many bytes until the next header.
    Padding(u64),
    /// All has come.
    End,
    /// It is no archive.
    Other,
}

#[derive(Debug)]
struct Entry {
    path: Vec<u8>,
    kind: EntryType,
    size: u64,
    left: u64,
    hash: Sha256,
    kept: Option<Vec<u8>>,
}

impl Default for TarWatch {
    fn default() -> Self {
        Self {
            state: State::Start,
            block: Vec::with_capacity(BLOCK),
            name: None,
            size: None,
            entries: 0,
            members: Sha256::new(),
            named: BTreeMap::new(),
            lists: Vec::new(),
            fault: None,
        }
    }
}

impl TarWatch {
    /// It began as something else.
    pub(super) fn is_other(&self) -> bool {
        matches!(self.state, State::Other)
    }

    /// It began as an archive.
    pub(super) fn is_archive(&self) -> bool {
        !matches!(self.state, State::Start | State::Other)
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.fault.is_none() {
            let taken = match &mut self.state {
                State::End | State::Other => return,
                State::Start | State::Header | State::Map(_) => self.fill(bytes),
                State::Padding(left) => {
                    let taken = at_most(bytes.len(), *left);
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    taken
                }
                State::Content(entry) => {
                    let taken = at_most(bytes.len(), entry.left);
                    entry.feed(&bytes[..taken]);
                    if entry.left == 0 {
                        self.ended();
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
    }

    /// Gathers a block, and reads it when it is whole. Returns how much of `bytes` it took.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
            match std::mem::replace(&mut self.state, State::Header) {
                State::Map(entry) => self.map(entry, &block),
                before => self.header(&block, matches!(before, State::Start)),
            }
        }
        taken
    }

    fn header(&mut self, block: &[u8], first: bool) {
        let header = Header::from_byte_slice(block);
        // The first empty block is the end; an archive without anything else could be any zeros.
        if block.iter().all(|byte| *byte == 0) {
            self.state = if first { State::Other } else { State::End };
            return;
        }
        if header.cksum().ok() != Some(sum_of(block)) {
            self.state = if first { State::Other } else { State::Header };
            if !first {
                self.fault = Some(format!("what follows entry {} is no header", self.entries));
            }
            return;
        }
        let kind = header.entry_type();
        // What was said of the next entry is not about one that says more of it.
        let (name, size) = match is_about_next(kind) {
            true => (None, None),
            false => (self.name.take(), self.size.take()),
        };
        let Some(size) = size.or_else(|| header.entry_size().ok()) else {
            self.fault = Some(format!("entry {} has no size", self.entries + 1));
            return;
        };
        let path = name.unwrap_or_else(|| header.path_bytes().into_owned());
        let entry = Box::new(Entry::new(path, kind, size));
        if is_about_next(kind) && entry.kept.is_none() {
            self.fault = Some(format!("entry {} has a name that is too long", self.entries + 1));
            return;
        }
        match header.as_gnu().is_some_and(|gnu| entry.kind == EntryType::GNUSparse && gnu.is_extended()) {
            true => self.state = State::Map(entry),
            false => self.begin(entry),
        }
    }

    /// Blocks between the header and the content say where the holes of a file are.
    fn map(&mut self, entry: Box<Entry>, block: &[u8]) {
        let mut map = GnuExtSparseHeader::new();
        map.as_mut_bytes().copy_from_slice(block);
        match map.is_extended() {
            true => self.state = State::Map(entry),
            false => self.begin(entry),
        }
    }

    fn begin(&mut self, entry: Box<Entry>) {
        let empty = entry.left == 0;
        self.state = State::Content(entry);
        if empty {
            self.ended();
        }
    }

    /// The content of an entry has come.
    fn ended(&mut self) {
        let State::Content(entry) = std::mem::replace(&mut self.state, State::Header) else { return };
        let over = entry.size % BLOCK as u64;
        if over > 0 {
            self.state = State::Padding(BLOCK as u64 - over);
        }
        match entry.kind {
            EntryType::GNULongName => {
                let name = entry.kept.unwrap_or_default();
                self.name = Some(name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            }
            EntryType::XHeader => self.extensions(&entry.kept.unwrap_or_default()),
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            _ => self.member(*entry),
        }
    }

    /// What stands before an entry and is about it.
    fn extensions(&mut self, text: &[u8]) {
        for one in PaxExtensions::new(text).flatten() {
            match one.key_bytes() {
                b"path" => self.name = Some(one.value_bytes().to_vec()),
                b"size" => self.size = one.value().ok().and_then(|value| value.parse().ok()),
                _ => {}
            }
        }
    }

    fn member(&mut self, entry: Entry) {
        self.entries += 1;
        let hash: [u8; 32] = entry.hash.finalize().into();
        self.members.update(&entry.path);
        self.members.update([0, entry.kind.as_byte()]);
        self.members.update(entry.size.to_le_bytes());
        self.members.update(hash);
        let Ok(path) = String::from_utf8(entry.path) else { return };
        if let (Some(text), Some(folder)) = (entry.kept, path.strip_suffix(SUMS)) {
            self.lists.push((folder.to_owned(), text));
        }
        if entry.kind.is_file() && self.named.len() < NAMED && path.len() + "entry:".len() <= MAX_RUN_TEXT {
            self.named.insert(path, hex::encode(hash));
        }
    }

    /// Why it is not whole; nothing when it is.
    pub(super) fn fault(&self) -> Option<String> {
        if let Some(fault) = &self.fault {
            return Some(fault.clone());
        }
        match &self.state {
            State::End => self.own_sums().err(),
            State::Content(entry) => {
                Some(format!("it ends in the middle of {}", String::from_utf8_lossy(&entry.path)))
            }
            _ => Some(format!("it has no end after entry {}", self.entries)),
        }
    }

    /// How many sums that the archive carries about its own members fit; else which one does not. Members that are not
    /// written down by name are not looked at.
    fn own_sums(&self) -> Result<u64, String> {
        let mut fit = 0;
        for (folder, text) in &self.lists {
            for line in String::from_utf8_lossy(text).lines() {
                let Some((sum, name)) = line.split_once(' ') else { continue };
                let path = format!("{folder}{}", name.trim_start_matches([' ', '*']));
                match self.named.get(&path) {
                    Some(found) if found.eq_ignore_ascii_case(sum) => fit += 1,
                    Some(_) => return Err(format!("{folder}{SUMS} says otherwise of {path}")),
                    None if self.named.len() < NAMED => {
                        return Err(format!("{folder}{SUMS} names {path}, which is not in it"));
                    }
                    None => {}
                }
            }
        }
        Ok(fit)
    }

    pub(super) fn facts(&self) -> Facts {
        let mut facts: Facts =
            self.named.iter().map(|(path, hash)| (format!("entry:{path}"), hash.clone())).collect();
        facts.insert("entries".to_owned(), self.entries.to_string());
        facts.insert("members".to_owned(), hex::encode(self.members.clone().finalize()));
        if let Ok(fit @ 1..) = self.own_sums() {
            facts.insert("sums".to_owned(), fit.to_string());
        }
        facts
    }
}

impl Entry {
    fn new(path: Vec<u8>, kind: EntryType, size: u64) -> Self {
        let mut entry = Self { path, kind, size, left: size, hash: Sha256::new(), kept: None };
        let list = kind.is_file() && (entry.path == SUMS.as_bytes() || entry.path.ends_with(b"/SHA256SUMS"));
        if size <= MAX_KEPT && (list || is_about_next(kind)) {
            entry.kept = Some(Vec::new());
        }
        entry
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.left -= bytes.len() as u64;
        self.hash.update(bytes);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }
}

/// It says something of the entry after it.
fn is_about_next(kind: EntryType) -> bool {
    matches!(kind, EntryType::GNULongName | EntryType::XHeader)
}

/// What comes out of gzip goes through it.
impl io::Write for TarWatch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn at_most(count: usize, left: u64) -> usize {
    usize::try_from(left).map_or(count, |left| count.min(left))
}

/// The sum that a header carries of itself: of all its bytes, as if the sum were spaces.
fn sum_of(block: &[u8]) -> u32 {
    let inside = |at: usize| (148..156).contains(&at);
    block
        .iter()
        .enumerate()
        .map(|(at, byte)| if inside(at) { u32::from(b' ') } else { u32::from(*byte) })
        .sum()
}
