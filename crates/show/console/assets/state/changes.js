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
  return [...news.filter((change) => !change.again), ...kept].slice(0, CHANGES_MAX);
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
    news.push({ at, key: verdict.id, again, tone: words.tone, shape: words.shape, text, selection: selectionOf(after, verdict) });
  }
  for (const verdict of before.verdicts) {
    if (now.has(verdict.id)) continue;
    const text = `Over: ${verdictWords(verdict.kind).text.toLowerCase()}, ${verdict.subject}`;
    news.push({ at, key: null, tone: "good", shape: "disc", text, selection: selectionOf(after, verdict) });
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
      news.push({ at, key: null, tone: state.tone, shape: "ring", text, selection: { kind: "node", id: node.id } });
    } else if (before.nodes[was].state !== node.state) {
      const text = `${node.id}: ${nodeWords(before.nodes[was].state).text} → ${state.text}`;
      news.push({ at, key: null, tone: state.tone, shape: state.shape, text, selection: { kind: "node", id: node.id } });
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
      news.push({ at, key: null, tone: words.tone, shape: words.shape, text, selection: null });
      continue;
    }
    for (const link of links) {
      const from = after.nodes[after.links.from[link]].id;
      const to = after.nodes[after.links.to[link]].id;
      news.push({ at, key: null, tone: words.tone, shape: words.shape, text: `${from} → ${to} ${words.text}`, selection: { kind: "link", from, to } });
    }
  }
  return news;
}
