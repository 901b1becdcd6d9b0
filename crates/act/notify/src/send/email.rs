//! Mail over SMTP: plain text, one thread for each incident.

use super::Ways;
use super::dial::{self, DialError, Plain, Secure};
use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::phase::Phase;
use crate::plan::{MailSecurity, Medium, Route};
use crate::text;
use andon_model::id::to_plain_text;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Characters of an answer that people are shown.
const SAID_CHARS_MAX: usize = 200;

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the mail server does not offer STARTTLS")]
    NoStartTls,
    #[error("the mail cannot be written: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("the mail cannot be written: {0}")]
    Mail(#[from] lettre::error::Error),
}

impl MailError {
    fn answer(self) -> Answer {
        let why: String = self.to_string().chars().take(SAID_CHARS_MAX).collect();
        let why = to_plain_text(&why, SAID_CHARS_MAX * 4);
        let for_good = match &self {
            MailError::Smtp(error) => error.is_permanent() || error.is_client(),
            MailError::Address(_) | MailError::Mail(_) => true,
            MailError::Dial(_) | MailError::NoStartTls => false,
        };
        match for_good {
            true => Answer::Refused { why },
            false => Answer::Again { why, after: None },
        }
    }
}

/// Sends one mail to all recipients. Where the server refuses it for one of them, each is
/// tried alone: a colleague who left must not keep the others in the dark.
pub async fn send(ways: &Ways<'_>, route: &Route, message: &Message) -> Answer {
    let Medium::Email { to, .. } = &route.medium else {
        let why = "the route is not one for mail".into();
        return Answer::Refused { why };
    };
    let all: Vec<&str> = to.iter().map(String::as_str).collect();
    let answer = attempt(ways, route, message, &all).await;
    if all.len() < 2 || !matches!(answer, Answer::Refused { .. }) {
        return answer;
    }
    let mut worst = answer;
    let mut taken = 0;
    for one in &all {
        match attempt(ways, route, message, &[one]).await {
            Answer::Taken { .. } => taken += 1,
            other => worst = other,
        }
    }
    match (taken, worst) {
        (0, worst) => worst,
        (taken, Answer::Again { why, .. } | Answer::Refused { why }) => Answer::Taken {
            said: format!("{taken} of {} recipients; the others: {why}", all.len()),
        },
        (_, worst) => worst,
    }
}

async fn attempt(ways: &Ways<'_>, route: &Route, message: &Message, to: &[&str]) -> Answer {
    let conversation = tokio::time::timeout(ways.limits.mail, converse(ways, route, message, to));
    match conversation.await {
        Ok(Ok(said)) => Answer::Taken { said },
        Ok(Err(error)) => error.answer(),
        Err(_) => Answer::Again {
            why: format!("the mail server was not done within {:?}", ways.limits.mail),
            after: None,
        },
    }
}

async fn converse(
    ways: &Ways<'_>,
    route: &Route,
    message: &Message,
    to: &[&str],
) -> Result<String, MailError> {
    let Medium::Email {
        host,
        port,
        security,
        login,
        from,
        to: shown,
    } = &route.medium
    else {
        return Ok(String::new());
    };
    let mail = mail(from, shown, message, route.hours.zone())?;
    let mut recipients = Vec::new();
    for recipient in to {
        recipients.push(mailbox(recipient)?.email);
    }
    let envelope = Envelope::new(Some(mailbox(from)?.email), recipients)?;
    let hello = hello(from)?;
    let stream = dial::tcp(host, *port, ways.limits).await?;
    let stream = match security {
        MailSecurity::Tls => {
            let stream = dial::tls(stream, host, ways).await?;
            MailStream::Secure(Box::new(stream))
        }
        MailSecurity::StartTls | MailSecurity::Plain => MailStream::Plain(stream),
    };
    let mut server = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?;
    if *security == MailSecurity::StartTls {
        if !server.can_starttls() {
            return Err(MailError::NoStartTls);
        }
        server
            .starttls(tls_parameters(ways, host).await?, &hello)
            .await?;
    }
    if let Some((name, password)) = login {
        let credentials = Credentials::new(name.clone(), password.reveal().to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        server.auth(&mechanisms, &credentials).await?;
    }
    let response = server.send(&envelope, &mail.formatted()).await?;
    // The mail is taken; a server that hangs up without a word changes nothing.
    let _ = tokio::time::timeout(Duration::from_secs(2), server.quit()).await;
    let said: Vec<&str> = response.message().collect();
    let said: String = said.join(" ").chars().take(SAID_CHARS_MAX).collect();
    let said = format!("{} {said}", response.code());
    Ok(to_plain_text(&said, SAID_CHARS_MAX * 4))
}

async fn tls_parameters(ways: &Ways<'_>, host: &str) -> Result<TlsParameters, MailError> {
    let mut builder =
        TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::None);
    for root in ways.trust.certificates(ways.authorities).await? {
        builder = builder.add_root_certificate(Certificate::from_der(root.to_vec())?);
    }
    Ok(builder.build_rustls()?)
}

fn mailbox(text: &str) -> Result<Mailbox, lettre::address::AddressError> {
    text.parse()
}

/// Whether a text is a mail address, with or without a name before it.
pub fn is_address(text: &str) -> bool {
    mailbox(text).is_ok() && text.is_ascii()
}

fn hello(from: &str) -> Result<ClientId, MailError> {
    Ok(ClientId::Domain(mailbox(from)?.email.domain().to_owned()))
}

/// The mail. The first one's Message-ID derives from the incident's key alone, whoever sends
/// it, and all others refer to it.
fn mail(from: &str, to: &[String], message: &Message, zone: &Zone) -> Result<Mail, MailError> {
    let from = mailbox(from)?;
    let domain = from.email.domain().to_owned();
    let word = |text: &str| -> String {
        let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        text.chars().filter(fit).take(64).collect()
    };
    let root = format!("<{}.andon@{domain}>", word(&message.key));
    let at = u64::try_from(message.at.0).unwrap_or(0);
    let mut mail = Mail::builder()
        .from(from)
        .subject(text::subject(message))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(at))
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Andon-Incident", &word(&message.key)))
        .raw_header(raw("X-Andon-Phase", message.phase.as_str()));
    for recipient in to {
        mail = mail.to(mailbox(recipient)?);
    }
    mail = if message.phase == Phase::Opened {
        mail.message_id(Some(root))
    } else {
        let by = word(&message.by);
        let own = format!(
            "<{}.{}.{at}.{by}@{domain}>",
            word(&message.key),
            message.phase
        );
        mail.message_id(Some(own))
            .in_reply_to(root.clone())
            .references(root)
    };
    Ok(mail
        .header(ContentType::TEXT_PLAIN)
        .body(text::whole(message, zone))?)
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// What lettre speaks SMTP over.
#[derive(Debug)]
enum MailStream {
    Plain(Plain),
    Secure(Box<Secure>),
}

impl AsyncTokioStream for MailStream {
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        match self {
            MailStream::Plain(stream) => stream.peer(),
            MailStream::Secure(stream) => stream.get_ref().0.peer(),
        }
    }
}

impl AsyncRead for MailStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            MailStream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            MailStream::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for MailStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            MailStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            MailStream::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            MailStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            MailStream::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            MailStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            MailStream::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
