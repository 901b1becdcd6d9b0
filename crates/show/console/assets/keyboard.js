// @ts-check
// Keys that work anywhere outside of a field.

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./main.js").Actions} Actions */

import { selectionOf } from "./state/headline.js";

/** Milliseconds within which the second key of a pair has to follow. */
const PAIR_MS = 1200;

/** Milliseconds after which what was set is on the page. */
const FRAME_MS = 40;

/** @param {Store} store @param {Actions} act */
export function keyboard(store, act) {
  let wentAt = -Infinity;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const state = store.get();
    if (state.route.page === "login" || state.connection.state === "refused") return;
    if (event.key === "Escape") {
      escape(store, act);
      return;
    }
    const target = /** @type {HTMLElement} */ (event.target);
    if (state.dialog || target.matches("input, textarea, select")) return;
    const second = event.timeStamp - wentAt < PAIR_MS;
    wentAt = -Infinity;
    if (second && go(event.key, act)) {
      event.preventDefault();
      return;
    }
    switch (event.key) {
      case "/":
        act.dialog("search");
        break;
      case "?":
        act.dialog("help");
        break;
      case "g":
        wentAt = event.timeStamp;
        break;
      case "t":
        act.theme();
        break;
      case "j":
        step(store, act, 1);
        break;
      case "k":
        step(store, act, -1);
        break;
      case "Enter":
        // A focused control answers for itself; an open verdict's answer is to look closer.
        if (target.matches("button, a") && !target.matches('.say[aria-expanded="true"]')) return;
        if (!closer(store, act)) return;
        break;
      default:
        return;
    }
    event.preventDefault();
  });
}

/** @param {string} key @param {Actions} act */
function go(key, act) {
  if (key === "m") act.go({ page: "grid", view: "map" });
  else if (key === "x") act.go({ page: "grid", view: "matrix" });
  else if (key === "l") act.go({ page: "grid", view: "list" });
  else if (key === "b") act.go({ page: "board", selection: null });
  else return false;
  return true;
}

/** One step back: dialog, panel, verdict, narrowed scope, board. @param {Store} store @param {Actions} act */
function escape(store, act) {
  const { dialog, route } = store.get();
  if (dialog) act.dialog(null);
  else if (route.selection) act.select(null);
  else if (route.verdict) act.go({ verdict: null });
  else if (route.scope) act.go({ scope: null });
  else if (route.page === "board") act.go({ page: "grid" });
}

/** @param {Store} store @param {Actions} act @param {1|-1} by */
function step(store, act, by) {
  const { picture, route } = store.get();
  if (!picture || picture.verdicts.length === 0) return;
  const at = picture.verdicts.findIndex((verdict) => verdict.id === route.verdict);
  const next = at < 0 ? (by > 0 ? 0 : picture.verdicts.length - 1) : Math.max(0, Math.min(picture.verdicts.length - 1, at + by));
  const { id } = picture.verdicts[next];
  act.go({ verdict: id });
  // A control that has the focus would take the Enter that is meant for the verdict.
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  // Once it is rendered: focus follows, so that Enter and Tab go on from there.
  setTimeout(() => document.getElementById(`verdict-${id}`)?.focus(), FRAME_MS);
}

/** @param {Store} store @param {Actions} act */
function closer(store, act) {
  const { picture, route } = store.get();
  const verdict = picture?.verdicts.find((one) => one.id === route.verdict);
  const selection = picture && verdict ? selectionOf(picture, verdict) : null;
  if (selection) act.select(selection);
  return selection !== null;
}
