//! Slack's incoming webhook. Text from incidents stands in `mrkdwn` blocks with Slack's three
//! control characters escaped and parsing of names and links off, so that an id can neither
//! mention a channel nor make a link.

use super::Ways;
use super::http::{self, Ask};
use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::plan::Secret;
use crate::text;
use serde_json::{Value, json};

/// Longest text of a block by Slack's rules is 3,000 characters; escaping may lengthen ours.
const BLOCK_CHARS_MAX: usize = 2_900;

/// The message as Slack wants it.
pub fn document(message: &Message, zone: &Zone) -> Value {
    let headline = escape(&text::headline(message));
    let mut blocks = vec![section(&format!("*{headline}*"))];
    let lines = text::lines(message, zone).join("\n");
    if !lines.is_empty() {
        blocks.push(section(&escape(&lines)));
    }
    if let Some(draft) = text::status_page(message) {
        blocks.push(section(&format!(
            "For the status page:\n{}",
            escape(&draft)
        )));
    }
    let footer = escape(&text::footer(message));
    let context = match &message.link {
        // The address is the operator's and percent-encoded ids; `|` and `>` cannot occur.
        Some(link) => format!("<{}|Open in Andon> · {footer}", escape(link)),
        None => footer,
    };
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&context)]}));
    json!({"text": headline, "blocks": blocks, "unfurl_links": false})
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": cut(text), "verbatim": true})
}

/// Not in the middle of an escape.
fn cut(text: &str) -> String {
    if text.chars().count() <= BLOCK_CHARS_MAX {
        return text.into();
    }
    let short: String = text.chars().take(BLOCK_CHARS_MAX).collect();
    let tail = short.len().saturating_sub(6);
    let tail = (tail..=short.len())
        .find(|at| short.is_char_boundary(*at))
        .unwrap_or(0);
    let end = short[tail..].find('&').map_or(short.len(), |at| tail + at);
    format!("{}…", &short[..end])
}

/// The three characters that Slack gives a meaning.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Posts it. Slack answers `ok`, or a word that says what is wrong.
pub async fn send(ways: &Ways<'_>, url: &Secret, message: &Message, zone: &Zone) -> Answer {
    http::ask(ways, Ask::post(url.reveal(), &document(message, zone))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_leaves_half_an_escape() {
        for shift in 0..8 {
            let text = format!("{}{}", "x".repeat(shift), "&".repeat(3_000));
            let cut = cut(&escape(&text));
            let rest = cut.trim_end_matches('…').trim_start_matches('x');
            assert_eq!(rest.replace("&amp;", ""), "", "{shift}");
            assert!(cut.chars().count() <= 3_000);
        }
    }
}
