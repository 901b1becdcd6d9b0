//! UDP sockets with what the kernel can tell: when a datagram came, to which of our
//! addresses, what routers and hosts say of those we sent, what was dropped. Decides nothing.
//!
//! Errors come from each socket's error queue, so nothing here needs a privilege. An error
//! that waits there makes the next send or receive fail once, whatever it is about; both are
//! therefore tried again after the queue was read.

use crate::trace::icmp::{ErrorKind, Origin, PathError};
use andon_model::Timestamp;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Kernel buffers of the one port: a burst of 1,000 nodes' gossip and probes.
const MAIN_BUFFER_BYTES: usize = 4 << 20;
/// Kernel buffers of a flow.
const FLOW_BUFFER_BYTES: usize = 1 << 20;
/// Largest datagram read; longer ones are cut, and then refused by their readers.
pub const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Room for control messages: timestamp, packet info, time to live, drop counter, extended
/// error with its address.
const CONTROL_BYTES: usize = 320;
/// `IP_RECVERR_RFC4884` and `IPV6_RECVERR_RFC4884` of linux/in.h and in6.h (Linux 5.9), which
/// libc does not name.
const RECVERR_RFC4884_V4: libc::c_int = 26;
const RECVERR_RFC4884_V6: libc::c_int = 31;
/// `SO_EE_RFC4884_FLAG_INVALID`: the kernel found the extension broken.
const RFC4884_INVALID: u8 = 1;

sockopt_impl!(
    /// Errors tell where their extension begins.
    Ipv4ErrorExtension,
    SetOnly,
    libc::IPPROTO_IP,
    RECVERR_RFC4884_V4,
    bool
);
sockopt_impl!(
    /// Errors tell where their extension begins.
    Ipv6ErrorExtension,
    SetOnly,
    libc::IPPROTO_IPV6,
    RECVERR_RFC4884_V6,
    bool
);
sockopt_impl!(
    /// How packets meet links that are too narrow for them.
    Ipv4MtuDiscover,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// How packets meet links that are too narrow for them.
    Ipv6MtuDiscover,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// Who sent it; on the error queue, whom we had sent it to. IPv4 is told as such.
    pub from: SocketAddr,
    /// Our address that it came to.
    pub local: Option<IpAddr>,
    /// The kernel's stamp.
    pub stamp: Option<Timestamp>,
    /// Time to live that was left.
    pub ttl: Option<u8>,
    /// Bytes in the buffer.
    pub length: usize,
    /// On the error queue: what is said of it. The buffer has as much as is quoted.
    pub error: Option<PathError>,
}

/// A socket, and what the kernel dropped at it.
#[derive(Debug)]
pub struct ProbeSocket {
    socket: UdpSocket,
    is_v6: bool,
    drops: u32,
    control: [u8; CONTROL_BYTES],
}

impl ProbeSocket {
    /// Takes the one port's socket.
    pub fn main(socket: UdpSocket) -> io::Result<Self> {
        prepare(&socket, MAIN_BUFFER_BYTES)?;
        // Answers leave from the address that was asked, or strict peers would not know them.
        let is_v6 = socket.local_addr()?.is_ipv6();
        if is_v6 {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        // A dual-stack socket tells both; without them answers just do not tell distances.
        let _ = setsockopt(&socket, sockopt::Ipv4RecvTtl, &true);
        let _ = setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true);
        Ok(Self::new(socket, is_v6))
    }

    /// Opens a flow's socket on `ip`, at `port` if it is free.
    pub fn flow(ip: IpAddr, port: u16) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address((ip, 0).into()),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if ip.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if socket.bind(&SocketAddr::new(ip, port).into()).is_err() {
            socket.bind(&SocketAddr::new(ip, 0).into())?;
        }
        let socket = UdpSocket::from(socket);
        prepare(&socket, FLOW_BUFFER_BYTES)?;
        // Probes are never cut in pieces, and each tries the path anew whatever was said of it
        // before. Extensions and times to live are extras that old kernels may not have.
        match ip {
            IpAddr::V4(_) => {
                let _ = setsockopt(&socket, Ipv4MtuDiscover, &libc::IP_PMTUDISC_PROBE);
                let _ = setsockopt(&socket, Ipv4ErrorExtension, &true);
                let _ = setsockopt(&socket, sockopt::Ipv4RecvTtl, &true);
            }
            IpAddr::V6(_) => {
                let _ = setsockopt(&socket, Ipv6MtuDiscover, &libc::IPV6_PMTUDISC_PROBE);
                let _ = setsockopt(&socket, Ipv6ErrorExtension, &true);
                let _ = setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true);
            }
        }
        let socket = Self::new(socket, ip.is_ipv6());
        socket.hear_errors(true)?;
        Ok(socket)
    }

    /// Whether errors are queued. While they are not, those that wait are gone, and a flood of
    /// them costs next to nothing.
    pub fn hear_errors(&self, hear: bool) -> io::Result<()> {
        let set = if self.is_v6 {
            setsockopt(&self.socket, sockopt::Ipv6RecvErr, &hear)
        } else {
            setsockopt(&self.socket, sockopt::Ipv4RecvErr, &hear)
        };
        set.map_err(io::Error::from)
    }

    fn new(socket: UdpSocket, is_v6: bool) -> Self {
        Self {
            socket,
            is_v6,
            drops: 0,
            control: [0; CONTROL_BYTES],
        }
    }

    /// Where it is bound.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Datagrams that the kernel dropped here, in total.
    pub fn drops(&self) -> u32 {
        self.drops
    }

    /// For polling.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes one datagram; `None` when there is none. Errors of earlier sends that surface
    /// here are passed over: they are on the error queue too.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<Arrived> {
        for _ in 0..8 {
            match self.receive_with(buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(arrived) => return arrived,
                Err(Errno::EAGAIN) => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// Takes one entry of the error queue; `None` when there is none.
    pub fn receive_error(&mut self, buffer: &mut [u8]) -> Option<Arrived> {
        self.receive_with(buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE)
            .ok()
            .flatten()
    }

    /// Sends, if the kernel takes it at once.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, self.outward(to)).map(drop)
    }

    /// Sends with this time to live.
    pub fn send_ttl(&self, to: SocketAddr, ttl: u8, bytes: &[u8]) -> io::Result<()> {
        let ttl = libc::c_int::from(ttl);
        let control = if self.is_v6 {
            ControlMessage::Ipv6HopLimit(&ttl)
        } else {
            ControlMessage::Ipv4Ttl(&ttl)
        };
        let to = SockaddrStorage::from(self.outward(to));
        let slices = [IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(
            self.socket.as_raw_fd(),
            &slices,
            &[control],
            flags,
            Some(&to),
        )
        .map(drop)
        .map_err(io::Error::from)
    }

    /// Sends from one of our addresses.
    pub fn send_from(&self, local: Option<IpAddr>, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let fd = self.socket.as_raw_fd();
        let to_storage = SockaddrStorage::from(self.outward(to));
        let send = |control: &[ControlMessage<'_>]| {
            sendmsg(
                fd,
                &slices,
                control,
                MsgFlags::MSG_DONTWAIT,
                Some(&to_storage),
            )
            .map(drop)
            .map_err(io::Error::from)
        };
        match local {
            Some(IpAddr::V4(ip)) if !self.is_v6 => {
                let address = libc::in_addr {
                    s_addr: u32::from(ip).to_be(),
                };
                let nowhere = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: address,
                    ipi_addr: nowhere,
                };
                send(&[ControlMessage::Ipv4PacketInfo(&info)])
            }
            // A link-local address needs its interface, which the kernel picks by `to` anyway.
            Some(ip)
                if self.is_v6 && !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) =>
            {
                let address = libc::in6_addr {
                    s6_addr: as_v6(ip).octets(),
                };
                let info = libc::in6_pktinfo {
                    ipi6_addr: address,
                    ipi6_ifindex: 0,
                };
                send(&[ControlMessage::Ipv6PacketInfo(&info)])
            }
            _ => self.send(to, bytes),
        }
    }

    /// A dual-stack socket writes IPv4 addresses as IPv6.
    fn outward(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.is_v6 => {
                SocketAddr::new(as_v6((*v4.ip()).into()).into(), v4.port())
            }
            to => to,
        }
    }

    fn receive_with(
        &mut self,
        buffer: &mut [u8],
        flags: MsgFlags,
    ) -> Result<Option<Arrived>, Errno> {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            flags,
        )?;
        let Some(from) = message.address.as_ref().and_then(address_of) else {
            return Ok(None);
        };
        let mut arrived = Arrived {
            from,
            local: None,
            stamp: None,
            ttl: None,
            length: message.bytes,
            error: None,
        };
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    let micros = time
                        .tv_sec()
                        .saturating_mul(1_000_000)
                        .saturating_add(time.tv_nsec() / 1_000);
                    arrived.stamp = Some(Timestamp(micros));
                }
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    arrived.local =
                        Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    arrived.local =
                        Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical());
                }
                ControlMessageOwned::RxqOvfl(drops) => self.drops = drops,
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => {
                    arrived.ttl = u8::try_from(ttl).ok();
                }
                ControlMessageOwned::Ipv4RecvErr(error, by) => {
                    let by = by.filter(|by| i32::from(by.sin_family) == libc::AF_INET);
                    let by = by.map(|by| Ipv4Addr::from(u32::from_be(by.sin_addr.s_addr)).into());
                    arrived.error = path_error(&error, by);
                }
                ControlMessageOwned::Ipv6RecvErr(error, by) => {
                    let by = by.filter(|by| i32::from(by.sin6_family) == libc::AF_INET6);
                    let by = by.map(|by| Ipv6Addr::from(by.sin6_addr.s6_addr).into());
                    arrived.error = path_error(&error, by);
                }
                _ => {}
            }
        }
        if let Some(error) = &mut arrived.error {
            error.reply_ttl = arrived.ttl;
        }
        Ok(Some(arrived))
    }
}

/// What the kernel says of an error; `None` for what is none of a packet's (timestamps).
fn path_error(error: &libc::sock_extended_err, by: Option<IpAddr>) -> Option<PathError> {
    let origin = match error.ee_origin {
        libc::SO_EE_ORIGIN_LOCAL => Origin::Local,
        libc::SO_EE_ORIGIN_ICMP => Origin::Icmp,
        libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp6,
        _ => return None,
    };
    let too_long = error.ee_errno == libc::EMSGSIZE as u32;
    // struct sock_ee_data_rfc4884 { __u16 len; __u8 flags; __u8 reserved; }
    let [low, high, flags, _] = error.ee_data.to_ne_bytes();
    let at = u16::from_ne_bytes([low, high]);
    Some(PathError {
        kind: ErrorKind::of(
            origin,
            error.ee_type,
            error.ee_code,
            too_long,
            error.ee_info,
        ),
        by: by.filter(|_| origin != Origin::Local),
        reply_ttl: None,
        extension_at: (at > 0 && flags & RFC4884_INVALID == 0).then_some(at),
    })
}

fn prepare(socket: &UdpSocket, buffer_bytes: usize) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let buffers = socket2::SockRef::from(socket);
    // Beyond the system's limit only with privilege; what it gives without must do.
    let forced = setsockopt(socket, sockopt::RcvBufForce, &buffer_bytes);
    if forced.is_err() {
        let _ = buffers.set_recv_buffer_size(buffer_bytes);
    }
    let _ = buffers.set_send_buffer_size(buffer_bytes);
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    let _ = setsockopt(socket, sockopt::RxqOvfl, &1);
    Ok(())
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    let v6 = SocketAddrV6::from(*storage.as_sockaddr_in6()?);
    Some(match v6.ip().to_ipv4_mapped() {
        Some(v4) => SocketAddr::new(v4.into(), v6.port()),
        None => v6.into(),
    })
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
