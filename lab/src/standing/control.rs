//! How a standing lab is told what to do: one line to a socket, an answer until its end.

use crate::scenario::Scenario;
use crate::scenario::problem::did_you_mean;
use crate::world::LabError;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Longest order.
const ORDER_BYTES_MAX: u64 = 1_024;
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// For either side to say something.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A fault on or off.
    Switch {
        /// By place in the scenario.
        fault: usize,
        /// On or off.
        on: bool,
    },
    /// All faults and how they stand.
    List,
    /// The end.
    Down,
}

/// The holder's side.
pub(super) struct Control {
    listener: UnixListener,
}

/// One order that waits for its answer.
pub(super) struct Request {
    stream: UnixStream,
    line: String,
}

impl Control {
    pub fn open(path: &Path) -> Result<Self, LabError> {
        let what = || format!("listen at {}", path.display());
        let listener = UnixListener::bind(path).map_err(LabError::io(what()))?;
        listener
            .set_nonblocking(true)
            .map_err(LabError::io(what()))?;
        Ok(Self { listener })
    }

    /// The next order, if one waits.
    pub fn next(&self) -> Option<Request> {
        let (mut stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(TIMEOUT)).ok()?;
        let mut line = String::new();
        let read = Read::take(&mut stream, ORDER_BYTES_MAX).read_to_string(&mut line);
        read.ok()?;
        Some(Request { stream, line })
    }
}

impl Request {
    /// What it asks for.
    pub fn order(&self, scenario: &Scenario) -> Result<Order, String> {
        let words: Vec<&str> = self.line.split_whitespace().collect();
        match words.as_slice() {
            ["list"] => Ok(Order::List),
            ["down"] => Ok(Order::Down),
            [switch @ ("on" | "off"), name] => match scenario.fault(name) {
                Some(fault) => Ok(Order::Switch {
                    fault,
                    on: *switch == "on",
                }),
                None => {
                    let valid = scenario.faults.iter().map(|fault| fault.name.as_str());
                    let help = did_you_mean(name, valid);
                    Err(format!("this lab has no fault `{name}`\n  {help}"))
                }
            },
            _ => Err("this is no order".into()),
        }
    }

    /// Answers it. Somebody who went away does not mind.
    pub fn answer(mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// Asks the standing lab: `Ok` is its answer without the leading `ok`, `Err(Ok(_))` what it
/// minds, `Err(Err(_))` that none answers.
pub fn ask(order: &str) -> Result<String, Result<String, io::Error>> {
    let talk = || {
        let mut stream = UnixStream::connect(super::socket(&super::tag()))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(order.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: String = talk().map_err(Err)?;
    match answer.strip_prefix("ok\n") {
        Some(rest) => Ok(rest.to_owned()),
        None => Err(Ok(answer)),
    }
}
