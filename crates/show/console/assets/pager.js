// @ts-check
// Reads a long log page by page, as it is looked at: first how many events each stretch of time
// has, then the pages in sight. Memory stays bounded however far one scrolls.

import { countsOf, isEndless, pageOf } from "./state/question.js";
import { lined, linesOf, pagesBetween, STRETCH_MAX, PAGE, stretchesOf, stretchWidth } from "./state/logs.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./state/types.js").Answer} Answer */
/** @typedef {typeof import("./api.js")} Api */

/** Pages held; those not looked at for longest go first. */
const PAGES_MAX = 40;

/** Pages asked for at once; the node answers four questions at a time, and others ask too. */
const ASKED_MAX = 2;

/** Crowded stretches that are cut again, each at the cost of a question. */
const CUTS_MAX = 24;

/** Milliseconds after the last movement until pages are asked for. */
const REST_MS = 70;

/** @param {Store} store @param {Api} api */
export function createPager(store, api) {
  let life = new AbortController();
  /** @type {Map<string, AbortController>} */
  const asked = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let resting;
  /** @type {[number, number]} */
  let sight = [0, 0];

  /** @param {Partial<NonNullable<import("./state/types.js").Explore["log"]>>} patch */
  const set = (patch) => {
    const { explore } = store.get();
    if (explore.log) store.set({ explore: { ...explore, log: { ...explore.log, ...patch } } });
  };
  const nothing = () => undefined;

  /** Moments as the node told them where they are the ends of the time: finer than milliseconds.
   * @param {Answer} answer @param {number} ms */
  const word = (answer, ms) => (ms === Date.parse(String(answer.to)) ? String(answer.to) : ms === Date.parse(String(answer.from)) ? String(answer.from) : new Date(ms).toISOString());

  /** @param {string} question @param {Answer} answer @param {number} from @param {number} to @param {AbortSignal} signal */
  const counted = async (question, answer, from, to, signal) => {
    const width = stretchWidth(to - from);
    const counts = await api.query(countsOf(question, word(answer, from), word(answer, to), width), signal, nothing);
    return { partial: counts.partial, stretches: stretchesOf(counts.rows, width, from, to) };
  };

  /** @param {string} question @param {Answer} answer */
  const measure = async (question, answer) => {
    const { signal } = life;
    const [from, to] = [Date.parse(String(answer.from)), Date.parse(String(answer.to))];
    try {
      let { partial, stretches } = await counted(question, answer, from, to, signal);
      const strip = stretches;
      for (let cuts = 0; cuts < CUTS_MAX; cuts += 1) {
        const at = stretches.findIndex((one) => one.count > STRETCH_MAX && one.to - one.from > 1);
        if (at < 0) break;
        const finer = await counted(question, answer, stretches[at].from, stretches[at].to, signal);
        partial = partial || finer.partial;
        if (finer.stretches.length === 0) break;
        stretches = lined([...stretches.slice(0, at), ...finer.stretches, ...stretches.slice(at + 1)]);
      }
      if (!signal.aborted) set({ stretches, strip, total: linesOf(stretches), partial });
      look(...sight);
    } catch (error) {
      if (!signal.aborted) set({ problem: /** @type {Error} */ (error).message });
    }
  };

  /** @param {NonNullable<ReturnType<typeof pagesBetween>>[number]} page */
  const read = async (page) => {
    const { log, answer, question } = store.get().explore;
    if (!log?.stretches || !answer || !question) return;
    const mine = new AbortController();
    asked.set(page.name, mine);
    const stretch = log.stretches[page.stretch];
    try {
      const text = pageOf(question, word(answer, stretch.from), word(answer, stretch.to), PAGE, page.skipped);
      const found = await api.query(text, AbortSignal.any([mine.signal, life.signal]), nothing);
      const pages = new Map(store.get().explore.log?.pages);
      pages.set(page.name, found);
      for (const name of [...pages.keys()].slice(0, Math.max(0, pages.size - PAGES_MAX))) pages.delete(name);
      set({ pages, problem: null });
    } catch (error) {
      if (!mine.signal.aborted && !life.signal.aborted) set({ problem: /** @type {Error} */ (error).message });
    } finally {
      if (asked.get(page.name) === mine) asked.delete(page.name);
      look(...sight);
    }
  };

  /** @param {number} from @param {number} to */
  const look = (from, to) => {
    const { log, answer } = store.get().explore;
    if (!log?.stretches || log.problem) return;
    // The first lines came with the answer.
    const wanted = pagesBetween(log.stretches, Math.max(from, answer?.rows.length ?? 0), to);
    for (const [name, one] of asked) if (!wanted.some((page) => page.name === name)) one.abort();
    for (const page of wanted) if (asked.size < ASKED_MAX && !asked.has(page.name) && !log.pages.has(page.name)) read(page);
  };

  return {
    /** Another answer is shown. @param {string} question @param {Answer} answer */
    begin(question, answer) {
      this.end();
      if (!isEndless(question) || !answer.from || !answer.to) return;
      store.set({ explore: { ...store.get().explore, log: { total: null, stretches: null, strip: [], pages: new Map(), partial: false, problem: null } } });
      measure(question, answer);
    },
    end() {
      life.abort();
      life = new AbortController();
      asked.clear();
      clearTimeout(resting);
      if (store.get().explore.log) store.set({ explore: { ...store.get().explore, log: null } });
    },
    /** These lines are in sight. @param {number} from @param {number} to */
    see(from, to) {
      sight = [from, to];
      clearTimeout(resting);
      resting = setTimeout(() => look(from, to), REST_MS);
    },
    /** Asks again for what failed. */
    again() {
      const { explore } = store.get();
      if (!explore.log) return;
      set({ problem: null });
      if (explore.log.stretches) look(...sight);
      else if (explore.question && explore.answer) measure(explore.question, explore.answer);
    },
  };
}
