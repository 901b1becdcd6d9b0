//! Why ClickHouse did not do what was asked, and what to do about it.

use std::time::Duration;

/// What went wrong. Nothing is half done unless the text says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClickHouseError {
    /// The address cannot be used.
    #[error("`{url}` is no address of a ClickHouse server: {reason}")]
    Address {
        /// As configured, without a password.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers there. Nothing was sent.
    #[error("cannot reach ClickHouse at {server}: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The system's word.
        reason: String,
    },
    /// The connection broke after something was sent; whether it was done is not known.
    #[error("the connection to ClickHouse at {server} broke off: {reason}")]
    Broken {
        /// Host and port.
        server: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time; whether it was done is not known.
    #[error("ClickHouse at {server} did not answer within {waited:?}")]
    Silent {
        /// Host and port.
        server: String,
        /// For how long.
        waited: Duration,
    },
    /// The server refused.
    #[error("ClickHouse at {server} says: {message} (code {code})")]
    Refused {
        /// Host and port.
        server: String,
        /// ClickHouse's number for it; 0 if it told none.
        code: u32,
        /// Its words, one line.
        message: String,
    },
    /// The answer is larger than is read.
    #[error("the answer of ClickHouse at {server} is larger than {bytes_max} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The answer is not what was asked for.
    #[error("ClickHouse at {server} answers what cannot be read: {reason}")]
    Garbled {
        /// Host and port.
        server: String,
        /// What is odd.
        reason: String,
    },
    /// The tables are of a later version of Andon.
    #[error("the tables in `{database}` have version {found}, this program knows {known}")]
    NewerSchema {
        /// The database.
        database: String,
        /// What the tables have.
        found: u32,
        /// What this program has.
        known: u32,
    },
    /// The question cannot be asked of ClickHouse.
    #[error("{what} cannot be asked of ClickHouse")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// It was called off.
    #[error("the question was called off")]
    Cancelled,
    /// The file that says how far a move has got cannot be used.
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What is moved cannot be read.
    #[error("cannot read {what}: {reason}")]
    Source {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ClickHouseError {
    /// What a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Address { .. } => "write `http://host:8123` or `https://user:password@host:8443`",
            Self::Unreachable { .. } => {
                "is the server running, is 8123 its HTTP port, and does it listen on this address (listen_host)?"
            }
            Self::Broken { .. } | Self::Silent { .. } => {
                "it is tried again; see the server's log, and its disk and memory"
            }
            Self::TooLarge { .. } => "ask for fewer rows or a shorter time",
            Self::Garbled { .. } => "is a ClickHouse server there, and nothing in between?",
            Self::NewerSchema { .. } => {
                "use the version of Andon that made the tables, or a later one"
            }
            Self::Unsupported { .. } => "ask differently, or of the embedded store",
            Self::Cancelled => "",
            Self::Checkpoint { .. } => {
                "give another file, or delete it to begin anew: nothing is moved twice"
            }
            Self::Source { .. } => "check the store: `andon store check`",
            Self::Refused { code, .. } => refusal(*code),
        }
    }

    /// Whether the same may work a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Silent { .. } => true,
            Self::Refused { code, .. } => PASSING.contains(code),
            _ => false,
        }
    }

    /// Whether it is unknown what became of it.
    pub fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::Broken { .. } | Self::Silent { .. } | Self::Garbled { .. }
        ) || matches!(self, Self::Refused { code, .. } if PASSING.contains(code))
    }
}

/// Codes of what passes: timeouts and lost connections between servers, too many queries or
/// parts at once, memory.
const PASSING: [u32; 10] = [159, 160, 202, 209, 210, 241, 242, 252, 279, 425];

fn refusal(code: u32) -> &'static str {
    match code {
        60 | 81 => {
            "the tables are missing: start a node with `[store] clickhouse` once, or create the database"
        }
        192..=194 | 516 => "check user and password in the address",
        497 | 291 => "the user needs SELECT, INSERT, CREATE and ALTER on the database",
        164 => "the user may only read; give it a profile with readonly = 0",
        159 | 160 => "the question took too long: ask for a shorter time, or allow more",
        241 => {
            "the server's memory for one query is used up: ask for less, or raise max_memory_usage"
        }
        243 => "the server's disk is full",
        252 => {
            "parts pile up: the disk is too slow for the merges; inserts are slowed down and tried again"
        }
        209 | 210 | 279 => "a server of the cluster does not answer; see `system.clusters`",
        158 | 307 | 396 => "a limit of the server's profile was reached: ask for less",
        47 | 16 => "the tables are not as Andon makes them: was a column dropped by hand?",
        _ => "see the server's log",
    }
}

/// The number and words of an error that ClickHouse wrote, if the text is one.
pub(crate) fn exception(text: &str) -> Option<(u32, String)> {
    let at = text.find("Code: ")?;
    let rest = &text[at + 6..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let code = rest[..digits].parse().ok()?;
    let words = rest[digits..].trim_start_matches([',', '.', ' ']);
    let words = words.strip_prefix("e.displayText() = ").unwrap_or(words);
    let words = words.strip_prefix("DB::Exception: ").unwrap_or(words);
    let words = words.split(", e.what() =").next().unwrap_or(words);
    Some((code, one_line(words)))
}

/// At most 300 characters in one line, nothing that steers a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = words.join(" ");
    let plain = plain.chars().filter(|c| !c.is_control());
    plain.take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ages_of_servers_are_understood_when_they_refuse() {
        let old = "Code: 60, e.displayText() = DB::Exception: Table default.x doesn't exist., e.what() = DB::Exception\n";
        let new = "Code: 60. DB::Exception: Unknown table expression identifier 'x'. (UNKNOWN_TABLE) (version 26.9)";
        assert_eq!(
            exception(old),
            Some((60, "Table default.x doesn't exist.".into()))
        );
        assert_eq!(exception(new).unwrap().0, 60);
        assert!(exception("Ok.").is_none());
    }
}
