// @ts-check
// The bar on top: whose picture this is, how fresh it is, and the few controls.

import { html } from "../ui.js";
import { freshness } from "../state/connection.js";
import { Logo } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions}} props */
export function Top({ state, act }) {
  const fresh = freshness(state.connection, state.clock);
  const { me, picture } = state;
  const id = me?.id ?? picture?.me ?? "";
  const theme = { auto: "as the system", light: "light", dark: "dark" }[state.theme];
  return html`<header class="top">
    <a class="brand" href="/" onClick=${act.follow("/")}><${Logo} /><span>Andon</span></a>
    <p class="whose">
      ${id && html`<span class="seen-from">as seen from </span><strong>${id}</strong>${me?.site && html`<span class="where">${me.site}</span>`}`}
    </p>
    <p class=${`fresh ${fresh.state}`}><span class="dot"></span>${fresh.text}</p>
    <button class="search-open" onClick=${() => act.dialog("search")}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <span>Search</span><kbd>/</kbd>
    </button>
    <button class="plain" onClick=${act.theme} aria-label=${`Theme: ${theme}. Change`} title=${`Theme: ${theme} (t)`}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 1 0 12z" class="solid" /></svg>
    </button>
    <button class="plain help-open" onClick=${() => act.dialog("help")} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">?</button>
    ${me?.proof === "session" && me.user && html`<button class="plain user" onClick=${act.logout} title=${`${me.user}, ${me.role ?? ""}. Log out`} aria-label=${`Log out ${me.user}`}>${me.user.slice(0, 1).toUpperCase()}</button>`}
  </header>`;
}
