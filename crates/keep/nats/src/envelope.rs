//! Who sends what to whom: the head of what goes over NATS, sealed together with its contents.
//! What is larger than NATS takes goes in parts, each sealed for itself.

use crate::seal::{SEAL_BYTES, Seal};
use serde::{Deserialize, Serialize};

/// Bytes of one part at most, also where a server takes more: servers drop clients for which
/// too much waits, and many of these wait at once.
const PART_BYTES_MAX: usize = 1 << 20;
/// What JetStream's headers and subjects take of what a server calls a payload.
const NATS_HEAD_BYTES: usize = 1 << 10;
/// Bytes of a head, written.
const HEAD_BYTES_MAX: usize = 2 << 10;
/// Parts of one message at most.
pub const PARTS_MAX: u32 = 4_096;

/// What kind of contents it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Batches of events, one behind the other.
    Parcels,
    /// What will never come; also said of nothing, by who begins to send.
    Gaps,
}

/// Which message of a sender's life it is. Where one is missing, numbers jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Drawn at random when the sender begins.
    pub life: u64,
    /// From one up.
    pub number: u64,
}

/// What is said about contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The node that sends.
    pub from: String,
    /// The keeper that it is for.
    pub to: String,
    /// What it is.
    pub contents: Contents,
    /// The keeper that answers for it, where this is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Events that wait at the sender after this.
    pub waiting: u64,
    /// Events in it.
    #[serde(default)]
    pub events: u64,
    /// Which message it is.
    pub chain: Chain,
    /// How often a message of several parts was begun before.
    pub attempt: u32,
    /// Which part, from zero up.
    pub part: u32,
    /// Of how many.
    pub parts: u32,
}

impl Head {
    /// The name of this part, by which JetStream knows it when it comes again. Parts of another
    /// attempt are others: some of them may have been let go of.
    pub fn name(&self) -> String {
        let Chain { life, number } = self.chain;
        let lane = self.of.as_deref().map_or("main", |_| "copy");
        let whole = format!("{}/{lane}/{life:016x}/{number}", self.from);
        match self.parts {
            1 => whole,
            _ => format!("{whole}/{}/{}", self.attempt, self.part),
        }
    }

    /// Contents as sealed parts, each with its name. `payload_max`: bytes that the server takes.
    /// `None` where nothing can be sealed, or the server takes too little.
    pub fn seal(&self, body: &[u8], payload_max: usize, seal: &Seal) -> Option<Vec<Part>> {
        let overhead = NATS_HEAD_BYTES + HEAD_BYTES_MAX + SEAL_BYTES;
        let room = payload_max.min(PART_BYTES_MAX).checked_sub(overhead)?;
        let chunks: Vec<&[u8]> = match body.is_empty() {
            true => vec![&[]],
            false if room == 0 => return None,
            false => body.chunks(room).collect(),
        };
        let parts = u32::try_from(chunks.len()).ok()?;
        if parts > PARTS_MAX {
            return None;
        }
        let sealed = (0..parts).zip(chunks).map(|(part, chunk)| {
            let head = Self {
                part,
                parts,
                ..self.clone()
            };
            let text = serde_json::to_vec(&head).ok()?;
            let length = u16::try_from(text.len()).ok()?;
            let plain = [&length.to_le_bytes(), text.as_slice(), chunk].concat();
            Some(Part {
                name: head.name(),
                sealed: seal.seal(&plain)?,
            })
        });
        sealed.collect()
    }

    /// Head and contents of an opened part; `None` if they are none.
    pub fn parse(plain: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = plain.split_first_chunk()?;
        let (text, body) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let head: Self = serde_json::from_slice(text).ok()?;
        (head.parts <= PARTS_MAX && head.part < head.parts).then_some((head, body))
    }
}

/// A part that is ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// By which JetStream knows it.
    pub name: String,
    /// What goes.
    pub sealed: Vec<u8>,
}

/// Bytes of contents that go in one part with this server.
pub fn room(payload_max: usize) -> usize {
    let overhead = NATS_HEAD_BYTES + HEAD_BYTES_MAX + SEAL_BYTES;
    payload_max.min(PART_BYTES_MAX).saturating_sub(overhead)
}

/// For fuzzers: an opened part, whatever it is.
pub fn fuzz(plain: &[u8]) {
    if let Some((head, body)) = Head::parse(plain) {
        assert!(head.part < head.parts && body.len() <= plain.len());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn head(from: &str, number: u64) -> Head {
        Head {
            from: from.to_owned(),
            to: "keeper".to_owned(),
            contents: Contents::Parcels,
            of: None,
            waiting: 0,
            events: 0,
            chain: Chain { life: 7, number },
            attempt: 0,
            part: 0,
            parts: 1,
        }
    }

    #[test]
    fn what_is_larger_than_a_server_takes_goes_in_parts_with_names_of_their_own() {
        let seal = Seal::new(&[([1; 4], [1; 32])]);
        let body: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let parts = head("web", 3).seal(&body, 8_192, &seal).unwrap();
        assert_eq!(parts.len(), body.len().div_ceil(room(8_192)));
        let mut again = Vec::new();
        let mut names = Vec::new();
        for part in &parts {
            assert!(part.sealed.len() + NATS_HEAD_BYTES <= 8_192);
            let plain = seal.open(&part.sealed).unwrap();
            let (head, chunk) = Head::parse(&plain).unwrap();
            assert_eq!(head.name(), part.name);
            again.extend_from_slice(chunk);
            names.push(part.name.clone());
        }
        assert_eq!(again, body);
        names.dedup();
        assert_eq!(names.len(), parts.len());
        let one = head("web", 3).seal(b"", 1 << 20, &seal).unwrap();
        assert_eq!(one[0].name, "web/main/0000000000000007/3");
        assert_eq!(head("web", 3).seal(&body, 1_000, &seal), None, "no room");
        for wrong in [b"".as_slice(), b"\x05\x00{}", b"\x02\x00{}"] {
            assert!(Head::parse(wrong).is_none());
        }
    }
}
