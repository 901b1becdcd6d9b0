// @ts-check
// The flows of a link as a bundle: which ways they take hop by hop, where they come together,
// and where they end. Plain figures in units of the drawing; `views/bundle.js` makes elements.

import { counted, loss, NOT_MEASURED } from "./words.js";

/** @typedef {import("./types.js").Tone} Tone */
/** @typedef {import("./types.js").Shape} Shape */

/** What one trace may hold; more is cut. A burst has 64 flows, no path on earth 32 hops. */
const FLOWS_MAX = 64;
const HOPS_MAX = 32;
const ADDRESSES_MAX = 8;

/** Probes of a flow from which its loss is worth a word. */
const LOSS_SENT_MIN = 20;
/** Share of these lost from which a way is drawn as lossy. */
const LOSSY = 0.01;

/** Pixels: the thickness of one flow at most, of all flows together, and the room between ways
 * for a hop's name. */
const FLOW_MAX = 7;
const FLOWS_TALL = 104;
const GAP = 44;
const GAP_TIGHT = 15;
/** Ways above which names stand closer. */
const TIGHT_FROM = 8;

/** Columns side by side from which stretches that all flows share are folded into one. */
const FOLD_FROM = 7;
const FOLD_RUN = 3;

/** @typedef {{ttl:number, addresses:string[], kind:"answered"|"silent"|"several"|"unreachable", rttUs:number|null, sent:number, answered:number, mpls:string, nat:boolean}} Hop */
/** @typedef {{port:number, state:"alive"|"dead"|"unknown", sent:number, answered:number, lossThere:number|null, lossBack:number|null, rttUs:number|null, reached:boolean, hops:Hop[]}} Flow */

/**
 * @typedef {object} Knot A hop in the drawing: where ways meet.
 * @property {string} key
 * @property {number} column 0 is the observer, the last the far end.
 * @property {Hop["kind"]|"end"|"folded"} kind
 * @property {string} label Short enough for the drawing.
 * @property {string} title In full.
 * @property {boolean} guilty
 * @property {number} y Centre.
 * @property {number} tall
 * @property {number} flows
 * @property {string[]} addresses
 * @property {number|null} rttUs
 */

/**
 * @typedef {object} Way A distinct way with the flows that take it and fare alike.
 * @property {string} name A, B, C …
 * @property {number[]} ports
 * @property {"alive"|"dead"|"lossy"|"unknown"} state
 * @property {Tone} tone
 * @property {Shape} shape
 * @property {{knot:number, y:number}[]} stops
 * @property {boolean[]} gaps For each stretch between stops: hops in between are silent.
 * @property {{column:number, y:number}|null} end Where it ends, if not at the far end.
 * @property {{column:number, y:number}} tag Where its name stands clearest of the others.
 * @property {number} thick
 * @property {string} words
 * @property {string} ending
 */

/** @typedef {{knots:Knot[], ways:Way[], columns:number, tall:number, flow:number, words:string, from:string, to:string, folded:number}} Bundle */

/** @param {any} value @returns {number|null} */
function figure(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/**
 * The flows of a trace, and what the observer knows of the same ports, in one.
 * @param {any} traced `flows` of a trace, or `paths` of a link's details.
 * @param {any} known `flows` of a link's details.
 * @returns {Flow[]}
 */
export function readFlows(traced, known) {
  if (!Array.isArray(traced)) return [];
  /** @type {Map<number, any>} */
  const live = new Map((Array.isArray(known) ? known : []).map((/** @type {any} */ flow) => [flow?.port, flow]));
  const ports = new Set(traced.map((flow) => flow?.port));
  // Flows that no trace followed belong to the link all the same.
  const untraced = [...live.keys()].filter((port) => !ports.has(port)).map((port) => ({ port }));
  return [...traced, ...(traced.length > 0 ? untraced : [])].filter((flow) => Number.isInteger(flow?.port)).slice(0, FLOWS_MAX).map((flow) => {
    const own = live.get(flow.port);
    const sent = figure(own?.sent) ?? figure(flow.sent) ?? 0;
    const answered = figure(own?.answered) ?? figure(flow.answered) ?? 0;
    const share = (/** @type {any} */ lost) => (sent > 0 && figure(lost) !== null ? Math.min(1, lost / sent) : null);
    const state = own?.alive === true ? "alive" : own?.alive === false ? "dead" : flow.state;
    return {
      port: flow.port,
      state: state === "alive" || state === "dead" ? state : "unknown",
      sent, answered,
      lossThere: share(own?.lost_forward), lossBack: share(own?.lost_return),
      rttUs: figure(own?.rtt_us_last) ?? figure(flow.rtt_us),
      reached: flow.reached === true,
      hops: (Array.isArray(flow.hops) ? flow.hops : []).slice(0, HOPS_MAX).map(readHop).filter((/** @type {Hop} */ hop) => hop.ttl > 0).toSorted((/** @type {Hop} */ a, /** @type {Hop} */ b) => a.ttl - b.ttl),
    };
  });
}

/** @param {any} hop @returns {Hop} */
function readHop(hop) {
  const addresses = (Array.isArray(hop?.addresses) ? hop.addresses : []).slice(0, ADDRESSES_MAX).map((/** @type {any} */ one) => String(one).slice(0, 64));
  const kind = addresses.length === 0 ? "silent" : hop.kind === "unreachable" ? "unreachable" : addresses.length > 1 ? "several" : "answered";
  return {
    ttl: Number.isInteger(hop?.ttl) ? hop.ttl : 0,
    addresses, kind,
    rttUs: figure(hop?.rtt_us),
    sent: figure(hop?.sent) ?? 0,
    answered: figure(hop?.answered) ?? 0,
    nat: hop?.nat === true,
    mpls: Array.isArray(hop?.mpls) && hop.mpls.length > 0 ? `MPLS ${hop.mpls.slice(0, 4).map(labelOf).join(", ")}` : "",
  };
}

/** @param {any} entry */
function labelOf(entry) {
  return String(typeof entry === "object" && entry !== null ? (entry.label ?? "?") : entry).slice(0, 12);
}

/** Share of a flow's probes that were not answered, where enough were sent. @param {Flow} flow */
export function lossOf(flow) {
  return flow.sent < 1 ? null : Math.max(0, Math.min(1, 1 - flow.answered / flow.sent));
}

/** The hops of a flow up to where it is known to come: the far end's own answer (the last
 * where it was reached, whichever address it has) and silence after the last answer are none
 * of them. @param {Flow} flow @param {Set<string>} farAddresses */
function hopsOf(flow, farAddresses) {
  const named = flow.hops.findIndex((hop) => hop.addresses.some((address) => farAddresses.has(address)));
  const last = flow.hops.length - 1;
  const far = named >= 0 ? named : flow.reached && flow.hops[last]?.addresses.length > 0 ? last : -1;
  const hops = far >= 0 ? flow.hops.slice(0, far) : flow.hops;
  const arrives = far >= 0 || flow.reached || flow.state === "alive";
  let end = hops.length;
  // A trace that came through knows how many silent hops are before the far end.
  if (!flow.reached && far < 0) while (end > 0 && hops[end - 1].kind === "silent") end -= 1;
  return { hops: hops.slice(0, end), arrives: arrives && flow.state !== "dead" };
}

/**
 * @param {Flow[]} flows
 * @param {{from:string, to:string, guilty?:Set<string>, far?:Set<string>, fold?:boolean}} about
 *   `guilty`: addresses that a verdict names; `far`: addresses of the far end.
 * @returns {Bundle|null} `null` where there is nothing to draw.
 */
export function bundleOf(flows, { from, to, guilty = new Set(), far = new Set(), fold = true }) {
  const traced = flows.filter((flow) => flow.hops.length > 0 || flow.reached);
  if (traced.length === 0) return null;
  const routes = traced.map((flow) => routeOf(flow, far));
  const last = Math.max(1, ...routes.map((route) => route.steps.at(-1)?.column ?? 0)) + 1;
  const groups = leastCrossed(grouped(routes));
  const squeezed = fold ? foldedColumns(groups, last, guilty) : null;
  const columns = (squeezed?.count ?? last + 1);
  const place = (/** @type {number} */ column) => squeezed?.place[column] ?? column;

  const flow = Math.min(FLOW_MAX, FLOWS_TALL / traced.length);
  const gap = groups.length > TIGHT_FROM ? GAP_TIGHT : GAP;
  let top = 0;
  const slots = groups.map((group) => {
    const thick = Math.max(1.5, group.flows.length * flow);
    const slot = { thick, y: top + thick / 2 };
    top += thick + gap;
    return slot;
  });

  /** @type {Map<string, {knot:Knot, ways:number[]}>} */
  const met = new Map();
  const meet = (/** @type {string} */ key, /** @type {number} */ way, /** @type {() => Omit<Knot, "y"|"tall"|"flows"|"key">} */ make) => {
    let found = met.get(key);
    if (!found) met.set(key, (found = { knot: { key, y: 0, tall: 0, flows: 0, ...make() }, ways: [] }));
    found.ways.push(way);
    found.knot.flows += groups[way].flows.length;
    return key;
  };
  const end = (/** @type {string} */ name, /** @type {number} */ column) => () => ({ column, kind: /** @type {const} */ ("end"), label: name, title: name, guilty: false, addresses: [], rttUs: null });
  const folds = squeezed?.runs ?? [];
  /** @type {string[][]} */
  const paths = groups.map((group, way) => {
    const keys = [meet("from", way, end(from, 0))];
    for (const step of group.steps) {
      const run = folds.find((one) => step.column >= one.first && step.column <= one.last);
      if (run) {
        const key = `fold${run.first}`;
        if (!keys.includes(key)) keys.push(meet(key, way, () => ({ column: place(run.first), kind: "folded", label: `${run.last - run.first + 1} hops`, title: run.title, guilty: false, addresses: [], rttUs: null })));
        continue;
      }
      keys.push(meet(step.key, way, () => ({
        column: place(step.column), kind: step.hop.kind, label: shortAddress(step.hop), title: hopTitle(step.hop),
        guilty: step.hop.addresses.some((address) => guilty.has(address)), addresses: step.hop.addresses, rttUs: null,
      })));
    }
    if (group.arrives) keys.push(meet("to", way, end(to, columns - 1)));
    return keys;
  });
  // The far end stands there also when nothing comes through to it.
  if (!met.has("to")) met.set("to", { knot: { key: "to", y: 0, tall: 0, flows: 0, ...end(to, columns - 1)() }, ways: [] });
  fastest(met, groups);

  const knots = [...met.values()];
  const tall = settle(knots, slots, top - gap, columns, gap);
  const order = new Map(knots.map((one, at) => [one.knot.key, at]));
  /** @type {Way[]} */
  const ways = groups.map((group, at) => {
    const name = String.fromCharCode(65 + (at % 26)) + (at >= 26 ? Math.floor(at / 26) : "");
    const stops = paths[at].map((key) => {
      const found = /** @type {{knot:Knot, ways:number[]}} */ (met.get(key));
      return { knot: /** @type {number} */ (order.get(key)), y: stacked(found, at, slots) };
    });
    const lastStop = knots[stops[stops.length - 1].knot].knot;
    const fate = fateOf(group);
    return {
      name,
      ports: group.flows.map((one) => one.port),
      ...fate,
      stops,
      gaps: stops.slice(1).map((stop, leg) => knots[stop.knot].knot.kind === "silent" || knots[stops[leg].knot].knot.kind === "silent" || (stop.knot === order.get("to") && !group.sure)),
      end: group.arrives ? null : { column: Math.min(columns - 1.35, lastStop.column + 0.62), y: slots[at].y },
      tag: { column: 0.5, y: 0 },
      thick: slots[at].thick,
      ending: endingOf(group, to),
      words: wayWords(name, group, from, to),
    };
  });
  const lines = ways.map((way) => lineOf(way, (at) => knots[at].knot.column));
  ways.forEach((way, at) => (way.tag = clearest(lines[at], lines.filter((_, other) => other !== at))));
  return {
    knots: knots.map((one) => one.knot), ways, columns, tall, flow, from, to,
    folded: folds.length, words: [bundleWords(groups, from, to), untracedWords(flows.filter((one) => !traced.includes(one)))].filter(Boolean).join("; "),
  };
}

/** @typedef {{column:number, key:string, hop:Hop}} Step */
/** @typedef {{flow:Flow, steps:Step[], arrives:boolean}} Route */
/** @typedef {{key:string, flows:Flow[], steps:Step[], arrives:boolean, dead:boolean, unknown:boolean, sure:boolean}} Group */

/** @param {Flow} flow @param {Set<string>} far @returns {Route} */
function routeOf(flow, far) {
  const { hops, arrives } = hopsOf(flow, far);
  /** @type {Step[]} */
  const steps = [];
  let ttl = 1;
  let before = "";
  for (const hop of hops) {
    // A TTL that nobody asked about is as silent as one that does not answer.
    for (; ttl < hop.ttl; ttl += 1) {
      before = `${ttl}?${before}`;
      steps.push({ column: ttl, key: before, hop: { ttl, addresses: [], kind: "silent", rttUs: null, sent: 0, answered: 0, mpls: "", nat: false } });
    }
    before = hop.kind === "silent" ? `${hop.ttl}?${before}` : `${hop.ttl}|${hop.addresses.toSorted().join(" ")}`;
    steps.push({ column: hop.ttl, key: before, hop });
    ttl = hop.ttl + 1;
  }
  return { flow, steps, arrives };
}

/** Flows on one way that fare alike; neighbours share the most hops. @param {Route[]} routes @returns {Group[]} */
function grouped(routes) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const { flow, steps, arrives } of routes) {
    const dead = flow.state === "dead";
    const key = `${steps.map((step) => step.key).join(" > ")} ${arrives ? "" : "✕"}${dead}${flow.state === "unknown"}`;
    const found = groups.get(key);
    if (found) found.flows.push(flow);
    else groups.set(key, { key, flows: [flow], steps, arrives, dead, unknown: flow.state === "unknown", sure: flow.reached });
  }
  for (const group of groups.values()) group.flows.sort((a, b) => a.port - b.port);
  return [...groups.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Ways up to which a better order is looked for; more are a thicket in any order. */
const ORDERED_MAX = 16;

/** The ways in an order in which they cross little: neighbours change places for as long as
 * that helps. @param {Group[]} groups As they share hops. @returns {Group[]} */
function leastCrossed(groups) {
  let best = groups;
  let least = groups.length > ORDERED_MAX ? 0 : crossings(groups);
  for (let round = 0; round < ORDERED_MAX && least > 0; round += 1) {
    const before = least;
    for (let at = 0; at + 1 < best.length; at += 1) {
      const tried = best.toSpliced(at, 2, best[at + 1], best[at]);
      const found = crossings(tried);
      if (found < least) [best, least] = [tried, found];
    }
    if (least === before) break;
  }
  return best;
}

/** Mean place of the ways that meet at each hop. @param {Group[]} groups */
function middles(groups) {
  /** @type {Map<string, {sum:number, weight:number}>} */
  const met = new Map();
  groups.forEach((group, at) => {
    for (const step of group.steps) {
      const found = met.get(step.key) ?? { sum: 0, weight: 0 };
      found.sum += at * group.flows.length;
      found.weight += group.flows.length;
      met.set(step.key, found);
    }
  });
  return new Map([...met].map(([key, { sum, weight }]) => [key, sum / weight]));
}

/** Pairs of ways that stand the other way round, or no clear way round, at a hop. @param {Group[]} groups */
function crossings(groups) {
  const middle = middles(groups);
  let count = 0;
  for (let a = 0; a < groups.length; a += 1) {
    for (let b = a + 1; b < groups.length; b += 1) {
      for (const step of groups[a].steps) {
        const other = groups[b].steps.find((one) => one.column === step.column);
        if (other && other.key !== step.key && (middle.get(step.key) ?? 0) >= (middle.get(other.key) ?? 0)) count += 1;
      }
    }
  }
  return count;
}

/** Runs of columns in which all flows share one hop that nobody blames.
 * @param {Group[]} groups @param {number} last @param {Set<string>} guilty */
function foldedColumns(groups, last, guilty) {
  if (last + 1 < FOLD_FROM) return null;
  /** @type {(Hop|null)[]} */
  const lone = [];
  for (let column = 1; column < last; column += 1) {
    const keys = new Set(groups.map((group) => group.steps.find((step) => step.column === column)?.key ?? "none"));
    const hop = groups[0].steps.find((step) => step.column === column)?.hop;
    const blamed = hop?.addresses.some((address) => guilty.has(address)) ?? true;
    const ends = groups.some((group) => !group.arrives && (group.steps.at(-1)?.column ?? 0) === column);
    lone[column] = keys.size === 1 && hop && !blamed && !ends ? hop : null;
  }
  /** @type {{first:number, last:number, title:string}[]} */
  const runs = [];
  for (let column = 1; column < last; column += 1) {
    if (!lone[column]) continue;
    const first = column;
    while (column + 1 < last && lone[column + 1]) column += 1;
    if (column - first + 1 >= FOLD_RUN) {
      const names = lone.slice(first, column + 1).map((hop) => hop?.addresses[0] ?? "silent");
      runs.push({ first, last: column, title: `${names.length} hops that all flows share: ${names.join(", ")}` });
    }
  }
  if (runs.length === 0) return null;
  /** @type {number[]} */
  const place = [];
  let count = 0;
  for (let column = 0; column <= last; column += 1) {
    place[column] = count;
    const run = runs.find((one) => column >= one.first && column < one.last);
    if (!run) count += 1;
  }
  return { runs, place, count };
}

/** Least round trip to each hop of all flows that met it: the others stood in a queue.
 * @param {Map<string, {knot:Knot, ways:number[]}>} met @param {Group[]} groups */
function fastest(met, groups) {
  for (const group of groups) {
    for (const flow of group.flows) {
      for (const hop of flow.hops) {
        const knot = met.get(`${hop.ttl}|${hop.addresses.toSorted().join(" ")}`)?.knot;
        if (knot && hop.rttUs !== null) knot.rttUs = Math.min(knot.rttUs ?? Infinity, hop.rttUs);
      }
    }
  }
}

/**
 * Heights: a hop stands amid its ways, and none on another.
 * @param {{knot:Knot, ways:number[]}[]} knots @param {{y:number, thick:number}[]} slots
 * @param {number} room @param {number} columns @param {number} gap @returns {number} Of the whole.
 */
function settle(knots, slots, room, columns, gap) {
  for (const { knot, ways } of knots) {
    knot.tall = ways.reduce((sum, way) => sum + slots[way].thick, 0);
    const weight = knot.tall || 1;
    knot.y = ways.length === 0 ? room / 2 : ways.reduce((sum, way) => sum + slots[way].y * slots[way].thick, 0) / weight;
  }
  let least = Infinity;
  let most = -Infinity;
  for (let column = 0; column < columns; column += 1) {
    const here = knots.filter((one) => one.knot.column === column).map((one) => one.knot).sort((a, b) => a.y - b.y);
    for (let at = 1; at < here.length; at += 1) {
      const apart = (here[at - 1].tall + here[at].tall) / 2 + gap;
      here[at].y = Math.max(here[at].y, here[at - 1].y + apart);
    }
    for (const knot of here) {
      least = Math.min(least, knot.y - knot.tall / 2);
      most = Math.max(most, knot.y + knot.tall / 2);
    }
  }
  slots.forEach((slot) => {
    least = Math.min(least, slot.y - slot.thick / 2);
    most = Math.max(most, slot.y + slot.thick / 2);
  });
  for (const { knot } of knots) knot.y -= least;
  for (const slot of slots) slot.y -= least;
  return most - least;
}

/** Apart so far, pixels, a name is clear of the others. */
const TAG_CLEAR = 22;

/** @typedef {{column:number, y:number}} Spot */

/** A way as the points that it passes. @param {Way} way @param {(knot:number) => number} column @returns {Spot[]} */
function lineOf(way, column) {
  const spots = way.stops.map((stop) => ({ column: column(stop.knot), y: stop.y }));
  return way.end ? [...spots, way.end] : spots;
}

/** The middle of that stretch of a way on which it is farthest from the others, the first that
 * is far enough. @param {Spot[]} line @param {Spot[][]} others @returns {Spot} */
function clearest(line, others) {
  let best = line[0];
  let most = -1;
  for (let at = 1; at < line.length && most < TAG_CLEAR; at += 1) {
    const middle = { column: (line[at - 1].column + line[at].column) / 2, y: (line[at - 1].y + line[at].y) / 2 };
    const apart = Math.min(TAG_CLEAR, ...others.map((other) => Math.abs((heightAt(other, middle.column) ?? Infinity) - middle.y)));
    if (apart > most) [best, most] = [middle, apart];
  }
  return best;
}

/** @param {Spot[]} line @param {number} column @returns {number|null} */
function heightAt(line, column) {
  const at = line.findIndex((spot) => spot.column >= column);
  if (at <= 0) return null;
  const [from, to] = [line[at - 1], line[at]];
  return from.y + ((to.y - from.y) * (column - from.column)) / (to.column - from.column || 1);
}

/** Where a way passes a hop: the ways lie on each other in their order.
 * @param {{knot:Knot, ways:number[]}} met @param {number} way @param {{thick:number}[]} slots */
function stacked({ knot, ways }, way, slots) {
  let y = knot.y - knot.tall / 2;
  for (const other of ways) {
    if (other === way) return y + slots[way].thick / 2;
    y += slots[other].thick;
  }
  return knot.y;
}

/** @param {Group} group @returns {{state:Way["state"], tone:Tone, shape:Shape}} */
function fateOf(group) {
  if (group.dead) return { state: "dead", tone: "bad", shape: "cross" };
  if (group.unknown) return { state: "unknown", tone: "mute", shape: "dashed" };
  return (lossWithin(group) ?? 0) >= LOSSY ? { state: "lossy", tone: "warn", shape: "triangle" } : { state: "alive", tone: "good", shape: "disc" };
}

/** @param {Group} group */
function lossWithin(group) {
  const sent = group.flows.reduce((sum, flow) => sum + flow.sent, 0);
  const answered = group.flows.reduce((sum, flow) => sum + flow.answered, 0);
  return sent < LOSS_SENT_MIN ? null : Math.max(0, 1 - answered / sent);
}

/** @param {Group} group */
function lastAnswer(group) {
  return group.steps.findLast((step) => step.hop.addresses.length > 0)?.hop ?? null;
}

/** @param {Group} group @param {string} to */
function endingOf(group, to) {
  const count = counted(group.flows.length, "flow");
  if (group.arrives) {
    const lost = lossWithin(group);
    return group.unknown ? `${count}, fate not known` : lost !== null && lost >= LOSSY ? `${loss(lost)} of the probes are lost` : `reaches ${to}`;
  }
  return `${count} ${group.flows.length === 1 ? "ends" : "end"}${placeOfEnd(group)}`;
}

/** @param {Group} group */
function placeOfEnd(group) {
  const hop = lastAnswer(group);
  if (hop?.kind === "unreachable") return `: ${hop.addresses[0]} says unreachable`;
  return hop ? ` after ${hop.addresses.join(" or ")}` : " before the first hop that answers";
}

/** Dead flows by where they end, most first. @param {Group[]} groups */
function deadEnds(groups) {
  /** @type {Map<string, number>} */
  const ends = new Map();
  for (const group of groups) if (group.dead) ends.set(placeOfEnd(group), (ends.get(placeOfEnd(group)) ?? 0) + group.flows.length);
  return [...ends].sort((a, b) => b[1] - a[1]).map(([place, count]) => `${counted(count, "flow")} ${count === 1 ? "ends" : "end"}${place}`);
}

/** @param {Flow[]} flows */
function untracedWords(flows) {
  if (flows.length === 0) return "";
  const alive = flows.filter((flow) => flow.state === "alive").length;
  return `${counted(flows.length, "more flow")}, of which ${alive} answer${alive === 1 ? "s" : ""}, ${flows.length === 1 ? "was" : "were"} not traced`;
}

/** @param {string} name @param {Group} group @param {string} from @param {string} to */
function wayWords(name, group, from, to) {
  const by = group.steps.map((step) => (step.hop.kind === "silent" ? (step.hop.sent > 0 ? "a silent hop" : "a hop that nobody asked") : step.hop.addresses.join(" or "))).join(", ");
  return `Way ${name}, ${counted(group.flows.length, "flow")} from ${from}${by ? ` by ${by}` : ""}: ${endingOf(group, to)}`;
}

/** @param {Group[]} groups @param {string} from @param {string} to */
function bundleWords(groups, from, to) {
  const all = groups.reduce((sum, group) => sum + group.flows.length, 0);
  const ends = deadEnds(groups);
  const ways = new Set(groups.map((group) => group.steps.map((step) => step.key).join(">"))).size;
  const head = `${counted(all, "flow")} from ${from} to ${to} ${all === 1 ? "takes" : "take"} ${counted(ways, "way")}`;
  return ends.length === 0 ? `${head}, all come through` : [head, ...ends].join("; ");
}

/** @param {Hop} hop */
function shortAddress(hop) {
  const first = hop.addresses[0];
  if (!first) return hop.sent > 0 ? "silent" : "not asked";
  const cut = first.length > 17 ? `${first.slice(0, 8)}…${first.slice(-7)}` : first;
  return hop.addresses.length > 1 ? `${cut} +${hop.addresses.length - 1}` : cut;
}

/** @param {Hop} hop */
function hopTitle(hop) {
  const by = hop.kind === "silent" ? (hop.sent > 0 ? "answers no trace" : "nobody asked it") : hop.kind === "several" ? `several answer in turn: ${hop.addresses.join(", ")}` : hop.kind === "unreachable" ? `${hop.addresses[0]} says unreachable` : hop.addresses[0];
  return [`Hop ${hop.ttl}: ${by}`, hop.mpls, hop.nat ? "several routers speak with this address (NAT)" : ""].filter(Boolean).join(", ");
}

/**
 * The same as rows: one per hop in the order of distance.
 * @param {Flow[]} flows @param {Set<string>} guilty @param {Set<string>} far
 */
export function hopRows(flows, guilty, far) {
  /** @type {Map<string, {ttl:number, addresses:string, kind:Hop["kind"], rttUs:number|null, sent:number, answered:number, flows:number, guilty:boolean, more:string, end:boolean}>} */
  const rows = new Map();
  for (const flow of flows) {
    const before = hopsOf(flow, far).hops.length;
    for (const [at, hop] of flow.hops.entries()) {
      const key = `${hop.ttl}|${hop.addresses.toSorted().join(" ")}`;
      const row = rows.get(key) ?? {
        ttl: hop.ttl, addresses: hop.addresses.join(", "), kind: hop.kind, rttUs: null, sent: 0, answered: 0, flows: 0,
        guilty: hop.addresses.some((address) => guilty.has(address)), more: [hop.mpls, hop.nat ? "NAT" : ""].filter(Boolean).join(", "),
        end: at >= before && hop.addresses.length > 0,
      };
      row.flows += 1;
      row.sent += hop.sent;
      row.answered += hop.answered;
      if (hop.rttUs !== null) row.rttUs = Math.min(row.rttUs ?? Infinity, hop.rttUs);
      rows.set(key, row);
    }
  }
  return [...rows.values()].sort((a, b) => a.ttl - b.ttl || b.flows - a.flows || a.addresses.localeCompare(b.addresses));
}

/** One row per flow, dead ones first. @param {Flow[]} flows @param {Bundle|null} bundle */
export function flowRows(flows, bundle) {
  const way = new Map((bundle?.ways ?? []).flatMap((one) => one.ports.map((port) => [port, one])));
  const order = { dead: 0, unknown: 1, alive: 2 };
  return flows.map((flow) => ({ flow, way: way.get(flow.port) ?? null, loss: lossOf(flow) }))
    .sort((a, b) => order[a.flow.state] - order[b.flow.state] || a.flow.port - b.flow.port);
}

const FLOW_WORDS = /** @type {const} */ ({
  alive: { text: "answers", tone: "good", shape: "disc" },
  dead: { text: "dead", tone: "bad", shape: "cross" },
  unknown: { text: "not known", tone: "mute", shape: "dashed" },
});

/** @param {Flow["state"]} state */
export function flowWords(state) {
  return FLOW_WORDS[state];
}

/** Loss of a flow in words; of few probes it says how many. @param {Flow} flow */
export function flowLoss(flow) {
  if (flow.sent === 0) return NOT_MEASURED;
  const lost = lossOf(flow) ?? 0;
  return flow.sent < LOSS_SENT_MIN ? `${flow.sent - flow.answered} of ${flow.sent}` : loss(lost);
}

/** Addresses of hops that verdicts about this link, either way, name as guilty.
 * @param {import("./types.js").Verdict[]} verdicts @param {string} from @param {string} to */
export function guiltyHops(verdicts, from, to) {
  const hits = verdicts.filter((verdict) => verdict.kind === "path_fault" && (
    (verdict.from === from && verdict.to === to) || (verdict.from === to && verdict.to === from) ||
    (verdict.links ?? []).some((link) => link === `${from}→${to}` || link === `${to}→${from}`)));
  const about = hits.length > 0 ? hits : [];
  return { verdicts: about, hops: new Set(about.flatMap((verdict) => verdict.hops ?? [])) };
}

/** Addresses of a node without ports. @param {string[]|undefined} addresses */
export function bareAddresses(addresses) {
  return new Set((addresses ?? []).map((one) => {
    const six = one.match(/^\[([^\]]+)\](?::\d+)?$/);
    if (six) return six[1];
    return one.split(":").length === 2 ? one.split(":")[0] : one;
  }));
}

/**
 * What is known of a link's ways: the newest trace that was asked for here, or else what its
 * observer traced by itself; and in words why there is nothing to draw.
 * @param {import("./types.js").Detail|null} detail @param {import("./types.js").Trace|null} trace
 * @param {string} from @param {string} to
 * @returns {{flows:Flow[], why:string|null, asked:boolean, at:string|null}}
 */
export function pathsOf(detail, trace, from, to) {
  const own = trace?.from === from && trace.to === to && trace.data ? trace.data : null;
  const known = detail?.from === from && detail.to === to ? detail : null;
  if (!own && !known) return { flows: [], why: "waiting", asked: false, at: null };
  if (!own && known && !known.data) return { flows: [], why: known.problem ? `${from} cannot be asked for its traces right now: ${known.problem}` : "waiting", asked: false, at: null };
  const flows = readFlows(own ? own.flows : known?.data?.paths, known?.data?.flows);
  return { flows, why: whyNothing(flows, known?.data?.transport, from, to), asked: own !== null, at: own?.started_at ?? null };
}

/** @param {Flow[]} flows @param {string|undefined} transport @param {string} from @param {string} to @returns {string|null} */
function whyNothing(flows, transport, from, to) {
  if (flows.length === 0) {
    return transport === "tcp"
      ? `Probes to ${to} run over TCP, since UDP does not pass; a trace needs UDP.`
      : `${from} has not traced its way to ${to} yet: a healthy link is traced rarely, a failing one at once.`;
  }
  const none = new Set(/** @type {string[]} */ ([]));
  const heard = flows.some((flow) => hopsOf(flow, none).hops.some((hop) => hop.addresses.length > 0));
  if (heard) return null;
  if (flows.some((flow) => hopsOf(flow, none).hops.length > 0) && flows.every((flow) => hopsOf(flow, none).hops.every((hop) => hop.sent === 0))) return `This trace found no time to ask the hops on the way: the probe budget was spent. Try again in a moment.`;
  if (flows.every((flow) => flow.reached && hopsOf(flow, none).hops.length === 0)) return `Nothing stands between: ${to} is the first hop from ${from}.`;
  const alive = flows.filter((flow) => flow.state === "alive").length;
  return `The routers on the way answer no traces, as in most clouds; which hop a fault is on cannot be told. ${alive} of ${counted(flows.length, "flow")} come through.`;
}
