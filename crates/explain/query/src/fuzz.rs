//! Entries for fuzzers: questions as people and programs write them.

use crate::text::{parse, print};

/// A question as text: read, and then printed and read again as the same one; or refused, with
/// a place inside the text.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match parse(text) {
        Ok(query) => {
            let printed = print(&query);
            let again = parse(&printed);
            assert_eq!(again.as_ref(), Ok(&query), "{text:?} prints as {printed:?}");
        }
        Err(error) => {
            assert!(error.span.start <= error.span.end && error.span.end <= text.len());
            error.pointed(text);
        }
    }
}

/// A question as JSON.
pub fn json(bytes: &[u8]) {
    if let Ok(query) = crate::from_json(bytes) {
        let _ = print(&query);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const CORPUS: [&str; 6] = [
        "logs | where status >= 500 and service.name = \"web\" | by host | count, p99(duration_ms) | last 1h | every 1m",
        "traces | where name contains \"pay\" | top 5 by count | order -count | limit 10",
        "requests | join hosts on host take kernel, region | by kernel | p99(duration_ms) | exemplars 3",
        "logs \"connection refused\" | last 2d | compare 1d",
        r#"{"dataset":"logs","where":[{"key":"status","op":">=","value":500}],"group_by":["host"],"bucket":"1m","calc":[{"op":"p99","key":"duration_ms"}],"limit":5}"#,
        r#"{"dataset":"a","calc":[{"op":"heatmap","key":"took"}],"join":{"dataset":"b","on":"host","take":["k"]},"exemplars":3}"#,
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

        #[test]
        fn no_question_harms_its_reader(
            which in 0..CORPUS.len(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            rubbish in "[\\PC|`\"() ,=-]{0,12}",
        ) {
            let mut bytes = CORPUS[which].as_bytes().to_vec();
            for (place, byte) in edits {
                let place = place.index(bytes.len());
                bytes[place] = byte & 0x7f;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes.extend(rubbish.bytes());
            super::text(&bytes);
            super::json(&bytes);
        }
    }
}
