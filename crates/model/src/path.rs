//! The ways that a link's flows take through the network, as their observer traced them: the
//! evidence that blame puts a fault on a hop with.

use crate::link::Peer;
use crate::time::Timestamp;
use minicbor::{Decode, Encode};
use std::net::IpAddr;

/// Flows named in one report at most; a burst has as many.
pub const PATH_FLOWS_MAX: usize = 64;
/// Hops of one route at most: no path on earth is longer.
pub const PATH_HOPS_MAX: usize = 32;
/// Routes of one link at most. More flows never run at once.
pub const PATH_ROUTES_MAX: usize = 64;

/// What the flows of one link met, as its observer publishes it. One entry a link, at most
/// one row: what does not fit is left out by the observer, routes without failures first.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct PathReport {
    /// Where the link leads.
    #[n(0)]
    pub to: Peer,
    /// When the newest trace in it ended, by the observer's clock.
    #[n(1)]
    pub traced_at: Timestamp,
    /// Addresses of all hops that [`Route::hops`] points to; at most 255.
    #[n(2)]
    #[cbor(default)]
    pub addresses: Vec<IpAddr>,
    /// The distinct ways that flows take. No order is promised.
    #[n(3)]
    #[cbor(default)]
    pub routes: Vec<Route>,
    /// Source ports of the far node's own flows that used to arrive here and stopped while
    /// others of its flows still arrive: what tells the two ways of a dead flow apart.
    #[n(4)]
    #[cbor(default)]
    pub silent_from: Vec<u16>,
    /// Source ports of the far node's flows that it finds dead and that arrive here all the
    /// same: their answers are lost on the way back to it.
    #[n(5)]
    #[cbor(default)]
    pub arriving_from: Vec<u16>,
}

/// One way to the far end, and how the flows on it fare.
#[derive(Debug, Clone, PartialEq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Route {
    /// The hops in order of distance, each the place of its address in
    /// [`PathReport::addresses`] counted from 1; 0 is a hop that answers no trace. The far
    /// end itself is not among them. While a flow is dead this is the last way it was known
    /// to take.
    #[n(0)]
    #[cbor(with = "minicbor::bytes", default)]
    pub hops: Vec<u8>,
    /// How far the newest trace came, in hops: the place of the farthest hop that answered,
    /// counted from 1. `hops.len()` if the last did, fewer where a trace of a dead flow ended
    /// early.
    #[n(1)]
    #[cbor(default)]
    pub answered: u8,
    /// The newest trace came through to the far end.
    #[n(2)]
    #[cbor(default)]
    pub reached: bool,
    /// Source ports of the flows that take this way.
    #[n(3)]
    #[cbor(default)]
    pub flows: Vec<u16>,
    /// Those of them that answer nothing at present.
    #[n(4)]
    #[cbor(default)]
    pub dead: Vec<u16>,
    /// Those of them whose small probes pass and whose large ones do not (MTU blackhole).
    #[n(5)]
    #[cbor(default)]
    pub large_lost: Vec<u16>,
    /// Probes judged on these flows within the last minute, dead flows left out; quantised.
    #[n(6)]
    #[cbor(default)]
    pub sent: u32,
    /// Of these, lost on the way there.
    #[n(7)]
    #[cbor(default)]
    pub lost_forward: u32,
    /// Of these, lost on the way back.
    #[n(8)]
    #[cbor(default)]
    pub lost_return: u32,
    /// Median round trip on these flows over the last 30 s, microseconds; quantised.
    #[n(9)]
    pub rtt_us: Option<u32>,
    /// Packets of one flow were seen on several ways: a router balances by packet, and hops
    /// of this route are only some that they meet.
    #[n(10)]
    #[cbor(default)]
    pub balanced: bool,
    /// The usual median round trip of this very way, microseconds; quantised. Without it a
    /// long way cannot be told from a slow one, and latency is judged by the link's state.
    #[n(11)]
    pub rtt_usual_us: Option<u32>,
    /// How much of [`Route::rtt_us`] is spent on the way there, microseconds; quantised. Clocks
    /// are compared by the link's quickest answers, which are taken to be even.
    #[n(12)]
    pub forward_us: Option<u32>,
}

impl PathReport {
    /// Addresses of a route's hops, nearest first; `None` for a silent hop or a number that
    /// points nowhere.
    pub fn hops<'a>(&'a self, route: &'a Route) -> impl Iterator<Item = Option<IpAddr>> + 'a {
        route.hops.iter().map(|place| {
            let at = usize::from(*place).checked_sub(1)?;
            self.addresses.get(at).copied()
        })
    }
}
