//! Damage in the ways that matter to a decoder of lengths, tags and shortened integers.

/// SplitMix64: a run repeats from its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`; zero for a bound of zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("sizes fit 64 bits");
        let value = self.next().checked_rem(bound).unwrap_or(0);
        usize::try_from(value).expect("below a size")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Inputs grow no longer than this, bytes.
const LONGEST: usize = 16 << 10;
/// Bytes that mean something: tags, small counts, and the markers of 16 to 128-bit integers.
const TELLING: [u8; 12] = [0, 1, 2, 3, 8, 127, 128, 250, 251, 252, 253, 254];

pub(crate) struct Mutator {
    pub(crate) random: Random,
}

impl Mutator {
    pub(crate) fn new(random: Random) -> Self {
        Self { random }
    }

    /// One of the pool, damaged one to four times.
    pub(crate) fn mutate(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(pool).to_vec();
        for _ in 0..=self.random.below(4) {
            self.damage(&mut bytes, pool);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.random.below(bytes.len());
        match self.random.below(9) {
            0 => change(bytes, at, |byte| *byte ^= 1 << (at % 8)),
            1 => {
                let byte = self.random.byte();
                change(bytes, at, |old| *old = byte);
            }
            2 => {
                let byte = TELLING[self.random.below(TELLING.len())];
                change(bytes, at, |old| *old = byte);
            }
            3 => change(bytes, at, |byte| *byte = byte.wrapping_add(1)),
            4 => {
                let integer = self.integer();
                bytes.splice(at..(at + 1).min(bytes.len()), integer);
            }
            5 => {
                let end = (at + 1 + self.random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = (at + 1 + self.random.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            7 => {
                let other = self.pick(pool).to_vec();
                let from = self.random.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.truncate(at),
        }
    }

    fn pick<'a>(&mut self, pool: &'a [Vec<u8>]) -> &'a [u8] {
        &pool[self.random.below(pool.len())]
    }

    /// A marker with an integer of its width: small, large, or anything.
    fn integer(&mut self) -> Vec<u8> {
        let width = 2 << self.random.below(3);
        let fill = [0, 255, self.random.byte()][self.random.below(3)];
        let marker = match width {
            2 => 251,
            4 => 252,
            _ => 253,
        };
        let mut bytes = vec![fill; width + 1];
        bytes[0] = marker;
        bytes[1] = self.random.byte();
        bytes
    }
}

fn change(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = bytes.get_mut(at) {
        change(byte);
    }
}
