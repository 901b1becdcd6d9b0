//! From characters to words, quoted texts and signs, each with its place.

use super::error::TextError;
use std::ops::Range;

/// Bytes of a question's text at most; a longer one is no question that a person typed.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// One word or sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    /// Anything without blanks, quotes and signs.
    Word(String),
    /// In single or double quotes, escapes undone.
    Text(String),
    /// In backticks: a key that could be taken for something else.
    Key(String),
    /// One of `= == != < <= > >= ~ !~`.
    Operator(&'static str),
    /// `|`
    Pipe,
    /// `,`
    Comma,
    /// `(`
    Open,
    /// `)`
    Close,
}

/// Two-character signs first, so that `<=` is not `<` and `=`.
const OPERATORS: [&str; 9] = ["==", "!=", "<=", ">=", "!~", "=", "<", ">", "~"];

/// Whether a character ends a word.
pub fn ends_word(character: char) -> bool {
    character.is_whitespace() || "|,()=<>~!\"'`".contains(character)
}

/// All tokens of a text. Errors are a quote that does not end, a sign that means nothing,
/// and more than [`TEXT_BYTES_MAX`].
pub fn tokens(text: &str) -> Result<Vec<Token>, TextError> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("a question has at most {TEXT_BYTES_MAX} bytes");
        return Err(TextError::new(0..0, message));
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        }
        let (kind, length) = match character {
            '|' => (TokenKind::Pipe, 1),
            ',' => (TokenKind::Comma, 1),
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            '"' | '\'' | '`' => {
                let Some((inside, length)) = quoted(rest, character) else {
                    let message = format!("the {character} that begins here does not end");
                    return Err(TextError::new(at..text.len(), message).help(format!(
                        "close it with {character}; inside, write \\{character}"
                    )));
                };
                match character {
                    '`' => (TokenKind::Key(inside), length),
                    _ => (TokenKind::Text(inside), length),
                }
            }
            _ => match OPERATORS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (TokenKind::Operator(sign), sign.len()),
                None if character == '!' => {
                    let help = "write `key != value` for all but one value";
                    return Err(TextError::new(at..at + 1, "`!` alone means nothing").help(help));
                }
                None => {
                    let length = rest.find(ends_word).unwrap_or(rest.len());
                    (TokenKind::Word(rest[..length].to_owned()), length)
                }
            },
        };
        found.push(Token {
            kind,
            span: at..at + length,
        });
        at += length;
    }
    Ok(found)
}

/// The inside of a quoted text and the bytes it takes with its quotes; none if it has no end.
/// A backslash before a letter that names no escape stays, so that `"\d+"` is that.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Some((inside, at + 1));
        }
        if character != '\\' {
            inside.push(character);
            continue;
        }
        match characters.next()?.1 {
            'n' => inside.push('\n'),
            'r' => inside.push('\r'),
            't' => inside.push('\t'),
            'u' if characters.peek().is_some_and(|(_, next)| *next == '{') => {
                let digits = &text[at + 3..];
                let length = digits.find('}')?;
                let code = u32::from_str_radix(&digits[..length], 16).ok()?;
                inside.push(char::from_u32(code)?);
                for _ in 0..length + 2 {
                    characters.next();
                }
            }
            escaped if "\\\"'`".contains(escaped) => inside.push(escaped),
            other => {
                inside.push('\\');
                inside.push(other);
            }
        }
    }
    None
}

/// Puts a text into quotes so that [`tokens`] reads it back.
pub fn quote(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if character.is_control() => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
    out
}
