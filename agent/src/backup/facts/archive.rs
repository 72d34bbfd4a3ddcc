//! Facts of a stream that is a tar archive, plain or within gzip: how many entries it has, and a sum of each.
//!
//! ```text
//! bytes ─▶ gzip? ─▶ tar.rs: header, content, header, content, …, end ─▶ entries · entry:PATH · members
//! ```
//! Whatever else a command writes is none of these, and nothing is said about it: a zip file has its list at its end, and
//! could only be read by keeping all of it.

use super::Facts;
use super::tar::TarWatch;
use flate2::write::MultiGzDecoder;
use std::borrow::Cow;
use std::fmt;
use std::io::Write;

/// The key of what kind of archive it is; absent for what is none.
pub(in crate::backup) const ARCHIVE: &str = "archive";
/// The key of why it is not whole; absent for one that is.
pub(in crate::backup) const BROKEN: &str = "broken";

/// How a stream within gzip begins.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// Looks at a stream as it passes.
#[derive(Default)]
pub(super) struct ArchiveWatch {
    form: Form,
    closed: bool,
    /// Why it cannot be read on.
    broken: Option<String>,
}

#[derive(Default)]
enum Form {
    /// Too little has come to know.
    #[default]
    Unknown,
    /// The same, and these are its first bytes.
    Begun(Vec<u8>),
    Tar(Box<TarWatch>),
    Gzip(Box<MultiGzDecoder<TarWatch>>),
}

impl fmt::Debug for ArchiveWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveWatch").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl ArchiveWatch {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.broken.is_some() || bytes.is_empty() {
            return;
        }
        if let Some(first) = self.begin(bytes) {
            self.pass(&first);
        }
    }

    /// What can be passed on; nothing while too little has come.
    fn begin<'b>(&mut self, bytes: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        let first: Cow<'b, [u8]> = match &mut self.form {
            Form::Unknown if bytes.len() < GZIP.len() => {
                self.form = Form::Begun(bytes.to_vec());
                return None;
            }
            Form::Unknown => bytes.into(),
            Form::Begun(first) => {
                first.extend_from_slice(bytes);
                if first.len() < GZIP.len() {
                    return None;
                }
                std::mem::take(first).into()
            }
            Form::Tar(_) | Form::Gzip(_) => return Some(bytes.into()),
        };
        self.form = match first.starts_with(&GZIP) {
            true => Form::Gzip(Box::new(MultiGzDecoder::new(TarWatch::default()))),
            false => Form::Tar(Box::default()),
        };
        Some(first)
    }

    fn pass(&mut self, bytes: &[u8]) {
        match &mut self.form {
            Form::Tar(tar) => tar.feed(bytes),
            // What is no archive is not unpacked to its end either.
            Form::Gzip(gzip) if gzip.get_ref().is_other() => {}
            Form::Gzip(gzip) => {
                self.broken =
                    gzip.write_all(bytes).err().map(|error| format!("gzip cannot be read: {error}"));
            }
            Form::Unknown | Form::Begun(_) => {}
        }
    }

    fn tar(&self) -> Option<(&'static str, &TarWatch)> {
        match &self.form {
            Form::Tar(tar) => Some(("tar", tar.as_ref())),
            Form::Gzip(gzip) => Some(("tar.gz", gzip.get_ref())),
            Form::Unknown | Form::Begun(_) => None,
        }
    }

    /// The stream has passed.
    fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if let Form::Gzip(gzip) = &mut self.form
            && self.broken.is_none()
            && !gzip.get_ref().is_other()
            && let Err(error) = gzip.try_finish()
        {
            self.broken = Some(format!("gzip breaks off or its sum does not fit: {error}"));
        }
    }

    /// The facts, once all has passed; none of what is no archive.
    pub(super) fn facts(&mut self) -> Facts {
        self.close();
        let Some((kind, tar)) = self.tar().filter(|(_, tar)| tar.is_archive()) else { return Facts::new() };
        let mut facts = tar.facts();
        facts.insert(ARCHIVE.to_owned(), kind.to_owned());
        if let Some(why) = self.broken.clone().or_else(|| tar.fault()) {
            facts.insert(BROKEN.to_owned(), why);
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            builder.append_data(&mut header, path, *content).expect("memory");
        }
        builder.into_inner().expect("memory")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn facts(bytes: &[u8], cut: usize) -> Facts {
        let mut watch = ArchiveWatch::default();
        bytes.chunks(cut).for_each(|piece| watch.feed(piece));
        watch.facts()
    }

    /// As a server of secrets writes its snapshot: the sums of its members are one of them.
    fn snapshot(state: &[u8]) -> Vec<u8> {
        let sum = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let sums = format!("{}  meta.json\n{}  state.bin\n", sum(b"{}"), sum(b"state"));
        tar(&[("meta.json", b"{}"), ("state.bin", state), ("SHA256SUMS", sums.as_bytes())])
    }

    #[test]
    fn entries_and_their_sums_are_written_down_with_and_without_gzip() {
        let long = "a/".repeat(90) + "long";
        let plain = tar(&[("one", b"first"), (&long, &[7; 2000]), ("empty", b"")]);
        let found = facts(&plain, 1000);
        assert_eq!((found[ARCHIVE].as_str(), found["entries"].as_str()), ("tar", "3"));
        assert_eq!(found["entry:one"], hex::encode(Sha256::digest(b"first")));
        assert_eq!(found[&format!("entry:{long}")], hex::encode(Sha256::digest([7; 2000])));
        assert!(!found.contains_key(BROKEN), "{found:?}");
        let packed = Facts::from([(ARCHIVE.to_owned(), "tar.gz".to_owned())]);
        assert_eq!(facts(&gzip(&plain), 100), found.into_iter().chain(packed).collect());
    }

    #[test]
    fn names_that_stand_before_an_entry_are_its_own() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", "in/full".as_bytes()), ("size", b"3")]).expect("memory");
        let mut header = tar::Header::new_ustar();
        header.set_path("short").expect("it is short");
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, [b'x'; 3].as_slice()).expect("memory");
        let found = facts(&builder.into_inner().expect("memory"), 512);
        assert_eq!((found["entries"].as_str(), found.get(BROKEN)), ("1", None));
        assert_eq!(found["entry:in/full"], hex::encode(Sha256::digest(b"xxx")));
    }

    #[test]
    fn an_archive_that_ends_early_is_broken_wherever_it_ends() {
        let plain = tar(&[("one", b"first"), ("two", &[1; 700])]);
        let packed = gzip(&plain);
        // At the end are two empty blocks; the first of them is the end.
        for cut in [512, 600, 1024, 1100, 1536, 2000, plain.len() - 1024] {
            assert!(facts(&plain[..cut], 300).contains_key(BROKEN), "{cut}");
        }
        assert!(!facts(&plain[..plain.len() - 512], 300).contains_key(BROKEN));
        let early = facts(&packed[..packed.len() - 9], 64);
        assert!(early.is_empty() || early.contains_key(BROKEN), "{early:?}");
        let mut sum = packed.clone();
        *sum.iter_mut().rev().nth(5).expect("eight bytes of sum and length") ^= 1;
        assert!(facts(&sum, 64)[BROKEN].contains("sum does not fit"));
    }

    #[test]
    fn an_archive_s_own_sums_have_to_fit() {
        let good = facts(&snapshot(b"state"), 512);
        assert_eq!((good["sums"].as_str(), good.get(BROKEN)), ("2", None));
        assert_eq!(facts(&snapshot(b"statE"), 512)[BROKEN], "SHA256SUMS says otherwise of state.bin");
    }

    #[test]
    fn a_changed_member_is_named() {
        let (one, other) = (tar(&[("a", b"x"), ("b", b"y")]), tar(&[("a", b"x"), ("b", b"z")]));
        let differs = super::super::difference(&facts(&one, 512), &facts(&other, 512));
        assert!(differs.expect("it differs").starts_with("entry:b was "));
    }

    #[test]
    fn what_is_no_archive_has_no_facts_of_one() {
        let zip = [b"PK\x03\x04".as_slice(), &[0; 900]].concat();
        for other in [zip.as_slice(), b"", b"x", &[0; 2048], b"{\"users\": []}", &gzip(&[b'x'; 5000])] {
            assert_eq!(facts(other, 100), Facts::new(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cut in 1_usize..1500, size in 0_usize..3000) {
            let plain = tar(&[("one", &vec![3; size]), ("d/two", b"2")]);
            prop_assert_eq!(facts(&plain, cut), facts(&plain, plain.len()));
            let packed = gzip(&plain);
            prop_assert_eq!(facts(&packed, cut), facts(&packed, packed.len()));
        }

        #[test]
        fn no_bytes_make_it_panic(
            at in 0_usize..4000, bytes in prop::collection::vec(any::<u8>(), 1..600), pack in any::<bool>()
        ) {
            let mut plain = tar(&[("one", b"first"), (&"x".repeat(200), &[1; 700])]);
            if pack {
                plain = gzip(&plain);
            }
            let at = at % plain.len();
            let end = plain.len().min(at + bytes.len());
            plain[at..end].copy_from_slice(&bytes[..end - at]);
            facts(&plain, 333);
        }
    }
}
