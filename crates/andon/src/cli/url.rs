//! Where a running node is asked: `http://127.0.0.1:8777`, `https://10.0.1.2:8777`.

use hyper::Uri;

/// A node's address as a URL, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl {
    /// TLS.
    pub tls: bool,
    /// Host without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl NodeUrl {
    /// Reads a URL; without a scheme `http` is meant for loopback and `https` elsewhere.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is no node's address; write http://127.0.0.1:8777 or https://HOST:8777"
            )
        };
        let uri: Uri = text
            .trim()
            .trim_end_matches('/')
            .parse()
            .map_err(|_| expected())?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(expected)?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let loopback = host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            None => !loopback,
            Some(_) => return Err(expected()),
        };
        if uri
            .path_and_query()
            .is_some_and(|path| path.as_str() != "/")
        {
            return Err(format!(
                "{text:?} has a path; the node's address alone is meant"
            ));
        }
        Ok(Self {
            tls,
            host,
            port: uri.port_u16().unwrap_or(8777),
        })
    }

    /// As it is sent in `Host`.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.authority()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let check = |text: &str, expected: Result<&str, ()>| {
            let read = NodeUrl::parse(text).map(|url| url.to_string());
            assert_eq!(read.as_deref().map_err(|_| ()), expected, "{text}");
        };
        check("http://127.0.0.1:8777", Ok("http://127.0.0.1:8777"));
        check("https://10.0.1.2:8777/", Ok("https://10.0.1.2:8777"));
        check("https://node", Ok("https://node:8777"));
        check("localhost:9000", Ok("http://localhost:9000"));
        check("web-1:8777", Ok("https://web-1:8777"));
        check("http://[::1]:8777", Ok("http://[::1]:8777"));
        check("ftp://node", Err(()));
        check("http://node/api", Err(()));
        check("", Err(()));
    }
}
