//! `andon lab`: real networks on this machine, faults in them, and what nodes say of it.

use super::{Failure, screen};
use andon_lab::narrate::{Narrator, Stage, Who};
use andon_lab::report::{Report, summary};
use andon_lab::run::signals;
use andon_lab::scenario::problem::Problems;
use andon_lab::world::{LabError, Means, privilege};
use andon_lab::{Scenario, run, standing};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Something was not as expected.
const WRONG: u8 = 1;
/// This machine or this user cannot run a lab.
const CANNOT: u8 = 3;
/// Somebody asked to stop.
const STOPPED: u8 = 130;
/// Where the scenarios are, seen from the project's folder.
const SCENARIOS: &str = "lab/scenarios";

#[derive(Debug, clap::Subcommand)]
pub enum LabCommand {
    /// Run scenarios: build each network, do what the file says, judge what the nodes say
    Run(RunArgs),
    /// Build a scenario's network and nodes, and leave them standing to play with
    Up {
        /// Scenario file
        file: PathBuf,
        /// First port for the consoles; others are taken where it is in use
        #[arg(long, value_name = "PORT", default_value_t = 18777)]
        port: u16,
    },
    /// Switch a fault of the standing lab; without a name, list them
    Fault {
        /// The fault
        #[arg(requires = "state")]
        name: Option<String>,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        state: Option<String>,
    },
    /// Remove the standing lab, and whatever a lab that crashed has left
    Down,
    /// Check scenario files without running them
    Check {
        /// Scenario files, or folders of them
        #[arg(default_value = SCENARIOS)]
        files: Vec<PathBuf>,
    },
    /// Hold a standing lab: what `up` starts in the background
    #[command(hide = true)]
    Hold {
        file: PathBuf,
        #[arg(long, default_value_t = 18777)]
        port: u16,
    },
}

/// So often a scenario is run again, with `--retries`, because the machine was too busy for it.
const STARVED_MAX: u32 = 3;
/// What else the machine does is given so long to end.
const STARVED_PAUSE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Scenario files
    #[arg(required_unless_present = "all")]
    files: Vec<PathBuf>,
    /// Every scenario of a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = SCENARIOS, conflicts_with = "files")]
    all: Option<PathBuf>,
    /// Run each so often and judge by the 95th percentile; without a number, as often as its file says
    #[arg(long, value_name = "N", num_args = 0..=1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: Option<Option<u32>>,
    /// Run one that was not right again, in a fresh network, at most so often. The networks are
    /// real, and a machine that others use as well can stall for seconds. Runs on which the nodes
    /// say that their hosts are too busy do not count, up to three times
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// Also run mtr and traceroute in the same fault, and tell what they show
    #[arg(long)]
    peers: bool,
    /// The andon whose nodes are run, where it is another than this one
    #[arg(long, value_name = "PROGRAM")]
    andon: Option<PathBuf>,
    /// Print what was found as JSON; the story goes to standard error
    #[arg(long)]
    json: bool,
}

pub fn run(command: LabCommand) -> Result<ExitCode, Failure> {
    match command {
        LabCommand::Run(args) => run_scenarios(&args),
        LabCommand::Up { file, port } => up(&file, port),
        LabCommand::Fault { name, state } => fault(name.as_deref(), state.as_deref()),
        LabCommand::Down => down(),
        LabCommand::Check { files } => check(&files),
        LabCommand::Hold { file, port } => {
            let scenario = load(&file)?;
            standing::hold(&scenario, program(None)?, port).map_err(told)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The program whose nodes are run.
fn program(other: Option<&Path>) -> Result<PathBuf, Failure> {
    let found = match other {
        Some(path) => path.canonicalize(),
        None => std::env::current_exe(),
    };
    found.map_err(|error| Failure::usage(format!("cannot find the program to run: {error}")))
}

fn load(file: &Path) -> Result<Scenario, Failure> {
    Scenario::load(file).map_err(|problems| told_problems(&problems))
}

fn told_problems(problems: &Problems) -> Failure {
    let text = problems.to_string();
    Failure::usage(text.trim_end().strip_prefix("error: ").unwrap_or_default())
}

fn told(error: LabError) -> Failure {
    Failure {
        code: match error {
            LabError::NotAllowed { .. } | LabError::Missing { .. } => CANNOT,
            LabError::Stopped => STOPPED,
            _ => WRONG,
        },
        text: error.to_string(),
    }
}

/// The scenario files of a folder, sorted by name.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::usage(format!(
            "cannot read {}: {error}\n  run it in the project's folder, or name a folder of scenarios",
            folder.display()
        ))
    })?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    match files.is_empty() {
        false => Ok(files),
        true => Err(Failure::usage(format!(
            "{} holds no scenario\n  scenario files end in .toml",
            folder.display()
        ))),
    }
}

/// Reads all files, and tells the mistakes of all.
fn load_all(files: &[PathBuf]) -> Result<Vec<Scenario>, Failure> {
    let mut scenarios = Vec::new();
    let mut mistakes = Vec::new();
    for file in files {
        match Scenario::load(file) {
            Ok(scenario) => scenarios.push(scenario),
            Err(problems) => mistakes.push(problems.to_string()),
        }
    }
    match mistakes.is_empty() {
        true => Ok(scenarios),
        false => {
            let text = mistakes.join("\n");
            Err(Failure::usage(
                text.trim_end().strip_prefix("error: ").unwrap_or(&text),
            ))
        }
    }
}

fn check(files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut all = Vec::new();
    for file in files {
        match file.is_dir() {
            true => all.extend(files_in(file)?),
            false => all.push(file.clone()),
        }
    }
    let scenarios = load_all(&all)?;
    let mut text = String::new();
    for scenario in &scenarios {
        text += &format!(
            "{}: {} nodes, {} routers, {} wires, {} faults\n",
            scenario.name,
            scenario.nodes.len(),
            scenario.routers.len(),
            scenario.wires.len(),
            scenario.faults.len()
        );
    }
    screen::print(&text)
}

fn run_scenarios(args: &RunArgs) -> Result<ExitCode, Failure> {
    let files = match &args.all {
        Some(folder) => files_in(folder)?,
        None => args.files.clone(),
    };
    let scenarios = load_all(&files)?;
    let means = Means {
        tag: std::process::id().to_string(),
        program: program(args.andon.as_deref())?,
        privilege: privilege::take().map_err(told)?,
    };
    let stop = signals::catch().map_err(told)?;
    let stage = if args.json { Stage::Err } else { Stage::Out };
    let mut narrator = Narrator::new(stage);
    let mut reports = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let place = (number, scenarios.len());
        let mut report = repeat(args, scenario, place, &means, &mut narrator, &stop)?;
        narrator.print(&report.table());
        // What was not right on starved hosts does not use up the retries that were asked for.
        let mut starved = 0;
        while !report.passed() && report.retried - starved < args.retries {
            let retried = report.retried + 1;
            if report.was_starved() && starved < STARVED_MAX {
                starved += 1;
                narrator.print(&format!(
                    "  not right, and this machine kept the nodes waiting: again in {} s, {starved} of {STARVED_MAX}\n",
                    STARVED_PAUSE.as_secs()
                ));
                let begin = Instant::now();
                while begin.elapsed() < STARVED_PAUSE && !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100));
                }
            } else {
                narrator.print(&format!(
                    "  not right: again, {} of {}\n",
                    retried - starved,
                    args.retries
                ));
            }
            report = repeat(args, scenario, place, &means, &mut narrator, &stop)?;
            report.retried = retried;
            narrator.print(&report.table());
        }
        reports.push(report);
    }
    if reports.len() > 1 {
        narrator.print(&summary(&reports));
    }
    if args.json {
        let documents: Vec<_> = reports.iter().map(Report::document).collect();
        let text = serde_json::to_string_pretty(&documents)
            .map_err(|error| Failure::new(format!("cannot write JSON: {error}")))?;
        screen::print(&(text + "\n"))?;
    }
    let passed = reports.iter().all(Report::passed);
    Ok(ExitCode::from(if passed { 0 } else { WRONG }))
}

fn repeat(
    args: &RunArgs,
    scenario: &Scenario,
    (number, count): (usize, usize),
    means: &Means,
    narrator: &mut Narrator,
    stop: &AtomicBool,
) -> Result<Report, Failure> {
    let times = match args.repeat {
        None => 1,
        Some(None) => scenario.repeat,
        Some(Some(times)) => times,
    };
    let mut report = Report::new(scenario);
    for time in 1..=times {
        let which = match (count, times) {
            (1, 1) => String::new(),
            (count, 1) => format!("[{} of {count}] ", number + 1),
            (1, times) => format!("[run {time} of {times}] "),
            (count, times) => format!("[{} of {count}, run {time} of {times}] ", number + 1),
        };
        narrator.print(&format!("\n{which}{}: {}\n", scenario.name, scenario.title));
        match run::once(scenario, means, args.peers, narrator, stop) {
            Ok(run) => {
                for line in &run.diagnosis {
                    narrator.print(&format!("    {line}\n"));
                }
                report.runs.push(run);
            }
            Err(
                error
                @ (LabError::Stopped | LabError::NotAllowed { .. } | LabError::Missing { .. }),
            ) => {
                return Err(told(error));
            }
            Err(error) => {
                narrator.line(0.0, Who::Lab, &error.to_string());
                report.errors.push(format!("run {time}: {error}"));
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Err(told(LabError::Stopped));
        }
    }
    Ok(report)
}

fn up(file: &Path, port: u16) -> Result<ExitCode, Failure> {
    let scenario = load(file)?;
    if standing::stands() {
        return Err(Failure::new(
            "a lab is standing already\n  remove it with `andon lab down`",
        ));
    }
    // What a lab that crashed has left would be in the way.
    standing::down();
    screen::print(&format!("building {}: {}\n", scenario.name, scenario.title))?;
    let failed = |error: std::io::Error| Failure::new(format!("cannot start the lab: {error}"));
    let mut holder = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["lab", "hold", "--port", &port.to_string()])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let lines = holder.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(failed)?;
        if line == standing::READY {
            return Ok(ExitCode::SUCCESS);
        }
        screen::print(&format!("{line}\n"))?;
    }
    // It has said why on standard error.
    let ended = holder.wait().map_err(failed)?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(WRONG)))
}

fn fault(name: Option<&str>, state: Option<&str>) -> Result<ExitCode, Failure> {
    let order = match (name, state) {
        (Some(name), Some(state)) => format!("{state} {name}"),
        _ => "list".to_owned(),
    };
    match standing::ask(&order) {
        Ok(answer) => screen::print(&answer),
        Err(Ok(minds)) => Err(Failure::usage(minds.trim_end())),
        Err(Err(error)) => Err(Failure::new(format!(
            "no lab of this user is standing ({error})\n  build one with `andon lab up FILE`"
        ))),
    }
}

fn down() -> Result<ExitCode, Failure> {
    let stood = standing::stands();
    let swept = standing::down();
    let mut text = match (stood, swept.namespaces + swept.folders + swept.processes) {
        (true, _) => "the lab is gone\n".to_owned(),
        (false, 0) => "nothing was left of any lab\n".to_owned(),
        (false, _) => format!(
            "removed {} namespaces, {} processes and {} folders that a lab had left\n",
            swept.namespaces, swept.processes, swept.folders
        ),
    };
    for tag in &swept.alive {
        text += &format!("left alone: the lab that process {tag} runs\n");
    }
    screen::print(&text)
}
