//! Real servers on loopback that record what arrives, and the messages that are sent to them.

#![allow(dead_code)]

pub mod http;
pub mod mail;

use andon_model::{
    BlastRadius, Evidence, FlowHits, Incident, IncidentState, Severity, Timestamp, Verdict,
    VerdictKind,
};
use andon_notify::hours::Hours;
use andon_notify::plan::{Filter, Medium, Plan, Route};
use andon_notify::send::Limits;
use andon_notify::{Answer, Message, Phase, Sender};
use std::time::Duration;

/// A grid name, a link and a word that each medium could take for more than text.
pub const HOSTILE: &str = "<!channel> <http://evil|x> & **b** [l](http://evil) \u{202e}";

pub fn at() -> Timestamp {
    Timestamp::parse("2026-11-20T03:20:30Z").unwrap()
}

pub fn incident(id: &str) -> Incident {
    let since = Timestamp::parse("2026-11-20T03:20:00Z").unwrap();
    Incident {
        id: id.into(),
        aliases: Vec::new(),
        state: IncidentState::Open,
        severity: Severity::Critical,
        title: format!("half of the flows web→fulfilment die after 10.0.2.1 {HOSTILE}"),
        cause: "path_fault:10.0.2.1".into(),
        opened_at: since,
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: vec![Verdict {
            id: "path_fault:10.0.2.1".into(),
            kind: VerdictKind::PathFault,
            subject: "10.0.2.1".into(),
            sentence: "Half of the flows from web to fulfilment die after 10.0.2.1; the others pass via 10.0.3.1.".into(),
            confidence: 0.93,
            evidence: vec![Evidence {
                observer: "web-1".into(),
                observation: "7 of 16 flows to fulfilment lost".into(),
                supports: true,
                since: Some(since),
            }],
            since,
            from: None,
            to: None,
            hops: vec!["10.0.2.1".into()],
            effect: None,
            flows: None,
            links: Vec::new(),
            services: Vec::new(),
        }],
        blast_radius: BlastRadius {
            nodes: vec!["ful-1".into(), "web-1".into()],
            sites: vec!["fra".into(), "nyc".into()],
            links: vec!["web-1→ful-1".into()],
            links_total: 12,
            services: vec!["shop".into()],
            flows: Some(FlowHits { failed: 7, total: 16 }),
            share: Some(0.1),
        },
        timeline: Vec::new(),
        status_page: "Some orders take longer than usual. We know why and work on it.".into(),
    }
}

pub fn plan() -> Plan {
    Plan {
        console: Some("https://andon.example.com".into()),
        ..Plan::default()
    }
}

pub fn message(phase: Phase) -> Message {
    let mut incident = incident("0a1b2c3d");
    if phase == Phase::Resolved {
        incident.state = IncidentState::Resolved;
        incident.resolved_at = Some(at());
    }
    Message::about(phase, &incident, &plan(), "web-1", at())
}

pub fn route(name: &str, medium: Medium) -> Route {
    Route {
        name: name.into(),
        medium,
        filter: Filter::default(),
        hours: Hours::default(),
        wait: Duration::ZERO,
        remind: None,
        give_up: Duration::from_secs(4 * 3_600),
        per_hour: 1_000,
        resolved: true,
        authorities: Vec::new(),
        origin: String::new(),
    }
}

/// Impatient, so that a test which lets something hang is short.
pub fn sender() -> Sender {
    Sender::with_limits(Limits {
        connect: Duration::from_secs(2),
        tls: Duration::from_secs(2),
        http: Duration::from_secs(3),
        mail: Duration::from_secs(4),
    })
}

pub async fn send(route: &Route, phase: Phase) -> Answer {
    sender().send(route, &message(phase), at()).await
}

#[track_caller]
pub fn taken(answer: Answer) -> String {
    match answer {
        Answer::Taken { said } => said,
        other => panic!("not taken: {other:?}"),
    }
}

#[track_caller]
pub fn again(answer: Answer) -> (String, Option<Duration>) {
    match answer {
        Answer::Again { why, after } => (why, after),
        other => panic!("not to be repeated: {other:?}"),
    }
}

#[track_caller]
pub fn refused(answer: Answer) -> String {
    match answer {
        Answer::Refused { why } => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// A certificate for 127.0.0.1 and localhost: the server's configuration, and the PEM by which
/// a client trusts it.
pub fn certificate() -> (std::sync::Arc<rustls::ServerConfig>, Vec<u8>) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let pem = made.cert.pem().into_bytes();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (std::sync::Arc::new(config), pem)
}
