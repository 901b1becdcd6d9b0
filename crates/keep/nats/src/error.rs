//! Why something did not work with a server.

use std::time::Duration;

/// Longest text of a server that is told.
const TEXT_CHARS_MAX: usize = 200;

/// Why something did not work with a server. What was published may have arrived, except with
/// [`NatsError::Refused`] as the answer to it.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// This is no server's address.
    #[error("{url:?} is no address of a NATS server: {reason}")]
    Address {
        /// Without its password.
        url: String,
        /// Why.
        reason: String,
    },
    /// The file with the login cannot be used.
    #[error("the credentials in {path} cannot be used: {reason}")]
    Credentials {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers there, or not NATS.
    #[error("NATS at {server} is not reached: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
    },
    /// The connection is gone.
    #[error("the connection to NATS at {server} is gone: {reason}")]
    Gone {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server answers nothing.
    #[error("NATS at {server} has not answered for {waited:?}")]
    Silent {
        /// Host and port.
        server: String,
        /// For how long.
        waited: Duration,
    },
    /// The server says no: a login, a permission.
    #[error("NATS at {server} refuses: {reason}")]
    Denied {
        /// Host and port.
        server: String,
        /// In its words.
        reason: String,
    },
    /// Nobody answers on a subject: JetStream is off or not ready, or there is no such stream.
    #[error("nobody on NATS takes {subject}: is JetStream on, and is there such a stream?")]
    Nobody {
        /// What was asked.
        subject: String,
    },
    /// JetStream says no.
    #[error("JetStream refuses: {description} ({code})")]
    Refused {
        /// JetStream's number of the reason, such as 10059 for a stream that is not there.
        code: u32,
        /// In its words.
        description: String,
    },
    /// It says something that is not understood.
    #[error("NATS at {server} says what is not understood: {reason}")]
    Odd {
        /// Host and port.
        server: String,
        /// What.
        reason: String,
    },
    /// Another grid has a keeper of this name on the stream.
    #[error(
        "the consumer {consumer} on the stream {stream} belongs to another grid, or to a key that this grid no longer knows; give each grid its own [spool] nats_stream, or delete the consumer"
    )]
    Foreign {
        /// The stream.
        stream: String,
        /// The keeper's name there.
        consumer: String,
    },
}

/// What a server said, short and on one line.
pub(crate) fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.trim()
        .chars()
        .map(plain)
        .take(TEXT_CHARS_MAX)
        .collect()
}
