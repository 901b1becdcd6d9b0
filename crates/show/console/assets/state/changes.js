// @ts-check
// What happened between two pictures, in a few lines. Many links that change alike are told
// as one line: a dead node is one piece of news, not forty.

import { counted, isFault, linkWords, nodeWords, STATES, verdictWords, UNKNOWN, NOT_PROBED } from "./words.js";
import { selectionOf } from "./headline.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Change} Change */

/** Lines kept. An hour of a restless grid; doubled, nobody would scroll there. */
export const CHANGES_MAX = 60;

/** Milliseconds within which a verdict's new sentence is the same news. */
const REPHRASED_MS = 15_000;

/** Milliseconds within which a verdict and what showed it are one piece of news, and within
 * which two plain lines about the same thing are. */
const TOLD_MS = 4_000;
const SAME_MS = 1_000;

/** Which of two lines about the same thing says more. */
const REMARK = -1;
const PLAIN = 0;
const OVER = 1;
const SAID = 2;

/** Links that change alike up to which each is named. */
const NAMED_MAX = 2;

/** @param {Picture|null} before @param {Picture} after @returns {Change[]} */
export function changesBetween(before, after) {
  if (!before || before.me !== after.me) return [];
  const at = after.generatedAt;
  return [...verdictNews(before, after, at), ...nodeNews(before, after, at), ...linkNews(before, after, at)];
}

/**
 * The lines after the news. A verdict said anew is no news: within moments it corrects its
 * own line, later (its figures wander) it changes nothing.
 * @param {Change[]} lines Newest first. @param {Change[]} news @returns {Change[]}
 */
export function withNews(lines, news) {
  if (news.length === 0) return lines;
  const better = new Map(news.filter((change) => change.again).map((change) => [change.key, change]));
  const kept = lines.map((line) => {
    const said = line.key === null ? undefined : better.get(line.key);
    return said && said.at - line.at <= REPHRASED_MS ? { ...said, at: line.at } : line;
  });
  // Each is held against each: of a thousand pieces of news at once, most would fall off anyway.
  const all = [...news.filter((change) => !change.again), ...kept].slice(0, 4 * CHANGES_MAX);
  return onceEach(all).slice(0, CHANGES_MAX);
}

/**
 * A verdict, the node that it is about and the link that showed it change within moments:
 * that is one line, the one that says most. A remark comes and goes: its newest line stays.
 * @param {Change[]} lines Newest first. @returns {Change[]}
 */
function onceEach(lines) {
  /** @param {Change} line @param {number} at */
  const told = (line, at) => {
    if (line.weight === REMARK) return lines.findIndex((by) => by.weight === REMARK && by.key === line.key) < at;
    for (let other = 0; other < lines.length; other += 1) {
      const by = lines[other];
      const apart = Math.abs(by.at - line.at);
      if (other === at || apart > TOLD_MS) continue;
      const same = line.topics.some((topic) => by.topics.includes(topic));
      if (by.weight > line.weight && (same || line.within.some((topic) => by.topics.includes(topic)))) return true;
      if (same && by.weight === line.weight && line.weight !== SAID && apart <= SAME_MS && other < at) return true;
    }
    return false;
  };
  return lines.filter((line, at) => !told(line, at));
}

/** What a verdict speaks of: both ways of its link, its node, its site. @param {import("./types.js").Verdict} verdict */
function topicsOf(verdict) {
  const { from, to, subject } = verdict;
  return from && to ? [`${from}→${to}`, `${to}→${from}`] : [subject];
}

/** @param {Picture} before @param {Picture} after @param {number} at @returns {Change[]} */
function verdictNews(before, after, at) {
  const old = new Map(before.verdicts.map((verdict) => [verdict.id, verdict.sentence]));
  const now = new Set(after.verdicts.map((verdict) => verdict.id));
  /** @type {Change[]} */
  const news = [];
  for (const verdict of after.verdicts) {
    const said = old.get(verdict.id);
    if (said === verdict.sentence) continue;
    const words = verdictWords(verdict.kind);
    // Figures in a remark's sentence wander; its subject says enough.
    const text = isFault(verdict.kind) ? verdict.sentence : `${words.text}: ${verdict.subject}`;
    const again = said !== undefined;
    news.push({ at, key: verdict.id, again, weight: isFault(verdict.kind) ? SAID : REMARK, topics: topicsOf(verdict), within: [], tone: words.tone, shape: words.shape, text, selection: selectionOf(after, verdict) });
  }
  for (const verdict of before.verdicts) {
    if (now.has(verdict.id)) continue;
    const text = `Over: ${verdictWords(verdict.kind).text.toLowerCase()}, ${verdict.subject}`;
    const fault = isFault(verdict.kind);
    news.push({ at, key: fault ? null : verdict.id, weight: fault ? OVER : REMARK, topics: topicsOf(verdict), within: [], tone: "good", shape: "disc", text, selection: selectionOf(after, verdict) });
  }
  return news;
}

/** @param {Picture} before @param {Picture} after @param {number} at @returns {Change[]} */
function nodeNews(before, after, at) {
  /** @type {Change[]} */
  const news = [];
  for (const node of after.nodes) {
    const was = before.index.get(node.id);
    const state = nodeWords(node.state);
    if (was === undefined) {
      const text = `${node.id} joined${node.site ? ` in ${node.site}` : ""}`;
      news.push({ at, key: null, weight: PLAIN, topics: [node.id], within: [node.site ?? node.id], tone: state.tone, shape: "ring", text, selection: { kind: "node", id: node.id } });
    } else if (before.nodes[was].state !== node.state) {
      const text = `${node.id}: ${nodeWords(before.nodes[was].state).text} → ${state.text}`;
      news.push({ at, key: null, weight: PLAIN, topics: [node.id], within: [node.site ?? node.id], tone: state.tone, shape: state.shape, text, selection: { kind: "node", id: node.id } });
    }
  }
  return news;
}

/** @param {Picture} before @param {Picture} after @param {number} at @returns {Change[]} */
function linkNews(before, after, at) {
  if (before.links === after.links || before.links.from !== after.links.from) return [];
  /** @type {Map<number, number[]>} */
  const alike = new Map();
  for (let link = 0; link < after.links.count; link += 1) {
    const state = after.links.state[link];
    if (state === before.links.state[link] || state === NOT_PROBED) continue;
    const list = alike.get(state);
    if (list) list.push(link);
    else alike.set(state, [link]);
  }
  /** @type {Change[]} */
  const news = [];
  for (const [state, links] of alike) {
    const words = linkWords(STATES[state]);
    if (links.length > NAMED_MAX || state === UNKNOWN) {
      const text = `${counted(links.length, "link")} ${links.length === 1 ? "is" : "are"} now ${words.text}`;
      news.push({ at, key: null, weight: PLAIN, topics: [], within: sharedEnds(after, links), tone: words.tone, shape: words.shape, text, selection: null });
      continue;
    }
    for (const link of links) {
      const from = after.nodes[after.links.from[link]].id;
      const to = after.nodes[after.links.to[link]].id;
      news.push({ at, key: null, weight: PLAIN, topics: [`${from}→${to}`], within: sharedEnds(after, [link]), tone: words.tone, shape: words.shape, text: `${from} → ${to} ${words.text}`, selection: { kind: "link", from, to } });
    }
  }
  return news;
}

/** The nodes and sites that all of these links begin or end at: they are news of it.
 * @param {Picture} picture @param {number[]} links */
function sharedEnds(picture, links) {
  let shared = /** @type {Set<string>|null} */ (null);
  for (const link of links) {
    /** @type {Set<string>} */
    const ends = new Set();
    for (const at of [picture.links.from[link], picture.links.to[link]]) {
      ends.add(picture.nodes[at].id);
      if (picture.nodes[at].site) ends.add(picture.nodes[at].site ?? "");
    }
    shared = shared === null ? ends : new Set([...shared].filter((end) => ends.has(end)));
  }
  return [...(shared ?? [])];
}
