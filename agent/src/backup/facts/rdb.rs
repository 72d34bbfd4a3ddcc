//! Facts of a dump of Redis or Valkey: the beginning of the file says how many keys its first database has, and the end
//! that it is whole.
//!
//! ```text
//! "REDIS0009"  FA key value …   FE 00   FB keys expires   keys and values …   FF  8 bytes of checksum
//!  magic       about the file   database 0, its sizes                         end
//! ```
//! Further databases come after the values of the first and are not counted: that would take reading every kind of value.

use super::Facts;

/// The beginning that is kept to be read.
const HEAD: usize = 4096;
/// The end: a mark, and the checksum of files since version 5.
const TAIL: usize = 9;

/// Looks at a dump as it passes.
#[derive(Debug, Default)]
pub(super) struct RdbWatch {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl RdbWatch {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let extra = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..extra);
    }

    pub(super) fn facts(&self) -> Facts {
        let sizes = sizes(&self.head).map(|(database, keys, expires)| {
            (format!("keys:{database}"), keys.saturating_sub(expires).to_string())
        });
        sizes.into_iter().collect()
    }

    pub(super) fn complete(&self) -> Result<(), String> {
        if !self.head.starts_with(b"REDIS") && !self.head.starts_with(b"VALKEY") {
            return Err("it is no dump of Redis: it begins with something else".to_owned());
        }
        match self.tail.first() {
            Some(0xFF) if self.tail.len() == TAIL => Ok(()),
            _ => Err("the dump has no end: it was cut off where it was made or kept".to_owned()),
        }
    }
}

/// Number, keys and keys that expire of the first database; absent when there is none, or it is not said.
fn sizes(head: &[u8]) -> Option<(u64, u64, u64)> {
    let mut reader = Reader(head.get(9..)?);
    let mut database = 0;
    loop {
        match reader.byte()? {
            0xFA => {
                reader.text()?;
                reader.text()?;
            }
            0xFE => database = reader.length()?,
            0xFB => return Some((database, reader.length()?, reader.length()?)),
            // Functions, modules, values: nothing more about sizes comes before them.
            _ => return None,
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// A length: 6 bits, 14 bits, or 4 or 8 bytes.
    fn length(&mut self) -> Option<u64> {
        let first = self.byte()?;
        match (first >> 6, first) {
            (0, _) => Some(u64::from(first)),
            (1, _) => Some(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            (_, 0x80) => self.number(4),
            (_, 0x81) => self.number(8),
            _ => None,
        }
    }

    /// A text, or a number in the place of one.
    fn text(&mut self) -> Option<()> {
        let bytes = match *self.0.first()? {
            0xC0 => 2,
            0xC1 => 3,
            0xC2 => 5,
            0xC3 => return None,
            _ => usize::try_from(self.length()?).ok()?,
        };
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Redis 7.0 writes it for three keys, one of which expires, in front of values that are of no interest here.
    const FILE: &[u8] = b"REDIS0010\xFA\x09redis-ver\x057.0.1\xFA\x0Aredis-bits\xC0\x40\xFA\x05ctime\xC2\x6D\xA8\x08\x69\xFE\x00\xFB\x03\x01\x00\x01a\x01b\xFF12345678";

    #[test]
    fn keys_that_never_expire_are_counted() {
        let mut watch = RdbWatch::default();
        FILE.chunks(4).for_each(|piece| watch.feed(piece));
        assert_eq!(watch.facts(), Facts::from([("keys:0".to_owned(), "2".to_owned())]));
        assert_eq!(watch.complete(), Ok(()));
    }

    #[test]
    fn a_cut_dump_and_something_else_are_refused() {
        for bytes in [&FILE[..FILE.len() - 1], &FILE[..20], b"", b"-ERR no\r\n\xFF12345678"] {
            let mut watch = RdbWatch::default();
            watch.feed(bytes);
            assert!(watch.complete().is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1_usize..50) {
            let mut watch = RdbWatch::default();
            bytes.chunks(cut).for_each(|piece| watch.feed(piece));
            watch.facts();
        }
    }
}
