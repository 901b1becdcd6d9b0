// @ts-check
// From an answer to what the page draws: which forms suit it, its series, its heatmap, its
// raw events. Pure; an answer is read as it came and never changed.

import { pageAt } from "./logs.js";
import { clock } from "./words.js";

/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {{name:string, groups:{words:string, keys:[string,unknown][], values:(number|null)[], curve:number}[], left:number}} Chart `left`: groups that are not drawn. */
/** @typedef {"series"|"heatmap"|"table"|"log"|"differ"} Form */

/** Curves of one chart: more are not told apart. */
export const CURVES_MAX = 8;

/** Charts on a page, one for each calculation. */
export const CHARTS_MAX = 6;

/** Moments of a chart that are filled in; with more, a gap is narrower than a pixel. */
const MOMENTS_MAX = 5_000;

/** Columns of an event that every one has and nobody reads along the way. */
const ORIGIN = new Set(["andon.node", "andon.site"]);

/** The forms that suit an answer, the best first. @param {Answer} answer @returns {Form[]} */
export function formsOf(answer) {
  const kinds = new Set(answer.columns.map((column) => column.kind));
  if (isDiffer(answer)) return ["differ", "table"];
  if (kinds.has("heatmap")) return kinds.has("number") && kinds.has("time") ? ["heatmap", "series", "table"] : ["heatmap", "table"];
  if (kinds.has("number")) return kinds.has("time") ? ["series", "table"] : ["table"];
  return ["log", "table"];
}

/** Columns of what sets events apart, as the node names them. */
const DIFFER = "key value inside outside difference";

/** Whether it tells what sets some events apart. @param {Answer} answer */
export const isDiffer = (answer) => answer.columns.map((column) => column.name).join(" ") === DIFFER;

/** What sets events apart, key by key, the largest difference first; shares are 0..100.
 * @param {Answer} answer @returns {{key:string, values:{value:unknown, inside:number, outside:number}[]}[]} */
export function differences(answer) {
  /** @type {Map<string, {value:unknown, inside:number, outside:number}[]>} */
  const keys = new Map();
  for (const [key, value, inside, outside] of answer.rows) {
    const values = keys.get(String(key)) ?? [];
    values.push({ value, inside: numberOf(inside) ?? 0, outside: numberOf(outside) ?? 0 });
    keys.set(String(key), values);
  }
  return [...keys].map(([key, values]) => ({ key, values }));
}

/** @param {Answer} answer @param {string} kind */
const places = (answer, kind) => answer.columns.flatMap((column, at) => (column.kind === kind ? [at] : []));

/** @param {unknown} cell */
const numberOf = (cell) => (typeof cell === "number" && Number.isFinite(cell) ? cell : null);

/** @param {unknown[]} row @param {number[]} at */
const groupWords = (row, at) => at.map((one) => cellText(row[one])).join(" · ");

/** One chart for each calculation: the moments, and a curve for each group, the largest first.
 * @param {Answer} answer @returns {{moments:number[], charts:Chart[]}} */
export function chartsOf(answer) {
  const [time] = places(answer, "time");
  const keys = places(answer, "key");
  const moments = withoutGaps([...new Set(answer.rows.map((row) => Date.parse(String(row[time]))))].filter(Number.isFinite).sort((a, b) => a - b));
  const index = new Map(moments.map((moment, at) => [moment, at]));
  /** @type {Map<string, unknown[][]>} */
  const groups = new Map();
  for (const row of answer.rows) {
    const words = groupWords(row, keys);
    const held = groups.get(words);
    if (held) held.push(row);
    else groups.set(words, [row]);
  }
  const charts = places(answer, "number").slice(0, CHARTS_MAX).map((column) => {
    const all = [...groups].map(([words, rows]) => {
      const values = /** @type {(number|null)[]} */ (new Array(moments.length).fill(null));
      for (const row of rows) values[index.get(Date.parse(String(row[time]))) ?? -1] = numberOf(row[column]);
      const size = values.reduce((sum, value) => (sum ?? 0) + Math.abs(value ?? 0), 0) ?? 0;
      return { words, size, values, keys: /** @type {[string, unknown][]} */ (keys.map((at) => [answer.columns[at].name, rows[0][at]])) };
    });
    // Each chart has the groups that are largest in it; a group has one colour in all of them.
    all.sort((a, b) => b.size - a.size || (a.words < b.words ? -1 : 1));
    return { name: answer.columns[column].name, groups: all.slice(0, CURVES_MAX).map(({ words, keys: named, values }) => ({ words, keys: named, values, curve: 0 })), left: Math.max(0, all.length - CURVES_MAX) };
  });
  // By name: the same groups have the same colours when they are asked for again.
  charts[0]?.groups.sort((a, b) => a.words.localeCompare(b.words, "en", { numeric: true }));
  for (const chart of charts) paint(chart.groups, charts[0].groups);
  return { moments, charts };
}

/** With the moments of which no row tells, so that a gap is drawn as one. @param {number[]} moments Sorted. */
function withoutGaps(moments) {
  const width = widthOf(moments);
  const [first, last] = [moments[0], moments[moments.length - 1]];
  const count = Math.round((last - first) / width) + 1;
  if (!(count > moments.length && count <= MOMENTS_MAX)) return moments;
  const even = Array.from({ length: count }, (_, at) => first + at * width);
  return [...new Set([...moments, ...even])].sort((a, b) => a - b);
}

/** Groups of the first chart keep their curve in the others; the rest take what is free.
 * @param {Chart["groups"]} groups @param {Chart["groups"]} first */
function paint(groups, first) {
  const places = new Map(first.map((group, at) => [group.words, at]));
  const taken = new Set(groups.flatMap((group) => places.get(group.words) ?? []));
  const free = Array.from({ length: CURVES_MAX }, (_, at) => at).filter((at) => !taken.has(at));
  for (const group of groups) group.curve = places.get(group.words) ?? free.shift() ?? 0;
  groups.sort((a, b) => a.curve - b.curve);
}

/**
 * Counts by moment and value: `cells[moment * bins.length + bin]`. Without time, the first
 * column stands for the moment.
 * @param {Answer} answer
 */
export function heatmapOf(answer) {
  const [column] = places(answer, "heatmap");
  const [time] = places(answer, "time");
  const keys = places(answer, "key");
  const label = (/** @type {unknown[]} */ row) => (time === undefined ? groupWords(row, keys) : String(row[time]));
  const labels = [...new Set(answer.rows.map(label))];
  if (time !== undefined) labels.sort();
  const binsOf = (/** @type {unknown[]} */ row) => /** @type {[number, number][]} */ (Array.isArray(row[column]) ? row[column] : []);
  const bins = [...new Set(answer.rows.flatMap((row) => binsOf(row).map(([low]) => low)))].sort((a, b) => a - b);
  const place = new Map(bins.map((low, at) => [low, at]));
  const line = new Map(labels.map((one, at) => [one, at]));
  const cells = new Float64Array(labels.length * bins.length);
  for (const row of answer.rows) {
    for (const [low, count] of binsOf(row)) cells[(line.get(label(row)) ?? 0) * bins.length + (place.get(low) ?? 0)] += count;
  }
  const name = answer.columns[column]?.name ?? "";
  return { name, key: name.replace(/^heatmap\((.*)\)$/s, "$1"), timed: time !== undefined, labels, bins, cells, most: cells.reduce((most, count) => Math.max(most, count), 0) };
}

/** @typedef {ReturnType<typeof heatmapOf>} Heatmap */

/** Where a bin ends: where the next would begin, by the widths of those around it. @param {number[]} bins @param {number} at */
export function binEnd(bins, at) {
  if (at + 1 < bins.length) return bins[at + 1];
  const ratio = at > 0 && bins[at - 1] > 0 ? bins[at] / bins[at - 1] : 1.25;
  return bins[at] > 0 ? bins[at] * ratio : bins[at] + 1;
}

/** Milliseconds from one moment to the next, the smallest that is seen. @param {number[]} moments */
export function widthOf(moments) {
  let width = Infinity;
  for (let at = 1; at < moments.length; at += 1) width = Math.min(width, moments[at] - moments[at - 1]);
  return Number.isFinite(width) && width > 0 ? width : 60_000;
}

/** What tells one event from the next, said first where there is no message. */
export const TELLING = ["duration_ms", "status", "name", "endpoint", "value", "service.name", "host.name"];

/** @param {[string, unknown][]} entries */
function restOf(entries) {
  const place = (/** @type {string} */ name) => (TELLING.includes(name) ? TELLING.indexOf(name) : TELLING.length);
  const told = entries.filter(([name, cell]) => cell !== null && cell !== undefined && !ORIGIN.has(name));
  told.sort((one, other) => place(one[0]) - place(other[0]));
  return told.map(([name, cell]) => `${name}=${cellText(cell)}`).join("  ");
}

/** One raw event as a line: when, how bad, what it says, and the rest as `key=value`.
 * @param {Answer} answer @param {unknown[]} row */
export function lineOf(answer, row) {
  let [at, severity, body] = ["", "", ""];
  /** @type {[string, unknown][]} */
  const rest = [];
  answer.columns.forEach((column, place) => {
    const cell = row[place];
    if (cell === null || cell === undefined) return;
    if (column.kind === "time") at = String(cell);
    else if (column.name === "severity_text") severity = String(cell);
    else if (column.name === "body") body = String(cell);
    else rest.push([column.name, cell]);
  });
  return { at, severity, body, rest: restOf(rest), tone: severityTone(severity) };
}

/** One event as it came over a live tail, as a line. @param {Record<string, unknown>} record */
export function recordLine(record) {
  const { ts, severity_text: severity = "", body = "", ...rest } = record;
  return { at: String(ts), severity: String(severity), body: String(body), rest: restOf(Object.entries(rest)), tone: severityTone(String(severity)) };
}

/** @param {string} severity @returns {import("./types.js").Tone} */
export function severityTone(severity) {
  const word = severity.toLowerCase();
  if (/^(err|fatal|crit|alert|emerg|panic)/.test(word)) return "bad";
  return word.startsWith("warn") ? "warn" : "mute";
}

/** @param {unknown} cell */
export function cellText(cell) {
  if (cell === null || cell === undefined) return "–";
  if (typeof cell === "number") return numberText(cell);
  return typeof cell === "object" ? JSON.stringify(cell) : String(cell);
}

/** A number as people read it: five digits that matter. @param {number} value */
export function numberText(value) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return value.toLocaleString("en", { maximumSignificantDigits: size < 0.01 ? 2 : 4 });
}

/** A moment of an answer: time of day, with the day where it is another one. @param {string} text RFC 3339 @param {number} now epoch ms */
export function momentText(text, now) {
  return clock(Date.parse(text), now);
}

/** What it cost, in words. @param {Answer} answer */
export function costWords({ rows, stats }) {
  const bytes = stats.bytes_scanned;
  const size = bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
  const elapsed = stats.elapsed_ms < 10 ? stats.elapsed_ms.toFixed(1) : Math.round(stats.elapsed_ms).toLocaleString("en");
  return `${rows.length.toLocaleString("en")} ${rows.length === 1 ? "row" : "rows"} from ${stats.rows_scanned.toLocaleString("en")} events (${size}) in ${elapsed} ms`;
}

/** A line of a log: from the answer itself, or from a page of it. @param {Answer} answer @param {import("./types.js").Log|null} log @param {number} at
 * @returns {{answer:Answer, row:unknown[]}|null} */
export function rowAt(answer, log, at) {
  const row = answer.rows[at];
  if (row) return { answer, row };
  const page = log?.stretches ? pageAt(log.stretches, at) : null;
  const held = page ? log?.pages.get(page.name) : undefined;
  const found = held?.rows[at - (page?.first ?? 0)];
  return held && found ? { answer: held, row: found } : null;
}

/** What the side panel is about: `r12` a row, `x0` an exemplar. @param {Answer} answer @param {string|null} pick @param {import("./types.js").Log|null} [log]
 * @returns {{title:string, at:string, entries:[string,unknown][]}|null} */
export function picked(answer, pick, log = null) {
  const at = Number(pick?.slice(1));
  const exemplar = pick?.startsWith("x") ? answer.exemplars?.[at] : undefined;
  if (exemplar) return { title: exemplar.why, at: String(exemplar.at), entries: Object.entries(exemplar.attributes) };
  const found = pick?.startsWith("r") ? rowAt(answer, log, at) : null;
  if (!found) return null;
  const { row, answer: { columns } } = found;
  const time = columns.findIndex((column) => column.kind === "time");
  const entries = columns.flatMap((column, place) => (column.kind === "time" || row[place] === null ? [] : [/** @type {[string, unknown]} */ ([column.name, row[place]])]));
  return { title: "event", at: time < 0 ? "" : String(row[time]), entries };
}

/** Rows of a long list that are in sight, and a few around.
 * @param {number} count @param {number} height Pixels of a row. @param {number} top Pixels scrolled. @param {number} room Pixels in sight. */
export function windowOf(count, height, top, room) {
  const from = Math.max(0, Math.min(count, Math.floor(top / height) - 8));
  const to = Math.min(count, Math.ceil((top + room) / height) + 8);
  return { from, to: Math.max(from, to), before: from * height, after: Math.max(0, count - to) * height };
}
