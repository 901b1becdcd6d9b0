//! Text to value, for whatever kind of source the text came from. Each function's error is
//! what was expected, in words.

use super::settings::{Advertise, Seed};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `500ms`, `1s`, `5m`, `2h`, `30d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "a time with its unit: 500ms, 1s, 5m, 2h or 30d";
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| EXPECTED)?;
    let unit_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(EXPECTED.into()),
    };
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .ok_or_else(|| EXPECTED.into())
}

/// The shortest way to write a duration that reads back as the same.
pub fn write_duration(span: Duration) -> String {
    let ms = span.as_millis();
    for (unit, unit_ms) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A duration within limits.
pub fn duration_in(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = duration(text)?;
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err(format!(
        "a time from {} to {}",
        write_duration(least),
        write_duration(most)
    ))
}

/// A whole number within limits.
pub fn number_in(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let expected = || format!("a whole number from {least} to {most}");
    let number: u32 = text.parse().map_err(|_| expected())?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(expected())
    }
}

/// `true` or `false`, as environment variables tend to say it.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// `10.0.0.1:8777`, `[2001:db8::1]:8777`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("an address with its port: {ip}:8777"),
        Ok(IpAddr::V6(ip)) => format!("an address with its port: [{ip}]:8777"),
        Err(_) => "ADDR:PORT, such as 10.0.0.1:8777 or [2001:db8::1]:8777".into(),
    })
}

/// An address to listen on; `:8777` means all of the host's.
pub fn listen(text: &str, any: IpAddr) -> Result<SocketAddr, String> {
    match text.strip_prefix(':').map(str::parse::<u16>) {
        Some(Ok(port)) => Ok(SocketAddr::new(any, port)),
        _ => address(text),
    }
}

/// `auto`, `none`, or addresses.
pub fn advertise(texts: &[&str]) -> Result<Advertise, (usize, String)> {
    match texts {
        [] | ["auto"] => return Ok(Advertise::Auto),
        ["none"] => return Ok(Advertise::None),
        _ => {}
    }
    let mut addresses = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        if matches!(*text, "auto" | "none") {
            return Err((index, format!("`{text}` alone, or addresses alone")));
        }
        let at = address(text).map_err(|e| (index, format!("auto, none, or {e}")))?;
        if at.ip().is_unspecified() || at.port() == 0 {
            return Err((
                index,
                "an address that others can reach; 0.0.0.0 and port 0 are none".into(),
            ));
        }
        addresses.push(at);
    }
    Ok(Advertise::At(addresses))
}

/// `host:port`, a host, or an SRV name; checked for form, resolved by the node.
pub fn host_port(text: &str) -> Result<Seed, String> {
    const EXPECTED: &str =
        "HOST:PORT, such as 10.0.1.2:8777, [2001:db8::1]:8777 or andon.example.com:8777";
    if text.parse::<SocketAddr>().is_ok() || text.parse::<IpAddr>().is_ok() {
        return Ok(Seed::HostPort(text.into()));
    }
    let (host, port) = text
        .rsplit_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    let host_is_fit = !host.is_empty()
        && host.len() <= 253
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    let port_is_fit = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host_is_fit && port_is_fit {
        Ok(Seed::HostPort(text.into()))
    } else {
        Err(EXPECTED.into())
    }
}

/// A seeds file or URL.
pub fn seeds(text: &str, base: &Path) -> Result<Seed, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return match text.parse::<hyper::Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => {
                Ok(Seed::Url(text.into()))
            }
            _ => Err("a URL such as https://example.com/seeds.txt".into()),
        };
    }
    if text.contains("://") {
        return Err("a file, or a URL that begins with http:// or https://".into());
    }
    Ok(Seed::File(path(text, base)?))
}

/// A path; a relative one is meant from `base`.
pub fn path(text: &str, base: &Path) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path".into());
    }
    Ok(base.join(text))
}

/// Free text fit for a screen.
pub fn plain(text: &str, bytes_max: usize) -> Result<String, String> {
    if andon_model::id::is_plain_text(text, bytes_max) {
        return Ok(text.into());
    }
    Err(format!(
        "at most {bytes_max} bytes without control characters"
    ))
}
