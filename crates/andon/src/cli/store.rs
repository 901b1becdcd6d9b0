//! `andon store`: the events of a node that does not run: checked, repaired, written out,
//! moved to ClickHouse.

use super::flags::PlaceFlags;
use super::{Failure, screen};
use crate::config::layers::load_without_keys;
use crate::config::settings::NodeSettings;
use andon_clickhouse::{ClickHouse, Progress, Slice, Source, migrate};
use andon_model::event::{Event, Value};
use andon_model::time::Timestamp;
use andon_store::{Background, Copies, ExportReport, Options, Store, StoreError};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio_util::sync::CancellationToken;

/// Something is damaged.
const DAMAGED: u8 = 1;
/// Events of one batch to ClickHouse.
const BATCH_EVENTS: usize = 50_000;
/// What is moved at a time: after a stop it goes on here.
const SLICE_US: i64 = 3_600_000_000;
/// How often the size of an export is told while it grows.
const TOLD_EVERY_BYTES: u64 = 4_000_000;
/// Batches that wait for ClickHouse.
const WAITING_MAX: usize = 2;

#[derive(Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// Read every byte, and say what is damaged; exit code 1 if anything is
    #[command(after_help = super::texts::STORE_CHECK)]
    Check(PlaceArgs),
    /// Save what can be read of damaged files, and set them aside
    #[command(after_help = super::texts::STORE_REPAIR)]
    Repair(PlaceArgs),
    /// Write a dataset's events to standard output, as NDJSON or Parquet
    #[command(after_help = super::texts::STORE_EXPORT)]
    Export(ExportArgs),
    /// Move everything to the ClickHouse of [store] clickhouse; goes on where it was stopped
    #[command(after_help = super::texts::STORE_MIGRATE)]
    Migrate(PlaceArgs),
}

/// Which node's.
#[derive(Debug, clap::Args)]
pub struct PlaceArgs {
    #[command(flatten)]
    place: PlaceFlags,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Which; without it the datasets are listed
    #[arg(value_name = "DATASET")]
    dataset: Option<String>,
    /// The first moment: RFC 3339, or before now (-1d)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is left out
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    #[command(flatten)]
    place: PlaceFlags,
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object a line; `andon import` reads it back
    Ndjson,
    /// A table with a column for each key; needs an andon built with the feature `parquet`
    Parquet,
}

pub fn run(command: StoreCommand) -> Result<ExitCode, Failure> {
    match command {
        StoreCommand::Check(args) => check(&args),
        StoreCommand::Repair(args) => repair(&args),
        StoreCommand::Export(args) => export(&args),
        StoreCommand::Migrate(args) => move_out(&args),
    }
}

fn settings(place: &PlaceFlags) -> Result<NodeSettings, Failure> {
    Ok(load_without_keys(&place.inputs())?.0)
}

/// Opens the store of a node that does not run; one that is not there is not made.
fn open(place: &PlaceFlags) -> Result<(Store, PathBuf), Failure> {
    let settings = settings(place)?;
    let path = settings.store.path(&settings.data_dir);
    if !path.is_dir() {
        return Err(Failure::new(format!(
            "no events are kept in {}\n  name the node's data directory with --data-dir, or its configuration with --config",
            path.display()
        )));
    }
    let options = Options {
        background: Background::Caller,
        ..settings.store.options()
    };
    let store = Store::open(&path, options).map_err(|error| told(&error))?;
    Ok((store, path))
}

fn told(error: &StoreError) -> Failure {
    let source = std::error::Error::source(error);
    let source = source
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    let help = match error {
        StoreError::InUse { .. } => {
            "\n  a running node has it; stop the node first, or ask it with `andon query`"
        }
        _ => "",
    };
    Failure::new(format!("{error}{source}{help}"))
}

/// Copies of other keepers' events that a node has, by keeper; and where.
fn copies(place: &PlaceFlags) -> Result<(BTreeMap<String, Arc<Store>>, PathBuf), Failure> {
    let settings = settings(place)?;
    let path = settings.store.copies_path(&settings.data_dir);
    let options = Options {
        background: Background::Caller,
        ..settings.store.options()
    };
    Ok((Copies::open(&path, options).all(), path))
}

fn check(args: &PlaceArgs) -> Result<ExitCode, Failure> {
    let (store, path) = open(&args.place)?;
    let (copies, copies_path) = copies(&args.place)?;
    let mut all = vec![(String::new(), path, store.check())];
    for (name, copy) in copies {
        all.push((name.clone(), copies_path.join(&name), copy.check()));
    }
    let is_whole = all.iter().all(|(.., report)| report.damage.is_empty());
    if args.json {
        screen::print(&format!("{}\n", as_json(all)))?;
        return Ok(ExitCode::from(if is_whole { 0 } else { DAMAGED }));
    }
    for (_, path, report) in all {
        for damage in &report.damage {
            screen::print(&format!("{}: {}\n", damage.file, damage.what))?;
        }
        screen::print(&format!(
            "{}: {} events in {} files, {} bytes; {}\n",
            path.display(),
            report.rows,
            report.segments,
            report.bytes,
            match report.damage.len() {
                0 => "all is whole".to_owned(),
                count => format!("{count} damaged; `andon store repair` saves what can be read"),
            }
        ))?;
    }
    Ok(ExitCode::from(if is_whole { 0 } else { DAMAGED }))
}

/// The node's own report, and beside it those of its copies, by keeper.
fn as_json<R: serde::Serialize>(all: Vec<(String, PathBuf, R)>) -> serde_json::Value {
    let mut reports = all.into_iter();
    let own = reports.next().map(|(.., report)| serde_json::json!(report));
    let mut document = own.unwrap_or_default();
    let copies: serde_json::Map<_, _> = reports
        .map(|(name, _, report)| (name, serde_json::json!(report)))
        .collect();
    if !copies.is_empty() {
        document["copies"] = copies.into();
    }
    document
}

fn repair(args: &PlaceArgs) -> Result<ExitCode, Failure> {
    let (store, path) = open(&args.place)?;
    let (copies, copies_path) = copies(&args.place)?;
    let own = store.repair().map_err(|error| told(&error))?;
    let mut all = vec![(String::new(), path, own)];
    for (name, copy) in copies {
        let report = copy.repair().map_err(|error| told(&error))?;
        all.push((name.clone(), copies_path.join(&name), report));
    }
    if args.json {
        return screen::print(&format!("{}\n", as_json(all)));
    }
    let mut done = ExitCode::SUCCESS;
    for (_, path, report) in all {
        for damage in &report.set_aside {
            screen::print(&format!("set aside {}: {}\n", damage.file, damage.what))?;
        }
        done = screen::print(&format!(
            "{}: {} files were set aside; {} of their events are saved, {} are lost\n",
            path.display(),
            report.set_aside.len(),
            report.rows_saved,
            report.rows_lost
        ))?;
    }
    Ok(done)
}

fn export(args: &ExportArgs) -> Result<ExitCode, Failure> {
    if args.format == Format::Parquet && args.dataset.is_some() {
        may_be_parquet()?;
    }
    let (store, _) = open(&args.place)?;
    let Some(dataset) = &args.dataset else {
        for info in store.datasets() {
            screen::print(&format!(
                "{}  {} events  {} to {}\n",
                info.name, info.rows, info.from, info.to
            ))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let moment = |text: &Option<String>, otherwise: i64| match text {
        None => Ok(Timestamp(otherwise)),
        Some(text) => {
            let when = andon_model::query::When::Text(text.clone());
            andon_query::when::moment(&when, super::token::now()).ok_or_else(|| {
                Failure::usage(format!(
                    "{text:?} is no moment\n  write RFC 3339, or a time before now such as -1d"
                ))
            })
        }
    };
    let span = (moment(&args.from, i64::MIN)?, moment(&args.to, i64::MAX)?);
    if !store.datasets().iter().any(|info| info.name == *dataset) {
        return Err(Failure::usage(format!(
            "there is no dataset {dataset:?}\n  `andon store export` lists those that there are"
        )));
    }
    let out = Shown::new(io::stdout());
    let is_shown = out.is_shown;
    let report = match args.format {
        Format::Ndjson => store.export(dataset, span, out),
        Format::Parquet => parquet(&store, dataset, span, out),
    };
    if is_shown {
        screen::progress("");
    }
    let report = match report {
        Err(StoreError::Export(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        report => report.map_err(|error| told(&error))?,
    };
    for note in &report.notes {
        screen::remark(note);
    }
    screen::remark(&format!("{} events", report.rows));
    Ok(ExitCode::from(u8::from(!report.notes.is_empty())))
}

/// Whether Parquet can be written, and to where it would go.
fn may_be_parquet() -> Result<(), Failure> {
    if !cfg!(feature = "parquet") {
        return Err(Failure::usage(
            "this andon is built without Parquet\n  build one with it: cargo build --release --features parquet; or leave out --format: DuckDB, ClickHouse and pandas read NDJSON too",
        ));
    }
    if io::stdout().is_terminal() {
        return Err(Failure::usage(
            "Parquet is not for terminals\n  send it to a file: andon store export DATASET --format parquet > events.parquet",
        ));
    }
    Ok(())
}

#[cfg(feature = "parquet")]
fn parquet(
    store: &Store,
    dataset: &str,
    span: (Timestamp, Timestamp),
    out: Shown,
) -> Result<ExportReport, StoreError> {
    store.export_parquet(dataset, span, out)
}

/// Never called: [`may_be_parquet`] stands before it.
#[cfg(not(feature = "parquet"))]
fn parquet(
    _: &Store,
    _: &str,
    _: (Timestamp, Timestamp),
    _: Shown,
) -> Result<ExportReport, StoreError> {
    Err(StoreError::Export(io::ErrorKind::Unsupported.into()))
}

/// Standard output; standard error tells how much went there, if a person reads that and not the
/// other.
struct Shown {
    out: io::Stdout,
    is_shown: bool,
    bytes: u64,
    told: u64,
}

impl Shown {
    fn new(out: io::Stdout) -> Self {
        Self {
            is_shown: io::stderr().is_terminal() && !out.is_terminal(),
            out,
            bytes: 0,
            told: 0,
        }
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        if self.is_shown && self.bytes >= self.told + TOLD_EVERY_BYTES {
            self.told = self.bytes;
            screen::progress(&format!("{} MB", self.bytes / 1_000_000));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn move_out(args: &PlaceArgs) -> Result<ExitCode, Failure> {
    let to = settings(&args.place)?.store.clickhouse.ok_or_else(|| {
        Failure::usage(
            "no ClickHouse is named\n  set clickhouse = \"http://user:password@host:8123\" in [store] of the configuration",
        )
    })?;
    let (store, path) = open(&args.place)?;
    let source = Moved(Arc::new(store));
    let checkpoint = path.with_file_name("clickhouse-migration.json");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let is_shown = io::stderr().is_terminal() && !args.json;
    let moving = async {
        let clickhouse = ClickHouse::new(to)?;
        clickhouse.prepare().await?;
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        tokio::spawn(async move {
            let _ = tokio::signal::ctrl_c().await;
            stop.cancel();
        });
        let tell = |progress: Progress| {
            if is_shown {
                screen::progress(&format!(
                    "{} of {} hours, {} events",
                    progress.slices_done, progress.slices, progress.written
                ));
            }
        };
        migrate(&source, &clickhouse, &checkpoint, &cancel, tell).await
    };
    let moved = runtime.block_on(moving);
    if is_shown {
        screen::progress("");
    }
    let progress = moved.map_err(|error| {
        Failure::new(format!(
            "{error}\n  {}; the same command goes on where it stopped",
            error.help()
        ))
    })?;
    if args.json {
        let document = serde_json::json!({
            "slices": progress.slices, "slices_done": progress.slices_done,
            "written": progress.written, "known": progress.known
        });
        return screen::print(&format!("{document}\n"));
    }
    screen::print(&format!(
        "{} events are moved, {} were there already; {} of {} hours are done\n",
        progress.written, progress.known, progress.slices_done, progress.slices
    ))
}

/// The store as what is moved: hour by hour. Nothing is merged meanwhile, so that an hour is
/// read in the same order each time.
struct Moved(Arc<Store>);

impl Source for Moved {
    fn slices(&self) -> Result<Vec<Slice>, String> {
        let mut slices = Vec::new();
        for info in self.0.datasets() {
            let mut from_us = info.from.0.div_euclid(SLICE_US) * SLICE_US;
            while from_us <= info.to.0 {
                let to_us = from_us.saturating_add(SLICE_US);
                slices.push(Slice {
                    dataset: info.name.clone(),
                    from_us,
                    to_us,
                });
                if slices.len() > andon_clickhouse::migrate::SLICES_MAX {
                    return Ok(slices);
                }
                from_us = to_us;
            }
        }
        Ok(slices)
    }

    fn batches<'s>(
        &'s self,
        slice: &Slice,
    ) -> Result<Box<dyn Iterator<Item = Result<Vec<Event>, String>> + Send + 's>, String> {
        let (batches_tx, batches) = sync_channel(WAITING_MAX);
        let store = Arc::clone(&self.0);
        let slice = slice.clone();
        std::thread::spawn(move || read_out(&store, &slice, batches_tx));
        Ok(Box::new(Batches(batches)))
    }
}

struct Batches(Receiver<Result<Vec<Event>, String>>);

impl Iterator for Batches {
    type Item = Result<Vec<Event>, String>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.recv().ok()
    }
}

fn read_out(store: &Store, slice: &Slice, batches: SyncSender<Result<Vec<Event>, String>>) {
    let span = (Timestamp(slice.from_us), Timestamp(slice.to_us));
    let mut lines = Lines {
        held: Vec::new(),
        events: Vec::new(),
        batches,
    };
    match store.export(&slice.dataset, span, &mut lines) {
        Ok(report) if report.notes.is_empty() => {
            let rest = std::mem::take(&mut lines.events);
            if !rest.is_empty() {
                let _ = lines.batches.send(Ok(rest));
            }
        }
        Ok(report) => {
            let _ = lines.batches.send(Err(report.notes.join("; ")));
        }
        Err(error) => {
            let _ = lines.batches.send(Err(error.to_string()));
        }
    }
}

/// Lines of an export as events again.
struct Lines {
    held: Vec<u8>,
    events: Vec<Event>,
    batches: SyncSender<Result<Vec<Event>, String>>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(bytes.len());
        };
        let rest = self.held.split_off(end + 1);
        let whole = std::mem::replace(&mut self.held, rest);
        for line in whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let event = event(line).ok_or_else(|| io::Error::other("a line is no event"))?;
            self.events.push(event);
            if self.events.len() >= BATCH_EVENTS {
                let batch = std::mem::take(&mut self.events);
                let sent = self.batches.send(Ok(batch));
                sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line of an export.
fn event(line: &[u8]) -> Option<Event> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    let at = Timestamp::parse(fields.get("ts")?.as_str()?).ok()?;
    let mut event = Event::new(at);
    for (name, value) in fields {
        if name != "ts" {
            let value = serde_json::from_value::<Value>(value).ok()?;
            event.attributes.push((name, value));
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_read_back_in_batches_whatever_it_is_cut_into() {
        let (batches_tx, batches) = sync_channel(10);
        let mut lines = Lines {
            held: Vec::new(),
            events: Vec::new(),
            batches: batches_tx,
        };
        let line =
            "{\"ts\":\"2026-11-20T03:20:00.000001Z\",\"a\":1,\"b\":2.0,\"c\":\"x\",\"d\":true}\n";
        let text = line.repeat(BATCH_EVENTS + 5);
        for piece in text.as_bytes().chunks(1_001) {
            lines.write_all(piece).unwrap();
        }
        assert_eq!(lines.events.len(), 5);
        let batch = batches.recv().unwrap().unwrap();
        assert_eq!(batch.len(), BATCH_EVENTS);
        assert_eq!(batch[0].get("b"), Some(&Value::Float(2.0)));
        assert_eq!(batch[0].at.0 % 1_000, 1);
        assert!(lines.write_all(b"rubbish\n").is_err());
    }
}
