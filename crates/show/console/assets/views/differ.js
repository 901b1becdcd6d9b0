// @ts-check
// What sets some events apart: for each key the values that are more frequent among them than
// among the others, as two bars to compare.

import { html } from "../ui.js";
import { cellText, differences } from "../state/answer.js";
import { conditionFor, differOf, heatmapAgain, rawOf, withWhere } from "../state/question.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

/** Percent points from which on a difference is not by chance, as a rule of thumb. */
const STRONG = 25;

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Differ({ state, act, answer }) {
  const question = state.route.question ?? "";
  const found = differences(answer);
  const strong = found.filter(({ values }) => values[0].inside - values[0].outside >= STRONG);
  const keep = (/** @type {string} */ key, /** @type {unknown} */ value) => {
    const condition = conditionFor(key, value, "keep");
    return condition ? withWhere(heatmapAgain(question), condition) : null;
  };
  const all = strong.slice(0, 4).reduce((text, { key, values }) => {
    const condition = conditionFor(key, values[0].value, "keep");
    return condition ? withWhere(text, condition) : text;
  }, heatmapAgain(question));
  return html`<div class="differ">
    <p class="lead">${strong.length > 0 ? html`Where <code>${differOf(question) ?? ""}</code>, most have ${strong.slice(0, 4).map(({ key, values }, at) => html`${at > 0 ? (at === Math.min(4, strong.length) - 1 ? " and " : ", ") : ""}<strong>${key} = ${cellText(values[0].value)}</strong>`)}; the others seldom do.`
      : html`Nothing sets the events with <code>${differOf(question) ?? ""}</code> clearly apart from the others.`}</p>
    ${strong.length > 0 && html`<p><button class="button primary" onClick=${() => act.ask(all)}>Look at these together</button> <button class="button" onClick=${() => act.ask(strong.slice(0, 4).reduce((text, { key, values }) => withWhere(text, conditionFor(key, values[0].value, "keep") ?? `${key} exists`), rawOf(question)))}>As events</button></p>`}
    <ul>${found.map(({ key, values }) => html`<li key=${key}><h3>${key}</h3><ul>${values.map(({ value, inside, outside }) => {
      const asked = keep(key, value);
      return html`<li key=${cellText(value)}><span class="value">${asked ? html`<button class="keep" title="Look at these alone" onClick=${() => act.ask(asked)}>${cellText(value)}</button>` : html`<span class="none">absent</span>`}</span>
        <span class="pair" role="img" aria-label=${`${percent(inside)} of them, ${percent(outside)} of the others`}><i class="in" style=${{ width: `${inside}%` }}></i><i class="out" style=${{ width: `${outside}%` }}></i></span>
        <b>${percent(inside)}</b><span class="than">${percent(outside)}</span></li>`;
    })}</ul></li>`)}</ul>
    <p class="fine hint"><span class="key-in"></span> share of the events that were pointed at <span class="key-out"></span> share of the others in the same time. A value looks at it alone.${(answer.notes ?? []).map((note) => html` ${note.slice(0, 1).toUpperCase()}${note.slice(1)}.`)}</p>
  </div>`;
}

/** @param {number} share 0..100 */
function percent(share) {
  if (share > 0 && share < 0.1) return "< 0.1 %";
  return `${share.toLocaleString("en", { maximumFractionDigits: share < 10 ? 1 : 0 })} %`;
}
