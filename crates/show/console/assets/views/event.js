// @ts-check
// The side panel: events that stand for others, and one event with all that it says.

import { html, useEffect, useRef } from "../ui.js";
import { cellText, momentText, TELLING } from "../state/answer.js";
import { Glyph } from "./glyph.js";
import { Value } from "./value.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Answer} Answer */
/** @typedef {import("../main.js").Actions} Actions */

const KINDS = /** @type {const} */ ({
  slowest: { text: "Slowest", shape: "triangle", tone: "warn" },
  failed: { text: "Failed", shape: "cross", tone: "bad" },
  typical: { text: "Typical", shape: "disc", tone: "good" },
});

/** @param {{state:State, act:Actions, answer:Answer}} props */
export function Exemplars({ state, act, answer }) {
  const all = (answer.exemplars ?? []).map((one, at) => ({ ...one, pick: `x${at}` }));
  return html`<aside class="card event" aria-label="Exemplars">
    <h2>Some of them</h2>
    ${(/** @type {(keyof typeof KINDS)[]} */ (["slowest", "failed", "typical"])).map((why) => {
      const those = all.filter((one) => one.why === why);
      return those.length > 0 && html`<h3 key=${why}><${Glyph} shape=${KINDS[why].shape} tone=${KINDS[why].tone} />${KINDS[why].text}</h3>
        <ul>${those.map((one) => html`<li key=${one.pick}><button onClick=${() => act.go({ pick: one.pick })}><time>${momentText(String(one.at), state.wall)}</time>
          <span>${tellingOf(one.attributes).map(([name, value]) => html`<code title=${name}>${cellText(value)}</code>`)}</span></button></li>`)}</ul>`;
    })}
  </aside>`;
}

/** What tells it from others first, where it was taken in last. @param {[string, unknown][]} entries */
function telling(entries) {
  const place = (/** @type {string} */ name) => (TELLING.includes(name) || name === "body" ? 0 : name.startsWith("andon.") ? 2 : 1);
  return [...entries].sort((one, other) => place(one[0]) - place(other[0]));
}

/** @param {Record<string, unknown>} attributes @returns {[string, unknown][]} */
function tellingOf(attributes) {
  const found = [...TELLING, "body"].filter((name) => attributes[name] !== undefined && attributes[name] !== null);
  return (found.length > 0 ? found : Object.keys(attributes)).slice(0, 4).map((name) => [name, attributes[name]]);
}

/** @param {{state:State, act:Actions, event:{title:string, at:string, entries:[string,unknown][]}, close?:() => void}} props */
export function EventPanel({ state, act, event, close = () => act.go({ pick: null }) }) {
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  const inLog = state.route.pick?.startsWith("r") || state.route.live;
  const trace = event.entries.find(([name, value]) => name === "trace_id" && typeof value === "string" && value !== "")?.[1];
  // In the log the arrows go on from line to line.
  useEffect(() => {
    if (!inLog) heading.current?.focus({ preventScroll: true });
  }, [event.at]);
  const question = state.route.question ?? "";
  const title = KINDS[/** @type {keyof typeof KINDS} */ (event.title)]?.text ?? "Event";
  return html`<aside class="card event" aria-label=${title}>
    <header><h2 tabindex="-1" ref=${heading}>${title}</h2><button class="plain" aria-label="Close" title="Close (Esc)" onClick=${close}>×</button></header>
    ${event.at && html`<p class="fine"><time datetime=${event.at}>${event.at}</time></p>`}
    ${trace && html`<p><button class="button" onClick=${() => act.go({ trace: String(trace), span: null })}>Its trace as a waterfall</button></p>`}
    <dl>${telling(event.entries).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><${Value} act=${act} question=${question} name=${name} value=${value} /></dd></div>`)}</dl>
  </aside>`;
}
