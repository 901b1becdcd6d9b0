//! What flows met on their ways, put together for the grid: how each flow fares (from its
//! link core) with the way that it takes (from the tracer).

use andon_model::{LinkState, NodeKey};
use std::net::SocketAddr;

/// How one flow of a link fares. The link core fills it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowHealth {
    /// Index of the flow, which is that of its socket.
    pub flow: u16,
    /// Its source port.
    pub port: u16,
    /// Whether it answers; `None` until known.
    pub alive: Option<bool>,
    /// Probes lost in a row: two are worth a trace.
    pub lost_run: u32,
    /// Probes judged within the last minute.
    pub sent: u32,
    /// Of these, lost on the way there.
    pub lost_forward: u32,
    /// Of these, lost on the way back.
    pub lost_return: u32,
    /// Median round trip, microseconds.
    pub rtt_us_p50: Option<u32>,
    /// Small probes pass and large ones do not.
    pub large_lost: bool,
}

/// How a link and its flows fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkHealth {
    /// The far node.
    pub to: NodeKey,
    /// Where its UDP probes go; `None` if it is not probed over UDP.
    pub address: Option<SocketAddr>,
    /// The state.
    pub state: LinkState,
    /// By index.
    pub flows: Vec<FlowHealth>,
    /// Ports of the far node's flows that stopped arriving here while others still arrive,
    /// in order.
    pub silent_from: Vec<u16>,
}
