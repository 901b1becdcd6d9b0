// @ts-check
// From a trace as the node tells it to the rows of a waterfall. Pure.

/** @typedef {{depth:number, offset_us:number, duration_us:number, own_us:number, name:string, service:string, failed:boolean, place:"root"|"child"|"orphan"|"loop", at:string, attributes:Record<string, unknown>}} Span */
/** @typedef {{start:string, duration_us:number, spans:Span[], left_out:number, partial:boolean, notes:string[]}} Trace */
/** @typedef {{at:number, span:Span, parent:boolean, folded:boolean}} Row `at`: place in the trace; `parent`: it has spans below it. */
/** @typedef {{name:string, curve:number, shape:import("./types.js").Shape, spans:number, own_us:number}} Service */

/** Shapes that tell services apart without colour. @type {import("./types.js").Shape[]} */
const SHAPES = ["square", "ring", "half", "dashed", "dotted", "triangle"];

/** Services with a colour of their own. */
const CURVES = 8;

/** The spans that are shown: those below a folded one are not. @param {Trace} trace @param {ReadonlySet<number>} folded @returns {Row[]} */
export function rowsOf(trace, folded) {
  /** @type {Row[]} */
  const rows = [];
  let hidden = Infinity;
  trace.spans.forEach((span, at) => {
    if (span.depth > hidden) return;
    hidden = Infinity;
    const parent = (trace.spans[at + 1]?.depth ?? 0) > span.depth;
    const isFolded = parent && folded.has(at);
    if (isFolded) hidden = span.depth;
    rows.push({ at, span, parent, folded: isFolded });
  });
  return rows;
}

/** Who takes part, and how long by themselves; who takes longest first. @param {Trace} trace @returns {Service[]} */
export function servicesOf(trace) {
  /** @type {Map<string, {spans:number, own_us:number}>} */
  const sums = new Map();
  for (const span of trace.spans) {
    const sum = sums.get(span.service) ?? { spans: 0, own_us: 0 };
    sums.set(span.service, { spans: sum.spans + 1, own_us: sum.own_us + span.own_us });
  }
  const all = [...sums].sort((a, b) => b[1].own_us - a[1].own_us || (a[0] < b[0] ? -1 : 1));
  return all.map(([name, sum], at) => ({ name, curve: (at % CURVES) + 1, shape: SHAPES[at % SHAPES.length], ...sum }));
}

/** Where a bar stands, in percent of the whole. @param {Trace} trace @param {Span} span */
export function barOf(trace, span) {
  const whole = Math.max(1, trace.duration_us);
  const left = Math.min(100, (span.offset_us / whole) * 100);
  return { left, width: Math.min(100 - left, (span.duration_us / whole) * 100) };
}

/** @param {number} us */
export function durationText(us) {
  if (us === 0) return "0";
  if (us < 1000) return `${us} µs`;
  if (us < 1_000_000) return `${(us / 1000).toLocaleString("en", { maximumSignificantDigits: 3 })} ms`;
  return `${(us / 1_000_000).toLocaleString("en", { maximumSignificantDigits: 4 })} s`;
}

/** One span in a sentence, for who does not see the bars. @param {Trace} trace @param {Span} span */
export function spanWords(trace, span) {
  const begins = span.offset_us === 0 ? "at the start" : `after ${durationText(span.offset_us)}`;
  return `${span.service ? `${span.service}: ` : ""}${span.name}, ${durationText(span.duration_us)}, ${begins}${span.failed ? ", failed" : ""}${span.place === "orphan" ? ", its parent is missing" : ""}`;
}

/** The row to go to by a key. @param {Row[]} rows @param {number|null} chosen Place in the trace. @param {string} key */
export function stepTo(rows, chosen, key) {
  const at = rows.findIndex((row) => row.at === chosen);
  const last = rows.length - 1;
  if (key === "Home") return rows[0]?.at ?? null;
  if (key === "End") return rows[last]?.at ?? null;
  if (key === "parent") {
    for (let above = at - 1; above >= 0; above -= 1) if (rows[above].span.depth < rows[at].span.depth) return rows[above].at;
    return chosen;
  }
  const by = key === "ArrowDown" || key === "j" ? 1 : -1;
  return rows[at < 0 ? 0 : Math.max(0, Math.min(last, at + by))]?.at ?? null;
}
