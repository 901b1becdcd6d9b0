//! What one node observes towards a node or target, as it is published: states and quantised
//! summaries, not samples.

use crate::id::{NodeKey, TargetId};
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// State of a link in its direction.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LinkState {
    /// All flows answer, loss and latency as usual.
    #[n(0)]
    Up,
    /// Some flows answer, some do not.
    #[n(1)]
    Partial,
    /// All flows answer, with more loss or latency than is usual for this link.
    #[n(2)]
    Degraded,
    /// No flow answers.
    #[n(3)]
    Down,
    /// Too few answers yet, or the observer itself cannot be heard or trusted.
    #[n(4)]
    Unknown,
    /// Nobody asks on this link. Never a fault.
    #[n(5)]
    NotProbed,
    /// The far end left the grid on purpose.
    #[n(6)]
    Left,
}

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Peer {
    /// Another node of the grid.
    #[n(0)]
    Node(#[n(0)] NodeKey),
    /// A declared target.
    #[n(1)]
    Target(#[n(0)] TargetId),
}

/// Why a link is degraded or down, in the observer's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LinkReason {
    /// More probes are lost than is usual.
    #[n(0)]
    Loss,
    /// Answers take longer than is usual.
    #[n(1)]
    Latency,
    /// The far host answers that nobody listens there.
    #[n(2)]
    Refused,
    /// A wrong answer (HTTP status, body, certificate, DNS record).
    #[n(3)]
    Answer,
    /// No probe was answered in time.
    #[n(4)]
    Silent,
    /// Small probes pass and large ones do not.
    #[n(5)]
    Mtu,
}

/// What carries the probes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Transport {
    /// STAMP over UDP.
    #[n(0)]
    Udp,
    /// STAMP inside the TCP port, since UDP does not pass.
    #[n(1)]
    Tcp,
    /// ICMP echo.
    #[n(2)]
    Icmp,
    /// TCP connect.
    #[n(3)]
    TcpConnect,
    /// HTTP or HTTPS request.
    #[n(4)]
    Http,
    /// TLS handshake.
    #[n(5)]
    Tls,
    /// DNS query.
    #[n(6)]
    Dns,
    /// GridBug's HTTP calls.
    #[n(7)]
    GridBug,
}

/// Whether the far node's own probes arrive here. This is what tells the directions of a
/// failing link apart: no answer while the far end's probes still arrive means that the way
/// *there* is cut.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, Default,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Heard {
    /// The far node does not probe this one, or has not yet.
    #[n(0)]
    #[default]
    NotExpected,
    /// Its probes arrive.
    #[n(1)]
    Arriving,
    /// Its probes used to arrive and stopped.
    #[n(2)]
    Silent,
}

/// Flows of a link that answer, of those probed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, Default,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FlowCount {
    /// Flows that answer.
    #[n(0)]
    pub ok: u16,
    /// Flows probed.
    #[n(1)]
    pub total: u16,
}

/// Share of packets lost each way, 0..=1; `None` where it was not measured.
/// Source: RFC 7680 (one-way loss), from both ends' sequence numbers (RFC 8762 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Encode, Decode, Default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LossPair {
    /// From the observer to the far end.
    #[n(0)]
    pub forward: Option<f32>,
    /// From the far end back.
    #[n(1)]
    #[serde(rename = "return")]
    pub return_: Option<f32>,
}

/// Round-trip time in microseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, Default,
)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RttUs {
    /// Median; `None` where nothing was measured.
    #[n(0)]
    pub p50: Option<u32>,
    /// 99th percentile.
    #[n(1)]
    pub p99: Option<u32>,
}

/// One link as its observer publishes it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct LinkReport {
    /// Where it leads.
    #[n(0)]
    pub to: Peer,
    /// What the observer's own round trips say.
    #[n(1)]
    pub state: LinkState,
    /// Why, where it is not up.
    #[n(2)]
    pub reason: Option<LinkReason>,
    /// What carries the probes.
    #[n(3)]
    pub transport: Transport,
    /// Flows that answer.
    #[n(4)]
    pub flows: FlowCount,
    /// Loss each way over the last 30 s, quantised.
    #[n(5)]
    pub loss: LossPair,
    /// Round-trip time over the last 30 s, quantised.
    #[n(6)]
    pub rtt_us: RttUs,
    /// The link's own usual median, that latency is judged against.
    #[n(7)]
    pub rtt_baseline_us: Option<u32>,
    /// The far clock minus ours, published only when it is bad (over 100 ms).
    #[n(8)]
    pub clock_offset_us: Option<i64>,
    /// Whether the far node's probes arrive here.
    #[n(9)]
    #[cbor(default)]
    pub heard: Heard,
    /// Since when the state holds, by the observer's clock.
    #[n(10)]
    pub since: Timestamp,
    /// Reached through a configured *via* address (NAT, port-forward, tunnel).
    #[n(11)]
    #[cbor(default)]
    pub via: bool,
    /// What a target answered, in words, plain text of at most 120 bytes.
    #[n(12)]
    pub detail: Option<String>,
}

impl LinkReport {
    /// A link of which nothing is known yet.
    pub fn unknown(to: Peer, transport: Transport, since: Timestamp) -> Self {
        Self {
            to,
            state: LinkState::Unknown,
            reason: None,
            transport,
            flows: FlowCount::default(),
            loss: LossPair::default(),
            rtt_us: RttUs::default(),
            rtt_baseline_us: None,
            clock_offset_us: None,
            heard: Heard::NotExpected,
            since,
            via: false,
            detail: None,
        }
    }
}

/// Reports of one observer, by where they lead: a sorted list, since a thousand nodes hold
/// sixty thousand of them and only read them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LinkReports(Vec<LinkReport>);

impl LinkReports {
    /// The report towards a peer.
    pub fn get(&self, to: &Peer) -> Option<&LinkReport> {
        let at = self.0.binary_search_by(|report| report.to.cmp(to)).ok()?;
        self.0.get(at)
    }

    /// Puts a report in the place of one towards the same peer.
    pub fn insert(&mut self, report: LinkReport) {
        match self.0.binary_search_by(|held| held.to.cmp(&report.to)) {
            Ok(at) => self.0[at] = report,
            Err(at) => self.0.insert(at, report),
        }
    }

    /// Takes the report towards a peer out.
    pub fn remove(&mut self, to: &Peer) -> Option<LinkReport> {
        let at = self.0.binary_search_by(|held| held.to.cmp(to)).ok()?;
        Some(self.0.remove(at))
    }

    /// Whether there is a report towards a peer.
    pub fn contains_key(&self, to: &Peer) -> bool {
        self.get(to).is_some()
    }

    /// All peers, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.0.iter().map(|report| &report.to)
    }

    /// All reports, in the order of their peers.
    pub fn values(&self) -> std::slice::Iter<'_, LinkReport> {
        self.0.iter()
    }

    /// Peers with their reports, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Peer, &LinkReport)> {
        self.0.iter().map(|report| (&report.to, report))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several reports towards one peer the last counts.
impl FromIterator<LinkReport> for LinkReports {
    fn from_iter<I: IntoIterator<Item = LinkReport>>(reports: I) -> Self {
        let by_peer: std::collections::BTreeMap<Peer, LinkReport> = reports
            .into_iter()
            .map(|report| (report.to.clone(), report))
            .collect();
        let mut sorted: Vec<LinkReport> = by_peer.into_values().collect();
        sorted.shrink_to_fit();
        Self(sorted)
    }
}
