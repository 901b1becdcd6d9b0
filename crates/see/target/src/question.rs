//! A declaration, checked and taken apart once, before anything is asked.

use andon_model::{ProbeKind, TargetSpec, Transport};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Shortest time between two questions to one target. Halved, a slip in a configuration
/// could make a whole site hammer somebody's server.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Longest time between two questions.
pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);
/// Shortest wait for an answer.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// Longest wait for an answer. Doubled, a silent peer would hold a socket for two minutes.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Days of validity left below which a certificate is worth a word, unless declared.
pub const EXPIRY_DAYS_DEFAULT: u16 = 14;
/// Port of STAMP reflectors (RFC 8762 §4.1).
pub const STAMP_PORT: u16 = 862;
/// Longest address, URL, body or record text that a declaration may hold, bytes.
pub const TEXT_BYTES_MAX: usize = 2048;

/// Why a declaration cannot be asked. The target stays *unknown*, with this as its detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No host where one is needed.
    #[error("{address:?} is no {wanted}")]
    Address {
        /// The address as declared.
        address: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A URL that cannot be asked.
    #[error("{url:?} is no URL to ask: {why}")]
    Url {
        /// The URL as declared.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A status list that cannot be read.
    #[error("status {text:?} is no list of codes and ranges such as 200 or 200-399,401")]
    Status {
        /// As declared.
        text: String,
    },
    /// A record type that is not asked for.
    #[error("record type {text:?} is none of A AAAA CNAME MX TXT SRV NS")]
    Record {
        /// As declared.
        text: String,
    },
    /// A text beyond [`TEXT_BYTES_MAX`].
    #[error("a text of the declaration has {bytes} bytes, at most {TEXT_BYTES_MAX} are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// HTTP status codes that count as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Whether this code is good.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&status))
    }

    /// Reads `200`, `200-399`, `200,204,301-302`.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let code = |part: &str| {
            part.trim()
                .parse::<u16>()
                .ok()
                .filter(|c| (100..=599).contains(c))
        };
        let range = |part: &str| match part.split_once('-') {
            Some((low, high)) => Some((code(low)?, code(high)?)).filter(|(low, high)| low <= high),
            None => code(part).map(|only| (only, only)),
        };
        let ranges: Option<Vec<_>> = text.split(',').take(32).map(range).collect();
        ranges.map(Self).ok_or_else(|| SpecError::Status {
            text: shorten(text),
        })
    }
}

/// What an HTTP question asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpQuestion {
    /// Over TLS.
    pub tls: bool,
    /// Where to connect.
    pub at: HostPort,
    /// `Host` header.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Good codes.
    pub status: StatusSet,
    /// Text that the body must hold.
    pub body: Option<String>,
}

/// DNS record types that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Canonical name.
    Cname,
    /// Mail exchange.
    Mx,
    /// Text.
    Txt,
    /// Service.
    Srv,
    /// Name server.
    Ns,
}

impl Record {
    /// Reads a type's name in either case.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Ok(match text.to_ascii_uppercase().as_str() {
            "A" => Record::A,
            "AAAA" => Record::Aaaa,
            "CNAME" => Record::Cname,
            "MX" => Record::Mx,
            "TXT" => Record::Txt,
            "SRV" => Record::Srv,
            "NS" => Record::Ns,
            _ => {
                return Err(SpecError::Record {
                    text: shorten(text),
                });
            }
        })
    }
}

/// What is asked of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// ICMP echo to a host.
    Icmp {
        /// Name or address.
        host: String,
    },
    /// TCP connect.
    Tcp(HostPort),
    /// HTTP(S) GET.
    Http(HttpQuestion),
    /// TLS handshake.
    Tls {
        /// Where to connect.
        at: HostPort,
        /// Days of validity below which it is degraded.
        expiry_days: u16,
    },
    /// DNS query.
    Dns {
        /// Name to ask for.
        name: String,
        /// Server; `None` asks the system's.
        server: Option<HostPort>,
        /// Record type.
        record: Record,
        /// Text that one answer must hold.
        expect: Option<String>,
    },
    /// Unauthenticated STAMP.
    Stamp(HostPort),
}

impl Question {
    /// Checks a declaration.
    pub fn from_spec(spec: &TargetSpec) -> Result<Self, SpecError> {
        let address = bounded(spec.address.trim())?;
        Ok(match &spec.probe {
            ProbeKind::Icmp => Question::Icmp {
                host: host(address, "host name or address")?,
            },
            ProbeKind::Tcp => Question::Tcp(host_port(address, None)?),
            ProbeKind::Http { status, body } => {
                Question::Http(http(address, status.as_deref(), body.as_deref())?)
            }
            ProbeKind::Tls { expiry_days } => Question::Tls {
                at: host_port(address, Some(443))?,
                expiry_days: expiry_days.unwrap_or(EXPIRY_DAYS_DEFAULT),
            },
            ProbeKind::Dns {
                server,
                record,
                expect,
            } => Question::Dns {
                name: host(address, "DNS name")?,
                server: server
                    .as_deref()
                    .map(|text| host_port(bounded(text)?, Some(53)))
                    .transpose()?,
                record: record.as_deref().map_or(Ok(Record::A), Record::parse)?,
                expect: expect
                    .as_deref()
                    .map(|text| bounded(text).map(str::to_owned))
                    .transpose()?,
            },
            ProbeKind::Stamp => Question::Stamp(host_port(address, Some(STAMP_PORT))?),
        })
    }

    /// What carries it.
    pub fn transport(probe: &ProbeKind) -> Transport {
        match probe {
            ProbeKind::Icmp => Transport::Icmp,
            ProbeKind::Tcp => Transport::TcpConnect,
            ProbeKind::Http { .. } => Transport::Http,
            ProbeKind::Tls { .. } => Transport::Tls,
            ProbeKind::Dns { .. } => Transport::Dns,
            ProbeKind::Stamp => Transport::Udp,
        }
    }
}

/// Time between questions, within its bounds.
pub fn interval(spec: &TargetSpec) -> Duration {
    Duration::from_millis(spec.interval_ms.into()).clamp(INTERVAL_MIN, INTERVAL_MAX)
}

/// Wait for an answer, within its bounds.
pub fn timeout(spec: &TargetSpec) -> Duration {
    Duration::from_millis(spec.timeout_ms.into()).clamp(TIMEOUT_MIN, TIMEOUT_MAX)
}

fn http(url: &str, status: Option<&str>, body: Option<&str>) -> Result<HttpQuestion, SpecError> {
    let wrong = |why| SpecError::Url {
        url: shorten(url),
        why,
    };
    let uri: hyper::Uri = url.parse().map_err(|_| wrong("it cannot be read"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong("it begins neither with http:// nor with https://")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong(
            "it holds a user name or password, which every node would see",
        ));
    }
    let default_port = if tls { 443 } else { 80 };
    let at = host_port(authority.as_str(), Some(default_port))
        .map_err(|_| wrong("its host or port is wrong"))?;
    Ok(HttpQuestion {
        tls,
        at,
        authority: authority.as_str().to_owned(),
        path: uri
            .path_and_query()
            .map_or_else(|| "/".to_owned(), |p| p.as_str().to_owned()),
        status: StatusSet::parse(status.unwrap_or("200-399"))?,
        body: body
            .map(|text| bounded(text).map(str::to_owned))
            .transpose()?,
    })
}

/// Reads `host:port`, `[v6]:port`, and where there is a default port also `host` and `v6`.
pub fn host_port(text: &str, default_port: Option<u16>) -> Result<HostPort, SpecError> {
    let wanted = if default_port.is_some() {
        "host or host:port"
    } else {
        "host:port"
    };
    let wrong = || SpecError::Address {
        address: shorten(text),
        wanted,
    };
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or_else(wrong)?;
        name.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
        (name, rest.strip_prefix(':'))
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|port| *port != 0),
        None => default_port,
    };
    Ok(HostPort {
        host: host(name, wanted).map_err(|_| wrong())?,
        port: port.ok_or_else(wrong)?,
    })
}

fn host(text: &str, wanted: &'static str) -> Result<String, SpecError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(plain);
    if is_name || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(SpecError::Address {
            address: shorten(text),
            wanted,
        })
    }
}

fn bounded(text: &str) -> Result<&str, SpecError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SpecError::TooLong { bytes: text.len() });
    }
    Ok(text)
}

fn shorten(text: &str) -> String {
    andon_model::id::to_plain_text(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let check = |text: &str, default_port, expected: Option<(&str, u16)>| {
            let expected = expected.map(|(host, port)| HostPort {
                host: host.into(),
                port,
            });
            assert_eq!(host_port(text, default_port).ok(), expected, "{text}");
        };
        check("web:80", None, Some(("web", 80)));
        check("web", None, None);
        check("web", Some(443), Some(("web", 443)));
        check("10.0.0.1:0", None, None);
        check("10.0.0.1:65536", None, None);
        check("[::1]:862", None, Some(("::1", 862)));
        check("::1", Some(862), Some(("::1", 862)));
        check("[::1", Some(862), None);
        check("[web]:1", None, None);
        check("<b>:1", None, None);
        check(":1", None, None);
    }

    #[test]
    fn status_lists_hold_what_they_say() {
        let check = |text: &str, good: &[u16], bad: &[u16]| {
            let set = StatusSet::parse(text).unwrap();
            assert!(good.iter().all(|code| set.contains(*code)), "{text}");
            assert!(!bad.iter().any(|code| set.contains(*code)), "{text}");
        };
        check("200", &[200], &[201, 199]);
        check("200-399", &[200, 301, 399], &[400]);
        check("200, 301-302", &[200, 301, 302], &[204, 303]);
        for wrong in ["", "ok", "99", "600", "399-200", "200-", "200,,201"] {
            assert!(StatusSet::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn urls_that_cannot_be_asked_say_why() {
        let why = |url: &str| http(url, None, None).unwrap_err().to_string();
        assert!(
            why("ftp://a/").contains("neither with http"),
            "{}",
            why("ftp://a/")
        );
        assert!(why("http://u:p@a/").contains("password"));
        assert!(why("http:///x").contains("no URL"));
        let question = http("https://[::1]:8443/a?b=c", None, None).unwrap();
        assert_eq!((question.at.port, question.path.as_str()), (8443, "/a?b=c"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_readers(text in "\\PC{0,80}") {
            let _ = host_port(&text, Some(1));
            let _ = StatusSet::parse(&text);
            let _ = http(&text, Some(&text), None);
        }
    }
}
