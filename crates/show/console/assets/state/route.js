// @ts-check
// URL to route and back: whatever is looked at is a link to send.

/** @typedef {import("./types.js").Route} Route */
/** @typedef {import("./types.js").Selection} Selection */
/** @typedef {import("./types.js").SliderSpan} SliderSpan */
/** @typedef {import("./types.js").TrendSpan} TrendSpan */

/** Speeds that the past is played at. */
export const SPEEDS = /** @type {const} */ ([1, 10, 60]);
export const REACHES = /** @type {const} */ (["15m", "1h", "6h", "24h", "all"]);
export const TRENDS = /** @type {const} */ (["hour", "day", "week"]);

/** An id longer than this is none; the longest that a node makes has 32 bytes. */
const ID_MAX = 64;

/** The node looks for no longer ids of traces. */
const TRACE_MAX = 128;

/** A question longer than this is none that a person typed; the node takes 64 KiB. */
const QUESTION_MAX = 16_384;

const FORMS = /** @type {const} */ (["series", "heatmap", "table", "log", "differ"]);

/** @type {Route} */
export const HOME = {
  page: "grid", view: null, selection: null, verdict: null, scope: null, list: "links", troubled: false,
  incident: null, at: null, play: 0, time: false, reach: "1h", trend: "hour", flow: null,
  question: null, form: null, pick: null, trace: null, span: null, live: false,
};

/** @param {string} pathname @param {string} search @returns {Route} */
export function readRoute(pathname, search) {
  const query = new URLSearchParams(search);
  const view = query.get("view");
  const list = query.get("list");
  const at = momentOf(query.get("at"));
  const speed = Number(query.get("play"));
  const page = pageOf(pathname);
  const named = page === "incidents" ? decoded(pathname.split("/")[2] ?? "") : query.get("incident");
  const flow = Number(query.get("flow") ?? NaN);
  const question = page === "explore" ? query.get("q") : null;
  return {
    page,
    view: view === "map" || view === "matrix" || view === "list" || view === "paths" ? view : null,
    selection: readSelection(query),
    verdict: query.get("verdict"),
    scope: pairOf(query, "scope_from", "scope_to"),
    list: list === "nodes" || list === "pairs" ? list : "links",
    troubled: query.has("troubled"),
    incident: named && named.length <= ID_MAX ? named : null,
    at,
    play: at === null ? 0 : SPEEDS.find((one) => one === speed) ?? 0,
    time: query.has("time"),
    reach: REACHES.find((one) => one === query.get("reach")) ?? HOME.reach,
    trend: TRENDS.find((one) => one === query.get("trend")) ?? HOME.trend,
    question: question && question.length <= QUESTION_MAX ? question : null,
    form: page === "explore" ? FORMS.find((one) => one === query.get("as")) ?? null : null,
    pick: page === "explore" && /^[rx]\d{1,9}$/.test(query.get("pick") ?? "") ? query.get("pick") : null,
    trace: page === "explore" ? traceOf(query.get("trace")) : null,
    span: page === "explore" && /^\d{1,5}$/.test(query.get("span") ?? "") ? Number(query.get("span")) : null,
    live: page === "explore" && query.has("live") && Boolean(question),
    flow: Number.isInteger(flow) && flow > 0 && flow < 65_536 ? flow : null,
  };
}

/** An id that a trace may have. @param {string|null} id */
function traceOf(id) {
  return id && id.length <= TRACE_MAX ? id : null;
}

/** @param {string} pathname @returns {Route["page"]} */
function pageOf(pathname) {
  const first = pathname.split("/")[1];
  return first === "board" || first === "login" || first === "incidents" || first === "explore" ? first : "grid";
}

/** @param {string} segment */
function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** @param {string|null} text RFC 3339 @returns {number|null} epoch ms */
function momentOf(text) {
  const at = text ? Date.parse(text) : NaN;
  return Number.isFinite(at) ? at : null;
}

/** @param {URLSearchParams} query @param {string} from @param {string} to @returns {[string,string]|null} */
function pairOf(query, from, to) {
  const a = query.get(from);
  const b = query.get(to);
  return a && b ? [a, b] : null;
}

/** @param {URLSearchParams} query @returns {Selection|null} */
function readSelection(query) {
  const link = pairOf(query, "from", "to");
  if (link) return { kind: "link", from: link[0], to: link[1] };
  const pair = pairOf(query, "site_from", "site_to");
  if (pair) return { kind: "pair", from: pair[0], to: pair[1] };
  const node = query.get("node");
  if (node) return { kind: "node", id: node };
  const site = query.get("site");
  return site ? { kind: "site", id: site } : null;
}

/** @param {Route} route */
export function writeRoute(route) {
  const query = new URLSearchParams();
  if (route.view) query.set("view", route.view);
  if (route.scope) {
    query.set("scope_from", route.scope[0]);
    query.set("scope_to", route.scope[1]);
  }
  if (route.list !== "links") query.set("list", route.list);
  if (route.troubled) query.set("troubled", "");
  const chosen = route.selection;
  if (chosen?.kind === "node") query.set("node", chosen.id);
  if (chosen?.kind === "site") query.set("site", chosen.id);
  if (chosen?.kind === "link") {
    query.set("from", chosen.from);
    query.set("to", chosen.to);
  }
  if (chosen?.kind === "pair") {
    query.set("site_from", chosen.from);
    query.set("site_to", chosen.to);
  }
  if (route.verdict) query.set("verdict", route.verdict);
  if (route.flow !== null) query.set("flow", String(route.flow));
  if (route.trend !== HOME.trend) query.set("trend", route.trend);
  if (route.at !== null) query.set("at", new Date(route.at).toISOString());
  if (route.at !== null && route.play) query.set("play", String(route.play));
  if (route.time) query.set("time", "");
  if (route.reach !== HOME.reach) query.set("reach", route.reach);
  if (route.page === "explore") {
    // Nothing of the grid: a question's address holds the question.
    const asked = new URLSearchParams();
    if (route.question) asked.set("q", route.question);
    if (route.form) asked.set("as", route.form);
    if (route.live && route.question) asked.set("live", "");
    if (route.pick) asked.set("pick", route.pick);
    if (route.trace) asked.set("trace", route.trace);
    if (route.trace && route.span !== null) asked.set("span", String(route.span));
    return withQuery("/explore", asked);
  }
  const path = route.page === "grid" ? "/" : `/${route.page}`;
  if (route.incident !== null) {
    if (route.page === "incidents") return withQuery(`/incidents/${encodeURIComponent(route.incident)}`, query);
    query.set("incident", route.incident);
  }
  return withQuery(path, query);
}

/** @param {string} path @param {URLSearchParams} query */
function withQuery(path, query) {
  const text = query.toString().replace(/(^|&)(troubled|time|live)=(?=&|$)/g, "$1$2").replaceAll("%3A", ":");
  return text ? `${path}?${text}` : path;
}

/** @param {Selection|null} a @param {Selection|null} b */
export function sameSelection(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
