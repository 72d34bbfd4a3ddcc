//! A connection in memory: two ends, and a queue of what is on its way between them.
//!
//! Whatever one end does reaches the other as an event with an arrival time. A driver task applies events
//! when they are due and wakes both ends' tasks. While the link is blocked (a partition, a crash) nothing
//! arrives; after the idle time both ends lose the connection, as they would with QUIC.

use crate::error::{Closed, ClosedBy, TransportError};
use crate::sim::state::{Event, Next, PipeId, Side, State, lost};
use crate::sim::weather::Weather;
use bytes::Bytes;
use omni_common::wire::CloseCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Bytes one direction of a stream may have sent and not seen read.
const WINDOW: usize = 512 << 10;
/// Largest piece that travels as one.
const PIECE: usize = 64 << 10;

/// What one link may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Silence after which it is lost.
    pub(super) idle: Duration,
    /// Streams of each kind that each side may have open.
    pub(super) streams: [u32; 2],
}

/// A connection between two simulated endpoints.
pub(super) struct Link {
    weather: Arc<Weather>,
    limits: Limits,
    /// Added to every latency, microseconds: one of the ends is far away or has a poor line.
    extra: AtomicU64,
    /// Tells the driver that there is something new to wait for.
    changed: Notify,
    state: Mutex<State>,
}

impl Link {
    /// A fresh link and its driver.
    pub(super) fn open(weather: Arc<Weather>, limits: Limits) -> Arc<Self> {
        let link = Arc::new(Self {
            weather,
            limits,
            extra: AtomicU64::new(0),
            changed: Notify::new(),
            state: Mutex::default(),
        });
        tokio::spawn(link.clone().drive());
        link
    }

    async fn drive(self: Arc<Self>) {
        loop {
            let next = self.state().step(Instant::now(), self.limits.idle);
            match next {
                Next::Over => return,
                Next::Wait => self.changed.notified().await,
                Next::Sleep(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops or restores delivery.
    pub(super) fn set_blocked(&self, blocked: bool) {
        let mut state = self.state();
        if state.crashed || blocked == state.blocked_since.is_some() {
            return;
        }
        state.blocked_since = blocked.then(Instant::now);
        self.changed.notify_one();
    }

    /// Makes everything sent from now on take this much longer.
    pub(super) fn set_extra(&self, extra: Duration) {
        self.extra.store(u64::try_from(extra.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// One end's process is gone: it knows at once, the other end by silence.
    pub(super) fn crash(&self, side: Side) {
        let mut state = self.state();
        state.crashed = true;
        state.blocked_since.get_or_insert_with(Instant::now);
        state.close(side, lost("this process crashed"));
        self.changed.notify_one();
    }

    /// Whether both ends are closed.
    pub(super) fn is_over(&self) -> bool {
        self.state().is_over()
    }

    pub(super) fn close(&self, side: Side, code: CloseCode, reason: &str) {
        let mut state = self.state();
        if state.ends[side].closed.is_some() {
            return;
        }
        let reason = reason.to_owned();
        state.close(side, Closed { code, reason: reason.clone(), by: ClosedBy::Local });
        let event = Event::Close(1 - side, Closed { code, reason, by: ClosedBy::Peer });
        self.schedule(&mut state, None, event);
    }

    pub(super) fn close_reason(&self, side: Side) -> Option<Closed> {
        self.state().ends[side].closed.clone()
    }

    pub(super) fn poll_closed(&self, side: Side, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut state = self.state();
        match state.ends[side].closed.clone() {
            Some(closed) => Poll::Ready(closed),
            None => state.wait(side, cx),
        }
    }

    /// Opens a stream; the pipes are the one to send on and, with two directions, the one to receive on.
    pub(super) fn poll_open(
        &self,
        side: Side,
        bidirectional: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(PipeId, Option<PipeId>), TransportError>> {
        let mut state = self.state();
        if let Some(closed) = &state.ends[side].closed {
            return Poll::Ready(Err(TransportError::Closed(closed.clone())));
        }
        let open = state.ends[side].open(bidirectional);
        if *open >= self.limits.streams[side] {
            return state.wait(side, cx);
        }
        *open += 1;
        Poll::Ready(Ok(state.open(side, bidirectional)))
    }

    /// The next stream of two directions: the pipes to receive on and to send on.
    pub(super) fn poll_accept_bi(
        &self,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<[PipeId; 2], TransportError>> {
        let mut state = self.state();
        let arrived = state.ends[side].arrived_bi.pop_front();
        state.arrived_or_closed(side, arrived, cx)
    }

    /// The next stream that only receives.
    pub(super) fn poll_accept_uni(
        &self,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PipeId, TransportError>> {
        let mut state = self.state();
        let arrived = state.ends[side].arrived_uni.pop_front();
        state.arrived_or_closed(side, arrived, cx)
    }

    pub(super) fn poll_write(
        &self,
        id: PipeId,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, TransportError>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(pipe) = state.pipes.get_mut(&id) else {
            return Poll::Ready(Err(TransportError::Finished));
        };
        let side = pipe.sender;
        if let Some(closed) = &state.ends[side].closed {
            return Poll::Ready(Err(TransportError::Closed(closed.clone())));
        }
        if pipe.finished {
            return Poll::Ready(Err(TransportError::Finished));
        }
        if let Some(code) = pipe.stop_heard {
            return Poll::Ready(Err(TransportError::Stopped(code)));
        }
        let size = bytes.len().min(PIECE).min(WINDOW - pipe.outstanding);
        if size == 0 && !bytes.is_empty() {
            return state.wait(side, cx);
        }
        pipe.outstanding += size;
        self.schedule(state, Some(id), Event::Data(id, Bytes::copy_from_slice(&bytes[..size])));
        Poll::Ready(Ok(size))
    }

    /// Ready when nobody reads any more, or everything has arrived.
    pub(super) fn poll_stopped(&self, id: PipeId, cx: &mut Context<'_>) -> Poll<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(pipe) = state.pipes.get(&id) else {
            return Poll::Ready(());
        };
        let side = pipe.sender;
        if pipe.stop_heard.is_some() || pipe.end_heard || state.ends[side].closed.is_some() {
            return Poll::Ready(());
        }
        state.wait(side, cx)
    }

    pub(super) fn finish(&self, id: PipeId) {
        self.end_pipe(id, Event::Finish(id));
    }

    pub(super) fn reset(&self, id: PipeId, code: CloseCode) {
        self.end_pipe(id, Event::Reset(id, code));
    }

    fn end_pipe(&self, id: PipeId, event: Event) {
        let mut state = self.state();
        let Some(pipe) = state.pipes.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut pipe.finished, true) {
            self.schedule(&mut state, Some(id), event);
        }
    }

    pub(super) fn poll_read(
        &self,
        id: PipeId,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(pipe) = state.pipes.get_mut(&id).filter(|pipe| !pipe.receiver_gone) else {
            return Poll::Ready(Err(TransportError::Finished));
        };
        let (sender, receiver) = (pipe.sender, 1 - pipe.sender);
        if let Some(code) = pipe.reset_heard {
            return Poll::Ready(Err(TransportError::Reset(code)));
        }
        if let Some(bytes) = pipe.take(max) {
            state.wake(sender);
            return Poll::Ready(Ok(Some(bytes)));
        }
        if pipe.end_heard {
            return Poll::Ready(Ok(None));
        }
        match &state.ends[receiver].closed {
            Some(closed) => Poll::Ready(Err(TransportError::Closed(closed.clone()))),
            None => state.wait(receiver, cx),
        }
    }

    pub(super) fn stop(&self, id: PipeId, code: CloseCode) {
        let mut state = self.state();
        let Some(pipe) = state.pipes.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut pipe.receiver_gone, true) {
            pipe.arrived.clear();
            self.schedule(&mut state, None, Event::Stop(id, code));
        }
    }

    pub(super) fn drop_sender(&self, id: PipeId) {
        self.finish(id);
        let mut state = self.state();
        if let Some(pipe) = state.pipes.get_mut(&id) {
            pipe.sender_gone = true;
        }
        state.forget_if_done(id);
    }

    pub(super) fn drop_receiver(&self, id: PipeId) {
        self.stop(id, CloseCode::Done);
        self.state().forget_if_done(id);
    }

    /// Puts an event on its way: after the last one of its pipe, whose opening goes first.
    fn schedule(&self, state: &mut State, pipe: Option<PipeId>, event: Event) {
        let extra = Duration::from_micros(self.extra.load(Ordering::Relaxed));
        let mut at = Instant::now() + self.weather.latency() + extra;
        if let Some(pipe) = pipe.and_then(|id| state.pipes.get_mut(&id)) {
            let first = pipe.last.is_none();
            let stream = pipe.stream;
            at = pipe.last.map_or(at, |last| at.max(last));
            pipe.last = Some(at);
            if first && state.streams.get(&stream).is_some_and(|open| open.opener == pipe.sender) {
                state.push(at, Event::Open(stream));
            }
        }
        state.push(at, event);
        self.changed.notify_one();
    }
}
