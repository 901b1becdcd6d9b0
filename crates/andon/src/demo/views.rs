//! What the nodes say: each is asked for its picture over its API, as anybody would.

use super::cast::CAST;
use crate::cli::http::{Client, Trust};
use crate::cli::url::NodeUrl;
use andon_model::{LinkState, NodeKind, NodeState, PictureView, Verdict, VerdictKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time between two looks; it bounds how exactly the demo measures.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A node that does not answer in this time is shown as silent.
const ANSWER_MAX: Duration = Duration::from_millis(800);

/// The pictures of all nodes by index in the cast; `None` is silent.
#[derive(Debug, Clone, Default)]
pub struct Views(pub Vec<Option<Arc<PictureView>>>);

/// Keeps asking all nodes until nobody is interested any more.
pub fn follow(addresses: Vec<SocketAddr>) -> watch::Receiver<Views> {
    let (sender, receiver) = watch::channel(Views(vec![None; addresses.len()]));
    for (index, address) in addresses.into_iter().enumerate() {
        let sender = sender.clone();
        tokio::spawn(async move {
            let url = NodeUrl {
                tls: false,
                host: address.ip().to_string(),
                port: address.port(),
            };
            let client = Client {
                url,
                token: None,
                trust: Trust::Ask,
                timeout: ANSWER_MAX,
            };
            while !sender.is_closed() {
                let view = look(&client).await.map(Arc::new);
                sender.send_modify(|views| views.0[index] = view);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }
    receiver
}

async fn look(client: &Client) -> Option<PictureView> {
    let answer = client
        .get("/api/v1/picture")
        .await
        .ok()
        .filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// What a step waits for, as it must stand in a node's picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// All nodes and links are up, and nothing is wrong.
    AllWell,
    /// A verdict of this kind whose subject names all of these.
    Verdict(VerdictKind, &'static [&'static str]),
}

impl Expect {
    /// Whether the picture says so.
    pub fn holds(self, view: &PictureView) -> bool {
        match self {
            Expect::AllWell => all_well(view),
            Expect::Verdict(..) => self.verdict(view).is_some(),
        }
    }

    /// The verdict that says so.
    pub fn verdict(self, view: &PictureView) -> Option<&Verdict> {
        let Expect::Verdict(kind, names) = self else {
            return None;
        };
        let named = |verdict: &&Verdict| names.iter().all(|name| verdict.subject.contains(name));
        view.verdicts
            .iter()
            .filter(|verdict| verdict.kind == kind)
            .find(named)
    }
}

fn all_well(view: &PictureView) -> bool {
    let nodes = view
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Andon && node.state == NodeState::Up);
    let links = view.links.iter().filter(|link| link.state == LinkState::Up);
    nodes.count() == CAST.len()
        && links.count() == CAST.len() * (CAST.len() - 1)
        && !view.verdicts.iter().any(|verdict| verdict.kind.is_fault())
}
