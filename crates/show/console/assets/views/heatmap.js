// @ts-check
// Counts by moment and value. A box that is drawn becomes a condition and a stretch of time, or
// is held against the rest; the table below is the same for keyboard and screen reader.

import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { binEnd, heatmapOf, momentText, numberText, widthOf } from "../state/answer.js";
import { differing, fixed, keyText, rawOf, stretch, withTime, withWhere } from "../state/question.js";
import { cellAt, LEFT, paintHeatmap } from "../draw/heatmap.js";
import { readPalette } from "../draw/palette.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

/** @typedef {[number,number,number,number]} Box Columns from and to, bins from and to. */

/** Rows of the table twin: the fullest cells. */
const TWIN_MAX = 60;

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function HeatmapForm({ state, act, answer }) {
  const map = useMemo(() => heatmapOf(answer), [answer]);
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const [width, setWidth] = useState(0);
  const [drag, setDrag] = useState(/** @type {{from:[number,number], to:[number,number], down:boolean}|null} */ (null));
  const question = state.route.question ?? "";
  const label = (/** @type {number} */ at) => (map.timed ? momentText(map.labels[at], state.wall) : map.labels[at]);
  const held = state.explore.box;
  const box = drag?.down ? boxOf(drag.from, drag.to) : held ?? (drag ? boxOf(drag.from, drag.to) : null);
  useEffect(() => {
    const seen = new ResizeObserver(() => setWidth(canvas.current?.clientWidth ?? 0));
    if (canvas.current) seen.observe(canvas.current);
    return () => seen.disconnect();
  }, []);
  useEffect(() => {
    const to = canvas.current;
    if (to && to.clientWidth > 0) paintHeatmap(to, map, readPalette(), to.clientWidth, to.clientHeight, { say: numberText, label, box });
  }, [map, width, drag, held, state.theme]);

  const at = (/** @type {PointerEvent} */ event) => {
    const to = /** @type {HTMLCanvasElement} */ (canvas.current);
    return cellAt(map, to.clientWidth, to.clientHeight, event.offsetX, event.offsetY);
  };
  const key = keyText(map.key);
  const moments = map.timed ? map.labels.map((one) => Date.parse(one)) : [];
  const conditionsOf = (/** @type {Box} */ [, , low, high]) => [`${key} >= ${map.bins[low]}`, `${key} < ${binEnd(map.bins, high)}`];
  const spanOf = (/** @type {Box} */ [left, right]) => /** @type {[number, number]} */ ([moments[left], moments[right] + widthOf(moments)]);
  const narrowed = (/** @type {Box} */ of, /** @type {string} */ from) => {
    const valued = conditionsOf(of).reduce(withWhere, from);
    return map.timed ? withTime(valued, stretch(...spanOf(of))) : valued;
  };
  const narrow = (/** @type {Box} */ of) => act.ask(narrowed(of, question));
  const events = (/** @type {Box} */ of) => act.ask(narrowed(of, rawOf(question)));
  const differ = (/** @type {Box} */ of) => {
    const within = map.timed ? spanOf(of).map((at) => new Date(at).toISOString()) : null;
    // What is not in the box is compared with: all of the time that was asked about stays.
    act.ask(differing(fixed(question, state.explore.answer), conditionsOf(of).join(" and "), /** @type {[string, string]|null} */ (within)));
  };
  useEffect(() => {
    if (held) document.getElementById("box-differ")?.focus({ preventScroll: true });
  }, [held]);
  const down = (/** @type {PointerEvent} */ event) => {
    canvas.current?.setPointerCapture(event.pointerId);
    act.mark(null);
    setDrag({ from: at(event), to: at(event), down: true });
  };
  const move = (/** @type {PointerEvent} */ event) => setDrag(drag?.down ? { ...drag, to: at(event) } : event.offsetX < LEFT ? null : { from: at(event), to: at(event), down: false });
  const up = () => {
    const chosen = drag?.down ? boxOf(drag.from, drag.to) : null;
    setDrag(null);
    if (chosen) act.mark(chosen);
  };
  const count = box ? sumOf(map, box) : 0;
  const rows = useMemo(() => fullest(map), [map]);
  return html`<figure class="heat">
    <figcaption><h2>${map.name}</h2><span role="status">${box ? `${numberText(count)} from ${numberText(map.bins[box[2]])} to ${numberText(binEnd(map.bins, box[3]))}, ${label(box[0])}${box[1] > box[0] ? ` to ${label(box[1])}` : ""}` : `${map.bins.length} bins, ${numberText(map.most)} in the fullest`}</span></figcaption>
    <canvas ref=${canvas} role="img" aria-label=${`${map.name}: the table below says the same`} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${() => setDrag(null)} onPointerLeave=${() => !drag?.down && setDrag(null)}></canvas>
    ${held ? html`<div class="box-acts" role="group" aria-label="The box"><button class="button primary" id="box-differ" onClick=${() => differ(held)}>What is different about these?</button><button class="button" onClick=${() => narrow(held)}>Look closer</button><button class="button" onClick=${() => events(held)}>Show the events</button><button class="button" onClick=${() => act.mark(null)}>Leave it<kbd>Esc</kbd></button></div>`
      : html`<p class="fine hint">Draw a box, or click a cell: then look closer, or ask what is different about those events. Shades go by the logarithm of the count.</p>`}
    <details><summary>The fullest cells as a table</summary><div class="scroll"><table class="flow-rows"><thead><tr><th scope="col">${map.timed ? "From" : "Group"}</th><th scope="col" class="number">${map.key} from</th><th scope="col" class="number">up to</th><th scope="col" class="number">Count</th><th scope="col"><span class="twin">Look</span></th></tr></thead>
      <tbody>${rows.map(([column, bin, sum]) => html`<tr key=${`${column}.${bin}`}><td>${label(column)}</td><td class="number">${numberText(map.bins[bin])}</td><td class="number">${numberText(binEnd(map.bins, bin))}</td><td class="number">${numberText(sum)}</td><td><button class="link" onClick=${() => narrow([column, column, bin, bin])}>Look</button> <button class="link" onClick=${() => differ([column, column, bin, bin])}>Differ</button></td></tr>`)}</tbody></table></div></details>
  </figure>`;
}

/** Columns and bins between two corners. @param {[number,number]} a @param {[number,number]} b @returns {[number,number,number,number]} */
function boxOf(a, b) {
  return [Math.min(a[0], b[0]), Math.max(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[1], b[1])];
}

/** @param {import("../state/answer.js").Heatmap} map @param {[number,number,number,number]} box */
function sumOf(map, [left, right, low, high]) {
  let sum = 0;
  for (let column = left; column <= right; column += 1) for (let bin = low; bin <= high; bin += 1) sum += map.cells[column * map.bins.length + bin];
  return sum;
}

/** @param {import("../state/answer.js").Heatmap} map @returns {[number,number,number][]} */
function fullest(map) {
  return [...map.cells].map((sum, at) => /** @type {[number,number,number]} */ ([Math.floor(at / map.bins.length), at % map.bins.length, sum])).filter(([, , sum]) => sum > 0).sort((a, b) => b[2] - a[2]).slice(0, TWIN_MAX);
}
