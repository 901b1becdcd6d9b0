//! `andon trace`: the ways that many flows take to a node or target, as a drawing that goes on
//! like mtr; from the node that is asked, or from any other of the grid.

use super::asked::{self, AskedNode, Pass};
use super::flags::PlaceFlags;
use super::http::{Answer, Client};
use super::{Failure, screen};
use andon_api::TraceDocument;
use andon_api::terminal::TerminalOptions;
use andon_api::terminal::trace::{Outcome, Tally, draw, outcome};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// Nothing can be told.
const CANNOT_TELL: u8 = 2;
/// Between the starts of two rounds: a node takes thirty traces a minute of one person.
const ROUND_EVERY: Duration = Duration::from_secs(2);
/// Pause after a round that failed, so that nobody is pestered.
const PAUSE: Duration = Duration::from_secs(5);
/// For one round; the node gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Columns; two names and six figures fit.
const WIDTH: usize = 96;

#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// Where to: id of a node or target, a host or an address
    #[arg(value_name = "NODE-OR-TARGET")]
    to: String,
    /// Trace from this node of the grid instead of the one that is asked
    #[arg(long, value_name = "NODE")]
    from: Option<String>,
    /// Flows, each with a source port of its own: routers choose a way by it
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    flows: u16,
    /// Rounds; default: until Ctrl-C on a terminal, else one
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Print each round as JSON, as POST /api/v1/trace answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: AskedNode,
    #[command(flatten)]
    place: PlaceFlags,
}

pub fn run(args: &TraceArgs) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(rounds(args))
}

/// How the rounds are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    /// Drawn anew in the same place.
    Live,
    /// Drawn once, after the last round.
    Once,
    /// Each as it came.
    Json,
}

async fn rounds(args: &TraceArgs) -> Result<ExitCode, Failure> {
    let show = match (args.json, std::io::stdout().is_terminal()) {
        (true, _) => Show::Json,
        (false, true) => Show::Live,
        (false, false) => Show::Once,
    };
    let rounds = args.rounds.or((show != Show::Live).then_some(1));
    let document = serde_json::json!({"to": args.to, "from": args.from, "flows": args.flows});
    let mut pass = Pass::new(args.asked.client(TIMEOUT), args.place.clone());
    let mut tally = Tally::default();
    if show == Show::Live {
        screen::print("\x1b[2J")?;
    }
    let mut done = 0;
    loop {
        let started = Instant::now();
        let asking =
            pass.act(async |client: &Client| client.post("/api/v1/trace", &document).await);
        let answered = tokio::select! {
            answered = asking => answered,
            _ = tokio::signal::ctrl_c() => break,
        };
        let (pause, remark) = match answered
            .map_err(|error| cannot_tell(asked::told(&error)))
            .and_then(|answer| read(&answer, show))
        {
            Ok(document) => {
                tally.add(&document);
                (ROUND_EVERY, None)
            }
            // The first failure ends it: most likely it was asked wrongly.
            Err(failure) if tally.rounds == 0 => return Err(failure),
            Err(failure) => (PAUSE, Some(failure.text)),
        };
        done += 1;
        let is_last = rounds.is_some_and(|rounds| done >= rounds);
        match show {
            Show::Live => {
                let text = drawn(&tally, remark.as_deref()).replace('\n', "\x1b[K\n");
                screen::print(&format!("\x1b[H{text}\x1b[J"))?;
            }
            Show::Once if is_last => drop(screen::print(&drawn(&tally, remark.as_deref()))?),
            Show::Once | Show::Json => {}
        }
        if is_last {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep_until(started + pause) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    Ok(ExitCode::from(match outcome(&tally) {
        Outcome::Through => 0,
        Outcome::Dead => 1,
        Outcome::Unclear => CANNOT_TELL,
    }))
}

fn drawn(tally: &Tally, remark: Option<&str>) -> String {
    let options = TerminalOptions {
        color: screen::coloured(),
        width: WIDTH,
        unicode: true,
    };
    draw(tally, remark, &options)
}

/// The trace in an answer; printed as it came where JSON is wanted.
fn read(answer: &Answer, show: Show) -> Result<TraceDocument, Failure> {
    if answer.status != 200 {
        let (message, help) = answer.refusal();
        return Err(cannot_tell(format!("{message}\n  {help}")));
    }
    let document = serde_json::from_slice(&answer.body).map_err(|error| {
        cannot_tell(format!(
            "the node answers something that is no trace: {error}\n  is it of about this version?"
        ))
    })?;
    if show == Show::Json {
        let text = String::from_utf8_lossy(&answer.body);
        screen::print(&format!("{}\n", text.trim_end()))?;
    }
    Ok(document)
}

fn cannot_tell(text: String) -> Failure {
    Failure {
        code: CANNOT_TELL,
        text,
    }
}
