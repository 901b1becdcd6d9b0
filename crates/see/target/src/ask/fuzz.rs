//! Entries for fuzzers: every reader of bytes from the network that is our own.

use super::{dns, icmp, stamp, tls};

/// Gives `bytes` to each reader. None may panic, whatever the bytes.
pub fn readers(bytes: &[u8]) {
    dns::fuzz(bytes);
    stamp::fuzz(bytes);
    icmp::fuzz(bytes);
    tls::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn no_bytes_harm_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::readers(&bytes);
        }
    }
}
