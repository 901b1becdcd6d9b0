//! Lines of a file into a store, on disk before they count: what a node does with what it is
//! sent, without the network between.

use andon_ingest::import::{ImportFormat, Importing, Pieces, Step};
use andon_model::time::Timestamp;
use andon_store::{Options, Store};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lines in thousands a second that are to be reached.
const REACH: f64 = 300.0;

/// Reads a file with so many threads, each its share, and tells how fast that was.
pub fn measure(file: &Path, dir: &Path, threads: u64) -> io::Result<()> {
    let store = Store::open(dir, Options::default()).map_err(io::Error::other)?;
    let cuts = cuts(file, threads)?;
    let (kept, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    let done: Vec<io::Result<()>> = std::thread::scope(|scope| {
        let shares = cuts.windows(2).map(|cut| {
            let (store, kept, refused) = (&store, &kept, &refused);
            scope.spawn(move || -> io::Result<()> {
                let (done, bad) = share(store, file, (cut[0], cut[1]))?;
                kept.fetch_add(done, Ordering::Relaxed);
                refused.fetch_add(bad, Ordering::Relaxed);
                Ok(())
            })
        });
        let shares: Vec<_> = shares.collect();
        let failed = |_| Err(io::Error::other("a thread failed"));
        let joined = shares.into_iter().map(|share| share.join());
        joined.map(|share| share.unwrap_or_else(failed)).collect()
    });
    done.into_iter().collect::<io::Result<()>>()?;
    let seconds = started.elapsed().as_secs_f64();
    let lines = kept.load(Ordering::Relaxed);
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let busy = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    println!(
        "{}",
        serde_json::json!({
            "lines": lines,
            "refused": refused.load(Ordering::Relaxed),
            "thousand_lines_per_s": (lines as f64 / seconds / 1e3).round(),
            "thousand_lines_per_s_reach": REACH,
            "thousand_lines_per_processor_s":
                (lines as f64 / (busy(usage.user_time()) + busy(usage.system_time())) / 1e3).round(),
            "memory_peak_mb": usage.max_rss() / 1024,
        })
    );
    Ok(())
}

/// Where shares begin and end: at begins of lines.
fn cuts(file: &Path, threads: u64) -> io::Result<Vec<u64>> {
    let mut opened = File::open(file)?;
    let length = opened.metadata()?.len();
    let mut cuts = vec![0];
    for number in 1..threads {
        let mut at = length / threads * number;
        opened.seek(SeekFrom::Start(at))?;
        let mut byte = [0];
        while opened.read(&mut byte)? == 1 {
            at += 1;
            if byte[0] == b'\n' {
                break;
            }
        }
        cuts.push(at);
    }
    cuts.push(length);
    Ok(cuts)
}

fn share(store: &Store, file: &Path, (from, to): (u64, u64)) -> io::Result<(u64, u64)> {
    let mut opened = File::open(file)?;
    opened.seek(SeekFrom::Start(from))?;
    let format = ImportFormat::by_file_name(&file.to_string_lossy());
    let mut importing = Importing::new(opened.take(to - from), format.decoder(), Pieces::Full);
    let (mut kept, mut refused) = (0, 0);
    loop {
        let (decoded, is_last, failed) = match importing.step(Timestamp::default(), false) {
            Step::Batch(decoded, _) => (decoded, false, None),
            Step::Last(decoded, _, failed) => (decoded, true, failed),
            Step::Waiting => continue, // A file never says so.
        };
        refused += decoded.rejected_total();
        kept += store
            .append("events", &decoded.events)
            .map_err(io::Error::other)?
            .rows;
        match failed {
            Some(error) => return Err(error),
            None if is_last => return Ok((kept, refused)),
            None => {}
        }
    }
}
