//! Where the first peers are: addresses, DNS names (all their A and AAAA answers), SRV names,
//! seed files, seed URLs. Asked again and again, since names and files change.

use crate::config::settings::Seed;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Largest seed file; 64 kB hold more seeds than anybody needs.
const SEEDS_BYTES_MAX: usize = 65_536;
/// Most addresses taken from all seeds together.
const ADDRESSES_MAX: usize = 256;
/// One seed's answer is waited for so long.
const SEED_TIMEOUT: Duration = Duration::from_secs(5);
/// Seeds are asked anew so often: names and files change.
const AGAIN: Duration = Duration::from_secs(30);
/// The same while they yield nothing.
const AGAIN_EMPTY: Duration = Duration::from_secs(3);
/// A seed without a port means Andon's own.
pub const DEFAULT_PORT: u16 = 8777;

/// Why a seed yields no address.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A name that DNS does not know, an unreadable file, an unreachable URL.
    #[error("{seed}: {reason}")]
    Unresolved {
        /// As it was written.
        seed: String,
        /// In words.
        reason: String,
    },
}

/// Asks all seeds; what fails is returned beside what worked.
pub async fn resolve(seeds: &[Seed]) -> (Vec<SocketAddr>, Vec<SeedError>) {
    let mut addresses = Vec::new();
    let mut errors = Vec::new();
    for seed in seeds {
        let found = tokio::time::timeout(SEED_TIMEOUT, resolve_one(seed)).await;
        let found = found.unwrap_or_else(|_| Err(format!("no answer in {SEED_TIMEOUT:?}")));
        match found {
            Ok(found) => addresses.extend(found),
            Err(reason) => errors.push(SeedError::Unresolved {
                seed: name(seed),
                reason,
            }),
        }
    }
    addresses.sort();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    (addresses, errors)
}

fn name(seed: &Seed) -> String {
    match seed {
        Seed::HostPort(text) | Seed::Url(text) => text.clone(),
        Seed::File(path) => path.display().to_string(),
    }
}

async fn resolve_one(seed: &Seed) -> Result<Vec<SocketAddr>, String> {
    match seed {
        Seed::HostPort(text) => resolve_host(text).await,
        Seed::File(path) => {
            let text = tokio::fs::read_to_string(path)
                .await
                .map_err(|e| e.to_string())?;
            resolve_list(&text).await
        }
        Seed::Url(url) => resolve_list(&fetch(url).await?).await,
    }
}

async fn resolve_list(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    let mut last_error = None;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    for line in lines.filter(|line| !line.is_empty()).take(ADDRESSES_MAX) {
        match resolve_host(line).await {
            Ok(found) => addresses.extend(found),
            Err(error) => last_error = Some(format!("{line:?}: {error}")),
        }
    }
    match last_error {
        Some(error) if addresses.is_empty() => Err(error),
        _ => Ok(addresses),
    }
}

async fn resolve_host(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    if text.starts_with('_') {
        let mut addresses = Vec::new();
        let services = andon_target::srv_lookup(text)
            .await
            .map_err(|e| e.to_string())?;
        for (host, port) in services {
            let host = host.trim_end_matches('.').to_owned();
            if let Ok(found) = tokio::net::lookup_host((host, port)).await {
                addresses.extend(found);
            }
        }
        return Ok(addresses);
    }
    let with_port = if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, DEFAULT_PORT)]);
    } else if text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        text.to_owned()
    } else {
        format!("{text}:{DEFAULT_PORT}")
    };
    let found = tokio::net::lookup_host(with_port)
        .await
        .map_err(|e| e.to_string())?;
    Ok(found.collect())
}

/// Fetches a seed list. Redirects are not followed: a seed list moves by configuration.
async fn fetch(url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|e| format!("{e}"))?;
    let host = uri.host().ok_or("a URL needs a host")?.to_owned();
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("a seed URL starts with http:// or https://".into()),
    };
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let bare_host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let stream = TcpStream::connect((bare_host.as_str(), port))
        .await
        .map_err(|e| e.to_string())?;
    if !tls {
        return request(stream, &uri).await;
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(bare_host).map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    request(
        connector
            .connect(name, stream)
            .await
            .map_err(|e| e.to_string())?,
        &uri,
    )
    .await
}

async fn request<S>(stream: S, uri: &Uri) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = hyper::Request::get(path)
        .header("host", uri.authority().map_or("", |a| a.as_str()))
        .header("user-agent", "andon")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), SEEDS_BYTES_MAX)
        .collect()
        .await;
    driver.abort();
    if !status.is_success() {
        return Err(format!("answered {status}"));
    }
    let bytes = body.map_err(|e| e.to_string())?.to_bytes();
    String::from_utf8(bytes.to_vec()).map_err(|_| "the list is not UTF-8".into())
}

/// Asks all seeds again and again, sooner while they yield nothing.
pub async fn follow(
    mut seeds: watch::Receiver<Vec<Seed>>,
    found: watch::Sender<Vec<SocketAddr>>,
    cancel: CancellationToken,
) {
    loop {
        let wanted = seeds.borrow_and_update().clone();
        let (addresses, errors) = resolve(&wanted).await;
        for error in errors {
            tracing::warn!(%error, "a seed yields no address; it is asked again");
        }
        let pause = if addresses.is_empty() {
            AGAIN_EMPTY
        } else {
            AGAIN
        };
        found.send_if_modified(|known| {
            let changed = *known != addresses;
            *known = addresses;
            changed
        });
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = seeds.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause), if !wanted.is_empty() => {}
        }
    }
}
