// @ts-check
// The bar on top: whose picture this is, how fresh it is, and the few controls.

import { html } from "../ui.js";
import { freshness } from "../state/connection.js";
import { openWords } from "../state/incidents.js";
import { Glyph, Logo } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions}} props */
export function Top({ state, act }) {
  const fresh = freshness(state.connection, state.clock);
  const { me, picture } = state;
  const past = state.route.at !== null && state.route.page === "grid";
  const id = me?.id ?? picture?.me ?? "";
  const theme = { auto: "as the system", light: "light", dark: "dark" }[state.theme];
  return html`<header class="top">
    <a class="brand" href="/" onClick=${act.follow("/")}><${Logo} /><span>Andon</span></a>
    <p class="whose">
      ${id && html`<span class="seen-from">as seen from </span><strong>${id}</strong>${me?.site && html`<span class="where">${me.site}</span>`}`}
    </p>
    <a class="incidents-link explore-link" href="/explore" aria-current=${state.route.page === "explore" ? "page" : undefined} title="Explore events (e)" onClick=${act.follow("/explore")}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 13.5h12M4 11V7M8 11V3M12 11V5.5" /></svg><span class="words">Explore</span></a>
    <${IncidentsLink} state=${state} act=${act} />
    <p class=${`fresh ${past ? "past" : fresh.state}`}><span class="dot"></span>${past ? "as it was" : fresh.text}</p>
    <button class="search-open" onClick=${() => act.dialog("search")}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <span>Search</span><kbd>/</kbd>
    </button>
    <button class="plain" onClick=${act.theme} aria-label=${`Theme: ${theme}. Change`} title=${`Theme: ${theme} (d)`}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 1 0 12z" class="solid" /></svg>
    </button>
    <button class="plain help-open" onClick=${() => act.dialog("help")} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">?</button>
    ${me?.proof === "session" && me.user && html`<button class="plain user" onClick=${act.logout} title=${`${me.user}, ${me.role ?? ""}. Log out`} aria-label=${`Log out ${me.user}`}>${me.user.slice(0, 1).toUpperCase()}</button>`}
  </header>`;
}

/** How many are open, from every page. @param {{state:State, act:Actions}} props */
function IncidentsLink({ state, act }) {
  const open = openWords(state.incidents.list);
  const here = state.route.page === "incidents";
  return html`<a class=${`incidents-link ${open.tone}${open.count > 0 ? " some" : ""}`} href="/incidents" aria-current=${here ? "page" : undefined} title="Incidents (i)" onClick=${act.follow("/incidents")}>
    ${open.count > 0 && html`<${Glyph} shape=${open.shape} tone=${open.tone} />`}<span class="count">${open.count > 0 ? open.count : ""}</span><span class="words">${open.count > 0 ? open.text.replace(/^\S+ /, "") : open.text}</span></a>`;
}
