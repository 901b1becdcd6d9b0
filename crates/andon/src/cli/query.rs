//! `andon query`: a question about events, typed as text or JSON, answered as a table, series,
//! heatmap, JSON or CSV; a trace as a waterfall. Mistakes are shown before anybody is asked,
//! with a caret at the place.

use super::asked::{self, AskedNode};
use super::http::{self, HttpError};
use super::{Failure, screen, unknown};
use andon_model::query::{Answer, Query};
use andon_query::{Waterfall, render};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

/// For one question: a little more than a node takes.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Columns where no terminal says how many it has.
const WIDTH: usize = 120;
/// Nothing can be told.
const CANNOT_TELL: u8 = 2;

#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    /// The question: `requests | where status >= 500 | by region | count, p99(duration_ms) | last 1h`,
    /// or as JSON, beginning with {
    #[arg(value_name = "QUESTION", num_args = 1.., required_unless_present_any = ["trace", "complete"])]
    question: Vec<String>,
    /// Print the answer as JSON, as POST /api/v1/query gives it
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the answer as CSV
    #[arg(long)]
    csv: bool,
    /// Print the question as JSON, and ask nobody
    #[arg(long)]
    explain: bool,
    /// Draw the trace with this id as a waterfall; QUESTION may name datasets other than
    /// `traces`, with commas between
    #[arg(long, value_name = "ID", conflicts_with_all = ["csv", "explain", "complete"])]
    trace: Option<String>,
    /// Print what could come next in a question that is begun, a line each, and ask nothing else
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["question", "json", "csv", "explain"])]
    complete: Option<String>,
    #[command(flatten)]
    asked: AskedNode,
}

pub fn run(args: &QueryArgs) -> Result<ExitCode, Failure> {
    if let Some(text) = &args.complete {
        return complete(args, text);
    }
    if let Some(id) = &args.trace {
        return trace(args, id);
    }
    let question = args.question.join(" ");
    let query = read(&question)?;
    let document = serde_json::to_value(&query)
        .map_err(|error| Failure::new(format!("cannot write the question: {error}")))?;
    if args.explain {
        return screen::print(&format!("{document:#}\n"));
    }
    let client = args.asked.client(TIMEOUT);
    let mut progress = Progress::new();
    let mut hear = |name: &str, data: &[u8]| progress.hear(name, data);
    let runtime = runtime()?;
    let asked = client.post_and_hear("/api/v1/query", &document, &mut hear);
    let answered = runtime.block_on(asked);
    progress.end();
    let answered = good(answered)?;
    if args.json {
        let text = String::from_utf8_lossy(&answered.body);
        return screen::print(&format!("{}\n", text.trim_end()));
    }
    let mut answer: Answer = serde_json::from_slice(&answered.body).map_err(|error| odd(&error))?;
    let unknown = unknown::names(&args.asked, &query, &answer);
    answer.notes.extend(runtime.block_on(unknown));
    if args.csv {
        for note in &answer.notes {
            screen::remark(note);
        }
        return screen::print(&render::csv(&answer));
    }
    screen::print(&render::answer(&answer, width()))
}

/// How far a long question is, on a terminal: standard error, so that it never gets into what is
/// redirected.
struct Progress {
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    fn hear(&mut self, name: &str, data: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Early {
            share: f64,
        }
        if name != "early" || !self.is_terminal {
            return;
        }
        if let Ok(early) = serde_json::from_slice::<Early>(data) {
            self.is_shown = true;
            let share = (early.share * 100.0).clamp(0.0, 100.0);
            screen::progress(&format!("{share:.0} % looked at; Ctrl-C calls it off"));
        }
    }

    fn end(&self) {
        if self.is_shown {
            screen::progress("");
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))
}

fn good(answered: Result<http::Answer, HttpError>) -> Result<http::Answer, Failure> {
    let answered = answered.map_err(|error| cannot_tell(asked::told(&error)))?;
    if answered.status == 200 {
        return Ok(answered);
    }
    let (message, help) = answered.refusal();
    Err(cannot_tell(format!("{message}\n  {help}")))
}

fn odd(error: &serde_json::Error) -> Failure {
    cannot_tell(format!(
        "the node answers something that is no answer: {error}\n  is it of about this version?"
    ))
}

/// One proposal a line, with a tab before what it is: for shells and people.
fn complete(args: &QueryArgs, text: &str) -> Result<ExitCode, Failure> {
    #[derive(serde::Deserialize)]
    struct Proposals {
        completions: Vec<Proposal>,
    }
    #[derive(serde::Deserialize)]
    struct Proposal {
        text: String,
        about: String,
    }
    let path = format!("/api/v1/query/complete?text={}", escaped(text));
    let client = args.asked.client(TIMEOUT);
    let answered = good(runtime()?.block_on(client.get(&path)))?;
    let found: Proposals = serde_json::from_slice(&answered.body).map_err(|error| odd(&error))?;
    let lines = found.completions.iter().map(|one| {
        let line = format!("{}\t{}", one.text, one.about);
        format!("{}\n", line.trim_end())
    });
    screen::print(&lines.collect::<String>())
}

/// A trace, drawn.
fn trace(args: &QueryArgs, id: &str) -> Result<ExitCode, Failure> {
    let datasets = match args.question.concat() {
        none if none.is_empty() => "traces".to_owned(),
        names => names.replace(' ', ""),
    };
    let path = format!(
        "/api/v1/traces/{}?dataset={}",
        escaped(id),
        escaped(&datasets)
    );
    let client = args.asked.client(TIMEOUT);
    let answered = good(runtime()?.block_on(client.get(&path)))?;
    if args.json {
        let text = String::from_utf8_lossy(&answered.body);
        return screen::print(&format!("{}\n", text.trim_end()));
    }
    let trace: Waterfall = serde_json::from_slice(&answered.body).map_err(|error| odd(&error))?;
    screen::print(&render::waterfall(&trace, width()))
}

/// A text as a part of a URL.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A question in either form.
fn read(question: &str) -> Result<Query, Failure> {
    if question.trim_start().starts_with('{') {
        return andon_query::from_json(question.as_bytes()).map_err(|problems| {
            let lines: Vec<String> = problems
                .iter()
                .map(|problem| match &problem.help {
                    Some(help) => format!("{problem}\n  {help}"),
                    None => problem.to_string(),
                })
                .collect();
            Failure::usage(lines.join("\n"))
        });
    }
    andon_query::parse(question).map_err(|error| Failure::usage(error.pointed(question)))
}

/// Columns of the terminal.
fn width() -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|text| text.parse().ok());
    said.or_else(screen::columns)
        .unwrap_or(WIDTH)
        .clamp(40, 400)
}

fn cannot_tell(text: String) -> Failure {
    Failure {
        code: CANNOT_TELL,
        text,
    }
}
