// @ts-check
// The past as a strip of time: which stretch it spans, what happened on it, and which moment
// comes next. Pure; `replay.js` asks the node and keeps the time.

import { endsOf, epoch } from "./picture.js";
import { counted, isFault, linkWords, nodeWords, span, verdictWords } from "./words.js";

/** @typedef {import("./types.js").Moment} Moment */
/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {import("./types.js").Shape} Shape */
/** @typedef {import("./types.js").SliderSpan} SliderSpan */
/** @typedef {{from:number, until:number}} Stretch */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** @type {Record<SliderSpan, number>} */
const REACH_MS = { "15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, all: Infinity };

export const REACH_WORDS = /** @type {Record<SliderSpan, string>} */ ({
  "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", all: "all",
});

/** Changes kept of one stretch. More is a grey strip; a shorter stretch tells them apart. */
export const MOMENTS_MAX = 2000;

/** Milliseconds within which changes are one moment: a fault reaches its links one by one. */
export const MOMENT_MS = 1500;

/** Places on the strip; changes on the same place are one mark. */
const PLACES = 240;

/** @type {Record<string, {weight:number, tone:Tone, shape:Shape}>} */
const KINDS = {
  incident: { weight: 4, tone: "bad", shape: "square" },
  verdict_opened: { weight: 3, tone: "bad", shape: "cross" },
  verdict_cleared: { weight: 2, tone: "good", shape: "disc" },
  node_state: { weight: 1, tone: "mute", shape: "ring" },
  link_state: { weight: 0, tone: "mute", shape: "dotted" },
  remark: { weight: 0, tone: "mute", shape: "ring" },
};

/** @param {any} sent @returns {Moment[]} Oldest first. */
export function readMoments(sent) {
  const list = Array.isArray(sent) ? sent : Array.isArray(sent?.changes) ? sent.changes : [];
  const moments = list.map(readMoment).filter((/** @type {Moment} */ one) => Number.isFinite(one.at)).sort((/** @type {Moment} */ a, /** @type {Moment} */ b) => a.at - b.at);
  return withoutRephrased(moments).slice(-MOMENTS_MAX);
}

/** An incident whose figures wander says itself anew; news is only that it changed its state.
 * @param {Moment[]} moments */
function withoutRephrased(moments) {
  /** @type {Map<string, string|null>} */
  const states = new Map();
  return moments.filter((one) => {
    if (one.kind !== "incident") return true;
    const same = states.has(one.subject) && states.get(one.subject) === one.state;
    states.set(one.subject, one.state);
    return !same;
  });
}

/** @param {any} change @returns {Moment} */
function readMoment(change) {
  const kind = String(change?.kind ?? "");
  const state = typeof change?.state === "string" ? change.state : null;
  const remark = kind.startsWith("verdict_") && state !== null && !isFault(state);
  const known = KINDS[remark ? "remark" : kind] ?? KINDS.remark;
  const words = kind === "link_state" && state ? linkWords(state) : kind === "node_state" && state ? nodeWords(state)
    : kind === "verdict_opened" && state ? verdictWords(state) : known;
  const over = kind === "incident" && (state === "resolved" || state === "mitigated");
  const subject = String(change?.subject ?? "");
  const [from, to] = change?.from && change?.to ? [String(change.from), String(change.to)] : (endsOf(subject) ?? ["", ""]);
  return {
    at: epoch(change?.at), kind, subject, state, text: String(change?.text ?? subject), weight: known.weight,
    tone: over ? "good" : words.tone, shape: over ? "disc" : words.shape,
    selection: from && to ? { kind: "link", from, to } : kind === "node_state" ? { kind: "node", id: subject } : null,
  };
}

/** Milliseconds after the first record at which there surely is a picture. */
const FIRST_MS = 1_000;

/** @param {any} sent @returns {Stretch} Empty where nothing is kept. */
export function readSpan(sent) {
  const [from, until] = [epoch(sent?.from) + FIRST_MS, epoch(sent?.until)];
  return from < until ? { from, until } : { from: NaN, until: NaN };
}

/**
 * The stretch that the strip shows: the newest where the moment lies in it, else one around
 * the moment that stays while the moment moves within its middle half.
 * @param {SliderSpan} reach @param {number|null} at @param {number} now @param {Stretch|null} kept @returns {Stretch}
 */
export function stretchOf(reach, at, now, kept) {
  const oldest = kept && Number.isFinite(kept.from) ? kept.from : now - HOUR;
  const whole = Math.max(5 * MINUTE, now - oldest);
  const wide = Math.min(REACH_MS[reach], whole);
  if (at === null || at >= now - wide) return { from: now - wide, until: now };
  const half = wide / 2;
  const from = Math.max(oldest, (Math.floor((at - wide / 4) / half)) * half);
  return { from, until: Math.min(now, from + wide) };
}

/** Where a moment stands on the strip, 0..1. @param {Stretch} stretch @param {number} at */
export function placeOf(stretch, at) {
  return Math.max(0, Math.min(1, (at - stretch.from) / (stretch.until - stretch.from || 1)));
}

/** @param {Stretch} stretch @param {number} place 0..1 */
export function momentAt(stretch, place) {
  return stretch.from + Math.max(0, Math.min(1, place)) * (stretch.until - stretch.from);
}

/** @typedef {{place:number, tone:Tone, shape:Shape, weight:number, count:number, at:number, text:string}} Mark */

/** What happened, as marks: on each place the weightiest, and how many there are. @param {Moment[]} moments @param {Stretch} stretch @returns {Mark[]} */
export function marksOf(moments, stretch) {
  /** @type {Map<number, Mark>} */
  const marks = new Map();
  for (const one of moments) {
    if (one.at < stretch.from || one.at > stretch.until) continue;
    const slot = Math.floor(placeOf(stretch, one.at) * PLACES);
    const mark = marks.get(slot);
    if (!mark) marks.set(slot, { place: placeOf(stretch, one.at), tone: one.tone, shape: one.shape, weight: one.weight, count: 1, at: one.at, text: one.text });
    else {
      mark.count += 1;
      if (one.weight > mark.weight) Object.assign(mark, { tone: one.tone, shape: one.shape, weight: one.weight, text: one.text, at: one.at, place: placeOf(stretch, one.at) });
    }
  }
  return [...marks.values()];
}

/** Stretches in which an incident was on. @param {import("./types.js").Incident[]|null} incidents @param {Stretch} stretch @param {number} now */
export function bandsOf(incidents, stretch, now) {
  return (incidents ?? []).map((incident) => ({
    id: incident.id, title: incident.title, severity: incident.severity,
    from: epoch(incident.opened_at), until: incident.resolved_at ? epoch(incident.resolved_at) : now,
  })).filter((band) => band.until >= stretch.from && band.from <= stretch.until).map((band) => ({
    ...band, left: placeOf(stretch, band.from), right: placeOf(stretch, band.until),
  }));
}

/** Moments worth a stop: changes close together are one, told by the weightiest of them. @param {Moment[]} moments @returns {{at:number, until:number, text:string, count:number, weight:number}[]} */
export function stops(moments) {
  /** @type {{at:number, until:number, text:string, count:number, weight:number}[]} */
  const found = [];
  for (const one of moments) {
    const last = found.at(-1);
    if (last && one.at - last.until <= MOMENT_MS) {
      last.until = one.at;
      last.count += 1;
      if (one.weight > last.weight) Object.assign(last, { weight: one.weight, text: one.text });
    } else {
      found.push({ at: one.at, until: one.at, text: one.text, count: 1, weight: one.weight });
    }
  }
  return found;
}

/**
 * The change before or after a moment; its own end, so that the picture there has all of it.
 * @param {Moment[]} moments @param {number} at @param {1|-1} by @returns {number|null}
 */
export function changeFrom(moments, at, by) {
  const ends = stops(moments).map((stop) => stop.until);
  const found = by > 0 ? ends.find((end) => end > at + 1) : ends.findLast((end) => end < at - 1);
  return found ?? null;
}

/**
 * Where playing stands after some time: at most at the next change, so that none is skipped.
 * @param {number} at @param {number} elapsedMs @param {number} speed @param {Moment[]} moments @param {number} now
 */
export function played(at, elapsedMs, speed, moments, now) {
  const wanted = at + elapsedMs * speed;
  const next = changeFrom(moments, at, 1);
  return Math.min(now, next !== null && next < wanted ? next : wanted);
}

/** Lines of the time axis. @param {Stretch} stretch @param {number} most How many fit. */
export function ticksOf(stretch, most) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10_080, 20_160].map((minutes) => minutes * MINUTE);
  const step = steps.find((one) => (stretch.until - stretch.from) / one <= most) ?? steps[steps.length - 1];
  const zone = new Date(stretch.from).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((stretch.from - zone) / step) * step + zone;
  const ticks = [];
  for (let at = first; at <= stretch.until && ticks.length <= most + 1; at += step) {
    const time = new Date(at);
    const midnight = time.getHours() === 0 && time.getMinutes() === 0;
    const text = step >= 1440 * MINUTE || midnight
      ? time.toLocaleDateString("en", { day: "numeric", month: "short" })
      : time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    ticks.push({ at, place: placeOf(stretch, at), text });
  }
  return ticks;
}

/** Links that change alike at one moment up to which each is named. */
const NAMED_MAX = 2;

/** The last changes up to a moment, as the list beside the map shows them, newest first. Many
 * links that change alike are one line. @param {Moment[]} moments @param {number} at @param {number} most @returns {import("./types.js").Change[]} */
export function changesUpTo(moments, at, most) {
  /** @type {Map<string, Moment[]>} */
  const alike = new Map();
  let [group, last] = [0, -Infinity];
  for (const one of moments) {
    if (one.at > at + 1) break;
    if (one.at - last > MOMENT_MS) group += 1;
    last = one.at;
    const key = one.kind === "link_state" ? `${group} ${one.state}` : `${group} ${alike.size}`;
    const list = alike.get(key);
    if (list) list.push(one);
    else alike.set(key, [one]);
  }
  const lines = [...alike.values()].flatMap((list) => (list.length > NAMED_MAX ? [together(list)] : list));
  return lines.sort((a, b) => a.at - b.at).slice(-most).reverse().map((one) => ({
    at: one.at, key: null, weight: one.weight, topics: [], within: [], tone: one.tone, shape: one.shape, text: one.text, selection: one.selection,
  }));
}

/** @param {Moment[]} links @returns {Moment} */
function together(links) {
  return { ...links[0], text: `${counted(links.length, "link")} are ${linkWords(links[0].state ?? "").text}`, selection: null };
}

/** How the strip is said. @param {Moment[]} moments @param {Stretch} stretch */
export function stripWords(moments, stretch) {
  const within = moments.filter((one) => one.at >= stretch.from && one.at <= stretch.until).length;
  return `${within === 0 ? "nothing changed" : counted(within, "change")} in ${span(stretch.until - stretch.from)}`;
}

/** How long ago. @param {number} at @param {number} now */
export function ago(at, now) {
  return now - at < 1500 ? "just now" : `${span(now - at)} ago`;
}
