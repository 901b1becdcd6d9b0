//! A wire that takes its time. This machine's kernel may have no netem, so the wire's two
//! halves end in a namespace of their own, and a thread carries frames from one to the other.

use super::checksum;
use super::relay_queue::RelayQueue;
use super::{LabError, netns::Netns};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send,
    socket,
};
use nix::sys::time::TimeSpec;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Largest frame: jumbo packets and their headers.
const FRAME_BYTES_MAX: usize = 9_200;
/// The relay looks at least so often whether it shall end.
const LOOK: Duration = Duration::from_millis(100);
/// Frames that are taken in one go before the queues are looked at.
const BATCH: usize = 64;
/// `PACKET_OUTGOING`: what the relay itself sent.
const OUTGOING: u8 = 4;

/// A relay that runs.
#[derive(Debug)]
pub(super) struct Relay {
    /// Microseconds from the first end to the second, and back.
    delays: Arc<[AtomicU64; 2]>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Joins two devices of a namespace.
    pub fn start(netns: &Netns, devices: [String; 2], delay: Duration) -> Result<Self, LabError> {
        let name = devices[0].clone();
        let sockets = netns.run(move || Ok([open(&devices[0])?, open(&devices[1])?]))?;
        let micros = delay.as_micros() as u64;
        let delays = Arc::new([AtomicU64::new(micros), AtomicU64::new(micros)]);
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, asked) = (Arc::clone(&delays), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(format!("relay {name}"))
            .spawn(move || carry(&sockets, &shared, &asked))
            .map_err(LabError::io("start a relay"))?;
        Ok(Self {
            delays,
            stop,
            thread: Some(thread),
        })
    }

    /// Sets how long a frame takes that came in at the wire's first (0) or second (1) end.
    pub fn delay(&self, from_end: usize, delay: Duration) {
        self.delays[from_end].store(delay.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(device: &str) -> Result<OwnedFd, LabError> {
    let refused = |error: nix::Error| LabError::io(format!("open the wire {device}"))(error.into());
    let address = nix::ifaddrs::getifaddrs()
        .map_err(refused)?
        .filter(|found| found.interface_name == device)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or_else(|| refused(nix::Error::ENODEV))?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )
    .map_err(refused)?;
    bind(socket.as_raw_fd(), &address).map_err(refused)?;
    Ok(socket)
}

fn carry(sockets: &[OwnedFd; 2], delays: &[AtomicU64; 2], stop: &AtomicBool) {
    let mut queues = [RelayQueue::default(), RelayQueue::default()];
    let mut frame = vec![0; FRAME_BYTES_MAX];
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let next = queues.iter().filter_map(RelayQueue::next_wake).min();
        let wait = next.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
        let mut ready = sockets
            .each_ref()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        // Milliseconds would be too coarse: a wire of half of one is asked for.
        let _ = ppoll(&mut ready, Some(TimeSpec::from_duration(wait)), None);
        for end in 0..2 {
            let delay = Duration::from_micros(delays[end].load(Ordering::Relaxed));
            for _ in 0..BATCH {
                let Ok((bytes, from)) = recvfrom::<LinkAddr>(sockets[end].as_raw_fd(), &mut frame)
                else {
                    break;
                };
                if from.is_some_and(|from| from.pkttype() == OUTGOING) {
                    continue;
                }
                let frame = &mut frame[..bytes];
                checksum::complete(frame);
                queues[end].push(Instant::now(), delay, frame.to_vec());
            }
        }
        let now = Instant::now();
        for end in 0..2 {
            while let Some(frame) = queues[end].pop(now) {
                // A full device drops, as a real one does.
                let _ = send(sockets[1 - end].as_raw_fd(), &frame, MsgFlags::empty());
            }
        }
    }
}
