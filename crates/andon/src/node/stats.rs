//! Figures for `/metrics` and the grid's notices for the log.

use super::frames::Frames;
use andon_api::{NodeStats, Stat, StatKind};
use andon_grid::{GridCounters, GridNotice};
use andon_notify::NotifyView;
use andon_notify::counters::Counters;
use andon_probe::WireStats;

/// All figures of the node by metric name.
pub fn figures(
    grid: &GridCounters,
    wire: &WireStats,
    frames: &Frames,
    notify: &NotifyView,
) -> NodeStats {
    let told = |count: fn(&Counters) -> u64| -> u64 {
        let routes = notify.routes.values();
        routes.map(|route| count(&route.counters)).sum()
    };
    let counters: &[(&'static str, &'static str, u64)] = &[
        (
            "andon_gossip_sent_total",
            "Gossip datagrams and frames sent.",
            grid.sent,
        ),
        (
            "andon_gossip_sent_bytes_total",
            "Bytes of gossip sent.",
            grid.sent_bytes,
        ),
        (
            "andon_gossip_received_total",
            "Gossip datagrams and frames received.",
            grid.received,
        ),
        (
            "andon_gossip_received_bytes_total",
            "Bytes of gossip received.",
            grid.received_bytes,
        ),
        (
            "andon_gossip_rounds_total",
            "Rounds of anti-entropy.",
            grid.rounds,
        ),
        (
            "andon_gossip_rows_total",
            "Rows of slices taken over as new.",
            grid.store.news,
        ),
        (
            "andon_gossip_rows_pushed_total",
            "Rows passed on at once.",
            grid.pushed_rows,
        ),
        (
            "andon_gossip_rows_forged_total",
            "Rows not signed by their owner.",
            grid.store.forged,
        ),
        (
            "andon_gossip_rows_invalid_total",
            "Rows that were not understood.",
            grid.store.invalid_rows,
        ),
        (
            "andon_gossip_rows_refused_total",
            "Rows refused for want of room.",
            grid.store.limit_hit,
        ),
        (
            "andon_gossip_foreign_key_total",
            "Datagrams sealed with another grid's key.",
            grid.seal.foreign_key,
        ),
        (
            "andon_gossip_forged_total",
            "Datagrams damaged or made without the key.",
            grid.seal.forged,
        ),
        (
            "andon_gossip_replayed_total",
            "Datagrams seen before.",
            grid.seal.replayed,
        ),
        (
            "andon_gossip_truncated_total",
            "Datagrams too short to be gossip.",
            grid.seal.truncated,
        ),
        (
            "andon_gossip_oversized_total",
            "Datagrams too long to be gossip.",
            grid.seal.oversized,
        ),
        (
            "andon_gossip_malformed_total",
            "Datagrams opened that held no message.",
            grid.malformed,
        ),
        (
            "andon_gossip_dropped_total",
            "Gossip and frames dropped since this node was too busy to take or send them.",
            wire.commands_dropped,
        ),
        ("andon_probe_sent_total", "Probes sent.", wire.probes_sent),
        (
            "andon_probe_answered_total",
            "Probes answered, even if late.",
            wire.probes_answered,
        ),
        (
            "andon_probe_lost_total",
            "Probes not answered in time.",
            wire.probes_lost,
        ),
        (
            "andon_probe_late_total",
            "Probes answered after they had been counted as lost.",
            wire.probes_late,
        ),
        (
            "andon_probe_refused_total",
            "Probes that the far host refused.",
            wire.probes_refused,
        ),
        (
            "andon_probe_unsent_total",
            "Probes that this host could not send.",
            wire.probes_unsent,
        ),
        (
            "andon_probe_reflected_total",
            "Probes of others that were answered.",
            wire.reflected,
        ),
        (
            "andon_probe_rejected_total",
            "Packets at the port that no key of the grid signed.",
            wire.rejected,
        ),
        (
            "andon_probe_limited_total",
            "Probes of others left unanswered, since their source asked too often.",
            wire.limited,
        ),
        (
            "andon_probe_kernel_drops_total",
            "Datagrams the kernel dropped since they were read too slowly.",
            wire.kernel_drops,
        ),
        (
            "andon_trace_packets_sent_total",
            "Packets of traces sent.",
            wire.traces_sent,
        ),
        (
            "andon_trace_packets_answered_total",
            "Packets of traces that a router or the far end answered.",
            wire.traces_answered,
        ),
        (
            "andon_trace_errors_foreign_total",
            "ICMP errors that quote no packet in flight.",
            wire.errors_foreign,
        ),
        (
            "andon_trace_muted_total",
            "Times that sockets stopped reading ICMP errors, since there were too many.",
            wire.errors_muted,
        ),
        (
            "andon_probe_bursts_total",
            "Bursts of probes on suspicious links.",
            wire.bursts,
        ),
        (
            "andon_notify_sent_total",
            "Messages that the other side took.",
            told(|counters| counters.sent),
        ),
        (
            "andon_notify_retried_total",
            "Attempts to tell people that are repeated.",
            told(|counters| counters.retried),
        ),
        (
            "andon_notify_failed_total",
            "Messages refused, or given up after hours.",
            told(|counters| counters.failed),
        ),
        (
            "andon_notify_suppressed_total",
            "Incidents not told because of a silence, maintenance or hours.",
            told(|counters| counters.suppressed),
        ),
        (
            "andon_notify_grouped_total",
            "Incidents told in a message with others.",
            told(|counters| counters.grouped),
        ),
        (
            "andon_notify_state_write_failures_total",
            "Times that what is to be told could not be written to disk.",
            notify.state_write_failures,
        ),
        (
            "andon_frames_dropped_total",
            "Frames dropped since a connection was too slow.",
            frames.dropped,
        ),
        (
            "andon_frames_evicted_total",
            "Strangers' frame connections closed to make room for others.",
            frames.evicted,
        ),
        (
            "andon_frames_refused_total",
            "Frame connections refused since there were too many.",
            frames.refused,
        ),
    ];
    let gauges: &[(&'static str, &'static str, f64)] = &[
        (
            "andon_probe_links",
            "Links that this node probes.",
            f64::from(wire.links),
        ),
        (
            "andon_probe_coverage_ratio",
            "Share of the wanted probe rate that the budget allows.",
            f64::from(wire.coverage),
        ),
        (
            "andon_frames_connections",
            "Frame connections open or being opened.",
            frames.len() as f64,
        ),
    ];
    let counters = counters.iter().map(|(name, help, value)| {
        (
            *name,
            Stat {
                help,
                kind: StatKind::Counter,
                value: *value as f64,
            },
        )
    });
    let gauges = gauges.iter().map(|(name, help, value)| {
        (
            *name,
            Stat {
                help,
                kind: StatKind::Gauge,
                value: *value,
            },
        )
    });
    counters.chain(gauges).collect()
}

/// Puts a notice where an operator looks.
pub fn log_notice(notice: &GridNotice) {
    match notice {
        GridNotice::ForeignKey { from } => tracing::warn!(
            ?from,
            "somebody at this address uses another grid key; give both nodes the same key file"
        ),
        GridNotice::SeedSilent { seed, waited } => tracing::warn!(
            %seed,
            ?waited,
            "no answer from this seed; is the node there running, and is its port open for UDP or TCP?"
        ),
        GridNotice::SameId { id, keys } => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            tracing::error!(%id, ?keys, "several nodes carry this id; give each its own --id");
        }
        // The grid task knows more of these and tells them itself.
        GridNotice::ClonedIdentity | GridNotice::Joined { .. } | GridNotice::Left { .. } => {}
        GridNotice::ClockWentBack { epoch } => {
            tracing::warn!(
                epoch,
                "the clock went back since the last start; the node goes on above it"
            );
        }
        GridNotice::InvalidRow { owner, index } => {
            tracing::warn!(%owner, ?index, "a row that cannot be shown: malformed, or of a newer version");
        }
        GridNotice::TooLarge { left_out } => {
            tracing::warn!(
                left_out,
                "something this node observes is too large to publish"
            );
        }
        GridNotice::StoreFull { refused } => {
            tracing::error!(
                refused,
                "the picture is incomplete: a limit of the store was reached"
            );
        }
    }
}
