//! The one place that names the binary codec.
//!
//! Frames, log entries and snapshots are bincode with a hard limit on what one value may make the decoder
//! allocate: without it nine hostile bytes can ask for gigabytes.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest frame on the agent and enrolment protocols, in bytes.
pub const MAX_FRAME: usize = 1 << 20;
/// Largest message between controllers (a Raft append batch, a snapshot chunk), in bytes.
pub const MAX_PEER_FRAME: usize = 16 << 20;
/// Largest snapshot of the replicated state, decoded, in bytes.
pub const MAX_SNAPSHOT: usize = 1 << 30;

/// A value could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value does not fit the limit, or holds something the codec cannot carry.
    #[error("cannot encode: {0}")]
    Encode(String),
    /// The bytes are not a value of the expected type.
    #[error("cannot decode: {0}")]
    Decode(String),
}

/// The wire configuration: little endian, variable-length integers, at most `N` bytes.
const fn config<const N: usize>() -> Configuration<LittleEndian, Varint, Limit<N>> {
    bincode::config::standard().with_limit::<N>()
}

/// Encodes a frame of at most [`MAX_FRAME`] bytes.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    encode_limited::<T, MAX_FRAME>(value)
}

/// Decodes a frame of at most [`MAX_FRAME`] bytes. Trailing bytes are an error: a frame is one value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_limited::<T, MAX_FRAME>(bytes)
}

/// Encodes a value of at most `N` bytes.
pub fn encode_limited<T: Serialize, const N: usize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::serde::encode_to_vec(value, config::<N>()).map_err(|e| CodecError::Encode(e.to_string()))?;
    if bytes.len() > N {
        return Err(CodecError::Encode(format!("{} bytes are over the limit of {N}", bytes.len())));
    }
    Ok(bytes)
}

/// Decodes a value of at most `N` bytes that fills `bytes` exactly. Whatever [`encode_limited`] made under
/// the same `N` can be read.
pub fn decode_limited<T: DeserializeOwned, const N: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > N {
        return Err(CodecError::Decode(format!("{} bytes are over the limit of {N}", bytes.len())));
    }
    // The allocation limit has to be a constant, so the smallest that covers `N` is taken.
    if N <= MAX_FRAME {
        decode_within::<T, { allocation(MAX_FRAME) }>(bytes)
    } else if N <= MAX_PEER_FRAME {
        decode_within::<T, { allocation(MAX_PEER_FRAME) }>(bytes)
    } else {
        decode_within::<T, { allocation(MAX_SNAPSHOT) }>(bytes)
    }
}

/// What decoding `size` bytes may allocate. Integers travel shortened, but bincode's limit counts them at
/// full width: without this factor a full frame of small numbers could be sent and not be read.
const fn allocation(size: usize) -> usize {
    size.saturating_mul(8)
}

fn decode_within<T: DeserializeOwned, const A: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, config::<A>())
        .map_err(|e| CodecError::Decode(e.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::Decode(format!("{} bytes left over", bytes.len() - used)));
    }
    Ok(value)
}

/// Encodes a value into a writer, without holding all of its bytes.
pub fn encode_into<T: Serialize, W: std::io::Write>(value: &T, writer: &mut W) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, writer, config::<MAX_SNAPSHOT>())
        .map(|_| ())
        .map_err(|e| CodecError::Encode(e.to_string()))
}

/// Decodes a value of at most `N` bytes from a reader that ends where the value does.
pub fn decode_from<T: DeserializeOwned, R: std::io::Read, const N: usize>(
    reader: R,
) -> Result<T, CodecError> {
    let mut reader = reader.take(u64::try_from(N).unwrap_or(u64::MAX));
    let value = if N <= MAX_FRAME {
        read_within::<T, _, { allocation(MAX_FRAME) }>(&mut reader)
    } else if N <= MAX_PEER_FRAME {
        read_within::<T, _, { allocation(MAX_PEER_FRAME) }>(&mut reader)
    } else {
        read_within::<T, _, { allocation(MAX_SNAPSHOT) }>(&mut reader)
    }?;
    match reader.into_inner().read(&mut [0; 1]) {
        Ok(0) => Ok(value),
        Ok(_) => Err(CodecError::Decode("bytes left over".to_owned())),
        Err(e) => Err(CodecError::Decode(e.to_string())),
    }
}

fn read_within<T: DeserializeOwned, R: std::io::Read, const A: usize>(
    reader: &mut R,
) -> Result<T, CodecError> {
    bincode::serde::decode_from_std_read(reader, config::<A>()).map_err(|e| CodecError::Decode(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives() {
        let bytes = encode(&("omni", 7600u16)).expect("fits");
        assert_eq!(decode::<(String, u16)>(&bytes).expect("same type"), ("omni".to_owned(), 7600));
    }

    #[test]
    fn a_hostile_length_is_refused_without_allocating() {
        // 253 announces a 64-bit length: here 2^60 bytes of string.
        let bytes = [253, 0, 0, 0, 0, 0, 0, 0, 16];
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
    }

    #[test]
    fn what_fits_when_encoded_fits_when_decoded() {
        // One byte each on the wire, eight in memory: the worst case of the decoder's accounting.
        let numbers = vec![1u64; MAX_FRAME - 5];
        let bytes = encode(&numbers).expect("just fits");
        assert_eq!(bytes.len(), MAX_FRAME);
        assert_eq!(decode::<Vec<u64>>(&bytes).expect("same limit"), numbers);
        assert_eq!(decode_from::<Vec<u64>, _, MAX_FRAME>(&bytes[..]).expect("same limit"), numbers);
        assert!(decode_limited::<Vec<u64>, { MAX_FRAME - 1 }>(&bytes).is_err());
        assert!(encode_limited::<_, { MAX_FRAME - 1 }>(&numbers).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&1u8).expect("fits");
        bytes.push(0);
        assert!(decode::<u8>(&bytes).is_err());
    }
}
