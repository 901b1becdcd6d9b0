// @ts-check
// The question as text, with what could be typed next, and the place where it is wrong.

import { html, useEffect, useRef, useState } from "../ui.js";
import { offers, placeAt, taken } from "../state/completion.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/completion.js").Offer} Offer */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions}} props */
export function QueryBar({ state, act }) {
  const { explore, route } = state;
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  const [draft, setDraft] = useState(route.question ?? "");
  const [caret, setCaret] = useState(0);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  useEffect(() => setDraft(route.question ?? ""), [route.question]);
  useEffect(() => {
    if (!route.question && matchMedia("(pointer: fine)").matches) field.current?.focus({ preventScroll: true });
  }, []);
  const place = placeAt(draft, caret);
  const list = open ? offers(place, explore) : [];
  const chosen = Math.min(at, list.length - 1);
  useEffect(() => {
    if (open) act.complete(place);
  }, [open, draft, caret]);

  const look = () => {
    setCaret(field.current?.selectionStart ?? 0);
    setAt(-1);
  };
  const take = (/** @type {Offer} */ offer) => {
    const next = taken(draft, place, offer);
    const input = /** @type {HTMLInputElement} */ (field.current);
    input.value = next.text;
    input.focus();
    input.setSelectionRange(next.caret, next.caret);
    setDraft(next.text);
    setCaret(next.caret);
    setAt(-1);
    setOpen(true);
  };
  const send = () => {
    setOpen(false);
    act.ask(draft.trim());
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (!open) setOpen(true);
      else if (list.length > 0) setAt((chosen + step + list.length + (chosen < 0 && step < 0 ? 1 : 0)) % list.length);
    } else if (event.key === "Tab" && list.length > 0 && !event.shiftKey) take(list[Math.max(0, chosen)]);
    else if (event.key === "Enter") {
      if (chosen >= 0) take(list[chosen]);
      else send();
    } else if (event.key === "Escape" && list.length > 0) {
      setOpen(false);
      event.stopPropagation();
    } else return;
    event.preventDefault();
  };
  const wrong = explore.problem?.span && explore.question === draft ? explore.problem : null;
  return html`<div class="ask" role="search">
    <div class="field">
      <input ref=${field} id="question" type="text" role="combobox" aria-label="Question" aria-expanded=${list.length > 0} aria-controls="offers" aria-autocomplete="list"
        aria-activedescendant=${chosen >= 0 ? `offer-${chosen}` : undefined} aria-invalid=${wrong !== null} aria-describedby=${explore.problem ? "wrong" : undefined}
        autocomplete="off" autocapitalize="off" spellcheck=${false} enterkeyhint="search" placeholder="requests | where status >= 500 | by region, auto | count" value=${draft}
        onInput=${(/** @type {any} */ event) => { setDraft(event.target.value); look(); setOpen(true); }} onKeyDown=${keys} onKeyUp=${(/** @type {KeyboardEvent} */ event) => /^(Arrow(Left|Right)|Home|End)$/.test(event.key) && look()}
        onClick=${() => { look(); setOpen(true); }} onBlur=${() => setOpen(false)} />
      ${list.length > 0 && html`<ul id="offers" role="listbox" aria-label="What could come next">
        ${list.map((offer, index) => html`<li key=${offer.text} id=${`offer-${index}`} role="option" aria-selected=${index === chosen}
          onPointerDown=${(/** @type {Event} */ event) => { event.preventDefault(); take(offer); }}><code>${offer.text.trim()}</code><span>${offer.note}</span></li>`)}
        <li class="hint" aria-hidden="true"><kbd>Tab</kbd> takes ${chosen >= 0 ? "it" : "the first"} · <kbd>Enter</kbd> ${chosen >= 0 ? "too" : "asks"}</li>
      </ul>`}
    </div>
    <button class="button primary" onClick=${send} disabled=${draft.trim() === ""}>Ask</button>
    ${explore.problem && html`<${Wrong} state=${state} />`}
  </div>`;
}

/** What is wrong, below the place where it is. @param {{state:State}} props */
function Wrong({ state }) {
  const problem = /** @type {NonNullable<State["explore"]["problem"]>} */ (state.explore.problem);
  const text = state.explore.question ?? "";
  const [from, to] = problem.span ?? [0, 0];
  return html`<div class="wrong" id="wrong" role="alert">
    ${problem.span && html`<pre aria-hidden="true"><code>${`${text}\n`}<b>${" ".repeat(from)}${"^".repeat(Math.max(1, to - from))}</b></code></pre>`}
    <p>${sentence(problem.message)}${problem.help && html` <span>${sentence(problem.help)}</span>`}</p>
  </div>`;
}

/** @param {string} text */
function sentence(text) {
  return /[.?!]$/.test(text) ? text.slice(0, 1).toUpperCase() + text.slice(1) : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
