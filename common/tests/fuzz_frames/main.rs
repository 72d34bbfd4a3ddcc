//! Fuzzes the decoder of every frame, starting from the pinned bytes in `corpus/wire.txt`.
//!
//! Whatever the bytes: decoding must not panic, and what decodes must survive encoding and decoding again.
//! Run bounded with the other tests; for longer, `OMNI_FUZZ_SECONDS=600 cargo test -p omni-common --test
//! fuzz_frames`. A failure prints the bytes: append them to `corpus/regressions.txt`, under a line that names
//! the fault. `OMNI_FUZZ_SEED` repeats a run.

mod mutate;

use mutate::{Mutator, Random};
use omni_common::codec::{MAX_FRAME, decode, encode};
use omni_common::wire::{
    AgentFrame, AgentRequest, EnrollReply, EnrollRequest, GatewayFrame, HostReply, HostRequest, ReplyFrame,
    RequestInput, TelemetryFrame,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

const CORPUS: &str = include_str!("../../corpus/wire.txt");
const REGRESSIONS: &str = include_str!("../../corpus/regressions.txt");
/// Inputs tried for each frame type when no time is given: about a second, unoptimised.
const BOUNDED: usize = 200_000;
/// Inputs kept to mutate further.
const POOL: usize = 512;

/// Says which input broke the decoder.
struct Blame<'a> {
    kind: &'a str,
    input: &'a [u8],
}

impl Drop for Blame<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken by: {} {}", self.kind, hex::encode(self.input));
        }
    }
}

/// Checks one input; true when it is a frame.
fn examine<T: Serialize + DeserializeOwned + Debug>(kind: &str, input: &[u8]) -> bool {
    let _blame = Blame { kind, input };
    let Ok(value) = decode::<T>(input) else {
        return false;
    };
    // Frames are logged: printing what a hostile peer sent must not panic either.
    assert!(!format!("{value:?}").is_empty());
    let bytes = encode(&value).expect("what fits a frame still fits");
    let again = decode::<T>(&bytes).expect("what was encoded decodes");
    // Compared as bytes, because a NaN does not equal itself.
    assert_eq!(encode(&again).expect("still fits"), bytes);
    true
}

/// The bytes of every line of a file that is about `kind`: the last word of it.
fn inputs(file: &str, kind: &str) -> Vec<Vec<u8>> {
    file.lines()
        .filter(|line| line.split(' ').next() == Some(kind))
        .filter_map(|line| line.split(' ').next_back())
        .map(|bytes| hex::decode(bytes).expect("bytes are hex"))
        .collect()
}

#[allow(clippy::disallowed_methods, reason = "how long to search is for whoever runs the tests")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// When to stop: after so many inputs, or so long.
enum Budget {
    Inputs(usize),
    Until(Instant),
}

impl Budget {
    fn from_environment() -> Self {
        let seconds = setting("OMNI_FUZZ_SECONDS");
        seconds.map_or(Self::Inputs(BOUNDED), |seconds| {
            Self::Until(Instant::now() + Duration::from_secs(seconds))
        })
    }

    fn lasts(&self, tried: usize) -> bool {
        match self {
            Self::Inputs(most) => tried < *most,
            Self::Until(end) => Instant::now() < *end,
        }
    }

    /// A bounded run is the same every time; a long one is new ground unless a seed is given.
    fn seed(&self) -> u64 {
        setting("OMNI_FUZZ_SEED").unwrap_or_else(|| match self {
            Self::Inputs(_) => 1,
            Self::Until(_) => RandomState::new().hash_one("frames"),
        })
    }
}

fn fuzz<T: Serialize + DeserializeOwned + Debug>(kind: &str) {
    let mut pool = inputs(CORPUS, kind);
    assert!(!pool.is_empty(), "the corpus has no {kind}");
    for seed in &pool {
        assert!(examine::<T>(kind, seed), "a pinned {kind} does not decode");
    }
    for input in inputs(REGRESSIONS, kind) {
        examine::<T>(kind, &input);
        pool.push(input);
    }
    let kept = pool.len();
    let budget = Budget::from_environment();
    let seed = budget.seed();
    eprintln!("OMNI_FUZZ_SEED={seed}");
    let mut mutator = Mutator::new(Random::new(seed));
    let (mut tried, mut frames) = (0, 0);
    while budget.lasts(tried) {
        let input = mutator.mutate(&pool);
        if examine::<T>(kind, &input) {
            frames += 1;
            // What still is a frame is a better start than what is not.
            match pool.len() {
                length if length < POOL => pool.push(input),
                length => pool[kept + mutator.random.below(length - kept)] = input,
            }
        }
        tried += 1;
    }
    eprintln!("{kind}: {frames} of {tried} inputs were frames");
    assert!(frames > 0, "mutation never makes a frame: it is too wild to test anything");
}

#[test]
fn enroll_request() {
    fuzz::<EnrollRequest>("EnrollRequest");
}

#[test]
fn enroll_reply() {
    fuzz::<EnrollReply>("EnrollReply");
}

#[test]
fn agent_frame() {
    fuzz::<AgentFrame>("AgentFrame");
}

#[test]
fn gateway_frame() {
    fuzz::<GatewayFrame>("GatewayFrame");
}

#[test]
fn telemetry_frame() {
    fuzz::<TelemetryFrame>("TelemetryFrame");
}

#[test]
fn agent_request() {
    fuzz::<AgentRequest>("AgentRequest");
}

#[test]
fn request_input() {
    fuzz::<RequestInput>("RequestInput");
}

#[test]
fn reply_frame() {
    fuzz::<ReplyFrame>("ReplyFrame");
}

#[test]
fn host_request() {
    fuzz::<HostRequest>("HostRequest");
}

#[test]
fn host_reply() {
    fuzz::<HostReply>("HostReply");
}

/// Lengths and counts that lie, in front of every kind of content.
#[test]
fn announced_sizes_are_not_believed() {
    let sizes: [&[u8]; 5] = [
        &[250],
        &[251, 255, 255],
        &[252, 255, 255, 255, 255],
        &[253, 255, 255, 255, 255, 255, 255, 255, 255],
        &[253, 0, 0, 16, 0, 0, 0, 0, 0],
    ];
    for size in sizes {
        for variant in 0..8 {
            let input = [&[variant], size].concat();
            examine::<AgentFrame>("AgentFrame", &input);
            examine::<GatewayFrame>("GatewayFrame", &input);
            examine::<TelemetryFrame>("TelemetryFrame", &input);
            examine::<AgentRequest>("AgentRequest", &input);
            examine::<RequestInput>("RequestInput", &input);
            examine::<ReplyFrame>("ReplyFrame", &input);
            examine::<EnrollReply>("EnrollReply", &input);
            examine::<HostReply>("HostReply", &input);
        }
    }
    assert!(decode::<ReplyFrame>(&vec![0; MAX_FRAME + 1]).is_err());
}
