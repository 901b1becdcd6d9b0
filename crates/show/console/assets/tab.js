// @ts-check
// The browser's tab: its title and icon say how the grid is, for whoever looks elsewhere.

import { headline } from "./state/headline.js";
import { freshness } from "./state/connection.js";

/** @typedef {import("./state/types.js").State} State */

/** Both themes' tabs show these: strong enough on white and on black. */
const COLOURS = { good: "#12a17e", warn: "#e59a0c", bad: "#d8431f", mute: "#8a97a8" };

const MARKS = {
  good: '<path d="M9 16.5l5 5 9-11" fill="none" stroke="#fff" stroke-width="3.6" stroke-linecap="round" stroke-linejoin="round"/>',
  warn: '<path d="M16 8v10M16 23.5v.1" stroke="#fff" stroke-width="4" stroke-linecap="round"/>',
  bad: '<path d="M10.5 10.5l11 11M21.5 10.5l-11 11" stroke="#fff" stroke-width="3.8" stroke-linecap="round"/>',
  mute: '<path d="M9.5 16h13" stroke="#fff" stroke-width="3.6" stroke-linecap="round"/>',
};

let shown = "";

/** @param {State} state */
export function tab(state) {
  const past = state.route.at !== null && state.route.page === "grid" ? state.past?.picture : null;
  const picture = past ?? state.picture;
  const head = picture ? headline(picture) : null;
  const stale = freshness(state.connection, state.clock).state !== "live";
  const tone = !head || stale || past ? "mute" : head.tone;
  const title = !picture || !head ? "Andon" : `${past ? `as it was: ${head.title}` : stale ? "stale" : head.title} · ${picture.me} · Andon`;
  if (document.title !== title) document.title = title;
  if (tone === shown) return;
  shown = tone;
  const shape = tone === "warn" ? '<path d="M16 1L31.5 30H.5z"' : '<rect width="32" height="32" rx="16"';
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${shape} fill="${COLOURS[tone]}"/>${MARKS[tone]}</svg>`;
  const icon = /** @type {HTMLLinkElement} */ (document.getElementById("favicon"));
  icon.href = `data:image/svg+xml,${encodeURIComponent(drawing)}`;
}
