// @ts-check
// Asks the questions of Explore: the one in the address, one at a time; the trace beside it; and
// what completion needs to know.

import { datasetOf, placeOf } from "./state/question.js";
import { createPager } from "./pager.js";
import { createTailer } from "./tailer.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./state/types.js").Explore} Explore */
/** @typedef {typeof import("./api.js")} Api */

/** Milliseconds for which the list of datasets is believed. */
const DATASETS_MS = 30_000;

/** Milliseconds of rest in typing until proposals are asked for. */
const TYPING_MS = 50;

/** Milliseconds around an answer's time in which a trace is looked for: it began before, and ends after. */
const TRACE_ROOM_MS = 3_600_000;

/** @param {Store} store @param {Api} api */
export function createExplorer(store, api) {
  /** @type {AbortController|null} */
  let asking = null;
  /** @type {AbortController|null} */
  let tracing = null;
  /** @type {AbortController|null} */
  let completing = null;
  let datasetsAt = -Infinity;
  /** @type {Set<string>} */
  const keysAsked = new Set();
  const pager = createPager(store, api);
  const tailer = createTailer(store, api);

  /** @param {Partial<Explore>} patch */
  const set = (patch) => store.set({ explore: { ...store.get().explore, ...patch } });

  /** @param {string} question @param {unknown} error */
  const wrong = (question, error) => {
    const { status, message, said } = /** @type {import("./api.js").ApiError} */ (error);
    const span = Array.isArray(said?.span) ? /** @type {[number, number]} */ ([placeOf(question, said.span[0]), placeOf(question, said.span[1])]) : null;
    return { message, help: String(said?.help ?? ""), span, status };
  };

  /** @param {string} question */
  const ask = async (question) => {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    set({ question, busy: true, stopped: false, share: null, problem: null, box: null });
    askKeys(datasetOf(question));
    try {
      const answer = await api.query(question, mine.signal, (early) => {
        if (asking === mine) set({ share: early.share, answer: early.answer });
      });
      if (asking !== mine) return;
      set({ busy: false, share: null, answer });
      pager.begin(question, answer);
    } catch (error) {
      if (asking === mine) set({ busy: false, share: null, problem: wrong(question, error) });
    }
  };

  const stop = () => {
    asking?.abort();
    asking = null;
    const { explore } = store.get();
    if (explore.busy) set({ busy: false, share: null, stopped: true });
  };

  /** @param {string} id @param {string|null} question */
  const askTrace = async (id, question) => {
    tracing?.abort();
    const mine = new AbortController();
    tracing = mine;
    set({ trace: { id, busy: true, data: null, problem: null } });
    const { answer } = store.get().explore;
    const [from, to] = answer?.from && answer.to ? [Date.parse(answer.from) - TRACE_ROOM_MS, Date.parse(answer.to) + TRACE_ROOM_MS] : [null, null];
    const datasets = ["traces", "logs", ...(question ? [datasetOf(question)] : [])];
    try {
      const data = await api.waterfall(id, [...new Set(datasets)], from, to, mine.signal);
      if (tracing === mine) set({ trace: { id, busy: false, data, problem: null } });
    } catch (error) {
      if (tracing === mine) set({ trace: { id, busy: false, data: null, problem: /** @type {Error} */ (error).message } });
    }
  };

  const askDatasets = () => {
    if (performance.now() - datasetsAt < DATASETS_MS) return;
    datasetsAt = performance.now();
    api.datasets().then(
      (datasets) => set({ datasets, datasetsProblem: null }),
      (error) => {
        datasetsAt = -Infinity;
        set({ datasetsProblem: error.message });
      },
    );
  };

  /** The keys of a dataset, for breaking down; asked for once. @param {string} dataset */
  const askKeys = (dataset) => {
    if (dataset === "" || keysAsked.has(dataset)) return;
    keysAsked.add(dataset);
    api.keys(dataset).then((found) => set({ keys: { ...store.get().explore.keys, [dataset]: found } }), () => keysAsked.delete(dataset));
  };

  return {
    pager,
    tailer,
    ask,
    stop,
    /** The route has changed. */
    follow() {
      const { route, explore } = store.get();
      if (route.page !== "explore") {
        asking?.abort();
        asking = null;
        tracing?.abort();
        pager.end();
        tailer.follow();
        if (explore.busy || explore.trace) set({ busy: false, question: null, trace: null });
        return;
      }
      askDatasets();
      tailer.follow();
      if (route.trace !== null && route.trace !== explore.trace?.id) askTrace(route.trace, route.question);
      if (route.trace === null && explore.trace) set({ trace: null });
      if (route.live) {
        askKeys(datasetOf(route.question ?? ""));
        return;
      }
      if (route.question === explore.question) return;
      if (route.question !== null) {
        ask(route.question);
        return;
      }
      asking?.abort();
      asking = null;
      pager.end();
      set({ question: null, busy: false, share: null, answer: null, problem: null, box: null });
    },
    /** What could be typed at a place of a text. @param {string} text @param {number} caret */
    complete(text, caret) {
      completing?.abort();
      const mine = new AbortController();
      completing = mine;
      const bytes = new TextEncoder().encode(text.slice(0, caret)).length;
      setTimeout(() => {
        if (mine.signal.aborted) return;
        api.complete(text, bytes, mine.signal).then(
          (found) => {
            if (completing !== mine) return;
            const list = found.completions.map((one) => ({ ...one, from: placeOf(text, one.from), to: placeOf(text, one.to) }));
            set({ offers: { text, caret, list } });
          },
          () => {
            if (completing === mine) set({ offers: { text, caret, list: [] } });
          },
        );
      }, TYPING_MS);
    },
    /** Part of a heatmap that is pointed at. @param {[number,number,number,number]|null} box */
    mark(box) {
      set({ box });
    },
  };
}
