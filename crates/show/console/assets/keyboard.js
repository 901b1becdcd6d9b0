// @ts-check
// Keys that work anywhere outside of a field.

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./main.js").Actions} Actions */

import { selectionOf } from "./state/headline.js";
import { incidentOf, ordered } from "./state/incidents.js";
import { isRaw } from "./state/question.js";
import { HOME } from "./state/route.js";

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
        if (state.route.page === "explore") document.getElementById("question")?.focus();
        else act.dialog("search");
        break;
      case "?":
        act.dialog("help");
        break;
      case "g":
        wentAt = event.timeStamp;
        break;
      case "d":
        act.theme();
        break;
      case "e":
        act.go({ ...HOME, page: "explore" });
        break;
      case "i":
        act.go({ ...HOME, page: "incidents" });
        break;
      case "j":
      case "k":
        if (state.route.page === "explore") return;
        if (state.route.page === "incidents") stepIncident(store, act, event.key === "j" ? 1 : -1);
        else step(store, act, event.key === "j" ? 1 : -1);
        break;
      case "Enter":
        // A focused control answers for itself; an open verdict's answer is to look closer.
        if (target.matches('button, a, summary, [role="button"]') && !target.matches('.say[aria-expanded="true"]')) return;
        if (!closer(store, act)) return;
        break;
      case "Backspace":
        if (state.route.page !== "explore") return;
        act.back();
        break;
      default:
        if (state.route.page === "explore") {
          if (!onExplore(event, store, act)) return;
          break;
        }
        if (!(state.route.page === "incidents" ? onIncident(event.key, store, act) : inTime(event, store, act))) return;
    }
    event.preventDefault();
  });
}

/** @param {string} key @param {Actions} act */
function go(key, act) {
  const grid = /** @type {const} */ ({ page: "grid", incident: null });
  if (key === "m") act.go({ ...grid, view: "map" });
  else if (key === "x") act.go({ ...grid, view: "matrix" });
  else if (key === "l") act.go({ ...grid, view: "list" });
  else if (key === "p") act.go({ ...grid, view: "paths" });
  else if (key === "b") act.go({ ...HOME, page: "board" });
  else return false;
  return true;
}

/** The keys of the time slider. @param {KeyboardEvent} event @param {Store} store @param {Actions} act */
function inTime(event, store, act) {
  const { route } = store.get();
  if (route.page !== "grid") return false;
  if (event.key === "t") {
    act.go(route.time || route.at !== null ? { time: false, at: null, play: 0 } : { time: true });
    return true;
  }
  if (!route.time && route.at === null) return false;
  const target = /** @type {HTMLElement} */ (event.target);
  // Tabs and fields of choice have arrows of their own; a button has the space bar.
  if (target.matches('[role="tab"]')) return false;
  switch (event.key) {
    case "ArrowLeft":
    case "ArrowRight": {
      const by = event.key === "ArrowRight" ? 1 : -1;
      if (event.shiftKey) act.stride(by);
      else act.change(by);
      return true;
    }
    case " ":
      if (target.matches("button, a, summary, [role=\"button\"]")) return false;
      act.go(route.at === null ? {} : { play: route.play ? 0 : 10 });
      return true;
    case "Home":
      act.stride(0);
      return true;
    case "End":
      act.live();
      return true;
    default:
      return false;
  }
}

/** The keys of Explore. @param {KeyboardEvent} event @param {Store} store @param {Actions} act */
function onExplore(event, store, act) {
  const { route, explore } = store.get();
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === " " && explore.tail && !target.matches("button, a, summary")) act.tail("pause");
  else if (event.key === "f" && route.question && isRaw(route.question)) act.go({ live: !route.live, pick: null, trace: null, span: null });
  else return false;
  return true;
}

/** The keys of an incident's page. @param {string} key @param {Store} store @param {Actions} act */
function onIncident(key, store, act) {
  const { route, incidents } = store.get();
  const incident = incidentOf(incidents.list, route.incident);
  if (!incident) return false;
  if (key === "r") act.replay(incident);
  else if (key === "n") document.getElementById("note")?.focus();
  else if (key === "a") document.getElementById("action-ack")?.focus();
  else return false;
  return true;
}

/** Moves the focus; Enter opens. @param {Store} store @param {Actions} act @param {1|-1} by */
function stepIncident(store, act, by) {
  const { route, incidents } = store.get();
  const list = ordered(incidents.list ?? []);
  if (list.length === 0) return;
  if (route.incident !== null) {
    const at = list.findIndex((one) => one.id === route.incident);
    const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
    act.go({ incident: next.id });
    return;
  }
  const at = list.findIndex((one) => document.activeElement?.id === `incident-${one.id}`);
  const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
  document.getElementById(`incident-${next.id}`)?.focus();
}

/** One step back: dialog, panel, verdict, the past, narrowed scope, board. @param {Store} store @param {Actions} act */
function escape(store, act) {
  const { dialog, route, explore } = store.get();
  if (dialog) act.dialog(null);
  else if (route.page === "explore" && explore.busy) act.stop();
  else if (route.page === "explore" && explore.box) act.mark(null);
  else if (route.page === "explore" && explore.tail?.pick) act.tailPick(null);
  else if (route.page === "explore") act.back();
  else if (route.selection) act.select(null);
  else if (route.page === "incidents") act.go(route.incident ? { incident: null } : HOME);
  else if (route.verdict) act.go({ verdict: null });
  else if (route.at !== null) act.live();
  else if (route.time) act.go({ time: false });
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
