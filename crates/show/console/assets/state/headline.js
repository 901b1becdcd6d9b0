// @ts-check
// The first thing anyone reads: how the grid is, in one sentence; and what stands beside it.

import { counted, isFault, STATES, verdictWords, DEGRADED, DOWN, PARTIAL, UP, UNKNOWN, NOT_PROBED, LEFT } from "./words.js";
import { endsOf, epoch, findLink, transportOf } from "./picture.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Verdict} Verdict */
/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {import("./types.js").Shape} Shape */

/** Nodes above which the matrix comes first: a graph of more is a hairball. */
export const MAP_NODES_MAX = 25;

/** @type {WeakMap<Picture, ReturnType<typeof count>>} */
const counts = new WeakMap();

/** @param {Picture} picture */
export function summary(picture) {
  let found = counts.get(picture);
  if (!found) counts.set(picture, (found = count(picture)));
  return found;
}

/** @param {Picture} picture */
function count(picture) {
  const ours = picture.nodes.filter((node) => node.kind === "andon");
  const present = ours.filter((node) => node.state !== "left");
  const sites = new Set(present.map((node) => node.site ?? ""));
  const byState = new Array(STATES.length).fill(0);
  const { links } = picture;
  let slowest = -1;
  let lossiest = -1;
  let lossMost = 0;
  for (let at = 0; at < links.count; at += 1) {
    byState[links.state[at]] += 1;
    if (links.rttP50[at] > (slowest < 0 ? -1 : links.rttP50[slowest])) slowest = at;
    // Each direction's own loss; what is down has no loss to compare.
    const lost = links.lossForward[at] || 0;
    if (lost > lossMost && links.state[at] !== DOWN) {
      lossMost = lost;
      lossiest = at;
    }
  }
  return {
    nodes: ours.length,
    present: present.length,
    left: ours.length - present.length,
    nodesUp: ours.filter((node) => node.state === "up").length,
    sites: sites.size,
    // As `andon status` counts: what nobody asks, or asked of a node that left, is no link.
    links: links.count - byState[NOT_PROBED] - byState[LEFT],
    linksUp: byState[UP],
    unknown: byState[UNKNOWN],
    byState,
    slowest,
    lossiest,
    lossMost,
    targets: picture.nodes.filter((node) => node.kind === "target").length,
    carried: carried(picture),
    neighbours: picture.nodes.filter((node) => node.kind === "gridbug").length,
  };
}

/**
 * Links between nodes that carry something, and how many of them had to fall back to TCP.
 * `told`: of how many it is known what carries them.
 * @param {Picture} picture
 */
function carried(picture) {
  const { links, nodes } = picture;
  let [all, told, tcp] = [0, 0, 0];
  for (let at = 0; at < links.count; at += 1) {
    const state = links.state[at];
    if (state !== UP && state !== PARTIAL && state !== DEGRADED) continue;
    if (nodes[links.from[at]].kind !== "andon" || nodes[links.to[at]].kind !== "andon") continue;
    const by = transportOf(links, at);
    all += 1;
    if (by) told += 1;
    if (by === "tcp") tcp += 1;
  }
  return { all, told, tcp };
}

/** What the headline has to add, or `null`: the grid works, but not as it should. @param {Picture} picture */
export function caveat(picture) {
  const { all, told, tcp } = summary(picture).carried;
  if (tcp === 0) return null;
  const least = told < all ? "at least " : "";
  const said = `${least}${tcp.toLocaleString("en")} of ${counted(all, "link")} ${tcp === 1 && all === 1 ? "runs" : "run"} over TCP: UDP does not pass`;
  return said.slice(0, 1).toUpperCase() + said.slice(1);
}

/**
 * @param {Picture} picture
 * @returns {{text:string, detail:string, tone:Tone, shape:Shape, title:string}}
 */
export function headline(picture) {
  const sum = summary(picture);
  const faults = picture.verdicts.filter((verdict) => isFault(verdict.kind));
  const remarks = picture.verdicts.length - faults.length;
  const size = [
    `${counted(sum.present, "node")} in ${counted(sum.sites, "site")}`,
    counted(sum.links, "link"),
    sum.targets > 0 && counted(sum.targets, "target"),
    sum.neighbours > 0 && counted(sum.neighbours, "GridBug neighbour"),
    sum.left > 0 && `${sum.left} left on purpose`,
  ].filter(Boolean).join(", ");
  const beside = remarks === 0 ? size : `${size}, ${counted(remarks, "remark")}`;
  if (faults.some((verdict) => verdict.kind === "isolated")) {
    return {
      text: `${picture.me} is cut off from the grid`,
      detail: "This node reaches nobody; what it says of the others is what it knew last.",
      tone: "bad", shape: "cross", title: "cut off",
    };
  }
  if (faults.length > 0) {
    const bad = faults.some((verdict) => verdictWords(verdict.kind).tone === "bad");
    return {
      text: faults.length === 1 ? "One thing is wrong" : `${faults.length} things are wrong`,
      detail: beside,
      tone: bad ? "bad" : "warn",
      shape: bad ? "cross" : "triangle",
      title: `${faults.length} wrong`,
    };
  }
  if (sum.nodes <= 1 && sum.targets === 0 && sum.neighbours === 0) {
    return {
      text: "One node, nobody else yet", detail: "The grid starts here. Bring the next machine in.",
      tone: "mute", shape: "ring", title: "one node",
    };
  }
  if (sum.linksUp === 0) {
    return {
      text: "Getting to know the grid", detail: `${size}; none measured so far`,
      tone: "mute", shape: "dashed", title: "starting",
    };
  }
  return { text: "All well", detail: beside, tone: "good", shape: "disc", title: "all well" };
}

/** Verdicts for the eye: words, tone, shape and since when. @param {Verdict} verdict */
export function verdictView(verdict) {
  return { ...verdictWords(verdict.kind), since: epoch(verdict.since), fault: isFault(verdict.kind) };
}

/**
 * A line of the demo's story in few words: what it says in full stands in the verdict and in
 * the tray. Kind and subject where it says a verdict's sentence, else its first clause; what
 * it adds in brackets (who says so, how fast) stays.
 * @param {string} text @param {Verdict[]} verdicts
 */
export function inBrief(text, verdicts) {
  const bracket = text.match(/\s*(\([^()]*\))$/);
  const tail = bracket ? ` ${bracket[1]}` : "";
  const body = bracket ? text.slice(0, bracket.index) : text;
  const said = verdicts.find((verdict) => body.startsWith(verdict.sentence));
  if (said) return `${verdictWords(said.kind).text}: ${said.subject.replace(/[→↔]/, " $& ")}${tail}`;
  return (body.match(/^.{12,}?(?=[,:.;] )/)?.[0] ?? body) + tail;
}

/** The map, or the matrix where the map would be a hairball. @param {Picture} picture */
export function firstView(picture) {
  return picture.nodes.length > MAP_NODES_MAX ? "matrix" : "map";
}

/**
 * What a verdict is about.
 * @param {Picture} picture @param {Verdict|undefined} verdict
 * @returns {{nodes:Set<string>, sites:Set<string>, links:[string,string][]}}
 */
export function aboutOf(picture, verdict) {
  /** @type {{nodes:Set<string>, sites:Set<string>, links:[string,string][]}} */
  const about = { nodes: new Set(), sites: new Set(), links: [] };
  if (!verdict) return about;
  for (const link of verdict.links ?? []) {
    const ends = endsOf(link);
    if (!ends?.every((id) => picture.index.has(id))) continue;
    about.links.push(ends);
    for (const id of ends) about.nodes.add(id);
  }
  if (about.links.length > 0) return about;
  if (verdict.from && verdict.to) {
    for (const end of [verdict.from, verdict.to]) {
      if (picture.index.has(end)) about.nodes.add(end);
      else about.sites.add(end);
    }
    about.links.push([verdict.from, verdict.to]);
  } else if (verdict.kind === "site_cut_off") {
    about.sites.add(verdict.subject);
  } else if (picture.index.has(verdict.subject)) {
    about.nodes.add(verdict.subject);
  } else if (verdict.kind === "isolated") {
    about.nodes.add(picture.me);
  }
  return about;
}

/** What to open for a verdict. @param {Picture} picture @param {Verdict} verdict @returns {import("./types.js").Selection|null} */
export function selectionOf(picture, verdict) {
  const hit = mostHit(picture, verdict.links ?? []);
  if (hit) return { kind: "link", from: hit[0], to: hit[1] };
  const about = aboutOf(picture, verdict);
  if (about.links.length > 0 && about.nodes.size === 2) {
    return { kind: "link", from: about.links[0][0], to: about.links[0][1] };
  }
  for (const id of about.sites) return { kind: "site", id };
  for (const id of about.nodes) return { kind: "node", id };
  return null;
}

/** Of links as `from→to`, the one on which most flows fail. @param {Picture} picture @param {string[]} links @returns {[string,string]|null} */
export function mostHit(picture, links) {
  /** @type {[string,string]|null} */
  let most = null;
  let failed = -1;
  for (const link of links) {
    const ends = endsOf(link);
    const found = ends && findLink(picture, ends[0], ends[1]);
    if (!ends || !found || found.total - found.ok <= failed) continue;
    [most, failed] = [ends, found.total - found.ok];
  }
  return most;
}
