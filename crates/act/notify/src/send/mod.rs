//! How each medium is spoken to. One attempt, bounded in time and size; whether and when to
//! try again is the core's business.

pub mod command;
pub mod dial;
pub mod email;
pub mod http;
pub mod opsgenie;
pub mod pagerduty;
pub mod slack;
pub mod teams;
pub mod webhook;

use crate::letter::Answer;
use crate::message::Message;
use crate::plan::{Medium, Route};
use andon_model::Timestamp;
use dial::Trust;
use std::sync::Arc;
use std::time::Duration;

/// How long an attempt may take. Together below [`crate::notifier::IN_FLIGHT_MAX`], also where
/// one letter takes several requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the name and the connection together.
    pub connect: Duration,
    /// For the handshake.
    pub tls: Duration,
    /// For one HTTP request, from the name to the answer's end.
    pub http: Duration,
    /// For one conversation with a mail server; those that check senders take seconds.
    pub mail: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(5),
            http: Duration::from_secs(15),
            mail: Duration::from_secs(45),
        }
    }
}

/// All requests of one letter together take at most so long.
const LETTER_TIMEOUT: Duration = Duration::from_secs(150);

/// Sends. One for all routes: it holds the machine's trusted roots.
#[derive(Clone)]
pub struct Sender {
    trust: Arc<Trust>,
    limits: Limits,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// Trusts the authorities of this machine, and those of each route.
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            trust: Arc::new(Trust::of_this_machine()),
            limits,
        }
    }

    /// Tries once. `utc` is the time by which a webhook is signed.
    pub async fn send(&self, route: &Route, message: &Message, utc: Timestamp) -> Answer {
        let attempt = self.unbounded(route, message, utc);
        match tokio::time::timeout(LETTER_TIMEOUT, attempt).await {
            Ok(answer) => answer,
            Err(_) => Answer::Again {
                why: format!("not done within {}", crate::text::span(LETTER_TIMEOUT)),
                after: None,
            },
        }
    }

    async fn unbounded(&self, route: &Route, message: &Message, utc: Timestamp) -> Answer {
        let zone = route.hours.zone();
        let ways = Ways {
            trust: &self.trust,
            limits: self.limits,
            authorities: &route.authorities,
        };
        match &route.medium {
            Medium::Webhook {
                url,
                secret,
                headers,
            } => {
                let document = webhook::document(&route.name, message, zone);
                webhook::send(&ways, url, secret.as_ref(), headers, &document, utc).await
            }
            Medium::Slack { url } => slack::send(&ways, url, message, zone).await,
            Medium::Teams { url } => teams::send(&ways, url, message, zone).await,
            Medium::PagerDuty { url, key } => pagerduty::send(&ways, url, key, message, zone).await,
            Medium::Opsgenie { url, key } => opsgenie::send(&ways, url, key, message, zone).await,
            Medium::Email { .. } => email::send(&ways, route, message).await,
            Medium::Command {
                argv,
                timeout,
                environment,
            } => {
                let document = webhook::document(&route.name, message, zone);
                command::send(
                    argv,
                    *timeout,
                    environment,
                    &route.name,
                    message,
                    &document,
                    zone,
                )
                .await
            }
        }
    }
}

/// What a medium needs of the network.
pub struct Ways<'a> {
    /// The machine's roots.
    pub trust: &'a Trust,
    /// How long it may take.
    pub limits: Limits,
    /// Further authorities of the route, PEM.
    pub authorities: &'a [Vec<u8>],
}
