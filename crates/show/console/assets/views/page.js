// @ts-check
// Which view the page shows, and its states before there is a picture.

import { html } from "../ui.js";
import { freshness } from "../state/connection.js";
import { summary } from "../state/headline.js";
import { ago, changesUpTo } from "../state/past.js";
import { moment } from "../state/words.js";
import { Board } from "./board.js";
import { Changes } from "./changes.js";
import { DemoRibbon } from "./demo.js";
import { Help, Search } from "./dialogs.js";
import { Explore } from "./explore.js";
import { Head } from "./head.js";
import { Incidents } from "./incidents.js";
import { Login } from "./login.js";
import { Panel } from "./panel.js";
import { Slider } from "./slider.js";
import { Stage } from "./stage.js";
import { Top } from "./top.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../main.js").Actions} Actions */

/** @param {{state:State, act:Actions}} props */
export function Page({ state, act }) {
  if (state.connection.state === "refused" || state.route.page === "login") return html`<${Login} state=${state} act=${act} />`;
  if (state.route.page === "board") return html`<${Board} state=${state} act=${act} />`;
  const fresh = freshness(state.connection, state.clock);
  const onIncidents = state.route.page === "incidents";
  const onExplore = state.route.page === "explore";
  const apart = onIncidents || onExplore;
  const past = !apart && state.route.at !== null;
  return html`<div class=${`page ${fresh.state}${past ? " past" : ""}`}>
    <a class="skip" href=${apart ? "#main" : "#stage"}>Skip to ${onExplore ? "the answer" : onIncidents ? "the incidents" : "the grid"}</a>
    <${Top} state=${state} act=${act} />
    ${state.demo && html`<${DemoRibbon} demo=${state.demo} verdicts=${state.picture?.verdicts ?? []} act=${act} />`}
    ${fresh.state === "stale" && html`<p class="banner" role="alert"><span class="spin" aria-hidden="true"></span><span aria-hidden="true">${capital(fresh.text)}.</span> What you see may no longer be true.</p>`}
    ${past && html`<${PastBanner} state=${state} act=${act} />`}
    ${onExplore ? html`<${Explore} state=${state} act=${act} />`
      : onIncidents ? html`<${Incidents} state=${state} act=${act} />`
      : past ? html`<${Past} state=${state} act=${act} />`
      : state.picture ? html`<${Grid} state=${state} act=${act} />` : html`<${Waiting} text=${fresh.text} />`}
    ${!apart && html`<${Slider} state=${state} act=${act} />`}
    ${state.dialog === "search" && html`<${Search} state=${state} act=${act} />`}
    ${state.dialog === "help" && html`<${Help} act=${act} />`}
    ${state.toast && html`<p class="toast" role="alert">${state.toast}</p>`}
  </div>`;
}

/** Changes listed beside a picture that was. */
const PAST_CHANGES = 40;

/** The same views with the picture as it was and the clock of then. @param {{state:State, act:Actions}} props */
function Past({ state, act }) {
  const { past, history } = state;
  const at = /** @type {number} */ (state.route.at);
  if (!past?.picture) {
    return past?.problem ? html`<main class="waiting"><p class="problem">The picture as it was cannot be read: ${past.problem}.</p></main>`
      : html`<${Waiting} text=${`Reading the picture as it was at ${moment(at)}`} />`;
  }
  const seen = { ...state, picture: past.picture, wall: at, changes: changesUpTo(history.moments, at, PAST_CHANGES), detail: null, backDetail: null };
  return html`<${Grid} state=${seen} act=${act} />`;
}

/** @param {{state:State, act:Actions}} props */
function PastBanner({ state, act }) {
  const at = /** @type {number} */ (state.route.at);
  const { past } = state;
  return html`<div class="banner past"><svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" /><path d="M8 4.6V8l2.4 1.6" /></svg>
    <p role="status">As it was at <strong>${moment(at)}</strong>${Number.isFinite(state.wall) ? html`<span class="ago">, ${ago(at, state.wall)}</span>` : ""}</p>
    ${past?.problem && past.picture && html`<p class="problem" role="alert">this moment cannot be read (${past.problem}); what you see is ${moment(past.at)}</p>`}
    <button class="button" onClick=${() => act.live()}>Back to live<kbd>Esc</kbd></button></div>`;
}

/** @param {{state:State, act:Actions}} props */
function Grid({ state, act }) {
  const picture = /** @type {NonNullable<State["picture"]>} */ (state.picture);
  const sum = summary(picture);
  const alone = sum.nodes <= 1 && sum.targets === 0 && sum.neighbours === 0;
  const { selection } = state.route;
  return html`<main class=${`grid${selection ? " chosen" : ""}`}>
    <${Head} state=${state} picture=${picture} act=${act} />
    ${alone ? html`<${Alone} />` : html`<${Stage} state=${state} picture=${picture} act=${act} />
    ${selection ? html`<${Panel} state=${state} picture=${picture} act=${act} selection=${selection} />` : html`<${Changes} state=${state} act=${act} />`}`}
  </main>`;
}

function Alone() {
  return html`<section class="alone" aria-label="The next machine">
    <h2>Bring in the next machine</h2>
    <p>On this machine, ask for the one line to paste on the next:</p>
    <pre><code>andon invite</code></pre>
    <p>It holds where to join and the grid key, so treat it like a password. The moment the line runs, the new node appears here.</p>
  </section>`;
}

/** @param {{text:string}} props */
function Waiting({ text }) {
  return html`<main class="waiting" aria-busy="true"><div class="skeleton tall"></div><div class="skeleton wide"></div><p>${capital(text)} …</p></main>`;
}

/** @param {string} text */
function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
