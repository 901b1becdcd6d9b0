// @ts-check
// The grid as a matrix: who observes (rows), who is observed (columns); site by site, or node
// by node within a pair of sites.

import { linkAt, siteOf } from "./picture.js";
import { STATES, WEIGHT, NOT_PROBED, UP, LEFT, UNKNOWN } from "./words.js";

/** @typedef {import("./types.js").Picture} Picture */

/**
 * @typedef {object} SiteCell
 * @property {number} state The weightiest state within.
 * @property {number} total Links that are probed.
 * @property {number} up
 * @property {number} known Links of which something is known.
 * @property {number[]} byState
 * @property {number|null} rttP50 Median of medians, microseconds.
 */

/** @typedef {{sites:string[], nodes:number[], cells:(SiteCell|null)[]}} SiteMatrix Row by row. */

/** @type {WeakMap<Picture, SiteMatrix>} */
const matrices = new WeakMap();

/** @param {Picture} picture @returns {SiteMatrix} */
export function siteMatrix(picture) {
  let found = matrices.get(picture);
  if (!found) matrices.set(picture, (found = countSites(picture)));
  return found;
}

/** @param {Picture} picture @returns {SiteMatrix} */
function countSites(picture) {
  const named = picture.nodes.map(siteOf);
  const sites = [...new Set(named)].sort();
  const place = new Map(sites.map((site, at) => [site, at]));
  const nodeSite = Uint16Array.from(named, (site) => /** @type {number} */ (place.get(site)));
  const nodes = new Array(sites.length).fill(0);
  for (const site of nodeSite) nodes[site] += 1;
  const size = sites.length;
  /** @type {(SiteCell|null)[]} */
  const cells = new Array(size * size).fill(null);
  const { links } = picture;
  const where = new Uint32Array(links.count);
  for (let at = 0; at < links.count; at += 1) {
    where[at] = nodeSite[links.from[at]] * size + nodeSite[links.to[at]];
    const cell = (cells[where[at]] ??= {
      state: NOT_PROBED, total: 0, up: 0, known: 0, byState: new Array(STATES.length).fill(0), rttP50: null,
    });
    const state = links.state[at];
    cell.byState[state] += 1;
    if (WEIGHT[state] > WEIGHT[cell.state]) cell.state = state;
    if (state !== NOT_PROBED && state !== LEFT) cell.total += 1;
    if (state !== NOT_PROBED && state !== LEFT && state !== UNKNOWN) cell.known += 1;
    if (state === UP) cell.up += 1;
  }
  medians(cells, where, links.rttP50);
  return { sites, nodes, cells };
}

/** Sorts all round trips in one array, each cell's in its own stretch of it.
 * @param {(SiteCell|null)[]} cells @param {Uint32Array} where @param {Float64Array} rtt */
function medians(cells, where, rtt) {
  const start = new Uint32Array(cells.length + 1);
  for (let at = 0; at < where.length; at += 1) if (rtt[at] === rtt[at]) start[where[at] + 1] += 1;
  for (let cell = 0; cell < cells.length; cell += 1) start[cell + 1] += start[cell];
  const times = new Float64Array(start[cells.length]);
  const next = start.slice();
  for (let at = 0; at < where.length; at += 1) if (rtt[at] === rtt[at]) times[next[where[at]]++] = rtt[at];
  cells.forEach((cell, at) => {
    const own = times.subarray(start[at], start[at + 1]).sort();
    if (cell && own.length > 0) cell.rttP50 = own[Math.floor(own.length / 2)];
  });
}

/**
 * @typedef {object} NodeMatrix
 * @property {number[]} rows Node indices.
 * @property {number[]} columns
 * @property {Int32Array} links Index of the link per cell, row by row; -1 where there is none.
 */

/**
 * Node by node: all nodes, or those of a pair of sites.
 * @param {Picture} picture @param {[string,string]|null} scope @returns {NodeMatrix}
 */
export function nodeMatrix(picture, scope) {
  const order = picture.nodes.map((_, at) => at).sort((a, b) => bySite(picture, a, b));
  const rows = scope ? order.filter((at) => siteOf(picture.nodes[at]) === scope[0]) : order;
  const columns = scope ? order.filter((at) => siteOf(picture.nodes[at]) === scope[1]) : order;
  const links = new Int32Array(rows.length * columns.length);
  rows.forEach((from, row) => {
    columns.forEach((to, column) => {
      links[row * columns.length + column] = from === to ? -1 : linkAt(picture, from, to);
    });
  });
  return { rows: rows.filter((_, row) => observes(links, row, columns.length, scope)), columns, links: compact(rows, columns, links, scope) };
}

/** Targets and neighbours observe nothing: their rows would be empty. @param {Int32Array} links @param {number} row @param {number} width @param {[string,string]|null} scope */
function observes(links, row, width, scope) {
  if (scope) return true;
  for (let column = 0; column < width; column += 1) if (links[row * width + column] >= 0) return true;
  return false;
}

/** @param {number[]} rows @param {number[]} columns @param {Int32Array} links @param {[string,string]|null} scope */
function compact(rows, columns, links, scope) {
  const width = columns.length;
  const kept = rows.map((_, row) => row).filter((row) => observes(links, row, width, scope));
  if (kept.length === rows.length) return links;
  const packed = new Int32Array(kept.length * width);
  kept.forEach((row, to) => packed.set(links.subarray(row * width, (row + 1) * width), to * width));
  return packed;
}

/** @param {Picture} picture @param {number} a @param {number} b */
function bySite(picture, a, b) {
  const [one, other] = [picture.nodes[a], picture.nodes[b]];
  return siteOf(one).localeCompare(siteOf(other)) || one.id.localeCompare(other.id, "en", { numeric: true });
}
