//! Addresses of hops and the two ends of links as small numbers: what blame counts by. A
//! thousand nodes name a few thousand addresses half a million times.

use std::net::IpAddr;

/// Most addresses told apart in one judgement. A fabric of 2,000 switches of 64 ports has as
/// many; doubled, hostile members could make a judgement hold 10 MB. Hops beyond it are taken
/// for silent ones.
pub const ADDRESSES_MAX: usize = 1 << 17;

/// A place on a way: a hop's address, the observer's way out, or the far end's way in.
pub type Point = u32;

/// Numbers addresses in the order in which they come. Its hash is keyed with the picture's
/// digest, so that nobody can choose addresses that collide; the numbers do not depend on it.
pub struct Addresses {
    key: u128,
    /// Numbers plus one, 0 where free; a power of two, at most half full.
    slots: Vec<u32>,
    known: Vec<IpAddr>,
}

impl Addresses {
    pub fn new(key: u128) -> Self {
        Self {
            key,
            slots: vec![0; 64],
            known: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// The address with this number.
    pub fn get(&self, number: Point) -> Option<IpAddr> {
        self.known.get(number as usize).copied()
    }

    pub fn find(&self, address: IpAddr) -> Option<Point> {
        match self.slots[self.slot(address)] {
            0 => None,
            number => Some(number - 1),
        }
    }

    /// The number of an address, a new one where it has none; `None` when there are too many.
    pub fn number(&mut self, address: IpAddr) -> Option<Point> {
        let slot = self.slot(address);
        if self.slots[slot] != 0 {
            return Some(self.slots[slot] - 1);
        }
        if self.known.len() >= ADDRESSES_MAX {
            return None;
        }
        self.known.push(address);
        self.slots[slot] = self.known.len() as u32;
        if self.known.len() * 2 > self.slots.len() {
            self.grow();
        }
        Some(self.known.len() as u32 - 1)
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for (index, address) in self.known.iter().enumerate() {
            let slot = self.slot(*address);
            self.slots[slot] = index as u32 + 1;
        }
    }

    /// Where the address stands, or the free place where it would.
    fn slot(&self, address: IpAddr) -> usize {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) | (1 << 127),
            IpAddr::V6(address) => address.to_bits(),
        };
        let keyed = bits ^ self.key;
        let mixed = mix(mix(keyed as u64 ^ (self.key >> 64) as u64) ^ (keyed >> 64) as u64);
        let last = self.slots.len() - 1;
        let mut slot = mixed as usize & last;
        loop {
            match self.slots[slot] {
                0 => return slot,
                number if self.known.get(number as usize - 1) == Some(&address) => return slot,
                _ => slot = (slot + 1) & last,
            }
        }
    }
}

/// Spreads the bits of a number (the finaliser of splitmix64).
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_coming_whatever_the_key() {
        for key in [0, 1, u128::MAX / 3] {
            let mut addresses = Addresses::new(key);
            for round in 0..2 {
                for number in 0..3_000_u32 {
                    let address = IpAddr::from((number * 7).to_be_bytes());
                    assert_eq!(addresses.number(address), Some(number), "round {round}");
                }
            }
            assert_eq!(addresses.find(IpAddr::from([0, 0, 0, 7])), Some(1));
            assert_eq!(addresses.find(IpAddr::from([0, 0, 0, 1])), None);
            assert_eq!(addresses.len(), 3_000);
        }
    }

    #[test]
    fn hostile_numbers_of_addresses_end_somewhere() {
        let mut addresses = Addresses::new(3);
        for number in 0..ADDRESSES_MAX as u128 {
            assert!(
                addresses
                    .number(IpAddr::from(number.to_be_bytes()))
                    .is_some()
            );
        }
        assert_eq!(addresses.number(IpAddr::from([1, 2, 3, 4])), None);
        assert_eq!(addresses.len(), ADDRESSES_MAX);
    }
}
