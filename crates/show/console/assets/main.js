// @ts-check
// Wires the console: the stream feeds the store, the URL says what is looked at, views render.

import * as api from "./api.js";
import { html, render } from "./ui.js";
import { createDetails } from "./details.js";
import { createExplorer } from "./explorer.js";
import { keyboard } from "./keyboard.js";
import { createReplay } from "./replay.js";
import { tab } from "./tab.js";
import { changesBetween, withNews } from "./state/changes.js";
import { readIncident, readIncidents, REPLAY_LEAD_MS } from "./state/incidents.js";
import { applyDelta, epoch, readPicture } from "./state/picture.js";
import { isRaw } from "./state/question.js";
import { HOME, readRoute, sameSelection, writeRoute } from "./state/route.js";
import { createStore } from "./state/store.js";
import { Page } from "./views/page.js";

/** @typedef {import("./state/types.js").Route} Route */
/** @typedef {import("./state/types.js").Selection} Selection */
/** @typedef {import("./state/types.js").Picture} Picture */

/** Milliseconds between questions for the demo's story. */
const DEMO_MS = 700;

/** Milliseconds after the first picture is on the page until anything else is asked for. */
const AFTER_PAINT_MS = 300;

/** Milliseconds between questions for incidents, for a stream that lost their news. */
const INCIDENTS_MS = 20_000;

/** Milliseconds between moments written into the address while the past plays: browsers
 * refuse an address that changes at every tick. */
const ADDRESS_MS = 1_000;

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
  backDetail: null,
  trace: null,
  incidents: { list: null, problem: null },
  doing: null,
  actProblem: null,
  past: null,
  history: { span: null, moments: [], known: null, problem: null, kept: true },
  trend: null,
  scene: null,
  explore: { question: null, busy: false, share: null, answer: null, problem: null, datasets: null, datasetsProblem: null, keys: {}, offers: null, stopped: false, box: null, log: null, tail: null, trace: null },
});

/** Server time minus our monotonic clock, so that ages hold on a machine whose clock is off. */
let serverOffset = NaN;
/** @type {(() => void)|null} */
let unfollow = null;
/** Monotonic milliseconds at which the address was last written. */
let writtenAt = -Infinity;

// ---- what views may do ------------------------------------------------------------------

const act = {
  /** @param {Partial<Route>} patch */
  go(patch) {
    const before = store.get().route;
    const route = { ...before, ...patch };
    // A flow belongs to its link.
    if (!sameSelection(before.selection, route.selection) && patch.flow === undefined) route.flow = null;
    const url = writeRoute(route);
    if (url === location.pathname + location.search) return;
    // Moment by moment through the past is one step for the browser's "back".
    if (before.at !== null && route.at !== null) history.replaceState(history.state, "", url);
    else history.pushState({ steps: (history.state?.steps ?? 0) + 1 }, "", url);
    store.set({ route, actProblem: route.incident === before.incident ? store.get().actProblem : null });
    follow();
  },
  /** As `go`, without a step that the browser's "back" would walk through: time that passes.
   * @param {Partial<Route>} patch */
  pass(patch) {
    const route = { ...store.get().route, ...patch };
    store.set({ route });
    const settled = route.at === null || route.play === 0;
    if (settled || performance.now() - writtenAt > ADDRESS_MS) {
      writtenAt = performance.now();
      history.replaceState(history.state, "", writeRoute(route));
    }
    if (route.at === null || store.get().past === null) follow();
  },
  live() {
    act.go({ at: null, play: 0 });
  },
  /** One step of this visit back; from a link that was opened, to what it is a part of. */
  back() {
    const { route } = store.get();
    if ((history.state?.steps ?? 0) > 0) history.back();
    else if (route.trace && route.question) act.go({ trace: null, span: null });
    else if (route.live) act.go({ live: false });
    else if (route.pick) act.go({ pick: null });
    else if (route.question) act.go({ question: null, form: null });
    else act.go(HOME);
  },
  /** The same question again: asked anew. @param {string} question */
  ask(question) {
    const { route } = store.get();
    if (question === route.question) explorer.ask(question);
    else act.go({ page: "explore", question: question === "" ? null : question, pick: null, trace: null, span: null, live: route.live && isRaw(question) });
  },
  /** Calls the question off; what is known by then stays. */
  stop() {
    explorer.stop();
  },
  /** What could be typed at a place of a text. @param {string} text @param {number} caret */
  complete(text, caret) {
    explorer.complete(text, caret);
  },
  /** @param {[number,number,number,number]|null} box */
  mark(box) {
    explorer.mark(box);
  },
  /** These lines of the log are in sight. @param {number} from @param {number} to */
  see(from, to) {
    explorer.pager.see(from, to);
  },
  readOn() {
    explorer.pager.again();
  },
  /** @param {"pause"|"clear"} what */
  tail(what) {
    explorer.tailer[what]();
  },
  /** @param {number|null} number */
  tailPick(number) {
    explorer.tailer.pick(number);
  },
  /** To the change before or after. @param {1|-1} by */
  change(by) {
    replay.change(by);
  },
  /** @param {1|-1|0} by */
  stride(by) {
    replay.stride(by);
  },
  /** From just before it began. @param {import("./state/types.js").Incident} incident */
  replay(incident) {
    const began = epoch(incident.opened_at);
    if (Number.isFinite(began)) act.go({ ...HOME, at: began - REPLAY_LEAD_MS, play: 10, time: true, reach: "15m", incident: incident.id });
  },
  /** @param {string} from @param {string} to */
  trace(from, to) {
    details.trace(from, to);
  },
  /** @param {string} id @param {"ack"|"own"|"note"|"mitigate"|"resolve"} verb @param {{text?:string, owner?:string}} said @returns {Promise<boolean>} */
  async remark(id, verb, said) {
    if (store.get().doing) return false;
    store.set({ doing: verb, actProblem: null });
    try {
      const answered = readIncident(await api.remark(id, verb, said));
      const { incidents } = store.get();
      const list = (incidents.list ?? []).map((one) => (one.id === id ? answered : one));
      store.set({ doing: null, incidents: { ...incidents, list } });
      return true;
    } catch (error) {
      store.set({ doing: null, actProblem: /** @type {Error} */ (error).message });
      return false;
    }
  },
  /** @param {string} text @returns {Promise<void>} */
  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    } catch {
      toast("The browser did not let us copy; mark the text and copy it.");
    }
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
      // A stream that begins anew may have missed news.
      told = false;
    },
    delta(delta) {
      const { picture } = store.get();
      if (!picture) return;
      take(applyDelta(picture, delta));
    },
    heartbeat(generatedAt) {
      heard(epoch(generatedAt));
    },
    incidents(list) {
      told = true;
      store.set({ incidents: { list: readIncidents(list), problem: null } });
      details.scene();
    },
    lost({ status, message }) {
      const { connection } = store.get();
      const refused = status === 401 || status === 403;
      store.set({ connection: { ...connection, state: refused ? "refused" : "lost", problem: message } });
    },
  });
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

const details = createDetails(store, api);
const replay = createReplay(store, api, act);
const explorer = createExplorer(store, api);

/** The route has changed: what it looks at may need questions. */
function follow() {
  details.follow();
  replay.follow();
  explorer.follow();
}

let lateStarted = false;
/** The stream tells of incidents by itself. */
let told = false;
/** The node has no such thing: no use in asking again. */
let without = false;

/** What the first paint must not wait for: incidents, and what was kept of the past. */
function startLate() {
  if (lateStarted) return;
  lateStarted = true;
  setTimeout(() => {
    replay.start();
    askIncidents();
    setInterval(askIncidents, INCIDENTS_MS);
  }, AFTER_PAINT_MS);
}

function askIncidents() {
  if (told || without) return;
  api.incidents().then(
    (list) => {
      store.set({ incidents: { list: readIncidents(list), problem: null } });
      details.scene();
    },
    (error) => {
      without = error.status === 404;
      store.set({ incidents: { list: store.get().incidents.list, problem: without ? "this node knows no incidents" : error.message } });
    },
  );
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
  if (state.picture) {
    measureUpdate();
    startLate();
  }
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
  follow();
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
  follow();
}
store.set({});
