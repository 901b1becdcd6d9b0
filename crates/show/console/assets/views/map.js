// @ts-check
// The map's element: gives the canvas its size and its data, and says what is pointed at.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../ui.js";
import { mapModel, mapWords } from "../state/map.js";
import { aboutOf } from "../state/headline.js";
import { findLink } from "../state/picture.js";
import { flows, linkWords, loss, nodeWords, rtt } from "../state/words.js";
import { createTopology } from "../draw/topology.js";
import { readPalette } from "../draw/palette.js";
import { Chip } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../main.js").Actions} Actions */
/** @typedef {import("../draw/topology.js").Hit} Hit */

/** @param {{state:State, picture:Picture, act:Actions, large:boolean, about?:import("../draw/topology.js").About|null}} props
 * `about`: what stands out, where it is not what the address says. */
export function Map({ state, picture, act, large, about = null }) {
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const frame = useRef(/** @type {HTMLDivElement|null} */ (null));
  const topology = useRef(/** @type {ReturnType<typeof createTopology>|null} */ (null));
  const [hover, setHover] = useState(/** @type {{hit:Hit,x:number,y:number}|null} */ (null));
  const { selection, verdict } = state.route;
  const model = useMemo(() => mapModel(picture, selection), [picture, JSON.stringify(selection)]);

  useLayoutEffect(() => {
    if (!canvas.current || !frame.current) return undefined;
    const made = createTopology(canvas.current, {
      hover: (hit, x, y) => setHover(hit && { hit, x, y }),
      choose: (hit) => act.select(hit),
    });
    topology.current = made;
    const box = frame.current;
    const watch = new ResizeObserver(() => made.resize(box.clientWidth, box.clientHeight));
    watch.observe(box);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, []);

  useLayoutEffect(() => {
    topology.current?.show(model, picture, readPalette(), about ?? highlighted(state, picture), large);
  }, [model, picture, JSON.stringify(selection), verdict, state.theme, large, about]);

  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => topology.current?.show(model, picture, readPalette(), about ?? highlighted(state, picture), large);
    dark.addEventListener("change", again);
    return () => dark.removeEventListener("change", again);
  }, [model, picture, about]);

  return html`<div class=${`map${model.crowded ? " crowded" : ""}`} ref=${frame}>
    <canvas ref=${canvas} role="img" aria-label=${mapWords(model, picture)}></canvas>
    ${!large && html`<button class="button twin" onClick=${() => act.go({ view: "list", list: "links" })}>Show the map as a list</button>`}
    ${!large && html`<div class="zoom" role="group" aria-label="Zoom">
      <button aria-label="Zoom in" onClick=${() => topology.current?.zoom(1.5)}>+</button>
      <button aria-label="Zoom out" onClick=${() => topology.current?.zoom(1 / 1.5)}>−</button>
      <button aria-label="Show all" onClick=${() => topology.current?.zoom(0)}>⤢</button>
    </div>`}
    ${hover && !large && html`<${Tip} hover=${hover} picture=${picture} width=${frame.current?.clientWidth ?? 0} />`}
  </div>`;
}

/** @param {State} state @param {Picture} picture */
function highlighted(state, picture) {
  const about = aboutOf(picture, picture.verdicts.find((one) => one.id === state.route.verdict));
  const chosen = state.route.selection;
  if (chosen?.kind === "node") about.nodes.add(chosen.id);
  if (chosen?.kind === "site") about.sites.add(chosen.id);
  if (chosen?.kind === "link" || chosen?.kind === "pair") about.links.push([chosen.from, chosen.to]);
  return about;
}

/** @param {{hover:{hit:Hit,x:number,y:number}, picture:Picture, width:number}} props */
function Tip({ hover, picture, width }) {
  const { hit, x, y } = hover;
  const right = x > width - 250;
  const place = { left: `${right ? x - 14 : x + 14}px`, top: `${y + 14}px`, transform: right ? "translateX(-100%)" : "none" };
  if (hit.kind === "site") return null;
  if (hit.kind === "node") {
    const node = picture.nodes[picture.index.get(hit.id) ?? -1];
    if (!node) return null;
    return html`<div class="tip" style=${place}><strong>${node.id}</strong><${Chip} words=${nodeWords(node.state)} />
      <p>${[node.site, node.addresses?.[0]].filter(Boolean).join(" · ")}</p></div>`;
  }
  const ways = [findLink(picture, hit.from, hit.to), findLink(picture, hit.to, hit.from)];
  return html`<div class="tip" style=${place}>${ways.map((link) => link && html`<div class="way">
    <strong>${link.from} → ${link.to}</strong><${Chip} words=${linkWords(link.state)} />
    <p>${flows(link.ok, link.total)} flows · ${rtt(link.rttP50)} · loss ${loss(link.lossForward)}</p>
  </div>`)}</div>`;
}
