//! Microsoft Teams' workflow webhook ("When a Teams webhook request is received"): a message
//! with one Adaptive Card. Text from incidents stands in text runs, which Teams does not read
//! as Markdown.

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

/// The message as Teams wants it.
pub fn document(message: &Message, zone: &Zone) -> Value {
    let tone = match (message.phase, message.severity) {
        (Phase::Resolved | Phase::Test, _) => "good",
        (Phase::Acknowledged, _) => "default",
        (_, Severity::Critical) => "attention",
        (_, Severity::Major) => "warning",
        (_, Severity::Minor) => "default",
    };
    let headline = json!({
        "type": "TextRun",
        "text": text::headline(message),
        "weight": "bolder",
        "size": "medium",
        "color": tone,
    });
    let mut body = vec![rich(vec![headline])];
    for line in text::lines(message, zone) {
        body.push(rich(vec![json!({"type": "TextRun", "text": line})]));
    }
    if let Some(draft) = text::status_page(message) {
        body.push(rich(vec![
            json!({"type": "TextRun", "text": "For the status page: ", "italic": true}),
            json!({"type": "TextRun", "text": draft}),
        ]));
    }
    body.push(rich(vec![
        json!({"type": "TextRun", "text": text::footer(message), "isSubtle": true}),
    ]));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(link) = &message.link {
        card["actions"] =
            json!([{"type": "Action.OpenUrl", "title": "Open in Andon", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn rich(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}

/// Posts it.
pub async fn send(ways: &Ways<'_>, url: &Secret, message: &Message, zone: &Zone) -> Answer {
    http::ask(ways, Ask::post(url.reveal(), &document(message, zone))).await
}
