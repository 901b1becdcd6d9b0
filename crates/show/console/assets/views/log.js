// @ts-check
// Raw events, a line each, of any number: only lines in sight are on the page, and only pages in
// sight are fetched. Above stands how many there are by time.

import { html, useEffect, useMemo } from "../ui.js";
import { lineOf, momentText, rowAt } from "../state/answer.js";
import { lineAt, scrollFor, sightOf } from "../state/logs.js";
import { searched, stretch, withTime } from "../state/question.js";
import { Glyph } from "./glyph.js";
import { Marked } from "./marked.js";
import { useScroll } from "./rows.js";
import { Strip } from "./strip.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

/** Pixels of a line; the style sheet says the same. */
export const LINE_PX = 26;

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Log({ state, act, answer }) {
  const { box, sight, look } = useScroll();
  const { log } = state.explore;
  const question = state.route.question ?? "";
  const words = useMemo(() => searched(question), [question]);
  const count = Math.max(answer.rows.length, log?.total ?? 0);
  const seen = sightOf(count, LINE_PX, sight.top, sight.room);
  const chosen = state.route.pick?.startsWith("r") ? Number(state.route.pick.slice(1)) : -1;
  useEffect(() => act.see(seen.from, seen.to), [seen.from, seen.to, log?.total]);
  const show = (/** @type {number} */ line) => {
    const list = /** @type {HTMLElement} */ (box.current);
    list.scrollTop = scrollFor(line, count, LINE_PX, list.scrollTop, list.clientHeight);
  };
  useEffect(() => {
    // Another question's log is read from its top.
    if (chosen < 0 && box.current) box.current.scrollTop = 0;
  }, [question]);
  useEffect(() => {
    // An address may name a line far down.
    if (chosen >= 0 && chosen < count && box.current) show(chosen);
  }, [log?.total === null]);
  const choose = (/** @type {number} */ at) => act.go({ pick: at === chosen ? null : `r${at}` });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.max(1, Math.floor(sight.room / LINE_PX) - 1);
    const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -count, End: count });
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(count - 1, (chosen < 0 ? seen.first - Math.sign(step) : chosen) + step));
    act.pass({ pick: `r${next}` });
    show(next);
  };
  const lines = [];
  for (let at = seen.from; at < seen.to; at += 1) {
    const found = rowAt(answer, log, at);
    lines.push(found ? html`<${Line} key=${at} at=${at} line=${lineOf(found.answer, found.row)} words=${words} chosen=${at === chosen} count=${count} now=${state.wall} choose=${choose} />`
      : html`<div class="one away" key=${at} aria-hidden="true"><i></i></div>`);
  }
  const choosePart = (/** @type {number} */ from, /** @type {number} */ to) => act.ask(withTime(question, stretch(from, to)));
  return html`<div class="log-form">
    ${log && html`<${Strip} state=${state} log=${log} answer=${answer} seen=${[seen.first, Math.min(count, seen.first + Math.ceil(sight.room / LINE_PX))]} go=${(/** @type {number} */ at) => show(Math.max(0, lineAt(log.stretches ?? [], at) - 2))} choose=${choosePart} />`}
    ${log?.problem && html`<div class="notes partial" role="alert"><p>The rest of the log cannot be read: ${log.problem}.</p><button class="button" onClick=${() => act.readOn()}>Try again</button></div>`}
    <div class="lines" ref=${box} onScroll=${look} onKeyDown=${keys} tabindex="0" role="listbox" aria-label="Events, newest first" aria-activedescendant=${chosen >= seen.from && chosen < seen.to ? `line-${chosen}` : undefined}>
      <div class="whole" style=${{ height: `${seen.height}px` }}><div class="some" style=${{ transform: `translateY(${seen.shift}px)` }}>${lines}</div></div>
    </div></div>`;
}

/** @param {{at:number, line:ReturnType<typeof lineOf>, words:string[], chosen:boolean, count:number, now:number, choose:(at:number) => void}} props */
function Line({ at, line, words, chosen, count, now, choose }) {
  return html`<div class=${`one ${line.tone}`} id=${`line-${at}`} role="option" aria-selected=${chosen} aria-posinset=${at + 1} aria-setsize=${count} onClick=${() => choose(at)}>
    <${LineText} line=${line} words=${words} now=${now} /></div>`;
}

/** @param {{line:ReturnType<typeof lineOf>, words:string[], now:number}} props */
export function LineText({ line, words, now }) {
  return html`<time datetime=${line.at} title=${line.at}>${momentText(line.at, now)}</time>${line.severity && html`<span class="severity">${line.tone !== "mute" && html`<${Glyph} shape=${line.tone === "bad" ? "cross" : "triangle"} tone=${line.tone} />`}${line.severity}</span>`}<span class="body"><${Marked} text=${line.body} words=${words} /></span><span class="rest">${line.rest}</span>`;
}
