// @ts-check
// Questions about the selected link that the picture does not answer: what its observer knows
// of it, the way back, its history, a trace on demand; and how the grid was while an incident
// was on that is over.

import { incidentOf, worstMoment } from "./state/incidents.js";
import { findLink, readPicture } from "./state/picture.js";
import { sameSelection } from "./state/route.js";
import { TREND_MS } from "./state/trend.js";

/** @typedef {import("./state/store.js").Store} Store */
/** @typedef {import("./state/types.js").Detail} Detail */
/** @typedef {typeof import("./api.js")} Api */

/** Milliseconds between questions for an open link's details, and for its history. */
const DETAIL_MS = 4_000;
const TREND_REFRESH_MS = 60_000;

/** Milliseconds until a page that has no picture yet looks again. */
const SOON_MS = 200;

/** Flows that a trace on demand follows: two of three times enough to see each of eight ways. */
const TRACE_FLOWS = 16;

/** @param {Store} store @param {Api} api */
export function createDetails(store, api) {
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  let trendFor = "";
  let trendAt = -Infinity;

  const chosen = () => {
    const { selection } = store.get().route;
    return selection?.kind === "link" ? selection : null;
  };

  /** @param {"detail"|"backDetail"} slot @param {string} from @param {string} to @returns {Promise<void>} */
  const ask = async (slot, from, to) => {
    const link = chosen();
    const answer = await api.link(from, to).then((data) => ({ data, problem: null }), (error) => ({ data: null, problem: error.message }));
    if (!sameSelection(chosen(), link) || store.get().route.at !== null) return;
    const known = /** @type {Detail|null} */ (store.get()[slot]);
    const kept = answer.data ?? (known?.from === from && known?.to === to ? known.data : null);
    store.set({ [slot]: { from, to, data: kept, problem: answer.problem } });
  };

  const round = async () => {
    clearTimeout(timer);
    const link = chosen();
    const { route, detail, backDetail, picture } = store.get();
    if (link && !picture) {
      // The picture goes before: it also says whether there is a way back.
      timer = setTimeout(round, SOON_MS);
      return;
    }
    if (!link || route.at !== null) {
      if (detail || backDetail) store.set({ detail: null, backDetail: null });
    } else {
      const asked = [ask("detail", link.from, link.to)];
      if (picture && findLink(picture, link.to, link.from)) asked.push(ask("backDetail", link.to, link.from));
      await Promise.all(asked);
    }
    trend();
    if (link) timer = setTimeout(round, DETAIL_MS);
  };

  /** The history of the selected link, up to the moment that is looked at. */
  const trend = async () => {
    const link = chosen();
    const { route, wall } = store.get();
    if (!link) {
      trendFor = "";
      if (store.get().trend) store.set({ trend: null });
      return;
    }
    const until = route.at ?? wall;
    if (!Number.isFinite(until)) return;
    const key = `${link.from} ${link.to} ${route.trend} ${route.at === null ? "live" : Math.floor(until / TREND_REFRESH_MS)}`;
    if (key === trendFor && performance.now() - trendAt < TREND_REFRESH_MS) return;
    trendFor = key;
    trendAt = performance.now();
    const span = route.trend;
    const answer = await api.historyLink(link.from, link.to, until - TREND_MS[span], until)
      .then((data) => ({ data, problem: null }), (error) => ({ data: null, problem: error.status === 404 ? "nothing was kept of this link" : error.message }));
    if (trendFor === key) store.set({ trend: { from: link.from, to: link.to, span, until, ...answer } });
  };

  /** The picture for the map of an incident that is over. */
  const scene = async () => {
    const { route, incidents, scene: known, picture } = store.get();
    const incident = route.page === "incidents" ? incidentOf(incidents.list, route.incident) : null;
    const at = incident ? worstMoment(incident) : null;
    if (!incident || at === null) {
      if (known) store.set({ scene: null });
      return;
    }
    // It waits for the first paint, which brings the picture.
    if (!picture) {
      setTimeout(scene, SOON_MS);
      return;
    }
    if (known?.id === incident.id && known.at === at) return;
    store.set({ scene: { id: incident.id, at, picture: null, problem: null } });
    const answer = await api.pictureAt(at).then((document) => ({ picture: readPicture(document), problem: null }), (error) => ({ picture: null, problem: error.message }));
    const { scene: asked } = store.get();
    if (asked?.id === incident.id && asked.at === at) store.set({ scene: { ...asked, ...answer } });
  };

  return {
    /** The route has changed. */
    follow() {
      round();
      scene();
    },
    /** The incidents have changed. */
    scene,
    /** @param {string} from @param {string} to */
    async trace(from, to) {
      const known = store.get().trace;
      if (known?.busy) return;
      store.set({ trace: { from, to, busy: true, data: null, problem: null } });
      const answer = await api.trace(from, to, TRACE_FLOWS).then((data) => ({ data, problem: null }), (error) => ({ data: null, problem: error.message }));
      store.set({ trace: { from, to, busy: false, ...answer } });
    },
  };
}
