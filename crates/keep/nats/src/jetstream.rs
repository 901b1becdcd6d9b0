//! JetStream: a stream that holds what nodes send until its keeper has it, and a consumer for
//! each keeper.
//!
//! The stream is a work queue that refuses what it has no room for: a message stays until it is
//! acknowledged, and nothing goes by itself. That is also what keeps the order over failures: a
//! consumer that is made anew begins with the oldest message that was not acknowledged, so that
//! nothing comes behind what was sent after it.
//!
//! Source: docs.nats.io, "JetStream wire API".

use crate::connection::Connection;
use crate::error::{NatsError, one_line};
use crate::protocol::Message;
use crate::seal::Seal;
use crate::settings::{DUPLICATES_FOR, Settings, name_of, token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// For one question to JetStream.
const ASK_MAX: Duration = Duration::from_secs(5);
/// For the acknowledgement of a message: on the disks of all replicas.
const PUBLISH_MAX: Duration = Duration::from_secs(10);
/// Messages that are asked for at once.
const BATCH: u32 = 256;
/// Bytes of them, or two messages of the size that the server takes. Servers drop clients for
/// which more than 64 MB wait.
const BATCH_BYTES: usize = 16 << 20;
/// How long a question for messages stays open.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still is, while there is nothing.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Without a word for so long it is not, whatever became of it, and is asked anew.
const FORGOTTEN: Duration = Duration::from_secs(12);
/// Messages that may be with the keeper without being acknowledged: the parts of unfinished ones.
const UNACKNOWLEDGED_MAX: u32 = 8_192;
/// After so long an unacknowledged message comes again. A keeper that was away begins anew by
/// itself; this is for one that is merely slow.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(600);
/// Keepers of a stream that are looked at.
const KEEPERS_MAX: usize = 1_024;

/// There is no such stream.
const NO_STREAM: u32 = 10_059;
/// There is no such consumer.
const NO_CONSUMER: u32 = 10_014;

/// What JetStream says about a message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It has it.
    Kept,
    /// It had it already.
    Repeated,
}

/// What comes to a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message {
        /// What is in it.
        payload: Bytes,
        /// Where it is acknowledged.
        ack: String,
        /// When JetStream got it, in nanoseconds since 1970.
        at_ns: u64,
        /// Messages that wait behind it.
        waiting: u64,
    },
    /// Nothing more until it is asked again.
    Over,
}

/// A keeper that takes events from the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// Its node's id.
    pub id: String,
}

/// A connection, and the stream that it is for.
pub struct JetStream {
    connection: Connection,
    settings: Settings,
    asked: Option<Asked>,
}

/// Messages that were asked for.
struct Asked {
    /// Where the server says what becomes of it.
    inbox: String,
    /// How many are still to come.
    owed: u32,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
    #[serde(flatten)]
    rest: serde_json::Value,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl JetStream {
    /// Connects to the first server that answers.
    pub async fn open(settings: &Settings) -> Result<Self, NatsError> {
        Ok(Self {
            connection: Connection::open(settings).await?,
            settings: settings.clone(),
            asked: None,
        })
    }

    /// Host and port of the server.
    pub fn server(&self) -> &str {
        self.connection.label()
    }

    /// Bytes of a message that the server takes.
    pub fn payload_max(&self) -> usize {
        self.connection.info().max_payload
    }

    /// Makes the stream if it is not there. Returns what about one that is there may lose events.
    pub async fn make_stream(&mut self) -> Result<Vec<&'static str>, NatsError> {
        let stream = self.settings.stream.clone();
        let info = self.ask(&format!("STREAM.INFO.{stream}"), b"").await;
        let answer = match info {
            Err(NatsError::Refused {
                code: NO_STREAM, ..
            }) => {
                let wanted = json!({
                    "name": stream,
                    "description": "events of an Andon grid on their way to its keepers",
                    "subjects": [self.settings.subjects()],
                    "retention": "workqueue",
                    "discard": "new",
                    "storage": "file",
                    "max_bytes": self.settings.bytes_max,
                    "max_msgs": -1,
                    "max_age": 0,
                    "max_consumers": -1,
                    "max_msg_size": -1,
                    "num_replicas": self.settings.replicas,
                    "duplicate_window": nanos(DUPLICATES_FOR),
                });
                let wanted = wanted.to_string();
                self.ask(&format!("STREAM.CREATE.{stream}"), wanted.as_bytes())
                    .await?
            }
            other => other?,
        };
        let config = &answer["config"];
        if config["retention"] != "workqueue" {
            return Err(NatsError::Refused {
                code: 0,
                description: format!(
                    "the stream {stream} is there, but no work queue; delete it, or name another in [spool] nats_stream"
                ),
            });
        }
        let doubts = [
            (
                config["discard"] != "new",
                "it drops the oldest when it is full",
            ),
            (config["max_age"].as_u64() > Some(0), "it drops what is old"),
            (config["storage"] != "file", "it is in memory only"),
            (
                config["max_msgs_per_subject"].as_i64() > Some(0),
                "it drops what is many",
            ),
        ];
        let doubts = doubts.into_iter().filter(|(is_so, _)| *is_so);
        Ok(doubts.map(|(_, words)| words).collect())
    }

    /// The keepers of this grid that take events from the stream, by id; none where there is no
    /// stream. That they are of this grid is proved by the seal.
    pub async fn keepers(&mut self, seal: &Seal) -> Result<Vec<Keeper>, NatsError> {
        let subject = format!("CONSUMER.LIST.{}", self.settings.stream);
        let mut keepers = Vec::new();
        let mut offset = 0;
        while offset < KEEPERS_MAX {
            let question = json!({ "offset": offset }).to_string();
            let answer = match self.ask(&subject, question.as_bytes()).await {
                Err(NatsError::Refused {
                    code: NO_STREAM, ..
                }) => return Ok(Vec::new()),
                other => other?,
            };
            let consumers = answer["consumers"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            for consumer in consumers {
                let id = name_of(consumer["name"].as_str().unwrap_or_default());
                let is_ours = is_proof(&consumer["config"]["description"], &id, seal);
                if is_ours {
                    keepers.push(Keeper { id });
                }
            }
            offset += consumers.len();
            let total = answer["total"].as_u64().unwrap_or(0);
            if consumers.is_empty() || offset as u64 >= total {
                break;
            }
        }
        keepers.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(keepers)
    }

    /// Begins to take what is for a keeper, with the oldest message that it has not acknowledged.
    pub async fn begin(&mut self, keeper: &str, seal: &Seal) -> Result<(), NatsError> {
        self.asked = None;
        let (stream, consumer) = (self.settings.stream.clone(), token(keeper));
        let known = self
            .ask(&format!("CONSUMER.INFO.{stream}.{consumer}"), b"")
            .await;
        match known {
            Ok(known) => {
                if !is_proof(&known["config"]["description"], keeper, seal) {
                    return Err(NatsError::Foreign { stream, consumer });
                }
                if known["num_ack_pending"] == 0 {
                    match self.make_consumer(keeper, seal).await {
                        // An old server does not change what is there.
                        Err(NatsError::Refused { .. }) => {}
                        other => return other,
                    }
                }
                // What an earlier life of this keeper did not acknowledge would come behind
                // what is newer: a consumer that is made anew begins with it.
                let delete = format!("CONSUMER.DELETE.{stream}.{consumer}");
                match self.ask(&delete, b"").await {
                    Err(NatsError::Refused {
                        code: NO_CONSUMER, ..
                    }) => {}
                    other => drop(other?),
                }
            }
            Err(NatsError::Refused {
                code: NO_CONSUMER, ..
            }) => {}
            Err(error) => return Err(error),
        }
        self.make_consumer(keeper, seal).await
    }

    /// Makes a keeper's consumer, or seals its proof anew where it is there.
    async fn make_consumer(&mut self, keeper: &str, seal: &Seal) -> Result<(), NatsError> {
        let (stream, consumer) = (self.settings.stream.clone(), token(keeper));
        let proof = seal.seal(keeper.as_bytes()).ok_or_else(|| {
            let reason = "there is no grid key to prove it with".to_owned();
            self.connection.odd(reason)
        })?;
        let wanted = json!({
            "stream_name": stream,
            "config": {
                "durable_name": consumer,
                "description": STANDARD.encode(proof),
                "deliver_policy": "all",
                "ack_policy": "explicit",
                "ack_wait": nanos(ACKNOWLEDGE_MAX),
                "max_deliver": -1,
                "max_ack_pending": UNACKNOWLEDGED_MAX,
                "filter_subject": self.settings.subjects_to(keeper),
                "replay_policy": "instant",
            },
        });
        let create = format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}");
        self.ask(&create, wanted.to_string().as_bytes()).await?;
        Ok(())
    }

    /// What comes next to a keeper that began.
    pub async fn delivery(&mut self, keeper: &str) -> Result<Delivery, NatsError> {
        let inbox = match &self.asked {
            Some(asked) => asked.inbox.clone(),
            None => self.ask_for_messages(keeper).await?,
        };
        loop {
            let message = match timeout(FORGOTTEN, self.connection.next()).await {
                Ok(message) => message?,
                Err(_) => {
                    self.asked = None;
                    return Ok(Delivery::Over);
                }
            };
            match message.status {
                Some(_) if message.subject != inbox => {}
                Some(100) => {}
                Some(503) => return Err(NatsError::Nobody { subject: inbox }),
                Some(409) if message.reason.contains("Consumer") => {
                    let description = one_line(&message.reason);
                    return Err(NatsError::Refused {
                        code: 409,
                        description,
                    });
                }
                Some(_) => {
                    self.asked = None;
                    return Ok(Delivery::Over);
                }
                None => {
                    if let Some(delivery) = delivered(message) {
                        self.count_delivered();
                        return Ok(delivery);
                    }
                }
            }
        }
    }

    async fn ask_for_messages(&mut self, keeper: &str) -> Result<String, NatsError> {
        let inbox = self.connection.new_inbox();
        let question = json!({
            "batch": BATCH,
            "max_bytes": BATCH_BYTES.max(2 * self.payload_max()),
            "expires": nanos(EXPIRES),
            "idle_heartbeat": nanos(HEARTBEAT),
        });
        let (stream, consumer) = (&self.settings.stream, token(keeper));
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let question = question.to_string();
        let asking = self
            .connection
            .publish(&next, Some(&inbox), &[], question.as_bytes());
        asking.await?;
        self.asked = Some(Asked {
            inbox: inbox.clone(),
            owed: BATCH,
        });
        Ok(inbox)
    }

    /// A server that delivered all it was asked for says nothing more.
    fn count_delivered(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.owed = asked.owed.saturating_sub(1);
            if asked.owed == 0 {
                self.asked = None;
            }
        }
    }

    /// Says that messages are on disk.
    pub async fn acknowledge(&mut self, acks: &[String]) -> Result<(), NatsError> {
        for ack in acks {
            self.connection.publish(ack, None, &[], b"+ACK").await?;
        }
        Ok(())
    }

    /// Sends a message, and returns once it is on JetStream. `name`: by which it is known when it
    /// is sent again.
    pub async fn publish(
        &mut self,
        subject: &str,
        name: &str,
        payload: &[u8],
    ) -> Result<Published, NatsError> {
        // That it is this stream and no other which takes it.
        let headers = [
            ("Nats-Msg-Id", name),
            ("Nats-Expected-Stream", self.settings.stream.as_str()),
        ];
        let answer = self
            .connection
            .request(subject, &headers, payload, PUBLISH_MAX);
        let answer = answer.await?;
        let answer = self.answer(answer)?;
        match (answer["seq"].as_u64(), answer["duplicate"] == true) {
            (None, _) => Err(self
                .connection
                .odd("an acknowledgement without a number".into())),
            (Some(_), true) => Ok(Published::Repeated),
            (Some(_), false) => Ok(Published::Kept),
        }
    }

    /// Waits, and answers what the server wants meanwhile. Ends only with the connection.
    pub async fn idle(&mut self) -> NatsError {
        loop {
            if let Err(error) = self.connection.next().await {
                return error;
            }
        }
    }

    async fn ask(&mut self, what: &str, question: &[u8]) -> Result<serde_json::Value, NatsError> {
        let subject = format!("$JS.API.{what}");
        let answer = self.connection.request(&subject, &[], question, ASK_MAX);
        let answer = answer.await?;
        self.answer(answer)
    }

    fn answer(&self, answer: Message) -> Result<serde_json::Value, NatsError> {
        let text = String::from_utf8_lossy(&answer.payload);
        let odd = |_| self.connection.odd(format!("as JetStream: {text}"));
        let answer: Answer = serde_json::from_slice(&answer.payload).map_err(odd)?;
        match answer.error {
            None => Ok(answer.rest),
            Some(error) => Err(NatsError::Refused {
                code: error.err_code,
                description: one_line(&error.description),
            }),
        }
    }
}

/// Whether a consumer's description proves that it belongs to a keeper of this grid.
fn is_proof(description: &serde_json::Value, keeper: &str, seal: &Seal) -> bool {
    let sealed = description
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    let opened = sealed.and_then(|sealed| seal.open(&sealed).ok());
    opened.is_some_and(|id| id == keeper.as_bytes())
}

/// A message with what the subject of its acknowledgement tells:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer's>.<time>.<pending>`, of later
/// servers with domain and account before the stream.
fn delivered(message: Message) -> Option<Delivery> {
    let ack = message.reply?;
    let words: Vec<&str> = ack.split('.').collect();
    let tail = match words.as_slice() {
        ["$JS", "ACK", _, _, tail @ ..] if words.len() == 9 => tail,
        ["$JS", "ACK", _, _, _, _, tail @ ..] if words.len() >= 11 => tail,
        _ => return None,
    };
    let [_, _, _, at_ns, waiting, ..] = tail else {
        return None;
    };
    let (at_ns, waiting) = (at_ns.parse().ok()?, waiting.parse().ok()?);
    Some(Delivery::Message {
        payload: message.payload,
        at_ns,
        waiting,
        ack,
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_tells_about_a_message_is_read_in_both_forms() {
        let check = |reply: &str, expected: Option<(u64, u64)>| {
            let message = Message {
                reply: Some(reply.to_owned()),
                ..Message::default()
            };
            let found = delivered(message).map(|delivery| match delivery {
                Delivery::Message { at_ns, waiting, .. } => (at_ns, waiting),
                Delivery::Over => (0, 0),
            });
            assert_eq!(found, expected, "{reply}");
        };
        check(
            "$JS.ACK.andon.keeper.1.22.3.1700000000.9",
            Some((1_700_000_000, 9)),
        );
        check("$JS.ACK.hub.ACC.andon.keeper.1.22.3.17.9", Some((17, 9)));
        check(
            "$JS.ACK.hub.ACC.andon.keeper.1.22.3.17.9.rnd",
            Some((17, 9)),
        );
        check("_INBOX.x", None);
        check("$JS.ACK.andon.keeper.1.22.3.x.9", None);
    }

    #[test]
    fn only_a_holder_of_the_key_proves_to_be_a_keeper() {
        let seal = Seal::new(&[([1; 4], [1; 32])]);
        let proof = json!(STANDARD.encode(seal.seal(b"k1").unwrap()));
        assert!(is_proof(&proof, "k1", &seal));
        assert!(!is_proof(&proof, "k2", &seal), "of another keeper");
        let other = Seal::new(&[([1; 4], [2; 32])]);
        assert!(!is_proof(&proof, "k1", &other));
        assert!(!is_proof(&json!("a consumer"), "k1", &seal));
        assert!(!is_proof(&json!(null), "k1", &seal));
    }
}
