// @ts-check
// Explore: a question, the way it was narrowed, and the answer as curves, heatmap, table or
// lines. What is clicked becomes a part of the question.

import { html } from "../ui.js";
import { costWords, formsOf, picked } from "../state/answer.js";
import { fleet, ladderOf, onRung } from "../state/ladder.js";
import { breakdown, conditions, datasetOf, differOf, elsewhere, firstTime, fixed, heatmapAgain, isRaw, timeOf, withBy, without, withTime } from "../state/question.js";
import { writeRoute } from "../state/route.js";
import { dated } from "../state/words.js";
import { Differ } from "./differ.js";
import { Exemplars, EventPanel } from "./event.js";
import { HeatmapForm } from "./heatmap.js";
import { Log } from "./log.js";
import { QueryBar } from "./query-bar.js";
import { Series } from "./series.js";
import { Rows } from "./rows.js";
import { TailView } from "./tail.js";
import { WaterfallPanel } from "./waterfall.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../state/answer.js").Form} Form */
/** @typedef {import("../main.js").Actions} Actions */

const NAMES = /** @type {Record<Form, string>} */ ({ series: "Over time", heatmap: "Heatmap", table: "Table", log: "Log", differ: "Differences" });
const SPANS = ["15m", "1h", "6h", "1d"];

/** Keys that are offered to break down by; the rest can be typed. */
const KEYS_MAX = 40;

/** @param {{state:State, act:Actions}} props */
export function Explore({ state, act }) {
  const { explore, route } = state;
  return html`<main class="explore" id="main">
    <h1 class="twin">Explore events</h1>
    <${QueryBar} state=${state} act=${act} />
    ${route.question === null ? (explore.trace ? html`<div class="answer alone"><${WaterfallPanel} state=${state} act=${act} /></div>` : html`<${Start} state=${state} act=${act} />`) : html`<${Path} state=${state} act=${act} question=${route.question} />
      ${explore.tail ? html`<${TailView} state=${state} act=${act} tail=${explore.tail} />`
        : explore.answer ? html`<${Answered} state=${state} act=${act} answer=${explore.answer} />`
        : explore.busy ? html`<section class="card asking" aria-busy="true"><div class="skeleton tall"></div><p role="status">Asking …</p></section>`
        : explore.stopped ? html`<section class="card empty"><div><h2>Called off</h2><p>Nothing was known yet. A shorter time or a narrower question is answered sooner.</p><p><button class="button" onClick=${() => act.ask(route.question ?? "")}>Ask again</button></p></div></section>`
        : explore.problem && !explore.problem.span && html`<section class="card empty"><div><h2>There is no answer</h2><p>${explore.problem.status === 404 ? "Events are kept by nodes that are told to: set keep = true in [store] of one node's configuration." : "The question stands in the address; ask again when the node can answer."}</p>
          <p><button class="button" onClick=${() => act.ask(route.question ?? "")}>Ask again</button></p></div></section>`}`}
  </main>`;
}

/** An answer without rows, and where there would be some. @param {{state:State, act:Actions, answer:Answer}} props */
function NothingFits({ state, act, answer }) {
  const question = state.route.question ?? "";
  const dataset = state.explore.datasets?.find((one) => one.name === datasetOf(question));
  const there = elsewhere(dataset, answer);
  if (!there) {
    return html`<div class="none-found"><h2>Nothing fits</h2><p>No event of that time meets all conditions. Take one away above, or look further back.</p></div>`;
  }
  return html`<div class="none-found"><h2>Nothing of that time</h2><p>The events of <code>${dataset?.name}</code> are from ${dated(there.from)} to ${dated(there.to)}.</p>
    <p><button class="button" onClick=${() => act.ask(withTime(question, there.time))}>Look there</button></p></div>`;
}

/** What is there to ask about. @param {{state:State, act:Actions}} props */
function Start({ state, act }) {
  const { datasets, datasetsProblem } = state.explore;
  if (datasets === null) {
    return datasetsProblem ? html`<p class="banner" role="alert">What is kept cannot be read: ${datasetsProblem}.</p>` : html`<div class="skeleton wide" aria-busy="true"></div>`;
  }
  if (datasets.length === 0) {
    return html`<section class="card empty"><div><h2>No events yet</h2><p>Send some: point an OpenTelemetry exporter at this address, follow a file, or bring one in.</p><pre><code>andon import requests.ndjson --dataset requests</code></pre></div></section>`;
  }
  const first = datasets.map((one) => ({ ...one, time: firstTime(one, Date.now()) }));
  return html`<section class="card start" aria-label="Datasets"><h2>What is kept</h2><ul>
    ${first.map((one) => html`<li key=${one.name}><button onClick=${() => act.ask(`${one.name} | ${one.time}`)}><code>${one.name}</code><span>${one.rows > 0 ? `${one.rows.toLocaleString("en")} events` : ""}</span></button>
      <button class="button" onClick=${() => act.ask(`${one.name} | by auto | count | ${one.time}`)}>Over time</button></li>`)}
  </ul><p class="fine">Type a dataset and <kbd>|</kbd> for what can be done with it; <kbd>Enter</kbd> asks.</p></section>`;
}

/** The way here: the dataset, each condition, what it is broken down by, and the time. @param {{state:State, act:Actions, question:string}} props */
function Path({ state, act, question }) {
  const { explore } = state;
  const dataset = datasetOf(question);
  const narrowed = conditions(question);
  const by = breakdown(question);
  const keys = (explore.keys[dataset] ?? []).filter((key) => !by.keys.includes(key.name)).slice(0, KEYS_MAX);
  const time = timeOf(question);
  const differ = differOf(question);
  const ladder = ladderOf(explore.keys[dataset] ?? []);
  const others = keys.filter((key) => !ladder.some((rung) => rung.key === key.name));
  return html`<nav class="path" aria-label="The question in parts">
    <ol>
      <li><button class="part" onClick=${() => act.ask(`${dataset} | ${time}`)} title="All of the dataset">${dataset}</button></li>
      ${narrowed.map((one) => html`<li key=${`${one.stage}.${one.at}`}><span class="part">${one.text}<button class="drop" aria-label=${`Without ${one.text}`} title="Without it" onClick=${() => act.ask(without(question, one))}>×</button></span></li>`)}
      ${by.keys.map((key) => html`<li key=${`by ${key}`}><span class="part by">by ${key}<button class="drop" aria-label=${`Not by ${key}`} title="Not by it" onClick=${() => act.ask(withBy(question, by.keys.filter((one) => one !== key)))}>×</button></span></li>`)}
      ${differ !== null && html`<li><span class="part by">where ${differ} differs<button class="drop" aria-label="Not what differs" title="Back to all of them" onClick=${() => act.ask(heatmapAgain(question))}>×</button></span></li>`}
    </ol>
    <div class="steps">
      ${ladder.length > 1 && html`<span class="segments ladder" role="group" aria-label="Peel by"><button onClick=${() => act.ask(fleet(question, ladder))} title="The whole fleet again">Fleet</button>${ladder.map((rung) => html`<button key=${rung.key} aria-pressed=${by.keys.includes(rung.key)} title=${`by ${rung.key}`} onClick=${() => act.ask(onRung(question, ladder, rung))}>${rung.word}</button>`)}</span>`}
      <select aria-label="Break down by" onChange=${(/** @type {any} */ event) => event.target.value && act.ask(withBy(question, [event.target.value]))}>
        <option value="">by …</option>${others.map((key) => html`<option value=${key.name}>${key.name}</option>`)}</select>
      <span class="segments" role="group" aria-label="How far back">${SPANS.map((span) => html`<button aria-pressed=${time === `last ${span}`} onClick=${() => act.ask(withTime(question, `last ${span}`))}>${span}</button>`)}</span>
      ${isRaw(question) && html`<button class="button live-open" aria-pressed=${state.route.live} title="Follow what comes (f)" onClick=${() => act.go({ live: !state.route.live, pick: null, trace: null, span: null })}>${state.route.live ? "Stop following" : "Live"}</button>`}
    </div>
  </nav>`;
}

/** @param {{state:State, act:Actions, answer:Answer}} props */
function Answered({ state, act, answer }) {
  const { explore, route } = state;
  const forms = formsOf(answer);
  const form = forms.find((one) => one === route.form) ?? forms[0];
  const event = picked(answer, route.pick, explore.log);
  const exemplars = answer.exemplars ?? [];
  const keys = (/** @type {KeyboardEvent} */ pressed) => {
    const step = pressed.key === "ArrowRight" ? 1 : pressed.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const next = forms[(forms.indexOf(form) + step + forms.length) % forms.length];
    act.go({ form: next });
    document.getElementById(`form-${next}`)?.focus();
  };
  const paged = form === "log" && explore.log !== null;
  // A log goes on by itself: that the first answer was cut is no news.
  const notes = (answer.notes ?? []).filter((note) => !(paged && /^the first [\d,]+ rows/.test(note)));
  const copy = () => act.copy(location.origin + writeRoute({ ...route, question: fixed(route.question ?? "", answer) }));
  const beside = explore.trace ? " beside wide" : event || exemplars.length > 0 ? " beside" : "";
  return html`<div class=${`answer${beside}${explore.busy || explore.problem ? " old" : ""}`}>
    <section class="card result" aria-label="Answer" aria-busy=${explore.busy}>
      <div class="bar">
        <div class="tabs" role="tablist" aria-label="How the answer is shown" onKeyDown=${keys}>${forms.map((one) => html`<button key=${one} role="tab" id=${`form-${one}`} aria-selected=${one === form} tabindex=${one === form ? 0 : -1} aria-controls="result" onClick=${() => act.go({ form: one })}>${NAMES[one]}</button>`)}</div>
        <p class="cost" role="status">${explore.busy ? `Asking …${explore.share === null ? "" : ` ${Math.round(explore.share * 100)} % looked at`}` : explore.problem ? "The answer to the question before" : explore.stopped ? `Called off: what was known by then, ${costWords(answer)}` : costWords(answer)}</p>
        <button class="link copy" onClick=${copy} title="With the time fixed, so that it shows the same tomorrow">Copy link</button>
      </div>
      ${explore.busy && html`<progress aria-label="Share of the data looked at" max="1" value=${explore.share ?? undefined}></progress>`}
      ${(answer.partial || (notes.length > 0 && form !== "differ")) && !explore.busy && html`<div class=${`notes ${answer.partial ? "partial" : ""}`} role="status">${answer.partial && html`<strong>Not all of it.</strong>`}<ul>${notes.slice(0, 10).map((note) => html`<li>${note}</li>`)}</ul></div>`}
      <div id="result" role="tabpanel" aria-labelledby=${`form-${form}`}>
        ${answer.rows.length === 0 && !explore.busy && form !== "differ" ? html`<${NothingFits} state=${state} act=${act} answer=${answer} />`
          : form === "series" ? html`<${Series} state=${state} act=${act} answer=${answer} />`
          : form === "heatmap" ? html`<${HeatmapForm} state=${state} act=${act} answer=${answer} />`
          : form === "differ" ? html`<${Differ} state=${state} act=${act} answer=${answer} />`
          : form === "log" ? html`<${Log} state=${state} act=${act} answer=${answer} />`
          : html`<${Rows} state=${state} act=${act} answer=${answer} />`}
      </div>
    </section>
    ${explore.trace ? html`<${WaterfallPanel} state=${state} act=${act} />` : event ? html`<${EventPanel} state=${state} act=${act} event=${event} />` : exemplars.length > 0 && html`<${Exemplars} state=${state} act=${act} answer=${answer} />`}
  </div>`;
}
