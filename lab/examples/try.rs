//! Runs scenarios with a given program: `try target/debug/andon lab/scenarios/fulfilment.toml`.
//! For work on the lab while the program itself does not build.

use andon_lab::Scenario;
use andon_lab::narrate::{Narrator, Stage};
use andon_lab::report::{Report, summary};
use andon_lab::run::{once, signals};
use andon_lab::world::{Means, privilege};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut first = args.next();
    let with_peers = first.as_deref() == Some("--peers");
    if with_peers {
        first = args.next();
    }
    let program = first.ok_or("try [--peers] PROGRAM FILE...")?.into();
    let means = Means {
        tag: std::process::id().to_string(),
        program,
        privilege: privilege::take()?,
    };
    let stop = signals::catch()?;
    let mut narrator = Narrator::new(Stage::Out);
    let mut reports = Vec::new();
    for file in args {
        let scenario = Scenario::load(file.as_ref())?;
        narrator.print(&format!("\n{}: {}\n", scenario.name, scenario.title));
        let mut report = Report::new(&scenario);
        match once(&scenario, &means, with_peers, &mut narrator, &stop) {
            Ok(run) => {
                for line in &run.diagnosis {
                    narrator.print(&format!("    {line}\n"));
                }
                report.runs.push(run);
            }
            Err(error) => report.errors.push(error.to_string()),
        }
        narrator.print(&report.table());
        reports.push(report);
    }
    narrator.print(&summary(&reports));
    Ok(())
}
