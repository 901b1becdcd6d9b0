//! Names of nodes, sites and targets. A name is checked once, where it enters, and then
//! carries the proof in its type: nothing that reaches a screen can hold markup, control
//! characters or text that changes direction.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name in bytes. Doubled, a table row of the terminal picture would wrap.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`NAME_BYTES_MAX`].
    #[error("a name has at most {NAME_BYTES_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character that names do not use, and where it stands.
    #[error("a name uses letters, digits and . _ - only, not {found:?} at position {position}")]
    Character {
        /// The offending character.
        found: char,
        /// Its index, counted in characters from 1.
        position: usize,
    },
}

/// Checks a name: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
pub fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.chars().count()));
    }
    for (index, found) in text.chars().enumerate() {
        let plain = found.is_ascii_alphanumeric();
        let joined = index > 0 && matches!(found, '.' | '_' | '-');
        if !plain && !joined {
            return Err(NameError::Character {
                found,
                position: index + 1,
            });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        pub struct $name(String);

        impl $name {
            /// Checks and takes a name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                check_name(&text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.str(&self.0)?;
                Ok(())
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(
                decoder: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let text = decoder.str()?;
                Self::new(text).map_err(minicbor::decode::Error::custom)
            }
        }
    };
}

name! {
    /// What people call a node. Unique by intention; [`NodeKey`] is what tells nodes apart.
    NodeId
}
name! {
    /// A place: datacenter, region, office.
    SiteId
}
name! {
    /// Something probed that is not a node.
    TargetId
}

/// The first eight bytes of a node's Ed25519 public key: who a node is, on the wire and in
/// maps. Ids can clash, keys do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = String))]
pub struct NodeKey(#[n(0)] pub u64);

impl NodeKey {
    /// The key of a node with this Ed25519 public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let mut head = [0; 8];
        head.copy_from_slice(&public_key[..8]);
        Self(u64::from_be_bytes(head))
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for NodeKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(NodeKey)
            .map_err(serde::de::Error::custom)
    }
}

/// Whether free text (a label, a detail, a version) is fit for a screen: at most `bytes_max`
/// bytes, no control characters, nothing that changes the direction of writing.
pub fn is_plain_text(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max
        && !text.chars().any(|c| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        })
}

/// Makes free text fit for a screen: drops what [`is_plain_text`] refuses and cuts it.
pub fn to_plain_text(text: &str, bytes_max: usize) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        let mut buffer = [0; 4];
        let c = c.encode_utf8(&mut buffer);
        if plain.len() + c.len() > bytes_max {
            break;
        }
        if is_plain_text(c, 4) {
            plain.push_str(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_harm_a_screen_are_refused() {
        for bad in [
            "",
            " a",
            "-a",
            "<b>",
            "a\u{202e}b",
            "a\nb",
            "ä",
            &"a".repeat(65),
        ] {
            assert!(NodeId::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "web-1", "fra1.example.com", "A_b", &"a".repeat(64)] {
            assert!(NodeId::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn plain_text_loses_control_characters_and_direction_marks() {
        assert_eq!(to_plain_text("a\u{202e}b\x1b[31mc", 100), "ab[31mc");
        assert_eq!(to_plain_text("ääää", 5), "ää");
    }
}
