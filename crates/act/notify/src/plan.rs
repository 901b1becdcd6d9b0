//! What is configured: routes to people, and what is not to be told.

use crate::hours::Hours;
use crate::mute::{Scope, Window};
use andon_model::{Incident, Severity};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Most routes of a node; doubled, an incident could cost a hundred remarks in the grid.
pub const ROUTES_MAX: usize = 32;

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for those who send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// How mail reaches its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// In clear at first, then TLS; no mail without it. Port 587.
    StartTls,
    /// TLS from the first byte. Port 465.
    Tls,
    /// In clear; for a mail server on this machine.
    Plain,
}

/// Whom a route speaks to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// POST of a JSON document.
    Webhook {
        /// Where to.
        url: Secret,
        /// Signs the body; unsigned without.
        secret: Option<Secret>,
        /// Further headers, such as an authorisation.
        headers: BTreeMap<String, Secret>,
    },
    /// Slack's incoming webhook (and what speaks like it, such as Mattermost).
    Slack {
        /// The webhook, a secret in itself.
        url: Secret,
    },
    /// Microsoft Teams' workflow webhook.
    Teams {
        /// The webhook, a secret in itself.
        url: Secret,
    },
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// Where events go.
        url: Secret,
        /// Integration key of the service.
        key: Secret,
    },
    /// Opsgenie's (and Jira Service Management's) alert API.
    Opsgenie {
        /// The API's root.
        url: Secret,
        /// API key of the integration.
        key: Secret,
    },
    /// Mail over SMTP.
    Email {
        /// Host of the mail server.
        host: String,
        /// Its port.
        port: u16,
        /// How it is reached.
        security: MailSecurity,
        /// Name and password, where it wants them.
        login: Option<(String, Secret)>,
        /// Sender.
        from: String,
        /// Recipients.
        to: Vec<String>,
    },
    /// A program on this machine.
    Command {
        /// Program and arguments; no shell reads them.
        argv: Vec<String>,
        /// Killed after.
        timeout: Duration,
        /// Environment besides `ANDON_*` of the message.
        environment: BTreeMap<String, String>,
    },
}

impl Medium {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Medium::Webhook { .. } => "webhook",
            Medium::Slack { .. } => "slack",
            Medium::Teams { .. } => "teams",
            Medium::PagerDuty { .. } => "pagerduty",
            Medium::Opsgenie { .. } => "opsgenie",
            Medium::Email { .. } => "email",
            Medium::Command { .. } => "command",
        }
    }

    /// The other side keeps an alert per deduplication key, which has to be closed: closings
    /// are sent one by one, and acknowledgements too.
    pub fn keeps_alerts(&self) -> bool {
        matches!(self, Medium::PagerDuty { .. } | Medium::Opsgenie { .. })
    }
}

/// Which incidents a route tells of. An empty list means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// At least so severe.
    pub severity: Severity,
    /// Touching one of these sites.
    pub sites: Vec<String>,
    /// Touching one of these nodes.
    pub nodes: Vec<String>,
    /// Hitting one of these targets or services.
    pub services: Vec<String>,
    /// Whose cause matches one of these, `*` standing for anything.
    pub causes: Vec<String>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            severity: Severity::Minor,
            sites: Vec::new(),
            nodes: Vec::new(),
            services: Vec::new(),
            causes: Vec::new(),
        }
    }
}

impl Filter {
    /// Whether the route tells of this incident.
    pub fn matches(&self, incident: &Incident) -> bool {
        let touches = |wanted: &[String], hit: &[String]| {
            wanted.is_empty() || hit.iter().any(|one| wanted.contains(one))
        };
        let radius = &incident.blast_radius;
        incident.severity >= self.severity
            && touches(&self.sites, &radius.sites)
            && touches(&self.nodes, &radius.nodes)
            && touches(&self.services, &radius.services)
            && (self.causes.is_empty()
                || self.causes.iter().any(|cause| like(cause, &incident.cause)))
    }
}

/// Whether a text is like a pattern in which `*` stands for any run of characters.
pub fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// One way to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name, the same on every node that has it.
    pub name: String,
    /// How it speaks.
    pub medium: Medium,
    /// Of what.
    pub filter: Filter,
    /// When. Outside its hours a route waits; good news are told at any time.
    pub hours: Hours,
    /// How long an incident has to stand before it is told, so that one message tells the
    /// whole and a blip tells nothing.
    pub wait: Duration,
    /// Time between reminders while nobody has taken note; `None` reminds never.
    pub remind: Option<Duration>,
    /// How long an undelivered message is tried again.
    pub give_up: Duration,
    /// Messages an hour, beyond which incidents are told together.
    pub per_hour: u32,
    /// Whether it tells that an incident is over.
    pub resolved: bool,
    /// Certificate authorities (PEM) trusted beside the system's.
    pub authorities: Vec<Vec<u8>>,
    /// For people: where its configuration stands.
    pub origin: String,
}

/// Do not tell of these until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// What is silenced.
    pub scope: Scope,
    /// Until when.
    pub until: andon_model::Timestamp,
    /// Why, for the timeline.
    pub reason: String,
}

/// Somebody works there: incidents are recorded, nobody is told while it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// What is worked on.
    pub scope: Scope,
    /// When.
    pub window: Window,
    /// Why, for the timeline.
    pub reason: String,
}

/// All that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// By name.
    pub routes: Vec<Route>,
    /// Silences.
    pub silences: Vec<Silence>,
    /// Maintenance windows.
    pub maintenance: Vec<Maintenance>,
    /// Root of the console for links; `None` leaves it to the caller of [`Plan::link`].
    pub console: Option<String>,
}

impl Plan {
    /// The route of that name.
    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// Where people look at an incident.
    pub fn link(&self, incident: &str) -> Option<String> {
        let root = self.console.as_deref()?.trim_end_matches('/');
        Some(format!("{root}/incidents/{}", percent(incident)))
    }
}

/// Ids come from other nodes: whatever is no plain character is escaped in an address.
pub fn percent(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_like_what_its_stars_leave_open() {
        let check =
            |pattern, text, expected| assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        check("a", "a", true);
        check("a", "ab", false);
        check("*", "", true);
        check("link_down:*", "link_down:a→b", true);
        check("*:web-1", "node_down:web-1", true);
        check("*a*b", "xaxxb", true);
        check("*a*b", "xaxxbc", false);
        check("ab*ba", "aba", false);
    }

    #[test]
    fn a_link_holds_no_markup() {
        let plan = Plan {
            console: Some("https://andon.example.com/".into()),
            ..Plan::default()
        };
        assert_eq!(
            plan.link("a/<b>").unwrap(),
            "https://andon.example.com/incidents/a%2F%3Cb%3E"
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "(not shown)");
    }
}
