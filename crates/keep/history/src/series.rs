//! A link's minutes: its worst state, its loss and its round trips, from the records of the
//! time asked for.

use crate::bytes::Rubbish;
use crate::figures::{Figures, NONE};
use crate::index::SILENCE_MAX;
use crate::link::LinkRecord;
use crate::record::{Record, kind};
use crate::replay::{take_link_figures, take_texts};
use andon_model::{FlowCount, LinkState, Name, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Points of one answer at most; a wider span has wider steps. More than a screen has pixels
/// nobody sees.
pub const POINTS_MAX: usize = 1_000;

const MINUTE_US: i64 = 60_000_000;
/// A minute's record is written just after its end: so long before is within it.
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
/// Medians of one step that are looked at; a step is at most about that many minutes.
const MEDIANS_MAX: usize = 64;

/// How one link fared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LinkSeries {
    /// The observer.
    pub from: String,
    /// The far end.
    pub to: String,
    /// Seconds that a point stands for: 60 or a multiple of it.
    pub step_s: u64,
    /// Oldest first. Time in which nothing was recorded has no points.
    pub points: Vec<LinkPoint>,
}

/// One step of a link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LinkPoint {
    /// Its begin.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub at: Timestamp,
    /// The worst state within.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "up"))]
    pub state: LinkState,
    /// Share lost on the way there, 0..=1, the worst within; `null` where not measured.
    pub loss_forward: Option<f32>,
    /// Share lost on the way back, 0..=1, the worst within; `null` where not measured.
    pub loss_return: Option<f32>,
    /// Median round trip, microseconds; of several minutes the middle one.
    pub rtt_us_p50: Option<u32>,
    /// 99th percentile of round trips, microseconds, the worst within.
    pub rtt_us_p99: Option<u32>,
    /// Flows that answered, the fewest within.
    pub flows_ok: u16,
    /// Flows that were probed then.
    pub flows_total: u16,
}

/// The time asked for, in whole minutes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    /// First minute, as a number since 1970.
    first: i64,
    /// The minute after the last.
    end: i64,
    step: i64,
}

impl Range {
    pub(crate) fn new(since: Timestamp, until: Timestamp) -> Self {
        let first = since.0.div_euclid(MINUTE_US);
        let end = until
            .0
            .div_euclid(MINUTE_US)
            .saturating_add(1)
            .max(first + 1);
        let minutes = end.saturating_sub(first);
        let step =
            minutes.div_euclid(POINTS_MAX as i64) + i64::from(minutes % POINTS_MAX as i64 != 0);
        Self {
            first,
            end,
            step: step.max(1),
        }
    }

    pub(crate) fn step(&self) -> Duration {
        Duration::from_secs(60 * self.step.unsigned_abs())
    }

    fn slot(&self, at: Timestamp) -> Option<i64> {
        let minute = at.0.div_euclid(MINUTE_US);
        (self.first..self.end)
            .contains(&minute)
            .then(|| (minute - self.first).div_euclid(self.step))
    }
}

/// What is known of the link at a moment.
#[derive(Debug, Clone, Copy)]
struct Standing {
    state: LinkState,
    flows: FlowCount,
    figures: Figures,
}

#[derive(Debug, Clone)]
struct Step {
    state: LinkState,
    flows: FlowCount,
    /// As they were told within.
    told: Option<Figures>,
    /// As they stood, for a minute that is not over.
    stood: Figures,
    medians: Vec<u8>,
}

/// Gathers the steps of one link from records in the order of time.
#[derive(Debug)]
pub(crate) struct SeriesReader {
    from: String,
    to: String,
    range: Range,
    texts: Vec<Name>,
    ends: (Option<u32>, Option<u32>),
    standing: Option<Standing>,
    last: Option<Timestamp>,
    steps: BTreeMap<i64, Step>,
}

impl SeriesReader {
    pub(crate) fn new(from: &str, to: &str, range: Range) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            range,
            texts: Vec::new(),
            ends: (None, None),
            standing: None,
            last: None,
            steps: BTreeMap::new(),
        }
    }

    /// Another segment follows: its first record is whole.
    pub(crate) fn apply(&mut self, record: &Record<'_>) -> Result<(), Rubbish> {
        self.stand_until(record.at);
        if record.whole {
            self.texts.clear();
            self.ends = (None, None);
            self.standing = None;
        }
        for (kind, mut take) in record.sections() {
            match kind {
                kind::TEXTS => {
                    let before = self.texts.len();
                    take_texts(&mut self.texts, take)?;
                    for (number, text) in (0u32..).zip(&self.texts).skip(before) {
                        if text.as_str() == self.from {
                            self.ends.0 = Some(number);
                        }
                        if text.as_str() == self.to {
                            self.ends.1 = Some(number);
                        }
                    }
                }
                kind::LINKS => {
                    while !take.is_empty() {
                        let link = LinkRecord::take(&mut take, record.at)?;
                        if self.is_ours(link.from, link.to) {
                            let standing = Standing {
                                state: link.state,
                                flows: link.flows,
                                figures: link.figures,
                            };
                            self.standing = Some(standing);
                            self.tell_figures(record.at, standing.figures);
                        }
                    }
                }
                kind::LINKS_GONE => {
                    while !take.is_empty() {
                        if self.is_ours(take.u32()?, take.u32()?) {
                            self.standing = None;
                        }
                    }
                }
                kind::LINK_FIGURES => {
                    let ours = self.ends;
                    let standing = &mut self.standing;
                    take_link_figures(take, |(from, to), change| {
                        if ours == (Some(from), Some(to))
                            && let Some(standing) = standing
                        {
                            change.apply(&mut standing.figures);
                        }
                    })?;
                }
                _ => {}
            }
        }
        self.note(record.at);
        if let Some(standing) = self.standing.filter(|_| record.is_minute()) {
            // They are those of the minute before.
            self.tell_figures(record.at - HALF_A_MINUTE, standing.figures);
        }
        self.last = Some(record.at);
        Ok(())
    }

    /// The segment's records are all applied.
    pub(crate) fn end_segment(&mut self) {
        self.standing = None;
        self.last = None;
    }

    fn is_ours(&self, from: u32, to: u32) -> bool {
        self.ends == (Some(from), Some(to))
    }

    /// The link stood as it was from the last record until now, unless nobody was there.
    fn stand_until(&mut self, at: Timestamp) {
        let Some(last) = self.last else { return };
        if at.since(last) > SILENCE_MAX {
            return;
        }
        let mut minute = last.0.div_euclid(MINUTE_US) + 1;
        while minute * MINUTE_US < at.0 {
            self.note(Timestamp(minute * MINUTE_US));
            minute += 1;
        }
    }

    fn note(&mut self, at: Timestamp) {
        let (Some(standing), Some(slot)) = (self.standing, self.range.slot(at)) else {
            return;
        };
        let step = self.step(slot, standing);
        if rank(standing.state) > rank(step.state) {
            step.state = standing.state;
        }
        if standing.flows.ok < step.flows.ok {
            step.flows = standing.flows;
        }
    }

    fn tell_figures(&mut self, at: Timestamp, figures: Figures) {
        let (Some(standing), Some(slot)) = (self.standing, self.range.slot(at)) else {
            return;
        };
        let step = self.step(slot, standing);
        step.told = Some(step.told.map_or(figures, |told| figures.worst(told)));
        if figures.p50 != NONE && step.medians.len() < MEDIANS_MAX {
            step.medians.push(figures.p50);
        }
    }

    fn step(&mut self, slot: i64, standing: Standing) -> &mut Step {
        self.steps.entry(slot).or_insert_with(|| Step {
            state: standing.state,
            flows: standing.flows,
            told: None,
            stood: standing.figures,
            medians: Vec::new(),
        })
    }

    pub(crate) fn finish(self) -> LinkSeries {
        let range = self.range;
        let points = self.steps.into_iter().map(|(slot, mut step)| {
            step.medians.sort_unstable();
            let middle = step.medians.get(step.medians.len() / 2).copied();
            let figures = match step.told {
                Some(told) => Figures {
                    p50: middle.unwrap_or(NONE),
                    ..told
                },
                None => step.stood,
            };
            LinkPoint {
                at: Timestamp((range.first + slot * range.step) * MINUTE_US),
                state: step.state,
                loss_forward: figures.loss().forward,
                loss_return: figures.loss().return_,
                rtt_us_p50: figures.rtt_us().p50,
                rtt_us_p99: figures.rtt_us().p99,
                flows_ok: step.flows.ok,
                flows_total: step.flows.total,
            }
        });
        LinkSeries {
            step_s: range.step().as_secs(),
            points: points.collect(),
            from: self.from,
            to: self.to,
        }
    }
}

/// How bad a state is.
fn rank(state: LinkState) -> u8 {
    match state {
        LinkState::NotProbed => 0,
        LinkState::Left => 1,
        LinkState::Unknown => 2,
        LinkState::Up => 3,
        LinkState::Degraded => 4,
        LinkState::Partial => 5,
        LinkState::Down => 6,
    }
}
