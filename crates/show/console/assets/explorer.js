// @ts-check
// Asks the questions of Explore: the one in the address, one at a time, and what completion
// needs to know.

import { placeOf } from "./state/question.js";
import { valuesName } from "./state/completion.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./state/types.js").Explore} Explore */
/** @typedef {typeof import("./api.js")} Api */

/** Milliseconds for which the list of datasets is believed. */
const DATASETS_MS = 30_000;

/** Keys of which values are remembered; past it all are forgotten and asked anew. */
const REMEMBERED_MAX = 200;

/** @param {Store} store @param {Api} api */
export function createExplorer(store, api) {
  /** @type {AbortController|null} */
  let asking = null;
  let datasetsAt = -Infinity;
  /** @type {Set<string>} */
  const wanted = new Set();

  /** @param {Partial<Explore>} patch */
  const set = (patch) => store.set({ explore: { ...store.get().explore, ...patch } });

  /** @param {string} question */
  const ask = async (question) => {
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    set({ question, busy: true, share: null, problem: null });
    try {
      const answer = await api.query(question, mine.signal, (early) => {
        if (asking === mine) set({ share: early.share, answer: early.answer });
      });
      if (asking === mine) set({ busy: false, share: null, answer });
    } catch (error) {
      if (asking !== mine) return;
      const { status, message, said } = /** @type {import("./api.js").ApiError} */ (error);
      const span = Array.isArray(said?.span) ? /** @type {[number, number]} */ ([placeOf(question, said.span[0]), placeOf(question, said.span[1])]) : null;
      set({ busy: false, share: null, problem: { message, help: String(said?.help ?? ""), span, status } });
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

  return {
    /** @param {string} question */
    ask,
    /** The route has changed. */
    follow() {
      const { route, explore } = store.get();
      if (route.page !== "explore") {
        asking?.abort();
        asking = null;
        if (explore.busy) set({ busy: false, question: null });
        return;
      }
      askDatasets();
      if (route.question === explore.question) return;
      if (route.question !== null) {
        ask(route.question);
        return;
      }
      asking?.abort();
      asking = null;
      set({ question: null, busy: false, share: null, answer: null, problem: null });
    },
    /** @param {import("./state/completion.js").Place} place */
    complete(place) {
      if (place.want === "dataset" || place.dataset === "") {
        askDatasets();
        return;
      }
      if (wanted.size > REMEMBERED_MAX) wanted.clear();
      if (!wanted.has(place.dataset)) {
        wanted.add(place.dataset);
        api.keys(place.dataset).then((found) => set({ keys: { ...store.get().explore.keys, [place.dataset]: found } }), () => wanted.delete(place.dataset));
      }
      if (place.want !== "value") return;
      const name = valuesName(place.dataset, place.key);
      const asked = `${name}\n${place.prefix}`;
      if (wanted.has(asked)) return;
      wanted.add(asked);
      api.values(place.dataset, place.key, place.prefix).then(
        (found) => {
          const known = store.get().explore.values;
          const fresh = Object.keys(known).length > REMEMBERED_MAX ? {} : known;
          set({ values: { ...fresh, [name]: [...new Set([...(fresh[name] ?? []), ...found])].slice(-1000) } });
        },
        () => wanted.delete(asked),
      );
    },
  };
}
