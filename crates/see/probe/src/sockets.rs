//! UDP sockets with what the kernel can tell: when a datagram came, to which of our
//! addresses, what was refused, what was dropped. Decides nothing.

use andon_model::Timestamp;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
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
/// Room for control messages: timestamp, packet info, drop counter, extended error with
/// its address.
const CONTROL_BYTES: usize = 256;
/// `ee_origin` of an error that came from the network as ICMP, for both families.
const ORIGIN_ICMP: [u8; 2] = [libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6];

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrived {
    /// Who sent it; on the error queue, whom we had sent it to. IPv4 is told as such.
    pub from: SocketAddr,
    /// Our address that it came to.
    pub local: Option<IpAddr>,
    /// The kernel's stamp.
    pub stamp: Option<Timestamp>,
    /// Bytes in the buffer.
    pub length: usize,
    /// On the error queue: the far host refused it.
    pub refused: bool,
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
        match ip {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
        }
        Ok(Self::new(socket, ip.is_ipv6()))
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
            length: message.bytes,
            refused: false,
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
                ControlMessageOwned::Ipv4RecvErr(error, _)
                | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                    arrived.refused = error.ee_errno == libc::ECONNREFUSED as u32
                        && ORIGIN_ICMP.contains(&error.ee_origin);
                }
                _ => {}
            }
        }
        Ok(Some(arrived))
    }
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
