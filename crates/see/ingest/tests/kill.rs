//! A process that reads files is killed with SIGKILL at random moments, again and again, while
//! the files grow, are rotated and truncated. Every line is kept, and none twice.
//!
//! The process is this test itself, started with `ANDON_KILL_FOLDER`; its sink appends to a
//! file and removes duplicates as [`andon_ingest::BatchId`] says.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod world;

use andon_ingest::decode::line::Multiline;
use andon_ingest::sink::Accepting;
use andon_ingest::tail::{FileInput, tail};
use andon_ingest::{Batch, Gate, Sink};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// One line a batch: source, end, then the bodies, all with tabs between.
struct FileSink {
    file: Mutex<File>,
    seen: Mutex<BTreeMap<String, u64>>,
}

impl FileSink {
    fn open(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        // What a kill cut in two was never answered.
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.set_len(whole as u64).unwrap();
        let mut seen = BTreeMap::new();
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let mut words = line.split('\t');
            let (source, until) = (words.next().unwrap(), words.next().unwrap());
            seen.insert(source.to_owned(), until.parse().unwrap());
        }
        let (file, seen) = (Mutex::new(file), Mutex::new(seen));
        Self { file, seen }
    }
}

impl Sink for FileSink {
    fn accept<'a>(&'a self, batch: &'a Batch) -> Accepting<'a> {
        Box::pin(async move {
            let id = batch.id.as_ref().unwrap();
            let mut seen = self.seen.lock().unwrap();
            if seen.get(&id.source).is_some_and(|until| *until >= id.until) {
                return Ok(());
            }
            let mut line = format!("{}\t{}", id.source, id.until);
            for event in &batch.events {
                line.push_str(&format!("\t{}", event.get("body").unwrap()));
            }
            line.push('\n');
            self.file
                .lock()
                .unwrap()
                .write_all(line.as_bytes())
                .unwrap();
            seen.insert(id.source.clone(), id.until);
            Ok(())
        })
    }
}

#[tokio::main]
async fn read_until_killed(folder: PathBuf) {
    let sink = Arc::new(FileSink::open(&folder.join("kept")));
    let gate = Arc::new(Gate::new(sink, None, None));
    let pattern = folder.join("*.log*").display().to_string();
    let mut input = FileInput::new(&[&pattern], "logs");
    input.multiline = Multiline::Off;
    tail(
        vec![input],
        folder.join("state"),
        gate,
        CancellationToken::new(),
    )
    .await
    .unwrap();
}

fn child(folder: &Path) -> std::process::Child {
    let started = Command::new(std::env::current_exe().unwrap())
        .args([
            "a_kill_loses_no_line_and_keeps_none_twice",
            "--exact",
            "--nocapture",
        ])
        .env("ANDON_KILL_FOLDER", folder)
        .stdout(Stdio::null())
        .spawn();
    started.unwrap()
}

fn kept(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("kept")).unwrap_or_default();
    let bodies = text
        .lines()
        .flat_map(|line| line.split('\t').skip(2).map(str::to_owned));
    let mut bodies: Vec<_> = bodies.collect();
    bodies.sort();
    bodies
}

#[test]
fn a_kill_loses_no_line_and_keeps_none_twice() {
    if let Some(folder) = std::env::var_os("ANDON_KILL_FOLDER") {
        return read_until_killed(folder.into());
    }
    let folder = std::env::temp_dir().join(format!("andon-kill-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut random = 42u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    let mut written = 0;
    for life in 0..20 {
        let mut process = child(&folder);
        let until = Instant::now() + Duration::from_millis(150 + next(700));
        while Instant::now() < until {
            let path = folder.join(format!("{}.log", next(3)));
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap();
            for _ in 0..=next(200) {
                writeln!(file, "line {written:07} of a log that grows").unwrap();
                written += 1;
            }
            drop(file);
            if next(20) == 0 {
                fs::rename(
                    &path,
                    folder.join(format!("{life}-{}.log.1", next(1 << 30))),
                )
                .unwrap();
            }
            std::thread::sleep(Duration::from_millis(next(30)));
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }
    let mut process = child(&folder);
    let started = Instant::now();
    while kept(&folder).len() < written && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(600));
    process.kill().unwrap();
    process.wait().unwrap();
    let expected: Vec<_> = (0..written)
        .map(|n| format!("line {n:07} of a log that grows"))
        .collect();
    let kept = kept(&folder);
    let missing = expected
        .iter()
        .filter(|line| kept.binary_search(line).is_err())
        .count();
    assert_eq!((kept.len(), missing), (expected.len(), 0));
    fs::remove_dir_all(&folder).unwrap();
}
