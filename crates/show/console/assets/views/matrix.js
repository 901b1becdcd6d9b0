// @ts-check
// Who observes whom, as a table of cells: site by site first where the grid is large, then
// node by node. Small ones are real tables; large ones a canvas with the list as its twin.

import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { nodeMatrix, siteMatrix } from "../state/matrix.js";
import { readLink, siteOf } from "../state/picture.js";
import { MAP_NODES_MAX } from "../state/headline.js";
import { flows, linkWords, loss, rtt, rttShort, STATES } from "../state/words.js";
import { cellAt, matrixLayout, paintMatrix } from "../draw/matrix.js";
import { readPalette } from "../draw/palette.js";
import { Chip, Glyph } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../main.js").Actions} Actions */

/** Rows and columns up to which a matrix is a table of buttons. */
const TABLE_MAX = 14;

/** Sites from which a cell's total has no room beside what is up. */
const SITES_ROOMY = 8;

/** Share of ill links below which a cell is mostly well and says so by its ground. */
const FEW = 0.05;

/** @param {{state:State, picture:Picture, act:Actions}} props */
export function Matrix({ state, picture, act }) {
  const { scope } = state.route;
  const large = picture.nodes.length > MAP_NODES_MAX;
  if (large && !scope) return html`<${Sites} picture=${picture} state=${state} act=${act} />`;
  return html`<${Nodes} picture=${picture} state=${state} act=${act} scope=${scope} />`;
}

/** @param {{picture:Picture, state:State, act:Actions}} props */
function Sites({ picture, state, act }) {
  const matrix = siteMatrix(picture);
  const { sites, cells } = matrix;
  const chosen = state.route.selection;
  const many = sites.length > SITES_ROOMY;
  return html`<div class="matrix"><div class="scroll"><table class=${`cells sites${many ? " many" : ""}`}>
    <caption>Links from each site (rows) to each site (columns). A cell shows its worst link and how many are up.</caption>
    <thead><tr><th class="corner"><span>from ↓ to →</span></th>${sites.map((site) => html`<th scope="col">${site}</th>`)}</tr></thead>
    <tbody>${sites.map((from, row) => html`<tr>
      <th scope="row">${from}<small>${matrix.nodes[row]} nodes</small></th>
      ${sites.map((to, column) => {
        const cell = cells[row * sites.length + column];
        if (!cell) return html`<td class="empty"></td>`;
        const words = linkWords(STATES[cell.state]);
        const marked = chosen?.kind === "pair" && chosen.from === from && chosen.to === to;
        const few = words.tone === "warn" && cell.total - cell.up < FEW * cell.total;
        return html`<td><button class=${`cell ${words.tone}${marked ? " chosen" : ""}${few ? " few" : ""}`}
          aria-label=${`${from} to ${to}: worst ${words.text}, ${cell.up} of ${cell.total} links up, usual round trip ${rtt(cell.rttP50)}`}
          onClick=${() => act.select({ kind: "pair", from, to })} onDblClick=${() => act.go({ scope: [from, to] })}>
          <${Glyph} ...${words} /><span class="count">${cell.up}${!many && html`<small>/${cell.total}</small>`}</span><span class="rtt">${rttShort(cell.rttP50)}</span>
        </button></td>`;
      })}</tr>`)}</tbody>
  </table></div></div>`;
}

/** @param {{picture:Picture, state:State, act:Actions, scope:[string,string]|null}} props */
function Nodes({ picture, state, act, scope }) {
  const matrix = useMemo(() => nodeMatrix(picture, scope), [picture, scope?.join()]);
  const small = matrix.rows.length <= TABLE_MAX && matrix.columns.length <= TABLE_MAX;
  return html`<div class="matrix">
    ${scope && html`<p class="crumbs"><button class="link" onClick=${() => act.go({ scope: null })}>All sites</button><span aria-hidden="true">›</span><strong>${scope[0]} → ${scope[1]}</strong>
      <button class="link" onClick=${() => act.go({ scope: [scope[1], scope[0]] })}>the other way</button></p>`}
    ${small
      ? html`<${NodeTable} picture=${picture} matrix=${matrix} state=${state} act=${act} />`
      : html`<${NodeCanvas} picture=${picture} matrix=${matrix} state=${state} act=${act} />`}
  </div>`;
}

/** @param {{picture:Picture, matrix:import("../state/matrix.js").NodeMatrix, state:State, act:Actions}} props */
function NodeTable({ picture, matrix, state, act }) {
  const { rows, columns, links } = matrix;
  const chosen = state.route.selection;
  const edge = (/** @type {number[]} */ list, /** @type {number} */ at) => at > 0 && siteOf(picture.nodes[list[at]]) !== siteOf(picture.nodes[list[at - 1]]);
  return html`<div class="scroll"><table class="cells nodes">
    <caption>Links from each node (rows) to each node (columns), with the usual round trip.</caption>
    <thead><tr><th class="corner"><span>from ↓ to →</span></th>
      ${columns.map((to, at) => html`<th scope="col" class=${edge(columns, at) ? "edge" : ""}>${picture.nodes[to].id}<small>${siteOf(picture.nodes[to])}</small></th>`)}</tr></thead>
    <tbody>${rows.map((from, row) => html`<tr class=${edge(rows, row) ? "edge" : ""}>
      <th scope="row">${picture.nodes[from].id}<small>${siteOf(picture.nodes[from])}</small></th>
      ${columns.map((_, column) => {
        const at = links[row * columns.length + column];
        const side = edge(columns, column) ? "edge" : "";
        if (at < 0) return html`<td class=${`empty ${side}`}></td>`;
        const link = readLink(picture, at);
        const words = linkWords(link.state);
        const marked = chosen?.kind === "link" && chosen.from === link.from && chosen.to === link.to;
        return html`<td class=${side}><button class=${`cell ${words.tone}${marked ? " chosen" : ""}`}
          aria-label=${`${link.from} to ${link.to}: ${words.text}, ${flows(link.ok, link.total)} flows, round trip ${rtt(link.rttP50)}`}
          onClick=${() => act.select({ kind: "link", from: link.from, to: link.to })}>
          <${Glyph} ...${words} /><span class="rtt">${link.rttP50 !== null && (link.state === "up" || link.state === "degraded") ? rtt(link.rttP50) : words.text}</span>
        </button></td>`;
      })}</tr>`)}</tbody>
  </table></div>`;
}

/** @param {{picture:Picture, matrix:import("../state/matrix.js").NodeMatrix, state:State, act:Actions}} props */
function NodeCanvas({ picture, matrix, state, act }) {
  const frame = useRef(/** @type {HTMLDivElement|null} */ (null));
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const [room, setRoom] = useState(0);
  const [hover, setHover] = useState(/** @type {{row:number,column:number,x:number,y:number}|null} */ (null));
  const cells = useMemo(() => {
    const named = (/** @type {number} */ at) => ({ label: picture.nodes[at].id, group: siteOf(picture.nodes[at]) });
    return {
      rows: matrix.rows.map(named), columns: matrix.columns.map(named),
      states: Int8Array.from(matrix.links, (at) => (at < 0 ? -1 : picture.links.state[at])),
    };
  }, [matrix]);
  const layout = useMemo(() => matrixLayout(cells, room || 700), [cells, room]);

  useEffect(() => {
    if (!frame.current) return undefined;
    const box = frame.current;
    const watch = new ResizeObserver(() => setRoom(box.clientWidth));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && room) paintMatrix(canvas.current, cells, layout, readPalette(), hover);
  }, [cells, layout, hover?.row, hover?.column, state.theme, room]);

  const point = (/** @type {MouseEvent} */ event) => {
    const box = /** @type {HTMLCanvasElement} */ (canvas.current).getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const at = cellAt(layout, cells, x, y);
    return at && { ...at, x, y };
  };
  const linkOf = (/** @type {{row:number,column:number}} */ at) => readLink(picture, matrix.links[at.row * cells.columns.length + at.column]);
  const choose = (/** @type {MouseEvent} */ event) => {
    const at = point(event);
    if (at) act.select({ kind: "link", from: linkOf(at).from, to: linkOf(at).to });
  };
  const pointed = hover && matrix.links[hover.row * cells.columns.length + hover.column] >= 0 ? linkOf(hover) : null;
  const pixels = { width: `${layout.width}px`, height: `${layout.height}px` };
  return html`<div class="scroll" ref=${frame}><div class="canvas-cells" style=${pixels}>
    <canvas ref=${canvas} style=${pixels} role="img"
      aria-label=${`Matrix of ${cells.rows.length} by ${cells.columns.length} nodes. The list holds the same as a table.`}
      onPointerMove=${(/** @type {PointerEvent} */ event) => setHover(point(event))} onPointerLeave=${() => setHover(null)} onClick=${choose}></canvas>
    <button class="button twin" onClick=${() => act.go({ view: "list", list: "links" })}>Show the matrix as a list</button>
    ${hover && pointed && html`<div class="tip" style=${{ left: `${Math.min(hover.x + 14, Math.max(0, room - 240))}px`, top: `${hover.y + 16}px` }}>
      <strong>${pointed.from} → ${pointed.to}</strong><${Chip} words=${linkWords(pointed.state)} />
      <p>${flows(pointed.ok, pointed.total)} flows · ${rtt(pointed.rttP50)} · loss ${loss(pointed.lossForward)}</p></div>`}
  </div></div>`;
}
