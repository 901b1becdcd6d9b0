// @ts-check
// A text with what is looked for marked in it. Text nodes only.

import { html } from "../ui.js";
import { marked } from "../state/logs.js";

/** @param {{text:string, words:string[]}} props */
export function Marked({ text, words }) {
  const parts = marked(text, words);
  if (parts.length === 1) return text;
  return parts.map((part, at) => (at % 2 === 1 ? html`<mark key=${at}>${part}</mark>` : part));
}
