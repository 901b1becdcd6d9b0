// @ts-check
// Curves over time, one chart for each calculation. A stretch that is drawn over becomes the
// question's time; a name in the legend narrows to that group.

import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { cellText, chartsOf, numberText, widthOf } from "../state/answer.js";
import { ladderOf, peeled } from "../state/ladder.js";
import { datasetOf, stretch, withTime } from "../state/question.js";
import { clock } from "../state/words.js";
import { dashOf, drawSeries } from "../draw/series.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../state/answer.js").Chart} Chart */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Series({ state, act, answer }) {
  const { moments, charts } = useMemo(() => chartsOf(answer), [answer]);
  return html`<div class="charts">${charts.map((chart) => html`<${One} key=${chart.name} state=${state} act=${act} moments=${moments} chart=${chart} />`)}
    <p class="fine hint">Draw over a stretch to look at it alone; a name in the legend keeps that one. The same numbers stand in the table.</p></div>`;
}

/** @param {{state:State, act:Actions, moments:number[], chart:Chart}} props */
function One({ state, act, moments, chart }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [at, setAt] = useState(/** @type {number|null} */ (null));
  const question = state.route.question ?? "";
  useEffect(() => {
    if (!box.current) return undefined;
    setAt(null);
    return drawSeries(box.current, moments, chart, {
      say: numberText,
      hover: setAt,
      choose: (from, to) => act.ask(withTime(question, stretch(from, to + (to - from < 1000 ? widthOf(moments) : 0)))),
      sync: "explore",
    });
  }, [chart, moments, state.theme, question]);
  const only = (/** @type {Chart["groups"][number]} */ group) => {
    act.ask(peeled(question, ladderOf(state.explore.keys[datasetOf(question)] ?? []), group.keys));
  };
  const shown = at ?? moments.length - 1;
  return html`<figure class="chart"><figcaption><h2>${chart.name}</h2><span>${at === null ? "newest" : clock(moments[shown] ?? NaN, state.wall)}</span></figcaption>
    <div class="plot" ref=${box} role="img" aria-label=${`${chart.name} over time: ${chart.groups.map((group) => `${group.words || "all"} ${cellText(group.values[moments.length - 1])}`).join(", ")}`}></div>
    <ul class="names">${chart.groups.map((group) => html`<li key=${group.words}><button disabled=${group.keys.length === 0} title=${group.keys.length > 0 ? "Look into this alone" : undefined} onClick=${() => only(group)}>
      <svg viewBox="0 0 18 8" class=${`c${group.curve + 1}`} aria-hidden="true"><path d="M0 4h18" stroke-dasharray=${dashOf(group.curve).join(" ") || undefined} /></svg><span>${group.words || "all"}</span><b>${cellText(group.values[shown])}</b></button></li>`)}
      ${chart.left > 0 && html`<li class="left">and ${chart.left.toLocaleString("en")} smaller ones in the table</li>`}</ul>
  </figure>`;
}
