//! What bounds taking in. Each limit has a counter that tells when it was hit.

use std::time::Duration;

/// Bytes of one line of text. What is over is cut off and counted ([`crate::Mend::Cut`]); a
/// JSON line that long is refused, since half of it means nothing. Doubled, a thousand hostile
/// connections would hold 2 GB.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Events of one batch: large enough that a disk's sync is shared by many, small enough
/// that a batch of usual events stays under about 8 MB of memory.
pub const BATCH_EVENTS_MAX: usize = 8192;
/// Bytes that the events of one batch take in memory, about: wide events make smaller batches.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes read from one connection at a time.
pub const READ_BYTES: usize = 256 * 1024;
/// Bytes of one request's body that is decoded as a whole (OTLP, Loki, remote-write), as sent.
/// OpenTelemetry's collector sends 8,192 records at a time, about 4 MB.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The same, unpacked.
pub const BODY_UNPACKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that what is decoded at once may take as events: labels, tags and resources are
/// repeated in each of their records, so that a small message may become a large one.
pub const EXPANDED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How often larger unpacked bytes may be than packed ones, once [`INFLATE_FREE_BYTES`] are
/// out. Logs pack 10 to 60 times, very dull ones 200 times; gzip's own limit is 1,032.
pub const INFLATE_RATIO_MAX: u64 = 600;
/// Unpacked bytes that are always allowed, so that small, dull bodies pass.
pub const INFLATE_FREE_BYTES: u64 = 4 * 1024 * 1024;
/// Objects or arrays inside one another in JSON; what is deeper stays JSON text.
pub const DEPTH_MAX: usize = 16;
/// Rejects of one answer that are told one by one; the rest is only counted.
pub const REJECTS_TOLD_MAX: usize = 100;
/// Different names of attributes that one dataset may have within [`KEYS_FORGOTTEN_AFTER`].
/// More are kept as text in one attribute: a client that makes ids into names would otherwise
/// cost a column each.
pub const DATASET_KEYS_MAX: usize = 4096;
/// After this long a name that nobody sent again makes room.
pub const KEYS_FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Datasets whose names of attributes are remembered; later ones share one memory.
pub const DATASETS_MAX: usize = 256;
/// Bytes of the text that takes attributes with too many different names.
pub const OVERFLOW_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Connections of one listener at the same time; the next ones are closed at once.
pub const CONNECTIONS_MAX: usize = 1024;
/// A connection that says nothing for so long is closed.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(15 * 60);
/// A request's head or a TLS handshake takes no longer.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A client that waits for an answer waits no longer for a full sink than this; it is then
/// told to try again.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Time said by a record counts up to this far ahead of the time it came in: clocks differ,
/// and some zones are written without saying so.
pub const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);
