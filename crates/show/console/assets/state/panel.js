// @ts-check
// What the panel beside the grid says of a node, a link, a site or a pair of sites.

import { findLink, linkAt, linksOf, readLink, siteOf } from "./picture.js";
import { linkRows } from "./lists.js";
import { siteMatrix } from "./matrix.js";
import { rtt, WEIGHT } from "./words.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Link} Link */
/** @typedef {import("./types.js").NodeView} NodeView */

/** Links named in a panel; the rest is counted, and stands in the list. */
export const PEERS_MAX = 60;

/** Marks of flows; a burst probes up to 64. */
const FLOWS_MAX = 64;

/**
 * A node with each peer's two links, the worst first.
 * @param {Picture} picture @param {string} id
 * @returns {{node:NodeView, peers:{id:string, site:string, out:Link|null, into:Link|null}[], hidden:number}|null}
 */
export function nodePanel(picture, id) {
  const at = picture.index.get(id);
  if (at === undefined) return null;
  const { out, into } = linksOf(picture, at);
  /** @type {Set<number>} */
  const ends = new Set();
  for (const link of out) ends.add(picture.links.to[link]);
  for (const link of into) ends.add(picture.links.from[link]);
  const weight = (/** @type {number} */ link) => (link < 0 ? -1 : WEIGHT[picture.links.state[link]]);
  const ranked = [...ends]
    .map((peer) => ({ peer, there: linkAt(picture, at, peer), back: linkAt(picture, peer, at) }))
    .sort((a, b) => Math.max(weight(b.there), weight(b.back)) - Math.max(weight(a.there), weight(a.back)) || a.peer - b.peer);
  const peers = ranked.slice(0, PEERS_MAX).map(({ peer, there, back }) => ({
    id: picture.nodes[peer].id,
    site: siteOf(picture.nodes[peer]),
    out: there < 0 ? null : readLink(picture, there),
    into: back < 0 ? null : readLink(picture, back),
  }));
  return { node: picture.nodes[at], peers, hidden: ranked.length - peers.length };
}

/**
 * A link, its way back, and what the others say of its far end.
 * @param {Picture} picture @param {string} from @param {string} to
 * @returns {{link:Link, back:Link|null, others:Link[], othersUp:number, far:NodeView}|null}
 */
export function linkPanel(picture, from, to) {
  const link = findLink(picture, from, to);
  if (!link) return null;
  const farAt = /** @type {number} */ (picture.index.get(to));
  const { into } = linksOf(picture, farAt);
  const others = [...into].filter((at) => at !== link.at).sort((a, b) => WEIGHT[picture.links.state[b]] - WEIGHT[picture.links.state[a]]);
  return {
    link,
    back: findLink(picture, to, from),
    others: others.slice(0, PEERS_MAX).map((at) => readLink(picture, at)),
    othersUp: others.filter((at) => picture.links.state[at] === 0).length,
    far: picture.nodes[farAt],
  };
}

/** @param {Picture} picture @param {string} from @param {string} to */
export function pairPanel(picture, from, to) {
  const { sites, cells } = siteMatrix(picture);
  const [a, b] = [sites.indexOf(from), sites.indexOf(to)];
  if (a < 0 || b < 0) return null;
  const rows = linkRows(picture, [from, to], false);
  return {
    there: cells[a * sites.length + b],
    back: cells[b * sites.length + a],
    worst: rows.slice(0, 14).map((at) => readLink(picture, at)),
    count: rows.length,
  };
}

/** @param {Picture} picture @param {string} site */
export function sitePanel(picture, site) {
  const nodes = picture.nodes.filter((node) => siteOf(node) === site);
  if (nodes.length === 0) return null;
  const { sites, cells } = siteMatrix(picture);
  const at = sites.indexOf(site);
  const others = sites
    .map((other, to) => ({ site: other, there: cells[at * sites.length + to], back: cells[to * sites.length + at] }))
    .filter((row) => row.there || row.back);
  return { nodes, others };
}

/**
 * The flows of a link as a row of marks: each told where the observer answered, else counted.
 * @param {Link} link @param {any} data
 * @returns {{alive:boolean, title:string}[]}
 */
export function flowMarks(link, data) {
  if (Array.isArray(data?.flows) && data.flows.length > 0) {
    return data.flows.slice(0, FLOWS_MAX).map((/** @type {any} */ flow) => ({
      alive: flow.alive === true,
      title: [
        `port ${flow.port}: ${flow.alive ? "answers" : "no answer"}`,
        Number.isFinite(flow.rtt_us_last) && flow.alive ? rtt(flow.rtt_us_last) : "",
        Number.isFinite(flow.sent) ? `${flow.sent} sent, ${flow.answered ?? 0} answered` : "",
        flow.lost_forward > 0 ? `${flow.lost_forward} lost on the way there` : "",
        flow.lost_return > 0 ? `${flow.lost_return} lost on the way back` : "",
      ].filter(Boolean).join(", "),
    }));
  }
  return Array.from({ length: Math.min(FLOWS_MAX, link.total) }, (_, at) => ({
    alive: at < link.ok, title: at < link.ok ? "answers" : "no answer",
  }));
}

/**
 * The observer's samples, oldest first, as two series; `null` where it has none.
 * @param {any} data
 * @returns {{rtt:(number|null)[], loss:(number|null)[], stepS:number}|null}
 */
export function historyOf(data) {
  const samples = Array.isArray(data?.history) ? data.history : [];
  if (samples.length === 0) return null;
  const number = (/** @type {any} */ value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  return {
    rtt: samples.map((/** @type {any} */ sample) => number(sample?.rtt_us_p50)),
    loss: samples.map((/** @type {any} */ sample) => {
      const known = [sample?.loss, sample?.loss_forward, sample?.loss_return].map(number).filter((value) => value !== null);
      return known.length === 0 ? null : Math.max(...known);
    }),
    stepS: number(data.history_step_s) ?? 1,
  };
}
