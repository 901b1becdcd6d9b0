// @ts-check
// The grid itself: as a map, as a matrix, as a list. The same picture three times.

import { html } from "../ui.js";
import { firstView } from "../state/headline.js";
import { linkWords, STATES } from "../state/words.js";
import { Paths } from "./bundle.js";
import { Glyph } from "./glyph.js";
import { Map } from "./map.js";
import { Matrix } from "./matrix.js";
import { List } from "./list.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../main.js").Actions} Actions */

const NAMES = /** @type {const} */ ({ map: "Map", matrix: "Matrix", list: "List", paths: "Paths" });

/** @param {{state:State, picture:Picture, act:Actions}} props */
export function Stage({ state, picture, act }) {
  const first = firstView(picture);
  const { selection } = state.route;
  const far = selection?.kind === "link" ? picture.nodes[picture.index.get(selection.to) ?? -1] : undefined;
  const traced = selection?.kind === "link" && far?.kind === "andon" ? selection : null;
  const view = state.route.view === "paths" && !traced ? first : (state.route.view ?? first);
  /** @type {("map"|"matrix"|"list"|"paths")[]} */
  const order = first === "map" ? ["map", "matrix", "list"] : ["matrix", "map", "list"];
  if (traced) order.push("paths");
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const next = order[(order.indexOf(view) + step + order.length) % order.length];
    act.go({ view: next });
    document.getElementById(`tab-${next}`)?.focus();
  };
  return html`<section class="stage" aria-label="The grid">
    <div class="bar">
      <div class="tabs" role="tablist" aria-label="How the grid is shown" onKeyDown=${keys}>
        ${order.map((name) => html`<button role="tab" id=${`tab-${name}`} aria-selected=${view === name} tabindex=${view === name ? 0 : -1}
          aria-controls="stage" onClick=${() => act.go({ view: name })}>${NAMES[name]}</button>`)}
      </div>
      ${view !== "paths" && html`<${Legend} />`}
    </div>
    <div id="stage" role="tabpanel" aria-labelledby=${`tab-${view}`}>
      ${view === "map" && html`<${Map} state=${state} picture=${picture} act=${act} large=${false} />`}
      ${view === "matrix" && html`<${Matrix} state=${state} picture=${picture} act=${act} />`}
      ${view === "list" && html`<${List} state=${state} picture=${picture} act=${act} />`}
      ${view === "paths" && traced && html`<div class="paths-stage"><${Paths} state=${state} picture=${picture} act=${act} from=${traced.from} to=${traced.to} wide /></div>`}
    </div>
  </section>`;
}

function Legend() {
  const shown = ["up", "partial", "degraded", "down", "unknown", "not_probed"];
  return html`<ul class="legend" aria-label="What the shapes mean">
    ${STATES.filter((name) => shown.includes(name)).map((name) => html`<li><${Glyph} ...${linkWords(name)} />${linkWords(name).text}</li>`)}
  </ul>`;
}
