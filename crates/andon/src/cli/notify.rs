//! `andon notify`: the routes by which people are told, and whether they work.

use super::flags::PlaceFlags;
use super::{Failure, screen};
use crate::config::layers::load_notify;
use crate::config::settings::NodeSettings;
use andon_model::{BlastRadius, Incident, IncidentState, Severity, Timestamp};
use andon_notify::mute::{Window, describe};
use andon_notify::{Answer, Message, Phase, Plan, Route, Sender, text};
use serde_json::json;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// The route took nothing.
const NOT_TOLD: u8 = 1;

#[derive(Debug, clap::Subcommand)]
pub enum NotifyCommand {
    /// Show the routes, silences and maintenance windows, and whether they hold now
    List(ListArgs),
    /// Send a test message over a route now, and say what the other side answered
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    place: PlaceFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Name of the route
    route: String,
    #[command(flatten)]
    place: PlaceFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: NotifyCommand) -> Result<ExitCode, Failure> {
    match command {
        NotifyCommand::List(args) => list(&args),
        NotifyCommand::Test(args) => test(&args),
    }
}

fn list(args: &ListArgs) -> Result<ExitCode, Failure> {
    let plan = load_notify(&args.place.inputs())?.notify;
    let now = now();
    if args.json {
        return screen::print(&format!("{:#}\n", listed(&plan, now)));
    }
    screen::print(&table(&plan, now))
}

/// Routes, silences and maintenance, for programs.
fn listed(plan: &Plan, now: Timestamp) -> serde_json::Value {
    let route = |route: &Route| {
        json!({
            "name": route.name,
            "kind": route.medium.name(),
            "severity": route.filter.severity,
            "sites": route.filter.sites,
            "nodes": route.filter.nodes,
            "services": route.filter.services,
            "causes": route.filter.causes,
            "hours": route.hours.texts(),
            "timezone": route.hours.zone().name(),
            "speaks_now": route.hours.contain(now),
            "wait_ms": route.wait.as_millis(),
            "remind_ms": route.remind.map(|span| span.as_millis()),
            "per_hour": route.per_hour,
            "origin": route.origin,
        })
    };
    let silence = |silence: &andon_notify::plan::Silence| {
        json!({
            "scope": describe(&silence.scope),
            "until": silence.until,
            "reason": silence.reason,
            "holds_now": now < silence.until,
        })
    };
    let maintenance = |maintenance: &andon_notify::plan::Maintenance| {
        json!({
            "scope": describe(&maintenance.scope),
            "when": when(&maintenance.window),
            "reason": maintenance.reason,
            "holds_now": maintenance.window.contains(now),
        })
    };
    json!({
        "routes": plan.routes.iter().map(route).collect::<Vec<_>>(),
        "silences": plan.silences.iter().map(silence).collect::<Vec<_>>(),
        "maintenance": plan.maintenance.iter().map(maintenance).collect::<Vec<_>>(),
    })
}

fn when(window: &Window) -> String {
    match window {
        Window::Once { from, until } => format!("{from} to {until}"),
        Window::Weekly(hours) => {
            format!("every {} {}", hours.texts().join(", "), hours.zone().name())
        }
    }
}

/// The same for people.
fn table(plan: &Plan, now: Timestamp) -> String {
    if plan.routes.is_empty() {
        return "no routes: nobody is told of incidents\n  `andon config sample` shows how a [[notify.route]] is written\n".into();
    }
    let mut text = String::new();
    let wide = |cells: &dyn Fn(&Route) -> usize| plan.routes.iter().map(cells).max().unwrap_or(0);
    let name_width = wide(&|route| route.name.len());
    let kind_width = wide(&|route| route.medium.name().len());
    for route in &plan.routes {
        let hours = match (route.hours.texts().as_slice(), route.hours.contain(now)) {
            ([], _) => "always".to_owned(),
            (texts, speaks) => {
                let now = if speaks { "speaks now" } else { "waits now" };
                format!("{} {}, {now}", texts.join(", "), route.hours.zone().name())
            }
        };
        let _ = writeln!(
            text,
            "{:name_width$}  {:kind_width$}  from {:8}  {hours}{}",
            route.name,
            route.medium.name(),
            text::severity(route.filter.severity),
            limits(route)
        );
    }
    for silence in &plan.silences {
        let state = if now < silence.until {
            "silent"
        } else {
            "over"
        };
        let _ = writeln!(
            text,
            "{state} until {}: {} ({})",
            silence.until,
            describe(&silence.scope),
            silence.reason
        );
    }
    for maintenance in &plan.maintenance {
        let state = match maintenance.window.contains(now) {
            true => "maintained now",
            false => "maintenance",
        };
        let _ = writeln!(
            text,
            "{state}, {}: {} ({})",
            when(&maintenance.window),
            describe(&maintenance.scope),
            maintenance.reason
        );
    }
    text
}

fn limits(route: &Route) -> String {
    let filter = &route.filter;
    let mut text = String::new();
    for (word, names) in [
        ("sites", &filter.sites),
        ("nodes", &filter.nodes),
        ("services", &filter.services),
        ("causes", &filter.causes),
    ] {
        if !names.is_empty() {
            let _ = write!(text, "; {word} {}", names.join(", "));
        }
    }
    text
}

fn test(args: &TestArgs) -> Result<ExitCode, Failure> {
    let settings = load_notify(&args.place.inputs())?;
    let Some(route) = settings.notify.route(&args.route) else {
        return Err(no_such_route(&args.route, &settings.notify));
    };
    let message = message(route, &settings, now());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let answer = runtime.block_on(Sender::new().send(route, &message, now()));
    runtime.shutdown_background();
    let (code, word, said, advice) = match &answer {
        Answer::Taken { said } => (ExitCode::SUCCESS, "taken", said, ""),
        Answer::Again { why, .. } => (
            ExitCode::from(NOT_TOLD),
            "not taken",
            why,
            "\n  a node would try this again",
        ),
        Answer::Refused { why } => (
            ExitCode::from(NOT_TOLD),
            "refused",
            why,
            "\n  a node would not try this again",
        ),
    };
    if args.json {
        let document =
            json!({"route": route.name, "kind": route.medium.name(), "answer": word, "said": said});
        screen::print(&format!("{document:#}\n"))?;
        return Ok(code);
    }
    let kind = route.medium.name();
    screen::print(&format!(
        "{} ({kind}): {word}: {said}{advice}\n",
        route.name
    ))?;
    Ok(code)
}

fn no_such_route(name: &str, plan: &Plan) -> Failure {
    let names: Vec<&str> = plan
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    let help = match crate::config::problem::nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => {
            "none is configured: `andon config sample` shows how a [[notify.route]] is written"
                .into()
        }
        None => format!("configured are: {}", names.join(", ")),
    };
    let name = andon_model::id::to_plain_text(name, 64);
    Failure::usage(format!("there is no route `{name}`\n  {help}"))
}

/// A message of which everybody sees that nothing is wrong.
fn message(route: &Route, settings: &NodeSettings, at: Timestamp) -> Message {
    let incident = Incident {
        id: format!("andon-test-{}", settings.id),
        aliases: Vec::new(),
        state: IncidentState::Open,
        severity: Severity::Minor,
        title: format!(
            "Test of the route {} from node {}. Nothing is wrong.",
            route.name, settings.id
        ),
        cause: "test".into(),
        opened_at: at,
        resolved_at: None,
        acknowledged_by: None,
        owner: None,
        reopened: 0,
        verdicts: Vec::new(),
        blast_radius: BlastRadius::default(),
        timeline: Vec::new(),
        status_page: String::new(),
    };
    let mut message = Message::about(
        Phase::Test,
        &incident,
        &settings.notify,
        settings.id.as_str(),
        at,
    );
    // There is no such incident to look at.
    message.link.clone_from(&settings.notify.console);
    for item in &mut message.items {
        item.link = None;
    }
    message
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
