//! `[spool] nats`: events to keepers of other sites over NATS JetStream.

use super::history::bytes;
use super::resolve::{Reader, base};
use super::settings::{Keep, StoreSettings};
use super::value;
use andon_nats::Server;
use andon_nats::settings::{check_credentials, is_stream_name};

/// Room of the stream unless said otherwise: as much as a keeper's store.
pub const BYTES_MAX_DEFAULT: u64 = 10_000_000_000;
/// The stream's name unless said otherwise.
pub const STREAM_DEFAULT: &str = "andon";
/// JetStream knows no more.
const REPLICAS_MAX: u32 = 5;

/// Reads what `[spool]` says of NATS: nothing where it names no server.
pub(super) fn read(
    reader: &mut Reader<'_>,
    store: Option<&StoreSettings>,
) -> Option<andon_nats::Settings> {
    let servers = reader.list("spool.nats", |given| {
        let expected = "nats://host:4222 or tls://user:password@host:4222";
        Server::parse(&given.text).map_err(|error| match error {
            andon_nats::NatsError::Address { reason, .. } => format!("{expected}: {reason}"),
            error => error.to_string(),
        })
    });
    let credentials = reader.one("spool.nats_creds", |given| {
        let path = value::path(&given.text, base(given))?;
        let expected =
            |reason: String| format!("a credentials file of NATS (nsc generate creds): {reason}");
        let text = std::fs::read_to_string(&path).map_err(|error| expected(error.to_string()))?;
        check_credentials(&text).map_err(expected)?;
        Ok(path)
    });
    let stream = reader.one("spool.nats_stream", |given| {
        match is_stream_name(&given.text) {
            true => Ok(given.text.clone()),
            false => Err("a name of at most 64 letters, digits, - and _".to_owned()),
        }
    });
    let bytes_max = reader.one("spool.nats_bytes_max", |given| bytes(&given.text));
    let replicas = reader.one("spool.nats_replicas", |given| {
        value::number_in(&given.text, 1, REPLICAS_MAX)
    });
    if servers.is_empty() {
        for key in [
            "spool.nats_creds",
            "spool.nats_stream",
            "spool.nats_bytes_max",
            "spool.nats_replicas",
        ] {
            reader.contradiction(
                key,
                "it says how NATS is used, but no server is named",
                "name one: nats = \"nats://host:4222\"",
            );
        }
        return None;
    }
    if store.is_some_and(|store| store.clickhouse.is_some() && store.keep != Keep::Yes) {
        reader.contradiction(
            "spool.nats",
            "events of this node go to ClickHouse, and cannot go over NATS besides",
            "name one of them; a node that brings what comes over NATS to ClickHouse has both, and [store] keep = true",
        );
    }
    Some(andon_nats::Settings {
        servers,
        credentials: match credentials {
            super::resolve::Answer::Given(path) => Some(path),
            _ => None,
        },
        stream: stream.or_default(|| STREAM_DEFAULT.to_owned())?,
        bytes_max: bytes_max.or_default(|| BYTES_MAX_DEFAULT)?,
        replicas: replicas.or_default(|| 1)?,
    })
}
