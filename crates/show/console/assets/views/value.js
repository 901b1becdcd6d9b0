// @ts-check
// A value that can be kept or dropped: a click, Enter or `+` keeps the events that have it, the
// small minus or `-` drops them.

import { html } from "../ui.js";
import { cellText } from "../state/answer.js";
import { conditionFor, withWhere } from "../state/question.js";

/** @typedef {import("../main.js").Actions} Actions */

/** `kept`: the question that a click on the value asks, where that is more than keeping it.
 * @param {{act:Actions, question:string, name:string, value:unknown, kept?:string, title?:string}} props */
export function Value({ act, question, name, value, kept, title }) {
  const keep = conditionFor(name, value, "keep");
  const drop = conditionFor(name, value, "drop");
  const ask = (/** @type {string|null} */ condition) => condition && act.ask(withWhere(question, condition));
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const condition = event.key === "+" ? keep : event.key === "-" ? drop : null;
    if (!condition || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    ask(condition);
  };
  const text = cellText(value);
  return html`<span class="value" onKeyDown=${keys}>
    ${keep ? html`<button class="keep" title=${title ?? `Keep ${keep}`} onClick=${() => (kept ? act.ask(kept) : ask(keep))}>${text}</button>` : html`<span class="none">${text}</span>`}
    ${drop && html`<button class="lose" aria-label=${`Drop: ${drop}`} title=${`Drop: ${drop}`} onClick=${() => ask(drop)}>−</button>`}</span>`;
}
