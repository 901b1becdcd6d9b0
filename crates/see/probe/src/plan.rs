//! What goes in and out of this crate: the plan, the details of one link, the counters.

use crate::trace::detail::TraceFlow;
use andon_model::{LinkReport, NodeKey};
use serde::Serialize;
use std::net::SocketAddr;

/// Links that one node probes at most. Doubled, states would need 10 MB more.
pub const LINKS_MAX: usize = 2_048;

/// One link to be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedLink {
    /// The far node.
    pub to: NodeKey,
    /// Where its one port is reached over UDP; `None` if no address is known.
    pub address: Option<SocketAddr>,
    /// An open frame connection to it, used while UDP never answered.
    pub connection: Option<u64>,
    /// The address is a configured *via* (NAT, port-forward, tunnel).
    pub via: bool,
}

/// One flow of a link, for the console's panel. Counts are since the link was planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowDetail {
    /// Our local port, which makes the flow; 0 for a frame connection.
    pub port: u16,
    /// Probes sent, confirmations included.
    pub sent: u64,
    /// Probes answered, even if late.
    pub answered: u64,
    /// Lost on the way there, by both ends' sequence numbers.
    pub lost_forward: u64,
    /// Lost on the way back.
    pub lost_return: u64,
    /// Last round-trip time, microseconds.
    pub rtt_us_last: Option<u32>,
    /// Age of the last answer, milliseconds.
    pub answer_age_ms: Option<u64>,
    /// Whether it answers; `None` until it is known.
    pub alive: Option<bool>,
}

/// One second of a link, for its sparkline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SecondDetail {
    /// Median round-trip time, microseconds.
    pub rtt_us_p50: Option<u32>,
    /// Share of probes lost, 0..=1, both ways together; `None` where none was judged.
    pub loss: Option<f32>,
    /// Share lost on the way there, as far as told apart.
    pub loss_forward: Option<f32>,
    /// Share lost on the way back, as far as told apart.
    pub loss_return: Option<f32>,
}

/// All that is known of one link, at full precision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkDetail {
    /// The far node.
    pub to: NodeKey,
    /// State as published.
    pub state: andon_model::LinkState,
    /// Why, where it is not up.
    pub reason: Option<andon_model::LinkReason>,
    /// What carries the probes.
    pub transport: andon_model::Transport,
    /// Where the probes go.
    pub address: Option<SocketAddr>,
    /// Through a *via* address.
    pub via: bool,
    /// Whether the far node's probes arrive here.
    pub heard: andon_model::Heard,
    /// Since when the state holds, by our clock.
    pub since: andon_model::Timestamp,
    /// Smoothed round-trip time, microseconds.
    pub rtt_us_smoothed: Option<u32>,
    /// The far clock minus ours, microseconds, from the quickest answer of the last minute.
    pub clock_offset_us: Option<i64>,
    /// By flow.
    pub flows: Vec<FlowDetail>,
    /// The newest trace of each flow that was traced.
    pub paths: Vec<TraceFlow>,
    /// Oldest first, at most 300; the last is the second still running.
    pub history: Vec<SecondDetail>,
    /// The same link as it is published, quantised.
    #[serde(skip)]
    pub report: LinkReport,
}

/// Counters since the start, and coverage. What was dropped is counted here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct WireStats {
    /// Links being probed.
    pub links: u32,
    /// Probes sent.
    pub probes_sent: u64,
    /// Probes answered, even if late.
    pub probes_answered: u64,
    /// Probes answered after they had been counted as lost.
    pub probes_late: u64,
    /// Probes not answered in time; those of them answered later are in `probes_late` too.
    pub probes_lost: u64,
    /// Probes that the far host refused (nobody listens).
    pub probes_refused: u64,
    /// Probes that this host could not send.
    pub probes_unsent: u64,
    /// Confirmations left out, since their budget was used up.
    pub confirmations_skipped: u64,
    /// Answers that match no probe in flight.
    pub answers_unmatched: u64,
    /// Planned links beyond [`LINKS_MAX`].
    pub links_refused: u64,
    /// Probes of others that we answered.
    pub reflected: u64,
    /// Packets that no accepted key signed, or that are no packets.
    pub rejected: u64,
    /// Probes of others left unanswered, since their source asked too often.
    pub limited: u64,
    /// Reflector sessions forgotten for newer ones.
    pub sessions_evicted: u64,
    /// Trace packets sent.
    pub traces_sent: u64,
    /// Of these, answered by a router or the far end.
    pub traces_answered: u64,
    /// Traces put off, since too many ran.
    pub traces_refused: u64,
    /// ICMP errors that quote too little to tell what they are about.
    pub errors_ambiguous: u64,
    /// ICMP errors about nothing of ours in flight: late, or forged.
    pub errors_foreign: u64,
    /// Times that errors were not listened to, since a socket was flooded with foreign ones.
    pub errors_muted: u64,
    /// Gossip datagrams sent.
    pub gossip_sent: u64,
    /// Gossip datagrams received.
    pub gossip_received: u64,
    /// Commands dropped, since the mailbox was full.
    pub commands_dropped: u64,
    /// Datagrams that this host could not send, of any kind.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped at our sockets, since we read too slowly.
    pub kernel_drops: u64,
    /// Bursts begun: links probed over many flows for a while.
    pub bursts: u64,
    /// Share of the wanted probe rate that the budget allows, 0..=1.
    pub coverage: f32,
}
