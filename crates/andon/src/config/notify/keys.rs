//! The keys of `[[notify.route]]`, `[[notify.silence]]` and `[[notify.maintenance]]`: one row
//! is what is read, what the sample shows and what the reference says.

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text in quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list of texts; one alone needs no brackets.
    List,
    /// A moment, with or without quotes.
    Moment,
    /// A text that is never shown, or where it is found: `{ file = "…" }`, `{ env = "…" }`.
    Secret,
    /// Names with secrets.
    Secrets,
}

/// One key.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Kinds of route that know it; empty means all.
    pub kinds: &'static [&'static str],
    /// How it is written.
    pub form: Form,
    /// A value for the sample, as TOML.
    pub sample: &'static str,
    /// Meaning, default, range.
    pub help: &'static str,
}

/// Kinds of route.
pub const KINDS: &[&str] = &[
    "webhook",
    "slack",
    "teams",
    "pagerduty",
    "opsgenie",
    "email",
    "command",
];

const fn key(
    name: &'static str,
    kinds: &'static [&'static str],
    form: Form,
    sample: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        kinds,
        form,
        sample,
        help,
    }
}

/// All keys of a route.
pub const ROUTE: &[Key] = &[
    key(
        "name",
        &[],
        Form::Text,
        r#""hook""#,
        "Its name, the same on every node that has it. Required.",
    ),
    key(
        "kind",
        &[],
        Form::Text,
        r#""webhook""#,
        "webhook, slack, teams, pagerduty, opsgenie, email or command. Required.",
    ),
    key(
        "url",
        &["webhook", "slack", "teams", "pagerduty", "opsgenie"],
        Form::Secret,
        r#""https://hooks.example.com/andon""#,
        "Where to. Required but for pagerduty and opsgenie, which have one of their own. Never shown.",
    ),
    key(
        "secret",
        &["webhook"],
        Form::Secret,
        r#""a long random text""#,
        "Signs what is sent. Default: unsigned.",
    ),
    key(
        "headers",
        &["webhook"],
        Form::Secrets,
        r#"{ authorization = "Bearer abc" }"#,
        "Further headers. Never shown.",
    ),
    key(
        "severity",
        &[],
        Form::Text,
        r#""major""#,
        "Tells of incidents at least so severe: minor, major or critical. Default minor.",
    ),
    key(
        "sites",
        &[],
        Form::List,
        r#"["fra"]"#,
        "Only of incidents that touch one of these sites. Default: any.",
    ),
    key(
        "nodes",
        &[],
        Form::List,
        r#"["web-1"]"#,
        "Only of incidents that touch one of these nodes. Default: any.",
    ),
    key(
        "services",
        &[],
        Form::List,
        r#"["shop"]"#,
        "Only of incidents that hit one of these targets or services. Default: any.",
    ),
    key(
        "causes",
        &[],
        Form::List,
        r#"["path_fault:*"]"#,
        "Only of incidents whose cause is like one of these, `*` standing for anything. Default: any.",
    ),
    key(
        "hours",
        &[],
        Form::List,
        r#"["mon-fri 08:00-18:00"]"#,
        "Only at these times; outside them it waits, and tells what is then still open. Default: always.",
    ),
    key(
        "timezone",
        &[],
        Form::Text,
        r#""UTC""#,
        "Of hours, and of times in messages: UTC, +02:00 or a name such as Europe/Berlin. Default UTC.",
    ),
    key(
        "wait",
        &[],
        Form::Text,
        r#""2s""#,
        "How long an incident stands before it is told, so that one message tells the whole. 0s to 1h. Default 2s.",
    ),
    key(
        "remind",
        &[],
        Form::Text,
        r#""30m""#,
        "Reminds while nobody has taken note. 1m to 7d. Default: never.",
    ),
    key(
        "give_up",
        &[],
        Form::Text,
        r#""4h""#,
        "How long an undelivered message is tried again. 1m to 7d. Default 4h.",
    ),
    key(
        "per_hour",
        &[],
        Form::Number,
        "30",
        "Messages an hour, beyond which incidents are told together. 1 to 1000. Default 30.",
    ),
    key(
        "resolved",
        &[],
        Form::Switch,
        "true",
        "Whether it also tells that an incident is over. Default true.",
    ),
    key(
        "ca_file",
        &[
            "webhook",
            "slack",
            "teams",
            "pagerduty",
            "opsgenie",
            "email",
        ],
        Form::Text,
        r#""/etc/andon/ca.pem""#,
        "Certificate authorities (PEM) trusted beside the system's.",
    ),
    key(
        "key",
        &["pagerduty", "opsgenie"],
        Form::Secret,
        r#"{ file = "/etc/andon/pagerduty.key" }"#,
        "pagerduty: the integration key of an Events API v2 integration; opsgenie: the API key. Required.",
    ),
    key(
        "server",
        &["email"],
        Form::Text,
        r#""mail.example.com:587""#,
        "Mail server. Without a port: 587 for starttls, 465 for tls, 25 for none. Required.",
    ),
    key(
        "tls",
        &["email"],
        Form::Text,
        r#""starttls""#,
        "starttls, tls, or none for a mail server on this machine. Default starttls.",
    ),
    key(
        "user",
        &["email"],
        Form::Text,
        r#""andon""#,
        "Name to log in with, together with password. Default: no login.",
    ),
    key(
        "password",
        &["email"],
        Form::Secret,
        r#"{ env = "ANDON_MAIL_PASSWORD" }"#,
        "Password to log in with.",
    ),
    key(
        "from",
        &["email"],
        Form::Text,
        r#""Andon <andon@example.com>""#,
        "Sender. Required.",
    ),
    key(
        "to",
        &["email"],
        Form::List,
        r#"["ops@example.com"]"#,
        "Recipients. Required.",
    ),
    key(
        "command",
        &["command"],
        Form::List,
        r#"["/usr/local/bin/page", "--now"]"#,
        "Program and arguments, run without a shell. Required.",
    ),
    key(
        "timeout",
        &["command"],
        Form::Text,
        r#""30s""#,
        "The program and all it started are killed after so long. 1s to 2m. Default 30s.",
    ),
];

// What a silence or maintenance is about.
const SITES: Key = key(
    "sites",
    &[],
    Form::List,
    r#"["fra"]"#,
    "Incidents within these sites alone.",
);
const NODES: Key = key(
    "nodes",
    &[],
    Form::List,
    r#"["web-1"]"#,
    "Incidents about these nodes alone.",
);
const CAUSES: Key = key(
    "causes",
    &[],
    Form::List,
    r#"["link_down:*"]"#,
    "Incidents whose cause is like one of these.",
);
const SEVERITY: Key = key(
    "severity",
    &[],
    Form::Text,
    r#""major""#,
    "Incidents at most so severe.",
);

/// All keys of a silence. What is given has to hold together.
pub const SILENCE: &[Key] = &[
    SITES,
    NODES,
    CAUSES,
    SEVERITY,
    key(
        "until",
        &[],
        Form::Moment,
        r#""2026-11-21T06:00:00Z""#,
        "When it ends. Required.",
    ),
    key(
        "reason",
        &[],
        Form::Text,
        r#""known, fixed on Monday""#,
        "Why; stands in the timeline. Required.",
    ),
];

/// All keys of a maintenance. What is given has to hold together.
pub const MAINTENANCE: &[Key] = &[
    SITES,
    NODES,
    CAUSES,
    SEVERITY,
    key(
        "from",
        &[],
        Form::Moment,
        r#""2026-11-22T01:00:00Z""#,
        "When it begins, together with until.",
    ),
    key(
        "until",
        &[],
        Form::Moment,
        r#""2026-11-22T05:00:00Z""#,
        "When it ends.",
    ),
    key(
        "weekly",
        &[],
        Form::List,
        r#"["sun 02:00-04:00"]"#,
        "Every week at these times, instead of from and until.",
    ),
    key(
        "timezone",
        &[],
        Form::Text,
        r#""UTC""#,
        "Of weekly. Default UTC.",
    ),
    key(
        "reason",
        &[],
        Form::Text,
        r#""new switches""#,
        "Why; stands in the timeline. Required.",
    ),
];
