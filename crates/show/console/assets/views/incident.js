// @ts-check
// One incident: what is wrong, whom it hits, what happened when, and what to do about it.

import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { actionsOf, blastAbout, blastFigures, evidenceOf, incidentOf, incidentView, mayAct, timelineRows, titleOf } from "../state/incidents.js";
import { epoch } from "../state/picture.js";
import { selectionOf } from "../state/headline.js";
import { clock, counted, moment, verdictWords } from "../state/words.js";
import { Chip, Glyph } from "./glyph.js";
import { Map } from "./map.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Incident} Incident */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../state/types.js").Verdict} Verdict */
/** @typedef {import("../main.js").Actions} Actions */

/** Observations shown before "show all". */
const EVIDENCE_FIRST = 8;

/** Bytes of a note; the grid carries no longer one. */
const NOTE_MAX = 800;

/** Links named under the map. */
const LINKS_NAMED = 12;

/** @param {{state:State, act:Actions}} props */
export function IncidentPage({ state, act }) {
  const { list, problem } = state.incidents;
  const incident = incidentOf(list, state.route.incident);
  if (!incident) return html`<main class="incidents" id="main"><${Crumbs} act=${act} id=${state.route.incident ?? ""} />
    ${list === null && !problem ? html`<div class="skeleton tall" aria-busy="true"></div><div class="skeleton wide"></div>`
      : html`<section class="card empty"><${Glyph} shape="ring" tone="mute" big /><div><h1>No such incident here</h1><p>${problem ? `The list of incidents cannot be read: ${problem}.` : "This node does not know it: it may be older than what is kept, or the link was cut short."}</p></div></section>`}</main>`;
  return html`<${Known} incident=${incident} state=${state} act=${act} />`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Known({ incident, state, act }) {
  const view = incidentView(incident, state.wall);
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return html`<main class="incidents one" id="main">
    <${Crumbs} act=${act} id=${incident.id} />
    ${state.incidents.problem && html`<p class="banner" role="alert">This may be old: ${state.incidents.problem}.</p>`}
    <section class=${`card incident-head ${view.live ? view.severity.tone : "good"}`} aria-label="What is wrong">
      <${Glyph} shape=${view.live ? view.severity.shape : "disc"} tone=${view.live ? view.severity.tone : "good"} big />
      <div class="say-it">
        <p class="chips"><${Chip} words=${view.severity} /><${Chip} words=${view.state} note=${view.lastedWords} />${view.reopened > 0 && html`<span class="fact">came back ${view.reopened === 1 ? "once" : counted(view.reopened, "time")}</span>`}</p>
        <h1 tabindex="-1" ref=${heading}>${titleOf(incident)}</h1>
        <p class="meta"><span>since ${moment(view.openedAt)}</span>${view.resolvedAt !== null && html`<span>over ${moment(view.resolvedAt)}</span>`}<span class=${view.live && !view.owner && !view.acknowledgedBy ? "unowned" : ""}>${view.care}</span></p>
      </div>
      <${Actions} incident=${incident} state=${state} act=${act} />
    </section>
    <div class="columns">
      <div class="left">
        <${Blast} incident=${incident} state=${state} act=${act} />
        <${Verdicts} incident=${incident} state=${state} act=${act} />
        <${EvidenceCard} incident=${incident} now=${state.wall} />
      </div>
      <div class="right">
        <${Timeline} incident=${incident} state=${state} act=${act} />
        <${StatusPage} incident=${incident} act=${act} />
      </div>
    </div>
  </main>`;
}

/** @param {{act:Actions, id:string}} props */
function Crumbs({ act, id }) {
  return html`<nav class="crumbs" aria-label="Where this is"><a class="link" href="/incidents" onClick=${act.follow("/incidents")}>Incidents</a><span aria-hidden="true">/</span><code>${id}</code></nav>`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Actions({ incident, state, act }) {
  const actions = actionsOf(incident, state.me);
  const refused = !mayAct(state.me);
  return html`<div class="actions" role="group" aria-label="What can be done">
    ${actions.map((action) => html`<button key=${action.verb} id=${`action-${action.verb}`} class=${`button${action.primary && action.why === null ? " primary" : ""}`} disabled=${action.why !== null || state.doing !== null} title=${action.why ?? ""}
      aria-busy=${state.doing === action.verb} onClick=${() => act.remark(incident.id, action.verb, action.verb === "own" && state.me?.user ? { owner: state.me.user } : {})}>${state.doing === action.verb ? `${action.doing} …` : action.text}</button>`)}
    <button class="button" onClick=${() => act.replay(incident)}><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4.5 2.8v10.4L13 8z" fill="currentColor" stroke="none" /></svg>Replay<kbd>r</kbd></button>
    ${refused && html`<p class="fine">You look as ${state.me?.role ?? "a guest"}; acting needs the role operator. <a class="link" href="/login" onClick=${act.follow("/login")}>Use a token</a></p>`}
    ${state.actProblem && html`<p class="problem" role="alert">That did not work: ${state.actProblem}</p>`}
  </div>`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Blast({ incident, state, act }) {
  const scene = state.scene?.id === incident.id ? state.scene : null;
  // While the picture of then is on its way nothing is shown in its place: it would be wrong.
  const picture = scene ? (scene.picture ?? (scene.problem ? state.picture : null)) : state.picture;
  const about = useMemo(() => (picture ? blastAbout(picture, incident) : null), [picture?.index, incident]);
  const { links, links_total: total, nodes, services } = incident.blast_radius;
  const gone = picture ? nodes.filter((id) => !picture.index.has(id)) : [];
  return html`<section class="card blast" aria-label="What it hits">
    <h2>What it hits</h2>
    <dl class="figures">${blastFigures(incident).map((figure) => html`<div key=${figure.name}><dt>${figure.name}</dt><dd>${figure.value}</dd>${figure.detail && html`<dd class="detail">${figure.detail}</dd>`}</div>`)}</dl>
    ${picture && about ? html`<${Map} state=${{ ...state, route: { ...state.route, selection: null, verdict: null } }} picture=${picture} act=${mapActions(act, scene?.picture ? scene.at : null)} large=${false} about=${about} />
      <p class="fine under">${scene?.picture ? html`The grid as it was at ${moment(scene.at)}` : "The grid as it is now"}; what the incident ${incident.state === "resolved" ? "hit" : "hits"} stands out${scene?.problem ? `. How it was then cannot be read: ${scene.problem}` : ""}${gone.length > 0 ? `. No longer in it: ${gone.slice(0, 5).join(", ")}` : ""}.</p>` : html`<div class="skeleton map"></div>`}
    ${(links.length > 0 || services.length > 0) && html`<details class="hit-list"><summary>Nodes, links and services by name</summary>
      <p>${nodes.slice(0, 60).map((id) => html`<button class="label" key=${id} onClick=${() => act.go({ page: "grid", incident: null, selection: { kind: "node", id } })}>${id}</button>`)}</p>
      <p>${links.slice(0, LINKS_NAMED).map((link) => html`<span class="label" key=${link}>${link.replace("→", " → ")}</span>`)}${total > LINKS_NAMED && html`<span class="none">and ${total - Math.min(LINKS_NAMED, links.length)} more links</span>`}</p>
      ${services.length > 0 && html`<p>${services.slice(0, 40).map((service) => html`<span class="label" key=${service}>${service}</span>`)}</p>`}</details>`}
  </section>`;
}

/** What is chosen on this page's map opens on the grid's, at the same moment.
 * @param {Actions} act @param {number|null} at @returns {Actions} */
function mapActions(act, at) {
  return { ...act, select: (selection) => selection && act.go({ page: "grid", incident: null, selection, at }), go: (patch) => act.go({ page: "grid", incident: null, at, ...patch }) };
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Verdicts({ incident, state, act }) {
  const { picture } = state;
  if (incident.verdicts.length === 0) return null;
  const standing = new Set(picture?.verdicts.map((verdict) => verdict.id));
  return html`<section class="card told" aria-label="Verdicts"><h2>Verdicts<span>${counted(incident.verdicts.length, "verdict")}</span></h2>
    <ul>${incident.verdicts.slice(0, 20).map((verdict) => {
      const words = verdictWords(verdict.kind);
      const stands = standing.has(verdict.id);
      const selection = picture && stands ? selectionOf(picture, verdict) : null;
      return html`<li key=${verdict.id} class=${stands ? words.tone : "mute"}><${Glyph} shape=${words.shape} tone=${stands ? words.tone : "mute"} /><div>
        <p><b>${words.text}</b> <small>${stands ? "stands" : "is over"} · ${Math.round((verdict.confidence ?? 0) * 100)} % sure</small></p><p>${verdict.sentence}</p>
        ${(verdict.hops?.length ?? 0) > 0 && html`<p class="path-facts">${verdict.hops?.map((hop) => html`<span class="hop" key=${hop}><${Glyph} shape="cross" tone="bad" /><code>${hop}</code></span>`)}${verdict.flows && html`<span class="fact"><b>${verdict.flows.failed} of ${verdict.flows.total}</b> flows</span>`}</p>`}
        ${selection && html`<button class="button" onClick=${() => act.go({ page: "grid", incident: null, selection, verdict: verdict.id })}>Look closer</button>`}</div></li>`;
    })}</ul></section>`;
}

/** @param {{incident:Incident, now:number}} props */
function EvidenceCard({ incident, now }) {
  const [all, setAll] = useState(false);
  const { supports, against } = evidenceOf(incident);
  const shown = (/** @type {Verdict["evidence"]} */ items) => (all ? items.slice(0, 200) : items.slice(0, EVIDENCE_FIRST));
  const hidden = supports.length + against.length - shown(supports).length - shown(against).length;
  const rows = (/** @type {Verdict["evidence"]} */ items, /** @type {boolean} */ yes) => html`<ul>${shown(items).map((item) => html`<li class=${yes ? "for" : "against"}><span class="mark" aria-hidden="true">${yes ? "+" : "−"}</span><strong>${item.observer}</strong><span>${item.observation}</span><time>${item.since ? clock(epoch(item.since), now) : ""}</time></li>`)}</ul>`;
  return html`<section class="card evidence bad" aria-label="Evidence"><h2>Evidence<span>${supports.length} for it, ${against.length} against</span></h2>
    ${supports.length + against.length === 0 && html`<p class="nothing">Its verdicts hold no observations any more.</p>`}
    ${supports.length > 0 && html`<h3>Speaks for it</h3>${rows(supports, true)}`}
    ${against.length > 0 && html`<h3>Speaks against it</h3>${rows(against, false)}`}
    ${supports.length > 0 && against.length === 0 && html`<p class="fine">Nothing speaks against it.</p>`}
    ${hidden > 0 && html`<button class="button" onClick=${() => setAll(true)}>Show ${counted(hidden, "more observation")}</button>`}
  </section>`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function Timeline({ incident, state, act }) {
  const rows = timelineRows(incident);
  return html`<section class="card timeline" aria-label="Timeline"><h2>Timeline<span>from the first symptom on</span></h2>
    <ol>${rows.map((row, at) => html`<li key=${`${row.at} ${at}`} class=${`${row.words.tone} is-${row.kind}`}>
      <time class="offset" title=${moment(row.at)}>${row.offset}</time><${Glyph} ...${row.words} />
      <div><p><b>${row.words.text}</b>${row.by && html`<span class="by">${row.by}</span>`}<time>${clock(row.at, state.wall)}</time></p>${row.text && html`<p class="text">${row.text}</p>`}</div></li>`)}</ol>
    ${rows.length === 0 && html`<p class="nothing">Nothing was written yet.</p>`}
    <${NoteForm} incident=${incident} state=${state} act=${act} />
  </section>`;
}

/** @param {{incident:Incident, state:State, act:Actions}} props */
function NoteForm({ incident, state, act }) {
  const [text, setText] = useState("");
  const may = mayAct(state.me);
  const bytes = new TextEncoder().encode(text.trim()).length;
  const send = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (text.trim() !== "" && bytes <= NOTE_MAX && (await act.remark(incident.id, "note", { text: text.trim() }))) setText("");
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(event);
  };
  return html`<form class="note" onSubmit=${send}>
    <label for="note">Note<kbd>n</kbd></label>
    <textarea id="note" rows="2" disabled=${!may} placeholder=${may ? "What you found, did, or will do; it travels to all nodes" : "Writing notes needs the role operator"} value=${text}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)} onKeyDown=${keys}></textarea>
    <div class="ends">${bytes > NOTE_MAX && html`<p class="problem" role="alert">Too long: ${bytes} of ${NOTE_MAX} bytes</p>`}
      <button class="button" type="submit" disabled=${!may || text.trim() === "" || bytes > NOTE_MAX || state.doing !== null}>${state.doing === "note" ? "Writing …" : "Add note"}</button></div>
  </form>`;
}

/** @param {{incident:Incident, act:Actions}} props */
function StatusPage({ incident, act }) {
  const text = incident.status_page ?? "";
  return html`<section class="card status-page" aria-label="Draft for the status page"><h2>Draft for the status page<button class="button" disabled=${text === ""} onClick=${() => act.copy(text)}>Copy</button></h2>
    ${text === "" ? html`<p class="nothing">No draft yet.</p>` : html`<p class="draft">${text}</p><p class="fine">Names no hosts and no addresses. Read it before you send it.</p>`}
  </section>`;
}
