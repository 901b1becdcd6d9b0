// @ts-check
// The answer as a table. Only rows in sight are on the page, so that a long answer stays quick.

import { html, useEffect, useRef, useState } from "../ui.js";
import { cellText, isDiffer, momentText, numberText, windowOf } from "../state/answer.js";
import { below, ladderOf, peeled } from "../state/ladder.js";
import { breakdown, datasetOf, orderOf, withOrder } from "../state/question.js";
import { Value } from "./value.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

/** Pixels of a row; the style sheet says the same. */
const ROW_PX = 31;

/** Where a list is scrolled to, and how much of it is in sight. */
export function useScroll() {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [sight, setSight] = useState({ top: 0, room: 600 });
  const look = () => box.current && setSight({ top: box.current.scrollTop, room: box.current.clientHeight });
  useEffect(() => {
    look();
    addEventListener("resize", look);
    return () => removeEventListener("resize", look);
  }, []);
  return { box, sight, look };
}

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Rows({ state, act, answer }) {
  const { box, sight, look } = useScroll();
  const seen = windowOf(answer.rows.length, ROW_PX, sight.top, sight.room);
  const question = state.route.question ?? "";
  // Raw events come by time alone.
  const raw = answer.columns.every((column) => column.kind === "time" || column.kind === "key");
  const order = orderOf(question);
  const ladder = ladderOf(state.explore.keys[datasetOf(question)] ?? []);
  const by = breakdown(question).keys;
  // On a rung of the ladder a click goes one down.
  const peel = (/** @type {string} */ name, /** @type {unknown} */ value) => {
    const next = below(ladder, name);
    if (raw || !next || !by.includes(name) || value === null) return {};
    return { kept: peeled(question, ladder, [[name, value]]), title: `Look into it by ${next.word.toLowerCase()}` };
  };
  const differ = isDiffer(answer);
  const most = answer.columns.map((column, at) => (column.kind === "number" ? answer.rows.reduce((top, row) => Math.max(top, typeof row[at] === "number" ? Math.abs(row[at]) : 0), 0) : 0));
  return html`<div class="sheet" ref=${box} onScroll=${look} tabindex="0" aria-label="Rows">
    <table aria-rowcount=${answer.rows.length + 1}>
      <thead><tr aria-rowindex="1">${answer.columns.map((column) => html`<th key=${column.name} scope="col" class=${column.kind} aria-sort=${order.column === column.name ? (order.down ? "descending" : "ascending") : undefined}>${column.kind === "heatmap" || differ || (raw && column.kind !== "time") ? column.name : html`<button title="Sort by it" onClick=${() => act.ask(withOrder(question, column.name))}>${column.name}${order.column === column.name && html`<span aria-hidden="true">${order.down ? " ↓" : " ↑"}</span>`}</button>`}</th>`)}</tr></thead>
      <tbody>
        ${seen.before > 0 && html`<tr class="space" aria-hidden="true" key="before"><td style=${{ height: `${seen.before}px` }}></td></tr>`}
        ${answer.rows.slice(seen.from, seen.to).map((row, offset) => html`<tr key=${seen.from + offset} aria-rowindex=${seen.from + offset + 2}>
          ${row.map((cell, at) => html`<${Cell} key=${at} column=${answer.columns[at]} cell=${cell} most=${most[at]} act=${act} question=${question} now=${state.wall} peel=${peel} name=${differ && at === 1 ? String(row[0]) : answer.columns[at].name} plain=${differ && at === 0} />`)}</tr>`)}
        ${seen.after > 0 && html`<tr class="space" aria-hidden="true" key="after"><td style=${{ height: `${seen.after}px` }}></td></tr>`}
      </tbody>
    </table></div>`;
}

/** @param {{column:Answer["columns"][number], cell:unknown, most:number, act:Actions, question:string, now:number, name:string, plain:boolean, peel:(name:string, value:unknown) => {kept?:string, title?:string}}} props */
function Cell({ column, cell, most, act, question, now, name, plain, peel }) {
  if (column.kind === "time") return html`<td class="time"><time datetime=${String(cell)} title=${String(cell)}>${momentText(String(cell), now)}</time></td>`;
  if (plain) return html`<td class="key">${cellText(cell)}</td>`;
  if (column.kind === "key") return html`<td class="key"><${Value} act=${act} question=${question} name=${name} value=${cell} ...${peel(name, cell)} /></td>`;
  if (column.kind === "heatmap") return html`<td class="heatmap">${Array.isArray(cell) ? `${numberText(cell.reduce((sum, bin) => sum + bin[1], 0))} in ${cell.length} bins, ${numberText(cell[0]?.[0] ?? NaN)} to ${numberText(cell[cell.length - 1]?.[0] ?? NaN)}` : "–"}</td>`;
  const value = typeof cell === "number" ? cell : null;
  return html`<td class="number">${value !== null && most > 0 && html`<i style=${{ width: `${(Math.abs(value) / most) * 100}%` }}></i>`}<span>${value === null ? "–" : numberText(value)}</span></td>`;
}
