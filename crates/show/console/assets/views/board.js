// @ts-check
// For a wall screen: how the grid is, what is wrong, the map, the time. Readable from across
// the room; nothing to press.

import { html, useLayoutEffect, useRef } from "../ui.js";
import { caveat, headline, verdictView } from "../state/headline.js";
import { freshness } from "../state/connection.js";
import { incidentView, loneVerdicts, ordered, shortTitle } from "../state/incidents.js";
import { held, isFault } from "../state/words.js";
import { Glyph } from "./glyph.js";
import { Map } from "./map.js";

/** Incidents and verdicts that are readable at once from five metres. */
const TOLD_MAX = 3;

/** Sizes of what is told, tried until all of them fit on the wall. */
const FITS = [1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52];

/** @param {{state:import("../state/types.js").State, act:import("../main.js").Actions}} props */
export function Board({ state, act }) {
  const { picture } = state;
  const fresh = freshness(state.connection, state.clock);
  const list = useRef(/** @type {HTMLElement|null} */ (null));
  const open = ordered(state.incidents.list ?? []).filter((one) => one.state === "open");
  const said = [...(picture?.verdicts.map((verdict) => verdict.sentence) ?? []), ...open.map((one) => `${one.title} ${one.owner}`)].join("\n");
  useLayoutEffect(() => {
    const box = list.current;
    for (const fit of box ? FITS : []) {
      box?.style.setProperty("--fit", String(fit));
      if (!box || box.scrollHeight <= box.clientHeight) break;
    }
  }, [said, fresh.state, innerWidth, innerHeight]);
  const time = new Date(Number.isFinite(state.wall) ? state.wall : Date.now()).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  if (!picture) {
    return html`<main class="board mute"><header><h1>Andon</h1><p class="clock">${time}</p></header><p class="waiting">${fresh.text} …</p></main>`;
  }
  const head = headline(picture);
  const but = caveat(picture);
  const stale = fresh.state !== "live";
  // A verdict that an incident holds is told by the incident.
  const faults = loneVerdicts(picture, open).filter((verdict) => isFault(verdict.kind));
  const incidents = open.slice(0, TOLD_MAX);
  const shown = faults.slice(0, TOLD_MAX - incidents.length);
  const more = open.length - incidents.length + faults.length - shown.length;
  const few = incidents.length + shown.length < TOLD_MAX ? "few" : "";
  return html`<main class=${`board ${stale ? "mute" : head.tone}`}>
    <header>
      <${Glyph} shape=${stale ? "dashed" : head.shape} tone=${stale ? "mute" : head.tone} big />
      <div><h1>${head.text}</h1><p class="detail">${head.detail}</p>${but && html`<p class="detail but">${but}</p>`}</div>
      <p class="clock">${time}</p>
    </header>
    ${stale && html`<p class="stale" role="alert">${fresh.text}</p>`}
    <div class=${`wall${incidents.length + shown.length === 0 ? " calm" : ""}`}>
      ${incidents.length + shown.length > 0 && html`<div class=${`told ${few}`} ref=${list}>
        ${incidents.length > 0 && html`<ol aria-label="Open incidents">${incidents.map((incident) => html`<${Told} key=${incident.id} incident=${incident} now=${state.wall} />`)}</ol>`}
        ${shown.length > 0 && html`<ol aria-label="Verdicts">${shown.map((verdict) => {
          const view = verdictView(verdict);
          return html`<li class=${view.tone} key=${verdict.id}><${Glyph} shape=${view.shape} tone=${view.tone} /><div><p class="sentence">${verdict.sentence}</p><p class="since">${held(view.since, state.wall)}</p></div></li>`;
        })}</ol>`}
        ${more > 0 && html`<p class="more">and ${more} more</p>`}</div>`}
      <${Map} state=${state} picture=${picture} act=${act} large />
    </div>
    <footer><span>seen from ${picture.me}</span><span class=${fresh.state}>${fresh.text}</span><span>picture ${picture.digest.slice(0, 8)}</span></footer>
  </main>`;
}

/** @param {{incident:import("../state/types.js").Incident, now:number}} props */
function Told({ incident, now }) {
  const view = incidentView(incident, now);
  const alone = !view.owner && !view.acknowledgedBy;
  return html`<li class=${`incident ${view.severity.tone}`}><${Glyph} ...${view.severity} /><div>
    <p class="rank">${view.severity.text} incident</p><p class="sentence">${shortTitle(incident)}</p>
    <p class="since"><b>${view.lastedWords}</b> · <span class=${alone ? "unowned" : ""}>${view.care}</span></p></div></li>`;
}
