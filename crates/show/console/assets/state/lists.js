// @ts-check
// The table twins of the canvases: links, nodes and pairs of sites as rows.

import { readLink, siteOf, linksOf, epoch } from "./picture.js";
import { WEIGHT, UP, STATES } from "./words.js";
import { siteMatrix } from "./matrix.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Link} Link */
/** @typedef {import("./types.js").NodeView} NodeView */

/** Rows on one page. More would cost a frame and help nobody. */
export const ROWS_PER_PAGE = 50;

/**
 * Indices of links, the worst first, else in the order of the document (by name).
 * @param {Picture} picture @param {[string,string]|null} scope @param {boolean} troubled
 */
export function linkRows(picture, scope, troubled) {
  const { links, nodes } = picture;
  const inScope = scope ? nodes.map((node) => [siteOf(node) === scope[0], siteOf(node) === scope[1]]) : null;
  /** @type {number[][]} */
  const byRank = Array.from({ length: RANKS }, () => []);
  for (let at = 0; at < links.count; at += 1) {
    if (troubled && links.state[at] === UP) continue;
    if (inScope && !(inScope[links.from[at]][0] && inScope[links.to[at]][1])) continue;
    byRank[faultRank(links.state[at])].push(at);
  }
  return byRank.reverse().flat();
}

/** One more than the highest rank. */
const RANKS = 8;

/** Trouble first, then what is unknown, then the rest. @param {number} state */
function faultRank(state) {
  return state === UP ? 0 : WEIGHT[state] + (STATES[state] === "unknown" ? 1 : 0);
}

/** @param {Picture} picture @param {number[]} rows @param {number} page @returns {Link[]} */
export function pageOf(picture, rows, page) {
  return rows.slice(page * ROWS_PER_PAGE, (page + 1) * ROWS_PER_PAGE).map((at) => readLink(picture, at));
}

/** @param {Picture} picture @param {boolean} troubled */
export function nodeRows(picture, troubled) {
  const order = { down: 0, suspect: 1, left: 3, up: 2 };
  return picture.nodes
    .filter((node) => !troubled || node.state !== "up")
    .map((node) => ({ node, site: siteOf(node), since: epoch(node.since), ...tally(picture, node) }))
    .sort((a, b) => order[a.node.state] - order[b.node.state] || a.site.localeCompare(b.site) || a.node.id.localeCompare(b.node.id, "en", { numeric: true }));
}

/** How its links fare, each way. @param {Picture} picture @param {NodeView} node */
export function tally(picture, node) {
  const { out, into } = linksOf(picture, picture.index.get(node.id) ?? -1);
  const up = (/** @type {Uint32Array} */ links) => {
    let count = 0;
    for (const at of links) if (picture.links.state[at] === UP) count += 1;
    return count;
  };
  return { out: out.length, outUp: up(out), into: into.length, intoUp: up(into) };
}

/** @param {Picture} picture @param {boolean} troubled */
export function pairRows(picture, troubled) {
  const { sites, cells } = siteMatrix(picture);
  return cells
    .map((cell, at) => ({ from: sites[Math.floor(at / sites.length)], to: sites[at % sites.length], cell }))
    .filter((row) => row.cell !== null && (!troubled || row.cell.state !== UP))
    .sort((a, b) => faultRank(b.cell?.state ?? 0) - faultRank(a.cell?.state ?? 0));
}
