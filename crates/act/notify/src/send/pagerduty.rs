//! PagerDuty's Events API v2: an alert per deduplication key, triggered, acknowledged and
//! resolved. Nodes that speak at once make one alert.

use super::Ways;
use super::http::{self, Ask};
use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::phase::Phase;
use crate::plan::Secret;
use crate::text;
use andon_model::Severity;
use serde_json::{Value, json};

/// Where events go, unless configured otherwise.
pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Longest summary by PagerDuty's rules, characters.
const SUMMARY_CHARS_MAX: usize = 1_024;

/// The events of a message, in order: one, but for closings under several keys and for a
/// test, which also cleans up after itself.
pub fn events(routing_key: &str, message: &Message, zone: &Zone) -> Vec<Value> {
    let all_keys = || std::iter::once(&message.key).chain(&message.other_keys);
    let plain = |action: &str, key: &String| json!({"routing_key": routing_key, "event_action": action, "dedup_key": key});
    match message.phase {
        Phase::Resolved => all_keys().map(|key| plain("resolve", key)).collect(),
        Phase::Acknowledged => vec![plain("acknowledge", &message.key)],
        Phase::Test => vec![
            trigger(routing_key, message, zone),
            plain("resolve", &message.key),
        ],
        Phase::Opened | Phase::Reopened | Phase::Grew | Phase::Reminder => {
            vec![trigger(routing_key, message, zone)]
        }
    }
}

fn trigger(routing_key: &str, message: &Message, zone: &Zone) -> Value {
    let severity = match (message.phase, message.severity) {
        (Phase::Test, _) => "info",
        (_, Severity::Critical) => "critical",
        (_, Severity::Major) => "error",
        (_, Severity::Minor) => "warning",
    };
    let summary: String = text::headline(message)
        .chars()
        .take(SUMMARY_CHARS_MAX)
        .collect();
    let radius = message
        .incident
        .as_ref()
        .map(|incident| &incident.blast_radius);
    let opened_at = message
        .items
        .first()
        .map_or(message.at, |item| item.opened_at);
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": message.key,
        "client": "Andon",
        "payload": {
            "summary": summary,
            "source": message.by,
            "severity": severity,
            "timestamp": opened_at,
            "component": radius.and_then(|radius| radius.services.first()),
            "group": radius.and_then(|radius| radius.sites.first()),
            "class": message.incident.as_ref().and_then(|incident| incident.verdicts.first()).map(|verdict| verdict.kind),
            "custom_details": {
                "details": text::lines(message, zone).join("\n"),
                "incident": message.key,
                "status_page": text::status_page(message),
            },
        },
    });
    if let Some(link) = &message.link {
        event["client_url"] = json!(link);
        event["links"] = json!([{"href": link, "text": "Open in Andon"}]);
    }
    event
}

/// Sends the events; the first that fails is the answer.
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
    for event in events(key.reveal(), message, zone) {
        last = http::ask(ways, Ask::post(url.reveal(), &event)).await;
        if !matches!(last, Answer::Taken { .. }) {
            break;
        }
    }
    last
}
