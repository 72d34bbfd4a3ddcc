//! Docker's way of sending two outputs over one stream: frames of an 8-byte header and a payload.
//!
//! Decoded piece by piece as bytes arrive, so a frame that announces gigabytes costs no more than one that
//! announces ten bytes.

use omni_common::wire::OutputStream;

const HEADER: usize = 8;

/// A stretch of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Which output it belongs to.
    pub stream: OutputStream,
    /// It is the first of its frame.
    pub begins: bool,
    /// It is the last of its frame.
    pub ends: bool,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// The stream is not in frames: its container has a terminal, or the engine is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine sent output of an unknown kind ({0})")]
pub struct UnknownStream(u8);

/// Takes a framed stream apart.
#[derive(Debug, Default)]
pub struct Demux {
    header: [u8; HEADER],
    have: usize,
    current: Option<Current>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    stream: OutputStream,
    left: usize,
    begins: bool,
}

impl Demux {
    /// Takes in `bytes` and hands on what they hold, in order.
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Piece<'_>)) -> Result<(), UnknownStream> {
        loop {
            let Some(current) = &mut self.current else {
                if bytes.is_empty() || !self.fill_header(&mut bytes)? {
                    return Ok(());
                }
                continue;
            };
            // A frame without payload has ended as soon as it has begun.
            if bytes.is_empty() && current.left > 0 {
                return Ok(());
            }
            let (now, later) = bytes.split_at(current.left.min(bytes.len()));
            bytes = later;
            current.left -= now.len();
            sink(Piece {
                stream: current.stream,
                begins: std::mem::take(&mut current.begins),
                ends: current.left == 0,
                bytes: now,
            });
            if current.left == 0 {
                self.current = None;
            }
        }
    }

    /// Whether the stream stands between two frames, where it may end.
    pub fn is_between_frames(&self) -> bool {
        self.current.is_none() && self.have == 0
    }

    /// Moves header bytes over; true when the header is complete and a frame has begun.
    fn fill_header(&mut self, bytes: &mut &[u8]) -> Result<bool, UnknownStream> {
        let (now, later) = bytes.split_at((HEADER - self.have).min(bytes.len()));
        self.header[self.have..self.have + now.len()].copy_from_slice(now);
        self.have += now.len();
        *bytes = later;
        if self.have < HEADER {
            return Ok(false);
        }
        self.have = 0;
        let [kind, _, _, _, length @ ..] = self.header;
        let stream = match kind {
            0 | 1 => OutputStream::Stdout,
            // 3 carries an error of the engine itself, in words.
            2 | 3 => OutputStream::Stderr,
            other => return Err(UnknownStream(other)),
        };
        self.current = Some(Current { stream, left: u32::from_be_bytes(length) as usize, begins: true });
        Ok(true)
    }
}

/// A frame as the engine sends it.
#[cfg(test)]
pub(crate) fn frame(stream: OutputStream, payload: &[u8]) -> Vec<u8> {
    let kind = match stream {
        OutputStream::Stdout => 1,
        OutputStream::Stderr => 2,
    };
    let length = u32::try_from(payload.len()).expect("small test payload");
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whole frames as they come out, whatever the cuts.
    fn collect(chunks: &[&[u8]]) -> Result<Vec<(OutputStream, Vec<u8>)>, UnknownStream> {
        let mut demux = Demux::default();
        let (mut frames, mut open) = (Vec::new(), Vec::new());
        for chunk in chunks {
            demux.feed(chunk, |piece| {
                if piece.begins {
                    assert!(open.is_empty(), "a frame begins within another");
                }
                open.extend_from_slice(piece.bytes);
                if piece.ends {
                    frames.push((piece.stream, std::mem::take(&mut open)));
                }
            })?;
        }
        Ok(frames)
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        assert_eq!(collect(&[b"plain text of a terminal"]), Err(UnknownStream(b'p')));
    }

    #[test]
    fn a_huge_announcement_costs_nothing() {
        let mut demux = Demux::default();
        demux
            .feed(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'], |piece| {
                assert_eq!((piece.bytes, piece.ends), (&b"x"[..], false));
            })
            .expect("a valid header");
        assert!(!demux.is_between_frames());
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cut in 1usize..17,
        ) {
            let frames: Vec<_> = frames
                .into_iter()
                .map(|(err, payload)| (if err { OutputStream::Stderr } else { OutputStream::Stdout }, payload))
                .collect();
            let bytes: Vec<u8> = frames.iter().flat_map(|(stream, payload)| frame(*stream, payload)).collect();
            let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(collect(&chunks), Ok(frames));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut demux = Demux::default();
            let mut seen = 0;
            demux.feed(&bytes, |piece| seen += piece.bytes.len()).ok();
            prop_assert!(seen <= bytes.len());
        }
    }
}
