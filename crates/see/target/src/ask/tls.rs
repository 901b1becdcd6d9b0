//! TLS handshake and what the certificate says. The handshake goes on whatever the
//! certificate, so that an expired one can be described; what is wrong is found beside it.

use super::progress::{Phase, Progress};
use super::{Answered, Failure};
use crate::answer::{Certificate, Outcome};
use crate::question::HostPort;
use andon_model::id::to_plain_text;
use andon_model::{LinkReason, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// Certificates of a chain that are described.
const CHAIN_MAX: usize = 8;
/// Names of a certificate that are kept.
const NAMES_MAX: usize = 20;
/// Longest name that is shown, bytes.
const NAME_BYTES_MAX: usize = 80;
const DAY: Duration = Duration::from_secs(86_400);

/// Which issuers are trusted.
pub struct Trust {
    provider: Arc<CryptoProvider>,
    roots: Option<Vec<CertificateDer<'static>>>,
    verifier: OnceCell<Option<Arc<WebPkiServerVerifier>>>,
}

impl Trust {
    /// The machine's own roots, read when first needed.
    pub fn of_this_machine() -> Self {
        Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            roots: None,
            verifier: OnceCell::new(),
        }
    }

    /// These roots alone.
    pub fn of_roots(roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            roots: Some(roots),
            ..Self::of_this_machine()
        }
    }

    /// `None` where there are no usable roots. Read beside the other tasks: the machine's
    /// roots are a few hundred kilobytes of files.
    async fn verifier(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let read = || async {
            let (given, provider) = (self.roots.clone(), self.provider.clone());
            let reading = tokio::task::spawn_blocking(move || {
                let roots = given.unwrap_or_else(|| rustls_native_certs::load_native_certs().certs);
                let mut store = RootCertStore::empty();
                let (added, ignored) = store.add_parsable_certificates(roots);
                tracing::debug!(added, ignored, "trusted roots read");
                WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
                    .build()
                    .ok()
            });
            reading.await.ok().flatten()
        };
        self.verifier.get_or_init(read).await.clone()
    }
}

/// Takes note of what is wrong with a certificate and lets the handshake go on. Signatures
/// of the handshake are checked all the same: the server holds the key that it shows.
#[derive(Debug)]
struct Witness {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    chain_error: Mutex<Option<CertificateError>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.as_ref().map(|verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        let error = match verified {
            Some(Ok(_)) => None,
            Some(Err(rustls::Error::InvalidCertificate(error))) => Some(error),
            Some(Err(_)) => Some(CertificateError::BadEncoding),
            None => Some(CertificateError::UnknownIssuer),
        };
        *self
            .chain_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = error;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What a handshake showed.
pub struct Findings {
    /// The certificate, described.
    pub certificate: Certificate,
    name_matches: bool,
    chain_error: Option<CertificateError>,
}

impl Findings {
    /// Expired, not yet valid or of another name: clients fail, so the target failed. Near
    /// its end, or of an issuer that this machine does not trust: usable, worth a word.
    pub fn judge(
        &self,
        expiry_days: u16,
        utc: Timestamp,
    ) -> Result<(Outcome, String), Box<Failure>> {
        let certificate = &self.certificate;
        let failed = |detail: String| {
            let mut certificate = certificate.clone();
            certificate.problem = Some(detail.clone());
            let certificate = Some(Box::new(certificate));
            Box::new(Failure {
                certificate,
                ..Failure::new(LinkReason::Answer, detail)
            })
        };
        if certificate.not_after < utc {
            return Err(failed(format!(
                "certificate expired {} ago",
                days(utc.since(certificate.not_after))
            )));
        }
        if certificate.not_before > utc {
            return Err(failed(format!(
                "certificate is valid only in {}",
                days(certificate.not_before.since(utc))
            )));
        }
        if !self.name_matches {
            let names = certificate
                .names
                .iter()
                .take(3)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(failed(format!("certificate is for another name ({names})")));
        }
        let left = certificate.not_after.since(utc);
        if left < DAY * u32::from(expiry_days) {
            return Ok((
                Outcome::Poor,
                format!("certificate expires in {}", days(left)),
            ));
        }
        match &certificate.problem {
            Some(problem) => Ok((Outcome::Poor, problem.clone())),
            None => Ok((
                Outcome::Good,
                format!("certificate expires in {}", days(left)),
            )),
        }
    }
}

/// A question about the handshake alone.
pub async fn ask(
    trust: &Trust,
    stream: TcpStream,
    connected: Duration,
    at: &HostPort,
    expiry_days: u16,
    progress: &Progress,
    utc: Timestamp,
) -> Result<Answered, Failure> {
    progress.enter(Phase::Tls);
    let started = Instant::now();
    let (_stream, findings) = handshake(trust, stream, at).await?;
    let rtt = connected + started.elapsed();
    let (outcome, detail) = findings
        .judge(expiry_days, utc)
        .map_err(|failure| *failure)?;
    Ok(Answered {
        outcome,
        rtt,
        detail,
        certificate: Some(findings.certificate),
    })
}

/// Shakes hands and describes what was shown.
pub async fn handshake(
    trust: &Trust,
    stream: TcpStream,
    at: &HostPort,
) -> Result<(TlsStream<TcpStream>, Findings), Failure> {
    let name = ServerName::try_from(at.host.clone())
        .map_err(|_| Failure::not_asked(format!("{} is no name for TLS", at.host)))?;
    let witness = Arc::new(Witness {
        verifier: trust.verifier().await,
        provider: trust.provider.clone(),
        chain_error: Mutex::new(None),
    });
    let mut config = ClientConfig::builder_with_provider(trust.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::not_asked(format!("no TLS here: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(witness.clone())
        .with_no_client_auth();
    // Each question shakes hands in full: a resumed session shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name.clone(), stream)
        .await
        .map_err(|error| broken(&error))?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = chain
        .first()
        .ok_or_else(|| Failure::new(LinkReason::Answer, "TLS: no certificate was shown"))?;
    let chain_error = witness
        .chain_error
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let name_matches = ParsedCertificate::try_from(leaf)
        .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &name).is_ok());
    let mut findings = Findings {
        certificate: describe(chain)?,
        name_matches,
        chain_error,
    };
    findings.certificate.problem = findings.problem();
    Ok((stream, findings))
}

impl Findings {
    /// What is wrong with the chain besides time and name, which are judged on their own.
    fn problem(&self) -> Option<String> {
        use CertificateError as Error;
        Some(match self.chain_error.as_ref()? {
            Error::NotValidForName | Error::NotValidForNameContext { .. } => return None,
            Error::Expired
            | Error::ExpiredContext { .. }
            | Error::NotValidYet
            | Error::NotValidYetContext { .. } => {
                return None;
            }
            Error::UnknownIssuer if self.certificate.subject == self.certificate.issuer => {
                "certificate is self-signed and not trusted here".to_owned()
            }
            Error::UnknownIssuer => {
                format!(
                    "certificate's issuer {} is not trusted here",
                    self.certificate.issuer
                )
            }
            other => format!("certificate is not trusted here: {}", why_distrusted(other)),
        })
    }
}

/// Why a chain fails, in words. What the checker names only in its own terms is an error in
/// the chain to whoever reads it here.
fn why_distrusted(error: &CertificateError) -> &'static str {
    use CertificateError as Error;
    match error {
        Error::BadEncoding => "it cannot be read",
        Error::Revoked => "it is revoked",
        Error::UnhandledCriticalExtension => "it demands an extension that is not known here",
        Error::BadSignature => "a signature in its chain is wrong",
        Error::UnsupportedSignatureAlgorithmContext { .. }
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "a signature in its chain is of a kind that is not accepted"
        }
        Error::InvalidPurpose | Error::InvalidPurposeContext { .. } => {
            "it is not meant for a server"
        }
        Error::Other(other) => match other.to_string().as_str() {
            // Named by text: the checker's own type is not ours to depend on.
            "CaUsedAsEndEntity" => {
                "the server shows a certificate authority's certificate as its own"
            }
            "EndEntityUsedAsCa" => "a certificate that may not sign others signed in its chain",
            "PathLenConstraintViolated" => "its chain is longer than an authority in it allows",
            "NameConstraintViolation" => "an authority in its chain may not sign for its names",
            _ => "its chain breaks a rule for certificates",
        },
        _ => "its chain breaks a rule for certificates",
    }
}

/// Describes a chain, the server's own certificate first.
fn describe(chain: &[CertificateDer<'_>]) -> Result<Certificate, Failure> {
    let parsed: Vec<_> = chain
        .iter()
        .take(CHAIN_MAX)
        .filter_map(|der| {
            X509Certificate::from_der(der)
                .ok()
                .map(|(_, certificate)| certificate)
        })
        .collect();
    let leaf = parsed
        .first()
        .ok_or_else(|| Failure::new(LinkReason::Answer, "TLS: the certificate cannot be read"))?;
    let names = names(leaf);
    let subject = common_name(leaf.subject()).or_else(|| names.first().cloned());
    let seconds = |seconds: i64| Timestamp(seconds.saturating_mul(1_000_000));
    Ok(Certificate {
        subject: subject.unwrap_or_else(|| "(unnamed)".to_owned()),
        issuer: common_name(leaf.issuer()).unwrap_or_else(|| "(unnamed)".to_owned()),
        names,
        not_before: seconds(leaf.validity().not_before.timestamp()),
        not_after: seconds(leaf.validity().not_after.timestamp()),
        chain: parsed
            .iter()
            .map(|c| common_name(c.subject()).unwrap_or_else(|| "(unnamed)".to_owned()))
            .collect(),
        problem: None,
    })
}

pub(super) fn fuzz(bytes: &[u8]) {
    let _ = describe(&[CertificateDer::from(bytes)]);
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let attribute = name
        .iter_common_name()
        .next()
        .or_else(|| name.iter_organization().next())?;
    let text = to_plain_text(attribute.as_str().ok()?, NAME_BYTES_MAX);
    (!text.is_empty()).then_some(text)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let shown = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(text) => Some(to_plain_text(text, NAME_BYTES_MAX)),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|v4| std::net::Ipv4Addr::from(v4).to_string()),
                16 => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
                _ => None,
            },
            _ => None,
        });
    shown.take(NAMES_MAX).collect()
}

fn broken(error: &std::io::Error) -> Failure {
    let tls = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => {
            Failure::new(LinkReason::Answer, "TLS: the answer is not TLS")
        }
        Some(error) => Failure::new(LinkReason::Answer, format!("TLS: {error}")),
        None => Failure::io(error, "TLS handshake"),
    }
}

fn days(span: Duration) -> String {
    match span.as_secs() / DAY.as_secs() {
        0 => format!("{} h", span.as_secs() / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distrust_is_told_in_words() {
        let said = |text: &'static str| {
            let other = std::io::Error::other(text);
            let error = CertificateError::Other(rustls::OtherError(Arc::new(other)));
            why_distrusted(&error)
        };
        assert_eq!(
            said("CaUsedAsEndEntity"),
            "the server shows a certificate authority's certificate as its own"
        );
        assert_eq!(
            said("SomethingNew"),
            "its chain breaks a rule for certificates"
        );
        assert_eq!(why_distrusted(&CertificateError::Revoked), "it is revoked");
    }
}
