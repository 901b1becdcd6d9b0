//! How a command ends badly: an exit code, and what happened, to what, and what to do next.

use crate::config::Problems;

/// The command line, or a setting, is wrong.
const USAGE: u8 = 2;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// For the person.
    pub text: String,
}

impl Failure {
    /// Something went wrong in doing it.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            code: 1,
            text: text.into(),
        }
    }

    /// It was asked wrongly.
    pub fn usage(text: impl Into<String>) -> Self {
        Self {
            code: USAGE,
            text: text.into(),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::usage(
            problems
                .to_string()
                .trim_end()
                .strip_prefix("error: ")
                .unwrap_or_default(),
        )
    }
}
