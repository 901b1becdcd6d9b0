// @ts-check
// Events as they come, newest first. Who scrolls down or reads one stands still; a filter hides
// what does not fit without asking anew.

import { html, useEffect, useRef, useState } from "../ui.js";
import { numberText, recordLine } from "../state/answer.js";
import { sightOf } from "../state/logs.js";
import { searched } from "../state/question.js";
import { HELD_MAX } from "../tailer.js";
import { EventPanel } from "./event.js";
import { Glyph } from "./glyph.js";
import { LINE_PX, LineText } from "./log.js";
import { useScroll } from "./rows.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Tail} Tail */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions, tail:Tail}} props */
export function TailView({ state, act, tail }) {
  const { box, sight, look } = useScroll();
  const [filter, setFilter] = useState("");
  const pausedBy = useRef(/** @type {"scroll"|null} */ (null));
  const wanted = filter.trim().toLowerCase();
  const lines = tail.events.map((one) => ({ ...one, line: recordLine(one.record) }))
    .filter(({ line }) => wanted === "" || `${line.severity} ${line.body} ${line.rest}`.toLowerCase().includes(wanted));
  const words = [...searched(tail.question), ...(wanted === "" ? [] : [filter.trim()])];
  const seen = sightOf(lines.length, LINE_PX, sight.top, sight.room);
  const event = tail.events.find((one) => one.number === tail.pick);
  useEffect(() => {
    // Below the newest one reads; at the top one follows.
    if (sight.top > LINE_PX && !tail.paused) {
      pausedBy.current = "scroll";
      act.tail("pause");
    } else if (sight.top === 0 && tail.paused && pausedBy.current === "scroll" && tail.pick === null) {
      pausedBy.current = null;
      act.tail("pause");
    }
  }, [sight.top]);
  const pause = () => {
    pausedBy.current = null;
    if (tail.paused && box.current) box.current.scrollTop = 0;
    act.tail("pause");
  };
  return html`<div class=${`answer${event ? " beside" : ""}`}>
    <section class="card result tail" aria-label="Live">
      <div class="bar">
        <p class=${`tail-state ${tail.status === "live" && !tail.paused ? "good" : tail.status === "broken" ? "bad" : "mute"}`} role="status"><${Glyph} shape=${tail.status === "broken" ? "cross" : tail.paused ? "half" : tail.status === "live" ? "disc" : "dashed"} tone=${tail.status === "broken" ? "bad" : tail.paused ? "warn" : tail.status === "live" ? "good" : "mute"} />
          ${stateWords(tail)}</p>
        <div class="steps"><input type="search" aria-label="Filter what is shown" placeholder="Filter what is shown" value=${filter} onInput=${(/** @type {any} */ typed) => setFilter(typed.target.value)} />
          <button class="button" aria-pressed=${tail.paused} onClick=${pause}>${tail.paused ? `Go on${tail.waiting.length > 0 ? ` (${numberText(tail.waiting.length)} waiting)` : ""}` : "Pause"}<kbd>Space</kbd></button>
          <button class="button" onClick=${() => act.tail("clear")}>Clear</button></div>
      </div>
      ${tail.problem && html`<div class="notes partial" role="alert"><p>${tail.problem}.</p></div>`}
      ${tail.away.length > 0 && html`<div class="notes partial" role="status"><p>Not heard at present: ${tail.away.join(", ")}. What they keep is not shown; it is tried again every two seconds.</p></div>`}
      ${lines.length === 0 ? html`<div class="none-found"><h2>${tail.events.length > 0 ? "Nothing that is held fits" : "Nothing has come yet"}</h2><p>${tail.events.length > 0 ? "Change or clear the filter." : "Events appear here as they are kept."}</p></div>`
        : html`<div class="lines" ref=${box} onScroll=${look} tabindex="0" role="listbox" aria-label="Events as they come, newest first"><div class="whole" style=${{ height: `${seen.height}px` }}><div class="some" style=${{ transform: `translateY(${seen.shift}px)` }}>
          ${lines.slice(seen.from, seen.to).map(({ number, line }) => html`<div class=${`one ${line.tone}`} key=${number} role="option" aria-selected=${number === tail.pick} onClick=${() => act.tailPick(number === tail.pick ? null : number)}><${LineText} line=${line} words=${words} now=${state.wall} /></div>`)}</div></div></div>`}
      <p class="fine hint">${numberText(tail.events.length)} of ${numberText(tail.seen)} events held${tail.events.length >= HELD_MAX ? "; older ones are let go" : ""}${tail.missed > 0 ? html`, <strong class="warn-words">${numberText(tail.missed)} missed since they came faster than they could be shown</strong>` : ""}.</p>
    </section>
    ${event && html`<${EventPanel} state=${state} act=${act} event=${{ title: "event", at: String(event.record.ts), entries: Object.entries(event.record).filter(([name]) => name !== "ts") }} close=${() => act.tailPick(null)} />`}
  </div>`;
}

/** @param {Tail} tail */
function stateWords(tail) {
  if (tail.status === "broken") return "The stream broke";
  if (tail.status === "connecting") return "Connecting …";
  const where = tail.nodes.length > 3 ? `${tail.nodes.length} nodes` : tail.nodes.join(", ");
  return `${tail.paused ? "Standing still" : "Following"}: what ${where} ${tail.nodes.length === 1 ? "keeps" : "keep"}`;
}
