//! The two directions of a stream.

use crate::error::TransportError;
use crate::quic::stream as quic;
use crate::sim::stream as sim;
use bytes::Bytes;
use omni_common::wire::CloseCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The sending direction. Dropping it finishes it.
pub struct SendStream(pub(crate) SendKind);

pub(crate) enum SendKind {
    Quic(quinn::SendStream),
    Sim(sim::Sending),
}

impl SendStream {
    /// Sends some of `bytes`; how many is the answer. Waits while the other side does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, TransportError> {
        match &mut self.0 {
            SendKind::Quic(stream) => stream.write(bytes).await.map_err(quic::write_error),
            SendKind::Sim(stream) => stream.write(bytes).await,
        }
    }

    /// Sends all of `bytes`.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), TransportError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Waits until nobody reads any more: the other side has stopped, the connection is over, or all of a
    /// finished stream has arrived. For a sender that has nothing to send for a while.
    pub async fn stopped(&mut self) {
        match &mut self.0 {
            SendKind::Quic(stream) => {
                stream.stopped().await.ok();
            }
            SendKind::Sim(stream) => stream.stopped().await,
        }
    }

    /// No more bytes will come. What was written is still delivered.
    pub fn finish(&mut self) {
        match &mut self.0 {
            SendKind::Quic(stream) => quic::finish(stream),
            SendKind::Sim(stream) => stream.finish(),
        }
    }

    /// Gives the stream up: the other side sees `code` instead of what it has not read yet.
    pub fn reset(&mut self, code: CloseCode) {
        match &mut self.0 {
            SendKind::Quic(stream) => quic::reset(stream, code),
            SendKind::Sim(stream) => stream.reset(code),
        }
    }
}

/// The receiving direction. Dropping it tells the other side to stop.
pub struct RecvStream(pub(crate) RecvKind);

pub(crate) enum RecvKind {
    Quic(quinn::RecvStream),
    Sim(sim::Receiving),
}

impl RecvStream {
    /// The next bytes, at most `max` of them; absent when the other side has finished. Dropping the future
    /// loses nothing. Unlike a read into a buffer, waiting holds no memory.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        match &mut self.0 {
            RecvKind::Quic(stream) => {
                let chunk = stream.read_chunk(max, true).await.map_err(quic::read_error)?;
                Ok(chunk.map(|chunk| chunk.bytes))
            }
            RecvKind::Sim(stream) => stream.read_chunk(max).await,
        }
    }

    /// Tells the other side that nothing more will be read.
    pub fn stop(&mut self, code: CloseCode) {
        match &mut self.0 {
            RecvKind::Quic(stream) => quic::stop(stream, code),
            RecvKind::Sim(stream) => stream.stop(code),
        }
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            SendKind::Quic(stream) => {
                Pin::new(stream).poll_write(cx, buf).map_err(|error| quic::write_error(error).into())
            }
            SendKind::Sim(stream) => stream.poll_write(buf, cx).map_err(Into::into),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            SendKind::Quic(stream) => AsyncWrite::poll_flush(Pin::new(stream), cx),
            SendKind::Sim(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            RecvKind::Quic(stream) => {
                Pin::new(stream).poll_read_buf(cx, buf).map_err(|error| quic::read_error(error).into())
            }
            RecvKind::Sim(stream) => match ready!(stream.poll_read(buf.remaining(), cx)) {
                Ok(bytes) => {
                    buf.put_slice(&bytes.unwrap_or_default());
                    Poll::Ready(Ok(()))
                }
                Err(error) => Poll::Ready(Err(error.into())),
            },
        }
    }
}
