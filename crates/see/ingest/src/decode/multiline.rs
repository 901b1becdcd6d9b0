//! Lines that belong together: a stack trace is one record with the line above it.

use serde::{Deserialize, Serialize};

/// Lines of one record; what is over begins the next record.
pub const RECORD_LINES_MAX: usize = 1000;
/// Bytes of one record, the same.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// Which lines belong to the one before them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Multiline {
    /// None.
    Off,
    /// Stack traces: indented lines, `Caused by:`, Python's tracebacks, Go's panics.
    #[default]
    Traces,
    /// All but those that match: each of these begins a record.
    Starts(String),
    /// Those that match.
    Continues(String),
}

/// Why a rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the multi-line rule is no regular expression: {0}")]
pub struct MultilineError(pub String);

#[derive(Debug)]
enum Rule {
    Off,
    Traces(Inside),
    Starts(regex::bytes::Regex),
    Continues(regex::bytes::Regex),
}

/// Which kind of trace is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Python,
    PythonFrames,
    Go,
}

/// Joins lines into records.
#[derive(Debug)]
pub struct Joiner {
    rule: Rule,
    held: Vec<u8>,
    lines: usize,
    cut_bytes: u64,
}

impl Default for Joiner {
    /// Joins traces.
    fn default() -> Self {
        Self::by(Rule::Traces(Inside::Nothing))
    }
}

impl Joiner {
    fn by(rule: Rule) -> Self {
        Self {
            rule,
            held: Vec::new(),
            lines: 0,
            cut_bytes: 0,
        }
    }

    /// By a rule.
    pub fn new(rule: &Multiline) -> Result<Self, MultilineError> {
        let regex = |text: &str| {
            let mut builder = regex::bytes::RegexBuilder::new(text);
            let built = builder.unicode(false).size_limit(1 << 20).build();
            built.map_err(|error| MultilineError(error.to_string()))
        };
        let rule = match rule {
            Multiline::Off => Rule::Off,
            Multiline::Traces => Rule::Traces(Inside::Nothing),
            Multiline::Starts(text) => Rule::Starts(regex(text)?),
            Multiline::Continues(text) => Rule::Continues(regex(text)?),
        };
        Ok(Self::by(rule))
    }

    /// Whether a record is held that may go on.
    pub fn is_holding(&self) -> bool {
        self.lines > 0
    }

    /// Bytes that are held.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// One more line; `each` gets a record that it ends, with the bytes that were cut off it.
    pub fn push(&mut self, line: &[u8], cut_bytes: u64, mut each: impl FnMut(&[u8], u64)) {
        if matches!(self.rule, Rule::Off) {
            return each(line, cut_bytes);
        }
        let goes_on = self.goes_on(line);
        let has_room =
            self.lines < RECORD_LINES_MAX && self.held.len() + line.len() < RECORD_BYTES_MAX;
        if !(goes_on && has_room && self.is_holding()) {
            self.flush(&mut each);
        } else {
            self.held.push(b'\n');
        }
        self.held.extend_from_slice(line);
        self.lines += 1;
        self.cut_bytes += cut_bytes;
    }

    /// The record that is held: nothing more of it will come.
    pub fn flush(&mut self, mut each: impl FnMut(&[u8], u64)) {
        if self.is_holding() {
            each(&self.held, self.cut_bytes);
        }
        self.held.clear();
        self.held.shrink_to(64 * 1024);
        self.lines = 0;
        self.cut_bytes = 0;
    }

    fn goes_on(&mut self, line: &[u8]) -> bool {
        match &mut self.rule {
            Rule::Off => false,
            Rule::Starts(regex) => !regex.is_match(line),
            Rule::Continues(regex) => regex.is_match(line),
            Rule::Traces(inside) => {
                let (goes_on, next) = trace(*inside, line);
                *inside = next;
                goes_on
            }
        }
    }
}

/// `java.lang.IllegalStateException: what`, below the line that tells of it.
fn is_java_error(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| matches!(byte, b':' | b' '));
    let name = &line[..end.unwrap_or(line.len())];
    let is_rest_told = line.get(name.len()) != Some(&b' ');
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._$".contains(byte);
    let ends = [&b"Exception"[..], b"Error", b"Throwable"];
    is_rest_told
        && name.contains(&b'.')
        && ends.iter().any(|end| name.ends_with(end))
        && name.iter().all(is_name)
}

fn trace(inside: Inside, line: &[u8]) -> (bool, Inside) {
    let is_indented = matches!(line.first(), Some(b' ' | b'\t'));
    let begins = |text: &str| line.starts_with(text.as_bytes());
    if begins("Traceback (most recent call last)") {
        return (true, Inside::Python);
    }
    if begins("panic: ") || begins("fatal error: ") {
        return (false, Inside::Go);
    }
    match inside {
        Inside::Python | Inside::PythonFrames if is_indented => (true, Inside::PythonFrames),
        // The error itself, which ends the traceback.
        Inside::PythonFrames if !line.is_empty() => (true, Inside::Nothing),
        Inside::Go if is_indented || line.is_empty() => (true, Inside::Go),
        Inside::Go if begins("goroutine ") || begins("created by ") || begins("[signal ") => {
            (true, Inside::Go)
        }
        Inside::Go if line.ends_with(b")") && !line.contains(&b' ') => (true, Inside::Go),
        _ => {
            let is_frame = is_indented
                || begins("Caused by:")
                || begins("Suppressed:")
                || is_java_error(line)
                || begins("During handling of the above exception")
                || begins("The above exception was the direct cause");
            (is_frame, Inside::Nothing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(rule: Multiline, text: &str) -> Vec<String> {
        let mut joiner = Joiner::new(&rule).unwrap();
        let mut records = Vec::new();
        let mut each =
            |record: &[u8], _| records.push(String::from_utf8_lossy(record).into_owned());
        for line in text.lines() {
            joiner.push(line.as_bytes(), 0, &mut each);
        }
        joiner.flush(&mut each);
        records
    }

    fn check(text: &str, expected: &[usize]) {
        let records = join(Multiline::Traces, text);
        let sizes: Vec<_> = records
            .iter()
            .map(|record| record.lines().count())
            .collect();
        assert_eq!(sizes, expected, "{records:#?}");
        assert_eq!(records.join("\n"), text);
    }

    #[test]
    fn traces_of_java_python_and_go_are_one_record_each() {
        check(
            "one\nerror: x\n\tat a.b(C.java:1)\n\tat d\nCaused by: y\n\t... 3 more\ntwo",
            &[1, 5, 1],
        );
        check(
            "one\nERROR x\nTraceback (most recent call last):\n  File \"a\", line 1\n    f()\nValueError: no\ntwo",
            &[1, 5, 1],
        );
        check(
            "one\npanic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:5 +0x1\nexit status 2",
            &[1, 5, 1],
        );
        check(
            "one\n14:00:00 ERROR broke\njava.lang.IllegalStateException: x\n\tat a.b(C.java:1)\nCaused by: y\ntwo",
            &[1, 4, 1],
        );
        check(
            "one\nmy.Error is what I saw\nError: y\nthree",
            &[1, 1, 1, 1],
        );
        check("one\ntwo\nthree", &[1, 1, 1]);
    }

    #[test]
    fn rules_say_what_begins_or_continues_a_record() {
        let starts = Multiline::Starts(r"^\d{4}-".into());
        assert_eq!(join(starts, "2026-1 a\nb\n2026-2 c").len(), 2);
        let continues = Multiline::Continues(r"^\+".into());
        assert_eq!(join(continues, "a\n+b\n+c\nd"), ["a\n+b\n+c", "d"]);
        assert!(Joiner::new(&Multiline::Starts("(".into())).is_err());
    }

    #[test]
    fn a_record_that_never_ends_is_cut_into_records() {
        let text = format!("start\n{}", " more\n".repeat(2500));
        let records = join(Multiline::Traces, &text);
        assert_eq!(records.len(), 3);
        assert!(
            records
                .iter()
                .all(|record| record.lines().count() <= RECORD_LINES_MAX)
        );
    }
}
