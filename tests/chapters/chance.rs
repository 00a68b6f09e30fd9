//! Chance with a seed that is printed, so that a bad day can be had again: `WINDLASS_SEED=… cargo test …`.

/// Numbers by chance (xorshift64*).
pub(crate) struct Chance(u64);

impl Chance {
    /// Seeded by `WINDLASS_SEED`, or by the clock.
    pub(crate) fn new() -> Self {
        let given = std::env::var("WINDLASS_SEED").ok().map(|seed| seed.parse().expect("WINDLASS_SEED is a number"));
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let seed: u64 = given.unwrap_or(now);
        println!("--- WINDLASS_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From `from` up to, not including, `to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        from + self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % (to - from)
    }
}
