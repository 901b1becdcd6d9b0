// @ts-check
// A trace as a waterfall: spans below their parents, as long as they took, by whom, and which
// failed. All of it can be read and walked through by keyboard.

import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { cellText, numberText } from "../state/answer.js";
import { barOf, durationText, rowsOf, servicesOf, spanWords, stepTo } from "../state/waterfall.js";
import { Glyph } from "./glyph.js";
import { Value } from "./value.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/waterfall.js").Trace} Trace */
/** @typedef {import("../state/waterfall.js").Service} Service */
/** @typedef {import("../main.js").Actions} Actions */

/** Spans drawn at once; a longer trace is read by folding, or by asking for its slow spans. */
const DRAWN_MAX = 1_000;

/** Services in the legend. */
const LEGEND_MAX = 10;

/** Percent of the width up to which a bar may reach for its duration to stand behind it. */
const LABEL_MAX = 80;

/** Levels that are indented. */
const INDENT_MAX = 12;

/** @param {{state:State, act:Actions}} props */
export function WaterfallPanel({ state, act }) {
  const trace = /** @type {NonNullable<State["explore"]["trace"]>} */ (state.explore.trace);
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  useEffect(() => heading.current?.focus({ preventScroll: true }), [trace.id]);
  return html`<aside class="card event trace" aria-label="Trace">
    <header><h2 tabindex="-1" ref=${heading}>Trace <code>${trace.id}</code></h2><button class="plain" aria-label="Close" title="Close (Esc)" onClick=${() => act.go({ trace: null, span: null })}>×</button></header>
    ${trace.busy ? html`<div aria-busy="true"><div class="skeleton wide"></div><p role="status">Reading the trace …</p></div>`
      : trace.problem ? html`<p class="banner" role="alert">${trace.problem}.</p>`
      : trace.data && html`<${Waterfall} state=${state} act=${act} trace=${trace.data} />`}
  </aside>`;
}

/** @param {{state:State, act:Actions, trace:Trace}} props */
function Waterfall({ state, act, trace }) {
  const [folded, setFolded] = useState(/** @type {ReadonlySet<number>} */ (new Set()));
  const list = useRef(/** @type {HTMLElement|null} */ (null));
  const services = useMemo(() => servicesOf(trace), [trace]);
  const rows = useMemo(() => rowsOf(trace, folded), [trace, folded]);
  const chosen = state.route.span;
  const failed = trace.spans.filter((span) => span.failed).length;
  const fold = (/** @type {number} */ at, /** @type {boolean} */ shut) => {
    const next = new Set(folded);
    if (shut) next.add(at);
    else next.delete(at);
    setFolded(next);
  };
  const choose = (/** @type {number|null} */ at) => act.pass({ span: at });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const row = rows.find((one) => one.at === chosen);
    if (event.ctrlKey || event.metaKey) return;
    if (["ArrowDown", "ArrowUp", "Home", "End", "j", "k"].includes(event.key)) choose(stepTo(rows, chosen, event.key));
    else if (event.key === "ArrowLeft" && row) {
      if (row.parent && !row.folded) fold(row.at, true);
      else choose(stepTo(rows, chosen, "parent"));
    } else if (event.key === "ArrowRight" && row?.folded) fold(row.at, false);
    else return;
    event.preventDefault();
  };
  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const span = chosen === null ? null : trace.spans[chosen] ?? null;
  const service = new Map(services.map((one) => [one.name, one]));
  return html`<p class="lead">${durationText(trace.duration_us)} in all, ${numberText(trace.spans.length)} ${trace.spans.length === 1 ? "span" : "spans"} of ${services.length} ${services.length === 1 ? "service" : "services"}${failed > 0 ? html`, <strong class="bad-words">${failed} failed</strong>` : ", none failed"}. <time datetime=${trace.start}>${trace.start}</time></p>
    ${(trace.partial || trace.left_out > 0) && html`<div class="notes partial" role="status"><strong>Not all of it.</strong><ul>${trace.left_out > 0 && html`<li>${numberText(trace.left_out)} more spans are left out</li>`}${trace.notes.map((note) => html`<li>${note}</li>`)}</ul></div>`}
    <ul class="services" aria-label="Services">${services.slice(0, LEGEND_MAX).map((one) => html`<li key=${one.name}><${Swatch} service=${one} /><span>${one.name || "no service"}</span><b>${durationText(one.own_us)}</b></li>`)}${services.length > LEGEND_MAX && html`<li>and ${services.length - LEGEND_MAX} more</li>`}</ul>
    <div class="axis" aria-hidden="true"><span></span><ol>${[0, 0.25, 0.5, 0.75, 1].map((share) => html`<li>${durationText(Math.round(trace.duration_us * share))}</li>`)}</ol></div>
    <div class="spans" ref=${list} role="tree" tabindex="0" aria-label=${`Spans; ${numberText(trace.spans.length)}`} aria-activedescendant=${chosen === null ? undefined : `span-${chosen}`} onKeyDown=${keys}>
      ${rows.slice(0, DRAWN_MAX).map((row) => {
        const bar = barOf(trace, row.span);
        const whose = service.get(row.span.service);
        return html`<div key=${row.at} id=${`span-${row.at}`} class=${`span${row.span.failed ? " failed" : ""}`} role="treeitem" aria-level=${row.span.depth + 1} aria-selected=${row.at === chosen} aria-expanded=${row.parent ? !row.folded : undefined} aria-label=${spanWords(trace, row.span)} onClick=${() => choose(row.at === chosen ? null : row.at)}>
          <span class="who" style=${{ paddingLeft: `${Math.min(INDENT_MAX, row.span.depth) * 12}px` }}>${row.parent ? html`<button class="fold" tabindex="-1" aria-hidden="true" onClick=${(/** @type {Event} */ event) => { event.stopPropagation(); fold(row.at, !row.folded); }}>${row.folded ? "▸" : "▾"}</button>` : html`<i class="fold"></i>`}${whose && html`<${Swatch} service=${whose} />`}${row.span.failed && html`<${Glyph} shape="cross" tone="bad" />`}<span class="name">${row.span.place === "orphan" ? "? " : ""}${row.span.name || "unnamed"}<small>${row.span.service}</small></span></span>
          <span class="when"><i class=${`c${whose?.curve ?? 8}${row.span.duration_us === 0 ? " point" : ""}`} style=${{ left: `${bar.left}%`, width: `${bar.width}%` }}></i><em ...${labelAt(bar)}>${row.span.duration_us === 0 ? "" : durationText(row.span.duration_us)}</em></span></div>`;
      })}
      ${rows.length > DRAWN_MAX && html`<p class="fine">and ${numberText(rows.length - DRAWN_MAX)} more: fold some, or ask for the slow ones.</p>`}
    </div>
    ${span ? html`<section class="span-detail" aria-label="The chosen span"><h3>${span.service && html`${span.service}: `}${span.name}</h3>
      <p class="fine">${durationText(span.duration_us)}, of it ${durationText(span.own_us)} by itself; begun ${durationText(span.offset_us)} after the trace.${span.place === "orphan" ? " Its parent is missing: not sent, not kept, or not yet here." : ""}</p>
      <dl>${Object.entries(span.attributes).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${state.route.question ? html`<${Value} act=${act} question=${state.route.question} name=${name} value=${value} />` : cellText(value)}</dd></div>`)}</dl></section>`
      : html`<p class="fine hint"><kbd>↓</kbd><kbd>↑</kbd> walk through the spans, <kbd>←</kbd><kbd>→</kbd> fold and unfold; a click reads one.</p>`}`;
}

/** After the bar, before it, or in it where neither has room. @param {{left:number, width:number}} bar */
function labelAt(bar) {
  if (bar.left + bar.width <= LABEL_MAX) return { style: { left: `${bar.left + bar.width}%` } };
  return bar.left >= 100 - LABEL_MAX ? { style: { right: `${100 - bar.left}%` } } : { class: "in", style: { right: `${100 - bar.left - bar.width}%` } };
}

/** @param {{service:Service}} props */
function Swatch({ service }) {
  return html`<span class=${`swatch c${service.curve}`} title=${service.name}><${Glyph} shape=${service.shape} tone="mute" /></span>`;
}
