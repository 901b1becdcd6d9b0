//! `andon incident`: what is open, its story, and what a person says about it.

use super::asked::{AskedNode, Pass, told};
use super::flags::PlaceFlags;
use super::http::Client;
use super::{Failure, screen};
use andon_model::{Incident, IncidentState, Severity, TimelineKind, Timestamp};
use owo_colors::{AnsiColors, OwoColorize};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Subcommand)]
pub enum IncidentCommand {
    /// All incidents: open ones first; exit code 1 if any is open
    List {
        /// Those that are over are left out
        #[arg(long)]
        open: bool,
        /// Print them as JSON, as GET /api/v1/incidents answers them
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        asked: AskedNode,
    },
    /// One incident: sentence, what it hits, timeline, evidence
    Show {
        /// Its id, or enough of its end to tell it from others; without it, the newest
        id: Option<String>,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        asked: AskedNode,
    },
    /// Take note of it: reminders stop
    Ack(About),
    /// Take it on, or give it to somebody
    Own {
        #[command(flatten)]
        about: About,
        /// Whose it is; you, by default
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// Add a note to its timeline
    Note {
        #[command(flatten)]
        about: About,
        /// The note
        #[arg(required = true, num_args = 1..)]
        text: Vec<String>,
    },
    /// Say that its effect is bounded
    Mitigate(About),
    /// Close it; it stays closed until the fault comes anew
    Resolve(About),
}

#[derive(Debug, clap::Args)]
pub struct About {
    /// Its id, or enough of its end to tell it from others
    id: String,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: AskedNode,
    #[command(flatten)]
    place: PlaceFlags,
}

pub fn run(command: IncidentCommand) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(carry_out(command))
}

async fn carry_out(command: IncidentCommand) -> Result<ExitCode, Failure> {
    match command {
        IncidentCommand::List { open, json, asked } => {
            list(&asked.client(TIMEOUT), open, json).await
        }
        IncidentCommand::Show { id, json, asked } => {
            let client = asked.client(TIMEOUT);
            let all = all(&client).await?;
            let incident = match id {
                Some(id) => named(&all, &id)?,
                None => all
                    .first()
                    .ok_or_else(|| Failure::new("there is no incident"))?,
            };
            show(incident, json)
        }
        IncidentCommand::Ack(about) => say(&about, "ack", serde_json::json!({})).await,
        IncidentCommand::Own { about, to } => {
            let owner = to.map_or(serde_json::json!({}), |to| serde_json::json!({"owner": to}));
            say(&about, "own", owner).await
        }
        IncidentCommand::Note { about, text } => {
            say(&about, "note", serde_json::json!({"text": text.join(" ")})).await
        }
        IncidentCommand::Mitigate(about) => say(&about, "mitigate", serde_json::json!({})).await,
        IncidentCommand::Resolve(about) => say(&about, "resolve", serde_json::json!({})).await,
    }
}

async fn list(client: &Client, open: bool, json: bool) -> Result<ExitCode, Failure> {
    let mut all = all(client).await?;
    if open {
        all.retain(|incident| incident.state != IncidentState::Resolved);
    }
    let some_open = all
        .iter()
        .any(|incident| incident.state == IncidentState::Open);
    let text = if json {
        in_json(&all)?
    } else if all.is_empty() {
        "no incidents\n".to_owned()
    } else {
        all.iter().map(line).collect()
    };
    screen::print(&text)?;
    Ok(ExitCode::from(u8::from(some_open)))
}

async fn say(about: &About, what: &str, body: serde_json::Value) -> Result<ExitCode, Failure> {
    let client = about.asked.client(TIMEOUT);
    let all = all(&client).await?;
    let id = &named(&all, &about.id)?.id;
    let path = format!("/api/v1/incidents/{id}/{what}");
    let mut pass = Pass::new(client.clone(), about.place.clone());
    let answer = pass
        .act(async |client: &Client| client.post(&path, &body).await)
        .await
        .map_err(|error| Failure::new(told(&error)))?;
    if answer.status != 200 {
        let (message, help) = answer.refusal();
        return Err(Failure::new(format!("{message}\n  {help}")));
    }
    let incident: Incident =
        serde_json::from_slice(&answer.body).map_err(|error| odd(&client, &error))?;
    if about.json {
        return screen::print(&in_json(&incident)?);
    }
    screen::print(&line(&incident))
}

async fn all(client: &Client) -> Result<Vec<Incident>, Failure> {
    let answer = client
        .get("/api/v1/incidents")
        .await
        .map_err(|error| Failure {
            code: 2,
            text: told(&error),
        })?;
    if answer.status != 200 {
        let (message, help) = answer.refusal();
        return Err(Failure {
            code: 2,
            text: format!("{message}\n  {help}"),
        });
    }
    serde_json::from_slice(&answer.body).map_err(|error| odd(client, &error))
}

fn odd(client: &Client, error: &serde_json::Error) -> Failure {
    Failure {
        code: 2,
        text: format!(
            "{} answers something that is no list of incidents: {error}\n  is it an Andon node, of about this version?",
            client.url
        ),
    }
}

/// The incident that goes by that name: whole, a former one, or the end of it.
fn named<'a>(all: &'a [Incident], name: &str) -> Result<&'a Incident, Failure> {
    let whole = |incident: &&Incident| {
        incident.id == name || incident.aliases.iter().any(|alias| alias == name)
    };
    if let Some(incident) = all.iter().find(whole) {
        return Ok(incident);
    }
    let fits: Vec<&Incident> = all.iter().filter(|i| i.id.ends_with(name)).collect();
    match fits[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(format!(
            "there is no incident {name:?}\n  `andon incident list` shows what there is"
        ))),
        _ => Err(Failure::new(format!(
            "{} incidents end in {name:?}: {}\n  give more of the id",
            fits.len(),
            fits.iter()
                .map(|i| i.id.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

fn in_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))
}

fn show(incident: &Incident, json: bool) -> Result<ExitCode, Failure> {
    if json {
        return screen::print(&in_json(incident)?);
    }
    screen::print(&page(incident))
}

/// One line of the list.
fn line(incident: &Incident) -> String {
    let (shape, colour) = shape(incident);
    let word = match incident.state {
        IncidentState::Open => "open",
        IncidentState::Mitigated => "mitigated",
        IncidentState::Resolved => "resolved",
    };
    let until = incident.resolved_at.unwrap_or_else(now);
    let lasts = span(until.since(incident.opened_at));
    let who = match (&incident.owner, &incident.acknowledged_by) {
        (Some(owner), _) => format!(" · {owner}'s"),
        (None, Some(who)) => format!(" · acknowledged by {who}"),
        (None, None) => String::new(),
    };
    format!(
        "{} {}  {:8}  {word:9}  {lasts:>7}  {}{}\n",
        paint(shape, colour),
        incident.id,
        severity(incident.severity),
        incident.title,
        paint(&who, AnsiColors::BrightBlack),
    )
}

/// The whole story.
fn page(incident: &Incident) -> String {
    let mut text = line(incident);
    let blast = &incident.blast_radius;
    let _ = writeln!(text);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(
                text,
                "  {:<12}{value}",
                paint(name, AnsiColors::BrightBlack)
            );
        }
    };
    fact("since", incident.opened_at.to_string());
    fact(
        "until",
        incident
            .resolved_at
            .map(|at| at.to_string())
            .unwrap_or_default(),
    );
    let came_back = match incident.reopened {
        0 => String::new(),
        1 => "once".to_owned(),
        more => format!("{more} times"),
    };
    fact("came back", came_back);
    fact("nodes", blast.nodes.join(", "));
    fact("sites", blast.sites.join(", "));
    let links = match blast.links_total {
        0 => String::new(),
        total => format!("{total}: {}", few(&blast.links)),
    };
    fact("links", links);
    fact("services", blast.services.join(", "));
    if let Some(flows) = blast.flows {
        let share = blast.share.map_or_else(String::new, |share| {
            format!(" ({:.1} % of all flows in the grid)", share * 100.0)
        });
        fact(
            "flows",
            format!("{} of {} fail{share}", flows.failed, flows.total),
        );
    }
    for verdict in &incident.verdicts {
        let _ = writeln!(text, "\n  {}", verdict.sentence);
        for evidence in verdict.evidence.iter().take(8) {
            let mark = if evidence.supports { "+" } else { "−" };
            let _ = writeln!(
                text,
                "    {mark} {} {}",
                evidence.observer, evidence.observation
            );
        }
        if let more @ 1.. = verdict.evidence.len().saturating_sub(8) {
            let _ = writeln!(text, "    … and {more} more (--json)");
        }
    }
    let _ = writeln!(text, "\n  {}", paint("timeline", AnsiColors::BrightBlack));
    for entry in &incident.timeline {
        let by = entry
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!(" · {by}"));
        let _ = writeln!(
            text,
            "  {}  {} {}{}",
            clock(entry.at),
            mark(entry.kind),
            entry.text,
            paint(&by, AnsiColors::BrightBlack)
        );
    }
    let _ = writeln!(
        text,
        "\n  {}\n  {}",
        paint("draft for the status page", AnsiColors::BrightBlack),
        incident.status_page
    );
    text
}

fn few(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    let more = if names.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    shown.join(", ") + more
}

fn shape(incident: &Incident) -> (&'static str, AnsiColors) {
    match (incident.state, incident.severity) {
        (IncidentState::Resolved, _) => ("✓", AnsiColors::Green),
        (IncidentState::Mitigated, _) => ("◌", AnsiColors::Cyan),
        (IncidentState::Open, Severity::Critical) => ("✗", AnsiColors::Red),
        (IncidentState::Open, Severity::Major) => ("◐", AnsiColors::Yellow),
        (IncidentState::Open, Severity::Minor) => ("▲", AnsiColors::Yellow),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Minor => "minor",
        Severity::Major => "major",
        Severity::Critical => "critical",
    }
}

fn mark(kind: TimelineKind) -> &'static str {
    match kind {
        TimelineKind::FirstSymptom => "·",
        TimelineKind::Verdict => "✗",
        TimelineKind::Changed => "~",
        TimelineKind::Cleared | TimelineKind::Mitigated => "◌",
        TimelineKind::Notified => "✉",
        TimelineKind::NotifyFailed => "!",
        TimelineKind::Acknowledged | TimelineKind::Owned => "☞",
        TimelineKind::Note => "“",
        TimelineKind::Reopened => "↻",
        TimelineKind::Resolved => "✓",
    }
}

fn paint(text: &str, colour: AnsiColors) -> String {
    if screen::coloured() {
        text.color(colour).to_string()
    } else {
        text.to_owned()
    }
}

/// Time of day in UTC, to the tenth of a second.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text
        .split('T')
        .nth(1)
        .unwrap_or(&text)
        .trim_end_matches('Z');
    let mut time: String = time.chars().take(10).collect();
    if time.len() == 8 {
        time.push_str(".0");
    }
    format!("{time:<10}")
}

fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
