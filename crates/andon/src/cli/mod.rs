//! The commands of `andon`, one file each.
//!
//! [`flags`] makes the flags of a node from the table of settings; [`failure`] is how a
//! command ends badly, [`screen`] how it prints; [`http`] asks a running node, [`asked`] which.

mod asked;
mod audit;
mod config_command;
mod event;
mod failure;
mod flags;
mod host;
pub mod http;
mod import;
mod incident;
mod invite;
mod key;
mod lab;
mod moment;
mod node;
mod notify;
mod query;
mod reachable;
pub mod screen;
mod status;
pub mod stop;
mod store;
mod texts;
mod token;
mod trace;
mod unknown;
pub mod url;

pub use failure::Failure;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Every node shows the same live picture of every link, and says what is wrong and where.
#[derive(Debug, Parser)]
#[command(name = "andon", version, about, after_help = texts::TOP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node on this machine
    #[command(after_help = texts::NODE)]
    Node(node::NodeArgs),
    /// Five nodes in three places on this machine, and plugs that are pulled
    #[command(after_help = texts::DEMO)]
    Demo(crate::demo::DemoArgs),
    /// The picture of a running node as a table; exit code 0 well, 1 wrong, 2 cannot tell
    #[command(after_help = texts::STATUS)]
    Status(status::StatusArgs),
    /// Incidents: what is open, its story, and what you say about it
    #[command(subcommand, after_help = texts::INCIDENT)]
    Incident(incident::IncidentCommand),
    /// The ways of many flows to a node or target, hop by hop, from any node of the grid
    #[command(after_help = texts::TRACE)]
    Trace(trace::TraceArgs),
    /// Ask about events: logs, metrics, traces and whatever else was sent
    #[command(after_help = texts::QUERY)]
    Query(query::QueryArgs),
    /// Send files of events: NDJSON, CSV or lines of logs, packed or not
    #[command(after_help = texts::IMPORT)]
    Import(import::ImportArgs),
    /// Single events from scripts: send, begin and end, heartbeats
    #[command(subcommand, after_help = texts::EVENT)]
    Event(event::EventCommand),
    /// The events of a node that does not run: check, repair, export, move to ClickHouse
    #[command(subcommand, after_help = texts::STORE)]
    Store(store::StoreCommand),
    /// Print a new grid key
    #[command(after_help = texts::KEYGEN)]
    Keygen,
    /// Print one line to paste on the next machine
    #[command(after_help = texts::INVITE)]
    Invite(invite::InviteArgs),
    /// Tokens for people and programs that look at this node from elsewhere
    #[command(subcommand, after_help = texts::TOKEN)]
    Token(token::TokenCommand),
    /// The log of everything that changed something
    #[command(subcommand, after_help = texts::AUDIT)]
    Audit(audit::AuditCommand),
    /// Change the grid key without downtime
    #[command(subcommand, after_help = texts::KEY)]
    Key(key::KeyCommand),
    /// Real networks on this machine, faults in them, and what nodes say of it
    #[command(subcommand, after_help = texts::LAB)]
    Lab(lab::LabCommand),
    /// Whom the grid tells of incidents, and whether it works
    #[command(subcommand, after_help = texts::NOTIFY)]
    Notify(notify::NotifyCommand),
    /// Check the configuration, or print a sample of it
    #[command(subcommand, after_help = texts::CONFIG)]
    Config(config_command::ConfigCommand),
    /// Print the description of the API (OpenAPI), as a node answers it
    #[command(after_help = texts::OPENAPI)]
    Openapi,
    /// Print completions for a shell
    #[command(after_help = texts::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = texts::MAN)]
    Man,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            screen::complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Node(args) => node::run(args),
        Command::Demo(args) => crate::demo::run(args),
        Command::Status(args) => status::run(&args),
        Command::Incident(command) => incident::run(command),
        Command::Trace(args) => trace::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Event(command) => event::run(command),
        Command::Store(command) => store::run(command),
        Command::Keygen => key::keygen(),
        Command::Invite(args) => invite::run(&args),
        Command::Token(command) => token::run(command),
        Command::Audit(command) => audit::run(command),
        Command::Key(command) => key::run(command),
        Command::Lab(command) => lab::run(command),
        Command::Notify(command) => notify::run(command),
        Command::Config(command) => config_command::run(command),
        Command::Openapi => screen::print(&format!("{}\n", andon_api::openapi_json())),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "andon", &mut text);
            if shell == clap_complete::Shell::Bash {
                text.extend_from_slice(QUESTIONS_BASH);
            }
            screen::print_bytes(&text)
        }
        Command::Man => manual(),
    }
}

/// What bash completes within a question.
const QUESTIONS_BASH: &[u8] = include_bytes!("questions.bash");

/// One page: the program, then each command.
fn manual() -> Result<ExitCode, Failure> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    command.build();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut text);
    rendered.map_err(|error| Failure::new(format!("cannot write the manual page: {error}")))?;
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let _ = std::io::Write::write_all(
            &mut text,
            format!(".SH \"ANDON {}\"\n", sub.get_name().to_uppercase()).as_bytes(),
        );
        let page = clap_mangen::Man::new(sub.clone());
        let mut body = Vec::new();
        let rendered = page
            .render_description_section(&mut body)
            .and_then(|()| page.render_options_section(&mut body));
        rendered.map_err(|error| Failure::new(format!("cannot write the manual page: {error}")))?;
        let body = String::from_utf8_lossy(&body)
            .replace(".SH DESCRIPTION\n", "")
            .replace(".SH OPTIONS", ".SS OPTIONS");
        text.extend_from_slice(body.as_bytes());
    }
    screen::print_bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_in_the_help_parses() {
        let mut examples = 0;
        for text in texts::ALL {
            for line in text.lines().map(str::trim) {
                let Some(at) = line
                    .find("andon ")
                    .filter(|_| line.starts_with("andon ") || line.contains("ANDON_"))
                else {
                    continue;
                };
                let words = line[at..]
                    .split("  #")
                    .next()
                    .unwrap_or("")
                    .split([';', '|', '>'])
                    .next()
                    .unwrap_or("");
                let parsed =
                    Cli::try_parse_from(words.split_whitespace().filter(|word| *word != "\\"));
                assert!(parsed.is_ok(), "{line}\n{}", parsed.err().unwrap());
                examples += 1;
            }
        }
        assert!(examples >= 20, "only {examples} examples were found");
    }

    #[test]
    fn the_manual_page_names_every_command_and_every_flag_of_a_node() {
        let mut text = Vec::new();
        let mut command = Cli::command();
        command.build();
        for sub in command.get_subcommands() {
            clap_mangen::Man::new(sub.clone())
                .render(&mut text)
                .unwrap();
        }
        let text = String::from_utf8(text).unwrap().replace("\\-", "-");
        for setting in crate::config::setting::SETTINGS {
            if let Some(flag) = setting.flag {
                assert!(text.contains(&format!("--{flag}")), "{flag}");
            }
        }
    }
}
