//! `andon event`: single events from scripts and cron jobs.

use super::asked::{self, AskedNode};
use super::{Failure, screen};
use crate::config::value::duration;
use andon_ingest::heartbeat;
use andon_model::event::{is_dataset_name, key};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// For one event.
const TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Subcommand)]
pub enum EventCommand {
    /// Something happened: sends one event
    #[command(after_help = super::texts::EVENT_SEND)]
    Send(SendArgs),
    /// Something begins: prints the id by which it ends
    #[command(after_help = super::texts::EVENT_BEGIN)]
    Begin(BeginArgs),
    /// What `begin` named is over
    #[command(after_help = super::texts::EVENT_END)]
    End(EndArgs),
    /// Still alive: one that stops is an alert
    #[command(after_help = super::texts::EVENT_HEARTBEAT)]
    Heartbeat(HeartbeatArgs),
}

/// What all of them have.
#[derive(Debug, clap::Args)]
struct Common {
    /// Further attributes; numbers, true and false are what they look like
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    attributes: Vec<(String, Value)>,
    /// Where it goes
    #[arg(long, value_name = "NAME", default_value = "events")]
    dataset: String,
    #[command(flatten)]
    asked: AskedNode,
}

#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// What it is about, in one word or path
    name: String,
    /// Makes it a heartbeat that comes so often: one that stops is an alert
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct BeginArgs {
    /// What begins, in one word or path
    name: String,
    /// The id of what it is part of, as `begin` printed it
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct EndArgs {
    /// What `begin` printed
    id: String,
    /// How it went: ok, error, or a number
    #[arg(long, default_value = "ok")]
    status: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub struct HeartbeatArgs {
    /// Whose
    name: String,
    /// How often it comes; without it nobody waits for the next one
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    /// How late it may be; without it a quarter of its interval, 2 seconds to 15 minutes
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "every")]
    grace: Option<Duration>,
    /// It comes no more, and nobody is to miss it
    #[arg(long, conflicts_with_all = ["every", "grace"])]
    stop: bool,
    #[command(flatten)]
    common: Common,
}

pub fn run(command: EventCommand) -> Result<ExitCode, Failure> {
    match command {
        EventCommand::Send(args) => {
            let mut said = vec![(key::NAME, json!(args.name))];
            let kind = match args.every {
                Some(every) => {
                    said.push((heartbeat::EVERY, json!(every.as_secs_f64())));
                    heartbeat::KIND
                }
                None => "event",
            };
            send(&args.common, kind, &said)?;
        }
        EventCommand::Heartbeat(args) => {
            let mut said = vec![(key::NAME, json!(args.name))];
            if let Some(every) = args.every {
                said.push((heartbeat::EVERY, json!(every.as_secs_f64())));
            }
            if let Some(grace) = args.grace {
                said.push((heartbeat::GRACE, json!(grace.as_secs_f64())));
            }
            if args.stop {
                said.push((heartbeat::EVERY, json!(0)));
            }
            send(&args.common, heartbeat::KIND, &said)?;
        }
        EventCommand::Begin(args) => {
            let parent = args.parent.as_deref().map(ids).transpose()?;
            let trace = match &parent {
                Some((trace, _)) => trace.clone(),
                None => random::<16>()?,
            };
            let span = random::<8>()?;
            let mut said = vec![
                (key::NAME, json!(args.name)),
                (key::TRACE_ID, json!(trace)),
                (key::SPAN_ID, json!(span)),
            ];
            if let Some((_, parent)) = parent {
                said.push((key::PARENT_ID, json!(parent)));
            }
            send(&args.common, "begin", &said)?;
            return screen::print(&format!("{trace}-{span}\n"));
        }
        EventCommand::End(args) => {
            let (trace, span) = ids(&args.id)?;
            let said = [
                (key::TRACE_ID, json!(trace)),
                (key::SPAN_ID, json!(span)),
                (key::STATUS, value(&args.status)),
            ];
            send(&args.common, "end", &said)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn send(common: &Common, kind: &str, said: &[(&str, Value)]) -> Result<(), Failure> {
    if !is_dataset_name(&common.dataset) {
        let name = &common.dataset;
        return Err(Failure::usage(format!(
            "{name:?} cannot name a dataset\n  up to 64 letters, digits, - _ and ., begun by a letter or digit"
        )));
    }
    let mut event = Map::new();
    let now = super::token::now();
    event.insert("ts".to_owned(), json!(now.to_string()));
    event.insert(key::KIND.to_owned(), json!(kind));
    for (name, value) in said {
        event.insert((*name).to_owned(), value.clone());
    }
    if let Some(host) = nix::unistd::gethostname()
        .ok()
        .and_then(|host| host.into_string().ok())
    {
        event.insert(key::HOST.to_owned(), json!(host));
    }
    for (name, value) in &common.attributes {
        event.insert(name.clone(), value.clone());
    }
    let line = format!("{}\n", Value::Object(event));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let client = common.asked.client(TIMEOUT);
    let target = format!("/api/v1/events?dataset={}", common.dataset);
    let name = format!("event-{}", random::<12>()?);
    let answer = runtime
        .block_on(client.send_bytes(&target, line.into(), &name))
        .map_err(|error| Failure::new(asked::told(&error)))?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 && document["accepted"] == 1 {
        return Ok(());
    }
    let reason = document["rejected"][0]["error"].as_str();
    match reason.or(document["error"].as_str()) {
        Some(reason) => Err(Failure::new(format!("the event is not kept: {reason}"))),
        None => {
            let (message, help) = answer.refusal();
            Err(Failure::new(format!("{message}\n  {help}")))
        }
    }
}

/// `KEY=VALUE`.
fn pair(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, text)) if !name.is_empty() => Ok((name.to_owned(), value(text))),
        _ => Err("KEY=VALUE, such as customer=7 or region=eu".to_owned()),
    }
}

/// A value that looks like a number, true or false is one.
fn value(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return json!(number);
    }
    match (text, text.parse::<f64>()) {
        ("true", _) => json!(true),
        ("false", _) => json!(false),
        (_, Ok(number)) if number.is_finite() => json!(number),
        _ => json!(text),
    }
}

/// The two ids in what `begin` printed.
fn ids(text: &str) -> Result<(String, String), Failure> {
    let is_hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match text.trim().split_once('-') {
        Some((trace, span)) if is_hex(trace, 32) && is_hex(span, 16) => {
            Ok((trace.to_owned(), span.to_owned()))
        }
        _ => Err(Failure::usage(format!(
            "{text:?} is no id\n  it is what `andon event begin` printed: 32 and 16 hexadecimal digits with a dash between"
        ))),
    }
}

fn random<const BYTES: usize>() -> Result<String, Failure> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format!("there is no randomness: {error}")))?;
    Ok(super::http::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_what_they_look_like() {
        for (text, expected) in [
            ("a=1", json!(1)),
            ("a=1.5", json!(1.5)),
            ("a=true", json!(true)),
            ("a=nan", json!("nan")),
            ("a=x=y", json!("x=y")),
            ("a=", json!("")),
        ] {
            assert_eq!(pair(text), Ok(("a".to_owned(), expected)), "{text}");
        }
        assert!(pair("a").is_err() && pair("=1").is_err());
        let id = format!("{}-{}", "a".repeat(32), "b".repeat(16));
        assert_eq!(ids(&id).unwrap().1, "b".repeat(16));
        assert!(ids("a-b").is_err());
    }
}
