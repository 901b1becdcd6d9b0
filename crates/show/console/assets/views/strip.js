// @ts-check
// How many events there are by time, above a log: where the page stands in it, a click goes
// there, a stretch that is drawn over becomes the question's time.

import { html, useRef, useState } from "../ui.js";
import { numberText } from "../state/answer.js";
import { clock } from "../state/words.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../state/types.js").Log} Log */

/** Units of the drawing's width and height. */
const [WIDE, HIGH] = [1000, 40];

/** Share of the width that has to be drawn over to mean a stretch rather than a click. */
const DRAWN_MIN = 0.008;

/** @param {{state:State, log:Log, answer:Answer, seen:[number, number], go:(at:number) => void, choose:(from:number, to:number) => void}} props */
export function Strip({ state, log, answer, seen, go, choose }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [over, setOver] = useState(/** @type {{from:number, to:number, down:boolean}|null} */ (null));
  const [from, to] = [Date.parse(String(answer.from)), Date.parse(String(answer.to))];
  const place = (/** @type {number} */ at) => ((at - from) / Math.max(1, to - from)) * WIDE;
  const most = log.strip.reduce((top, one) => Math.max(top, one.count), 1);
  const momentOf = (/** @type {PointerEvent} */ event) => {
    const { left, width } = /** @type {HTMLElement} */ (box.current).getBoundingClientRect();
    return from + Math.max(0, Math.min(1, (event.clientX - left) / width)) * (to - from);
  };
  const up = () => {
    if (!over?.down) return;
    const [begin, end] = [Math.min(over.from, over.to), Math.max(over.from, over.to)];
    setOver(null);
    if (end - begin > DRAWN_MIN * (to - from)) choose(begin, end);
    else go(over.to);
  };
  const pointed = over && log.strip.find((one) => one.from <= over.to && over.to < one.to);
  const total = log.total === null ? "counting …" : `${numberText(log.total)} events`;
  const words = over?.down && Math.abs(over.to - over.from) > DRAWN_MIN * (to - from) ? `${clock(Math.min(over.from, over.to), state.wall)} to ${clock(Math.max(over.from, over.to), state.wall)}`
    : over ? `${clock(over.to, state.wall)}: ${numberText(pointed?.count ?? 0)}` : log.total === null ? total : `${total}${log.partial ? " at least" : ""}, ${numberText(seen[0] + 1)} to ${numberText(seen[1])} in sight`;
  const sighted = log.stretches ? [momentAtLine(log, seen[1]), momentAtLine(log, seen[0])] : null;
  return html`<div class="strip"><p role="status">${words}</p>
    <svg ref=${box} viewBox=${`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label=${`Events by time: ${total}`}
      onPointerDown=${(/** @type {PointerEvent} */ event) => { /** @type {any} */ (event.currentTarget).setPointerCapture(event.pointerId); setOver({ from: momentOf(event), to: momentOf(event), down: true }); }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => setOver(over?.down ? { ...over, to: momentOf(event) } : { from: 0, to: momentOf(event), down: false })}
      onPointerUp=${up} onPointerCancel=${() => setOver(null)} onPointerLeave=${() => !over?.down && setOver(null)}>
      ${log.strip.map((one) => html`<rect key=${one.from} x=${place(one.from)} width=${Math.max(1, place(one.to) - place(one.from) - 0.8)} y=${HIGH - Math.max(1.5, (one.count / most) * HIGH)} height=${Math.max(1.5, (one.count / most) * HIGH)} class="count" />`)}
      ${over?.down && html`<rect class="drawn" x=${place(Math.min(over.from, over.to))} width=${Math.abs(place(over.to) - place(over.from))} y="0" height=${HIGH} />`}
      ${sighted && html`<rect class="sight" x=${Math.max(0, Math.min(WIDE - 3, place(sighted[0])))} width=${Math.max(3, place(sighted[1]) - place(sighted[0]))} y="0" height=${HIGH} />`}
    </svg></div>`;
}

/** About when the event of a line happened. @param {Log} log @param {number} line */
function momentAtLine(log, line) {
  const stretches = log.stretches ?? [];
  const one = stretches.find((stretch) => line < stretch.start + stretch.count) ?? stretches[stretches.length - 1];
  if (!one) return NaN;
  return one.to - ((line - one.start) / Math.max(1, one.count)) * (one.to - one.from);
}
