//! Frames: a 32-bit little-endian length, then one value.

use crate::error::{FrameError, TransportError};
use crate::stream::{RecvStream, SendStream};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use omni_common::codec::{CodecError, MAX_FRAME, decode_limited, encode_limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

const HEADER: usize = 4;
/// Kept between frames by a writer, bytes: enough for heartbeats.
const KEPT: usize = 256;
/// Read at most this much from a stream at once, bytes.
const CHUNK: usize = 64 << 10;

/// Sends values of one type on a stream.
pub struct FrameWriter<T> {
    stream: SendStream,
    limit: usize,
    encode: fn(&T) -> Result<Vec<u8>, CodecError>,
    /// One encoded frame, and how much of it the stream has taken: all, unless a send was cancelled halfway.
    pending: Vec<u8>,
    sent: usize,
}

impl<T: Serialize> FrameWriter<T> {
    /// With frames of at most [`MAX_FRAME`] bytes.
    pub fn new(stream: SendStream) -> Self {
        Self::with_limit::<MAX_FRAME>(stream)
    }

    /// With frames of at most `N` bytes.
    pub fn with_limit<const N: usize>(stream: SendStream) -> Self {
        Self { stream, limit: N, encode: encode_limited::<T, N>, pending: Vec::new(), sent: 0 }
    }

    /// Sends one value; waits while the other side does not read.
    ///
    /// When the future is dropped halfway, the frame is either not begun or will be completed by the next
    /// send: the stream never carries half a frame followed by another.
    pub async fn send(&mut self, value: &T) -> Result<(), TransportError> {
        let body = (self.encode)(value).map_err(TransportError::Encode)?;
        self.send_raw(&body).await
    }

    /// Sends the encoded form of a value, for one that goes to many.
    pub async fn send_raw(&mut self, body: &[u8]) -> Result<(), TransportError> {
        let fits = u32::try_from(body.len()).ok().filter(|_| body.len() <= self.limit);
        let length = fits.ok_or(TransportError::TooLarge { size: body.len(), limit: self.limit })?;
        self.flush().await?;
        self.pending.reserve(HEADER + body.len());
        self.pending.put_u32_le(length);
        self.pending.put_slice(body);
        self.flush().await
    }

    /// Waits until nobody reads any more. See [`SendStream::stopped`].
    pub async fn stopped(&mut self) {
        self.stream.stopped().await;
    }

    /// No more frames will come.
    pub fn finish(&mut self) {
        self.stream.finish();
    }

    /// Gives the stream up.
    pub fn reset(&mut self, code: omni_common::wire::CloseCode) {
        self.stream.reset(code);
    }

    /// The stream underneath, for what is not framed.
    pub fn into_inner(self) -> SendStream {
        self.stream
    }

    async fn flush(&mut self) -> Result<(), TransportError> {
        while self.sent < self.pending.len() {
            self.sent += self.stream.write(&self.pending[self.sent..]).await?;
        }
        self.pending.clear();
        self.sent = 0;
        // Most streams are idle most of the time: a large frame's memory is not kept for the next one.
        self.pending.shrink_to(KEPT);
        Ok(())
    }
}

/// Receives values of one type from a stream.
pub struct FrameReader<T> {
    stream: RecvStream,
    limit: usize,
    decode: fn(&[u8]) -> Result<T, CodecError>,
    /// Received but not yet a whole frame. Grows with what has arrived, never with what is announced.
    buffer: BytesMut,
}

impl<T: DeserializeOwned> FrameReader<T> {
    /// With frames of at most [`MAX_FRAME`] bytes.
    pub fn new(stream: RecvStream) -> Self {
        Self::with_limit::<MAX_FRAME>(stream)
    }

    /// With frames of at most `N` bytes.
    pub fn with_limit<const N: usize>(stream: RecvStream) -> Self {
        Self { stream, limit: N, decode: decode_limited::<T, N>, buffer: BytesMut::new() }
    }

    /// The next value; absent when the other side has finished between two frames.
    ///
    /// Dropping the future loses nothing, so it may stand in a `select!`. After an error the stream is of no
    /// more use: close the connection with [`FrameError::close_code`].
    pub async fn next(&mut self) -> Result<Option<T>, FrameError> {
        loop {
            if let Some(body) = split_frame(&mut self.buffer, self.limit)? {
                return (self.decode)(&body).map(Some).map_err(FrameError::Bad);
            }
            match self.stream.read_chunk(CHUNK).await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(FrameError::Torn),
            }
        }
    }

    /// The frames that follow are of another type, at most [`MAX_FRAME`] bytes each: a request stream begins
    /// with what is asked and goes on with its input.
    pub fn followed_by<U: DeserializeOwned>(self) -> FrameReader<U> {
        FrameReader {
            stream: self.stream,
            limit: self.limit.min(MAX_FRAME),
            decode: decode_limited::<U, MAX_FRAME>,
            buffer: self.buffer,
        }
    }

    /// Tells the other side that nothing more will be read.
    pub fn stop(&mut self, code: omni_common::wire::CloseCode) {
        self.stream.stop(code);
    }

    /// The stream underneath, with what was received of it beyond the last frame.
    pub fn into_inner(self) -> (RecvStream, Bytes) {
        (self.stream, self.buffer.freeze())
    }
}

/// Takes a whole frame's body off the front of `buffer`, when there is one.
fn split_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let size = u32::from_le_bytes(*header) as usize;
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    if buffer.len() < HEADER + size {
        return Ok(None);
    }
    buffer.advance(HEADER);
    let body = buffer.split_to(size).freeze();
    if buffer.is_empty() {
        // An idle stream holds no buffer: with thousands of them that is what counts.
        *buffer = BytesMut::new();
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.put_u32_le(u32::try_from(body.len()).expect("small"));
            bytes.put_slice(body);
        }
        bytes
    }

    /// Feeds `bytes` in pieces of the given sizes, then the rest, taking frames out as they become whole.
    fn split(bytes: &[u8], pieces: &[usize], limit: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Vec::new();
        let mut buffer = BytesMut::new();
        let mut rest = bytes;
        for size in pieces.iter().copied().chain([bytes.len()]) {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            buffer.extend_from_slice(piece);
            rest = later;
            while let Some(body) = split_frame(&mut buffer, limit)? {
                frames.push(body.to_vec());
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_bytes_arrive(
            bodies in vec(vec(any::<u8>(), 0..200), 0..10),
            pieces in vec(0usize..50, 0..50),
        ) {
            let frames = split(&framed(&bodies), &pieces, 200).expect("within the limit");
            prop_assert_eq!(frames, bodies);
        }

        #[test]
        fn no_bytes_make_the_splitter_panic(
            bytes in vec(any::<u8>(), 0..400),
            pieces in vec(0usize..50, 0..20),
        ) {
            if let Ok(frames) = split(&bytes, &pieces, 64) {
                prop_assert!(frames.iter().all(|frame| frame.len() <= 64));
            }
        }

        #[test]
        fn a_size_over_the_limit_is_refused_before_its_bytes_arrive(size in 65u32..) {
            let mut buffer = BytesMut::from(&size.to_le_bytes()[..]);
            let refused = matches!(split_frame(&mut buffer, 64), Err(FrameError::TooLarge { limit: 64, .. }));
            prop_assert!(refused);
        }
    }
}
