// @ts-check
// Finds nodes, sites, links and verdicts by a few typed words.

import { findLink, siteOf } from "./picture.js";
import { linkWords, nodeWords, verdictWords } from "./words.js";
import { selectionOf } from "./headline.js";

/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./types.js").Selection} Selection */
/** @typedef {{id:string, kind:string, text:string, detail:string, tone:import("./types.js").Tone, shape:import("./types.js").Shape, selection:Selection|null, verdict:string|null}} Found */

/** Results shown: as many as fit a screen without scrolling. */
export const FOUND_MAX = 12;

/** @param {Picture} picture @param {string} query @returns {Found[]} */
export function search(picture, query) {
  const words = query.toLowerCase().split(/[\s,]+|->|→/).filter((word) => word !== "" && word !== "to");
  const named = picture.nodes.find((node) => node.id.toLowerCase() === query.trim().toLowerCase());
  // Who types a whole name means it, and not each sentence that speaks of it.
  /** @type {Found[]} */
  const found = [...(named ? [nodeFound(named)] : []), ...linkFound(picture, words)];
  const fits = (/** @type {string} */ text) => words.every((word) => text.toLowerCase().includes(word));
  for (const verdict of picture.verdicts) {
    if (found.length >= FOUND_MAX) return found;
    const said = verdictWords(verdict.kind);
    if (!fits(`${said.text} ${verdict.subject} ${verdict.sentence}`)) continue;
    found.push({
      id: `verdict-${verdict.id}`, kind: "verdict", text: said.text, detail: verdict.sentence,
      tone: said.tone, shape: said.shape, selection: selectionOf(picture, verdict), verdict: verdict.id,
    });
  }
  const sites = [...new Set(picture.nodes.map(siteOf))].sort();
  for (const site of sites) {
    if (found.length >= FOUND_MAX) return found;
    if (!fits(`site ${site}`)) continue;
    const count = picture.nodes.filter((node) => siteOf(node) === site).length;
    found.push({
      id: `site-${site}`, kind: "site", text: site, detail: `${count} in it`, tone: "mute", shape: "square",
      selection: { kind: "site", id: site }, verdict: null,
    });
  }
  for (const node of picture.nodes) {
    if (found.length >= FOUND_MAX) return found;
    if (node === named || !fits(`${node.id} ${node.site ?? ""} ${labelsOf(node)} ${node.state} ${(node.addresses ?? []).join(" ")}`)) continue;
    found.push(nodeFound(node));
  }
  return found;
}

/** @param {import("./types.js").NodeView} node */
function labelsOf(node) {
  return Object.entries(node.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(" ");
}

/** @param {import("./types.js").NodeView} node @returns {Found} */
function nodeFound(node) {
  const said = nodeWords(node.state);
  return {
    id: `node-${node.id}`, kind: node.kind === "andon" ? "node" : node.kind, text: node.id,
    detail: [node.site, labelsOf(node), node.addresses?.[0]].filter(Boolean).join(" · "),
    tone: said.tone, shape: said.shape, selection: { kind: "node", id: node.id }, verdict: null,
  };
}

/** Two words that each begin a node's id name a link. @param {Picture} picture @param {string[]} words @returns {Found[]} */
function linkFound(picture, words) {
  if (words.length !== 2) return [];
  const ends = words.map((word) => picture.nodes.filter((node) => node.id.toLowerCase().startsWith(word)).slice(0, 3));
  /** @type {Found[]} */
  const found = [];
  for (const from of ends[0]) {
    for (const to of ends[1]) {
      const link = findLink(picture, from.id, to.id);
      if (!link) continue;
      const said = linkWords(link.state);
      found.push({
        id: `link-${from.id}-${to.id}`, kind: "link", text: `${from.id} → ${to.id}`, detail: said.text,
        tone: said.tone, shape: said.shape, selection: { kind: "link", from: from.id, to: to.id }, verdict: null,
      });
    }
  }
  return found.slice(0, 4);
}
