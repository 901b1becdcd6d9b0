// @ts-check
// Watches events as they are kept, on whichever node: a bounded number is held, what came while
// paused waits apart, and what was missed is counted.

import { datasetOf, tailed } from "./state/question.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./state/types.js").Tail} Tail */
/** @typedef {typeof import("./api.js")} Api */

/** Events held, newest first; older ones go. The same again while paused. */
export const HELD_MAX = 5_000;

/** Milliseconds between two paintings of what came. */
const PAINT_MS = 120;

/** Milliseconds until a stream that broke is opened again. */
const AGAIN_MS = 2_000;

/** @type {Tail} */
export const QUIET = { question: "", status: "connecting", nodes: [], away: [], events: [], waiting: [], paused: false, seen: 0, missed: 0, problem: null, pick: null };

/** @param {Store} store @param {Api} api */
export function createTailer(store, api) {
  /** @type {AbortController|null} */
  let life = null;
  /** @type {import("./state/types.js").TailEvent[]} */
  let fresh = [];
  let number = 0;
  /** @type {ReturnType<typeof setInterval>|undefined} */
  let painting;

  /** @param {Partial<Tail>} patch */
  const set = (patch) => {
    const { explore } = store.get();
    if (explore.tail) store.set({ explore: { ...explore, tail: { ...explore.tail, ...patch } } });
  };

  const paint = () => {
    const { tail } = store.get().explore;
    if (!tail || fresh.length === 0) return;
    const came = fresh.reverse();
    fresh = [];
    const seen = tail.seen + came.length;
    if (!tail.paused) {
      set({ seen, events: [...came, ...tail.events].slice(0, HELD_MAX) });
      return;
    }
    const waiting = [...came, ...tail.waiting];
    set({ seen, waiting: waiting.slice(0, HELD_MAX), missed: tail.missed + Math.max(0, waiting.length - HELD_MAX) });
  };

  /** @param {string} name @param {any} data */
  const take = (name, data) => {
    const { tail } = store.get().explore;
    if (!tail) return;
    if (name === "event") {
      number += 1;
      if (fresh.length >= HELD_MAX) paint();
      fresh.push({ number, record: data });
    } else if (name === "watching") set({ status: "live", problem: null, nodes: Array.isArray(data?.nodes) ? data.nodes.map(String) : [], away: [] });
    else if (name === "missed") set({ missed: tail.missed + (Number(data?.missed) || 0) });
    else if (name === "away") set({ away: [...new Set([...tail.away, String(data?.node)])] });
    else if (name === "back") set({ away: tail.away.filter((node) => node !== data?.node) });
  };

  /** @param {string} question @param {AbortSignal} signal */
  const watch = async (question, signal) => {
    for (;;) {
      try {
        await api.tail(datasetOf(question), tailed(question), signal, take);
        if (signal.aborted) return;
        set({ status: "broken", problem: "the stream ended" });
      } catch (error) {
        if (signal.aborted) return;
        const { status, message } = /** @type {import("./api.js").ApiError} */ (error);
        set({ status: "broken", problem: message });
        // What makes no sense makes none the second time.
        if (status >= 400 && status < 500) return;
      }
      await new Promise((done) => setTimeout(done, AGAIN_MS));
      if (signal.aborted) return;
      set({ status: "connecting" });
    }
  };

  return {
    /** The route has changed. */
    follow() {
      const { route, explore } = store.get();
      const question = route.page === "explore" && route.live ? route.question : null;
      if (question === (explore.tail?.question ?? null)) return;
      life?.abort();
      clearInterval(painting);
      fresh = [];
      life = null;
      store.set({ explore: { ...explore, tail: question === null ? null : { ...QUIET, question } } });
      if (question === null) return;
      life = new AbortController();
      painting = setInterval(paint, PAINT_MS);
      watch(question, life.signal);
    },
    /** Pause, or go on with all that came meanwhile. */
    pause() {
      const { tail } = store.get().explore;
      if (!tail) return;
      if (tail.paused) set({ paused: false, waiting: [], events: [...tail.waiting, ...tail.events].slice(0, HELD_MAX) });
      else set({ paused: true });
    },
    /** Looks at one event, and stands still for it. @param {number|null} pick Its number. */
    pick(pick) {
      set(pick === null ? { pick } : { pick, paused: true });
    },
    clear() {
      set({ events: [], waiting: [], missed: 0, pick: null });
    },
  };
}
