//! What the API counts of itself, for `/metrics`: every limit that was hit, and the traffic.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($field:ident $name:literal $help:literal;)*) => {
        /// Counters of the API.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $field: Counter,)*
        }

        impl Counters {
            /// Name, help and value of each, by name.
            pub(crate) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                let mut all = vec![$(($name, $help, self.$field.get()),)*];
                all.sort_unstable();
                all
            }
        }
    };
}

counters! {
    requests "andon_http_requests_total" "HTTP requests received.";
    refused "andon_http_requests_refused_total" "HTTP requests refused for want of a right, a good Host or a good Origin.";
    logins_failed "andon_http_logins_failed_total" "Wrong tokens, one-time links and bearer credentials.";
    logins_throttled "andon_http_logins_throttled_total" "Wrong credentials from a source that had sent too many.";
    connections "andon_http_connections_total" "TCP connections accepted on the one port.";
    connections_evicted "andon_http_connections_evicted_total" "Idle connections closed to make room for another.";
    connections_refused "andon_http_connections_refused_total" "Connections refused since all others were at work.";
    connections_silent "andon_http_connections_silent_total" "Connections closed since no first byte or TLS handshake came in time.";
    connections_stuck "andon_http_connections_stuck_total" "Connections closed since the client took nothing of its answer.";
    connections_unknown "andon_http_connections_unknown_total" "Connections whose first byte is of no protocol spoken here.";
    accept_errors "andon_http_accept_errors_total" "Failures to accept a connection, such as too many open files.";
    frames_dropped "andon_http_frames_dropped_total" "Grid frame connections dropped since the grid had no room.";
    tls_failed "andon_http_tls_failed_total" "TLS handshakes that failed.";
    streams_refused "andon_http_streams_refused_total" "Event streams refused since too many were open.";
    streams_lagged "andon_http_streams_lagged_total" "Times that a slow event stream was given a whole picture again.";
    bodies_refused "andon_http_bodies_refused_total" "Request bodies too large or too slow.";
    audit_errors "andon_audit_errors_total" "Changes refused since they could not be written to the audit log.";
    relays_failed "andon_http_relays_failed_total" "Questions to other nodes or to the demo that failed.";
    traces "andon_trace_requests_total" "Traces that people asked this node for, its own and those passed on.";
    traces_refused "andon_trace_requests_refused_total" "Traces refused since too many were running or had been asked for.";
    remarks "andon_incident_remarks_total" "Remarks that people made on incidents at this node.";
    queries "andon_query_requests_total" "Questions about events that were asked here.";
    queries_refused "andon_query_requests_refused_total" "Questions about events refused since too many were at work.";
    query_parts "andon_query_parts_total" "Parts of questions answered for other nodes.";
    tails_refused "andon_tail_refused_total" "Live tails refused since too many were open.";
    picture_renders "andon_picture_renders_total" "Times that the picture was serialised.";
}
