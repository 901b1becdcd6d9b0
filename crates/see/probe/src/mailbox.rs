//! Commands on their way to the wire's thread. Bounded: of what describes a whole (plan,
//! members, keys) only the newest is kept, and what is a stream is dropped beyond its limit.

use crate::plan::LinkDetail;
use crate::trace::detail::TraceDetail;
use crate::wire::{TraceTo, WireCommand};
use andon_model::NodeKey;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

/// Gossip datagrams and frames waiting; at 1,400 bytes, 6 MB at worst.
const STREAM_MAX: usize = 4_096;
/// Questions for details waiting.
const DETAILS_MAX: usize = 256;

/// Requests for traces waiting.
const TRACES_MAX: usize = 16;

type Reply = Box<dyn FnOnce(Option<LinkDetail>) + Send>;
type TraceReply = Box<dyn FnOnce(Option<TraceDetail>) + Send>;

/// All that waits.
#[derive(Default)]
pub struct Mail {
    pub plan: Option<Vec<crate::plan::PlannedLink>>,
    pub members: Option<Vec<(NodeKey, Vec<IpAddr>)>>,
    pub keys: Option<Vec<[u8; 32]>>,
    pub gossip: VecDeque<(SocketAddr, Vec<u8>)>,
    pub frames: VecDeque<(u64, SocketAddr, Vec<u8>)>,
    pub details: VecDeque<(NodeKey, Reply)>,
    pub traces: VecDeque<(TraceTo, u16, TraceReply)>,
    pub stop: bool,
    pub dropped: u64,
    waiting: bool,
}

/// The box, and the bell at it.
pub struct Mailbox {
    mail: Mutex<Mail>,
    bell: EventFd,
}

impl Mailbox {
    pub fn new() -> io::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self {
            mail: Mutex::default(),
            bell,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Puts a command in; never waits for the wire.
    pub fn put(&self, command: WireCommand) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        match command {
            WireCommand::Plan(plan) => mail.plan = Some(plan),
            WireCommand::Members(members) => mail.members = Some(members),
            WireCommand::Keys(keys) => mail.keys = Some(keys),
            WireCommand::SendGossip { .. } if mail.gossip.len() >= STREAM_MAX => mail.dropped += 1,
            WireCommand::SendGossip { to, bytes } => mail.gossip.push_back((to, bytes)),
            WireCommand::Frame { .. } if mail.frames.len() >= STREAM_MAX => mail.dropped += 1,
            WireCommand::Frame {
                connection,
                remote,
                bytes,
            } => mail.frames.push_back((connection, remote, bytes)),
            WireCommand::Detail { reply, .. } if mail.details.len() >= DETAILS_MAX => {
                mail.dropped += 1;
                drop(mail);
                return reply(None);
            }
            WireCommand::Detail { to, reply } => mail.details.push_back((to, reply)),
            WireCommand::Trace { reply, .. } if mail.traces.len() >= TRACES_MAX => {
                mail.dropped += 1;
                drop(mail);
                return reply(None);
            }
            WireCommand::Trace { to, flows, reply } => mail.traces.push_back((to, flows, reply)),
            WireCommand::Stop => mail.stop = true,
        }
        if !std::mem::replace(&mut mail.waiting, true) {
            // Fails only if the counter is full, and then the bell rings already.
            let _ = self.bell.write(1);
        }
    }

    /// Takes all that waits.
    pub fn take(&self) -> Mail {
        let _ = self.bell.read();
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let (stop, dropped) = (mail.stop, mail.dropped);
        let taken = std::mem::take(&mut *mail);
        (mail.stop, mail.dropped) = (stop, dropped);
        taken
    }
}
