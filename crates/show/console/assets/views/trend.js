// @ts-check
// A link's history as it was kept, below what is measured live.

import { html, useEffect, useRef } from "../ui.js";
import { trendOf } from "../state/trend.js";
import { TRENDS } from "../state/route.js";
import { linkWords, loss, moment, rttShort, STATES } from "../state/words.js";
import { paintTrend } from "../draw/trend.js";
import { readPalette } from "../draw/palette.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../main.js").Actions} Actions */

const NAMES = /** @type {const} */ ({ hour: "Hour", day: "Day", week: "Week" });

/** @param {{state:State, act:Actions, from:string, to:string}} props */
export function LinkTrend({ state, act, from, to }) {
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const known = state.trend?.from === from && state.trend.to === to ? state.trend : null;
  const trend = known?.data ? trendOf(known.data, known.span, known.until) : null;
  useEffect(() => {
    if (canvas.current && trend) paintTrend(canvas.current, trend.columns, readPalette(), canvas.current.clientWidth, canvas.current.clientHeight);
  }, [known, state.theme]);
  return html`<div class="trend">
    <h3>History<span class="segments" role="group" aria-label="How much of the history">${TRENDS.map((span) => html`<button aria-pressed=${state.route.trend === span} onClick=${() => act.go({ trend: span })}>${NAMES[span]}</button>`)}</span></h3>
    ${!known ? html`<div class="skeleton strip" aria-busy="true"></div>`
      : known.problem ? html`<p class="nothing">No history to show: ${known.problem}.</p>`
      : trend && trend.known === 0 ? html`<p class="nothing">Nothing was kept of this link in this stretch.</p>`
      : trend && html`<figure class="history"><canvas ref=${canvas} role="img" aria-label=${`The last ${known.span}: ${trend.words}`}></canvas>
        <figcaption><span>${moment(trend.from)}</span><span>${state.route.at === null ? "now" : moment(trend.until)}</span></figcaption>
        <p class="fine">${trend.words}</p></figure>
        <details><summary>As a table</summary><div class="scroll"><table class="flow-rows"><thead><tr><th scope="col">From</th><th scope="col">State</th><th scope="col" class="number">RTT</th><th scope="col" class="number">Loss there</th><th scope="col" class="number">Back</th></tr></thead>
          <tbody>${trend.rows.filter((row) => row.seen).reverse().map((row) => html`<tr key=${row.at}><td>${moment(row.at)}</td><td><span class=${`state ${linkWords(STATES[row.state]).tone}`}><${Glyph} ...${linkWords(STATES[row.state])} />${linkWords(STATES[row.state]).text}</span></td>
            <td class="number">${rttShort(row.rtt)}</td><td class="number">${short(row.there)}</td><td class="number">${short(row.back)}</td></tr>`)}</tbody></table></div></details>`}
  </div>`;
}

/** @param {number|null} share */
function short(share) {
  return share === null ? "–" : loss(share);
}
