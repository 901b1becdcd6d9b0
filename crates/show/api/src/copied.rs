//! What a keeper holds besides its own store: copies of what others answer for, and what it
//! knows to lack, so that an answer is never taken for whole that is not.

use andon_spool::Gap;
use andon_store::{Copies, Options};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after its start a keeper waits for word of those that sent to it before.
const WORD_MAX: Duration = Duration::from_secs(20);
/// After so long without a word, whoever said that more is on its way counts as gone.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Senders and datasets that are remembered at most, each.
const NAMES_MAX: usize = 4_096;

/// The name of a keeper's own events here; no node is called so.
pub const OWN: &str = "";

/// Copies, and what they and the keeper's own store lack.
#[derive(Debug)]
pub struct Copied {
    /// By the keeper that answers for them.
    pub copies: Copies,
    file: PathBuf,
    started: Instant,
    lacking: Mutex<Lacking>,
}

/// What is told of the events of one keeper, here.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Known {
    /// By sender and dataset: what it says that will never come.
    gaps: BTreeMap<String, BTreeMap<String, Gap>>,
    /// Who sent.
    senders: BTreeSet<String>,
    /// Which store that keeper had when the copy was begun.
    #[serde(default)]
    store: Option<String>,
}

#[derive(Debug, Default)]
struct Lacking {
    /// By keeper.
    known: BTreeMap<String, Known>,
    /// By keeper and sender: its last word since the start, and what is still on its way.
    heard: BTreeMap<(String, String), (Instant, u64)>,
}

impl Copied {
    /// Opens the copies in a folder.
    pub fn open(dir: &Path, options: Options) -> Self {
        let file = dir.join("lacking.json");
        let known = std::fs::read(&file).ok();
        let known = known.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            copies: Copies::open(dir, options),
            file,
            started: Instant::now(),
            lacking: Mutex::new(Lacking {
                known: known.unwrap_or_default(),
                heard: BTreeMap::new(),
            }),
        }
    }

    /// A sender says what will never come. It is on disk when this returns. Whether any of it is
    /// news.
    pub fn add_gaps(&self, of: &str, who: &str, gaps: &[Gap]) -> io::Result<bool> {
        let mut lacking = self.lacking();
        let mut is_news = false;
        let known = lacking.known.entry(of.to_owned()).or_default();
        for gap in gaps {
            let of_sender = known.gaps.entry(who.to_owned()).or_default();
            let sum = match of_sender.get(&gap.dataset) {
                None => gap.clone(),
                Some(known) => known.with(gap),
            };
            if of_sender.len() < NAMES_MAX || of_sender.contains_key(&gap.dataset) {
                let before = of_sender.insert(gap.dataset.clone(), sum);
                is_news |= before.as_ref() != of_sender.get(&gap.dataset);
            }
        }
        if is_news {
            self.save(&lacking)?;
        }
        Ok(is_news)
    }

    /// A sender was heard; so many events of its wait after what it sent, and what it sent was
    /// old already.
    pub fn heard(&self, of: &str, who: &str, waiting: u64, is_late: bool) {
        let mut lacking = self.lacking();
        let behind = if is_late { waiting } else { 0 };
        let key = (of.to_owned(), who.to_owned());
        if lacking.heard.len() < NAMES_MAX || lacking.heard.contains_key(&key) {
            lacking.heard.insert(key, (Instant::now(), behind));
        }
        let known = lacking.known.entry(of.to_owned()).or_default();
        if known.senders.len() < NAMES_MAX
            && known.senders.insert(who.to_owned())
            && let Err(error) = self.save(&lacking)
        {
            tracing::warn!(%error, "who sends to this keeper is forgotten with its end");
        }
    }

    /// A keeper says which store it has. Whether it had another one when its copy here was begun:
    /// then it lacks what that had. The first one is noted for good, so that the answer is the same
    /// however often it is given.
    pub fn has_another(&self, of: &str, store: &str) -> io::Result<bool> {
        let mut lacking = self.lacking();
        let known = lacking.known.entry(of.to_owned()).or_default();
        if let Some(first) = &known.store {
            return Ok(first != store);
        }
        known.store = Some(store.to_owned());
        self.save(&lacking)?;
        Ok(false)
    }

    /// Why events of a keeper are not all here, for a dataset and a time from and up to; `None`
    /// if they are.
    pub fn lacks(&self, of: &str, dataset: &str, from_us: i64, to_us: i64) -> Option<String> {
        let lacking = self.lacking();
        let known = lacking.known.get(of)?;
        for (who, gaps) in &known.gaps {
            if let Some(gap) = gaps.get(dataset).filter(|gap| gap.touches(from_us, to_us)) {
                let until = andon_model::Timestamp(gap.to_us);
                return Some(match gap.events {
                    _ if gap.is_lost => {
                        format!("what {who} sent before {until} is lost with the store that it had")
                    }
                    0 => format!("what {who} sent before {until} went elsewhere"),
                    events => format!(
                        "{events} events of {who} up to {until} went elsewhere while it was away"
                    ),
                });
            }
        }
        for who in &known.senders {
            match lacking.heard.get(&(of.to_owned(), who.clone())) {
                None if self.started.elapsed() < WORD_MAX => {
                    return Some(format!(
                        "it was just started, and events of {who} may be on their way"
                    ));
                }
                Some((at, waiting)) if *waiting > 0 && at.elapsed() < SILENCE_MAX => {
                    return Some(format!("{waiting} events of {who} are on their way"));
                }
                _ => {}
            }
        }
        None
    }

    fn save(&self, lacking: &Lacking) -> io::Result<()> {
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let new = self.file.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(&lacking.known)?)?;
        std::fs::File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &self.file)
    }

    fn lacking(&self) -> MutexGuard<'_, Lacking> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_known_also_after_a_restart_until_the_senders_are_heard() {
        let dir = std::env::temp_dir().join(format!("andon-copied-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let copied = Copied::open(&dir, Options::default());
        assert_eq!(copied.lacks(OWN, "logs", 0, 100), None);
        copied.heard(OWN, "web", 0, true);
        copied.heard("p", "web", 7, true);
        assert_eq!(copied.lacks(OWN, "logs", 0, 100), None);
        assert!(
            copied
                .lacks("p", "logs", 0, 100)
                .unwrap()
                .contains("7 events of web")
        );
        copied.heard("p", "web", 7, false);
        assert_eq!(copied.lacks("p", "logs", 0, 100), None, "new, only many");
        let gap = Gap {
            dataset: "logs".to_owned(),
            from_us: 10,
            to_us: 20,
            events: 3,
            is_lost: false,
        };
        copied.add_gaps("p", "web", &[gap]).unwrap();
        drop(copied);
        let copied = Copied::open(&dir, Options::default());
        let lacks = |of, dataset, from, to| copied.lacks(of, dataset, from, to).is_some();
        assert!(lacks(OWN, "logs", 0, 1), "nobody was heard yet");
        copied.heard(OWN, "web", 0, true);
        copied.heard("p", "web", 0, true);
        assert!(!lacks(OWN, "logs", 0, 100));
        assert!(lacks("p", "logs", 0, 100) && lacks("p", "logs", 20, 21));
        assert!(!lacks("p", "logs", 21, 100) && !lacks("p", "other", 0, 100));
        let lost = Gap::lost("old", andon_model::Timestamp(50));
        assert!(
            copied
                .add_gaps(OWN, "web", std::slice::from_ref(&lost))
                .unwrap()
        );
        assert!(!copied.add_gaps(OWN, "web", &[lost]).unwrap());
        assert!(lacks(OWN, "old", 0, 1) && !lacks(OWN, "old", 51, 100));
        assert!(!copied.has_another("p", "one").unwrap());
        for _ in 0..2 {
            assert!(copied.has_another("p", "two").unwrap());
        }
        assert!(!copied.has_another("p", "one").unwrap());
        drop(copied);
        let _ = std::fs::remove_dir_all(&dir);
    }
}
