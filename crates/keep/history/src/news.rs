//! What changed, in words: links, nodes, verdicts and incidents. Follows records with a few
//! bytes for each link rather than a picture, since it is also run whenever a segment ends.
//!
//! What a node sees in its first seconds is no news. Nor is a link that becomes known, or of
//! which nobody can tell any more: that is told of the node at its end.

use crate::bytes::{Rubbish, Take};
use crate::link::LinkRecord;
use crate::pack::{named, unpack};
use crate::record::{Record, kind};
use crate::recorder::IncidentNote;
use crate::replay::{take_standing, take_texts};
use andon_model::{IncidentState, LinkState, Name, NodeState, NodeView, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Changes of links told of one segment. Beyond it they are counted: nobody reads on.
const LINK_CHANGES_MAX: usize = 5_000;
/// Changes of other kinds told of one segment.
const CHANGES_MAX: usize = 10_000;
/// A node that has just started learns so long how things are; verdicts are told at once.
const SETTLES: Duration = Duration::from_secs(10);
/// A node that appears and started within so long before is told as new.
const JUST_STARTED: Duration = Duration::from_secs(120);

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ChangeKind {
    /// A link changed its state.
    LinkState,
    /// A node changed its state, came, restarted or went.
    NodeState,
    /// A verdict came.
    VerdictOpened,
    /// A verdict went.
    VerdictCleared,
    /// An incident opened, changed or ended.
    Incident,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Change {
    /// When, by the clock of the node that kept it.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: ChangeKind,
    /// What it is about: a node's id, `from→to`, a verdict's subject, an incident's id.
    pub subject: String,
    /// The observer, where it is about a link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The far end, where it is about a link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// In words.
    pub text: String,
    /// The state that it changed to; of a verdict its kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// The state that it changed from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<String>,
}

/// What is to be said of a verdict when it goes.
#[derive(Debug)]
struct Standing {
    subject: String,
    sentence: String,
    kind: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodeMark {
    state: NodeState,
    started_at: Option<Timestamp>,
}

/// Follows records and gathers what changed.
#[derive(Debug, Default)]
pub(crate) struct NewsReader {
    texts: Vec<Name>,
    links: BTreeMap<(u32, u32), LinkState>,
    nodes: BTreeMap<u32, NodeMark>,
    verdicts: BTreeMap<u32, Standing>,
    changes: Vec<Change>,
    link_changes: usize,
    /// While the first record is read nothing is news.
    silent: bool,
    /// Until then states of nodes and links are no news.
    settled_at: Timestamp,
}

impl NewsReader {
    /// Applies a record. After an error what follows may be incomplete.
    pub(crate) fn apply(&mut self, record: &Record<'_>) -> Result<(), Rubbish> {
        self.silent = record.whole;
        if record.begins_life() {
            self.settled_at = record.at + SETTLES;
        }
        if record.whole {
            self.texts.clear();
            self.links.clear();
            self.nodes.clear();
            self.verdicts.clear();
        }
        for (kind, content) in record.sections() {
            self.section(kind, content, record.at)?;
        }
        Ok(())
    }

    /// What changed, in the order of time.
    pub(crate) fn take(&mut self) -> Vec<Change> {
        self.link_changes = 0;
        std::mem::take(&mut self.changes)
    }

    fn section(&mut self, kind: u8, mut take: Take<'_>, at: Timestamp) -> Result<(), Rubbish> {
        match kind {
            kind::TEXTS => take_texts(&mut self.texts, take)?,
            kind::NODES => {
                while !take.is_empty() {
                    let number = take.u32()?;
                    let node: NodeView = unpack(&mut take, &self.texts)?;
                    self.node(at, number, &node);
                }
            }
            kind::NODES_GONE => {
                while !take.is_empty() {
                    let number = take.u32()?;
                    if self.nodes.remove(&number).is_some() {
                        let id = named(&self.texts, number)?.to_string();
                        let text = format!("{id} is no longer in the grid");
                        self.push(Change {
                            state: Some("gone".into()),
                            ..plain(at, ChangeKind::NodeState, id, text)
                        });
                    }
                }
            }
            kind::LINKS => {
                while !take.is_empty() {
                    let link = LinkRecord::take(&mut take, at)?;
                    self.link(at, &link)?;
                }
            }
            kind::LINKS_GONE => {
                while !take.is_empty() {
                    self.links.remove(&(take.u32()?, take.u32()?));
                }
            }
            kind::VERDICTS => {
                while !take.is_empty() {
                    let number = take.u32()?;
                    let verdict: Verdict = unpack(&mut take, &self.texts)?;
                    self.verdict(at, number, verdict);
                }
            }
            kind::VERDICTS_STANDING => {
                let standing = take_standing(take)?;
                let gone: Vec<u32> = self
                    .verdicts
                    .keys()
                    .filter(|number| !standing.contains(number))
                    .copied()
                    .collect();
                for number in gone {
                    if let Some(verdict) = self.verdicts.remove(&number) {
                        self.push(Change {
                            from: verdict.from,
                            to: verdict.to,
                            state: Some(verdict.kind),
                            ..plain(
                                at,
                                ChangeKind::VerdictCleared,
                                verdict.subject,
                                format!("over: {}", verdict.sentence),
                            )
                        });
                    }
                }
            }
            kind::INCIDENTS => {
                while !take.is_empty() {
                    let note: IncidentNote = unpack(&mut take, &self.texts)?;
                    self.incident(at, note);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, change: Change) {
        let state = matches!(change.kind, ChangeKind::LinkState | ChangeKind::NodeState);
        let settling = state && change.at < self.settled_at;
        if !self.silent && !settling && self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        }
    }

    fn node(&mut self, at: Timestamp, number: u32, node: &NodeView) {
        let mark = NodeMark {
            state: node.state,
            started_at: node.started_at,
        };
        let was = self.nodes.insert(number, mark);
        let state = word(&node.state);
        let (text, was) = match was {
            Some(was) if was.state != mark.state => (
                format!("{} is {state}, was {}", node.id, word(&was.state)),
                Some(word(&was.state)),
            ),
            Some(was) if was.started_at != mark.started_at && mark.started_at.is_some() => {
                (format!("{} restarted", node.id), Some(word(&was.state)))
            }
            Some(_) => return,
            None => {
                let started = node
                    .started_at
                    .is_some_and(|started| at.since(started) < JUST_STARTED);
                if node.state == NodeState::Up && !started {
                    return;
                }
                let verb = if started { "joined" } else { "appeared" };
                (format!("{} {verb}, {state}", node.id), None)
            }
        };
        self.push(Change {
            state: Some(state),
            was,
            ..plain(at, ChangeKind::NodeState, node.id.clone(), text)
        });
    }

    fn link(&mut self, at: Timestamp, link: &LinkRecord) -> Result<(), Rubbish> {
        let was = self.links.insert((link.from, link.to), link.state);
        if self.silent || at < self.settled_at || !is_news(was, link.state) {
            return Ok(());
        }
        self.link_changes += 1;
        if self.link_changes > LINK_CHANGES_MAX {
            return Ok(());
        }
        let (from, to) = (
            named(&self.texts, link.from)?.to_string(),
            named(&self.texts, link.to)?.to_string(),
        );
        let state = word(&link.state);
        let mut text = format!("{from} → {to} is {}", state.replace('_', " "));
        if link.state == LinkState::Partial {
            text += &format!(", {} of {} flows answer", link.flows.ok, link.flows.total);
        }
        let was = was.map(|was| word(&was));
        self.push(Change {
            from: Some(from.clone()),
            to: Some(to.clone()),
            state: Some(state),
            was,
            ..plain(at, ChangeKind::LinkState, format!("{from}→{to}"), text)
        });
        Ok(())
    }

    fn verdict(&mut self, at: Timestamp, number: u32, verdict: Verdict) {
        let kind = word(&verdict.kind);
        let standing = Standing {
            subject: verdict.subject,
            sentence: verdict.sentence,
            kind,
            from: verdict.from,
            to: verdict.to,
        };
        if !self.verdicts.contains_key(&number) {
            self.push(Change {
                from: standing.from.clone(),
                to: standing.to.clone(),
                state: Some(standing.kind.clone()),
                ..plain(
                    at,
                    ChangeKind::VerdictOpened,
                    standing.subject.clone(),
                    standing.sentence.clone(),
                )
            });
        }
        self.verdicts.insert(number, standing);
    }

    fn incident(&mut self, at: Timestamp, note: IncidentNote) {
        let state = word(&note.state);
        let mut text = match note.state {
            IncidentState::Open => note.title,
            IncidentState::Mitigated => format!("mitigated: {}", note.title),
            IncidentState::Resolved => format!("resolved: {}", note.title),
        };
        if note.state != IncidentState::Resolved {
            if let Some(owner) = note.owner {
                text += &format!(" ({owner} owns it)");
            } else if let Some(who) = note.acknowledged_by {
                text += &format!(" ({who} knows of it)");
            }
        }
        self.push(Change {
            state: Some(state),
            ..plain(at, ChangeKind::Incident, note.id, text)
        });
    }
}

fn is_news(was: Option<LinkState>, state: LinkState) -> bool {
    use LinkState::{Degraded, Down, Left, NotProbed, Partial, Unknown, Up};
    let known = was.filter(|was| !matches!(was, Unknown | NotProbed | Left));
    match state {
        Unknown | NotProbed | Left => false,
        Up => known.is_some_and(|was| was != Up),
        Partial | Degraded | Down => was != Some(state),
    }
}

fn plain(at: Timestamp, kind: ChangeKind, subject: String, text: String) -> Change {
    Change {
        at,
        kind,
        subject,
        from: None,
        to: None,
        text,
        state: None,
        was: None,
    }
}

/// The word that a state has in JSON.
fn word<T: Serialize>(state: &T) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
