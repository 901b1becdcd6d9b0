//! Simulated networks to try path blame on: fabrics and WANs with equal paths, faults that
//! nobody told the judge of, and probers that see as little as real ones do. It shares no
//! code and no assumption with the judge: flows take ways by hash, probes die where they are,
//! and routers answer traces, or do not, with an address for each way in.
#![allow(dead_code)] // Each user of it uses a part.

pub mod faults;
pub mod probes;
pub mod score;
pub mod topology;

/// A seeded generator (splitmix64): a seed reproduces a world.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed ^ 0x5eed_0000_cafe);
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash(self.0)
    }

    /// 0..1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.share() < share
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// How many of `number` tries succeed.
    pub fn binomial(&mut self, number: u32, share: f64) -> u32 {
        (0..number).filter(|_| self.chance(share)).count() as u32
    }
}

/// What a switch makes of a flow.
pub fn hash(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
