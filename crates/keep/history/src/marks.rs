//! What is remembered of links instead of a second picture: sixteen bytes each, in the order
//! of the view, so that most of the time no table is needed. A grid of 1,000 nodes has 64,000.

use crate::bytes::put_u;
use crate::figures::{Figures, Worst};
use crate::link::{hash_content, put_link};
use crate::texts::Texts;
use andon_model::{LinkView, Timestamp};
use std::hash::{BuildHasher, Hasher, RandomState};

/// One link as it was written. The observer stands in its [`Run`].
#[derive(Debug, Clone, Copy)]
struct Mark {
    to: u32,
    /// Hash of all but the figures. One change in four thousand millions goes unseen, until
    /// the next whole picture.
    content: u32,
    /// Of this minute.
    worst: Worst,
    written: Figures,
}

/// Links that follow each other and have one observer.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: u32,
    start: usize,
}

/// The links of the last view.
#[derive(Debug, Default)]
pub(crate) struct LinkMarks {
    seed: RandomState,
    runs: Vec<Run>,
    marks: Vec<Mark>,
}

/// What is to be told of links.
#[derive(Debug, Default)]
pub(crate) struct LinkChanges {
    pub(crate) changed: Vec<u8>,
    pub(crate) gone: Vec<u8>,
}

impl LinkMarks {
    /// Forgets all.
    pub(crate) fn forget(&mut self) {
        self.runs = Vec::new();
        self.marks = Vec::new();
    }

    /// Tells what changed since the last view.
    pub(crate) fn compare(
        &mut self,
        texts: &mut Texts,
        at: Timestamp,
        links: &[LinkView],
        changes: &mut LinkChanges,
    ) {
        let mut observers = Observers::default();
        let mut runs = self.runs.iter().peekable();
        let mut run = None;
        for (index, link) in links.iter().enumerate() {
            let from = observers.number(texts, link);
            let to = texts.number(&link.to);
            if let Some(next) = runs.next_if(|next| next.start == index) {
                run = Some(next.from);
            }
            let known = self.marks.get_mut(index);
            let Some(mark) = known.filter(|mark| run == Some(from) && mark.to == to) else {
                return self.compare_others(texts, at, links, changes);
            };
            let content = content_of(&self.seed, link);
            let now = Figures::of(link);
            mark.worst = mark.worst.and(now);
            if mark.content != content {
                mark.content = content;
                mark.written = now;
                put_link(&mut changes.changed, texts, at, (from, to), link);
            }
        }
        if self.marks.len() > links.len() {
            self.compare_others(texts, at, links, changes);
        }
    }

    /// The same where links came or went.
    fn compare_others(
        &mut self,
        texts: &mut Texts,
        at: Timestamp,
        links: &[LinkView],
        changes: &mut LinkChanges,
    ) {
        let mut known = self.by_ends();
        let (mut marks, mut runs) = (Vec::with_capacity(links.len()), Vec::<Run>::new());
        let mut observers = Observers::default();
        for link in links {
            let ends = (observers.number(texts, link), texts.number(&link.to));
            let content = content_of(&self.seed, link);
            let now = Figures::of(link);
            let place = known.binary_search_by_key(&ends, |known| known.ends);
            let old = place.ok().and_then(|place| known.get_mut(place));
            let old = old.and_then(|known| {
                known.here = true;
                self.marks.get(known.index as usize).copied()
            });
            let mark = match old.filter(|mark| mark.content == content) {
                Some(mark) => Mark {
                    worst: mark.worst.and(now),
                    ..mark
                },
                None => {
                    put_link(&mut changes.changed, texts, at, ends, link);
                    Mark {
                        to: ends.1,
                        content,
                        worst: Worst::of(now),
                        written: now,
                    }
                }
            };
            if runs.last().is_none_or(|run| run.from != ends.0) {
                runs.push(Run {
                    from: ends.0,
                    start: marks.len(),
                });
            }
            marks.push(mark);
        }
        for (from, to) in known.iter().filter(|known| !known.here).map(|k| k.ends) {
            put_u(&mut changes.gone, from.into());
            put_u(&mut changes.gone, to.into());
        }
        runs.shrink_to_fit();
        (self.marks, self.runs) = (marks, runs);
    }

    fn by_ends(&self) -> Vec<Known> {
        let mut known = Vec::with_capacity(self.marks.len());
        let mut runs = self.runs.iter().peekable();
        let mut from = 0;
        for (place, mark) in self.marks.iter().enumerate() {
            if let Some(next) = runs.next_if(|next| next.start == place) {
                from = next.from;
            }
            // A picture has fewer links than that.
            let Ok(index) = u32::try_from(place) else {
                break;
            };
            known.push(Known {
                ends: (from, mark.to),
                index,
                here: false,
            });
        }
        known.sort_unstable_by_key(|known| known.ends);
        known
    }

    /// A minute is over: the figures that moved, of the links last compared.
    pub(crate) fn minute(&mut self, links: &[LinkView]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut runs = self.runs.iter().peekable();
        let mut from = 0;
        for (index, (mark, link)) in self.marks.iter_mut().zip(links).enumerate() {
            if let Some(next) = runs.next_if(|next| next.start == index) {
                from = next.from;
            }
            let now = Figures::of(link);
            let minute = mark.worst.within(now);
            mark.worst = Worst::of(now);
            let (old, new) = (mark.written.codes(), minute.codes());
            if old == new {
                continue;
            }
            mark.written = minute;
            put_u(&mut out, from.into());
            put_u(&mut out, mark.to.into());
            let mut which = 0;
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                which |= u8::from(*old != new) << place;
            }
            out.push(which);
            let changed = old.iter().zip(new).filter(|(old, new)| *old != new);
            out.extend(changed.map(|(_, new)| new));
        }
        out
    }
}

/// A link that was there.
#[derive(Debug, Clone, Copy)]
struct Known {
    ends: (u32, u32),
    index: u32,
    /// And still is.
    here: bool,
}

/// Numbers of observers, looked up once for links that follow each other.
#[derive(Debug, Default)]
struct Observers<'a>(Option<(&'a str, u32)>);

impl<'a> Observers<'a> {
    fn number(&mut self, texts: &mut Texts, link: &'a LinkView) -> u32 {
        if let Some((_, number)) = self.0.filter(|(from, _)| *from == link.from.as_str()) {
            return number;
        }
        let number = texts.number(&link.from);
        self.0 = Some((link.from.as_str(), number));
        number
    }
}

fn content_of(seed: &RandomState, link: &LinkView) -> u32 {
    let mut hasher = seed.build_hasher();
    hash_content(link, &mut hasher);
    // The lower half of it.
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_sixteen_bytes() {
        assert_eq!(size_of::<Mark>(), 16);
    }
}
