//! DNS queries over UDP, and over TCP where the answer was cut. Asks the given server or
//! those of `/etc/resolv.conf`. Answers to other questions are passed over, since anyone may
//! send them.

use super::name::Resolver;
use super::progress::{Phase, Progress};
use super::{Answered, Failure};
use crate::question::{HostPort, Record};
use andon_model::LinkReason;
use andon_model::id::to_plain_text;
use simple_dns::rdata::RData;
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question as DnsQuestion, RCODE, TYPE,
    header_buffer,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Largest answer over UDP that is read.
const ANSWER_BYTES_MAX: usize = 4096;
/// Records of an answer that are looked at.
const RECORDS_MAX: usize = 256;
/// Servers of the system that are asked in turn.
const SERVERS_MAX: usize = 3;
/// Bytes of `/etc/resolv.conf` that are read.
const RESOLV_CONF_BYTES_MAX: usize = 64 * 1024;
/// Wait of one service lookup, all servers together.
const SRV_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a service name led nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The text is no DNS name.
    #[error("{name:?} is no DNS name")]
    Name {
        /// As given.
        name: String,
    },
    /// No server answered in time.
    #[error("no DNS server answered for {name} in {waited:?}")]
    Silent {
        /// What was asked for.
        name: String,
        /// How long.
        waited: Duration,
    },
    /// The servers answered that there is nothing, or could not be asked.
    #[error("no SRV record of {name}: {why}")]
    Nothing {
        /// What was asked for.
        name: String,
        /// In words.
        why: String,
    },
}

/// The hosts and ports behind a service name (`_andon._udp.example.com`), by priority, then
/// the weightiest first, at most 256. Asks the system's servers.
pub async fn srv_lookup(name: &str) -> Result<Vec<(String, u16)>, LookupError> {
    srv_lookup_at(name, &system_servers().await).await
}

/// The same, asking these servers in turn.
pub async fn srv_lookup_at(
    name: &str,
    servers: &[SocketAddr],
) -> Result<Vec<(String, u16)>, LookupError> {
    let owned = || to_plain_text(name, 253);
    Name::new(name).map_err(|_| LookupError::Name { name: owned() })?;
    let progress = Progress::start(SRV_TIMEOUT);
    let answers =
        match tokio::time::timeout(SRV_TIMEOUT, query(servers, name, Record::Srv, &progress)).await
        {
            Ok(Ok((answers, _))) => answers,
            Ok(Err(failure)) if failure.outcome == crate::Outcome::Failed(LinkReason::Silent) => {
                return Err(LookupError::Silent {
                    name: owned(),
                    waited: progress.elapsed(),
                });
            }
            Ok(Err(failure)) => {
                return Err(LookupError::Nothing {
                    name: owned(),
                    why: failure.detail,
                });
            }
            Err(_) => {
                return Err(LookupError::Silent {
                    name: owned(),
                    waited: SRV_TIMEOUT,
                });
            }
        };
    let mut services: Vec<_> = answers
        .into_iter()
        .filter_map(|answer| answer.service)
        .filter(|service| service.port != 0 && is_host(&service.host))
        .collect();
    services.sort_by_key(|service| (service.priority, u16::MAX - service.weight));
    if services.is_empty() {
        return Err(LookupError::Nothing {
            name: owned(),
            why: "the answer is empty".to_owned(),
        });
    }
    Ok(services
        .into_iter()
        .map(|service| (service.host, service.port))
        .collect())
}

fn is_host(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 253 && name.chars().all(plain)
}

/// One record of an answer, as text, and taken apart where it names a service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RecordText {
    text: String,
    service: Option<Service>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

/// Asks for a name's records and checks that one holds the expected text.
pub(super) async fn ask(
    resolver: &Resolver,
    name: &str,
    server: Option<&HostPort>,
    record: Record,
    expect: Option<&str>,
    progress: &Progress,
) -> Result<Answered, Failure> {
    let servers = match server {
        Some(at) => vec![resolver.first(&at.host, at.port, progress).await?],
        None => {
            progress.no_name();
            system_servers().await
        }
    };
    progress.enter(Phase::FirstByte);
    let (answers, rtt) = query(&servers, name, record, progress).await?;
    let found = match expect {
        Some(wanted) => answers.iter().find(|answer| answer.text.contains(wanted)),
        None => answers.first(),
    };
    match (found, expect) {
        (Some(answer), Some(_)) => Ok(Answered::good(rtt, answer.text.clone())),
        // Answers of a name with several addresses come in turn: the text would never rest.
        (Some(_), None) => Ok(Answered::good(rtt, "")),
        (None, _) => {
            let got = answers
                .first()
                .map_or("nothing", |answer| answer.text.as_str());
            let wanted = expect.unwrap_or_default();
            Err(Failure::new(
                LinkReason::Answer,
                format!("no record holds {wanted:?}; the first is {got}"),
            ))
        }
    }
}

/// Asks the servers in turn, each with its share of the time left.
async fn query(
    servers: &[SocketAddr],
    name: &str,
    record: Record,
    progress: &Progress,
) -> Result<(Vec<RecordText>, Duration), Failure> {
    let mut last = Failure::not_asked("no DNS server is configured on this machine");
    for (tried, server) in servers.iter().enumerate() {
        let share = progress.left() / u32::try_from(servers.len() - tried).unwrap_or(1);
        last = match tokio::time::timeout(share, query_one(*server, name, record)).await {
            Ok(Ok(answer)) => return Ok(answer),
            // An answer is an answer: another server would only say the same.
            Ok(Err(failure)) if failure.outcome == crate::Outcome::Failed(LinkReason::Answer) => {
                return Err(failure);
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(
                LinkReason::Silent,
                format!("no answer from DNS server {server}"),
            ),
        };
    }
    Err(last)
}

async fn query_one(
    server: SocketAddr,
    name: &str,
    record: Record,
) -> Result<(Vec<RecordText>, Duration), Failure> {
    let failed = |error: std::io::Error| Failure::io(&error, &format!("DNS server {server}"));
    let id: u16 = rand::random();
    let asked = write_query(id, name, record)?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    let sent = Instant::now();
    socket.send(&asked).await.map_err(failed)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let bytes = &buffer[..length];
        if !answers_ours(bytes, &asked) {
            continue;
        }
        let rtt = sent.elapsed();
        let cut = header_buffer::has_flags(bytes, PacketFlag::TRUNCATION).unwrap_or(false);
        let whole = if cut {
            Some(query_tcp(server, &asked).await?)
        } else {
            None
        };
        return read_answer(whole.as_deref().unwrap_or(bytes), name, record)
            .map(|records| (records, rtt));
    }
}

/// The same question over TCP; the answer's length is bounded by its two-byte prefix.
async fn query_tcp(server: SocketAddr, asked: &[u8]) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::io(&error, &format!("DNS over TCP at {server}"));
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let length =
        u16::try_from(asked.len()).map_err(|_| Failure::not_asked("the question is too long"))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(asked);
    stream.write_all(&framed).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    if !answers_ours(&answer, asked) {
        return Err(Failure::new(
            LinkReason::Answer,
            "DNS over TCP: the answer is to another question",
        ));
    }
    Ok(answer)
}

fn write_query(id: u16, name: &str, record: Record) -> Result<Vec<u8>, Failure> {
    let wrong = |_| Failure::not_asked(format!("{name} is no DNS name"));
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name.trim_end_matches('.')).map_err(wrong)?;
    let kind = QTYPE::TYPE(type_of(record));
    packet.questions.push(DnsQuestion::new(
        name,
        kind,
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().map_err(wrong)
}

/// Same id, a response, and the question repeated byte for byte (case of letters aside).
fn answers_ours(bytes: &[u8], asked: &[u8]) -> bool {
    let Some(question) = bytes.get(12..asked.len()) else {
        return false;
    };
    bytes[..2] == asked[..2] && bytes[2] & 0x80 != 0 && question.eq_ignore_ascii_case(&asked[12..])
}

/// Reads the records of the wanted type. Counts that the bytes cannot hold are refused
/// before anything is set aside for them.
fn read_answer(bytes: &[u8], name: &str, record: Record) -> Result<Vec<RecordText>, Failure> {
    let garbled = || Failure::new(LinkReason::Answer, "the DNS answer cannot be read");
    let count = |read: fn(&[u8]) -> simple_dns::Result<u16>| {
        read(bytes).map(usize::from).map_err(|_| garbled())
    };
    let questions = count(header_buffer::questions)?;
    let records = count(header_buffer::answers)?
        + count(header_buffer::name_servers)?
        + count(header_buffer::additional_records)?;
    // A question takes at least 5 bytes, a record at least 11.
    if 12 + questions * 5 + records * 11 > bytes.len() {
        return Err(garbled());
    }
    let packet = Packet::parse(bytes).map_err(|_| garbled())?;
    match packet.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => {
            return Err(Failure::new(
                LinkReason::Answer,
                format!("{name} does not exist (NXDOMAIN)"),
            ));
        }
        RCODE::ServerFailure => {
            return Err(Failure::new(
                LinkReason::Answer,
                "the DNS server failed (SERVFAIL)",
            ));
        }
        RCODE::Refused => {
            return Err(Failure::new(
                LinkReason::Answer,
                "the DNS server refuses to answer (REFUSED)",
            ));
        }
        other => {
            return Err(Failure::new(
                LinkReason::Answer,
                format!("the DNS server answers {other:?}"),
            ));
        }
    }
    let texts: Vec<_> = packet
        .answers
        .iter()
        .take(RECORDS_MAX)
        .filter_map(|r| to_text(&r.rdata, record))
        .collect();
    if texts.is_empty() {
        return Err(Failure::new(
            LinkReason::Answer,
            format!("{name} has no {record:?} record"),
        ));
    }
    Ok(texts)
}

fn to_text(rdata: &RData<'_>, wanted: Record) -> Option<RecordText> {
    let name = |name: &Name<'_>| to_plain_text(&name.to_string(), 253);
    let mut service = None;
    let text = match (rdata, wanted) {
        (RData::A(a), Record::A) => Ipv4Addr::from(a.address).to_string(),
        (RData::AAAA(aaaa), Record::Aaaa) => Ipv6Addr::from(aaaa.address).to_string(),
        (RData::CNAME(cname), Record::Cname) => name(&cname.0),
        (RData::NS(ns), Record::Ns) => name(&ns.0),
        (RData::MX(mx), Record::Mx) => format!("{} {}", mx.preference, name(&mx.exchange)),
        (RData::TXT(txt), Record::Txt) => to_plain_text(&String::try_from(txt.clone()).ok()?, 1024),
        (RData::SRV(srv), Record::Srv) => {
            let host = name(&srv.target);
            let text = format!("{} {} {} {host}", srv.priority, srv.weight, srv.port);
            service = Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                host,
                port: srv.port,
            });
            text
        }
        _ => return None,
    };
    Some(RecordText { text, service })
}

fn type_of(record: Record) -> TYPE {
    match record {
        Record::A => TYPE::A,
        Record::Aaaa => TYPE::AAAA,
        Record::Cname => TYPE::CNAME,
        Record::Mx => TYPE::MX,
        Record::Txt => TYPE::TXT,
        Record::Srv => TYPE::SRV,
        Record::Ns => TYPE::NS,
    }
}

/// The system's servers; the loopback one where none is named, as the C library does.
async fn system_servers() -> Vec<SocketAddr> {
    let text = tokio::fs::read("/etc/resolv.conf")
        .await
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(RESOLV_CONF_BYTES_MAX)]).into_owned();
    read_resolv_conf(&text)
}

fn read_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        // A zone (`fe80::1%eth0`) needs the interface's number, which is not to be had here.
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(SERVERS_MAX)
        .collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    servers
}

pub(super) fn fuzz(bytes: &[u8]) {
    let _ = answers_ours(bytes, &[0; 17]);
    for record in [
        Record::A,
        Record::Aaaa,
        Record::Cname,
        Record::Mx,
        Record::Txt,
        Record::Srv,
        Record::Ns,
    ] {
        let _ = read_answer(bytes, "example.com", record);
    }
    let _ = read_resolv_conf(&String::from_utf8_lossy(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn resolv_conf_is_read_as_the_system_reads_it() {
        let check = |text: &str, expected: &[&str]| {
            let servers: Vec<_> = read_resolv_conf(text)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(servers, expected, "{text}");
        };
        check("", &["127.0.0.1:53"]);
        check(
            "# nameserver 1.1.1.1\nsearch a\nnameserver\t9.9.9.9 # x\n",
            &["9.9.9.9:53"],
        );
        check(
            "nameserver ::1\nnameserver fe80::1%eth0\nnameservers 1.1.1.1\n",
            &["[::1]:53"],
        );
        check(
            "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4",
            &["1.0.0.1:53", "1.0.0.2:53", "1.0.0.3:53"],
        );
    }

    #[test]
    fn an_answer_repeats_our_question_or_is_passed_over() {
        let asked = write_query(7, "example.com", Record::A).unwrap();
        let mut answer = asked.clone();
        assert!(!answers_ours(&answer, &asked), "a query is no answer");
        answer[2] |= 0x80;
        assert!(answers_ours(&answer, &asked));
        assert!(!answers_ours(&answer[..20], &asked));
        answer[1] ^= 1;
        assert!(!answers_ours(&answer, &asked));
    }

    #[test]
    fn counts_beyond_the_bytes_are_refused() {
        let mut bytes = write_query(7, "example.com", Record::A).unwrap();
        bytes[2] |= 0x80;
        bytes[6..8].copy_from_slice(&[0xff, 0xff]);
        assert!(read_answer(&bytes, "example.com", Record::A).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,200}") {
            let asked = write_query(7, "example.com", Record::A).unwrap();
            let _ = answers_ours(&bytes, &asked);
            let _ = read_answer(&bytes, "example.com", Record::Txt);
            let _ = read_resolv_conf(&text);
        }

        #[test]
        fn a_broken_answer_is_read_without_harm(at in 12_usize..60, value: u8) {
            let mut packet = Packet::new_reply(7);
            let srv = simple_dns::rdata::SRV { priority: 1, weight: 2, port: 3, target: Name::new_unchecked("a.example.com") };
            packet.answers.push(simple_dns::ResourceRecord::new(
                Name::new_unchecked("example.com"), CLASS::IN, 60, RData::SRV(srv)));
            let mut bytes = packet.build_bytes_vec().unwrap();
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            let _ = read_answer(&bytes, "example.com", Record::Srv);
        }
    }
}
