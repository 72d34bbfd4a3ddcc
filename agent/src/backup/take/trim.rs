//! Takes the end mark of a transfer off a dump of Redis.
//!
//! A server that sends its dump without writing it to disk first ends it with a mark of 40 digits that it has announced.
//! `redis-cli --rdb FILE` cuts that off the file; `--rdb -` cannot (7.0.15), so it is done here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of the mark.
const MARK: usize = 40;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// A reader without the mark at its end, if there is one.
pub(super) struct Trimmed<R> {
    inner: R,
    /// What has been read and not been handed on; the last of it may be the mark.
    held: Vec<u8>,
    chunk: Box<[u8]>,
    ended: bool,
}

impl<R> Trimmed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, held: Vec::new(), chunk: vec![0; CHUNK].into(), ended: false }
    }

    /// How much can be handed on now.
    fn ready(&self) -> usize {
        if self.ended { self.held.len() } else { self.held.len().saturating_sub(MARK) }
    }
}

/// Whether these bytes are a mark. A dump without one ends with a byte that is no digit and eight more.
fn is_mark(bytes: &[u8]) -> bool {
    bytes.len() == MARK && bytes.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

impl<R: AsyncRead + Unpin> AsyncRead for Trimmed<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.ready() == 0 && !self.ended {
            let this = &mut *self;
            let mut chunk = ReadBuf::new(&mut this.chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            this.held.extend_from_slice(chunk.filled());
            if chunk.filled().is_empty() {
                this.ended = true;
                if is_mark(&this.held) {
                    this.held.clear();
                }
            }
        }
        let count = self.ready().min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.held.drain(..count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    fn trimmed(bytes: &[u8], cut: usize) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (mut to, from) = tokio::io::duplex(cut);
            let bytes = bytes.to_vec();
            tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut to, &bytes).await });
            let mut out = Vec::new();
            Trimmed::new(from).read_to_end(&mut out).await.expect("a pipe");
            out
        })
    }

    const MARK_OF_7: &[u8] = b"6f31663366653632393864363739343031333532";

    #[test]
    fn a_mark_is_taken_off_and_nothing_else() {
        let dump = b"REDIS0010\xFB\x01\x00\xFF12345678";
        assert_eq!(trimmed(&[dump, MARK_OF_7].concat(), 7), dump);
        assert_eq!(trimmed(dump, 7), dump);
        assert_eq!(trimmed(b"", 7), b"");
        assert_eq!(trimmed(MARK_OF_7, 7), b"");
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1_usize..100) {
            let mut dump = bytes;
            dump.extend_from_slice(b"\xFF12345678");
            prop_assert_eq!(&trimmed(&[&dump, MARK_OF_7].concat(), cut), &dump);
            prop_assert_eq!(&trimmed(&dump, cut), &dump);
        }
    }
}
