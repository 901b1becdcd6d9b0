// @ts-check
// What the map shows, in plain arrays: places of nodes and sites, and which links are worth
// a line. Positions come from the node; where it sends none, sites stand on a ring.

import { linkAt, linksOf, siteOf } from "./picture.js";
import { DOWN, NOT_PROBED, STATES, UP, WEIGHT } from "./words.js";
import { siteMatrix } from "./matrix.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Selection} Selection */
/** @typedef {{id:string, at:number, x:number, y:number, site:string, state:string, kind:string, me:boolean}} Spot */
/** @typedef {{site:string, loose:boolean, x:number, y:number, radius:number, count:number, up:number, anyDown:boolean}} Place */
/** @typedef {{a:number, b:number, there:number, back:number}} Line `there`: link a→b; `back`: b→a; each an index or -1. */
/** @typedef {{spots:Spot[], places:Place[], lines:Line[], bundles:{a:number,b:number,state:number,up:number,total:number}[], crowded:boolean}} MapModel */

/** Nodes up to which every link has its own line. Beyond, healthy links between two sites are
 * one bundle, and only what is wrong stands out. */
export const LINES_NODES_MAX = 40;

/** Lines drawn of what is wrong, at most. More are a wall; the matrix shows them better. */
export const TROUBLE_LINES_MAX = 1500;

/** @type {WeakMap<Picture["nodes"], {x:number,y:number}[]>} */
const fallbacks = new WeakMap();

/** @param {Picture} picture */
function positions(picture) {
  let found = fallbacks.get(picture.nodes);
  if (!found) fallbacks.set(picture.nodes, (found = ring(picture)));
  return found;
}

/** @param {Picture} picture @returns {{x:number,y:number}[]} */
function ring(picture) {
  const sites = [...new Set(picture.nodes.map(siteOf))].sort();
  /** @type {Map<string, string[]>} */
  const members = new Map(sites.map((site) => [site, []]));
  for (const node of picture.nodes) members.get(siteOf(node))?.push(node.id);
  for (const ids of members.values()) ids.sort();
  const around = sites.length === 1 ? 0 : 0.34;
  const room = sites.length <= 1 ? 0.3 : Math.min(0.16, (around * Math.PI) / sites.length / 1.5);
  return picture.nodes.map((node) => {
    if (node.position) return node.position;
    const site = siteOf(node);
    const turn = -Math.PI / 2 + (2 * Math.PI * sites.indexOf(site)) / sites.length;
    const ids = members.get(site) ?? [];
    const rank = ids.indexOf(node.id);
    // A sunflower's spiral: even at any count, and the early ones never move.
    const radius = ids.length === 1 ? 0 : room * Math.sqrt((rank + 0.5) / ids.length);
    const angle = rank * 2.39996 + turn;
    return {
      x: 0.5 + around * Math.cos(turn) + radius * Math.cos(angle),
      y: 0.5 + around * Math.sin(turn) + radius * Math.sin(angle),
    };
  });
}

/** @param {Picture} picture @param {Selection|null} selection @returns {MapModel} */
export function mapModel(picture, selection) {
  const where = positions(picture);
  /** @type {Spot[]} */
  const spots = picture.nodes.map((node, at) => ({
    id: node.id, at, x: where[at].x, y: where[at].y, site: siteOf(node), state: node.state, kind: node.kind, me: node.id === picture.me,
  }));
  const crowded = spots.length > LINES_NODES_MAX;
  const lines = crowded ? troubleLines(picture, selection) : allLines(picture);
  return { spots, places: placesOf(spots), lines, bundles: crowded ? bundlesOf(picture) : [], crowded };
}

/** @param {Spot[]} spots @returns {Place[]} */
function placesOf(spots) {
  /** @type {Map<string, Spot[]>} */
  const bySite = new Map();
  for (const spot of spots) {
    const list = bySite.get(spot.site);
    if (list) list.push(spot);
    else bySite.set(spot.site, [spot]);
  }
  return [...bySite].sort(([a], [b]) => a.localeCompare(b)).map(([site, members]) => {
    const xs = members.map((spot) => spot.x);
    const ys = members.map((spot) => spot.y);
    const x = (Math.min(...xs) + Math.max(...xs)) / 2;
    const y = (Math.min(...ys) + Math.max(...ys)) / 2;
    const radius = Math.max(...members.map((spot) => Math.hypot(spot.x - x, spot.y - y)));
    const up = members.filter((spot) => spot.state === "up").length;
    // Targets and neighbours stand wherever they are reached from: no box holds them.
    const loose = members.every((spot) => spot.kind !== "andon");
    return { site, loose, x, y, radius, count: members.length, up, anyDown: members.some((spot) => spot.state === "down") };
  });
}

/** @param {Picture} picture @returns {Line[]} */
function allLines(picture) {
  const { links } = picture;
  /** @type {Line[]} */
  const lines = [];
  for (let at = 0; at < links.count; at += 1) {
    const [from, to] = [links.from[at], links.to[at]];
    const back = linkAt(picture, to, from);
    if (back >= 0 && from > to) continue;
    lines.push({ a: from, b: to, there: at, back });
  }
  return ordered(picture, lines);
}

/** What is wrong, and what is selected. @param {Picture} picture @param {Selection|null} selection @returns {Line[]} */
function troubleLines(picture, selection) {
  const { links } = picture;
  /** @type {Map<number, Line>} */
  const lines = new Map();
  const add = (/** @type {number} */ at) => {
    const [a, b] = links.from[at] < links.to[at] ? [links.from[at], links.to[at]] : [links.to[at], links.from[at]];
    const key = a * picture.nodes.length + b;
    if (lines.has(key)) return;
    lines.set(key, { a, b, there: linkAt(picture, a, b), back: linkAt(picture, b, a) });
  };
  if (selection?.kind === "node") {
    const { out, into } = linksOf(picture, picture.index.get(selection.id) ?? -1);
    out.forEach(add);
    into.forEach(add);
  }
  if (selection?.kind === "link") {
    const [from, to] = [picture.index.get(selection.from), picture.index.get(selection.to)];
    const at = from === undefined || to === undefined ? -1 : linkAt(picture, from, to);
    if (at >= 0) add(at);
  }
  for (const state of [DOWN, 1, 2]) {
    for (let at = 0; at < links.count && lines.size < TROUBLE_LINES_MAX; at += 1) {
      if (links.state[at] === state) add(at);
    }
  }
  return ordered(picture, [...lines.values()]);
}

/** What is wrong is painted last, so that nothing covers it. @param {Picture} picture @param {Line[]} lines */
function ordered(picture, lines) {
  const weight = (/** @type {Line} */ line) => Math.max(weightAt(picture, line.there), weightAt(picture, line.back));
  return lines.map((line) => ({ line, weight: weight(line) })).sort((a, b) => a.weight - b.weight).map((item) => item.line);
}

/** @param {Picture} picture @param {number} at */
function weightAt(picture, at) {
  return at < 0 ? -1 : WEIGHT[picture.links.state[at]];
}

/** @param {Picture} picture */
function bundlesOf(picture) {
  const { sites, cells } = siteMatrix(picture);
  const bundles = [];
  for (let a = 0; a < sites.length; a += 1) {
    for (let b = a + 1; b < sites.length; b += 1) {
      const [there, back] = [cells[a * sites.length + b], cells[b * sites.length + a]];
      if (!there && !back) continue;
      const state = WEIGHT[there?.state ?? NOT_PROBED] > WEIGHT[back?.state ?? NOT_PROBED] ? there?.state : back?.state;
      bundles.push({
        a, b, state: state ?? NOT_PROBED, up: (there?.up ?? 0) + (back?.up ?? 0), total: (there?.total ?? 0) + (back?.total ?? 0),
      });
    }
  }
  return bundles;
}

/** The map in one sentence, for those who do not see it. @param {MapModel} model @param {Picture} picture */
export function mapWords(model, picture) {
  const wrong = model.spots.filter((spot) => spot.state !== "up" && spot.state !== "left").length;
  let links = 0;
  for (let at = 0; at < picture.links.count; at += 1) {
    const state = picture.links.state[at];
    if (state !== UP && STATES[state] !== "not_probed" && STATES[state] !== "unknown") links += 1;
  }
  return `Map of ${model.spots.length} nodes in ${model.places.length} sites; ${wrong} nodes and ${links} links are not up. The list holds the same as a table.`;
}
