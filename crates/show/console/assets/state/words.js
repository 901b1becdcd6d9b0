// @ts-check
// How states and figures are said: each state has words, a tone and a shape, so that colour
// is never the only sign. "Not measured" is said, never shown as zero.

/** @typedef {import("./types.js").LinkState} LinkState */
/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {import("./types.js").Shape} Shape */

/** @type {readonly LinkState[]} Index = code in `Links.state`. */
export const STATES = ["up", "partial", "degraded", "down", "unknown", "not_probed", "left"];

export const UP = 0;
export const PARTIAL = 1;
export const DEGRADED = 2;
export const DOWN = 3;
export const UNKNOWN = 4;
export const NOT_PROBED = 5;
export const LEFT = 6;

/** What a cell that stands for many links shows: the highest of these. Unknown is no fault
 * and must not hide that others are up. Index = code of the state. */
export const WEIGHT = [3, 5, 4, 6, 2, 0, 1];

/** @type {Record<LinkState, {text:string, tone:Tone, shape:Shape}>} */
const LINK = {
  up: { text: "up", tone: "good", shape: "disc" },
  partial: { text: "partly cut", tone: "warn", shape: "half" },
  degraded: { text: "degraded", tone: "warn", shape: "triangle" },
  down: { text: "down", tone: "bad", shape: "cross" },
  unknown: { text: "unknown", tone: "mute", shape: "dashed" },
  not_probed: { text: "not probed", tone: "mute", shape: "dotted" },
  left: { text: "left", tone: "mute", shape: "ring" },
};

/** @type {Record<string, {text:string, tone:Tone, shape:Shape}>} */
const NODE = {
  up: { text: "up", tone: "good", shape: "disc" },
  suspect: { text: "suspect", tone: "warn", shape: "triangle" },
  down: { text: "down", tone: "bad", shape: "cross" },
  left: { text: "left on purpose", tone: "mute", shape: "ring" },
};

/** @type {Record<string, {text:string, tone:Tone, shape:Shape}>} */
const VERDICT = {
  isolated: { text: "This node is cut off", tone: "bad", shape: "cross" },
  site_cut_off: { text: "Site cut off", tone: "bad", shape: "cross" },
  node_down: { text: "Node down", tone: "bad", shape: "cross" },
  path_fault: { text: "Path fault", tone: "bad", shape: "half" },
  link_down: { text: "Link down", tone: "bad", shape: "cross" },
  link_partial: { text: "Link partly cut", tone: "warn", shape: "half" },
  degraded: { text: "Degraded", tone: "warn", shape: "triangle" },
  target_down: { text: "Target down", tone: "bad", shape: "cross" },
  heartbeat_missing: { text: "Heartbeat missing", tone: "bad", shape: "cross" },
  id_conflict: { text: "Two nodes, one id", tone: "warn", shape: "triangle" },
  clock_skew: { text: "Clock is off", tone: "mute", shape: "ring" },
  host_busy: { text: "Host is busy", tone: "mute", shape: "ring" },
};

/** @param {string} state */
export function linkWords(state) {
  return LINK[/** @type {LinkState} */ (state)] ?? LINK.unknown;
}

/** @param {string} state */
export function nodeWords(state) {
  return NODE[state] ?? { text: state, tone: "mute", shape: "dashed" };
}

/** @param {string} kind */
export function verdictWords(kind) {
  return VERDICT[kind] ?? { text: kind.replaceAll("_", " "), tone: "warn", shape: "triangle" };
}

/** Remarks are no faults: nobody has to come. @param {string} kind */
export function isFault(kind) {
  return kind !== "clock_skew" && kind !== "host_busy";
}

const EFFECTS = /** @type {Record<string,string>} */ ({
  blackhole: "nothing passes it", loss: "a share is lost on it", latency: "it delays what passes", mtu: "large packets do not pass it",
});

/** What a guilty hop does. @param {string|null|undefined} effect */
export function effectWords(effect) {
  return effect ? (EFFECTS[effect] ?? effect) : "";
}

/** @type {Record<string, {text:string, tone:Tone, shape:Shape}>} */
const SEVERITY = {
  critical: { text: "critical", tone: "bad", shape: "cross" },
  major: { text: "major", tone: "warn", shape: "triangle" },
  minor: { text: "minor", tone: "mute", shape: "ring" },
};

/** @type {Record<string, {text:string, tone:Tone, shape:Shape}>} */
const INCIDENT = {
  open: { text: "open", tone: "bad", shape: "ring" },
  mitigated: { text: "mitigated", tone: "warn", shape: "half" },
  resolved: { text: "resolved", tone: "good", shape: "disc" },
};

/** @type {Record<string, {text:string, tone:Tone, shape:Shape}>} */
const TIMELINE = {
  first_symptom: { text: "First symptom", tone: "warn", shape: "triangle" },
  verdict: { text: "Verdict", tone: "bad", shape: "cross" },
  changed: { text: "Changed", tone: "warn", shape: "half" },
  cleared: { text: "Verdict cleared", tone: "good", shape: "disc" },
  notified: { text: "Told", tone: "mute", shape: "square" },
  notify_failed: { text: "Telling failed", tone: "bad", shape: "triangle" },
  acknowledged: { text: "Acknowledged", tone: "mute", shape: "ring" },
  owned: { text: "Owned", tone: "mute", shape: "ring" },
  note: { text: "Note", tone: "mute", shape: "square" },
  mitigated: { text: "Mitigated", tone: "good", shape: "half" },
  reopened: { text: "Came back", tone: "bad", shape: "cross" },
  resolved: { text: "Resolved", tone: "good", shape: "disc" },
};

/** @param {string} severity */
export function severityWords(severity) {
  return SEVERITY[severity] ?? { text: severity, tone: "warn", shape: "triangle" };
}

/** @param {string} state */
export function incidentWords(state) {
  return INCIDENT[state] ?? { text: state, tone: "mute", shape: "dashed" };
}

/** @param {string} kind */
export function timelineWords(kind) {
  return TIMELINE[kind] ?? { text: kind.replaceAll("_", " "), tone: "mute", shape: "dotted" };
}

export const NOT_MEASURED = "not measured";

/** A round-trip time in its natural unit. @param {number|null|undefined} us */
export function rtt(us) {
  if (us === null || us === undefined || Number.isNaN(us)) return NOT_MEASURED;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 10_000) return `${(us / 1000).toFixed(2)} ms`;
  if (us < 100_000) return `${(us / 1000).toFixed(1)} ms`;
  if (us < 10_000_000) return `${Math.round(us / 1000)} ms`;
  return `${(us / 1e6).toFixed(0)} s`;
}

/** The same where a table says what an empty place means. @param {number|null|undefined} us */
export function rttShort(us) {
  const text = rtt(us);
  return text === NOT_MEASURED ? "–" : text;
}

/** @param {number|null|undefined} share 0..1 */
export function loss(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return NOT_MEASURED;
  const percent = share * 100;
  if (percent === 0) return "none";
  if (percent < 1) return `${percent.toFixed(1)} %`;
  return `${Math.round(percent)} %`;
}

/** @param {number} ok @param {number} total */
export function flows(ok, total) {
  return total === 0 ? NOT_MEASURED : `${ok} of ${total}`;
}

/** A span in its two weightiest units. @param {number} ms */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 && s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 60)} min`;
  const hours = Math.floor(s / 3600);
  if (hours < 48) {
    const minutes = Math.floor((s % 3600) / 60);
    return minutes && hours < 10 ? `${hours} h ${minutes} min` : `${hours} h`;
  }
  return `${Math.floor(hours / 24)} days`;
}

/** How long something has held. @param {number|null} since @param {number} now epoch ms */
export function held(since, now) {
  if (since === null || !Number.isFinite(since) || !Number.isFinite(now)) return "";
  return now - since < 1500 ? "just now" : `for ${span(now - since)}`;
}

/** Local time of day, with the date where it is not today. @param {number|null} ms @param {number} now */
export function clock(ms, now) {
  if (ms === null || !Number.isFinite(ms)) return NOT_MEASURED;
  const time = new Date(ms);
  const day = time.toDateString() === new Date(now).toDateString() ? "" : `${time.toLocaleDateString()} `;
  return day + time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** A moment with its day, for what may lie weeks back. @param {number} ms */
export function moment(ms) {
  if (!Number.isFinite(ms)) return NOT_MEASURED;
  const time = new Date(ms);
  const day = time.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" }).replace(",", "");
  return `${day}, ${time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })}`;
}

/** A moment with its year, for what may lie years back. @param {number} ms */
export function dated(ms) {
  if (!Number.isFinite(ms)) return NOT_MEASURED;
  return new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A distance in time from a first moment: `+1 min 20 s`. @param {number} ms */
export function offset(ms) {
  if (!Number.isFinite(ms)) return "";
  if (ms === 0) return "0 s";
  const far = Math.abs(ms);
  // Within the first seconds the tenths tell what came of what.
  return `${ms < 0 ? "−" : "+"}${far < 10_000 ? `${(far / 1000).toFixed(1)} s` : span(far)}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : (many ?? `${one}s`)}`;
}

const TRANSPORTS = /** @type {Record<string,string>} */ ({
  udp: "UDP (STAMP)", tcp: "TCP, since UDP does not pass", icmp: "ICMP echo", tcp_connect: "TCP connect",
  http: "HTTP request", tls: "TLS handshake", dns: "DNS query", grid_bug: "GridBug's HTTP calls",
});

/** @param {string|null|undefined} name */
export function transport(name) {
  return name ? (TRANSPORTS[name] ?? name) : NOT_MEASURED;
}

const REASONS = /** @type {Record<string,string>} */ ({
  loss: "more probes are lost than is usual",
  latency: "answers take longer than is usual",
  refused: "the far host answers that nobody listens there",
  answer: "the answer is wrong",
  silent: "no probe is answered in time",
  mtu: "large packets do not pass, small ones do",
});

/** @param {string|null|undefined} name */
export function reason(name) {
  return name ? (REASONS[name] ?? name) : "";
}

/** @param {string|null|undefined} reach */
export function reachWords(reach) {
  if (reach === "open") return "UDP and TCP";
  if (reach === "tcp_only") return "TCP alone";
  if (reach === "outbound") return "only through connections that it opens";
  return NOT_MEASURED;
}
