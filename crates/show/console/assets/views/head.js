// @ts-check
// The headline and its figures, and the verdicts as sentences.

import { html, useState } from "../ui.js";
import { caveat, headline, summary, verdictView, selectionOf } from "../state/headline.js";
import { clock, counted, effectWords, held, isFault, loss, rtt, verdictWords } from "../state/words.js";
import { readLink, epoch } from "../state/picture.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../state/types.js").Verdict} Verdict */
/** @typedef {import("../main.js").Actions} Actions */

/** Verdicts shown before "show all": more would push the map off the screen. */
const VERDICTS_FIRST = 4;

/** Remarks listed when opened; nobody reads more. */
const REMARKS_MAX = 50;

/** @param {{state:State, picture:Picture, act:Actions}} props */
export function Head({ state, picture, act }) {
  const head = headline(picture);
  const but = caveat(picture);
  return html`<section class=${`head ${head.tone}`} aria-label="State of the grid">
    <div class="headline">
      <${Glyph} shape=${head.shape} tone=${head.tone} big />
      <div>
        <h1 aria-live="polite">${head.text}</h1>
        <p>${head.detail}</p>
        ${but && html`<p class="but"><${Glyph} shape="triangle" tone="warn" />${but}</p>`}
      </div>
    </div>
    <${Figures} picture=${picture} act=${act} />
    <${Verdicts} state=${state} picture=${picture} act=${act} />
  </section>`;
}

/** @param {{picture:Picture, act:Actions}} props */
function Figures({ picture, act }) {
  const sum = summary(picture);
  const slowest = sum.slowest < 0 ? null : readLink(picture, sum.slowest);
  const lossiest = sum.lossiest < 0 ? null : readLink(picture, sum.lossiest);
  return html`<dl class="figures">
    <div><dt>Nodes up</dt><dd>${sum.nodesUp}<small>/${sum.present}</small></dd></div>
    <div><dt>Links up</dt><dd>${sum.linksUp.toLocaleString("en")}<small>/${sum.links.toLocaleString("en")}</small></dd></div>
    <div><dt>Slowest link</dt><dd>${slowest
      ? html`<button onClick=${() => act.select({ kind: "link", from: slowest.from, to: slowest.to })} title=${`${slowest.from} → ${slowest.to}`}>${figure(rtt(slowest.rttP50))}</button>`
      : html`<span class="none">not measured</span>`}</dd></div>
    <div><dt>Most loss</dt><dd>${lossiest
      ? html`<button onClick=${() => act.select({ kind: "link", from: lossiest.from, to: lossiest.to })} title=${`${lossiest.from} → ${lossiest.to}`}>${figure(loss(sum.lossMost))}</button>`
      : html`<span class="none">${sum.slowest < 0 ? "not measured" : "none"}</span>`}</dd></div>
  </dl>`;
}

/** A number with its unit made small. @param {string} text */
function figure(text) {
  const [number, unit] = text.split(" ");
  return unit ? html`${number}<small> ${unit}</small>` : text;
}

/** @param {{state:State, picture:Picture, act:Actions}} props */
function Verdicts({ state, picture, act }) {
  const [all, setAll] = useState(false);
  const [remarksOpen, setRemarksOpen] = useState(false);
  if (picture.verdicts.length === 0) return null;
  const faults = picture.verdicts.filter((verdict) => isFault(verdict.kind));
  const remarks = picture.verdicts.filter((verdict) => !isFault(verdict.kind));
  const chosen = (/** @type {Verdict} */ verdict) => verdict.id === state.route.verdict;
  const shown = all || faults.findIndex(chosen) >= VERDICTS_FIRST ? faults : faults.slice(0, VERDICTS_FIRST);
  const more = faults.length - shown.length;
  const card = (/** @type {Verdict} */ verdict) => html`<${Card} key=${verdict.id} verdict=${verdict} picture=${picture} state=${state} act=${act} />`;
  const open = remarksOpen || remarks.some(chosen);
  return html`<ol class="verdicts" aria-label="Verdicts">
    ${shown.map(card)}
    ${more > 0 && html`<li class="more" key="more"><button onClick=${() => setAll(true)}>Show ${counted(more, "more verdict")}</button></li>`}
    ${remarks.length > 0 && html`<li class="remarks" key="remarks"><button aria-expanded=${open} onClick=${() => setRemarksOpen(!open)}>
      <${Glyph} shape="ring" tone="mute" /><strong>${counted(remarks.length, "remark")}</strong><span>${remarkWords(remarks)}</span></button></li>`}
    ${open && remarks.slice(0, REMARKS_MAX).map(card)}
  </ol>`;
}

/** Kinds of remarks with their subjects. @param {Verdict[]} remarks */
function remarkWords(remarks) {
  /** @type {Record<string, string[]>} */
  const byKind = {};
  for (const remark of remarks) (byKind[verdictWords(remark.kind).text] ??= []).push(remark.subject);
  return Object.entries(byKind)
    .map(([kind, subjects]) => `${kind}: ${subjects.slice(0, 3).join(", ")}${subjects.length > 3 ? ` and ${subjects.length - 3} more` : ""}`)
    .join(" · ");
}

/** @param {{verdict:Verdict, picture:Picture, state:State, act:Actions}} props */
function Card({ verdict, picture, state, act }) {
  const view = verdictView(verdict);
  const open = state.route.verdict === verdict.id;
  const selection = selectionOf(picture, verdict);
  // A path fault is best seen on the link that it hits most: its bundle shows where.
  const onPath = verdict.kind === "path_fault" && selection !== null;
  const choose = () => act.go({ verdict: open ? null : verdict.id, ...(onPath && !open ? { selection } : {}) });
  return html`<li class=${`verdict ${view.tone}${open ? " open" : ""}`}>
    <button class="say" id=${`verdict-${verdict.id}`} aria-expanded=${open} onClick=${choose}>
      <${Glyph} shape=${view.shape} tone=${view.tone} />
      <span class="kind">${view.text}</span>
      <span class="sentence">${verdict.sentence}${verdict.kind === "path_fault" && html`<${PathFacts} verdict=${verdict} />`}</span>
      <span class="when"><span>${held(view.since, state.wall)}</span><span class="sure" title="How sure, from how many observers agree and how many could">${Math.round(verdict.confidence * 100)} % sure</span></span>
    </button>
    ${open && html`<div class="evidence">
      <p>Since ${clock(view.since, state.wall)}, told from ${counted(verdict.evidence.length, "observation")}:</p>
      <ul>${verdict.evidence.slice(0, 40).map((item) => html`<li class=${item.supports ? "for" : "against"}>
        <span class="mark" aria-label=${item.supports ? "speaks for it" : "speaks against it"}>${item.supports ? "+" : "−"}</span>
        <strong>${item.observer}</strong><span>${item.observation}</span>
        <time>${item.since ? clock(epoch(item.since), state.wall) : ""}</time>
      </li>`)}</ul>
      ${selection && html`<button class="button" onClick=${() => act.select(selection)}>Look closer<kbd>Enter</kbd></button>`}
    </div>`}
  </li>`;
}

/** The hops that a verdict names, and what they do to how many flows. @param {{verdict:Verdict}} props */
function PathFacts({ verdict }) {
  const hops = verdict.hops ?? [];
  return html`<span class="path-facts">
    ${hops.map((hop, at) => html`${at > 0 && html`<i aria-hidden="true">–</i>`}<span class="hop"><${Glyph} shape="cross" tone="bad" /><code>${hop}</code></span>`)}
    ${verdict.flows && html`<span class="fact"><b>${verdict.flows.failed} of ${verdict.flows.total}</b> flows</span>`}
    ${verdict.effect && html`<span class="fact">${effectWords(verdict.effect)}</span>`}
    ${(verdict.links?.length ?? 0) > 1 && html`<span class="fact">${counted(verdict.links?.length ?? 0, "link")} hit</span>`}
    ${(verdict.services?.length ?? 0) > 0 && html`<span class="fact">hits ${verdict.services?.slice(0, 3).join(", ")}</span>`}
  </span>`;
}
