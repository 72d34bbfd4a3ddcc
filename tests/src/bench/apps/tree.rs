//! A tree of files as apps have them, the same for the same seed.
//!
//! | share | what |
//! | --- | --- |
//! | 40 % | large files that do not compress, as pictures and archives |
//! | 20 % | large files of text, as logs and dumps |
//! | 30 % | thousands of small files, half of each kind, in nested folders, with links between them |
//! | 10 % | a sparse file, one block in eight written, as the disk of a virtual machine |

use anyhow::{Context, Result, ensure};
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A large file is this part of the whole: ten that do not compress and five that do.
const A_LARGE: u64 = 25;
/// A block of the sparse file, and what a change overwrites of a large one.
const BLOCK: u64 = 1 << 20;
/// A small file has at most this; half of it in the mean.
const SMALL: u64 = 32 << 10;
/// Small files of one folder.
const A_FOLDER: usize = 64;
/// One small file in so many has a link beside it.
const A_LINK: usize = 20;
/// One file, or one block, in so many is written anew by a change: five percent.
const CHANGED: u64 = 20;
/// Words that text is made of.
const WORDS: u64 = 256;

/// What a file is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuff {
    /// Does not compress.
    Noise,
    /// Compresses to a quarter or less.
    Text,
}

/// A tree that was made.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    random: Random,
    large: Vec<(PathBuf, Stuff)>,
    /// Bytes of each of these.
    large_size: u64,
    small: Vec<(PathBuf, Stuff, u64)>,
    links: usize,
    /// Bytes in it, as `ls` counts them.
    pub(super) bytes: u64,
}

impl Tree {
    /// Makes one of about so many bytes below `root`, which is there and empty.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn make(root: &Path, bytes: u64, seed: u64) -> Result<Self> {
        let mut tree = Self {
            root: root.to_owned(),
            random: Random(seed),
            large: Vec::new(),
            large_size: (bytes / A_LARGE).next_multiple_of(BLOCK),
            small: Vec::new(),
            links: 0,
            bytes: 0,
        };
        let made = || format!("making a tree below {}", root.display());
        tree.make_large("pictures", 10, Stuff::Noise).with_context(made)?;
        tree.make_large("logs", 5, Stuff::Text).with_context(made)?;
        tree.make_small(bytes * 3 / 10).with_context(made)?;
        tree.make_sparse(bytes / 10).with_context(made)?;
        Ok(tree)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is in it, for people.
    pub(super) fn told(&self) -> String {
        format!(
            "{} MiB: {} files of {} MiB, {} of up to {} KiB, {} links, a sparse one",
            self.bytes >> 20,
            self.large.len(),
            self.large_size >> 20,
            self.small.len(),
            SMALL >> 10,
            self.links
        )
    }

    /// Writes anew one small file in twenty, and a block in twenty of large ones.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn change(&mut self) -> Result<()> {
        for (path, stuff, size) in &self.small {
            if self.random.below(CHANGED) == 0 {
                write(path, *size, *stuff, &mut self.random)?;
            }
        }
        for (path, stuff) in &self.large {
            let file = OpenOptions::new().write(true).open(path)?;
            for number in 0..self.large_size / BLOCK {
                if self.random.below(CHANGED) == 0 {
                    file.write_all_at(&block(*stuff, &mut self.random)?, number * BLOCK)?;
                }
            }
        }
        Ok(())
    }

    fn make_large(&mut self, folder: &str, count: u32, stuff: Stuff) -> Result<()> {
        let folder = self.root.join(folder);
        fs::create_dir(&folder)?;
        for number in 0..count {
            let path = folder.join(format!("{number:04}"));
            write(&path, self.large_size, stuff, &mut self.random)?;
            self.bytes += self.large_size;
            self.large.push((path, stuff));
        }
        Ok(())
    }

    fn make_small(&mut self, bytes: u64) -> Result<()> {
        let mut left = bytes;
        while left > SMALL {
            let number = self.small.len();
            let folder = number / A_FOLDER;
            let folder = self.root.join(format!("pages/{}/{}", folder % 16, folder / 16));
            fs::create_dir_all(&folder)?;
            let path = folder.join(number.to_string());
            let stuff = if number.is_multiple_of(2) { Stuff::Noise } else { Stuff::Text };
            let size = self.random.below(SMALL) + 1;
            write(&path, size, stuff, &mut self.random)?;
            if number.is_multiple_of(A_LINK) {
                symlink(number.to_string(), folder.join(format!("{number}-link")))?;
                self.links += 1;
            }
            self.small.push((path, stuff, size));
            self.bytes += size;
            left -= size;
        }
        Ok(())
    }

    fn make_sparse(&mut self, bytes: u64) -> Result<()> {
        let file = File::create(self.root.join("disk"))?;
        let blocks = bytes / BLOCK;
        file.set_len(blocks * BLOCK)?;
        for number in (0..blocks).step_by(8) {
            file.write_all_at(&block(Stuff::Noise, &mut self.random)?, number * BLOCK)?;
        }
        self.bytes += blocks * BLOCK;
        Ok(())
    }
}

/// One hash over everything below a folder: names, contents, links, owners, modes and times.
///
/// # Errors
/// When something of it cannot be read.
pub(super) fn digest(root: &Path) -> Result<String> {
    let line = r#"set -o pipefail; tar -C "$1" --sort=name --numeric-owner -cf - . | sha256sum"#;
    let output = Command::new("bash").args(["-c", line, "digest"]).arg(root).output();
    let output = output.with_context(|| format!("hashing {}", root.display()))?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "hashing {}: {failed}", root.display());
    Ok(said.split_whitespace().next().context("sha256sum printed nothing")?.to_owned())
}

fn block(stuff: Stuff, random: &mut Random) -> Result<Vec<u8>> {
    let mut block = Vec::new();
    fill(&mut block, BLOCK, stuff, random)?;
    Ok(block)
}

fn write(path: &Path, size: u64, stuff: Stuff, random: &mut Random) -> Result<()> {
    let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    let mut file = BufWriter::with_capacity(256 << 10, file);
    fill(&mut file, size, stuff, random)?;
    file.flush().with_context(|| format!("writing {}", path.display()))
}

/// Writes exactly `size` bytes.
fn fill(to: &mut impl Write, size: u64, stuff: Stuff, random: &mut Random) -> Result<()> {
    let mut left = usize::try_from(size).context("a file fits this machine")?;
    while left > 0 {
        let eight = match stuff {
            Stuff::Noise => random.next().to_le_bytes(),
            Stuff::Text => word(random.below(WORDS)),
        };
        let count = left.min(eight.len());
        to.write_all(&eight[..count])?;
        left -= count;
    }
    Ok(())
}

/// Seven letters and a space, always the same for a number.
fn word(number: u64) -> [u8; 8] {
    let [mut letters @ .., _] = Random(number).next().to_le_bytes();
    letters.iter_mut().for_each(|letter| *letter = b'a' + *letter % 26);
    let [a, b, c, d, e, f, g] = letters;
    [a, b, c, d, e, f, g, b' ']
}

/// SplitMix64: good enough for files, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_tree_and_a_change_another() {
        let folders = [(); 3].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let [one, same, other] = &folders;
        let mut tree = Tree::make(one.path(), 64 << 20, 1).expect("our own folder");
        let twin = Tree::make(same.path(), 64 << 20, 1).expect("our own folder");
        Tree::make(other.path(), 64 << 20, 2).expect("our own folder");
        assert_eq!(tree.bytes, twin.bytes);
        assert!(tree.bytes > 60 << 20 && tree.bytes < 75 << 20, "{}", tree.told());
        // Times differ, contents do not.
        let same_files = |a: &Path, b: &Path| {
            let mut diff = Command::new("diff");
            diff.args(["-rq", "--no-dereference"]).arg(a).arg(b).output().expect("there is diff")
        };
        assert!(same_files(one.path(), same.path()).status.success());
        assert!(!same_files(one.path(), other.path()).status.success());
        let before = digest(one.path()).expect("it can be read");
        tree.change().expect("our own folder");
        assert_ne!(before, digest(one.path()).expect("it can be read"));
        let changed = same_files(one.path(), same.path()).stdout;
        let changed = String::from_utf8_lossy(&changed).lines().count();
        assert!(changed > tree.small.len() / 40 && changed < tree.small.len() / 10, "{changed} files differ");
    }
}
