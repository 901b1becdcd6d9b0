// @ts-check
// Incidents as people read them: which come first, what each hits, what may be done.

import { endsOf, epoch } from "./picture.js";
import { aboutOf } from "./headline.js";
import { counted, incidentWords, offset, severityWords, span, timelineWords } from "./words.js";

/** @typedef {import("./types.js").Incident} Incident */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Me} Me */
/** @typedef {import("./types.js").Tone} Tone */

/** Incidents kept; a node keeps no more open. */
const INCIDENTS_MAX = 500;

/** Lines of a timeline on one page. */
export const TIMELINE_MAX = 400;

/** Milliseconds that a replay begins before the first symptom. */
export const REPLAY_LEAD_MS = 10_000;

const SEVERITIES = ["critical", "major", "minor"];
const STATES = ["open", "mitigated", "resolved"];

/**
 * The list as a node sent it, every field there. What is no incident is left out.
 * @param {any} sent @returns {Incident[]}
 */
export function readIncidents(sent) {
  const list = Array.isArray(sent) ? sent : Array.isArray(sent?.incidents) ? sent.incidents : [];
  return list.filter((/** @type {any} */ one) => typeof one?.id === "string").slice(0, INCIDENTS_MAX).map(readIncident);
}

/** @param {any} one @returns {Incident} */
export function readIncident(one) {
  const radius = one.blast_radius ?? {};
  return {
    ...one,
    title: String(one.title ?? one.id),
    verdicts: Array.isArray(one.verdicts) ? one.verdicts : [],
    timeline: Array.isArray(one.timeline) ? one.timeline : [],
    blast_radius: {
      ...radius, nodes: radius.nodes ?? [], sites: radius.sites ?? [], links: radius.links ?? [],
      links_total: radius.links_total ?? radius.links?.length ?? 0, services: radius.services ?? [],
    },
  };
}

/** By its id, or by one that it had before. @param {Incident[]|null} list @param {string|null} id */
export function incidentOf(list, id) {
  return (list ?? []).find((one) => one.id === id || one.aliases?.includes(id ?? "")) ?? null;
}

/** Not over yet: open, or mitigated and watched. @param {Incident} incident */
export function isLive(incident) {
  return incident.state !== "resolved";
}

/** Open ones first, the worst and then the newest of each. @param {Incident[]} list */
export function ordered(list) {
  return list.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
    (isLive(a) ? SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) : 0) || epoch(b.opened_at) - epoch(a.opened_at));
}

/** How many are open, in words, and how bad the worst is. @param {Incident[]|null} list */
export function openWords(list) {
  const open = (list ?? []).filter((one) => one.state === "open");
  const worst = SEVERITIES.find((severity) => open.some((one) => one.severity === severity));
  const words = worst ? severityWords(worst) : { tone: /** @type {Tone} */ ("mute"), shape: /** @type {const} */ ("disc") };
  return { count: open.length, text: open.length === 0 ? "Incidents" : counted(open.length, "open incident"), tone: words.tone, shape: words.shape };
}

/** One incident as its row and its head say it. @param {Incident} incident @param {number} now epoch ms */
export function incidentView(incident, now) {
  const openedAt = epoch(incident.opened_at);
  const resolvedAt = incident.resolved_at ? epoch(incident.resolved_at) : null;
  const live = isLive(incident);
  const lasted = (live || resolvedAt === null ? now : resolvedAt) - openedAt;
  return {
    severity: severityWords(incident.severity),
    state: incidentWords(incident.state),
    openedAt, resolvedAt, live,
    lasted: Number.isFinite(lasted) ? span(lasted) : "",
    lastedWords: Number.isFinite(lasted) ? `${live ? "for" : "lasted"} ${span(lasted)}` : "",
    owner: incident.owner ?? null,
    acknowledgedBy: incident.acknowledged_by ?? null,
    care: incident.owner ? `owned by ${incident.owner}` : incident.acknowledged_by ? `acknowledged by ${incident.acknowledged_by}` : live ? "nobody has it yet" : "nobody had it",
    reopened: incident.reopened ?? 0,
  };
}

/** Letters that a title keeps at least when it ends at a clause. */
const CLAUSE_MIN = 30;

/** Its title for lists: one that was cut in the middle of a clause ends with the clause before.
 * @param {Incident} incident */
export function shortTitle(incident) {
  const { title } = incident;
  if (!title.endsWith("…")) return title;
  const end = Math.max(...["; ", ". ", ": "].map((mark) => title.lastIndexOf(mark)));
  const comma = title.lastIndexOf(", ");
  return end >= CLAUSE_MIN ? title.slice(0, end) : comma >= CLAUSE_MIN ? title.slice(0, comma) : title;
}

/** Its title in full: a long sentence is cut for lists. @param {Incident} incident */
export function titleOf(incident) {
  const stem = incident.title.endsWith("…") ? incident.title.slice(0, -1) : null;
  const said = stem === null ? undefined : incident.verdicts.find((verdict) => verdict.sentence.startsWith(stem));
  return said?.sentence ?? incident.title;
}

/** What it hits, in figures; what was not counted is left out. @param {Incident} incident */
export function blastFigures(incident) {
  const { nodes, sites, links_total: links, services, flows, share } = incident.blast_radius;
  return [
    { name: "Nodes", value: String(nodes.length), detail: sites && sites.length > 0 ? `in ${sites.slice(0, 4).join(", ")}${sites.length > 4 ? ` and ${sites.length - 4} more` : ""}` : "" },
    { name: "Links", value: links.toLocaleString("en"), detail: "" },
    { name: "Services", value: String(services.length), detail: services.slice(0, 4).join(", ") + (services.length > 4 ? ` and ${services.length - 4} more` : "") },
    flows ? { name: "Flows that fail", value: `${flows.failed.toLocaleString("en")} of ${flows.total.toLocaleString("en")}`, detail: "on the links hit" } : null,
    typeof share === "number" ? { name: "Of the whole grid", value: percent(share), detail: "of all flows" } : null,
  ].filter((one) => one !== null);
}

/** @param {number} share 0..1 */
function percent(share) {
  const value = share * 100;
  return value === 0 ? "0 %" : value < 0.1 ? "< 0.1 %" : value < 10 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

/**
 * What stands out on the map. Nodes that the picture does not hold (any more) are left out.
 * @param {Picture} picture @param {Incident} incident
 * @returns {import("../draw/topology.js").About}
 */
export function blastAbout(picture, incident) {
  const { nodes, links } = incident.blast_radius;
  /** @type {import("../draw/topology.js").About} */
  const about = { nodes: new Set(nodes.filter((id) => picture.index.has(id))), sites: new Set(), links: [] };
  for (const link of links) {
    const ends = endsOf(link);
    if (ends && ends.every((id) => picture.index.has(id))) about.links.push(ends);
  }
  if (about.nodes.size === 0 && about.links.length === 0) {
    for (const verdict of incident.verdicts) {
      const more = aboutOf(picture, verdict);
      more.nodes.forEach((id) => about.nodes.add(id));
      more.sites.forEach((id) => about.sites.add(id));
      about.links.push(...more.links);
    }
  }
  return about;
}

/** The timeline with its words; times from the first symptom on. @param {Incident} incident */
export function timelineRows(incident) {
  const start = epoch(incident.opened_at);
  return incident.timeline.slice(-TIMELINE_MAX).map((entry) => {
    const at = epoch(entry.at);
    const words = timelineWords(entry.kind);
    const said = String(entry.text ?? "");
    return { at, offset: offset(at - start), words, text: said.toLowerCase() === words.text.toLowerCase() ? "" : said, by: entry.by ?? null, kind: entry.kind };
  });
}

/** Milliseconds after a verdict at which what it speaks of shows in the picture. */
const SHOWN_MS = 1_000;

/** The moment at which what is over was last said to be wrong; `null`: it is not over, now is
 * that moment. @param {Incident} incident @returns {number|null} epoch ms */
export function worstMoment(incident) {
  if (isLive(incident)) return null;
  const said = incident.timeline.findLast((entry) => entry.kind === "verdict" || entry.kind === "changed" || entry.kind === "reopened");
  const over = incident.timeline.find((entry) => said && entry.kind === "cleared" && entry.at >= said.at);
  const at = epoch(said?.at ?? incident.opened_at) + SHOWN_MS;
  const end = over ? epoch(over.at) - 1 : epoch(incident.resolved_at);
  return Number.isFinite(end) ? Math.min(at, end) : at;
}

/** Observations of all its verdicts, those for it and those against it. @param {Incident} incident */
export function evidenceOf(incident) {
  const all = incident.verdicts.flatMap((verdict) => verdict.evidence ?? []);
  const once = [...new Map(all.map((item) => [`${item.observer} ${item.observation}`, item])).values()];
  return { supports: once.filter((item) => item.supports), against: once.filter((item) => !item.supports) };
}

/** Whether somebody may change things. @param {Me|null} me */
export function mayAct(me) {
  return me?.role === "operator" || me?.role === "admin";
}

/**
 * What may be done with it; `why` says why not.
 * @param {Incident} incident @param {Me|null} me
 * @returns {{verb:"ack"|"own"|"mitigate"|"resolve", text:string, doing:string, why:string|null, primary:boolean}[]}
 */
export function actionsOf(incident, me) {
  const refused = mayAct(me) ? null : `your role is ${me?.role ?? "not known"}; this needs operator`;
  const over = incident.state === "resolved" ? "it is resolved" : null;
  const mine = me?.user ?? null;
  return [
    { verb: "ack", text: incident.acknowledged_by ? "Acknowledged" : "Acknowledge", doing: "Acknowledging", why: refused ?? over ?? (incident.acknowledged_by ? `by ${incident.acknowledged_by}` : null), primary: !incident.acknowledged_by && incident.state === "open" },
    { verb: "own", text: "Own it", doing: "Taking it", why: refused ?? over ?? (mine !== null && incident.owner === mine ? "it is yours" : null), primary: false },
    { verb: "mitigate", text: "Mitigated", doing: "Marking it mitigated", why: refused ?? over ?? (incident.state === "mitigated" ? "it is mitigated" : null), primary: false },
    { verb: "resolve", text: "Resolve", doing: "Resolving", why: refused ?? over, primary: false },
  ];
}

/** Verdicts that no live incident holds: shown beside the incidents. @param {Picture} picture @param {Incident[]|null} list */
export function loneVerdicts(picture, list) {
  const held = new Set((list ?? []).filter(isLive).flatMap((incident) => incident.verdicts.map((verdict) => verdict.id)));
  return picture.verdicts.filter((verdict) => !held.has(verdict.id));
}
