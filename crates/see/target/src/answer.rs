//! What came of one question.

use andon_model::id::to_plain_text;
use andon_model::{LinkReason, Timestamp};
use serde::Serialize;

/// Longest detail in bytes; the published report promises no more.
pub const DETAIL_BYTES_MAX: usize = 120;

/// What one question says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A right answer in time.
    Good,
    /// A right answer with something that someone should mend soon: a certificate near its
    /// end, or of an unknown issuer.
    Poor,
    /// No answer, or a wrong one.
    Failed(LinkReason),
    /// This node could not ask; that says nothing about the target.
    NotAsked,
}

/// Time that each phase of a question took, microseconds; `None` where it did not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Phases {
    /// Resolving the name.
    pub name_us: Option<u32>,
    /// Connecting.
    pub connect_us: Option<u32>,
    /// TLS handshake.
    pub tls_us: Option<u32>,
    /// From the request to the first byte (or the only packet) of the answer.
    pub first_byte_us: Option<u32>,
    /// The rest of the answer.
    pub body_us: Option<u32>,
    /// All of it.
    pub total_us: Option<u32>,
}

/// What a server showed of itself in a TLS handshake. All texts are plain and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Common name, or the first name that it is valid for.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// DNS names and addresses that it is valid for, at most 20.
    pub names: Vec<String>,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// Subjects of the chain as sent, the server's first, at most 8.
    pub chain: Vec<String>,
    /// What is wrong with it, in words; `None` when nothing is.
    pub problem: Option<String>,
}

/// One question's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it says about the target.
    pub outcome: Outcome,
    /// Round-trip time, microseconds: the packet's own for ICMP, STAMP and DNS; connecting
    /// for TCP; connecting and handshake for TLS; everything from the name on for HTTP.
    pub rtt_us: Option<u32>,
    /// In words, plain text of at most [`DETAIL_BYTES_MAX`].
    pub detail: String,
    /// Where the time went.
    pub phases: Phases,
    /// The server's certificate, where one was shown.
    pub certificate: Option<Certificate>,
}

impl Answer {
    /// An answer without figures.
    pub fn new(outcome: Outcome, detail: &str) -> Self {
        Self {
            outcome,
            rtt_us: None,
            detail: to_plain_text(detail, DETAIL_BYTES_MAX),
            phases: Phases::default(),
            certificate: None,
        }
    }

    /// A right answer that took `rtt_us`.
    pub fn good(rtt_us: u32, detail: &str) -> Self {
        Self {
            rtt_us: Some(rtt_us),
            ..Self::new(Outcome::Good, detail)
        }
    }

    /// No answer, or a wrong one.
    pub fn failed(reason: LinkReason, detail: &str) -> Self {
        Self::new(Outcome::Failed(reason), detail)
    }

    /// This node could not ask.
    pub fn not_asked(detail: &str) -> Self {
        Self::new(Outcome::NotAsked, detail)
    }
}
