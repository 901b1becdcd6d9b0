//! MessagePack, as far as Fluent's protocol needs it: values without copying, and the end of
//! a value in bytes that may not all be there yet.
//! Source: msgpack/msgpack, `spec.md`.

/// Lists and maps inside one another.
const DEPTH_MAX: usize = 64;

/// Why bytes are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MsgpackError {
    /// They end within it: more may come.
    #[error("the value is not complete")]
    Short,
    /// A byte that begins nothing.
    #[error("a value begins with the unused byte {0:#04x}")]
    Unused(u8),
    /// Lists within lists within lists.
    #[error("lists are nested deeper than {DEPTH_MAX}")]
    Deep,
}

/// The beginning of a value; what lists and maps hold follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// One above what an integer holds.
    Unsigned(u64),
    /// Any other number.
    Float(f64),
    /// Text, or bytes in old senders.
    Text(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
    /// So many values follow.
    List(usize),
    /// So many pairs of values follow.
    Map(usize),
    /// A type of the application's own, and its bytes.
    Extension(i8, &'a [u8]),
}

/// Takes one token off the bytes.
pub fn token<'a>(bytes: &mut &'a [u8]) -> Result<Token<'a>, MsgpackError> {
    let first = take(bytes, 1)?[0];
    Ok(match first {
        0x00..=0x7f => Token::Integer(first.into()),
        0x80..=0x8f => Token::Map(usize::from(first & 0x0f)),
        0x90..=0x9f => Token::List(usize::from(first & 0x0f)),
        0xa0..=0xbf => Token::Text(take(bytes, usize::from(first & 0x1f))?),
        0xc0 => Token::Nil,
        0xc1 => return Err(MsgpackError::Unused(first)),
        0xc2 | 0xc3 => Token::Bool(first == 0xc3),
        0xc4..=0xc6 => {
            let length = number(bytes, 1 << (first - 0xc4))? as usize;
            Token::Binary(take(bytes, length)?)
        }
        0xc7..=0xc9 => {
            let length = number(bytes, 1 << (first - 0xc7))? as usize;
            extension(bytes, length)?
        }
        0xca => Token::Float(f32::from_bits(number(bytes, 4)? as u32).into()),
        0xcb => Token::Float(f64::from_bits(number(bytes, 8)?)),
        0xcc..=0xcf => {
            let value = number(bytes, 1 << (first - 0xcc))?;
            i64::try_from(value).map_or(Token::Unsigned(value), Token::Integer)
        }
        0xd0 => Token::Integer((number(bytes, 1)? as i8).into()),
        0xd1 => Token::Integer((number(bytes, 2)? as i16).into()),
        0xd2 => Token::Integer((number(bytes, 4)? as i32).into()),
        0xd3 => Token::Integer(number(bytes, 8)? as i64),
        0xd4..=0xd8 => extension(bytes, 1 << (first - 0xd4))?,
        0xd9..=0xdb => {
            let length = number(bytes, 1 << (first - 0xd9))? as usize;
            Token::Text(take(bytes, length)?)
        }
        0xdc | 0xdd => Token::List(number(bytes, if first == 0xdc { 2 } else { 4 })? as usize),
        0xde | 0xdf => Token::Map(number(bytes, if first == 0xde { 2 } else { 4 })? as usize),
        0xe0..=0xff => Token::Integer((first as i8).into()),
    })
}

fn extension<'a>(bytes: &mut &'a [u8], length: usize) -> Result<Token<'a>, MsgpackError> {
    let kind = take(bytes, 1)?[0] as i8;
    Ok(Token::Extension(kind, take(bytes, length)?))
}

fn number(bytes: &mut &[u8], size: usize) -> Result<u64, MsgpackError> {
    let digits = take(bytes, size)?;
    Ok(digits
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], MsgpackError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(MsgpackError::Short)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes one whole value off the bytes, and gives its bytes.
pub fn value<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], MsgpackError> {
    let start = *bytes;
    // How many values are still to come, by depth.
    let mut open = vec![1usize];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let inner = match token(bytes)? {
            Token::List(count) => count,
            Token::Map(count) => count.saturating_mul(2),
            _ => 0,
        };
        if inner > 0 {
            if open.len() >= DEPTH_MAX {
                return Err(MsgpackError::Deep);
            }
            open.push(inner);
        }
    }
    Ok(&start[..start.len() - bytes.len()])
}

/// Writes a text, for answers and tests.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..256 => out.extend([0xd9, length as u8]),
        length => {
            out.push(0xdb);
            out.extend((length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_end_where_they_end() {
        // {"a": [1, -1, nil], "b": 1.5}
        let bytes = [
            0x82, 0xa1, b'a', 0x93, 1, 0xff, 0xc0, 0xa1, b'b', 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0,
            99,
        ];
        let mut rest = &bytes[..];
        assert_eq!(value(&mut rest).unwrap(), &bytes[..18]);
        assert_eq!(rest, [99]);
        for end in 0..18 {
            assert_eq!(value(&mut &bytes[..end]), Err(MsgpackError::Short));
        }
        assert_eq!(value(&mut &[0x91; 100][..]), Err(MsgpackError::Deep));
        assert_eq!(value(&mut &[0xc1][..]), Err(MsgpackError::Unused(0xc1)));
        assert_eq!(
            value(&mut &[0xdf, 0xff, 0xff, 0xff, 0xff, 1][..]),
            Err(MsgpackError::Short)
        );
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes: Vec<u8>) {
            let _ = value(&mut &bytes[..]);
        }
    }
}
