//! Measures real nodes: how long a grid takes to agree, to see a death, a freeze, a one-way
//! cut, and what a node costs. Each measurement prints its limit beside it.
//!
//! `cargo build --release && cargo run --release -p andon-bench -- all`
#![allow(clippy::print_stdout, clippy::print_stderr)] // a benchmark's output is its purpose

mod cost;
mod crowd;
mod fleet;
mod http;
mod lines;
mod rates;
mod timing;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures real nodes on this machine.
#[derive(Parser)]
struct Options {
    /// The andon binary to measure.
    #[arg(long, default_value = "target/release/andon")]
    andon: PathBuf,
    /// Repetitions of each timing.
    #[arg(long, default_value_t = 20)]
    runs: usize,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Cold start of five nodes until all agree and all links are up.
    Cold,
    /// kill -9 of one node until every survivor shows it.
    Kill,
    /// SIGSTOP of one and of two nodes, and the probe rate of healthy links meanwhile.
    Freeze,
    /// One direction of one link cut (through the demo's relays) until all nodes name it.
    Cut,
    /// Memory and CPU of a node in a grid of five.
    Cost,
    /// False alarms of five healthy nodes while both cores are kept busy.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 30)]
        minutes: u64,
    },
    /// Many nodes behind one port, for measuring one real node in a large grid.
    Crowd {
        /// Where the crowd listens.
        #[arg(long, default_value = "127.0.0.1:19000")]
        listen: std::net::SocketAddr,
        /// Its grid key.
        #[arg(long)]
        key_file: PathBuf,
        /// How many nodes.
        #[arg(long, default_value_t = 1_000)]
        nodes: usize,
        /// In how many sites.
        #[arg(long, default_value_t = 10)]
        sites: usize,
        /// Links that each reports.
        #[arg(long, default_value_t = 64)]
        links: usize,
        /// Link states that change each second.
        #[arg(long, default_value_t = 2)]
        changes_per_s: u64,
    },
    /// Lines of a file (`.ndjson`, `.log`) taken into a store, durable.
    Lines {
        /// What to read.
        file: PathBuf,
        /// The store's folder.
        dir: PathBuf,
        /// Threads that read, each its share.
        #[arg(long, default_value_t = 2)]
        threads: u64,
    },
    /// Memory of one real node that holds the picture of a thousand.
    Thousand,
    /// Pictures served a second, with wrk beside the node.
    Rates,
    /// Everything but the soak.
    All,
}

fn main() {
    let options = Options::parse();
    let bench = fleet::Bench {
        andon: options.andon,
        runs: options.runs,
    };
    match options.what {
        What::Cold => timing::cold(&bench),
        What::Kill => timing::kill(&bench),
        What::Freeze => timing::freeze(&bench),
        What::Cut => timing::cut(&bench),
        What::Cost => cost::cost(&bench),
        What::Soak { minutes } => cost::soak(&bench, minutes),
        What::Crowd {
            listen,
            key_file,
            nodes,
            sites,
            links,
            changes_per_s,
        } => {
            crowd::run(
                listen,
                &key_file,
                &crowd::Shape {
                    nodes,
                    sites,
                    links,
                    changes_per_s,
                },
            );
        }
        What::Lines { file, dir, threads } => {
            if let Err(error) = lines::measure(&file, &dir, threads.max(1)) {
                eprintln!("{}: {error}", file.display());
                std::process::exit(1);
            }
        }
        What::Thousand => cost::thousand(&bench),
        What::Rates => rates::rates(&bench),
        What::All => {
            timing::cold(&bench);
            timing::kill(&bench);
            timing::freeze(&bench);
            timing::cut(&bench);
            cost::cost(&bench);
            cost::thousand(&bench);
            rates::rates(&bench);
        }
    }
}
