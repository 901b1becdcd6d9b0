// @ts-check
// The question as text, with what could be typed next, and the place where it is wrong.

import { html, useEffect, useRef, useState } from "../ui.js";
import { fitting, taken } from "../state/offers.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Offer} Offer */
/** @typedef {import("../main.js").Actions} Actions */

const KINDS = /** @type {Record<string, string>} */ ({ dataset: "dataset", key: "key", value: "value", column: "column", span: "time" });

/** @param {{state:State, act:Actions}} props */
export function QueryBar({ state, act }) {
  const { explore, route } = state;
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  const echo = useRef(/** @type {HTMLElement|null} */ (null));
  const list = useRef(/** @type {HTMLElement|null} */ (null));
  const wanted = useRef(false);
  const [draft, setDraft] = useState(route.question ?? "");
  const [caret, setCaret] = useState(0);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  useEffect(() => setDraft(route.question ?? ""), [route.question]);
  useEffect(() => {
    if (!route.question && matchMedia("(pointer: fine)").matches) field.current?.focus({ preventScroll: true });
  }, []);
  const offers = open ? fitting(explore.offers, draft, caret) : [];
  const isFresh = explore.offers?.text === draft && explore.offers.caret === caret;
  const chosen = Math.min(at, offers.length - 1);
  useEffect(() => {
    if (open) act.complete(draft, caret);
    else wanted.current = false;
  }, [open, draft, caret]);
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const wrong = explore.problem?.span && explore.question === draft.trim() ? explore.problem : null;
  useEffect(() => {
    // The place that is wrong is ready to be typed over.
    if (!wrong?.span || document.activeElement !== field.current) return;
    const [from, to] = wrong.span;
    if (to - from < draft.length) field.current?.setSelectionRange(from, to);
  }, [wrong]);
  const follow = () => {
    if (echo.current && field.current) echo.current.scrollLeft = field.current.scrollLeft;
  };
  useEffect(follow);

  const look = () => {
    setCaret(field.current?.selectionStart ?? 0);
    setAt(-1);
  };
  const take = (/** @type {Offer} */ offer) => {
    const next = taken(draft, offer);
    const input = /** @type {HTMLInputElement} */ (field.current);
    wanted.current = false;
    input.value = next.text;
    input.focus();
    input.setSelectionRange(next.caret, next.caret);
    setDraft(next.text);
    setCaret(next.caret);
    setAt(-1);
    setOpen(true);
  };
  useEffect(() => {
    // Tab came before the proposals did.
    if (!wanted.current || !isFresh) return;
    wanted.current = false;
    if (offers.length > 0) take(offers[0]);
  }, [explore.offers]);
  const send = () => {
    setOpen(false);
    act.ask(draft.trim());
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (!open) {
        look();
        setOpen(true);
      } else if (offers.length > 0) setAt((chosen + step + offers.length + (chosen < 0 && step < 0 ? 1 : 0)) % offers.length);
    } else if (event.key === "Tab" && !event.shiftKey && open && (offers.length > 0 || (!isFresh && draft !== ""))) {
      if (offers.length > 0) take(offers[Math.max(0, chosen)]);
      else wanted.current = true;
    } else if (event.key === "Enter") {
      if (chosen >= 0) take(offers[chosen]);
      else send();
    } else if (event.key === "Escape" && offers.length > 0) {
      setOpen(false);
      event.stopPropagation();
    } else return;
    event.preventDefault();
  };
  return html`<div class="ask" role="search">
    <div class="field">
      ${wrong && html`<div class="echo" ref=${echo} aria-hidden="true">${draft.slice(0, wrong.span?.[0])}<u>${draft.slice(...(wrong.span ?? [0, 0])) || "\u00a0"}</u>${draft.slice(wrong.span?.[1])}</div>`}
      <input ref=${field} id="question" type="text" role="combobox" aria-label="Question" aria-expanded=${offers.length > 0} aria-controls="offers" aria-autocomplete="list"
        aria-activedescendant=${chosen >= 0 ? `offer-${chosen}` : undefined} aria-invalid=${wrong !== null} aria-describedby=${explore.problem ? "wrong" : undefined}
        autocomplete="off" autocapitalize="off" spellcheck=${false} enterkeyhint="search" placeholder="requests | where status >= 500 | by region, auto | count" value=${draft}
        onInput=${(/** @type {any} */ event) => { setDraft(event.target.value); look(); setOpen(true); }} onKeyDown=${keys} onKeyUp=${(/** @type {KeyboardEvent} */ event) => /^(Arrow(Left|Right)|Home|End)$/.test(event.key) && look()}
        onScroll=${follow} onClick=${() => { look(); setOpen(true); }} onBlur=${() => setOpen(false)} />
      ${offers.length > 0 && html`<div id="proposals"><ul id="offers" ref=${list} role="listbox" aria-label="What could come next">
        ${offers.map((offer, index) => html`<li key=${offer.text} id=${`offer-${index}`} role="option" aria-selected=${index === chosen}
          onPointerDown=${(/** @type {Event} */ event) => { event.preventDefault(); take(offer); }}><code>${offer.text}</code><span>${offer.about || KINDS[offer.kind] || ""}</span></li>`)}
        </ul><p class="hint" aria-hidden="true"><kbd>Tab</kbd> takes ${chosen >= 0 ? "it" : "the first"} · <kbd>Enter</kbd> ${chosen >= 0 ? "too" : "asks"}${offers.length > 8 ? html` · ${offers.length} fit` : ""}</p></div>`}
    </div>
    ${explore.busy ? html`<button class="button" onClick=${() => act.stop()}>Stop<kbd>Esc</kbd></button>` : html`<button class="button primary" onClick=${send} disabled=${draft.trim() === ""}>Ask</button>`}
    ${explore.problem && html`<${Wrong} state=${state} />`}
  </div>`;
}

/** What is wrong, in words. The place is underlined in the bar. @param {{state:State}} props */
function Wrong({ state }) {
  const problem = /** @type {NonNullable<State["explore"]["problem"]>} */ (state.explore.problem);
  const text = state.explore.question ?? "";
  const at = problem.span ? text.slice(...problem.span).trim() : "";
  return html`<div class="wrong" id="wrong" role="alert">
    <p>${at !== "" && at.length < 60 && !problem.message.includes(at) && html`<code>${at}</code> `}${sentence(problem.message)}${problem.help && html` <span>${sentence(problem.help)}</span>`}</p>
  </div>`;
}

/** @param {string} text */
function sentence(text) {
  return /[.?!]$/.test(text) ? text.slice(0, 1).toUpperCase() + text.slice(1) : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
