//! A hash that is the same on every machine and in every version.
//!
//! The standard library's hashers promise neither. FNV-1a mixes the bytes; the finaliser of SplitMix64 spreads
//! what FNV leaves in the low bits, since the ring is ordered by the high ones. Not for secrets.

use crate::ids::{GroupKey, Slot};
use omni_common::ids::HostId;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A host's place on the ring.
pub(crate) fn of_host(id: HostId) -> u64 {
    finish(fnv(OFFSET, id.0.as_bytes()))
}

/// Where on the ring a slot begins to look.
pub(crate) fn of_slot(group: &GroupKey, slot: Slot) -> u64 {
    let mut hash = OFFSET;
    for part in [&group.environment, &group.app, &group.group] {
        // A byte that no name holds keeps `a` + `bc` and `ab` + `c` apart.
        hash = fnv(fnv(hash, part.as_bytes()), &[0]);
    }
    finish(match slot {
        Slot::Replica(number) => fnv(hash, &number.to_be_bytes()),
        Slot::Host(id) => fnv(hash, id.0.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_the_ring_never_change() {
        // Another value here would move ties, and with them placements, at the next update of a controller.
        assert_eq!(of_host(HostId::from_u128(1)), 0x1af7_b85a_5eef_58e4);
        assert_eq!(
            of_slot(&GroupKey::new("default", "web", "main"), Slot::Replica(0)),
            0x5046_976a_77c4_0b90
        );
    }
}
