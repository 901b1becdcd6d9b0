//! Entries for fuzzers: what of a request is read by our own code. Lines, lengths and chunks
//! are hyper's, and TLS is rustls'; both have fuzzers of their own.

use crate::document;
use crate::documents::Form;
use crate::host::{self, Literals};
use crate::{gate, metrics};
use hyper::header::{self, HeaderMap, HeaderValue};

/// Reads `bytes` as every header and query that is judged here. None may panic, whatever they
/// are, and no foreign host may be taken for ours.
pub fn request(bytes: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::new();
        for name in [
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::COOKIE,
            header::IF_NONE_MATCH,
        ] {
            headers.insert(name, value.clone());
        }
        document::accepts_gzip(&headers);
        document::none_match(&headers, &HeaderValue::from_static("\"tag\""));
        metrics::fuzz(&headers);
        gate::fuzz(&headers, &value);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = Form::of_query(Some(text));
    let _ = host::same_origin(text, "localhost:8777", false);
    if host::is_ours(text, Literals::Loopback, &[], |_| false) {
        let name = host::without_port(text).unwrap_or_default();
        let local = name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.to_canonical().is_loopback());
        assert!(local, "a foreign host is taken for ours: {text:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]
        #[test]
        fn no_bytes_harm_a_reader(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            text in "(localhost|127\\.0\\.0\\.1|\\[::1\\]|a=b|q=|;|,|form=|bearer |:|\\.|@|/|[a-z0-9]){0,8}",
        ) {
            super::request(&bytes);
            super::request(text.as_bytes());
        }
    }
}
