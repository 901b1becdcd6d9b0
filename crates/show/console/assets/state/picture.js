// @ts-check
// The document of the API, in either form, as the console holds it; and a delta applied to
// it. Links become typed columns, so that 64,000 of them cost milliseconds and not seconds.

import { STATES, UNKNOWN } from "./words.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Links} Links */
/** @typedef {import("./types.js").Link} Link */
/** @typedef {import("./types.js").LinkView} LinkView */
/** @typedef {import("./types.js").LinkMore} LinkMore */
/** @typedef {import("./types.js").NodeView} NodeView */

const CODE = new Map(STATES.map((name, code) => [/** @type {string} */ (name), code]));

/** @param {string|null|undefined} text RFC 3339 @returns {number} epoch ms, NaN if absent */
export function epoch(text) {
  return text ? Date.parse(text) : NaN;
}

/** @param {number} value */
function orNull(value) {
  return Number.isNaN(value) ? null : value;
}

/** @param {number|null|undefined} value */
function orNaN(value) {
  return value === null || value === undefined ? NaN : value;
}

/** @param {number} count @returns {Links} */
function columns(count) {
  return {
    count,
    from: new Uint32Array(count),
    to: new Uint32Array(count),
    state: new Uint8Array(count),
    ok: new Uint16Array(count),
    total: new Uint16Array(count),
    lossForward: new Float32Array(count),
    lossReturn: new Float32Array(count),
    rttP50: new Float64Array(count),
    rttP99: new Float64Array(count),
    since: new Float64Array(count),
    more: new Array(count).fill(null),
    packed: null,
    place: new Int32Array(count).fill(-1),
  };
}

/** Copies every column but those that say which links there are. @param {Links} links @returns {Links} */
function copied(links) {
  return {
    ...links,
    state: links.state.slice(),
    ok: links.ok.slice(),
    total: links.total.slice(),
    lossForward: links.lossForward.slice(),
    lossReturn: links.lossReturn.slice(),
    rttP50: links.rttP50.slice(),
    rttP99: links.rttP99.slice(),
    since: links.since.slice(),
    more: links.more.slice(),
  };
}

/** @param {Links} links @param {number} at @param {LinkView} view */
function writeLink(links, at, view) {
  links.state[at] = CODE.get(view.state) ?? UNKNOWN;
  links.ok[at] = view.flows?.ok ?? 0;
  links.total[at] = view.flows?.total ?? 0;
  links.lossForward[at] = orNaN(view.loss?.forward);
  links.lossReturn[at] = orNaN(view.loss?.return);
  links.rttP50[at] = orNaN(view.rtt_us?.p50);
  links.rttP99[at] = orNaN(view.rtt_us?.p99);
  links.since[at] = epoch(view.since);
  links.more[at] = moreOf(view);
}

/** @param {LinkView} view @returns {LinkMore} */
function moreOf(view) {
  return {
    reason: view.reason ?? null,
    roundTrip: view.round_trip ?? null,
    transport: view.transport ?? null,
    heard: view.heard ?? null,
    baselineUs: view.rtt_baseline_us ?? null,
    via: view.via === true,
    detail: view.detail ?? null,
  };
}

/** @param {any} words @param {any} code @returns {any} */
function word(words, code) {
  return typeof code === "number" ? (words?.[code] ?? null) : null;
}

/** What carries the probes of a link. @param {Links} links @param {number} at @returns {string|null} */
export function transportOf(links, at) {
  const told = links.more[at];
  if (told) return told.transport;
  const place = links.place[at];
  return place < 0 ? null : word(links.packed?.transports, links.packed?.transport?.[place]);
}

/** What is seldom looked at, unpacked for one link: 64,000 objects would cost a frame or three.
 * @param {Links} links @param {number} at @returns {LinkMore|null} */
export function moreAt(links, at) {
  const place = links.place[at];
  const sent = links.packed;
  if (links.more[at] || place < 0 || !sent?.transports) return links.more[at];
  return {
    reason: word(sent.reasons, sent.reason?.[place]),
    roundTrip: word(sent.states, sent.round_trip?.[place]),
    transport: word(sent.transports, sent.transport?.[place]),
    heard: word(sent.hearings, sent.heard?.[place]),
    baselineUs: sent.rtt_baseline?.[place] ?? null,
    via: sent.via?.[place] === 1,
    detail: sent.detail?.[place] ?? null,
  };
}

/** @param {NodeView[]} nodes */
function indexed(nodes) {
  return new Map(nodes.map((node, at) => [node.id, at]));
}

/**
 * A whole picture, from either form of the document.
 * @param {any} document
 * @returns {Picture}
 */
export function readPicture(document) {
  /** @type {NodeView[]} */
  const nodes = document.nodes ?? [];
  const index = indexed(nodes);
  const links = Array.isArray(document.links)
    ? fromViews(document.links, index)
    : fromColumns(document.links ?? {}, document.links?.states ?? STATES, nodes.length);
  return {
    digest: document.digest ?? "",
    generatedAt: epoch(document.generated_at),
    me: document.me ?? "",
    nodes,
    index,
    links,
    verdicts: document.verdicts ?? [],
  };
}

/** @param {LinkView[]} views @param {Map<string,number>} index @returns {Links} */
function fromViews(views, index) {
  const known = views.filter((view) => index.has(view.from) && index.has(view.to));
  const links = columns(known.length);
  known.forEach((view, at) => {
    links.from[at] = /** @type {number} */ (index.get(view.from));
    links.to[at] = /** @type {number} */ (index.get(view.to));
    writeLink(links, at, view);
  });
  return links;
}

/** @param {any} sent @param {string[]} states @param {number} nodeCount @returns {Links} */
function fromColumns(sent, states, nodeCount) {
  const code = states.map((name) => CODE.get(name) ?? UNKNOWN);
  const count = sent.from?.length ?? 0;
  const links = columns(count);
  let kept = 0;
  for (let at = 0; at < count; at += 1) {
    if (sent.from[at] >= nodeCount || sent.to[at] >= nodeCount) continue;
    links.from[kept] = sent.from[at];
    links.to[kept] = sent.to[at];
    links.state[kept] = code[sent.state[at]] ?? UNKNOWN;
    links.ok[kept] = sent.ok?.[at] ?? 0;
    links.total[kept] = sent.total?.[at] ?? 0;
    links.lossForward[kept] = orNaN(sent.loss_forward?.[at]) / 1000;
    links.lossReturn[kept] = orNaN(sent.loss_return?.[at]) / 1000;
    links.rttP50[kept] = orNaN(sent.rtt_p50?.[at]);
    links.rttP99[kept] = orNaN(sent.rtt_p99?.[at]);
    links.since[kept] = orNaN(sent.since?.[at]);
    links.place[kept] = at;
    kept += 1;
  }
  links.count = kept;
  links.packed = sent;
  return links;
}

/**
 * The picture after a delta. The earlier one stays as it was.
 * @param {Picture} picture
 * @param {any} delta
 * @returns {Picture}
 */
export function applyDelta(picture, delta) {
  /** @type {NodeView[]} */
  const changedNodes = delta.nodes ?? [];
  /** @type {LinkView[]} */
  const changedLinks = delta.links ?? [];
  const goneNodes = new Set(/** @type {string[]} */ (delta.gone?.nodes ?? []));
  const goneLinks = /** @type {[string,string][]} */ (delta.gone?.links ?? []);

  const nodes = picture.nodes.filter((node) => !goneNodes.has(node.id));
  const compacted = nodes.length !== picture.nodes.length;
  const index = compacted ? indexed(nodes) : new Map(picture.index);
  for (const node of changedNodes) {
    const at = index.get(node.id);
    if (at === undefined) {
      index.set(node.id, nodes.length);
      nodes.push(node);
    } else {
      nodes[at] = node;
    }
  }

  const places = changedLinks.map((view) => placeOf(picture, view));
  const sameLinks = !compacted && goneLinks.length === 0 && !places.includes(-1);
  let links = picture.links;
  if (!sameLinks) {
    links = rebuilt(picture, index, changedLinks, goneLinks);
  } else if (changedLinks.length > 0) {
    links = copied(picture.links);
    changedLinks.forEach((view, at) => writeLink(links, places[at], view));
  }
  return {
    digest: delta.digest ?? picture.digest,
    generatedAt: delta.generated_at ? epoch(delta.generated_at) : picture.generatedAt,
    me: picture.me,
    nodes,
    index,
    links,
    verdicts: delta.verdicts ?? picture.verdicts,
  };
}

/** @param {Picture} picture @param {LinkView} view @returns {number} -1 where the link is new. */
function placeOf(picture, view) {
  const from = picture.index.get(view.from);
  const to = picture.index.get(view.to);
  return from === undefined || to === undefined ? -1 : linkAt(picture, from, to);
}

/**
 * Links come or go: all columns anew.
 * @param {Picture} picture @param {Map<string,number>} index
 * @param {LinkView[]} changed @param {[string,string][]} gone
 * @returns {Links}
 */
function rebuilt(picture, index, changed, gone) {
  const old = picture.links;
  const oldNodes = picture.nodes;
  /** @type {Map<number, number|LinkView>} */
  const wanted = new Map();
  for (let at = 0; at < old.count; at += 1) {
    const from = index.get(oldNodes[old.from[at]].id);
    const to = index.get(oldNodes[old.to[at]].id);
    if (from !== undefined && to !== undefined) wanted.set(from * PAIR + to, at);
  }
  for (const [fromId, toId] of gone) {
    const from = index.get(fromId);
    const to = index.get(toId);
    if (from !== undefined && to !== undefined) wanted.delete(from * PAIR + to);
  }
  for (const view of changed) {
    const from = index.get(view.from);
    const to = index.get(view.to);
    if (from !== undefined && to !== undefined) wanted.set(from * PAIR + to, view);
  }
  const links = columns(wanted.size);
  links.packed = old.packed;
  let at = 0;
  for (const [key, source] of wanted) {
    links.from[at] = Math.floor(key / PAIR);
    links.to[at] = key % PAIR;
    if (typeof source === "number") {
      copyLink(old, source, links, at);
    } else {
      writeLink(links, at, source);
    }
    at += 1;
  }
  return links;
}

/** @param {Links} source @param {number} at @param {Links} target @param {number} to */
function copyLink(source, at, target, to) {
  target.state[to] = source.state[at];
  target.ok[to] = source.ok[at];
  target.total[to] = source.total[at];
  target.lossForward[to] = source.lossForward[at];
  target.lossReturn[to] = source.lossReturn[at];
  target.rttP50[to] = source.rttP50[at];
  target.rttP99[to] = source.rttP99[at];
  target.since[to] = source.since[at];
  target.more[to] = source.more[at];
  target.place[to] = source.place[at];
}

const NONE = new Uint32Array(0);

/** Two indices in one key. More nodes than any grid holds, and `PAIR * PAIR` stays exact. */
const PAIR = 1 << 20;

/** Index of the link between two nodes (indices), or -1. @param {Picture} picture @param {number} from @param {number} to */
export function linkAt(picture, from, to) {
  // A node has at most some hundred links: looking through them beats keeping a table of all.
  const ends = picture.links.to;
  for (const at of linksOf(picture, from).out) if (ends[at] === to) return at;
  return -1;
}

/** @param {Picture} picture @param {number} at @returns {Link} */
export function readLink(picture, at) {
  const { links, nodes } = picture;
  return {
    at,
    from: nodes[links.from[at]].id,
    to: nodes[links.to[at]].id,
    state: STATES[links.state[at]],
    ok: links.ok[at],
    total: links.total[at],
    lossForward: orNull(links.lossForward[at]),
    lossReturn: orNull(links.lossReturn[at]),
    rttP50: orNull(links.rttP50[at]),
    rttP99: orNull(links.rttP99[at]),
    since: orNull(links.since[at]),
    more: moreAt(links, at),
  };
}

/** The link between two ids, or `null`. @param {Picture} picture @param {string} from @param {string} to */
export function findLink(picture, from, to) {
  const a = picture.index.get(from);
  const b = picture.index.get(to);
  if (a === undefined || b === undefined) return null;
  const at = linkAt(picture, a, b);
  return at < 0 ? null : readLink(picture, at);
}

/** Derived once for as long as the same links exist: keyed by the column that says so.
 * @type {WeakMap<Uint32Array, {out:Uint32Array[], into:Uint32Array[]}>} */
const adjacency = new WeakMap();

/** Indices of the links that leave and that reach a node. @param {Picture} picture @param {number} node */
export function linksOf(picture, node) {
  const { links } = picture;
  let found = adjacency.get(links.from);
  if (!found) {
    found = { out: grouped(links.from, links.count), into: grouped(links.to, links.count) };
    adjacency.set(links.from, found);
  }
  return { out: found.out[node] ?? NONE, into: found.into[node] ?? NONE };
}

/** @param {Uint32Array} ends @param {number} count @returns {Uint32Array[]} */
function grouped(ends, count) {
  let most = 0;
  for (let at = 0; at < count; at += 1) most = Math.max(most, ends[at] + 1);
  const start = new Uint32Array(most + 1);
  for (let at = 0; at < count; at += 1) start[ends[at] + 1] += 1;
  for (let end = 0; end < most; end += 1) start[end + 1] += start[end];
  const order = new Uint32Array(count);
  const next = start.slice();
  for (let at = 0; at < count; at += 1) order[next[ends[at]]++] = at;
  return Array.from({ length: most }, (_, end) => order.subarray(start[end], start[end + 1]));
}

/** Site of a node, in words. @param {NodeView} node */
export function siteOf(node) {
  return node.site ?? (node.kind === "target" ? "targets" : node.kind === "gridbug" ? "GridBug" : "no site");
}

/** `from→to` taken apart. @param {string} link @returns {[string,string]|null} */
export function endsOf(link) {
  const [from, to, more] = link.split("→");
  return from && to && more === undefined ? [from, to] : null;
}
