// @ts-check
// All incidents, the open ones first.

import { html, useEffect, useRef } from "../ui.js";
import { incidentView, isLive, ordered, shortTitle } from "../state/incidents.js";
import { counted, moment } from "../state/words.js";
import { Chip, Glyph } from "./glyph.js";
import { IncidentPage } from "./incident.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Incident} Incident */
/** @typedef {import("../main.js").Actions} Actions */

/** Rows of what is over; older ones have their link still. */
const OVER_MAX = 100;

/** @param {{state:State, act:Actions}} props */
export function Incidents({ state, act }) {
  const { list, problem } = state.incidents;
  if (state.route.incident !== null) return html`<${IncidentPage} state=${state} act=${act} key=${state.route.incident} />`;
  const all = ordered(list ?? []);
  const live = all.filter(isLive);
  const over = all.filter((one) => !isLive(one));
  return html`<main class="incidents" id="main">
    <${Title} live=${live} known=${list !== null} />
    ${problem && html`<p class="banner" role="alert">The list of incidents ${list ? "may be old" : "cannot be read"}: ${problem}.</p>`}
    ${list === null && !problem && html`<div class="skeleton wide" aria-busy="true"></div>`}
    ${list !== null && live.length === 0 && html`<section class="card empty"><${Glyph} shape="disc" tone="good" big /><div><h2>Nothing is open</h2><p>An incident opens by itself when verdicts do: verdicts that belong together are one incident, with its timeline, what it hits and who has it.</p></div></section>`}
    ${live.length > 0 && html`<section class="card" aria-label="Open incidents"><ol class="incident-list">${live.map((one) => html`<${Row} key=${one.id} incident=${one} state=${state} act=${act} />`)}</ol></section>`}
    ${over.length > 0 && html`<h2 class="over">Resolved<span>${counted(over.length, "incident")}</span></h2>
      <section class="card" aria-label="Resolved incidents"><ol class="incident-list">${over.slice(0, OVER_MAX).map((one) => html`<${Row} key=${one.id} incident=${one} state=${state} act=${act} />`)}</ol></section>`}
  </main>`;
}

/** @param {{live:Incident[], known:boolean}} props */
function Title({ live, known }) {
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const open = live.filter((one) => one.state === "open").length;
  const care = live.filter((one) => !one.owner && !one.acknowledged_by).length;
  return html`<header class="title"><h1 tabindex="-1" ref=${heading}>Incidents</h1>
    ${known && html`<p>${open === 0 ? "none open" : `${open} open`}${live.length > open ? `, ${live.length - open} mitigated` : ""}${care > 0 ? `, ${care} that nobody has yet` : ""}</p>`}</header>`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Row({ incident, state, act }) {
  const view = incidentView(incident, state.wall);
  const path = `/incidents/${encodeURIComponent(incident.id)}`;
  const { nodes, links_total: links, flows } = incident.blast_radius;
  return html`<li class=${`incident-row ${view.severity.tone}${view.live ? " live" : ""}`}>
    <a id=${`incident-${incident.id}`} href=${path} onClick=${act.follow(path)}>
      <span class="severity"><${Glyph} ...${view.severity} />${view.severity.text}</span>
      <span class="what"><strong title=${incident.title}>${shortTitle(incident)}</strong>
        <small>${[counted(nodes.length, "node"), counted(links, "link"), flows ? `${flows.failed} of ${flows.total} flows` : "", view.reopened > 0 ? `came back ${view.reopened === 1 ? "once" : counted(view.reopened, "time")}` : ""].filter(Boolean).join(" · ")}</small></span>
      <span class=${`care${view.owner || view.acknowledgedBy || !view.live ? "" : " unowned"}`}>${view.care}</span>
      <span class="when"><span>${view.lastedWords}</span><time>${moment(view.openedAt)}</time></span>
      <${Chip} words=${view.state} />
    </a></li>`;
}
