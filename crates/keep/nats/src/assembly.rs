//! Parts that came over NATS put together, and whether a message is missing. Pure.
//!
//! A part is acknowledged only when the whole message is on disk, so a keeper that is killed in
//! the middle gets all of them again. Parts that never become whole are let go of: who sends
//! begins such a message anew.

use crate::envelope::{Chain, Head};
use std::collections::BTreeMap;

/// Bytes of one message at most, as much as a keeper takes from a node directly.
const MESSAGE_BYTES_MAX: usize = 80 << 20;
/// Bytes of all unfinished messages at most.
const BYTES_MAX: usize = 128 << 20;
/// A sender gives up a part within seconds, and begins anew: what has waited for longer than
/// this, by JetStream's own time, is never finished.
const GIVEN_UP_NS: u64 = 600_000_000_000;
/// Senders whose last message is remembered at most.
const SENDERS_MAX: usize = 8_192;

/// What came of a part.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The message, if it is whole.
    pub whole: Option<Whole>,
    /// To be acknowledged: nobody waits for these any more.
    pub given_up: Vec<String>,
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// Of its last part.
    pub head: Head,
    /// Its contents.
    pub body: Vec<u8>,
    /// To be acknowledged when it is on disk.
    pub acks: Vec<String>,
}

/// There is no room for more unfinished messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {BYTES_MAX} bytes of messages are not whole")]
pub struct Overfull;

type Sender = (String, Option<String>);

#[derive(Debug)]
struct Unfinished {
    head: Head,
    body: Vec<u8>,
    acks: Vec<String>,
    last_ns: u64,
}

/// Unfinished messages by who sends them.
#[derive(Debug, Default)]
pub struct Assembly {
    unfinished: BTreeMap<Sender, Unfinished>,
    bytes: usize,
    last: BTreeMap<Sender, Chain>,
    /// Messages that are missing: something between the sender and this keeper lost them.
    pub missing: u64,
    /// Messages whose parts did not come as they were sent.
    pub broken: u64,
}

impl Assembly {
    /// Adds a part; `ack` is where to acknowledge it, `at_ns` when JetStream had it.
    pub fn add(
        &mut self,
        head: Head,
        body: &[u8],
        ack: String,
        at_ns: u64,
    ) -> Result<Added, Overfull> {
        let mut added = Added::default();
        let sender = (head.from.clone(), head.of.clone());
        let same = |known: &Head| known.chain == head.chain && known.attempt == head.attempt;
        if let Some(known) = self.unfinished.get_mut(&sender) {
            if same(&known.head) && head.part <= known.head.part {
                // It came again; whoever acknowledges it the second time does so in vain or not.
                known.acks.push(ack);
                return Ok(added);
            }
            if !same(&known.head) || head.part != known.head.part + 1 {
                added.given_up = self.let_go(&sender);
            }
        }
        let is_begun = self.unfinished.contains_key(&sender);
        if head.part > 0 && !is_begun {
            self.broken += 1;
            added.given_up.push(ack);
            return Ok(added);
        }
        self.let_go_of_the_given_up(at_ns, &mut added.given_up);
        if self.bytes + body.len() > BYTES_MAX {
            return Err(Overfull);
        }
        self.bytes += body.len();
        let known = self.unfinished.entry(sender.clone());
        let known = known.or_insert_with(|| Unfinished {
            head: head.clone(),
            body: Vec::new(),
            acks: Vec::new(),
            last_ns: at_ns,
        });
        known.body.extend_from_slice(body);
        known.acks.push(ack);
        (known.head, known.last_ns) = (head, at_ns);
        if known.body.len() > MESSAGE_BYTES_MAX {
            self.broken += 1;
            added.given_up.extend(self.let_go(&sender));
        } else if known.head.part + 1 == known.head.parts
            && let Some(whole) = self.unfinished.remove(&sender)
        {
            self.bytes -= whole.body.len();
            self.count(sender, whole.head.chain);
            added.whole = Some(Whole {
                head: whole.head,
                body: whole.body,
                acks: whole.acks,
            });
        }
        Ok(added)
    }

    /// Forgets what is not whole: all of it comes again.
    pub fn forget_unfinished(&mut self) {
        self.unfinished.clear();
        self.bytes = 0;
    }

    fn let_go(&mut self, sender: &Sender) -> Vec<String> {
        let Some(gone) = self.unfinished.remove(sender) else {
            return Vec::new();
        };
        self.bytes -= gone.body.len();
        gone.acks
    }

    fn let_go_of_the_given_up(&mut self, now_ns: u64, given_up: &mut Vec<String>) {
        let is_old = |one: &Unfinished| one.last_ns.saturating_add(GIVEN_UP_NS) < now_ns;
        let old = self.unfinished.iter().filter(|(_, one)| is_old(one));
        let old: Vec<Sender> = old.map(|(sender, _)| sender.clone()).collect();
        for sender in old {
            given_up.extend(self.let_go(&sender));
        }
    }

    /// Counts what is missing between the last message of a sender and this one.
    fn count(&mut self, sender: Sender, chain: Chain) {
        if let Some(last) = self
            .last
            .get(&sender)
            .filter(|last| last.life == chain.life)
        {
            if chain.number <= last.number {
                return;
            }
            self.missing += chain.number - last.number - 1;
        } else if self.last.len() >= SENDERS_MAX && !self.last.contains_key(&sender) {
            return;
        }
        self.last.insert(sender, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::head;

    fn part(number: u64, attempt: u32, part: u32, parts: u32) -> Head {
        Head {
            attempt,
            part,
            parts,
            ..head("web", number)
        }
    }

    /// Numbers of messages, with where their parts are acknowledged.
    type Came = Vec<(u64, Vec<String>)>;

    /// Feeds parts, each acknowledged by its index, and tells what came whole and what was let go.
    fn run(parts: &[(Head, u64)]) -> (Came, Vec<String>, Assembly) {
        let mut assembly = Assembly::default();
        let (mut whole, mut given_up) = (Vec::new(), Vec::new());
        for (index, (head, at)) in parts.iter().enumerate() {
            let body = [head.part as u8];
            let added = assembly.add(head.clone(), &body, index.to_string(), *at);
            let added = added.unwrap();
            given_up.extend(added.given_up);
            if let Some(one) = added.whole {
                let expected: Vec<u8> = (0..one.head.parts).map(|part| part as u8).collect();
                assert_eq!(one.body, expected);
                whole.push((one.head.chain.number, one.acks));
            }
        }
        (whole, given_up, assembly)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn parts_become_whole_in_order_and_are_acknowledged_together() {
        let (whole, given_up, assembly) = run(&[
            (part(1, 0, 0, 1), 0),
            (part(2, 0, 0, 3), 0),
            (part(2, 0, 1, 3), 0),
            // Redelivered.
            (part(2, 0, 0, 3), 0),
            (part(2, 0, 1, 3), 0),
            (part(2, 0, 2, 3), 0),
            (part(3, 0, 0, 1), 0),
        ]);
        assert_eq!(
            whole,
            [
                (1, texts(&["0"])),
                (2, texts(&["1", "2", "3", "4", "5"])),
                (3, texts(&["6"]))
            ]
        );
        assert!(given_up.is_empty());
        assert_eq!(
            (assembly.missing, assembly.broken, assembly.bytes),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_message_that_is_begun_anew_lets_go_of_its_first_parts() {
        let (whole, given_up, assembly) = run(&[
            (part(2, 0, 0, 2), 0),
            (part(2, 1, 0, 2), 0),
            (part(2, 1, 1, 2), 0),
            // The rest of the first attempt, late.
            (part(2, 0, 1, 2), 0),
        ]);
        assert_eq!(whole, [(2, texts(&["1", "2"]))]);
        assert_eq!(given_up, ["0", "3"]);
        assert_eq!((assembly.broken, assembly.bytes), (1, 0));
    }

    #[test]
    fn what_a_dead_sender_began_goes_after_a_while_and_holds_nobody_up() {
        let mut other = part(1, 0, 0, 1);
        other.from = "db".to_owned();
        let (whole, given_up, assembly) = run(&[
            (part(1, 0, 0, 2), 0),
            (other.clone(), GIVEN_UP_NS),
            (other, GIVEN_UP_NS + 1),
        ]);
        assert_eq!(whole.len(), 2);
        assert_eq!(given_up, ["0"]);
        assert_eq!(assembly.bytes, 0);
    }

    #[test]
    fn missing_messages_are_counted_once_and_repeated_ones_are_not() {
        let mut lives = vec![(part(1, 0, 0, 1), 0), (part(4, 0, 0, 1), 0)];
        lives.push((part(3, 0, 0, 1), 0));
        lives.push((part(5, 0, 0, 1), 0));
        let mut reborn = part(9, 0, 0, 1);
        reborn.chain.life = 8;
        lives.push((reborn, 0));
        assert_eq!(run(&lives).2.missing, 2);
    }

    #[test]
    fn there_is_a_bound_to_what_is_not_whole() {
        let mut assembly = Assembly::default();
        let chunk = vec![0; 1 << 20];
        let mut last = Ok(Added::default());
        for number in 0..200_u64 {
            let mut head = part(1, 0, 0, 2);
            head.from = number.to_string();
            last = assembly.add(head, &chunk, String::new(), 0);
        }
        assert_eq!(last, Err(Overfull));
        assert!(assembly.bytes <= BYTES_MAX);
    }
}
