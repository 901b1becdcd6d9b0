// @ts-check
// Wires the console: the stream feeds the store, the URL says what is looked at, views render.

import * as api from "./api.js";
import { html, render } from "./ui.js";
import { keyboard } from "./keyboard.js";
import { tab } from "./tab.js";
import { changesBetween, withNews } from "./state/changes.js";
import { applyDelta, epoch, readPicture, withMore } from "./state/picture.js";
import { HOME, readRoute, sameSelection, writeRoute } from "./state/route.js";
import { createStore } from "./state/store.js";
import { Page } from "./views/page.js";

/** @typedef {import("./state/types.js").Route} Route */
/** @typedef {import("./state/types.js").Selection} Selection */
/** @typedef {import("./state/types.js").Picture} Picture */

/** Milliseconds between questions for an open link's details, and for the demo's story. */
const DETAIL_MS = 4000;
const DEMO_MS = 700;

/** Links up to which the full form is asked for beside the columns: half a megabyte. */
const MORE_LINKS_MAX = 1500;

/** Measures kept for whoever looks; a page open for weeks must not keep them all. */
const MEASURES_MAX = 500;

const THEMES = /** @type {const} */ (["auto", "light", "dark"]);

const store = createStore({
  picture: null,
  connection: { state: "connecting", heardAt: null, problem: null },
  me: null,
  demo: null,
  route: readRoute(location.pathname, location.search),
  changes: [],
  theme: savedTheme(),
  dialog: null,
  clock: performance.now(),
  wall: NaN,
  detail: null,
  toast: null,
  loginProblem: null,
});

/** Server time minus our monotonic clock, so that ages hold on a machine whose clock is off. */
let serverOffset = NaN;
/** @type {(() => void)|null} */
let unfollow = null;

// ---- what views may do ------------------------------------------------------------------

const act = {
  /** @param {Partial<Route>} patch */
  go(patch) {
    const route = { ...store.get().route, ...patch };
    const url = writeRoute(route);
    if (url === location.pathname + location.search) return;
    history.pushState(null, "", url);
    store.set({ route });
    followDetail();
  },
  /** @param {Selection|null} selection */
  select(selection) {
    if (!sameSelection(selection, store.get().route.selection)) act.go({ selection });
  },
  /** A link of our own that does not load the page anew. @param {string} path @returns {(event: MouseEvent) => void} */
  follow: (path) => (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    act.go({ ...HOME, ...readRoute(path, "") });
  },
  /** @param {"search"|"help"|null} dialog */
  dialog(dialog) {
    store.set({ dialog });
  },
  theme() {
    const { theme } = store.get();
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    applyTheme(next);
    store.set({ theme: next });
  },
  /** @param {string} id @param {boolean} active */
  async fault(id, active) {
    try {
      await api.setFault(id, active);
      store.set({ demo: await api.demo() });
    } catch (error) {
      toast(`The plug did not move: ${/** @type {Error} */ (error).message}`);
    }
  },
  /** @param {"pause"|"resume"|"restart"} action */
  async script(action) {
    try {
      await api.steer(action);
      store.set({ demo: await api.demo() });
    } catch (error) {
      toast(`The demo goes its own way: ${/** @type {Error} */ (error).message}`);
    }
  },
  /** @param {string} token */
  async login(token) {
    try {
      await api.login(token);
      store.set({ loginProblem: null, connection: { state: "connecting", heardAt: null, problem: null } });
      if (store.get().route.page === "login") {
        history.replaceState(null, "", "/");
        store.set({ route: readRoute("/", "") });
      }
      start();
    } catch (error) {
      const { status, message } = /** @type {api.ApiError} */ (error);
      const why = status === 401 || status === 403 ? "This token is not known here, or no longer valid." : message;
      store.set({ loginProblem: why });
    }
  },
  async logout() {
    await api.logout().catch(() => null);
    location.assign("/");
  },
};

/** @typedef {typeof act} Actions */

// ---- the stream -------------------------------------------------------------------------

function start() {
  unfollow?.();
  api.me().then((me) => {
    store.set({ me });
    if (me.demo) followDemo();
  }, () => null);
  unfollow = api.follow({
    picture(document) {
      take(readPicture(document));
      askMore();
    },
    delta(delta) {
      const { picture } = store.get();
      if (!picture) return;
      take(applyDelta(picture, delta));
    },
    heartbeat(generatedAt) {
      heard(epoch(generatedAt));
    },
    lost({ status, message }) {
      const { connection } = store.get();
      const refused = status === 401 || status === 403;
      store.set({ connection: { ...connection, state: refused ? "refused" : "lost", problem: message } });
    },
  });
}

/** Asks for what the columns leave out, where it is little; deltas keep it fresh from then on. */
function askMore() {
  const { picture } = store.get();
  if (!picture || picture.links.count > MORE_LINKS_MAX) return;
  api.picture().then((document) => {
    const { picture: now } = store.get();
    if (now && now.me === document.me) store.set({ picture: withMore(now, document) });
  }, () => null);
}

/** @param {Picture} picture */
function take(picture) {
  const before = store.get().picture;
  const changes = withNews(store.get().changes, changesBetween(before, picture));
  heard(picture.generatedAt);
  store.set({ picture, changes });
}

/** @param {number} generatedAt */
function heard(generatedAt) {
  const now = performance.now();
  if (Number.isFinite(generatedAt)) serverOffset = generatedAt - now;
  store.set({ connection: { state: "live", heardAt: now, problem: null }, clock: now, wall: now + serverOffset });
}

// ---- questions beside the stream ---------------------------------------------------------

/** @type {ReturnType<typeof setTimeout>|undefined} */
let detailTimer;

function followDetail() {
  clearTimeout(detailTimer);
  const { selection } = store.get().route;
  if (selection?.kind !== "link") {
    if (store.get().detail) store.set({ detail: null });
    return;
  }
  const { from, to } = selection;
  const wanted = () => sameSelection(store.get().route.selection, selection);
  const put = (/** @type {any} */ data, /** @type {string|null} */ problem) => {
    if (!wanted()) return;
    const known = store.get().detail;
    const kept = data ?? (known?.from === from && known?.to === to ? known.data : null);
    store.set({ detail: { from, to, data: kept, problem } });
    detailTimer = setTimeout(followDetail, DETAIL_MS);
  };
  api.link(from, to).then((data) => put(data, null), (error) => put(null, error.message));
}

let demoFollowed = false;

async function followDemo() {
  if (demoFollowed) return;
  demoFollowed = true;
  for (;;) {
    const demo = await api.demo().catch(() => null);
    const { demo: known } = store.get();
    if (demo && JSON.stringify(demo) !== JSON.stringify(known)) store.set({ demo });
    await new Promise((done) => setTimeout(done, document.hidden ? 5 * DEMO_MS : DEMO_MS));
  }
}

// ---- theme, toast -----------------------------------------------------------------------

/** @returns {"auto"|"light"|"dark"} */
function savedTheme() {
  const saved = localStorage.getItem("theme");
  return saved === "light" || saved === "dark" ? saved : "auto";
}

/** @param {"auto"|"light"|"dark"} theme */
function applyTheme(theme) {
  if (theme === "auto") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", theme);
    document.documentElement.dataset.theme = theme;
  }
}

/** @param {string} text */
function toast(text) {
  store.set({ toast: text });
  setTimeout(() => store.get().toast === text && store.set({ toast: null }), 5000);
}

// ---- run --------------------------------------------------------------------------------

applyTheme(store.get().theme);
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
root.replaceChildren();
store.watch((state) => {
  render(html`<${Page} state=${state} act=${act} />`, root);
  tab(state);
  if (state.picture) measureUpdate();
});

/** Marks from an event's arrival to its elements on the page, for whoever measures. */
function measureUpdate() {
  if (performance.getEntriesByName("first-data").length === 0) performance.mark("first-data");
  for (const received of ["picture-received", "delta-received"]) {
    if (performance.getEntriesByName(received, "mark").length === 0) continue;
    performance.measure(received.replace("received", "rendered"), received);
    performance.clearMarks(received);
    if (performance.getEntriesByType("measure").length > MEASURES_MAX) performance.clearMeasures();
  }
}

addEventListener("popstate", () => {
  store.set({ route: readRoute(location.pathname, location.search) });
  followDetail();
});
keyboard(store, act);
setInterval(() => {
  const now = performance.now();
  store.set({ clock: now, wall: now + serverOffset });
}, 1000);

const secret = location.hash.slice(1);
if (store.get().route.page === "login" && secret !== "") {
  // Out of the address bar before anything else can see or keep it.
  history.replaceState(null, "", "/login");
  act.login(decodeURIComponent(secret));
} else {
  start();
  followDetail();
}
store.set({});
