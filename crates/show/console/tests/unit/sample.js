// A small grid for the unit tests, in the form of the API.

export const STATES = ["up", "partial", "degraded", "down", "unknown", "not_probed", "left"];
const TRANSPORTS = ["udp", "tcp", "icmp", "tcp_connect", "http", "tls", "dns", "grid_bug"];
const REASONS = ["loss", "latency", "refused", "answer", "silent", "mtu"];
const HEARINGS = ["not_expected", "arriving", "silent"];

export function node(id, site, more = {}) {
  return {
    id, key: "0011223344556677", site, kind: "andon", state: "up", since: "2026-11-20T03:00:00.000Z",
    addresses: ["10.0.0.1:8777"], labels: {}, version: "0.1.0", started_at: null, reach: "open", host: null,
    clock_offset_us: null, fingerprint: null, position: null, ...more,
  };
}

export function link(from, to, more = {}) {
  return {
    from, to, state: "up", reason: null, transport: "udp", flows: { ok: 8, total: 8 },
    loss: { forward: 0, return: 0 }, rtt_us: { p50: 1500, p99: 3000 }, rtt_baseline_us: 1500,
    heard: "arriving", since: "2026-11-20T03:00:00.000Z", via: false, ...more,
  };
}

/** Three nodes in two sites, every pair probed both ways. */
export function document(change = () => {}) {
  const nodes = [node("a-1", "a"), node("a-2", "a"), node("b-1", "b")];
  const links = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => link(from.id, to.id)));
  const made = {
    digest: "00000000000000000000000000000001", generated_at: "2026-11-20T03:20:00.000Z", me: "a-1",
    nodes, links, verdicts: [],
  };
  change(made);
  return made;
}

export function columns(full) {
  const index = new Map(full.nodes.map((one, at) => [one.id, at]));
  const pick = (read) => full.links.map(read);
  const permille = (share) => (share === null ? null : Math.round(share * 1000));
  return {
    ...full,
    links: {
      states: STATES,
      from: pick((one) => index.get(one.from)), to: pick((one) => index.get(one.to)),
      state: pick((one) => STATES.indexOf(one.state)),
      ok: pick((one) => one.flows.ok), total: pick((one) => one.flows.total),
      loss_forward: pick((one) => permille(one.loss.forward)), loss_return: pick((one) => permille(one.loss.return)),
      transports: TRANSPORTS, reasons: REASONS, hearings: HEARINGS,
      round_trip: pick((one) => (one.round_trip ? STATES.indexOf(one.round_trip) : null)),
      reason: pick((one) => (one.reason ? REASONS.indexOf(one.reason) : null)), transport: pick((one) => TRANSPORTS.indexOf(one.transport)),
      heard: pick((one) => HEARINGS.indexOf(one.heard)), via: pick((one) => (one.via ? 1 : 0)), rtt_baseline: pick((one) => one.rtt_baseline_us),
      detail: Object.fromEntries(full.links.flatMap((one, at) => (one.detail ? [[at, one.detail]] : []))),
      rtt_p50: pick((one) => one.rtt_us.p50), rtt_p99: pick((one) => one.rtt_us.p99),
      since: pick((one) => Date.parse(one.since)), dangling: 0,
    },
  };
}

export function verdict(kind, subject, more = {}) {
  return {
    id: `${kind}:${subject}`, kind, subject, sentence: `${subject} is ill.`, confidence: 0.9, evidence: [],
    since: "2026-11-20T03:19:58.000Z", ...more,
  };
}
