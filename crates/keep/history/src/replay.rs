//! Records to a picture: applies one after the other and shows what they come to.

use crate::bytes::{Rubbish, Take};
use crate::figures::Figures;
use crate::link::LinkRecord;
use crate::pack::{named, unpack};
use crate::record::{Record, kind};
use andon_model::{Name, NodeView, PictureDigest, PictureView, Timestamp, Verdict};
use std::collections::BTreeMap;

/// The grid as of the last record applied.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    texts: Vec<Name>,
    me: Option<u32>,
    digest: PictureDigest,
    nodes: BTreeMap<u32, NodeView>,
    /// As they were written: most are replaced before anybody looks.
    links: BTreeMap<(u32, u32), LinkRecord>,
    verdicts: BTreeMap<u32, Verdict>,
    standing: Vec<u32>,
    /// Places of `links` by name; empty where links came or went since.
    order: Vec<(u32, u32)>,
}

impl Replay {
    /// Applies a record. After an error the picture is not to be trusted.
    pub(crate) fn apply(&mut self, record: &Record<'_>) -> Result<(), Rubbish> {
        if record.whole {
            *self = Self::default();
        }
        for (kind, content) in record.sections() {
            self.section(kind, content, record.at)?;
        }
        Ok(())
    }

    fn section(&mut self, kind: u8, mut take: Take<'_>, at: Timestamp) -> Result<(), Rubbish> {
        match kind {
            kind::TEXTS => take_texts(&mut self.texts, take)?,
            kind::DIGEST => self.digest = PictureDigest(u128::from_le_bytes(take.array()?)),
            kind::ME => self.me = Some(take.u32()?),
            kind::NODES => {
                while !take.is_empty() {
                    let number = take.u32()?;
                    self.nodes.insert(number, unpack(&mut take, &self.texts)?);
                }
            }
            kind::NODES_GONE => {
                while !take.is_empty() {
                    self.nodes.remove(&take.u32()?);
                }
            }
            kind::LINKS => {
                while !take.is_empty() {
                    let link = LinkRecord::take(&mut take, at)?;
                    link.check(&self.texts)?;
                    if self.links.insert((link.from, link.to), link).is_none() {
                        self.order.clear();
                    }
                }
            }
            kind::LINKS_GONE => {
                while !take.is_empty() {
                    self.links.remove(&(take.u32()?, take.u32()?));
                }
                self.order.clear();
            }
            kind::VERDICTS => {
                while !take.is_empty() {
                    let number = take.u32()?;
                    self.verdicts
                        .insert(number, unpack(&mut take, &self.texts)?);
                }
            }
            kind::VERDICTS_STANDING => {
                self.standing = take_standing(take)?;
                let standing = &self.standing;
                self.verdicts.retain(|number, _| standing.contains(number));
            }
            kind::LINK_FIGURES => {
                take_link_figures(take, |ends, change| {
                    if let Some(link) = self.links.get_mut(&ends) {
                        change.apply(&mut link.figures);
                    }
                })?;
            }
            kind::NODE_FIGURES => {
                while !take.is_empty() {
                    let (number, delay, offset) = (take.u32()?, take.u32()?, take.i()?);
                    if let Some(node) = self.nodes.get_mut(&number) {
                        if let Some(host) = &mut node.host {
                            host.scheduling_delay_us_p99 = delay;
                        }
                        node.clock_offset_us = Some(offset).filter(|offset| *offset != i64::MIN);
                    }
                }
            }
            // Incidents are no part of the picture; the rest is of a later version.
            _ => {}
        }
        Ok(())
    }

    /// The picture at a moment, which dates it.
    pub(crate) fn view(&mut self, at: Timestamp) -> PictureView {
        if self.order.len() != self.links.len() {
            let texts = &self.texts;
            let name = |number: u32| texts.get(number as usize);
            let mut order: Vec<(u32, u32)> = self.links.keys().copied().collect();
            order.sort_by_key(|(from, to)| (name(*from), name(*to)));
            self.order = order;
        }
        let mut nodes: Vec<NodeView> = self.nodes.values().cloned().collect();
        nodes.sort_by(|a, b| {
            (a.site.is_none(), &a.site, &a.id).cmp(&(b.site.is_none(), &b.site, &b.id))
        });
        let me = self.me.and_then(|me| named(&self.texts, me).ok());
        PictureView {
            digest: self.digest,
            generated_at: at,
            me: me.map(ToString::to_string).unwrap_or_default(),
            nodes,
            links: self
                .order
                .iter()
                .filter_map(|ends| self.links.get(ends)?.view(&self.texts).ok())
                .collect(),
            verdicts: self
                .standing
                .iter()
                .filter_map(|number| self.verdicts.get(number).cloned())
                .collect(),
        }
    }
}

/// Adds the texts of a section.
pub(crate) fn take_texts(texts: &mut Vec<Name>, mut take: Take<'_>) -> Result<(), Rubbish> {
    while !take.is_empty() {
        texts.push(take.str()?.into());
    }
    Ok(())
}

/// The numbers of all verdicts that stand.
pub(crate) fn take_standing(mut take: Take<'_>) -> Result<Vec<u32>, Rubbish> {
    let count = take.u()?;
    let mut standing = Vec::new();
    for _ in 0..count {
        standing.push(take.u32()?);
    }
    Ok(standing)
}

/// Which of a link's figures a minute changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FiguresChange<'a> {
    which: u8,
    codes: &'a [u8],
}

impl FiguresChange<'_> {
    pub(crate) fn apply(self, figures: &mut Figures) {
        let mut codes = figures.codes();
        let changed = (0..codes.len()).filter(|place| self.which & (1 << place) != 0);
        for (place, code) in changed.zip(self.codes) {
            codes[place] = *code;
        }
        *figures = Figures::of_codes(codes);
    }
}

/// Hands out the links whose figures a minute changed.
pub(crate) fn take_link_figures<'a>(
    mut take: Take<'a>,
    mut each: impl FnMut((u32, u32), FiguresChange<'a>),
) -> Result<(), Rubbish> {
    while !take.is_empty() {
        let ends = (take.u32()?, take.u32()?);
        let which = take.byte()?;
        let codes = take.exactly((which & 0x1f).count_ones() as usize)?;
        each(ends, FiguresChange { which, codes });
    }
    Ok(())
}
