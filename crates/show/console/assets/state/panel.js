// @ts-check
// What the panel beside the grid says of a node, a link, a site or a pair of sites.

import { epoch, findLink, linkAt, linksOf, readLink, siteOf } from "./picture.js";
import { linkRows } from "./lists.js";
import { siteMatrix } from "./matrix.js";
import { counted, rtt, WEIGHT } from "./words.js";

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

/** @param {any} value @returns {number|null} */
function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * The observer's samples, oldest first, as two series; `null` where it has none. A link's
 * come once a second; a target's are its answers, each with its own time.
 * @param {any} data
 * @returns {{rtt:(number|null)[], loss:(number|null)[], spanMs:number}|null}
 */
export function historyOf(data) {
  /** @type {any[]} */
  const answers = Array.isArray(data?.samples) ? data.samples : [];
  if (answers.length > 0) {
    return {
      rtt: answers.map((answer) => (answer?.ok === true ? number(answer.rtt_us) : null)),
      // `ok` is null where nobody asked: that is a gap and no failure.
      loss: answers.map((answer) => (answer?.ok === false ? 1 : answer?.ok === true ? 0 : null)),
      spanMs: Math.max(0, epoch(answers[answers.length - 1]?.at) - epoch(answers[0]?.at)) || 0,
    };
  }
  /** @type {any[]} */
  const samples = Array.isArray(data?.history) ? data.history : [];
  if (samples.length === 0) return null;
  return {
    rtt: samples.map((sample) => number(sample?.rtt_us_p50)),
    loss: samples.map((sample) => {
      const known = [sample?.loss, sample?.loss_forward, sample?.loss_return].map(number).filter((value) => value !== null);
      return known.length === 0 ? null : Math.max(...known);
    }),
    spanMs: samples.length * (number(data.history_step_s) ?? 1) * 1000,
  };
}

const PHASES = /** @type {const} */ ([
  ["name_us", "Name lookup"], ["connect_us", "Connect"], ["tls_us", "TLS handshake"],
  ["first_byte_us", "First byte"], ["body_us", "Body"], ["total_us", "In all"],
]);

/**
 * What the observer found out about a target: where the time of its last answer went, its
 * certificate and the last answer in words. `null` where this is no target's detail.
 * @param {any} data @param {number} now epoch ms
 * @returns {{phases:{name:string, us:number}[], certificate:{until:string, issuer:string, subject:string, problem:string|null}|null, last:{text:string, at:number, ok:boolean|null}|null}|null}
 */
export function targetFacts(data, now) {
  if (!data?.phases && !Array.isArray(data?.samples)) return null;
  const phases = PHASES.flatMap(([key, name]) => {
    const us = number(data.phases?.[key]);
    return us === null ? [] : [{ name, us }];
  });
  const shown = data.certificate;
  const sample = Array.isArray(data.samples) ? data.samples[data.samples.length - 1] : null;
  const detail = sample?.detail ?? (sample?.ok === true ? data.detail : null);
  return {
    phases,
    certificate: shown ? { until: until(epoch(shown.not_after), now), issuer: String(shown.issuer ?? ""), subject: String(shown.subject ?? ""), problem: shown.problem ?? null } : null,
    last: sample ? {
      ok: sample.ok ?? null,
      at: epoch(sample.at),
      text: [sample.ok === true ? (number(sample.rtt_us) === null ? "answered" : `answered in ${rtt(sample.rtt_us)}`) : sample.ok === false ? "failed" : "not asked", detail].filter(Boolean).join(": "),
    } : null,
  };
}

/** A certificate's last day. @param {number} end epoch ms @param {number} now */
function until(end, now) {
  if (!Number.isFinite(end)) return "end not known";
  const days = Math.floor((end - now) / 86_400_000);
  const date = new Date(end).toISOString().slice(0, 10);
  if (!Number.isFinite(days)) return `until ${date}`;
  return end < now ? `expired on ${date}` : `until ${date} (${counted(days, "day")})`;
}
