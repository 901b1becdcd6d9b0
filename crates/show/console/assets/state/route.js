// @ts-check
// URL to route and back: whatever is looked at is a link to send.

/** @typedef {import("./types.js").Route} Route */
/** @typedef {import("./types.js").Selection} Selection */

/** @type {Route} */
export const HOME = {
  page: "grid", view: null, selection: null, verdict: null, scope: null, list: "links", troubled: false,
};

/** @param {string} pathname @param {string} search @returns {Route} */
export function readRoute(pathname, search) {
  const query = new URLSearchParams(search);
  const view = query.get("view");
  const list = query.get("list");
  return {
    page: pathname === "/board" ? "board" : pathname === "/login" ? "login" : "grid",
    view: view === "map" || view === "matrix" || view === "list" ? view : null,
    selection: readSelection(query),
    verdict: query.get("verdict"),
    scope: pairOf(query, "scope_from", "scope_to"),
    list: list === "nodes" || list === "pairs" ? list : "links",
    troubled: query.has("troubled"),
  };
}

/** @param {URLSearchParams} query @param {string} from @param {string} to @returns {[string,string]|null} */
function pairOf(query, from, to) {
  const a = query.get(from);
  const b = query.get(to);
  return a && b ? [a, b] : null;
}

/** @param {URLSearchParams} query @returns {Selection|null} */
function readSelection(query) {
  const link = pairOf(query, "from", "to");
  if (link) return { kind: "link", from: link[0], to: link[1] };
  const pair = pairOf(query, "site_from", "site_to");
  if (pair) return { kind: "pair", from: pair[0], to: pair[1] };
  const node = query.get("node");
  if (node) return { kind: "node", id: node };
  const site = query.get("site");
  return site ? { kind: "site", id: site } : null;
}

/** @param {Route} route */
export function writeRoute(route) {
  const query = new URLSearchParams();
  if (route.view) query.set("view", route.view);
  if (route.scope) {
    query.set("scope_from", route.scope[0]);
    query.set("scope_to", route.scope[1]);
  }
  if (route.list !== "links") query.set("list", route.list);
  if (route.troubled) query.set("troubled", "");
  const chosen = route.selection;
  if (chosen?.kind === "node") query.set("node", chosen.id);
  if (chosen?.kind === "site") query.set("site", chosen.id);
  if (chosen?.kind === "link") {
    query.set("from", chosen.from);
    query.set("to", chosen.to);
  }
  if (chosen?.kind === "pair") {
    query.set("site_from", chosen.from);
    query.set("site_to", chosen.to);
  }
  if (route.verdict) query.set("verdict", route.verdict);
  const path = route.page === "grid" ? "/" : `/${route.page}`;
  const text = query.toString().replaceAll("troubled=", "troubled");
  return text ? `${path}?${text}` : path;
}

/** @param {Selection|null} a @param {Selection|null} b */
export function sameSelection(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
