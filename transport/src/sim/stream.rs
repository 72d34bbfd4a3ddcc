//! One end of a simulated connection and of its streams. Dropping the last of them closes the connection.

use crate::error::{Closed, TransportError};
use crate::sim::link::Link;
use crate::sim::state::Side;
use bytes::Bytes;
use omni_common::wire::CloseCode;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One end of a link.
#[derive(Clone)]
pub(crate) struct End(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    side: Side,
    remote: String,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.link.close(self.side, CloseCode::Done, "");
    }
}

impl End {
    pub(super) fn new(link: Arc<Link>, side: Side, remote: String) -> Self {
        Self(Arc::new(Inner { link, side, remote }))
    }

    pub(crate) fn remote(&self) -> &str {
        &self.0.remote
    }

    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        self.0.link.close(self.0.side, code, reason);
    }

    pub(crate) async fn closed(&self) -> Closed {
        poll_fn(|cx| self.0.link.poll_closed(self.0.side, cx)).await
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.link.close_reason(self.0.side).is_some()
    }

    pub(crate) async fn open_bi(&self) -> Result<(Sending, Receiving), TransportError> {
        let (outbound, inbound) = poll_fn(|cx| self.0.link.poll_open(self.0.side, true, cx)).await?;
        let inbound = inbound.expect("a stream of two directions has two pipes");
        Ok((self.sending(outbound), self.receiving(inbound)))
    }

    pub(crate) async fn open_uni(&self) -> Result<Sending, TransportError> {
        let (outbound, _) = poll_fn(|cx| self.0.link.poll_open(self.0.side, false, cx)).await?;
        Ok(self.sending(outbound))
    }

    pub(crate) async fn accept_bi(&self) -> Result<(Sending, Receiving), TransportError> {
        let [inbound, outbound] = poll_fn(|cx| self.0.link.poll_accept_bi(self.0.side, cx)).await?;
        Ok((self.sending(outbound), self.receiving(inbound)))
    }

    pub(crate) async fn accept_uni(&self) -> Result<Receiving, TransportError> {
        let inbound = poll_fn(|cx| self.0.link.poll_accept_uni(self.0.side, cx)).await?;
        Ok(self.receiving(inbound))
    }

    fn sending(&self, pipe: u64) -> Sending {
        Sending { end: self.clone(), pipe }
    }

    fn receiving(&self, pipe: u64) -> Receiving {
        Receiving { end: self.clone(), pipe }
    }
}

/// The sending direction of a simulated stream.
pub(crate) struct Sending {
    end: End,
    pipe: u64,
}

impl Sending {
    pub(crate) fn poll_write(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, TransportError>> {
        self.end.0.link.poll_write(self.pipe, bytes, cx)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, TransportError> {
        poll_fn(|cx| self.poll_write(bytes, cx)).await
    }

    pub(crate) async fn stopped(&mut self) {
        poll_fn(|cx| self.end.0.link.poll_stopped(self.pipe, cx)).await;
    }

    pub(crate) fn finish(&mut self) {
        self.end.0.link.finish(self.pipe);
    }

    pub(crate) fn reset(&mut self, code: CloseCode) {
        self.end.0.link.reset(self.pipe, code);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end.0.link.drop_sender(self.pipe);
    }
}

/// The receiving direction of a simulated stream.
pub(crate) struct Receiving {
    end: End,
    pipe: u64,
}

impl Receiving {
    pub(crate) fn poll_read(
        &mut self,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        self.end.0.link.poll_read(self.pipe, max, cx)
    }

    pub(crate) async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        poll_fn(|cx| self.poll_read(max, cx)).await
    }

    pub(crate) fn stop(&mut self, code: CloseCode) {
        self.end.0.link.stop(self.pipe, code);
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.end.0.link.drop_receiver(self.pipe);
    }
}
