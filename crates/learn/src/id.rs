//! Names of incidents: the same cause within the same stretch of time has the same name on
//! every node, also on both sides of a partition that cannot ask each other.

use andon_model::Timestamp;

/// Starts within one such stretch make one name. Longer, and nodes whose observations differ
/// by a second disagree more seldom; the same trouble twice within it is one incident anyway.
const STRETCH_US: i64 = 600 * 1_000_000;

/// 64-bit FNV-1a, which is stable across versions and machines.
/// Source: Fowler, Noll, Vo; draft-eastlake-fnv.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The name of an incident: `inc-` and eight letters or digits, none of them easily mistaken
/// for another when read out on the phone.
pub fn incident_id(cause: &str, opened_at: Timestamp) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut rest = hash(&format!("{cause}@{}", opened_at.0.div_euclid(STRETCH_US)));
    rest ^= rest >> 32;
    let mut id = String::from("inc-");
    for _ in 0..8 {
        id.push(char::from(LETTERS[(rest & 31) as usize]));
        rest >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_saw_it_a_second_apart_give_the_same_name() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        let name = incident_id("node:a", at(1_800_000_100));
        assert_eq!(name, incident_id("node:a", at(1_800_000_101)));
        assert_ne!(name, incident_id("node:b", at(1_800_000_100)));
        assert_ne!(name, incident_id("node:a", at(1_800_000_700)));
        assert_eq!(name.len(), 12);
    }
}
