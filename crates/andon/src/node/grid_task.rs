//! The task that owns the grid core: what happens goes in, what is to be done is carried out,
//! and what others may know (own slice, picture, probe plan) is published.

use super::clock::Clock;
use super::data_dir::{DataDir, KnownPeer};
use super::frames::{FrameEvent, Frames};
use super::incident_task::{NewRemark, OwnIncidents};
use super::reach::Reachability;
use super::trace_ask::{self, Goal};
use super::wire_link::WireLink;
use super::{Ended, LEAVE_TIME, Reload};
use super::{start, stats};
use crate::config::settings::{Advertise, NodeSettings, Seed};
use andon_api::{ApiCommand, NodeStats};
use andon_grid::{
    ConnectionId, Endpoint, Grid, GridInput, GridNotice, GridOutput, KeyRing, OwnSlice,
};
use andon_model::{
    HostHealth, Identity, Instant, LinkReport, LinkState, NodeKey, Peer, Picture, Presence, Reach,
    TargetId,
};
use andon_notify::NotifyView;
use andon_probe::{PlannedLink, WireCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Things that change slowly (peers file, plan, stats) are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// A node that nobody reached for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(72 * 3600);
/// A connection with a probe within this time carries a link.
const CARRYING_FOR: Duration = Duration::from_secs(10);
/// Most outside addresses remembered of this node.
const OUTSIDE_MAX: usize = 4;
/// Datagrams handled between two looks at everything else.
const BATCH_MAX: usize = 32;
/// Showing the picture and planning take at most one part in so many of a core, however many
/// rows come in.
const SHOW_SHARE: u32 = 5;
/// One datagram that took this long had a large slice read.
const SLOW: Duration = Duration::from_millis(10);
/// Longest time for which a change is not shown, however large the grid.
const SHOW_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Peers are written to disk at most this often.
const REMEMBER_EVERY: Duration = Duration::from_secs(10);

/// Everything that the task hears from and speaks to.
pub struct GridTaskSources {
    /// The probe thread.
    pub wire: WireLink,
    /// Frame connections that came in on the TCP port.
    pub accepted: mpsc::Receiver<(TcpStream, SocketAddr)>,
    /// Questions of the API.
    pub commands: mpsc::Receiver<ApiCommand>,
    /// Addresses found for the seeds.
    pub found_seeds: watch::Receiver<Vec<SocketAddr>>,
    /// Seeds to look for, after a reload.
    pub seeds: watch::Sender<Vec<Seed>>,
    /// Reports of targets.
    pub target_reports: watch::Receiver<Vec<LinkReport>>,
    /// The prober of targets.
    pub targets: andon_target::TargetHandle,
    /// GridBug neighbours.
    pub neighbours: watch::Receiver<Vec<andon_model::Neighbour>>,
    /// Heartbeats that this node listens for.
    pub heartbeats: watch::Receiver<Vec<andon_model::Heartbeat>>,
    /// Takes what is to be taken in, after a reload.
    pub inputs: watch::Sender<andon_ingest::InputsConfig>,
    /// What the incident task wants published.
    pub own_incidents: watch::Receiver<OwnIncidents>,
    /// Takes remarks on incidents.
    pub remarks: mpsc::Sender<NewRemark>,
    /// Takes whom to tell, after a reload.
    pub notify_plan: watch::Sender<andon_notify::Plan>,
    /// Takes the grid's keys, after a reload, for what is sealed with them besides gossip.
    pub event_keys: watch::Sender<KeyRing>,
    /// Takes limits of the store and the queues, after a reload.
    pub event_limits: watch::Sender<super::events::Limits>,
    /// How telling people fares.
    pub notify: watch::Receiver<Arc<NotifyView>>,
    /// Asks for the settings anew.
    pub reload: Reload,
    /// Where pictures go.
    pub picture: watch::Sender<Picture>,
    /// Where figures for `/metrics` go.
    pub stats: watch::Sender<Arc<NodeStats>>,
}

/// Owner of the grid core.
pub struct GridTask {
    settings: NodeSettings,
    listen: SocketAddr,
    fingerprint: [u8; 32],
    clock: Clock,
    data_dir: DataDir,
    grid: Grid,
    frames: Frames,
    frame_events: mpsc::Receiver<FrameEvent>,
    sources: GridTaskSources,
    started_at: andon_model::Timestamp,
    outside: Vec<SocketAddr>,
    reachability: Reachability,
    down_since: BTreeMap<NodeKey, Instant>,
    /// Connections with the time of the last probe on them.
    carrying: BTreeMap<u64, Instant>,
    links: Vec<LinkReport>,
    host: HostHealth,
    wire_stats: andon_probe::WireStats,
    picture_changed: bool,
    show_after: Instant,
    membership: Membership,
    remembered: (Option<Instant>, Vec<KnownPeer>),
    ended: Ended,
}

/// What the probe plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Membership {
    plan: Vec<(NodeKey, Option<SocketAddr>, Option<u64>, bool)>,
    members: Vec<(NodeKey, Vec<std::net::IpAddr>)>,
}

impl GridTask {
    /// A task for a node of this identity; nothing is sent before [`GridTask::run`].
    pub fn new(
        settings: &NodeSettings,
        listen: SocketAddr,
        fingerprint: [u8; 32],
        clock: Clock,
        data_dir: DataDir,
        mut grid: Grid,
        sources: GridTaskSources,
    ) -> Self {
        let (frame_tx, frame_events) = mpsc::channel(1_024);
        let started_at = clock.utc();
        grid.handle(clock.now(), GridInput::Via(settings.via.clone()));
        Self {
            settings: settings.clone(),
            listen,
            fingerprint,
            clock,
            data_dir,
            grid,
            frames: Frames::new(frame_tx),
            frame_events,
            sources,
            started_at,
            outside: Vec::new(),
            reachability: Reachability::default(),
            down_since: BTreeMap::new(),
            carrying: BTreeMap::new(),
            links: Vec::new(),
            host: HostHealth::default(),
            wire_stats: andon_probe::WireStats::default(),
            picture_changed: true,
            show_after: Instant(0),
            membership: Membership::default(),
            remembered: (None, Vec::new()),
            ended: Ended::Asked,
        }
    }

    /// Runs until cancelled, or until this identity turns out to be in use twice; then says
    /// good-bye, and has ended the probe thread when it returns.
    pub async fn run(mut self, cancel: CancellationToken) -> Ended {
        self.start();
        let mut tick = tokio::time::interval(TICK);
        let mut hangup =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let show = self.picture_changed.then_some(self.show_after);
            let wake = self.grid.next_wake().into_iter().chain(show).min();
            let wake = wake.map(|at| self.clock.deadline(at));
            // No branch goes first: a flood of one kind must not keep the others waiting.
            tokio::select! {
                () = cancel.cancelled() => break,
                1.. = self.sources.wire.gossip.recv_many(&mut batch, BATCH_MAX) => {
                    for (from, bytes) in batch.drain(..) {
                        let before = self.clock.now();
                        self.feed(GridInput::Datagram { from: Endpoint::Udp(from), bytes });
                        self.rest_if_slow(before);
                    }
                }
                Some(event) = self.frame_events.recv() => self.frame(event),
                Some((connection, bytes)) = self.sources.wire.frames.recv() => {
                    self.carrying.insert(connection, self.clock.now());
                    self.frames.send(connection, bytes);
                }
                Ok(()) = self.sources.wire.links.changed() => self.take_links(),
                Ok(()) = self.sources.wire.paths.changed() => self.publish(),
                Ok(()) = self.sources.wire.host.changed() => {
                    self.host = *self.sources.wire.host.borrow_and_update();
                    self.publish();
                }
                Ok(()) = self.sources.target_reports.changed() => self.take_links(),
                Ok(()) = self.sources.neighbours.changed() => self.publish(),
                Ok(()) = self.sources.heartbeats.changed() => self.publish(),
                Ok(()) = self.sources.own_incidents.changed() => self.publish(),
                Ok(()) = self.sources.found_seeds.changed() => self.take_seeds(),
                Some((stream, remote)) = self.sources.accepted.recv() => {
                    let evicted = self.frames.accept(self.clock.now(), stream, remote);
                    evicted.into_iter().for_each(|connection| self.disconnected(connection));
                }
                Some(command) = self.sources.commands.recv() => self.answer(command),
                Some(()) = hang_up(&mut hangup) => self.reload(),
                () = wake_at(wake) => {
                    let before = self.clock.now();
                    self.grid.wake(before);
                    self.rest_if_slow(before);
                }
                _ = tick.tick() => self.tick(),
            }
            self.drain();
            if self.ended == Ended::Copied {
                break;
            }
        }
        self.leave().await;
        self.sources.wire.handle.stop();
        self.ended
    }

    fn start(&mut self) {
        let known = self.data_dir.known_peers();
        let addresses: Vec<SocketAddr> = known.iter().flat_map(|p| p.addresses.clone()).collect();
        if !addresses.is_empty() {
            tracing::info!(peers = known.len(), "peers of an earlier run are tried too");
            self.feed(GridInput::Remembered(addresses));
        }
        self.remembered.1 = known;
        self.take_seeds();
        self.publish();
        self.drain();
    }

    fn feed(&mut self, input: GridInput) {
        self.grid.handle(self.clock.now(), input);
    }

    /// On a slow or busy machine, reading slices takes no larger share of time than elsewhere.
    fn rest_if_slow(&mut self, before: Instant) {
        let now = self.clock.now();
        let took = now.since(before);
        if took >= SLOW {
            self.grid.rest(now, took * (SHOW_SHARE - 1));
        }
    }

    fn take_seeds(&mut self) {
        let addresses = self.sources.found_seeds.borrow_and_update().clone();
        self.feed(GridInput::Seeds(addresses));
    }

    fn take_links(&mut self) {
        let mut links = self.sources.wire.links.borrow_and_update().clone();
        links.extend(
            self.sources
                .target_reports
                .borrow_and_update()
                .iter()
                .cloned(),
        );
        let reachable = links
            .iter()
            .filter_map(|report| match (&report.to, report.state) {
                (_, LinkState::Unknown | LinkState::NotProbed) => None,
                (Peer::Node(key), state) => Some((*key, state != LinkState::Down)),
                (Peer::Target(_), _) => None,
            });
        let reachable = reachable.collect();
        self.links = links;
        self.feed(GridInput::Reachable(reachable));
        self.publish();
    }

    /// Publishes the own slice; the grid core passes on only what changed enough.
    fn publish(&mut self) {
        let own = self.sources.own_incidents.borrow_and_update().clone();
        let slice = OwnSlice {
            identity: self.identity(Presence::Here),
            host: self.host,
            links: self
                .links
                .iter()
                .map(|report| (report.to.clone(), report.clone()))
                .collect(),
            targets: self.settings.targets.clone(),
            neighbours: self.sources.neighbours.borrow_and_update().clone(),
            paths: self.sources.wire.paths.borrow_and_update().clone(),
            incidents: own.claims,
            remarks: own.remarks,
            heartbeats: self.sources.heartbeats.borrow_and_update().clone(),
            access: Vec::new(),
        };
        self.feed(GridInput::Publish(Box::new(slice)));
    }

    fn identity(&self, presence: Presence) -> Identity {
        let (addresses, reach) = match &self.settings.advertise {
            Advertise::At(addresses) => (addresses.clone(), Reach::Open),
            Advertise::None => (Vec::new(), Reach::Outbound),
            Advertise::Auto => (self.learned_addresses(), Reach::Open),
        };
        Identity {
            id: self.settings.id.clone(),
            site: self.settings.site.clone(),
            labels: super::events::labels(&self.settings),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            addresses,
            fingerprint: self.fingerprint,
            presence,
            reach,
        }
    }

    /// What peers see of us, addresses that reach further first.
    fn learned_addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = self.outside.clone();
        if !self.listen.ip().is_unspecified() && !addresses.contains(&self.listen) {
            addresses.push(self.listen);
        }
        addresses.sort_by_key(|address| address.ip().is_loopback());
        addresses
    }

    fn disconnected(&mut self, connection: u64) {
        self.feed(GridInput::Disconnected {
            connection: ConnectionId(connection),
        });
    }

    fn frame(&mut self, event: FrameEvent) {
        match event {
            FrameEvent::Connected { connection, .. } | FrameEvent::Datagram { connection, .. }
                if !self.frames.holds(connection) => {}
            FrameEvent::Connected {
                connection,
                remote,
                dialled,
            } => {
                tracing::debug!(connection, %remote, dialled, "frame connection stands");
                let connection = ConnectionId(connection);
                self.feed(GridInput::Connected {
                    connection,
                    remote,
                    dialled,
                });
            }
            FrameEvent::Disconnected { connection } => {
                self.frames.ended(connection);
                self.disconnected(connection);
            }
            FrameEvent::Datagram {
                connection,
                remote,
                bytes,
            } => {
                if bytes.first().is_some_and(|first| *first >= 0x80) {
                    let from = Endpoint::Tcp(ConnectionId(connection));
                    self.feed(GridInput::Datagram { from, bytes });
                } else {
                    self.sources.wire.handle.send(WireCommand::Frame {
                        connection,
                        remote,
                        bytes,
                    });
                }
            }
        }
    }

    fn answer(&mut self, command: ApiCommand) {
        match command {
            ApiCommand::LinkDetail { to, reply } => {
                let picture = self.grid.picture();
                let Some(to) = key_by_name(&picture, &to) else {
                    let _ = reply.send(self.target_detail(to));
                    return;
                };
                self.sources.wire.handle.send(WireCommand::Detail {
                    to,
                    reply: Box::new(move |detail| {
                        let json = detail.and_then(|detail| serde_json::to_value(detail).ok());
                        let _ = reply.send(json);
                    }),
                });
            }
            ApiCommand::Trace { to, flows, reply } => {
                let goal = self.goal(&to);
                let (wire, from) = (
                    self.sources.wire.handle.sender(),
                    self.settings.id.to_string(),
                );
                tokio::spawn(async move {
                    let _ = reply.send(trace_ask::trace(wire, from, to, goal, flows).await);
                });
            }
            ApiCommand::Remark {
                incident,
                who,
                what,
                reply,
            } => {
                let remark = NewRemark {
                    incident,
                    who,
                    what,
                    reply,
                };
                if let Err(refused) = self.sources.remarks.try_send(remark) {
                    let remark = refused.into_inner();
                    let _ = remark.reply.send(Err("too many remarks at once".into()));
                }
            }
            ApiCommand::Addresses { of, reply } => {
                let _ = reply.send(self.addresses_in_use(&of));
            }
        }
    }

    /// What a name stands for: a node, a declared target, or a host.
    fn goal(&self, name: &str) -> Goal {
        let picture = self.grid.picture();
        if let Some(key) = key_by_name(&picture, name) {
            let route = self.grid.routes().get(&key).cloned();
            let address = route.and_then(|route| {
                let first = route.addresses.first().copied();
                route.via.or(route.confirmed).or(first)
            });
            return Goal::Node(key, address);
        }
        let targets = picture.slices.values().flat_map(|slice| &slice.targets);
        let target = targets
            .into_iter()
            .find(|target| target.id.as_str() == name);
        Goal::Named(target.map_or(name, |target| &target.address).to_owned())
    }

    /// Where the grid reaches a node at present, *via* addresses and NAT considered.
    fn addresses_in_use(&self, name: &str) -> Vec<SocketAddr> {
        let key = key_by_name(&self.grid.picture(), name);
        let route = key.and_then(|key| self.grid.routes().get(&key).cloned());
        route.map(|route| route.addresses).unwrap_or_default()
    }

    fn target_detail(&self, name: String) -> Option<serde_json::Value> {
        let detail = self.sources.targets.detail(&TargetId::new(name).ok()?)?;
        serde_json::to_value(detail).ok()
    }

    fn reload(&mut self) {
        let fresh = match (self.sources.reload)() {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::error!(%error, "the new configuration has errors; the old one stays in force");
                return;
            }
        };
        for name in needs_restart(&self.settings, &fresh) {
            tracing::warn!(
                setting = name,
                "this setting changes only when the node restarts"
            );
        }
        let old = self.settings.store.clone();
        self.settings = NodeSettings {
            store: old.with_limits(&fresh.store),
            id: self.settings.id.clone(),
            listen: self.settings.listen,
            data_dir: self.settings.data_dir.clone(),
            probe: self.settings.probe.clone(),
            gridbug: self.settings.gridbug.clone(),
            nats: self.settings.nats.clone(),
            ..fresh
        };
        if let Some(keys) = start::key_ring(&self.settings) {
            self.sources
                .wire
                .handle
                .send(WireCommand::Keys(start::stamp_keys(&keys)));
            self.sources.event_keys.send_replace(keys.clone());
            self.feed(GridInput::Keys(keys));
        }
        self.feed(GridInput::Via(self.settings.via.clone()));
        let _ = self.sources.seeds.send(self.settings.seeds.clone());
        self.sources
            .notify_plan
            .send_replace(self.settings.notify.clone());
        self.sources
            .inputs
            .send_replace(self.settings.ingest.inputs.clone());
        self.sources.event_limits.send_replace(Some((
            self.settings.store.clone(),
            self.settings.spool.clone(),
        )));
        self.publish();
        self.membership = Membership::default();
        self.plan();
        tracing::info!(keys = self.settings.keys.len(), "configuration read again");
    }

    /// Carries out all that the core wants done.
    fn drain(&mut self) {
        while let Some(output) = self.grid.poll() {
            match output {
                GridOutput::Send {
                    to: Endpoint::Udp(to),
                    bytes,
                } => {
                    self.sources
                        .wire
                        .handle
                        .send(WireCommand::SendGossip { to, bytes });
                }
                GridOutput::Send {
                    to: Endpoint::Tcp(connection),
                    bytes,
                } => {
                    self.frames.send(connection.0, bytes);
                }
                GridOutput::PictureChanged => self.picture_changed = true,
                GridOutput::OutsideAddress(address) => self.seen_from_outside(address),
                GridOutput::Close(connection) => {
                    tracing::debug!(
                        connection = connection.0,
                        "frame connection of no use any more"
                    );
                    self.frames.close(connection.0);
                }
                GridOutput::Dial(address) => {
                    tracing::debug!(%address, "UDP is silent, a frame connection is opened");
                    self.frames.dial(self.clock.now(), address);
                }
                GridOutput::Notice(notice) => self.notice(notice),
            }
        }
        let now = self.clock.now();
        if self.picture_changed && self.show_after <= now {
            self.picture_changed = false;
            self.show();
            let rest = self.clock.now().since(now) * (SHOW_SHARE - 1);
            self.show_after = self.clock.now() + rest.min(SHOW_PAUSE_MAX);
        }
    }

    /// Passes the picture on to those who work with it. Its cost follows the grid and not the
    /// change, so it is not done for every datagram.
    fn show(&mut self) {
        let picture = self.grid.picture();
        let declared = picture.slices.values().flat_map(|slice| {
            slice
                .targets
                .iter()
                .map(|target| (slice.key(), target.clone()))
        });
        self.sources.targets.set_targets(declared.collect());
        self.sources.picture.send_replace(picture);
        self.plan();
    }

    fn seen_from_outside(&mut self, address: SocketAddr) {
        if self.settings.advertise != Advertise::Auto || self.outside.contains(&address) {
            return;
        }
        tracing::info!(%address, "peers see this node at an address");
        self.outside.insert(0, address);
        self.outside.truncate(OUTSIDE_MAX);
        self.publish();
    }

    fn notice(&mut self, notice: GridNotice) {
        match notice {
            GridNotice::ClonedIdentity => match self.data_dir.new_identity() {
                Ok(_) => {
                    tracing::error!(
                        "another node runs with a copy of this one's data directory; this node \
                         takes a new identity and goes on as a new node"
                    );
                    self.ended = Ended::Copied;
                }
                Err(error) => tracing::error!(
                    %error,
                    "another node runs with a copy of this one's data directory, and a new identity \
                     cannot be written: stop one of them"
                ),
            },
            GridNotice::Joined { key } => {
                tracing::info!(id = self.id_of(key), node = %key, "node joined");
            }
            GridNotice::Left { key } => {
                tracing::info!(id = self.id_of(key), node = %key, "node left")
            }
            notice => stats::log_notice(&notice),
        }
    }

    /// What people call it; empty while only its key is known.
    fn id_of(&self, key: NodeKey) -> String {
        let slices = self.grid.store().slices();
        slices
            .get(&key)
            .map(|slice| slice.identity.id.to_string())
            .unwrap_or_default()
    }

    /// Tells the prober whom to probe, when that changed.
    fn plan(&mut self) {
        let picture = self.grid.picture();
        let routes = self.grid.routes();
        let here = picture
            .slices
            .values()
            .filter(|s| s.identity.presence == Presence::Here);
        let sites: Vec<_> = here.map(|s| (s.key(), s.identity.site.clone())).collect();
        let hours = u64::try_from(self.clock.utc().0 / 3_600_000_000).unwrap_or(0);
        let mut membership = Membership::default();
        for key in andon_grid::plan(&sites, self.grid.me(), hours) {
            let route = routes.get(&key);
            let address = route.and_then(|route| {
                // A host of several addresses is confirmed now at one and now at another. While
                // flows live, the link stays where it is: elsewhere a broken way would vanish.
                let kept = self
                    .working_address(key)
                    .filter(|kept| route.addresses.contains(kept));
                route
                    .via
                    .or(kept)
                    .or(route.confirmed)
                    .or_else(|| route.addresses.first().copied())
            });
            let connection = route.and_then(|route| route.connection).map(|c| c.0);
            let via = route.is_some_and(|route| route.via.is_some());
            membership.plan.push((key, address, connection, via));
        }
        for (key, _) in &sites {
            let addresses: BTreeSet<_> = routes
                .get(key)
                .map(|route| route.addresses.iter().map(|address| address.ip()).collect())
                .unwrap_or_default();
            membership
                .members
                .push((*key, addresses.into_iter().collect()));
        }
        if membership == self.membership {
            return;
        }
        let planned = membership
            .plan
            .iter()
            .map(|(to, address, connection, via)| PlannedLink {
                to: *to,
                address: *address,
                connection: *connection,
                via: *via,
            });
        self.sources
            .wire
            .handle
            .send(WireCommand::Plan(planned.collect()));
        let probed = membership.plan.iter().map(|(to, ..)| *to).collect();
        self.grid
            .handle(self.clock.now(), GridInput::Probed(probed));
        self.sources
            .wire
            .handle
            .send(WireCommand::Members(membership.members.clone()));
        self.membership = membership;
    }

    /// Where a node is probed at present, if some of the link's flows live there.
    fn working_address(&self, key: NodeKey) -> Option<SocketAddr> {
        let lives = self.links.iter().any(|report| {
            report.to == Peer::Node(key)
                && report.transport == andon_model::Transport::Udp
                && matches!(
                    report.state,
                    LinkState::Up | LinkState::Partial | LinkState::Degraded
                )
        });
        let mut plan = self.membership.plan.iter();
        let (_, address, ..) = plan.find(|(to, ..)| *to == key).filter(|_| lives)?;
        *address
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        let picture = self.grid.picture();
        self.plan();
        self.help_those_who_cannot_reach_us(now, &picture);
        self.forget_the_long_dead(now, &picture);
        if self
            .remembered
            .0
            .is_none_or(|at| now.since(at) >= REMEMBER_EVERY)
        {
            self.remember_peers(now, &picture);
        }
        self.carrying
            .retain(|_, last| now.since(*last) < CARRYING_FOR);
        let carrying = self.carrying.keys().map(|id| ConnectionId(*id)).collect();
        self.feed(GridInput::Carrying(carrying));
        let connections: BTreeSet<u64> = self
            .grid
            .routes()
            .values()
            .filter_map(|r| r.connection)
            .map(|c| c.0)
            .collect();
        let closed = self
            .frames
            .close_strangers(now, |connection| connections.contains(&connection));
        closed
            .into_iter()
            .for_each(|connection| self.disconnected(connection));
        self.wire_stats = *self.sources.wire.stats.borrow();
        self.wire_stats.commands_dropped += self.sources.wire.dropped.load(Ordering::Relaxed);
        let notify = self.sources.notify.borrow().clone();
        let figures = stats::figures(
            &self.grid.counters(),
            &self.wire_stats,
            &self.frames,
            &notify,
        );
        self.sources.stats.send_replace(Arc::new(figures));
    }

    fn help_those_who_cannot_reach_us(&mut self, now: Instant, picture: &Picture) {
        let routes = self.grid.routes();
        for key in self.reachability.helped(now, picture, self.grid.me()) {
            let Some(route) = routes.get(&key) else {
                continue;
            };
            if let (None, Some(address)) = (route.connection, route.addresses.first()) {
                self.frames.dial(now, *address);
            }
        }
    }

    fn forget_the_long_dead(&mut self, now: Instant, picture: &Picture) {
        let mut observed: BTreeMap<NodeKey, (usize, usize)> = BTreeMap::new();
        for (owner, slice) in &picture.slices {
            for report in slice.links.values() {
                if let Peer::Node(key) = report.to
                    && key != *owner
                    && key != self.grid.me()
                {
                    let (down, all) = observed.entry(key).or_default();
                    *down += usize::from(report.state == LinkState::Down);
                    *all += 1;
                }
            }
        }
        let dead = observed.iter().filter(|(_, (down, all))| down == all);
        let down_since: BTreeMap<NodeKey, Instant> = dead
            .map(|(key, _)| (*key, self.down_since.get(key).copied().unwrap_or(now)))
            .collect();
        for (key, _) in down_since
            .iter()
            .filter(|(_, since)| now.since(**since) > FORGET_AFTER)
        {
            tracing::info!(node = %key, "a node that was down for three days is forgotten");
            self.grid.forget(now, *key);
        }
        self.down_since = down_since;
    }

    fn remember_peers(&mut self, now: Instant, picture: &Picture) {
        let routes = self.grid.routes();
        let others = picture
            .slices
            .values()
            .filter(|slice| slice.key() != self.grid.me());
        let peers: Vec<KnownPeer> = others
            .filter(|slice| slice.identity.presence == Presence::Here)
            .filter_map(|slice| {
                let addresses = routes.get(&slice.key())?.addresses.clone();
                Some(KnownPeer {
                    id: slice.identity.id.to_string(),
                    addresses,
                })
            })
            .collect();
        if peers.is_empty() || peers == self.remembered.1 {
            return;
        }
        self.remembered.0 = Some(now);
        match self.data_dir.remember_peers(&peers) {
            Ok(()) => self.remembered.1 = peers,
            Err(error) => {
                tracing::warn!(%error, "peers cannot be written to the data directory; the node goes on");
            }
        }
    }

    async fn leave(&mut self) {
        self.remember_peers(self.clock.now(), &self.grid.picture());
        self.feed(GridInput::Leave);
        let deadline = tokio::time::Instant::now() + LEAVE_TIME;
        loop {
            self.drain();
            let wake = self.grid.next_wake().map(|at| self.clock.deadline(at));
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => break,
                () = wake_at(wake) => self.grid.wake(self.clock.now()),
                Some((from, bytes)) = self.sources.wire.gossip.recv() => {
                    self.feed(GridInput::Datagram { from: Endpoint::Udp(from), bytes });
                }
            }
        }
    }
}

fn key_by_name(picture: &Picture, name: &str) -> Option<NodeKey> {
    let by_id = andon_model::NodeId::new(name)
        .ok()
        .and_then(|id| picture.by_id(&id).map(|s| s.key()));
    by_id.or_else(|| {
        let (id, head) = name.split_once('~')?;
        let mut slices = picture.slices.values();
        let named = slices.find(|slice| {
            slice.identity.id.as_str() == id && slice.key().to_string().starts_with(head)
        });
        named.map(|slice| slice.key())
    })
}

/// Settings that differ and that a running node cannot change.
fn needs_restart(old: &NodeSettings, fresh: &NodeSettings) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut check = |name, differs: bool| {
        if differs {
            names.push(name);
        }
    };
    check("id", old.id != fresh.id);
    check("listen", old.listen != fresh.listen);
    check("data_dir", old.data_dir != fresh.data_dir);
    check("probe", old.probe != fresh.probe);
    check("history", old.history != fresh.history);
    check("gridbug", old.gridbug != fresh.gridbug);
    check(
        "ingest.loopback",
        old.ingest.loopback_may_send != fresh.ingest.loopback_may_send,
    );
    check("spool.nats", old.nats != fresh.nats);
    for name in old.store.fixed_changes(&fresh.store) {
        check(name, true);
    }
    check(
        "http.allowed_hosts",
        old.allowed_hosts != fresh.allowed_hosts,
    );
    names
}

async fn hang_up(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

async fn wake_at(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
