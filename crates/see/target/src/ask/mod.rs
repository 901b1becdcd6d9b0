//! The asking itself: one question, one answer, never longer than its timeout, never more
//! memory than its bounds, whatever the far end sends.

pub mod dns;
pub mod fuzz;
mod http;
mod icmp;
mod name;
mod progress;
mod stamp;
mod tcp;
mod tls;

use crate::answer::{Answer, Certificate, Outcome};
use crate::question::Question;
use andon_model::{LinkReason, Timestamp};
use name::Resolver;
use progress::Progress;
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use tls::Trust;

/// Asks questions. Holds what questions share: trusted roots and the bound on name lookups.
pub struct Asker {
    resolver: Resolver,
    trust: Trust,
}

/// What a question brought, before the figures are attached.
struct Answered {
    outcome: Outcome,
    rtt: Duration,
    detail: String,
    certificate: Option<Certificate>,
}

impl Answered {
    fn good(rtt: Duration, detail: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Good,
            rtt,
            detail: detail.into(),
            certificate: None,
        }
    }
}

/// Why a question brought no right answer.
#[derive(Debug)]
struct Failure {
    outcome: Outcome,
    detail: String,
    certificate: Option<Box<Certificate>>,
}

impl Failure {
    fn new(reason: LinkReason, detail: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed(reason),
            detail: detail.into(),
            certificate: None,
        }
    }

    fn not_asked(detail: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::NotAsked,
            detail: detail.into(),
            certificate: None,
        }
    }

    fn io(error: &std::io::Error, doing: &str) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::new(LinkReason::Refused, format!("{doing}: refused")),
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => {
                Self::new(LinkReason::Silent, format!("{doing}: no route to host"))
            }
            Kind::TimedOut => Self::new(LinkReason::Silent, format!("{doing}: no answer")),
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => {
                Self::new(LinkReason::Answer, format!("{doing}: connection reset"))
            }
            Kind::UnexpectedEof => {
                Self::new(LinkReason::Answer, format!("{doing}: connection closed"))
            }
            Kind::PermissionDenied => {
                Self::not_asked(format!("{doing}: not permitted on this machine"))
            }
            _ if is_out_of_resources(error) => {
                Self::not_asked(format!("{doing}: this machine is out of sockets"))
            }
            _ => Self::new(LinkReason::Answer, format!("{doing}: {error}")),
        }
    }
}

/// EMFILE, ENFILE, ENOBUFS, EADDRNOTAVAIL of our own side: nothing about the target.
fn is_out_of_resources(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 99 | 105))
}

impl Default for Asker {
    fn default() -> Self {
        Self::new()
    }
}

impl Asker {
    /// Trusts the roots of this machine, read when first needed.
    pub fn new() -> Self {
        Self {
            resolver: Resolver::default(),
            trust: Trust::of_this_machine(),
        }
    }

    /// Trusts these roots alone.
    pub fn trusting(roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            resolver: Resolver::default(),
            trust: Trust::of_roots(roots),
        }
    }

    /// Asks one question. `utc` is what certificates are judged by.
    pub async fn ask(&self, question: &Question, timeout: Duration, utc: Timestamp) -> Answer {
        let progress = Progress::start(timeout);
        let result = tokio::time::timeout(timeout, self.ask_within(question, &progress, utc)).await;
        let phase = progress.phase();
        let phases = progress.finish();
        let mut answer = match result {
            Ok(Ok(answered)) => Answer {
                rtt_us: Some(u32::try_from(answered.rtt.as_micros()).unwrap_or(u32::MAX)),
                certificate: answered.certificate,
                ..Answer::new(answered.outcome, &answered.detail)
            },
            Ok(Err(failure)) => Answer {
                certificate: failure.certificate.map(|certificate| *certificate),
                ..Answer::new(failure.outcome, &failure.detail)
            },
            Err(_) => Answer::failed(
                LinkReason::Silent,
                &format!("no answer in {timeout:?} ({phase})"),
            ),
        };
        answer.phases = phases;
        answer
    }

    async fn ask_within(
        &self,
        question: &Question,
        progress: &Progress,
        utc: Timestamp,
    ) -> Result<Answered, Failure> {
        match question {
            Question::Icmp { host } => icmp::ask(&self.resolver, host, progress).await,
            Question::Tcp(at) => {
                let (_, connected) = tcp::connect(&self.resolver, at, progress).await?;
                Ok(Answered::good(connected, ""))
            }
            Question::Http(http) => {
                http::ask(&self.resolver, &self.trust, http, progress, utc).await
            }
            Question::Tls { at, expiry_days } => {
                let (stream, connected) = tcp::connect(&self.resolver, at, progress).await?;
                tls::ask(
                    &self.trust,
                    stream,
                    connected,
                    at,
                    *expiry_days,
                    progress,
                    utc,
                )
                .await
            }
            Question::Dns {
                name,
                server,
                record,
                expect,
            } => {
                dns::ask(
                    &self.resolver,
                    name,
                    server.as_ref(),
                    *record,
                    expect.as_deref(),
                    progress,
                )
                .await
            }
            Question::Stamp(at) => stamp::ask(&self.resolver, at, progress).await,
        }
    }
}
