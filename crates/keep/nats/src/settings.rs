//! Which servers, which stream, and who logs in.

use crate::error::{NatsError, one_line};
use crate::nkey::Credentials;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// The port of NATS.
const PORT: u16 = 4222;
/// For how long JetStream knows messages by their name: beyond any retry of a node that lives.
pub const DUPLICATES_FOR: Duration = Duration::from_secs(120);

/// What a node works with.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Servers of one NATS system; the first that answers is used.
    pub servers: Vec<Server>,
    /// A file with a login, as `nsc generate creds` writes it.
    pub credentials: Option<PathBuf>,
    /// The stream: letters, digits, `-` and `_`.
    pub stream: String,
    /// Bytes that the stream may hold, where Andon makes it.
    pub bytes_max: u64,
    /// Servers that have each message, where Andon makes the stream.
    pub replicas: u32,
}

impl Settings {
    /// The subject on which a node sends to a keeper.
    pub fn subject(&self, site: &str, node: &str, keeper: &str) -> String {
        let [site, node, keeper] = [site, node, keeper].map(token);
        format!("andon.events.{}.{site}.{node}.{keeper}", self.stream)
    }

    /// The subjects of all nodes that send to a keeper.
    pub fn subjects_to(&self, keeper: &str) -> String {
        format!("andon.events.{}.*.*.{}", self.stream, token(keeper))
    }

    /// All subjects of the stream.
    pub fn subjects(&self) -> String {
        format!("andon.events.{}.>", self.stream)
    }
}

/// A name as a part of a subject, and as the name of a consumer: dots would part it, and no
/// name holds `=`.
pub fn token(name: &str) -> String {
    name.replace('.', "=")
}

/// The name that a token stands for.
pub fn name_of(token: &str) -> String {
    token.replace('=', ".")
}

/// Whether a stream may be called so.
pub fn is_stream_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fit)
}

/// Who logs in, as the address says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Nobody,
    User {
        user: String,
        password: Zeroizing<String>,
    },
    Token(Zeroizing<String>),
}

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) login: Login,
}

impl Server {
    /// Reads `nats://host`, `tls://user:password@host:4222` or `nats://token@host`.
    pub fn parse(url: &str) -> Result<Self, NatsError> {
        let wrong = |reason: &str| NatsError::Address {
            // What is before an @ may be a password.
            url: one_line(url.rsplit('@').next().unwrap_or_default()),
            reason: reason.to_owned(),
        };
        let (secure, rest) = match url.split_once("://") {
            Some(("nats", rest)) => (false, rest),
            Some(("tls", rest)) => (true, rest),
            _ => return Err(wrong("it begins with neither nats:// nor tls://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_v6 = host.parse::<std::net::Ipv6Addr>().is_ok();
        if host.is_empty() || !(is_v6 || host.bytes().all(fit)) {
            return Err(wrong("it names no host"));
        }
        let port = match port {
            None => PORT,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(wrong("its port is none")),
            },
        };
        let read = |text: &str| {
            let text = unpercent(text).filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| wrong("what is before the @ cannot be read"));
            text.map(Zeroizing::new)
        };
        let login = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => Login::Nobody,
            Some(Ok((user, password))) => Login::User {
                user: read(user)?.to_string(),
                password: read(password)?,
            },
            Some(Err(token)) => Login::Token(read(token)?),
        };
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            login,
        })
    }

    /// Host and port.
    pub fn label(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Without the login.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "tls" } else { "nats" };
        write!(f, "{scheme}://{}", self.label())
    }
}

/// Whether a file holds a login; what is wrong with it otherwise.
pub fn check_credentials(text: &str) -> Result<(), String> {
    Credentials::parse(text).map(drop)
}

fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_its_login_never_shown() {
        let check = |url: &str, label: &str, secure: bool| {
            let server = Server::parse(url).unwrap();
            assert_eq!((server.label().as_str(), server.secure), (label, secure));
            assert!(!format!("{server:?}").contains("s@crt"));
            server.login
        };
        assert!(check("nats://hub.example", "hub.example:4222", false) == Login::Nobody);
        assert!(check("nats://[::1]:4300/", "[::1]:4300", false) == Login::Nobody);
        assert!(check("tls://[::1]", "[::1]:4222", true) == Login::Nobody);
        let user = Login::User {
            user: "a.b".to_owned(),
            password: Zeroizing::new("s@crt".to_owned()),
        };
        assert!(check("tls://a.b:s%40crt@hub:1", "hub:1", true) == user);
        let token = Login::Token(Zeroizing::new("s@crt".to_owned()));
        assert!(check("nats://s%40crt@hub", "hub:4222", false) == token);
        for wrong in [
            "hub:4222",
            "http://hub",
            "nats://",
            "nats://u:secret@",
            "nats://hub:port",
            "nats://hub:0",
            "nats://secret:@hub",
            "nats://hub/path",
            "nats://a b",
            "",
        ] {
            let error = Server::parse(wrong).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn names_with_dots_are_one_part_of_a_subject() {
        let settings = Settings {
            servers: Vec::new(),
            credentials: None,
            stream: "andon".to_owned(),
            bytes_max: 0,
            replicas: 1,
        };
        assert_eq!(
            settings.subject("eu.west", "web-1.example", "k.1"),
            "andon.events.andon.eu=west.web-1=example.k=1"
        );
        assert_eq!(name_of(&token("a.b-c_d")), "a.b-c_d");
        for (name, is_one) in [("ANDON", true), ("a.b", false), ("", false), ("a b", false)] {
            assert_eq!(is_stream_name(name), is_one, "{name}");
        }
    }
}
