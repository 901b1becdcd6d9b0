//! `andon query`: a question about events, typed as text or JSON, answered as a table, series,
//! heatmap, JSON or CSV. Mistakes are shown before anybody is asked, with a caret at the place.

use super::asked::{self, AskedNode};
use super::{Failure, screen};
use andon_model::query::{Answer, Query};
use andon_query::render;
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
    #[arg(value_name = "QUESTION", num_args = 1.., required = true)]
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
    #[command(flatten)]
    asked: AskedNode,
}

pub fn run(args: &QueryArgs) -> Result<ExitCode, Failure> {
    let question = args.question.join(" ");
    let query = read(&question)?;
    let document = serde_json::to_value(&query)
        .map_err(|error| Failure::new(format!("cannot write the question: {error}")))?;
    if args.explain {
        return screen::print(&format!("{document:#}\n"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let client = args.asked.client(TIMEOUT);
    let answered = runtime
        .block_on(client.post("/api/v1/query", &document))
        .map_err(|error| cannot_tell(asked::told(&error)))?;
    if answered.status != 200 {
        let (message, help) = answered.refusal();
        return Err(cannot_tell(format!("{message}\n  {help}")));
    }
    if args.json {
        let text = String::from_utf8_lossy(&answered.body);
        return screen::print(&format!("{}\n", text.trim_end()));
    }
    let answer: Answer = serde_json::from_slice(&answered.body).map_err(|error| {
        cannot_tell(format!(
            "the node answers something that is no answer: {error}\n  is it of about this version?"
        ))
    })?;
    if args.csv {
        for note in &answer.notes {
            screen::remark(note);
        }
        return screen::print(&render::csv(&answer));
    }
    screen::print(&render::answer(&answer, width()))
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
