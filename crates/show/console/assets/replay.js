// @ts-check
// Goes to moments of the past and plays them: asks the node for the picture as it was, one
// question at a time, and keeps the time while it plays.

import { readPicture } from "./state/picture.js";
import { changeFrom, MOMENTS_MAX, played, readMoments, readSpan, stretchOf } from "./state/past.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {typeof import("./api.js")} Api */
/** @typedef {import("./state/types.js").Route} Route */

/** Milliseconds between steps of playing, and at least between two pictures asked for. */
const TICK_MS = 250;
const PICTURE_MS = 400;

/** Milliseconds until a picture that could not be read is asked for again. */
const AGAIN_MS = 4_000;

/** Milliseconds between questions for news of the strip, while it is open and while it is not. */
const NEWS_MS = 6_000;
const QUIET_MS = 30_000;

/** Milliseconds to the end of what was kept at which the past has become the present. */
const LIVE_MS = 2_000;

/** Milliseconds by which a moment may be off before its picture is asked for anew. */
const SAME_MS = 50;

/** Milliseconds that are looked through for a change where it is not known yet how much was
 * kept: a node keeps a month as a rule. */
const KEPT_MS_MAX = 31 * 86_400_000;

/** Share of the strip that one step without a change goes. */
const STRIDE = 1 / 60;

/**
 * @param {Store} store @param {Api} api
 * @param {{go:(patch: Partial<Route>) => void, pass:(patch: Partial<Route>) => void}} act
 *   `go`: somebody went there; `pass`: time went on.
 */
export function createReplay(store, api, act) {
  let busy = false;
  let askedAt = -Infinity;
  let tickedAt = 0;
  let newsAt = -Infinity;
  let newsFor = "";
  let newsBusy = false;
  let on = false;
  /** The node has no such thing: no use in asking again. */
  let unkept = false;

  const now = () => store.get().wall;

  /** Asks for the picture of the wanted moment, unless it is there or being asked for. */
  const look = async () => {
    const { route, past } = store.get();
    const at = route.at;
    if (at === null || busy) return;
    const same = past !== null && Math.abs(past.at - at) < SAME_MS;
    if (same && past?.problem === null) return;
    if (performance.now() - askedAt < (same ? AGAIN_MS : PICTURE_MS)) return;
    busy = true;
    askedAt = performance.now();
    const found = await api.pictureAt(at).then(
      (document) => ({ picture: readPicture(document), problem: null }),
      (error) => ({ picture: store.get().past?.picture ?? null, problem: /** @type {string} */ (error.message) }),
    );
    busy = false;
    if (store.get().route.at === null) return;
    store.set({ past: { ...found, at } });
    // Where the next moment is already wanted, go on at once; what failed waits a little.
    if (found.problem === null) look();
  };

  /** What the strip shows: the span, and the changes of the stretch in sight. */
  const news = async () => {
    const { route, history } = store.get();
    if (newsBusy || !Number.isFinite(now())) return;
    const open = route.time || route.at !== null;
    const stretch = stretchOf(route.reach, route.at, now(), history.span);
    const live = stretch.until >= now() - LIVE_MS;
    const key = `${route.reach} ${live ? "live" : stretch.from}`;
    const age = performance.now() - newsAt;
    const rest = !open ? QUIET_MS : live || history.problem ? NEWS_MS : Infinity;
    if (unkept || (key === newsFor && age < rest)) return;
    newsBusy = true;
    newsAt = performance.now();
    try {
      const span = readSpan(await api.historySpan());
      const wanted = stretchOf(route.reach, route.at, now(), span);
      const moments = readMoments(await api.historyChanges(wanted.from, wanted.until, MOMENTS_MAX));
      newsFor = key;
      store.set({ history: { span, moments, known: wanted, problem: null, kept: true } });
    } catch (error) {
      const { status, message } = /** @type {import("./api.js").ApiError} */ (error);
      unkept = status === 404;
      newsFor = key;
      store.set({ history: { ...store.get().history, kept: !unkept, problem: unkept ? "this node keeps no history" : message } });
    }
    newsBusy = false;
  };

  const tick = () => {
    const elapsed = performance.now() - tickedAt;
    tickedAt = performance.now();
    const { route, past, history } = store.get();
    if (route.at !== null && route.play > 0 && past?.picture && !store.get().dialog) {
      const at = played(route.at, Math.min(elapsed, 4 * TICK_MS), route.play, history.moments, now());
      // A slow answer holds the time, so that no change is played over unseen.
      const waiting = busy && performance.now() - askedAt > 2 * PICTURE_MS;
      if (!waiting) act.pass(at >= now() - LIVE_MS ? { at: null, play: 0, time: true } : { at });
    }
    look();
    news();
  };

  /** The stretch in sight and the oldest moment that can be gone to. */
  const sight = () => {
    const { route, history } = store.get();
    const stretch = stretchOf(route.reach, route.at, now(), history.span);
    const kept = history.span?.from ?? NaN;
    return { stretch, oldest: Number.isFinite(kept) ? kept : stretch.from };
  };

  /** Asks since when there is a past, if that is not known: a young node had none a moment ago. */
  const findOldest = async () => {
    if (unkept || Number.isFinite(store.get().history.span?.from)) return;
    const span = await api.historySpan().then(readSpan, () => null);
    if (span) store.set({ history: { ...store.get().history, span } });
  };

  /** @param {number} at */
  const goTo = (at) => {
    if (at >= now()) act.go({ at: null, play: 0, time: true });
    else act.go({ at: Math.max(sight().oldest, at), play: 0, time: true });
  };

  return {
    /** To the change before or after; after the last one is now. @param {1|-1} by */
    async change(by) {
      const { route, history } = store.get();
      const at = route.at ?? now();
      const found = changeFrom(history.moments, at, by);
      const { stretch, oldest } = sight();
      if (found !== null) goTo(found);
      // Nothing after in this stretch: to its edge, from where the next is in sight.
      else if (by > 0) goTo(stretch.until >= now() - LIVE_MS ? Infinity : stretch.until + 1);
      else {
        // Of more than are asked for the newest are told: the one before this stretch.
        const since = store.get().history.span ? oldest : at - KEPT_MS_MAX;
        const before = await api.historyChanges(since, Math.min(at, stretch.from) - 1, 1).then(readMoments, () => []);
        if (store.get().route.at === route.at) goTo(before[0]?.at ?? oldest);
      }
    },
    /** A little way; 0: to the start of the stretch. @param {1|-1|0} by */
    async stride(by) {
      await findOldest();
      // In its first second a node has no past: there is nowhere to go to.
      if (!Number.isFinite(store.get().history.span?.from)) return;
      const { stretch, oldest } = sight();
      // A young history begins within the stretch.
      goTo(by === 0 ? Math.max(stretch.from, oldest) : (store.get().route.at ?? now()) + by * (stretch.until - stretch.from) * STRIDE);
    },
    /** Begins once the first paint is over: nothing of this may delay it. */
    start() {
      if (on) return;
      on = true;
      tickedAt = performance.now();
      setInterval(tick, TICK_MS);
    },
    /** The route has changed. */
    follow() {
      const { route, past } = store.get();
      if (route.at === null) {
        if (past) store.set({ past: null });
      } else {
        if (!past) store.set({ past: { picture: null, at: NaN, problem: null } });
        this.start();
        look();
      }
    },
  };
}
