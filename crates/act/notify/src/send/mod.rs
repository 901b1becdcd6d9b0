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

/// Sends. One for all routes: it holds the machine's trusted roots.
#[derive(Clone)]
pub struct Sender {
    trust: Arc<Trust>,
}

impl Default for Sender {
    fn default() -> Self {
        Self::new()
    }
}

impl Sender {
    /// Trusts the authorities of this machine, and those of each route.
    pub fn new() -> Self {
        Self {
            trust: Arc::new(Trust::of_this_machine()),
        }
    }

    /// Tries once. `utc` is the time by which a webhook is signed.
    pub async fn send(&self, route: &Route, message: &Message, utc: Timestamp) -> Answer {
        let zone = route.hours.zone();
        let ways = Ways {
            trust: &self.trust,
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
    /// Further authorities of the route, PEM.
    pub authorities: &'a [Vec<u8>],
}
