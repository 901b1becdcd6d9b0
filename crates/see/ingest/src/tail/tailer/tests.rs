use super::*;
use crate::decode::line::Multiline;
use std::fs::{self, File, OpenOptions};
use std::io::Write;

/// A folder with logs, a clock, and a sink that keeps bodies and removes duplicates.
struct World {
    folder: PathBuf,
    now: Timestamp,
    kept: Vec<String>,
    seen: BTreeMap<String, u64>,
    tailer: Option<Tailer>,
    pattern: String,
    multiline: Multiline,
}

impl World {
    fn new(name: &str, pattern: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("andon-tail-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            now: crate::listen::wall_clock(),
            kept: Vec::new(),
            seen: BTreeMap::new(),
            tailer: None,
            pattern: pattern.to_owned(),
            multiline: Multiline::Off,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn tailer(&mut self) -> &mut Tailer {
        if self.tailer.is_none() {
            let pattern = self.path(&self.pattern).to_string_lossy().into_owned();
            let mut input = FileInput::new(&[&pattern], "logs");
            input.multiline = self.multiline.clone();
            let state = self.path("state.json");
            let tailer = Tailer::open(vec![input], state, Arc::default(), self.now).unwrap();
            self.tailer = Some(tailer);
        }
        self.tailer.as_mut().unwrap()
    }

    fn keep(&mut self, read: &Read) {
        let id = read.batch.id.as_ref().unwrap();
        if self
            .seen
            .get(&id.source)
            .is_some_and(|until| *until >= id.until)
        {
            return;
        }
        self.seen.insert(id.source.clone(), id.until);
        let bodies = read
            .batch
            .events
            .iter()
            .map(|event| event.get("body").unwrap().to_string());
        self.kept.extend(bodies);
    }

    /// One round, `seconds` later. `killed_after`: so many of its batches reach the sink, then
    /// the process dies.
    fn round(&mut self, seconds: i64, killed_after: Option<usize>) -> usize {
        self.now = Timestamp(self.now.0 + seconds * 1_000_000);
        let now = self.now;
        let reads = self.tailer().round(now).unwrap();
        for (place, read) in reads.iter().enumerate() {
            if killed_after == Some(place) {
                self.tailer = None;
                return reads.len();
            }
            self.keep(read);
            if killed_after.is_none() {
                self.tailer().delivered(read.file);
            }
        }
        if killed_after.is_some() {
            self.tailer = None;
        }
        reads.len()
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            while self.round(3, None) > 0 {}
        }
    }

    fn check(&mut self, expected: &[&str]) {
        self.settle();
        let mut kept = self.kept.clone();
        kept.sort();
        assert_eq!(kept, expected);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_file_is_read_as_it_grows_and_a_line_without_its_end_waits() {
    let mut world = World::new("grows", "*.log");
    world.write("a.log", "1\n2\n3");
    world.check(&["1", "2"]);
    world.write("a.log", "3\n4\n");
    world.check(&["1", "2", "33", "4"]);
    world.tailer = None;
    world.write("a.log", "5\n");
    world.check(&["1", "2", "33", "4", "5"]);
}

#[test]
fn rotation_by_renaming_loses_nothing() {
    for (name, pattern) in [("rename", "a.log"), ("rename-all", "a.log*")] {
        let mut world = World::new(name, pattern);
        world.write("a.log", "line 1 of the log, long enough\n");
        world.settle();
        world.write("a.log", "2\n");
        fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
        world.write("a.log", "3\n");
        world.round(3, None);
        world.write("a.log.1", "late 4\nlast without end");
        let all = [
            "2",
            "3",
            "last without end",
            "late 4",
            "line 1 of the log, long enough",
        ];
        if pattern == "a.log" {
            world.check(&all);
        } else {
            world.check(&["2", "3", "late 4", "line 1 of the log, long enough"]);
        }
    }
}

#[test]
fn truncation_begins_anew() {
    let mut world = World::new("truncate", "a.log");
    world.write("a.log", "one\ntwo\n");
    world.settle();
    File::create(world.path("a.log")).unwrap();
    world.write("a.log", "three\n");
    world.check(&["one", "three", "two"]);
    // Longer than before at once: only its beginning tells.
    File::create(world.path("a.log")).unwrap();
    world.write("a.log", "four is a long line, longer than all before\n");
    world.check(&[
        "four is a long line, longer than all before",
        "one",
        "three",
        "two",
    ]);
}

#[test]
fn copytruncate_loses_nothing_and_sends_nothing_twice() {
    for is_seen_between in [false, true] {
        let mut world = World::new("copytruncate", "a.log*");
        world.write("a.log", "the first line of this log is long enough\n2\n");
        world.settle();
        world.write("a.log", "3\n");
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        if is_seen_between {
            world.round(3, None);
        }
        File::create(world.path("a.log")).unwrap();
        world.write("a.log", "4\n");
        world.check(&["2", "3", "4", "the first line of this log is long enough"]);
    }
}

#[test]
fn a_copy_made_while_a_batch_is_delivered_is_not_read_twice() {
    let mut world = World::new("copy-delivering", "a.log*");
    world.write("a.log", "the first line of this log is long enough\n2\n");
    world.settle();
    world.write("a.log", "3\n4\n");
    world.now = Timestamp(world.now.0 + 3_000_000);
    let now = world.now;
    let _ = world.tailer().round(now).unwrap();
    let now = Timestamp(now.0 + 3_000_000);
    let reads = world.tailer().round(now).unwrap();
    assert_eq!(reads.len(), 1);
    fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
    File::create(world.path("a.log")).unwrap();
    world.write("a.log", "5\n");
    world.keep(&reads[0]);
    world.tailer().delivered(reads[0].file);
    world.now = now;
    world.check(&[
        "2",
        "3",
        "4",
        "5",
        "the first line of this log is long enough",
    ]);
}

#[test]
fn packed_history_is_read_once() {
    let gzip = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let mut world = World::new("packed", "a.log*");
    world.write("a.log", "the first line of this log is long enough\n2\n");
    world.settle();
    world.write("a.log", "3\n");
    let text = fs::read_to_string(world.path("a.log")).unwrap();
    fs::write(world.path("a.log.1.gz"), gzip(&text)).unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    fs::write(world.path("a.log.2.gz"), gzip("older 0\nolder 1")).unwrap();
    fs::write(
        world.path("a.log.3.zst"),
        zstd::stream::encode_all(&b"oldest\n"[..], 1).unwrap(),
    )
    .unwrap();
    fs::write(world.path("a.log.4.gz"), b"no gzip at all").unwrap();
    world.check(&[
        "2",
        "3",
        "older 0",
        "older 1",
        "oldest",
        "the first line of this log is long enough",
    ]);
    world.tailer = None;
    world.check(&[
        "2",
        "3",
        "older 0",
        "older 1",
        "oldest",
        "the first line of this log is long enough",
    ]);
}

/// Files are looked at in the order of their inodes.
#[test]
fn packed_history_that_comes_before_its_original_is_read_once() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer
        .write_all("the first line of this log is long enough\n2\n3\n".as_bytes())
        .unwrap();
    let packed = packer.finish().unwrap();
    let mut world = World::new("packed-before", "a.log*");
    let early = world.path("early");
    fs::write(&early, b"").unwrap();
    world.write("a.log", "the first line of this log is long enough\n2\n");
    world.settle();
    world.write("a.log", "3\n");
    fs::write(&early, packed).unwrap();
    fs::rename(&early, world.path("a.log.1.gz")).unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    world.check(&["2", "3", "the first line of this log is long enough"]);
}

#[test]
fn files_that_only_begin_alike_are_all_read() {
    let mut world = World::new("alike", "*.log");
    let header = format!("{}\n", "# the same header in each file ".repeat(40));
    world.write("a.log", &format!("{header}a\n"));
    world.settle();
    world.write("b.log", &format!("{header}b\n"));
    world.settle();
    assert_eq!(world.kept.len(), 4);
}

#[test]
fn a_kill_at_any_moment_loses_nothing_and_sends_nothing_twice() {
    // Every place of dying: before, between and after each delivery, in each round.
    for seed in 0..60usize {
        let mut world = World::new(&format!("kill-{seed}"), "*.log");
        world.multiline = Multiline::Traces;
        let mut expected = Vec::new();
        let mut random = seed as u64 + 1;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % below
        };
        for number in 0..40 {
            let name = format!("{}.log", next(3));
            let line = format!("{number:03} x");
            world.write(&name, &format!("{line}\n"));
            if next(3) == 0 {
                world.write(&name, " more\n");
                expected.push(format!("{line}\n more"));
            } else {
                expected.push(line);
            }
            match next(3) {
                0 => drop(world.round(next(3) as i64, Some(next(4) as usize))),
                1 => drop(world.round(next(3) as i64, None)),
                _ => {}
            }
        }
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        world.settle();
        let mut kept = world.kept.clone();
        kept.sort();
        // A record whose second line came late may have been let go before it.
        let joined = kept.join("\n");
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (mut kept, mut wanted) = (lines(&joined), lines(&expected.join("\n")));
        kept.sort();
        wanted.sort();
        assert_eq!(kept, wanted, "seed {seed}");
    }
}

#[test]
fn lines_of_any_length_are_cut_and_counted() {
    let mut world = World::new("long", "a.log");
    world.write("a.log", "before\n");
    for _ in 0..10 {
        world.write("a.log", &"x".repeat(1_000_000));
    }
    world.write("a.log", "\nafter\n");
    world.settle();
    let lengths: Vec<_> = world.kept.iter().map(String::len).collect();
    assert_eq!(lengths, [6, andon_model::event::TEXT_BYTES_MAX, 5]);
}

#[test]
fn a_record_waits_for_its_next_lines_and_no_longer() {
    let mut world = World::new("joins", "a.log");
    world.multiline = Multiline::Traces;
    world.write("a.log", "error\n  at x\n");
    world.round(0, None);
    assert_eq!(world.kept, Vec::<String>::new());
    world.write("a.log", "  at y\n");
    world.round(1, None);
    world.write("a.log", "next\n");
    world.round(0, None);
    assert_eq!(world.kept, ["error\n  at x\n  at y"]);
    world.round(2, None);
    assert_eq!(world.kept, ["error\n  at x\n  at y", "next"]);
}
