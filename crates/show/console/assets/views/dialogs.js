// @ts-check
// Search and the list of shortcuts, over everything else.

import { html, useEffect, useRef, useState } from "../ui.js";
import { search } from "../state/search.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../main.js").Actions} Actions */

export const SHORTCUTS = [
  ["/", "search nodes, sites, links, verdicts"],
  ["j  k", "next, previous verdict"],
  ["Enter", "look closer at the verdict"],
  ["e", "explore events; there / goes to the question, + and − keep and drop a value, Backspace undoes a step"],
  ["f", "in a log: follow what comes; Space stands still and goes on"],
  ["i", "incidents; j, k and Enter there; on one: a acknowledge, n note, r replay"],
  ["t", "time slider, open and close"],
  ["← →", "in time: the change before, the change after; with Shift a little way"],
  ["Space", "in time: play, pause"],
  ["Home End", "in time: the start of the stretch, back to live"],
  ["g m", "map"],
  ["g x", "matrix"],
  ["g l", "list"],
  ["g p", "the selected link's paths"],
  ["g b", "board, for a wall screen"],
  ["d", "theme: as the system, light, dark"],
  ["Esc", "close, one step back, in time back to live"],
  ["?", "these shortcuts"],
];

/** @param {{state:State, act:Actions}} props */
export function Search({ state, act }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const found = state.picture ? search(state.picture, query) : [];
  const chosen = Math.min(at, found.length - 1);
  const open = (/** @type {typeof found[0]|undefined} */ item) => {
    if (!item) return;
    act.dialog(null);
    act.go({ selection: item.selection, verdict: item.verdict ?? state.route.verdict });
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown") setAt(Math.min(found.length - 1, chosen + 1));
    else if (event.key === "ArrowUp") setAt(Math.max(0, chosen - 1));
    else if (event.key === "Enter") open(found[chosen]);
    else return;
    event.preventDefault();
  };
  return html`<${Dialog} label="Search" act=${act}>
    <input ref=${field} type="search" role="combobox" aria-label="Search the grid" aria-expanded="true" aria-controls="found" autocomplete="off" spellcheck=${false}
      aria-activedescendant=${found[chosen] ? `found-${chosen}` : undefined}
      placeholder="A node, a site, a verdict, or two nodes for the link between them" value=${query}
      onInput=${(/** @type {any} */ event) => { setQuery(event.target.value); setAt(0); }} onKeyDown=${keys} />
    <ul id="found" role="listbox" aria-label="Found">
      ${found.map((item, index) => html`<li key=${item.id} id=${`found-${index}`} role="option" aria-selected=${index === chosen} onClick=${() => open(item)} onPointerMove=${() => setAt(index)}>
        <${Glyph} shape=${item.shape} tone=${item.tone} /><span class="text">${item.text}</span><span class="detail">${item.detail}</span><span class="kind">${item.kind}</span></li>`)}
    </ul>
    ${found.length === 0 && html`<p class="nothing">Nothing is called that.</p>`}
  </${Dialog}>`;
}

/** @param {{act:Actions}} props */
export function Help({ act }) {
  const close = useRef(/** @type {HTMLButtonElement|null} */ (null));
  useEffect(() => close.current?.focus(), []);
  return html`<${Dialog} label="Keyboard shortcuts" act=${act}>
    <h2>Keyboard shortcuts</h2>
    <dl class="keys">${SHORTCUTS.map(([key, what]) => html`<div><dt>${key.split(/\s+/).map((one) => html`<kbd>${one}</kbd>`)}</dt><dd>${what}</dd></div>`)}</dl>
    <p class="ends"><button class="button" ref=${close} onClick=${() => act.dialog(null)}>Close</button></p>
  </${Dialog}>`;
}

/** @param {{label:string, act:Actions, children?:any}} props */
function Dialog({ label, act, children }) {
  const back = (/** @type {MouseEvent} */ event) => event.target === event.currentTarget && act.dialog(null);
  const trap = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Tab") return;
    const box = /** @type {HTMLElement} */ (event.currentTarget);
    const stops = /** @type {HTMLElement[]} */ ([...box.querySelectorAll("input, button")]);
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (document.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
  };
  return html`<div class="veil" onClick=${back}><div class="dialog" role="dialog" aria-modal="true" aria-label=${label} onKeyDown=${trap}>${children}</div></div>`;
}
