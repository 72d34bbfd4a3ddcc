//! What a link knows: its ends, its streams, and what is on its way. No locks and no waiting here.

use crate::error::{Closed, ClosedBy, TransportError};
use bytes::Bytes;
use omni_common::wire::CloseCode;
use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Which end: 0 dialled, 1 accepted.
pub(super) type Side = usize;
/// One direction of one stream, or the stream itself.
pub(super) type PipeId = u64;

/// One link, both ends.
#[derive(Default)]
pub(super) struct State {
    pub(super) ends: [End; 2],
    pub(super) pipes: BTreeMap<PipeId, Pipe>,
    pub(super) streams: BTreeMap<PipeId, Stream>,
    /// On their way, by arrival; the number keeps those of one moment in order.
    pub(super) events: BTreeMap<(Instant, u64), Event>,
    pub(super) next: u64,
    pub(super) blocked_since: Option<Instant>,
    /// A crashed end never comes back: the link stays blocked whatever the network does.
    pub(super) crashed: bool,
}

/// One end: what it has heard, and who waits there.
#[derive(Default)]
pub(super) struct End {
    pub(super) closed: Option<Closed>,
    pub(super) waiting: Vec<Waker>,
    pub(super) arrived_bi: VecDeque<[PipeId; 2]>,
    pub(super) arrived_uni: VecDeque<PipeId>,
    pub(super) open_bi: u32,
    pub(super) open_uni: u32,
}

/// An open stream, for its opener's limit.
pub(super) struct Stream {
    pub(super) opener: Side,
    pub(super) pipes: Vec<PipeId>,
    pub(super) bidirectional: bool,
}

/// One direction of a stream.
pub(super) struct Pipe {
    pub(super) stream: PipeId,
    pub(super) sender: Side,
    pub(super) arrived: VecDeque<Bytes>,
    /// Sent and not yet read.
    pub(super) outstanding: usize,
    /// Streams keep their order: nothing arrives before this.
    pub(super) last: Option<Instant>,
    /// The sender said that no more comes; set when said, and when heard.
    pub(super) finished: bool,
    pub(super) end_heard: bool,
    pub(super) reset_heard: Option<CloseCode>,
    pub(super) stop_heard: Option<CloseCode>,
    /// Dropped on that side.
    pub(super) sender_gone: bool,
    pub(super) receiver_gone: bool,
}

/// Something that one side did and the other will hear.
pub(super) enum Event {
    Open(PipeId),
    Data(PipeId, Bytes),
    Finish(PipeId),
    Reset(PipeId, CloseCode),
    Stop(PipeId, CloseCode),
    Close(Side, Closed),
}

/// What the driver does next.
pub(super) enum Next {
    Sleep(Instant),
    Wait,
    Over,
}

impl State {
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.closed.is_some())
    }

    pub(super) fn push(&mut self, at: Instant, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    /// Applies what is due and says when to come back.
    pub(super) fn step(&mut self, now: Instant, idle: Duration) -> Next {
        if self.is_over() {
            return Next::Over;
        }
        if let Some(since) = self.blocked_since {
            let deadline = since + idle;
            if now < deadline {
                return Next::Sleep(deadline);
            }
            for side in 0..2 {
                self.close(side, lost("the other side went silent"));
            }
        } else {
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
                let event = entry.remove();
                self.apply(event);
            }
        }
        if self.is_over() {
            return Next::Over;
        }
        self.events.first_key_value().map_or(Next::Wait, |((at, _), _)| Next::Sleep(*at))
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Open(stream) => self.announce(stream),
            Event::Close(side, closed) => self.close(side, closed),
            Event::Data(id, bytes) => self.heard_by_receiver(id, |pipe| {
                if !pipe.receiver_gone {
                    pipe.arrived.push_back(bytes);
                }
            }),
            Event::Finish(id) => {
                self.heard_by_receiver(id, |pipe| pipe.end_heard = true);
                if let Some(sender) = self.pipes.get(&id).map(|pipe| pipe.sender) {
                    self.wake(sender);
                }
            }
            Event::Reset(id, code) => self.heard_by_receiver(id, |pipe| pipe.reset_heard = Some(code)),
            Event::Stop(id, code) => {
                if let Some(pipe) = self.pipes.get_mut(&id) {
                    pipe.stop_heard = Some(code);
                    let sender = pipe.sender;
                    self.wake(sender);
                }
            }
        }
    }

    pub(super) fn heard_by_receiver(&mut self, id: PipeId, apply: impl FnOnce(&mut Pipe)) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            apply(pipe);
            let receiver = 1 - pipe.sender;
            self.wake(receiver);
        }
    }

    pub(super) fn announce(&mut self, id: PipeId) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let acceptor = 1 - stream.opener;
        match stream.pipes[..] {
            [inbound, outbound] => self.ends[acceptor].arrived_bi.push_back([inbound, outbound]),
            [inbound] => self.ends[acceptor].arrived_uni.push_back(inbound),
            _ => {}
        }
        self.wake(acceptor);
    }

    pub(super) fn close(&mut self, side: Side, closed: Closed) {
        self.ends[side].closed.get_or_insert(closed);
        self.wake(side);
    }

    pub(super) fn open(&mut self, opener: Side, bidirectional: bool) -> (PipeId, Option<PipeId>) {
        self.next += 1;
        let stream = self.next;
        let outbound = self.add_pipe(stream, opener);
        let inbound = bidirectional.then(|| self.add_pipe(stream, 1 - opener));
        let pipes = std::iter::once(outbound).chain(inbound).collect();
        self.streams.insert(stream, Stream { opener, pipes, bidirectional });
        (outbound, inbound)
    }

    pub(super) fn add_pipe(&mut self, stream: PipeId, sender: Side) -> PipeId {
        self.next += 1;
        let pipe = Pipe {
            stream,
            sender,
            arrived: VecDeque::new(),
            outstanding: 0,
            last: None,
            finished: false,
            end_heard: false,
            reset_heard: None,
            stop_heard: None,
            sender_gone: false,
            receiver_gone: false,
        };
        self.pipes.insert(self.next, pipe);
        self.next
    }

    /// Frees a pipe that neither side holds any more, and its stream's place with the last of them.
    pub(super) fn forget_if_done(&mut self, id: PipeId) {
        let Some(pipe) = self.pipes.get(&id).filter(|pipe| pipe.sender_gone && pipe.receiver_gone) else {
            return;
        };
        let stream_id = pipe.stream;
        self.pipes.remove(&id);
        let Some(stream) = self.streams.get(&stream_id) else {
            return;
        };
        if stream.pipes.iter().any(|pipe| self.pipes.contains_key(pipe)) {
            return;
        }
        let (opener, bidirectional) = (stream.opener, stream.bidirectional);
        self.streams.remove(&stream_id);
        *self.ends[opener].open(bidirectional) -= 1;
        self.wake(opener);
    }

    pub(super) fn arrived_or_closed<T>(
        &mut self,
        side: Side,
        arrived: Option<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, TransportError>> {
        match (arrived, &self.ends[side].closed) {
            (Some(arrived), _) => Poll::Ready(Ok(arrived)),
            (None, Some(closed)) => Poll::Ready(Err(TransportError::Closed(closed.clone()))),
            (None, None) => self.wait(side, cx),
        }
    }

    pub(super) fn wait<T>(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<T> {
        let waiting = &mut self.ends[side].waiting;
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn wake(&mut self, side: Side) {
        for waker in self.ends[side].waiting.drain(..) {
            waker.wake();
        }
    }
}

impl End {
    pub(super) fn open(&mut self, bidirectional: bool) -> &mut u32 {
        if bidirectional { &mut self.open_bi } else { &mut self.open_uni }
    }
}

impl Pipe {
    pub(super) fn take(&mut self, max: usize) -> Option<Bytes> {
        let front = self.arrived.front_mut()?;
        let bytes = if front.len() > max { front.split_to(max) } else { self.arrived.pop_front()? };
        self.outstanding -= bytes.len();
        Some(bytes)
    }
}

pub(super) fn lost(reason: &str) -> Closed {
    Closed { code: CloseCode::Stalled, reason: reason.to_owned(), by: ClosedBy::Lost }
}
