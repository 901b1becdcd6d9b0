// @ts-check
// What happened while this page was open, newest first.

import { html } from "../ui.js";
import { clock } from "../state/words.js";
import { Glyph } from "./glyph.js";

/** @param {{state:import("../state/types.js").State, act:import("../main.js").Actions}} props */
export function Changes({ state, act }) {
  const past = state.route.at !== null;
  return html`<aside class="changes" aria-label="What changed">
    <h2>${past ? "What had changed" : "What changed"}</h2>
    ${state.changes.length === 0
      ? html`<p class="nothing">${past ? "Nothing that was kept, in the stretch of time on the strip." : "Nothing since this page was opened. A change shows here the moment this node knows of it."}</p>`
      : html`<ol>${state.changes.slice(0, 40).map((change) => html`<li class=${change.tone}>
        <${Glyph} shape=${change.shape} tone=${change.tone} />
        ${change.selection ? html`<button class="link" onClick=${() => act.select(change.selection)} title=${change.text}>${change.text}</button>` : html`<span title=${change.text}>${change.text}</span>`}
        <time>${clock(change.at, state.wall)}</time></li>`)}</ol>`}
  </aside>`;
}
