// @ts-check
// The tables: links, nodes, pairs of sites; the worst first. The twin of map and matrix.

import { html, useMemo, useState } from "../ui.js";
import { linkRows, nodeRows, pageOf, pairRows, ROWS_PER_PAGE } from "../state/lists.js";
import { clock, counted, flows, held, linkWords, loss, nodeWords, rtt, STATES, UNKNOWN } from "../state/words.js";
import { Chip } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, picture:Picture, act:Actions}} props */
export function List({ state, picture, act }) {
  const { list, troubled, scope } = state.route;
  const names = /** @type {const} */ ({ links: "Links", nodes: "Nodes", pairs: "Pairs of sites" });
  return html`<div class="list">
    <div class="filters">
      <div class="segments" role="group" aria-label="What is listed">
        ${/** @type {("links"|"nodes"|"pairs")[]} */ (["links", "nodes", "pairs"]).map((name) => html`<button aria-pressed=${list === name} onClick=${() => act.go({ list: name })}>${names[name]}</button>`)}
      </div>
      <label class="check"><input type="checkbox" checked=${troubled} onChange=${() => act.go({ troubled: !troubled })} />Only what is not up</label>
      ${scope && html`<button class="scope" onClick=${() => act.go({ scope: null })} aria-label=${`Stop narrowing to ${scope[0]} to ${scope[1]}`}>${scope[0]} → ${scope[1]} ✕</button>`}
    </div>
    ${list === "links" && html`<${LinkTable} key=${`${troubled}${scope}`} state=${state} picture=${picture} act=${act} />`}
    ${list === "nodes" && html`<${NodeTable} state=${state} picture=${picture} act=${act} />`}
    ${list === "pairs" && html`<${PairTable} state=${state} picture=${picture} act=${act} />`}
  </div>`;
}

/** @param {{state:State, picture:Picture, act:Actions}} props */
function LinkTable({ state, picture, act }) {
  const [page, setPage] = useState(0);
  const { scope, troubled, selection } = state.route;
  const rows = useMemo(() => linkRows(picture, scope, troubled), [picture, scope?.join(), troubled]);
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_PER_PAGE));
  const shown = pageOf(picture, rows, Math.min(page, pages - 1));
  if (rows.length === 0) return html`<${Nothing} troubled=${troubled} what="link" />`;
  return html`<div class="scroll"><table class="rows">
    <caption>${counted(rows.length, "link")}${troubled ? " not up" : ""}</caption>
    <thead><tr><th scope="col">State</th><th scope="col">From</th><th scope="col">To</th><th scope="col" class="number">Flows</th>
      <th scope="col" class="number">Loss there</th><th scope="col" class="number">Loss back</th><th scope="col" class="number">RTT p50</th><th scope="col" class="number">RTT p99</th><th scope="col">Since</th></tr></thead>
    <tbody>${shown.map((link) => html`<tr key=${`${link.from}→${link.to}`} class=${selection?.kind === "link" && selection.from === link.from && selection.to === link.to ? "chosen" : ""}
        onClick=${() => act.select({ kind: "link", from: link.from, to: link.to })}>
      <td><${Chip} words=${linkWords(link.state)} /></td>
      <td><button class="link" aria-label=${`Open link ${link.from} to ${link.to}`}>${link.from}</button></td><td>${link.to}</td>
      <td class="number">${flows(link.ok, link.total)}</td>
      <td class="number">${loss(link.lossForward)}</td><td class="number">${loss(link.lossReturn)}</td>
      <td class="number">${rtt(link.rttP50)}</td><td class="number">${rtt(link.rttP99)}</td>
      <td class="since" title=${clock(link.since, state.wall)}>${held(link.since, state.wall)}</td>
    </tr>`)}</tbody></table></div>
    ${pages > 1 && html`<nav class="pages" aria-label="Pages"><button disabled=${page === 0} onClick=${() => setPage(page - 1)}>Earlier</button>
      <span>${Math.min(page, pages - 1) + 1} of ${pages}</span><button disabled=${page >= pages - 1} onClick=${() => setPage(page + 1)}>Later</button></nav>`}`;
}

/** @param {{state:State, picture:Picture, act:Actions}} props */
function NodeTable({ state, picture, act }) {
  const [page, setPage] = useState(0);
  const rows = useMemo(() => nodeRows(picture, state.route.troubled), [picture, state.route.troubled]);
  if (rows.length === 0) return html`<${Nothing} troubled=${state.route.troubled} what="node" />`;
  const pages = Math.ceil(rows.length / ROWS_PER_PAGE);
  const shown = rows.slice(page * ROWS_PER_PAGE, (page + 1) * ROWS_PER_PAGE);
  return html`<div class="scroll"><table class="rows">
    <caption>${counted(rows.length, "node")}</caption>
    <thead><tr><th scope="col">State</th><th scope="col">Node</th><th scope="col">Site</th><th scope="col" class="number">Reached by</th><th scope="col" class="number">Reaches</th><th scope="col">Address</th><th scope="col">Version</th><th scope="col">Since</th></tr></thead>
    <tbody>${shown.map((row) => html`<tr key=${row.node.id} onClick=${() => act.select({ kind: "node", id: row.node.id })}>
      <td><${Chip} words=${nodeWords(row.node.state)} /></td>
      <td><button class="link">${row.node.id}</button></td><td>${row.site}</td>
      <td class="number">${row.into ? `${row.intoUp} of ${row.into}` : "–"}</td><td class="number">${row.out ? `${row.outUp} of ${row.out}` : "–"}</td>
      <td class="mono">${row.node.addresses?.[0] ?? "–"}</td><td>${row.node.version ?? "–"}</td>
      <td class="since">${held(row.since, state.wall)}</td></tr>`)}</tbody></table></div>
    ${pages > 1 && html`<nav class="pages" aria-label="Pages"><button disabled=${page === 0} onClick=${() => setPage(page - 1)}>Earlier</button>
      <span>${page + 1} of ${pages}</span><button disabled=${page >= pages - 1} onClick=${() => setPage(page + 1)}>Later</button></nav>`}`;
}

/** @param {{state:State, picture:Picture, act:Actions}} props */
function PairTable({ state, picture, act }) {
  const rows = useMemo(() => pairRows(picture, state.route.troubled), [picture, state.route.troubled]);
  if (rows.length === 0) return html`<${Nothing} troubled=${state.route.troubled} what="pair of sites" />`;
  return html`<div class="scroll"><table class="rows">
    <caption>${counted(rows.length, "pair of sites", "pairs of sites")}</caption>
    <thead><tr><th scope="col">Worst</th><th scope="col">From</th><th scope="col">To</th><th scope="col" class="number">Up</th><th scope="col" class="number">Unknown</th><th scope="col" class="number">RTT</th></tr></thead>
    <tbody>${rows.slice(0, 400).map((row) => html`<tr key=${`${row.from}→${row.to}`} onClick=${() => act.select({ kind: "pair", from: row.from, to: row.to })}>
      <td><${Chip} words=${linkWords(STATES[row.cell?.state ?? UNKNOWN])} /></td>
      <td><button class="link">${row.from}</button></td><td>${row.to}</td>
      <td class="number">${row.cell?.up} of ${row.cell?.total}</td><td class="number">${row.cell?.byState[UNKNOWN] || "–"}</td><td class="number">${rtt(row.cell?.rttP50)}</td></tr>`)}</tbody></table></div>`;
}

/** @param {{troubled:boolean, what:string}} props */
function Nothing({ troubled, what }) {
  return html`<p class="nothing">${troubled ? `Every ${what} is up.` : `No ${what} yet.`}</p>`;
}
