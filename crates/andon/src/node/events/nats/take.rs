//! From JetStream to this keeper's disk, in order. A message is acknowledged once all that is
//! in it is on disk; what was taken before is known by its source and number, as over the
//! nodes' own TLS.

use super::{Fare, seal};
use andon_api::events::EventSources;
use andon_api::nats::{NatsFigures, Way, add};
use andon_api::take::{self, NotTaken, Sender};
use andon_grid::KeyRing;
use andon_nats::{
    Assembly, Contents, Delivery, Head, JetStream, NatsError, Seal, SealError, Settings,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// While there is no room here it is tried again after this.
const ROOM_AGAIN: Duration = Duration::from_secs(1);
/// For so long; then JetStream is left alone for a while.
const ROOM_MAX: Duration = Duration::from_secs(30);
/// Between two questions to a server that answers each with nothing.
const NOTHING_PAUSE: Duration = Duration::from_millis(250);
/// How often it is told what is not taken; all is counted.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What the task works with.
pub struct NatsTaker {
    pub settings: Settings,
    pub keys: watch::Receiver<KeyRing>,
    pub events: EventSources,
    pub me: String,
    pub figures: Arc<NatsFigures>,
}

/// Part of a message, as it came.
struct Came<'c> {
    payload: &'c [u8],
    ack: String,
    at_ns: u64,
    waiting: u64,
}

impl NatsTaker {
    /// Until it is cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut fare = Fare::new(Way::Take, Arc::clone(&self.figures));
        let mut assembly = Assembly::default();
        loop {
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = self.connection(&mut assembly, &mut fare) => ended,
            };
            let Err(error) = ended else {
                // With other keys, at once.
                continue;
            };
            let wait = fare.failed(&error);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection, until it breaks down, or the grid has other keys: nodes know a keeper by
    /// what it sealed when it began.
    async fn connection(&self, assembly: &mut Assembly, fare: &mut Fare) -> Result<(), NatsError> {
        let mut jetstream = JetStream::open(&self.settings).await?;
        for doubt in jetstream.make_stream().await? {
            tracing::warn!(stream = %self.settings.stream, doubt, "events may be lost on this stream, which was not made by Andon");
        }
        let mut keys = self.keys.clone();
        let seal = seal(&keys.borrow_and_update());
        jetstream.begin(&self.me, &seal).await?;
        // All that was not acknowledged comes again.
        assembly.forget_unfinished();
        fare.connected(true);
        fare.well();
        tracing::info!(server = jetstream.server(), stream = %self.settings.stream, "events are taken from NATS");
        let mut told: Option<Instant> = None;
        let mut asked = Instant::now();
        loop {
            if keys.has_changed().unwrap_or(false) {
                return Ok(());
            }
            let delivery = jetstream.delivery(&self.me).await?;
            let Delivery::Message {
                payload,
                ack,
                at_ns,
                waiting,
            } = delivery
            else {
                if asked.elapsed() < NOTHING_PAUSE {
                    tokio::time::sleep(NOTHING_PAUSE).await;
                }
                asked = Instant::now();
                continue;
            };
            let came = Came {
                payload: &payload,
                ack,
                at_ns,
                waiting,
            };
            let acks = match self.message(assembly, &seal, came).await? {
                Ok(acks) => acks,
                Err((reason, ack)) => {
                    self.figures.refuse(reason);
                    if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                        told = Some(Instant::now());
                        tracing::error!(
                            reason,
                            "a message on NATS is not taken and let go; see andon_nats_refused_total"
                        );
                    }
                    vec![ack]
                }
            };
            self.figures.waiting.store(waiting, Ordering::Relaxed);
            jetstream.acknowledge(&acks).await?;
        }
    }

    /// What is to be acknowledged after a message; or why it is let go, where nobody of this
    /// grid can have sent it.
    async fn message(
        &self,
        assembly: &mut Assembly,
        seal: &Seal,
        came: Came<'_>,
    ) -> Result<Result<Vec<String>, (&'static str, String)>, NatsError> {
        let opened = match seal.open(came.payload) {
            Ok(opened) => opened,
            Err(error) => {
                let reason = match error {
                    SealError::NotSealed => "not_sealed",
                    SealError::Version => "version",
                    SealError::ForeignKey => "foreign_key",
                    SealError::Forged => "forged",
                };
                return Ok(Err((reason, came.ack)));
            }
        };
        let Some((head, body)) = Head::parse(&opened) else {
            return Ok(Err(("malformed", came.ack)));
        };
        if head.to != self.me {
            return Ok(Err(("misdirected", came.ack)));
        }
        let (missing, broken) = (assembly.missing, assembly.broken);
        let added = assembly.add(head, body, came.ack, came.at_ns);
        let added = added.map_err(|error| NatsError::Odd {
            server: self.settings.stream.clone(),
            reason: error.to_string(),
        })?;
        if assembly.broken > broken {
            self.figures.refuse("parts");
        }
        let mut acks = added.given_up;
        let Some(whole) = added.whole else {
            return Ok(Ok(acks));
        };
        if assembly.missing > missing {
            let count = assembly.missing - missing;
            tracing::error!(node = %whole.head.from, messages = count, "messages were lost on NATS: it had said that it has them");
            add(&self.figures.missing, count as usize);
        }
        let figures = self.figures.of(Way::Take);
        add(&figures.messages, whole.acks.len());
        add(&figures.bytes, whole.body.len());
        add(&figures.events, whole.head.events as usize);
        self.keep(whole.head, whole.body, came.waiting).await?;
        acks.extend(whole.acks);
        Ok(Ok(acks))
    }

    /// Brings a message to disk. What this version can never take is told, counted and let go;
    /// while there is no room, it is waited for.
    async fn keep(&self, head: Head, body: Vec<u8>, waiting: u64) -> Result<(), NatsError> {
        let since = Instant::now();
        let (head, body) = (Arc::new(head), Arc::new(body));
        let mut skip = 0;
        loop {
            let (events, me) = (self.events.clone(), self.me.clone());
            let (sent, bytes) = (Arc::clone(&head), Arc::clone(&body));
            let taken = tokio::task::spawn_blocking(move || {
                let sender = Sender {
                    who: &sent.from,
                    of: sent.of.as_deref(),
                    waiting: sent.waiting + waiting,
                    store: None,
                };
                match sent.contents {
                    Contents::Parcels => take::parcels(&events, &me, &sender, &bytes, skip),
                    Contents::Gaps => {
                        take::gaps(&events, &me, &sender, &bytes).map(|_| Default::default())
                    }
                }
            });
            let reason = match taken.await {
                Ok(Ok(answer)) => {
                    skip += answer.kept;
                    if let Some(reason) = answer.refused {
                        tracing::error!(node = %head.from, %reason, "a batch of events is lost: this keeper cannot read it");
                        self.figures.refuse("parcel");
                        skip += 1;
                        continue;
                    }
                    match answer.full {
                        None => return Ok(()),
                        Some(reason) => reason,
                    }
                }
                Ok(Err(error @ (NotTaken::NoKeeper | NotTaken::Sick(_)))) => error.to_string(),
                Ok(Err(error @ (NotTaken::NoParcels | NotTaken::NoGaps(_)))) => {
                    tracing::error!(node = %head.from, %error, "a message on NATS is not taken and let go");
                    self.figures.refuse("malformed");
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
            if since.elapsed() >= ROOM_MAX {
                return Err(NatsError::Odd {
                    server: self.settings.stream.clone(),
                    reason: format!("there is no room on this keeper: {reason}"),
                });
            }
            tracing::debug!(%reason, "there is no room on this keeper for what comes over NATS");
            tokio::time::sleep(ROOM_AGAIN).await;
        }
    }
}
