//! What our own nodes tell each other in octets that RFC 8762 leaves zero and tells receivers
//! to pass over: what a question is for, which flow it belongs to, and which flow is dead.
//! They lie inside the signed part. A node that writes none reads as [`Note::default`].

/// Octets of a question from here on carry a [`Note`].
const QUESTION_AT: usize = 84;
/// Octets of an answer from here on: the question's purpose, and what the reflector can do.
const ANSWER_AT: usize = 84;

/// What a question is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// One of a flow's probes, counted by the reflector.
    #[default]
    Probe,
    /// Padded, to see whether large packets pass; the answer is small, so that a loss is one
    /// of the way there.
    Large,
    /// Of a path trace.
    Trace,
    /// A single look at a source port that is no flow yet.
    Scout,
}

impl Purpose {
    /// Whether the reflector counts it, and takes it for a sign of life.
    pub fn is_counted(self) -> bool {
        self == Purpose::Probe
    }

    fn byte(self) -> u8 {
        match self {
            Purpose::Probe => 0,
            Purpose::Large => 1,
            Purpose::Trace => 2,
            Purpose::Scout => 3,
        }
    }

    /// What no version of ours writes reads as a probe.
    fn of(byte: u8) -> Self {
        match byte {
            1 => Purpose::Large,
            2 => Purpose::Trace,
            3 => Purpose::Scout,
            _ => Purpose::Probe,
        }
    }
}

/// A flow that gets no answers, as its owner tells the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadFlow {
    /// Its index, below 64.
    pub flow: u8,
    /// Its source port, as its owner knows it.
    pub port: u16,
    /// Since the first probe that was not answered, milliseconds; saturates.
    pub silent_ms: u16,
}

/// What a question carries besides the standard's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Note {
    /// What it is for.
    pub purpose: Purpose,
    /// Index of its flow.
    pub flow: u8,
    /// Flows that the asker probes on this link; 0 where it does not say.
    pub flows: u8,
    /// The flow's source port as the asker knows it: behind NAT it arrives as another.
    pub port: u16,
    /// One of the asker's dead flows, each in turn.
    pub dead: Option<DeadFlow>,
}

impl Note {
    /// A note that says only what the question is for.
    pub fn of(purpose: Purpose) -> Self {
        Self {
            purpose,
            ..Self::default()
        }
    }

    pub(crate) fn put(&self, packet: &mut [u8]) {
        let octets = &mut packet[QUESTION_AT..QUESTION_AT + 10];
        octets[0] = self.purpose.byte();
        octets[1] = self.flow;
        octets[2] = self.flows;
        octets[4..6].copy_from_slice(&self.port.to_be_bytes());
        if let Some(dead) = self.dead {
            octets[3] = dead.flow.saturating_add(1);
            octets[6..8].copy_from_slice(&dead.port.to_be_bytes());
            octets[8..10].copy_from_slice(&dead.silent_ms.to_be_bytes());
        }
    }

    pub(crate) fn take(packet: &[u8]) -> Self {
        let octets = &packet[QUESTION_AT..QUESTION_AT + 10];
        let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        Self {
            purpose: Purpose::of(octets[0]),
            flow: octets[1],
            flows: octets[2],
            port: number(4),
            dead: octets[3].checked_sub(1).map(|flow| DeadFlow {
                flow,
                port: number(6),
                silent_ms: number(8),
            }),
        }
    }
}

/// What an answer carries besides the standard's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerNote {
    /// What the question was for.
    pub purpose: Purpose,
    /// The reflector answers large questions. An older one refuses them.
    pub knows_large: bool,
}

impl AnswerNote {
    pub(crate) fn put(&self, packet: &mut [u8]) {
        packet[ANSWER_AT] = self.purpose.byte();
        packet[ANSWER_AT + 1] = u8::from(self.knows_large);
    }

    pub(crate) fn take(packet: &[u8]) -> Self {
        Self {
            purpose: Purpose::of(packet[ANSWER_AT]),
            knows_large: packet[ANSWER_AT + 1] & 1 == 1,
        }
    }
}
