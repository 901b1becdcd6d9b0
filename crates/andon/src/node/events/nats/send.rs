//! From the queue on this node's disk to JetStream, in order, one message after the other: the
//! next goes when JetStream has the one before, so that nothing overtakes. One task for the
//! keeper that answers for this node's events, one for the keeper that holds the copies.
//!
//! Keepers are known by their consumers on JetStream, proved by the grid key: nodes need not
//! reach them by any other way.

use super::super::ship::{LOST_MAX, SLACK_US, now_us, weight};
use super::{Fare, seal};
use crate::config::settings::Copies;
use andon_api::events::join_parcels;
use andon_api::nats::{NatsFigures, Way, add};
use andon_grid::KeyRing;
use andon_nats::envelope::room;
use andon_nats::{Chain, Contents, Head, JetStream, Keeper, NatsError, Published, Settings};
use andon_spool::{Gap, Lane, Queued, Spool, SpoolError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked which keepers there are, while this node's is among them.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And while this node knows none.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// And while there is no second keeper, of which most grids have none.
const LOOK_FOR_COPIES: Duration = Duration::from_secs(10);
/// A keeper that was there a moment ago may be making its consumer anew, or was killed while it
/// did: what is sent to it for so long waits for it on JetStream.
const MISSING_MAX: Duration = Duration::from_secs(60);
/// What JetStream said it has goes again where the connection breaks down within this time: a
/// server that is killed may have said so of what it was just writing (some milliseconds).
const SETTLES_AFTER: Duration = Duration::from_secs(2);
/// Bytes that are remembered for that; what is more was acknowledged while more came behind it.
const SETTLING_BYTES_MAX: usize = 8 << 20;

/// What the task works with.
pub struct NatsLane {
    pub lane: Lane,
    pub spool: Arc<Spool>,
    /// Told when something is queued.
    pub news: Arc<Notify>,
    pub settings: Settings,
    pub keys: watch::Receiver<KeyRing>,
    /// How many keepers have each event.
    pub copies: Copies,
    pub me: String,
    pub site: String,
    pub figures: Arc<NatsFigures>,
}

/// What is remembered from connection to connection.
struct Course {
    life: u64,
    /// Of the last message that JetStream has.
    number: u64,
    /// What is sent until JetStream says that it has it, to whom it was meant first.
    outgoing: Option<Outgoing>,
    /// What JetStream said it has a moment ago, oldest first.
    settling: VecDeque<(Instant, Outgoing)>,
    /// What goes again before anything else: it was settling when the connection broke down.
    again: VecDeque<Outgoing>,
    /// The keeper that has heard of this node since it was started.
    introduced_to: Option<String>,
    /// The keeper that was on JetStream when it was looked last, of this life.
    seen: Option<String>,
    /// Since when this node's keeper is not on JetStream.
    missing_since: Option<Instant>,
    /// Which keepers there are, and when it was looked.
    keepers: Option<(Vec<Keeper>, Instant)>,
}

impl Course {
    /// JetStream says that it has this.
    fn settle(&mut self, outgoing: Outgoing) {
        self.settling.push_back((Instant::now(), outgoing));
        self.forget_settled();
    }

    /// And that it has the first of what goes again.
    fn settle_first(&mut self) {
        if let Some(first) = self.again.pop_front() {
            self.settle(first);
        }
    }

    fn forget_settled(&mut self) {
        let mut bytes: usize = self.settling.iter().map(|(_, one)| one.body.len()).sum();
        while let Some((at, first)) = self.settling.front()
            && (at.elapsed() >= SETTLES_AFTER || bytes > SETTLING_BYTES_MAX)
        {
            bytes -= first.body.len();
            self.settling.pop_front();
        }
    }

    /// The connection broke down: what was settling goes again, in its order.
    fn unsettle(&mut self) {
        let settling = self.settling.drain(..).map(|(_, one)| one);
        let again: VecDeque<Outgoing> = settling.chain(self.again.drain(..)).collect();
        self.again = again;
    }
}

/// One message.
struct Outgoing {
    head: Head,
    body: Vec<u8>,
    events: u64,
    then: Then,
}

/// What is noted when it is there.
enum Then {
    Nothing,
    Arrived { stream: String, last: u64 },
    Told(Vec<(String, Gap)>),
}

impl NatsLane {
    fn way(&self) -> Way {
        match self.lane {
            Lane::Main => Way::Main,
            Lane::Copy => Way::Copy,
        }
    }

    /// Until it is cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut fare = Fare::new(self.way(), Arc::clone(&self.figures));
        let mut course = Course {
            life: rand::random(),
            number: 0,
            outgoing: None,
            settling: VecDeque::new(),
            again: VecDeque::new(),
            introduced_to: None,
            seen: None,
            missing_since: None,
            keepers: None,
        };
        loop {
            let error = tokio::select! {
                () = cancel.cancelled() => return,
                error = self.connection(&mut course, &mut fare) => error,
            };
            let wait = fare.failed(&error);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One connection, until it breaks down.
    async fn connection(&self, course: &mut Course, fare: &mut Fare) -> NatsError {
        let mut jetstream = match JetStream::open(&self.settings).await {
            Ok(jetstream) => jetstream,
            Err(error) => return error,
        };
        fare.connected(true);
        tracing::debug!(server = jetstream.server(), "connected to NATS");
        course.keepers = None;
        course.unsettle();
        loop {
            match self.step(&mut jetstream, course).await {
                Ok(()) => fare.well(),
                Err(error) => return error,
            }
        }
    }

    /// Sends one message, or waits until there may be one.
    async fn step(&self, jetstream: &mut JetStream, course: &mut Course) -> Result<(), NatsError> {
        while let Some(again) = course.again.front_mut() {
            self.publish(jetstream, again).await?;
            course.settle_first();
        }
        if course.outgoing.is_some() {
            return self.bring(jetstream, course).await;
        }
        course.forget_settled();
        let is_fresh = |at: &Instant| at.elapsed() < LOOK_EVERY;
        let keepers = match &course.keepers {
            Some((keepers, at)) if is_fresh(at) => keepers.clone(),
            _ => {
                let seal = seal(&self.keys.borrow());
                let keepers = jetstream.keepers(&seal).await?;
                course.keepers = Some((keepers.clone(), Instant::now()));
                keepers
            }
        };
        let target = match self.lane {
            Lane::Main => self.main(&keepers, course),
            Lane::Copy => self.copy(&keepers, course),
        };
        let target = target.unwrap_or_else(|error| {
            tracing::error!(%error, "events wait on this node");
            None
        });
        let Some(keeper) = target else {
            course.keepers = None;
            let has_main = self.spool.keeper(Lane::Main).is_some();
            let again = match self.lane {
                Lane::Copy if has_main => LOOK_FOR_COPIES,
                _ => LOOK_AGAIN,
            };
            return wait(jetstream, again, None).await;
        };
        let gaps = self.spool.gaps(self.lane);
        if !gaps.is_empty() || course.introduced_to.as_ref() != Some(&keeper) {
            let told: Vec<&Gap> = gaps.iter().map(|(_, gap)| gap).collect();
            let body = serde_json::to_vec(&told).unwrap_or_default();
            let head = self.head(course, keeper, Contents::Gaps, 0);
            course.outgoing = Some(Outgoing {
                head,
                body,
                events: 0,
                then: Then::Told(gaps),
            });
            return Ok(());
        }
        // A little is left for what is between parcels.
        let heads = self.heads(room(jetstream.payload_max()) / 16 * 15).await;
        let Some(last) = heads.last() else {
            let time_max = match course.settling.is_empty() {
                true => LOOK_EVERY,
                false => SETTLES_AFTER,
            };
            return wait(jetstream, time_max, Some(&self.news)).await;
        };
        let then = Then::Arrived {
            stream: last.stream.clone(),
            last: last.sequence,
        };
        let events = heads.iter().map(|head| u64::from(head.events)).sum();
        course.outgoing = Some(Outgoing {
            head: self.head(course, keeper, Contents::Parcels, events),
            body: join_parcels(heads.iter().map(|head| head.parcel.as_slice())),
            events,
            then,
        });
        Ok(())
    }

    fn head(&self, course: &Course, keeper: String, contents: Contents, events: u64) -> Head {
        let of = match self.lane {
            Lane::Main => None,
            Lane::Copy => self.spool.keeper(Lane::Main),
        };
        Head {
            from: self.me.clone(),
            to: keeper,
            contents,
            of,
            waiting: self.spool.waiting(self.lane).saturating_sub(events),
            events,
            chain: Chain {
                life: course.life,
                number: course.number + 1,
            },
            attempt: 0,
            part: 0,
            parts: 1,
        }
    }

    /// Sends what is to be sent, and notes that JetStream has it. Whatever happens in between,
    /// the same message goes again, under the same name, to the same keeper.
    async fn bring(&self, jetstream: &mut JetStream, course: &mut Course) -> Result<(), NatsError> {
        let Some(outgoing) = &mut course.outgoing else {
            return Ok(());
        };
        self.publish(jetstream, outgoing).await?;
        let Some(mut outgoing) = course.outgoing.take() else {
            return Ok(());
        };
        add(
            &self.figures.of(self.way()).events,
            outgoing.events as usize,
        );
        course.number += 1;
        course.introduced_to = Some(outgoing.head.to.clone());
        let then = std::mem::replace(&mut outgoing.then, Then::Nothing);
        course.settle(outgoing);
        let (spool, lane) = (Arc::clone(&self.spool), self.lane);
        let noted = tokio::task::spawn_blocking(move || match then {
            Then::Nothing => Ok(()),
            Then::Arrived { stream, last } => spool.arrived(lane, &stream, last),
            Then::Told(gaps) => spool.gaps_told(lane, &gaps),
        });
        if let Ok(Err(error)) = noted.await {
            tracing::error!(%error, "what has arrived cannot be noted; it is sent again");
        }
        Ok(())
    }

    async fn publish(
        &self,
        jetstream: &mut JetStream,
        outgoing: &mut Outgoing,
    ) -> Result<(), NatsError> {
        let seal = seal(&self.keys.borrow());
        let payload_max = jetstream.payload_max();
        let parts = outgoing.head.seal(&outgoing.body, payload_max, &seal);
        let parts = parts.ok_or_else(|| NatsError::Odd {
            server: jetstream.server().to_owned(),
            reason: format!("it takes messages of {payload_max} bytes, too small for events"),
        })?;
        outgoing.head.attempt += 1;
        let subject = self
            .settings
            .subject(&self.site, &self.me, &outgoing.head.to);
        let figures = self.figures.of(self.way());
        for part in &parts {
            match jetstream
                .publish(&subject, &part.name, &part.sealed)
                .await?
            {
                Published::Kept => {
                    add(&figures.messages, 1);
                    add(&figures.bytes, part.sealed.len());
                }
                Published::Repeated => add(&figures.repeated, 1),
            }
        }
        Ok(())
    }

    async fn heads(&self, bytes_max: usize) -> Vec<Queued> {
        let (spool, lane) = (Arc::clone(&self.spool), self.lane);
        let heads = tokio::task::spawn_blocking(move || spool.heads(lane, bytes_max));
        match heads.await {
            Ok(Ok(heads)) => heads,
            Ok(Err(error)) => {
                tracing::error!(%error, "queued events cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// The keeper that answers for this node's events.
    fn main(&self, keepers: &[Keeper], course: &mut Course) -> Result<Option<String>, SpoolError> {
        // A node that was a keeper itself is bound to nobody.
        let bound = self.spool.keeper(Lane::Main).filter(|id| *id != self.me);
        if let Some(known) = self.known(bound, keepers, course) {
            return Ok(known);
        }
        let next = nearest(&self.me, keepers, None);
        if let Some(next) = next {
            self.spool.set_keeper(next)?;
            tracing::info!(keeper = next, "events go to this keeper over NATS");
        }
        Ok(next.map(str::to_owned))
    }

    /// The keeper of the copies.
    fn copy(&self, keepers: &[Keeper], course: &mut Course) -> Result<Option<String>, SpoolError> {
        let Some(main) = self.spool.keeper(Lane::Main).filter(|id| *id != self.me) else {
            return Ok(None);
        };
        if self.copies == Copies::One {
            self.spool.set_copy(None, &[], 0)?;
            return Ok(None);
        }
        let bound = self.spool.keeper(Lane::Copy).filter(|id| *id != main);
        if let Some(known) = self.known(bound, keepers, course) {
            return Ok(known);
        }
        let next = nearest(&self.me, keepers, Some(&main));
        self.spool.set_copy(next, &[], now_us() + SLACK_US)?;
        if let Some(next) = next {
            tracing::info!(
                keeper = next,
                "copies of events go to this keeper over NATS"
            );
        }
        Ok(next.map(str::to_owned))
    }

    /// The keeper that this node is bound to, or nobody while it is waited for; `None` where
    /// another is to be found.
    fn known(
        &self,
        bound: Option<String>,
        keepers: &[Keeper],
        course: &mut Course,
    ) -> Option<Option<String>> {
        let bound = bound?;
        if keepers.iter().any(|keeper| keeper.id == bound) {
            course.missing_since = None;
            course.seen = Some(bound.clone());
            return Some(Some(bound));
        }
        let since = *course.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() < MISSING_MAX && course.seen.as_ref() == Some(&bound) {
            course.keepers = None;
            return Some(Some(bound));
        }
        if since.elapsed() < LOST_MAX {
            return Some(None);
        }
        tracing::warn!(keeper = %bound, "the keeper takes nothing from NATS any more; what waits there for it goes to nobody else");
        course.missing_since = None;
        None
    }
}

/// Waits for something new, and answers the server meanwhile.
async fn wait(
    jetstream: &mut JetStream,
    time_max: Duration,
    news: Option<&Notify>,
) -> Result<(), NatsError> {
    let news = async {
        match news {
            Some(news) => news.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        error = jetstream.idle() => Err(error),
        () = news => Ok(()),
        () = tokio::time::sleep(time_max) => Ok(()),
    }
}

/// The keeper of a node among these, as among those that it reaches itself.
fn nearest<'k>(me: &str, keepers: &'k [Keeper], except: Option<&str>) -> Option<&'k str> {
    let others = keepers.iter().map(|keeper| keeper.id.as_str());
    let others = others.filter(|id| *id != me && Some(*id) != except);
    others.max_by_key(|id| weight(me, id))
}
