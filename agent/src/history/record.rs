//! One sample as bytes. Pure.
//!
//! ```text
//! length u32 │ checksum u32 │ moment i64 │ length bytes of bincode      little endian
//! ```
//!
//! The checksum covers all but itself. The moment stands outside the encoded sample, so that a search need
//! not decode what it passes over.

use omni_common::clock::Time;
use omni_common::codec::{self, CodecError};
use omni_common::domain::HostSample;
use serde::{Deserialize, Serialize};

/// Bytes before the encoded sample.
pub(super) const HEADER: usize = 16;
/// Largest encoded sample: half a frame, so that any one fits an answer.
pub(super) const MAX_PAYLOAD: usize = codec::MAX_FRAME / 2;

/// What a record can hold. Variants are only ever appended.
#[derive(Deserialize)]
enum Stored {
    V1(HostSample),
}

/// The same, borrowed: the codec writes both alike.
#[derive(Serialize)]
enum StoredRef<'a> {
    V1(&'a HostSample),
}

/// A sample that has been encoded.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) at: Time,
    /// Header and encoded sample.
    pub(super) bytes: Vec<u8>,
}

/// The head of a record, as read from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    checksum: u32,
    pub(super) at: Time,
}

impl Record {
    pub(super) fn encode(sample: &HostSample) -> Result<Self, CodecError> {
        let payload = codec::encode_limited::<_, MAX_PAYLOAD>(&StoredRef::V1(sample))?;
        let length = u32::try_from(payload.len()).expect("the limit is far below 4 GiB").to_le_bytes();
        let moment = sample.at.as_millis().to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend(length);
        bytes.extend(checksum(length, moment, &payload).to_le_bytes());
        bytes.extend(moment);
        bytes.extend(payload);
        Ok(Self { at: sample.at, bytes })
    }
}

impl Header {
    /// `None` when no record of ours begins like this.
    pub(super) fn parse(bytes: [u8; HEADER]) -> Option<Self> {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let length = u32::from_le_bytes(word(0));
        let (low, high) = (u32::from_le_bytes(word(8)), u32::from_le_bytes(word(12)));
        let moment = (i64::from(high) << 32 | i64::from(low)).to_le_bytes();
        (length > 0 && length as usize <= MAX_PAYLOAD).then(|| Self {
            length,
            checksum: u32::from_le_bytes(word(4)),
            at: Time::from_millis(i64::from_le_bytes(moment)),
        })
    }

    /// Whether these are the bytes that were written behind this header.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize
            && checksum(self.length.to_le_bytes(), self.at.as_millis().to_le_bytes(), payload)
                == self.checksum
    }
}

/// The sample of a whole record; `None` when it is damaged or of a kind this version does not know.
pub(super) fn decode(record: &[u8]) -> Option<HostSample> {
    let (header, payload) = record.split_first_chunk::<HEADER>()?;
    if !Header::parse(*header)?.matches(payload) {
        return None;
    }
    let Stored::V1(sample) = codec::decode_limited::<Stored, MAX_PAYLOAD>(payload).ok()?;
    Some(sample)
}

fn checksum(length: [u8; 4], moment: [u8; 8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(&moment);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> HostSample {
        HostSample {
            at: Time::from_millis(1_795_405_800_123),
            load: Some([1.0, 0.5, 0.25]),
            ..HostSample::default()
        }
    }

    #[test]
    fn a_sample_survives() {
        let record = Record::encode(&sample()).expect("small");
        assert_eq!(decode(&record.bytes), Some(sample()));
    }

    #[test]
    fn moments_before_1970_survive() {
        let early = HostSample { at: Time::from_millis(-5), ..sample() };
        let record = Record::encode(&early).expect("small");
        assert_eq!(decode(&record.bytes), Some(early));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let record = Record::encode(&sample()).expect("small");
        for bit in 0..record.bytes.len() * 8 {
            let mut bytes = record.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }

    /// What is on the disks of running hosts has to stay readable.
    #[test]
    fn the_form_on_disk_is_pinned() {
        let sample = HostSample {
            at: Time::from_millis(0x0102_0304_0506),
            interval_ms: 10_000,
            load: Some([1.0, 0.5, 0.25]),
            ..HostSample::default()
        };
        let record = Record::encode(&sample).expect("small");
        #[rustfmt::skip]
        let pinned = [
            37, 0, 0, 0, 221, 64, 111, 173, 6, 5, 4, 3, 2, 1, 0, 0,
            0, 253, 12, 10, 8, 6, 4, 2, 0, 0, 251, 16, 39, 0, 0, 1, 0, 0, 128, 63, 0, 0, 0, 63,
            0, 0, 128, 62, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(record.bytes, pinned);
        assert_eq!(decode(&pinned), Some(sample));
    }
}
