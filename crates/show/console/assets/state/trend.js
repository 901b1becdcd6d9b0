// @ts-check
// A link's history as series: one value a column of the drawing, gaps where nothing was kept.

import { epoch } from "./picture.js";
import { linkWords, loss, NOT_MEASURED, rtt, span, STATES, WEIGHT, NOT_PROBED } from "./words.js";

/** @typedef {import("./types.js").TrendSpan} TrendSpan */

export const TREND_MS = /** @type {Record<TrendSpan, number>} */ ({ hour: 3_600_000, day: 86_400_000, week: 604_800_000 });

/** Columns at most: a week has ten thousand minutes and the panel three hundred pixels. */
const COLUMNS_MAX = 240;

/** Rows of the table twin. */
const ROWS = 24;

/** @typedef {{at:number, state:number, rtt:number|null, high:number|null, there:number|null, back:number|null, seen:boolean}} Column `state`: the weightiest within. */
/** @typedef {{columns:Column[], from:number, until:number, words:string, rows:Column[], known:number}} Trend */

/** @param {any} value @returns {number|null} */
function figure(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {any} data @param {TrendSpan} reach @param {number} until @returns {Trend} */
export function trendOf(data, reach, until) {
  const from = until - TREND_MS[reach];
  const stepMs = Math.max(1000, (figure(data?.step_s) ?? 60) * 1000);
  const count = Math.max(1, Math.min(COLUMNS_MAX, Math.round(TREND_MS[reach] / stepMs)));
  const points = (Array.isArray(data?.points) ? data.points : []);
  const columns = folded(points, from, until, count);
  return { columns, from, until, known: columns.filter((one) => one.seen).length, words: trendWords(columns, until - from), rows: folded(points, from, until, ROWS) };
}

/** @param {any[]} points @param {number} from @param {number} until @param {number} count @returns {Column[]} */
function folded(points, from, until, count) {
  const wide = (until - from) / count;
  /** @type {Column[]} */
  const columns = Array.from({ length: count }, (_, at) => ({ at: from + at * wide, state: NOT_PROBED, rtt: null, high: null, there: null, back: null, seen: false }));
  /** @type {number[][]} */
  const medians = columns.map(() => []);
  for (const point of points) {
    const place = Math.floor((epoch(point?.at) - from) / wide);
    const column = columns[place];
    if (!column) continue;
    column.seen = true;
    const state = STATES.indexOf(point.state);
    if (state >= 0 && WEIGHT[state] > WEIGHT[column.state]) column.state = state;
    const [p50, p99] = [figure(point.rtt_us_p50), figure(point.rtt_us_p99)];
    if (p50 !== null) medians[place].push(p50);
    column.high = most(column.high, p99);
    column.there = most(column.there, figure(point.loss_forward));
    column.back = most(column.back, figure(point.loss_return));
  }
  columns.forEach((column, at) => {
    const sorted = medians[at].sort((a, b) => a - b);
    column.rtt = sorted[sorted.length >> 1] ?? null;
  });
  return columns;
}

/** @param {number|null} a @param {number|null} b */
function most(a, b) {
  return a === null ? b : b === null ? a : Math.max(a, b);
}

/** @param {Column[]} columns @param {number} wholeMs */
function trendWords(columns, wholeMs) {
  const seen = columns.filter((one) => one.seen);
  if (seen.length === 0) return "nothing was kept of this stretch";
  const times = seen.flatMap((one) => (one.rtt === null ? [] : [one.rtt]));
  const lost = Math.max(0, ...seen.map((one) => Math.max(one.there ?? 0, one.back ?? 0)));
  const each = wholeMs / columns.length;
  const ill = ["down", "partial", "degraded"].flatMap((state) => {
    const held = seen.filter((one) => STATES[one.state] === state).length;
    return held === 0 ? [] : [`${linkWords(state).text} for about ${span(held * each)}`];
  });
  const range = times.length === 0 ? NOT_MEASURED : `${rtt(Math.min(...times))} to ${rtt(Math.max(...times))}`;
  return [`round trip ${range}`, `loss ${lost === 0 ? "none" : `up to ${loss(lost)}`}`, ...ill].join("; ");
}
