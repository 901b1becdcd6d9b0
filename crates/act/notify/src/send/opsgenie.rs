//! Opsgenie's alert API (also of Jira Service Management): an alert per alias, created, noted
//! upon, acknowledged and closed.

use super::Ways;
use super::http::{self, Ask};
use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::phase::Phase;
use crate::plan::{Secret, percent};
use crate::text;
use andon_model::Severity;
use hyper::Method;
use serde_json::{Value, json};

/// The API's root, unless configured otherwise (`https://api.eu.opsgenie.com` in Europe).
pub const URL: &str = "https://api.opsgenie.com";
/// Longest message, description and note by Opsgenie's rules, characters.
const MESSAGE_CHARS_MAX: usize = 130;
const DESCRIPTION_CHARS_MAX: usize = 15_000;

/// One request: method, path below the root, document.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// POST or PUT.
    pub method: Method,
    /// Below the root.
    pub path: String,
    /// The document.
    pub body: Value,
}

/// The requests of a message, in order.
pub fn requests(message: &Message, zone: &Zone) -> Vec<Request> {
    let note = |text: String| json!({"note": text, "source": "Andon", "user": message.by});
    let body = chars(&text::body(message, zone), DESCRIPTION_CHARS_MAX);
    match message.phase {
        Phase::Opened | Phase::Reopened => vec![create(message, body)],
        Phase::Test => vec![
            create(message, body),
            on(&message.key, "close", note("The test is over.".into())),
        ],
        Phase::Grew => vec![
            Request {
                method: Method::PUT,
                ..on(
                    &message.key,
                    "priority",
                    json!({"priority": priority(message)}),
                )
            },
            on(&message.key, "notes", note(text::whole(message, zone))),
        ],
        Phase::Reminder => vec![on(&message.key, "notes", note(text::whole(message, zone)))],
        Phase::Acknowledged => vec![on(&message.key, "acknowledge", note(body))],
        Phase::Resolved => std::iter::once(&message.key)
            .chain(&message.other_keys)
            .map(|key| on(key, "close", note(body.clone())))
            .collect(),
    }
}

fn create(message: &Message, description: String) -> Request {
    let radius = message
        .incident
        .as_ref()
        .map(|incident| &incident.blast_radius);
    let mut tags = vec!["andon".to_owned()];
    let sites = radius
        .map(|radius| radius.sites.as_slice())
        .unwrap_or_default();
    tags.extend(sites.iter().take(10).cloned());
    Request {
        method: Method::POST,
        path: "/v2/alerts".into(),
        body: json!({
            "message": chars(&text::headline(message), MESSAGE_CHARS_MAX),
            "alias": message.key,
            "description": description,
            "priority": priority(message),
            "source": "Andon",
            "user": message.by,
            "entity": radius.and_then(|radius| radius.services.first().or(radius.nodes.first())),
            "tags": tags,
            "details": {"incident": message.key, "link": message.link.clone().unwrap_or_default()},
        }),
    }
}

fn on(alias: &str, what: &str, body: Value) -> Request {
    Request {
        method: Method::POST,
        path: format!("/v2/alerts/{}/{what}?identifierType=alias", percent(alias)),
        body,
    }
}

fn priority(message: &Message) -> &'static str {
    match (message.phase, message.severity) {
        (Phase::Test, _) => "P5",
        (_, Severity::Critical) => "P1",
        (_, Severity::Major) => "P2",
        (_, Severity::Minor) => "P4",
    }
}

fn chars(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Sends the requests; the first that fails is the answer.
pub async fn send(
    ways: &Ways<'_>,
    url: &Secret,
    key: &Secret,
    message: &Message,
    zone: &Zone,
) -> Answer {
    let mut last = Answer::Refused {
        why: "there was nothing to send".into(),
    };
    for request in requests(message, zone) {
        let address = format!("{}{}", url.reveal().trim_end_matches('/'), request.path);
        let ask = Ask {
            method: request.method,
            headers: vec![("authorization".into(), format!("GenieKey {}", key.reveal()))],
            ..Ask::post(&address, &request.body)
        };
        last = http::ask(ways, ask).await;
        if !matches!(last, Answer::Taken { .. }) {
            break;
        }
    }
    last
}
