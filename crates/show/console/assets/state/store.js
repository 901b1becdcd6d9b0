// @ts-check
// One store. Whoever watches is told once per frame, however many things changed.

/** @typedef {import("./types.js").State} State */

/** @param {State} initial */
export function createStore(initial) {
  let state = initial;
  let due = false;
  /** @type {Set<(state: State) => void>} */
  const watchers = new Set();

  const tell = () => {
    due = false;
    for (const watcher of watchers) watcher(state);
  };

  return {
    get: () => state,
    /** @param {Partial<State>} patch */
    set(patch) {
      state = { ...state, ...patch };
      if (due) return;
      due = true;
      // A hidden page gets no frames; its title still has to follow.
      if (document.hidden) setTimeout(tell, 50);
      else requestAnimationFrame(tell);
    },
    /** @param {(state: State) => void} watcher */
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */
