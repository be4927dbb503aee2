//! Repeatable randomness: SplitMix64.

/// A generator whose whole sequence follows from its seed.
pub(super) struct Random(u64);

impl Random {
    /// A generator for one part of a whole, so that the parts can be made in any order.
    pub(super) fn new(seed: u64, part: u64) -> Self {
        let mut mixed = Self(seed ^ part.wrapping_mul(0xd134_2543_de82_ef95));
        Self(mixed.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..1`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..limit`; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        (self.unit() * limit as f64) as u64
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A latency around `base_ns`: mostly 0.6 to 1.6 times that, with a tail to six times.
    pub(super) fn latency(&mut self, base_ns: f64) -> u64 {
        let (u, tail) = (self.unit(), self.unit());
        (base_ns * (0.6 + u + 4.5 * tail.powi(12))) as u64
    }

    /// An id that is not all zero.
    pub(super) fn id<const N: usize>(&mut self) -> [u8; N] {
        let mut id = [0; N];
        for chunk in id.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        id[0] |= 1;
        id
    }
}
