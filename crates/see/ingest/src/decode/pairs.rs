//! `key=value` pairs in a line: logfmt, and free text with pairs in it. Values may be quoted
//! with `"` or `'`, with backslashes before quotes inside.

use std::borrow::Cow;

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// `key=value`, quotes taken away.
    Pair(&'a str, Cow<'a, str>),
    /// Anything else between spaces.
    Bare(&'a str),
}

/// The words of a line, in order. Separators are spaces, and commas or semicolons after a
/// value. Never fails: a quote that is not closed lasts to the end.
pub fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',', ';']);
        if rest.is_empty() {
            return None;
        }
        let end = rest.find([' ', '\t', '=']).unwrap_or(rest.len());
        let name = &rest[..end];
        let is_pair = rest[end..].starts_with('=') && is_name(name);
        if !is_pair {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let (bare, after) = rest.split_at(end);
            rest = after;
            return Some(Word::Bare(bare));
        }
        let (value, after) = value(&rest[end + 1..]);
        rest = after;
        Some(Word::Pair(name, value))
    })
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || b"_@".contains(&byte))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-/@:[]".contains(&byte))
}

fn value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        let value = text[..end].trim_end_matches([',', ';']);
        return (Cow::Borrowed(value), &text[end..]);
    };
    let inner = &text[1..];
    let end = inner.find([quote, '\\']).unwrap_or(inner.len());
    if inner[end..].starts_with(quote) {
        return (Cow::Borrowed(&inner[..end]), &inner[end + 1..]);
    }
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, other)) => value.push(other),
                None => value.push('\\'),
            },
            char if char == quote => {
                return (Cow::Owned(value), &inner[place + quote.len_utf8()..]);
            }
            char => value.push(char),
        }
    }
    (Cow::Owned(value), "")
}

/// Whether a line reads as logfmt: it begins with a pair, and most of its words are pairs.
pub fn is_logfmt(line: &str) -> bool {
    let mut pairs = 0;
    let mut bare = 0;
    for (place, word) in words(line).take(64).enumerate() {
        match word {
            Word::Pair(..) => pairs += 1,
            Word::Bare(_) if place == 0 => return false,
            Word::Bare(_) => bare += 1,
        }
    }
    pairs >= 2 && pairs > 2 * bare
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, expected: &[(&str, &str)]) {
        let words: Vec<_> = words(line).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| match *name {
                "" => Word::Bare(value),
                name => Word::Pair(name, Cow::Borrowed(*value)),
            })
            .collect();
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn pairs_are_read_with_their_quotes() {
        check("a=1 b=two", &[("a", "1"), ("b", "two")]);
        check(
            r#"msg="two words" x='a b' e="""#,
            &[("msg", "two words"), ("x", "a b"), ("e", "")],
        );
        check(
            r#"msg="say \"hi\"\n" a=1"#,
            &[("msg", "say \"hi\"\n"), ("a", "1")],
        );
        check(
            "login of user=5, ip=::1; done",
            &[
                ("", "login"),
                ("", "of"),
                ("user", "5"),
                ("ip", "::1"),
                ("", "done"),
            ],
        );
        check("a= b=\"open", &[("a", ""), ("b", "open")]);
        check(
            "1+1=2 =x url=http://h/?a=b",
            &[("", "1+1=2"), ("", "=x"), ("url", "http://h/?a=b")],
        );
    }

    #[test]
    fn logfmt_is_told_from_prose() {
        assert!(is_logfmt("ts=2026-11-20T03:20:00Z level=info msg=\"x y\""));
        assert!(!is_logfmt("user logged in id=5 ip=1.2.3.4"));
        assert!(!is_logfmt("x=1"));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(line in "[a=\"'\\\\ ,ä]{0,60}") {
            let _ = words(&line).count();
        }
    }
}
