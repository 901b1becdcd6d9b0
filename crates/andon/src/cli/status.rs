//! `andon status`: the picture of a running node as a table, and its health as an exit code.

use super::asked::{self, AskedNode};
use super::http::{Client, HttpError};
use super::moment::{self, Here};
use super::{Failure, screen};
use andon_api::terminal;
use andon_model::{Incident, PictureView, Timestamp};
use std::process::ExitCode;
use std::time::Duration;

/// Nothing can be told of the grid.
const CANNOT_TELL: u8 = 2;
/// Time between looks while watching; a node derives its picture about five times a second.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Where the picture is.
const PICTURE: &str = "/api/v1/picture";
/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    asked: AskedNode,
    /// Print the picture as JSON, as GET /api/v1/picture answers it
    #[arg(long)]
    json: bool,
    /// Keep looking and redraw on change, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// The picture as it was: local time, UTC, RFC 3339, or "10m ago"
    #[arg(long, value_name = "MOMENT", allow_hyphen_values = true, conflicts_with = "watch",
        long_help = format!("The picture as the node showed it at a moment: {}", moment::EXPECTED))]
    at: Option<String>,
}

pub fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let client = args.asked.client(TIMEOUT);
    let here = Here::now();
    let at = match &args.at {
        Some(text) => Some(here.parse(text).map_err(Failure::usage)?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    if let Some(at) = at {
        runtime.block_on(past(&client, &here, at, args.json))
    } else if args.watch {
        runtime.block_on(watch(&client, args.json))
    } else {
        runtime.block_on(once(&client, args.json))
    }
}

async fn once(client: &Client, json: bool) -> Result<ExitCode, Failure> {
    let (text, view) = ask(client, PICTURE).await?;
    let shown = match json {
        true => text,
        false => draw(&view, &open_incidents(client).await),
    };
    screen::print(&shown)?;
    Ok(ExitCode::from(terminal::exit_code(&view)))
}

/// The picture of a moment, as this node kept it.
async fn past(
    client: &Client,
    here: &Here,
    at: Timestamp,
    json: bool,
) -> Result<ExitCode, Failure> {
    let (text, view) = ask(client, &format!("/api/v1/history/picture?at={at}")).await?;
    let shown = match json {
        true => text,
        false => format!(" As it was on {}\n{}", here.told(at), draw(&view, &[])),
    };
    screen::print(&shown)?;
    Ok(ExitCode::from(terminal::exit_code(&view)))
}

async fn watch(client: &Client, json: bool) -> Result<ExitCode, Failure> {
    let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let mut shown = String::new();
    loop {
        let text = match ask(client, PICTURE).await {
            Ok((text, _)) if json => text,
            Ok((_, view)) => draw(&view, &open_incidents(client).await),
            Err(failure) => format!("{}\n", failure.text),
        };
        if text != shown {
            // Home, each line cleared to its end, then everything below: no flicker.
            let lines = text.replace('\n', "\x1b[K\n");
            screen::print(&if on_terminal && !json {
                format!("\x1b[H{lines}\x1b[J")
            } else {
                text.clone()
            })?;
            shown = text;
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn draw(view: &PictureView, incidents: &[Incident]) -> String {
    terminal::render(
        view,
        incidents,
        &terminal::TerminalOptions {
            color: screen::coloured(),
            width: 80,
            unicode: true,
        },
    )
}

/// What people work on. The picture says what is wrong without it, so that a node that
/// cannot tell (an older one) hides nothing.
async fn open_incidents(client: &Client) -> Vec<Incident> {
    let answer = client.get("/api/v1/incidents?state=open").await;
    let answer = answer.ok().filter(|answer| answer.status == 200);
    answer
        .and_then(|answer| serde_json::from_slice(&answer.body).ok())
        .unwrap_or_default()
}

/// The document as it came, and what it says.
async fn ask(client: &Client, path: &str) -> Result<(String, PictureView), Failure> {
    let answer = client.get(path).await.map_err(told)?;
    match answer.status {
        200 => {}
        401 | 403 => {
            return Err(cannot_tell(format!(
                "{} does not let us look ({})\n  give a token with --token or ANDON_TOKEN; `andon token create --role viewer` on that node makes one",
                client.url, answer.status
            )));
        }
        404 if path != PICTURE => return Err(cannot_tell(no_picture(client, &answer.body))),
        status => {
            return Err(cannot_tell(format!(
                "{} answers {status} instead of the picture",
                client.url
            )));
        }
    }
    let view = serde_json::from_slice(&answer.body).map_err(|error| {
        cannot_tell(format!("{} answers something that is no picture: {error}\n  is it an Andon node, of about this version?", client.url))
    })?;
    let mut text = String::from_utf8_lossy(&answer.body).into_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok((text, view))
}

/// Why there is no picture of that moment, in the node's words.
fn no_picture(client: &Client, body: &[u8]) -> String {
    let error: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let word = |name: &str| {
        let text = error.as_ref()?.get("error")?.get(name)?.as_str()?;
        Some(andon_model::id::to_plain_text(text, 400))
    };
    match (word("message"), word("help")) {
        (Some(message), Some(help)) => format!("{}: {message}\n  {help}", client.url),
        _ => format!(
            "{} keeps no history\n  is it an Andon node of about this version?",
            client.url
        ),
    }
}

fn cannot_tell(text: String) -> Failure {
    Failure {
        code: CANNOT_TELL,
        text,
    }
}

fn told(error: HttpError) -> Failure {
    cannot_tell(asked::told(&error))
}
