//! A signed JSON document to an address of one's own.
//!
//! `Andon-Signature: t=<seconds since 1970>,v1=<hex>`, where the hex is HMAC-SHA256 with the
//! shared secret over the time, a full stop and the body as it was sent. Whoever receives it
//! computes the same and refuses what is older than a few minutes.

use super::Ways;
use super::http::{self, Ask};
use crate::hours::Zone;
use crate::letter::Answer;
use crate::message::Message;
use crate::plan::Secret;
use crate::text;
use andon_model::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The header that holds the signature.
pub const SIGNATURE_HEADER: &str = "andon-signature";

/// The document: what a webhook's body and a command's input hold. Its names are a promise.
pub fn document(route: &str, message: &Message, zone: &Zone) -> Value {
    json!({
        "version": 1,
        "phase": message.phase,
        "route": route,
        "key": message.key,
        "other_keys": message.other_keys,
        "at": message.at,
        "by": message.by,
        "severity": message.severity,
        "title": text::headline(message),
        "text": text::body(message, zone),
        "link": message.link,
        "status_page": text::status_page(message),
        "late": message.late,
        "incident": message.incident,
        "incidents": message.items,
        "more": message.more,
    })
}

/// The value of [`SIGNATURE_HEADER`].
pub fn sign(secret: &str, body: &[u8], at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1_000_000);
    let hex: String = mac(secret, seconds, body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={seconds},v1={hex}")
}

/// Whether a signature fits the body and is younger than `age_max` at `now`; either way a
/// little, since clocks differ.
pub fn verify(secret: &str, header: &str, body: &[u8], now: Timestamp, age_max: Duration) -> bool {
    let mut at = None;
    let mut signature = None;
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", text)) => at = text.parse::<i64>().ok(),
            Some(("v1", text)) => signature = Some(text),
            _ => {}
        }
    }
    let (Some(at), Some(signature)) = (at, signature) else {
        return false;
    };
    let hex: String = mac(secret, at, body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let age = now.0.div_euclid(1_000_000).abs_diff(at);
    bool::from(hex.as_bytes().ct_eq(signature.as_bytes())) && age <= age_max.as_secs()
}

fn mac(secret: &str, seconds: i64, body: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

/// Posts the document.
pub async fn send(
    ways: &Ways<'_>,
    url: &Secret,
    secret: Option<&Secret>,
    headers: &BTreeMap<String, Secret>,
    document: &Value,
    utc: Timestamp,
) -> Answer {
    let mut ask = Ask::post(url.reveal(), document);
    for (name, value) in headers {
        ask.headers.push((name.clone(), value.reveal().to_owned()));
    }
    if let Some(secret) = secret {
        let signature = sign(secret.reveal(), &ask.body, utc);
        ask.headers.push((SIGNATURE_HEADER.into(), signature));
    }
    http::ask(ways, ask).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_body_its_secret_and_a_while() {
        let at = Timestamp(1_795_144_800_000_000);
        let header = sign("hush", b"{}", at);
        // Computed with: printf '1795144800.{}' | openssl dgst -sha256 -hmac hush
        assert_eq!(
            header,
            "t=1795144800,v1=ebecf8af9d91eab3ac2ab267583eb7696fc707e6159efbe9b417f99653546aeb"
        );
        let minutes = Duration::from_secs(300);
        let check = |secret, body: &[u8], now| verify(secret, &header, body, now, minutes);
        assert!(check("hush", b"{}", at));
        assert!(check("hush", b"{}", at + minutes));
        assert!(!check("hush", b"{}", at + minutes * 2));
        assert!(!check("hush", b"{ }", at));
        assert!(!check("hash", b"{}", at));
        for bad in ["", "t=1", "v1=00", "t=x,v1=00", "t=1795144800,v1="] {
            assert!(!verify("hush", bad, b"{}", at, minutes), "{bad}");
        }
    }
}
