//! `andon import`: files to events, in pieces that are sent one after another, each under a
//! name of its own, so that a piece whose answer was lost is sent again and kept once.

use super::asked::{self, AskedNode};
use super::http::{Answer, Client, HttpError};
use super::{Failure, screen};
use andon_ingest::inflate::Inflate;
use andon_ingest::{Encoding, ImportFormat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes of one piece, about; it ends with a line. Larger ones are decoded by one core longer,
/// smaller ones wait for the disk more often.
const PIECE_BYTES: usize = 4 << 20;
/// Pieces of one file that are on their way: one is decoded while another is written.
const ON_THEIR_WAY_MAX: usize = 3;
/// A line longer than this is cut in two, and then refused by its reader.
const LINE_BYTES_MAX: usize = 16 << 20;
/// For one piece.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Attempts at one piece, the pauses between them doubling from a second.
const ATTEMPTS_MAX: u32 = 6;
/// Rejected lines that are shown.
const REJECTS_SHOWN_MAX: usize = 10;
/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Files, packed with gzip or zstd or not; - is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the events go
    #[arg(long, value_name = "NAME")]
    dataset: String,
    /// How they are written; default: by the file's name (.csv, .log, else NDJSON)
    #[arg(long, value_name = "FORMAT", value_parser = ["ndjson", "csv", "lines"])]
    format: Option<String>,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: AskedNode,
}

/// What came of all files.
#[derive(Debug, Default, serde::Serialize)]
struct Sum {
    accepted: u64,
    rejected: u64,
    bytes: u64,
    seconds: f64,
    /// The first of them.
    rejects: Vec<String>,
}

pub fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    if !andon_model::event::is_dataset_name(&args.dataset) {
        return Err(Failure::usage(format!(
            "{:?} cannot name a dataset\n  up to 64 letters, digits, - _ and ., begun by a letter or digit",
            args.dataset
        )));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let started = Instant::now();
    let mut sum = Sum::default();
    for path in &args.files {
        runtime.block_on(import(args, path, &mut sum))?;
    }
    sum.seconds = started.elapsed().as_secs_f64();
    told(args, &sum)?;
    Ok(ExitCode::from(u8::from(sum.rejected > 0)))
}

fn told(args: &ImportArgs, sum: &Sum) -> Result<ExitCode, Failure> {
    if args.json {
        let text = serde_json::to_string(sum).unwrap_or_default();
        return screen::print(&format!("{text}\n"));
    }
    let rate = sum.accepted as f64 / sum.seconds.max(0.001);
    screen::print(&format!(
        "{} events are kept in {}, {} lines are not; {:.1} s, {rate:.0} events/s\n",
        sum.accepted, args.dataset, sum.rejected, sum.seconds
    ))?;
    for reject in &sum.rejects {
        screen::remark(reject);
    }
    Ok(ExitCode::SUCCESS)
}

/// A piece of a file.
struct Piece {
    number: u64,
    /// Lines of the file before it, and minus those that were put before the piece.
    lines_before: i64,
    bytes: Vec<u8>,
}

async fn import(args: &ImportArgs, path: &Path, sum: &mut Sum) -> Result<(), Failure> {
    let name = path.display().to_string();
    let format = args.format.clone().unwrap_or_else(|| {
        match ImportFormat::by_file_name(&name) {
            ImportFormat::Ndjson => "ndjson",
            ImportFormat::Csv => "csv",
            ImportFormat::Lines => "lines",
        }
        .to_owned()
    });
    let cannot = |error: io::Error| {
        Failure::new(format!(
            "cannot read {name}: {error}\n  what was read before is kept; send the rest once it can be read"
        ))
    };
    let read = Arc::new(AtomicU64::new(0));
    let (reader, size, identity) = open(path, Arc::clone(&read)).map_err(cannot)?;
    let (pieces_tx, mut pieces) = mpsc::channel::<io::Result<Piece>>(1);
    let has_header = format == "csv";
    let cutting = tokio::task::spawn_blocking(move || cut(reader, has_header, &pieces_tx));
    let client = Arc::new(args.asked.client(TIMEOUT));
    let target = format!("/api/v1/events?dataset={}&format={format}", args.dataset);
    let mut sending = tokio::task::JoinSet::new();
    let mut progress = Progress::new(&name, size, args.json);
    let mut failed = None;
    loop {
        while sending.len() >= ON_THEIR_WAY_MAX {
            if let Some(done) = sending.join_next().await {
                failed = failed.or(add(sum, &name, done));
            }
        }
        if failed.is_some() {
            break;
        }
        let Some(piece) = pieces.recv().await else {
            break;
        };
        match piece {
            Ok(piece) => {
                let key = format!("import-{identity}-{}", piece.number);
                let (client, target) = (Arc::clone(&client), target.clone());
                sending.spawn(async move { send(&client, &target, &key, piece).await });
            }
            Err(error) => failed = Some(cannot(error)),
        }
        progress.show(read.load(Ordering::Relaxed), sum.accepted);
    }
    drop(pieces);
    while let Some(done) = sending.join_next().await {
        failed = failed.or(add(sum, &name, done));
    }
    let _ = cutting.await;
    sum.bytes += read.load(Ordering::Relaxed);
    progress.end();
    match failed {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

type Sent = Result<(Piece, serde_json::Value), Failure>;

/// Adds what came of a piece; why it went wrong, if it did.
fn add(sum: &mut Sum, name: &str, done: Result<Sent, tokio::task::JoinError>) -> Option<Failure> {
    let (piece, answer) = match done {
        Ok(Ok(sent)) => sent,
        Ok(Err(failure)) => return Some(failure),
        Err(error) => return Some(Failure::new(error.to_string())),
    };
    sum.accepted += answer["accepted"].as_u64().unwrap_or(0);
    let rejected = answer["rejected"].as_array();
    let total = answer["rejected_total"].as_u64();
    sum.rejected += total.unwrap_or(rejected.map_or(0, |all| all.len() as u64));
    for reject in rejected.into_iter().flatten() {
        if sum.rejects.len() >= REJECTS_SHOWN_MAX {
            break;
        }
        let line = reject["line"].as_i64().unwrap_or(0) + piece.lines_before;
        let error = reject["error"].as_str().unwrap_or_default();
        let text = format!("{name}:{line}: {error}");
        sum.rejects.push(andon_model::id::to_plain_text(&text, 300));
    }
    None
}

/// Sends a piece until it is kept. Under the same name it is kept once.
async fn send(client: &Client, target: &str, key: &str, piece: Piece) -> Sent {
    let mut pause = Duration::from_secs(1);
    let body = bytes::Bytes::from(piece.bytes);
    let piece = Piece {
        bytes: Vec::new(),
        ..piece
    };
    for attempt in 1.. {
        let answer = client.send_bytes(target, body.clone(), key).await;
        let is_passing = match &answer {
            Ok(answer) => matches!(answer.status, 429 | 500..),
            Err(HttpError::Certificate { .. }) => false,
            Err(_) => true,
        };
        if is_passing && attempt < ATTEMPTS_MAX {
            tokio::time::sleep(pause).await;
            pause *= 2;
            continue;
        }
        return match answer {
            Ok(answer) => read_answer(&answer).map(|document| (piece, document)),
            Err(error) => Err(Failure::new(asked::told(&error))),
        };
    }
    Err(Failure::new("no attempt was made"))
}

fn read_answer(answer: &Answer) -> Result<serde_json::Value, Failure> {
    if answer.status == 200 {
        return serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::new(format!(
                "the node answers something odd: {error}\n  is it of about this version?"
            ))
        });
    }
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(error) = document["error"].as_str() {
        return Err(Failure::new(format!(
            "the node does not take it: {error}\n  what was accepted before is kept; the same command again adds the rest, and nothing twice"
        )));
    }
    let (message, help) = answer.refusal();
    Err(Failure::new(format!("{message}\n  {help}")))
}

type Opened = (Box<dyn Read + Send>, Option<u64>, String);

/// Opens a file: its reader unpacked, its size, and a name for what it holds.
fn open(path: &Path, read: Arc<AtomicU64>) -> io::Result<Opened> {
    if path == Path::new("-") {
        let counted = Counted(io::stdin(), read);
        let unique = format!("{:?}-{}", std::time::SystemTime::now(), std::process::id());
        return Ok((Box::new(counted), None, digest(unique.as_bytes())));
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let identity = format!(
        "{}\u{0}{}\u{0}{:?}",
        std::fs::canonicalize(path)?.display(),
        meta.len(),
        meta.modified().ok()
    );
    let encoding = Encoding::by_file_name(&path.to_string_lossy());
    let reader = Inflate::new(encoding, Counted(file, read))?;
    let size = Some(meta.len());
    Ok((Box::new(reader), size, digest(identity.as_bytes())))
}

fn digest(bytes: &[u8]) -> String {
    super::http::hex(&Sha256::digest(bytes)[..12])
}

/// Counts the bytes that are read of a file, packed as they are.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read(buffer)?;
        self.1.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// Cuts what is read into pieces of whole records; a CSV's header goes before each.
fn cut(mut reader: impl Read, has_header: bool, pieces: &mpsc::Sender<io::Result<Piece>>) {
    let mut cutter = Cutter {
        has_header,
        ..Cutter::default()
    };
    loop {
        let mut more = vec![0; PIECE_BYTES / 4];
        let bytes = match reader.read(&mut more) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = pieces.blocking_send(Err(error));
                return;
            }
        };
        let piece = cutter.push(&more[..bytes]);
        if let Some(piece) = piece
            && pieces.blocking_send(Ok(piece)).is_err()
        {
            return;
        }
        if bytes == 0 {
            return;
        }
    }
}

#[derive(Default)]
struct Cutter {
    held: Vec<u8>,
    has_header: bool,
    header: Vec<u8>,
    lines: i64,
    pieces: u64,
}

impl Cutter {
    /// Takes bytes, none at the end; gives a piece once there is enough for one.
    fn push(&mut self, bytes: &[u8]) -> Option<Piece> {
        self.held.extend_from_slice(bytes);
        let is_end = bytes.is_empty();
        if self.held.is_empty() || !is_end && self.held.len() < PIECE_BYTES {
            return None;
        }
        let end = match self.end() {
            _ if is_end => self.held.len(),
            Some(end) => end,
            None if self.held.len() >= LINE_BYTES_MAX => self.held.len(),
            None => return None,
        };
        let rest = self.held.split_off(end);
        let body = std::mem::replace(&mut self.held, rest);
        let lines = body.iter().filter(|byte| **byte == b'\n').count();
        let is_first = self.pieces == 0;
        if is_first && self.has_header {
            let header = body.iter().position(|byte| *byte == b'\n');
            self.header = body[..header.map_or(body.len(), |end| end + 1)].to_vec();
        }
        let mut piece = Piece {
            number: self.pieces,
            lines_before: self.lines,
            bytes: body,
        };
        if !is_first && !self.header.is_empty() {
            piece.bytes = [self.header.as_slice(), &piece.bytes].concat();
            piece.lines_before -= 1;
        }
        self.lines += i64::try_from(lines).unwrap_or(i64::MAX);
        self.pieces += 1;
        Some(piece)
    }

    /// After the last line that a record may end with: the next one does not begin with white
    /// space, as the further lines of a stack trace do, and no quote is open in a CSV.
    fn end(&self) -> Option<usize> {
        if self.has_header {
            let (mut quoted, mut end) = (false, None);
            for (at, byte) in self.held.iter().enumerate() {
                match byte {
                    b'"' => quoted = !quoted,
                    b'\n' if !quoted => end = Some(at + 1),
                    _ => {}
                }
            }
            return end;
        }
        let mut from = self.held.len();
        while let Some(at) = self.held[..from].iter().rposition(|byte| *byte == b'\n') {
            let next = self.held.get(at + 1);
            if next.is_some_and(|byte| !matches!(byte, b' ' | b'\t')) {
                return Some(at + 1);
            }
            from = at;
        }
        None
    }
}

/// How far a file is, on one line of a terminal.
struct Progress {
    name: String,
    size: Option<u64>,
    shown: Instant,
    is_shown: bool,
}

impl Progress {
    fn new(name: &str, size: Option<u64>, json: bool) -> Self {
        Self {
            name: name.to_owned(),
            size,
            shown: Instant::now(),
            is_shown: !json && io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, read: u64, accepted: u64) {
        if !self.is_shown || self.shown.elapsed() < SHOW_EVERY {
            return;
        }
        self.shown = Instant::now();
        let share = match self.size {
            Some(size) if size > 0 => format!("{:3.0} %", read as f64 / size as f64 * 100.0),
            _ => format!("{} MB", read / 1_000_000),
        };
        screen::progress(&format!("{}  {share}  {accepted} events", self.name));
    }

    fn end(&self) {
        if self.is_shown {
            screen::progress("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8], has_header: bool) -> Vec<Piece> {
        let (tx, mut rx) = mpsc::channel(1_000);
        cut(text, has_header, &tx);
        drop(tx);
        let mut all = Vec::new();
        while let Some(piece) = rx.blocking_recv() {
            all.push(piece.unwrap());
        }
        all
    }

    #[test]
    fn pieces_end_with_records_and_together_are_the_file() {
        let line = format!("{}\n  at here\n", "x".repeat(5_000));
        let text = line.repeat(PIECE_BYTES / 2_000);
        let pieces = pieces(text.as_bytes(), false);
        assert!(pieces.len() > 1);
        let mut lines = 0;
        let mut all = Vec::new();
        for piece in &pieces {
            assert!(piece.bytes.starts_with(b"x"));
            assert_eq!(piece.lines_before, lines);
            lines += piece.bytes.iter().filter(|byte| **byte == b'\n').count() as i64;
            all.extend_from_slice(&piece.bytes);
        }
        assert_eq!(all, text.as_bytes());
    }

    #[test]
    fn each_piece_of_a_csv_has_the_header_and_no_quoted_line_is_cut() {
        let row = format!("1,\"{}\n2\"\n", "y".repeat(3_000));
        let text = format!("a,b\n{}", row.repeat(PIECE_BYTES / 1_000));
        let pieces = pieces(text.as_bytes(), true);
        assert!(pieces.len() > 1);
        for piece in &pieces {
            assert!(piece.bytes.starts_with(b"a,b\n1,\"y"));
            assert!(piece.bytes.ends_with(b"2\"\n"));
        }
        // The second line of the second piece is the first that the first one has not.
        let first = pieces[0]
            .bytes
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        assert_eq!(pieces[1].lines_before, first as i64 - 1);
        assert!(super::tests::pieces(b"", false).is_empty());
    }
}
