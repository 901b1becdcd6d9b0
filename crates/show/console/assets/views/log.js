// @ts-check
// Raw events, a line each. Only lines in sight are on the page, however many there are.

import { html } from "../ui.js";
import { lineOf, momentText, windowOf } from "../state/answer.js";
import { Glyph } from "./glyph.js";
import { useScroll } from "./rows.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

/** Pixels of a line; the style sheet says the same. */
const LINE_PX = 26;

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Log({ state, act, answer }) {
  const { box, sight, look } = useScroll();
  const seen = windowOf(answer.rows.length, LINE_PX, sight.top, sight.room);
  const chosen = state.route.pick?.startsWith("r") ? Number(state.route.pick.slice(1)) : -1;
  const choose = (/** @type {number} */ at) => act.go({ pick: at === chosen ? null : `r${at}` });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowDown" || event.key === "j" ? 1 : event.key === "ArrowUp" || event.key === "k" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(answer.rows.length - 1, chosen + step));
    act.pass({ pick: `r${next}` });
    const list = /** @type {HTMLElement} */ (box.current);
    const top = next * LINE_PX;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + LINE_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + LINE_PX - list.clientHeight;
  };
  return html`<div class="lines" ref=${box} onScroll=${look} onKeyDown=${keys} tabindex="0" role="listbox" aria-label="Events, newest first" aria-activedescendant=${chosen >= seen.from && chosen < seen.to ? `line-${chosen}` : undefined}>
    <div style=${{ height: `${seen.before}px` }}></div>
    ${answer.rows.slice(seen.from, seen.to).map((row, offset) => {
      const at = seen.from + offset;
      const line = lineOf(answer, row);
      return html`<div class=${`one ${line.tone}`} key=${at} id=${`line-${at}`} role="option" aria-selected=${at === chosen} aria-posinset=${at + 1} aria-setsize=${answer.rows.length} onClick=${() => choose(at)}>
        <time datetime=${line.at} title=${line.at}>${momentText(line.at, state.wall)}</time>${line.severity && html`<span class="severity">${line.tone !== "mute" && html`<${Glyph} shape=${line.tone === "bad" ? "cross" : "triangle"} tone=${line.tone} />`}${line.severity}</span>`}<span class="body">${line.body}</span><span class="rest">${line.rest}</span></div>`;
    })}
    <div style=${{ height: `${seen.after}px` }}></div>
  </div>`;
}
