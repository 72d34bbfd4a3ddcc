//! What each kind of link may use: time, streams and memory.
//!
//! A dialling side knows what it dials for and gets its limits at once. An accepting side learns the
//! protocol only in the handshake: every newcomer starts with few streams and a small window, and is given
//! more when it has shown who it is.

use crate::quic::options::QuicOptions;
use omni_common::wire::{ALPN_AGENT, ALPN_ENROLL};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Limits of one side of one kind of link.
#[derive(Clone, Copy, Debug)]
struct Profile {
    idle: Duration,
    /// Only the dialling side breaks silence: its packets and our answers keep both clocks running, and
    /// routers on the way learn the mapping from the inside.
    keep_alive: Option<Duration>,
    /// Streams the peer may have open.
    bidi: u32,
    uni: u32,
    /// Bytes the peer may send ahead of our reading: one stream, and all together.
    stream_window: u32,
    window: u32,
    /// Bytes we hold for retransmission.
    send_window: u64,
}

/// What a newcomer may have open before it is known: control, telemetry, and room for what is coming.
pub(crate) const NEWCOMER_STREAMS: u32 = 4;
/// Bytes a newcomer may send ahead.
const SMALL_WINDOW: u32 = 512 * KIB;
/// Between controllers: room for Raft batches and snapshot chunks.
const LARGE_WINDOW: u32 = 32 * MIB;
const LARGE_STREAM_WINDOW: u32 = 8 * MIB;
/// One stream of an accepted link. QUIC takes one number for all of them, before it is known who dials.
const ACCEPTED_STREAM_WINDOW: u32 = MIB;
/// An agent answers at most this many requests at a time.
const AGENT_REQUESTS: u32 = 64;
/// Everything on an agent's link together: every request, stalled by a user who does not read, and still
/// room for heartbeats and telemetry. With less, one stalled log would silence the host and have it
/// declared down.
const AGENT_WINDOW: u32 = (AGENT_REQUESTS + 2 * NEWCOMER_STREAMS) * ACCEPTED_STREAM_WINDOW;

/// Assumed until measured; a lost first packet is repeated after three times this. RFC 9002 says 333 ms for
/// the whole internet, which makes every lost handshake packet cost a second; hosts of one platform are
/// nearer, and those that are not lose only a duplicate packet.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// For a link dialled under `alpn`.
pub(super) fn dialled(alpn: &[u8], options: &QuicOptions) -> Arc<TransportConfig> {
    let profile = match alpn {
        ALPN_ENROLL => Profile {
            idle: options.agent_idle,
            keep_alive: Some(options.agent_keep_alive),
            bidi: 0,
            uni: 0,
            stream_window: SMALL_WINDOW,
            window: SMALL_WINDOW,
            send_window: u64::from(SMALL_WINDOW),
        },
        ALPN_AGENT => Profile {
            idle: options.agent_idle,
            keep_alive: Some(options.agent_keep_alive),
            bidi: options.agent_requests,
            uni: NEWCOMER_STREAMS,
            stream_window: SMALL_WINDOW,
            window: 4 * MIB,
            send_window: u64::from(4 * MIB),
        },
        _ => Profile {
            idle: options.controller_idle,
            keep_alive: Some(options.controller_keep_alive),
            bidi: options.controller_streams,
            uni: options.controller_streams,
            stream_window: LARGE_STREAM_WINDOW,
            window: LARGE_WINDOW,
            send_window: u64::from(LARGE_WINDOW),
        },
    };
    Arc::new(profile.config())
}

/// For every link that is accepted. The idle time is the longer one: the link uses the smaller of what both
/// sides ask, so a dialling controller brings its own.
pub(super) fn accepted(options: &QuicOptions) -> Arc<TransportConfig> {
    let profile = Profile {
        idle: options.agent_idle,
        keep_alive: None,
        bidi: NEWCOMER_STREAMS,
        uni: NEWCOMER_STREAMS,
        stream_window: ACCEPTED_STREAM_WINDOW,
        window: SMALL_WINDOW,
        send_window: u64::from(4 * MIB),
    };
    Arc::new(profile.config())
}

/// Gives an accepted agent room for stalled requests.
pub(super) fn raise_to_agent(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(AGENT_WINDOW));
}

/// Gives an accepted controller what a dialled one has.
pub(super) fn raise_to_controller(connection: &quinn::Connection, options: &QuicOptions) {
    let streams = VarInt::from_u32(options.controller_streams);
    connection.set_max_concurrent_bi_streams(streams);
    connection.set_max_concurrent_uni_streams(streams);
    connection.set_receive_window(VarInt::from_u32(LARGE_WINDOW));
    connection.set_send_window(u64::from(LARGE_WINDOW));
}

impl Profile {
    fn config(self) -> TransportConfig {
        let mut config = TransportConfig::default();
        let idle = IdleTimeout::try_from(self.idle).expect("idle times are far below 2^62 milliseconds");
        config
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(self.keep_alive)
            .max_concurrent_bidi_streams(VarInt::from_u32(self.bidi))
            .max_concurrent_uni_streams(VarInt::from_u32(self.uni))
            .stream_receive_window(VarInt::from_u32(self.stream_window))
            .receive_window(VarInt::from_u32(self.window))
            .send_window(self.send_window)
            .initial_rtt(INITIAL_RTT)
            // Datagrams are not part of any protocol here.
            .datagram_receive_buffer_size(None);
        config
    }
}
