//! QUIC's words for stream failures, in ours.

use crate::error::{Closed, ClosedBy, TransportError};
use crate::quic::close;
use omni_common::wire::CloseCode;
use quinn::VarInt;

pub(crate) fn varint(code: CloseCode) -> VarInt {
    VarInt::from_u32(code.value())
}

pub(crate) fn code(value: VarInt) -> CloseCode {
    CloseCode::from(u32::try_from(value.into_inner()).unwrap_or(u32::MAX))
}

pub(crate) fn write_error(error: quinn::WriteError) -> TransportError {
    match error {
        quinn::WriteError::Stopped(value) => TransportError::Stopped(code(value)),
        quinn::WriteError::ConnectionLost(error) => TransportError::Closed(close::explain(&error)),
        quinn::WriteError::ClosedStream => TransportError::Finished,
        quinn::WriteError::ZeroRttRejected => TransportError::Closed(no_early_data()),
    }
}

pub(crate) fn read_error(error: quinn::ReadError) -> TransportError {
    match error {
        quinn::ReadError::Reset(value) => TransportError::Reset(code(value)),
        quinn::ReadError::ConnectionLost(error) => TransportError::Closed(close::explain(&error)),
        quinn::ReadError::ClosedStream | quinn::ReadError::IllegalOrderedRead => TransportError::Finished,
        quinn::ReadError::ZeroRttRejected => TransportError::Closed(no_early_data()),
    }
}

// The errors ignored below say that the stream is already over, which is what was asked for.

pub(crate) fn finish(stream: &mut quinn::SendStream) {
    stream.finish().ok();
}

pub(crate) fn reset(stream: &mut quinn::SendStream, code: CloseCode) {
    stream.reset(varint(code)).ok();
}

pub(crate) fn stop(stream: &mut quinn::RecvStream, code: CloseCode) {
    stream.stop(varint(code)).ok();
}

fn no_early_data() -> Closed {
    Closed { code: CloseCode::Internal, reason: "early data is never used".to_owned(), by: ClosedBy::Local }
}
