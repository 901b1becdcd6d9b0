//! Looking at pictures: at one, at many that should agree, and at all over a while.

use super::fleet::Node;
use super::{hold, http};
use andon_model::{LinkState, LinkView, NodeState, NodeView, PictureView, VerdictKind};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub fn node<'a>(view: &'a PictureView, id: &str) -> Result<&'a NodeView, String> {
    let found = view.nodes.iter().find(|node| node.id == id);
    found.ok_or_else(|| format!("{} does not know {id}", view.me))
}

pub fn link<'a>(view: &'a PictureView, from: &str, to: &str) -> Result<&'a LinkView, String> {
    let found = view
        .links
        .iter()
        .find(|link| link.from == from && link.to == to);
    found.ok_or_else(|| format!("{} knows no link {from}->{to}", view.me))
}

pub fn link_is(view: &PictureView, from: &str, to: &str, state: LinkState) -> Result<(), String> {
    let seen = link(view, from, to)?.state;
    hold(seen == state, || {
        format!("{} shows {from}->{to} {seen:?}", view.me)
    })
}

pub fn node_is(view: &PictureView, id: &str, state: NodeState) -> Result<(), String> {
    let seen = node(view, id)?.state;
    hold(seen == state, || format!("{} shows {id} {seen:?}", view.me))
}

pub fn says(view: &PictureView, kind: VerdictKind, subject: &str) -> Result<(), String> {
    let said = view
        .verdicts
        .iter()
        .any(|v| v.kind == kind && v.subject.contains(subject));
    hold(said, || format!("{} says {:?}", view.me, view.verdicts))
}

pub fn says_nothing(view: &PictureView) -> Result<(), String> {
    let faults: Vec<_> = view.verdicts.iter().filter(|v| v.kind.is_fault()).collect();
    hold(faults.is_empty(), || format!("{} says {faults:?}", view.me))
}

/// Whether a link carries what it should; degraded counts, since the cores are busy.
pub fn carries(state: LinkState) -> bool {
    matches!(
        state,
        LinkState::Up | LinkState::Degraded | LinkState::Partial
    )
}

/// `Ok` if these are all nodes of all pictures, each link between them is up, nothing is said,
/// and all digests are equal.
pub fn all_well(nodes: &[&Node]) -> Result<(), String> {
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let mut digests = BTreeSet::new();
    for view in pictures(nodes)? {
        let seen: BTreeSet<&str> = view.nodes.iter().map(|node| node.id.as_str()).collect();
        hold(seen == ids, || {
            format!("{} shows the nodes {seen:?}", view.me)
        })?;
        for from in &ids {
            node_is(&view, from, NodeState::Up)?;
            for to in ids.iter().filter(|to| *to != from) {
                link_is(&view, from, to, LinkState::Up)?;
            }
        }
        hold(view.links.len() == ids.len() * (ids.len() - 1), || {
            format!("{:?}", view.links)
        })?;
        says_nothing(&view)?;
        digests.insert(view.digest.to_string());
    }
    hold(digests.len() == 1, || format!("digests {digests:?}"))
}

/// `Ok` if it holds in the picture of each.
pub fn all_show(
    nodes: &[&Node],
    look: impl Fn(&PictureView) -> Result<(), String>,
) -> Result<(), String> {
    pictures(nodes)?.iter().try_for_each(look)
}

pub fn pictures(nodes: &[&Node]) -> Result<Vec<PictureView>, String> {
    nodes.iter().map(|node| node.picture()).collect()
}

/// Looks at the pictures of some nodes all the time, and keeps what should not have been there.
pub struct Watch {
    odd: Arc<Mutex<BTreeSet<String>>>,
    looks: Arc<Mutex<(Instant, u32)>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// `odd` names what should not be in a picture.
    pub fn start(
        nodes: &[&Node],
        odd: impl Fn(&PictureView) -> Vec<String> + Send + 'static,
    ) -> Self {
        let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let looks = Arc::new(Mutex::new((Instant::now(), 0)));
        let ended = Arc::new(AtomicBool::new(false));
        let (is_over, seen, count) = (Arc::clone(&ended), Arc::clone(&found), Arc::clone(&looks));
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                for address in &addresses {
                    let Ok(answer) = http::get(*address, "/api/v1/picture") else {
                        continue;
                    };
                    let Ok(view) = serde_json::from_str::<PictureView>(&answer.body) else {
                        continue;
                    };
                    seen.lock().unwrap().extend(odd(&view));
                    count.lock().unwrap().1 += 1;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            odd: found,
            looks,
            ended,
            thread: Some(thread),
        }
    }

    /// `Ok` once it has looked for so long.
    pub fn has_looked(&self, long: Duration) -> Result<(), String> {
        let (start, looks) = *self.looks.lock().unwrap();
        hold(start.elapsed() >= long && looks >= 10, || {
            format!("{looks} looks")
        })
    }

    /// Ends it; all that was odd.
    pub fn end(mut self) -> BTreeSet<String> {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        assert!(
            self.looks.lock().unwrap().1 > 0,
            "the watch saw nothing at all"
        );
        let odd = self.odd.lock().unwrap();
        odd.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Links that are down or unknown and nodes that are not up.
pub fn whatever_is_down(view: &PictureView) -> Vec<String> {
    let links = view
        .links
        .iter()
        .filter(|link| link.state == LinkState::Down);
    let links = links.map(|link| format!("{}: link {}->{} down", view.me, link.from, link.to));
    let nodes = view
        .nodes
        .iter()
        .filter(|node| matches!(node.state, NodeState::Down | NodeState::Left));
    let nodes = nodes.map(|node| format!("{}: node {} {:?}", view.me, node.id, node.state));
    links.chain(nodes).collect()
}
