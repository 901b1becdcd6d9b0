// @ts-check
// Shapes that stand for states, and chips that say them. The same shapes as on the canvases.

import { html } from "../ui.js";

/** @typedef {import("../state/types.js").Tone} Tone */
/** @typedef {import("../state/types.js").Shape} Shape */

/** @param {{shape:Shape, tone:Tone, big?:boolean}} props */
export function Glyph({ shape, tone, big = false }) {
  return html`<svg class=${`glyph ${tone}${big ? " big" : ""}`} viewBox="0 0 16 16" aria-hidden="true">${drawing(shape)}</svg>`;
}

/** @param {Shape} shape */
function drawing(shape) {
  switch (shape) {
    case "cross":
      return html`<circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6" class="inner" />`;
    case "triangle":
      return html`<path d="M8 1.8L15 14H1z" fill="currentColor" stroke="currentColor" stroke-linejoin="round" /><path d="M8 6.2v3.6M8 11.9v.1" class="inner" />`;
    case "half":
      return html`<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2" /><path d="M8 2a6 6 0 0 0 0 12z" fill="currentColor" />`;
    case "ring":
      return html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2" />`;
    case "dashed":
      return html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="3.6 2.2" />`;
    case "dotted":
      return html`<circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="0.1 3.3" stroke-linecap="round" />`;
    case "square":
      return html`<rect x="2.5" y="2.5" width="11" height="11" rx="3" fill="none" stroke="currentColor" stroke-width="2" />`;
    default:
      return html`<circle cx="8" cy="8" r="6.5" fill="currentColor" /><path d="M5 8.3l2.1 2.2L11.2 6" class="inner" />`;
  }
}

/** A state in its words. @param {{words:{text:string,tone:Tone,shape:Shape}, note?:string}} props */
export function Chip({ words, note = "" }) {
  return html`<span class=${`chip ${words.tone}`}><${Glyph} ...${words} />${words.text}${note && html`<span class="note">${note}</span>`}</span>`;
}

/** The lantern. */
export function Logo() {
  return html`<svg class="logo" viewBox="0 0 28 28" aria-hidden="true">
    <path d="M9 6.5h10M14 2.5v4" class="frame" />
    <rect x="7" y="6.5" width="14" height="17" rx="6" class="frame body" />
    <circle cx="14" cy="15" r="4" class="flame" />
    <path d="M10.5 25.5h7" class="frame" />
  </svg>`;
}
