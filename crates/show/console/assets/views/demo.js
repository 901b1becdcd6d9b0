// @ts-check
// The demo's ribbon: what is being done to the grid, what Andon saw of it, and plugs to pull.

import { html, useRef, useState } from "../ui.js";
import { inBrief } from "../state/headline.js";

/** @typedef {import("../state/types.js").Demo} Demo */
/** @typedef {import("../main.js").Actions} Actions */

/** Which plugs stand together, by kind of fault. */
const GROUPS = /** @type {Record<string,string>} */ ({
  cut_one_way: "Links", cut: "Links", loss: "Links", flows: "Links", delay: "Links",
  freeze: "Nodes", kill: "Nodes", site: "Sites",
});

/** Lines kept in the open story. */
const LINES_MAX = 40;

/** @param {{demo:Demo, verdicts:import("../state/types.js").Verdict[], act:Actions}} props */
export function DemoRibbon({ demo, verdicts, act }) {
  // Said once, a line stays as it was said: its verdict may be over while it still stands here.
  const briefs = useRef(/** @type {Record<string,string>} */ ({}));
  const active = demo.faults.filter((fault) => fault.active).length;
  const [open, setOpen] = useState(/** @type {boolean|null} */ (null));
  // Without a script the plugs are the show; on a narrow screen they would hide the grid.
  const shown = open ?? (demo.script === "off" && innerWidth > 900);
  const lines = demo.log.slice(-2);
  briefs.current = Object.fromEntries(lines.map(({ who, text }) => [text, briefs.current[text] ?? (who === "andon" ? inBrief(text, verdicts) : text)]));
  /** @type {Map<string, Demo["faults"]>} */
  const groups = new Map();
  for (const fault of demo.faults) {
    const name = GROUPS[fault.kind] ?? fault.kind.replaceAll("_", " ");
    groups.set(name, [...(groups.get(name) ?? []), fault]);
  }
  return html`<section class=${`demo${shown ? " open" : ""}`} aria-label="Demo">
    <div class="ribbon">
      <span class="badge">Demo</span>
      <div class="story" aria-live="polite">
        ${lines.length === 0 && html`<p>${demo.title ?? "Five nodes in three sites, on this machine."}</p>`}
        ${lines.map((line) => html`<p class=${line.who} key=${`${line.t_s}${line.text}`}><b>${line.who === "demo" ? "We" : "Andon"}</b><span title=${line.text}>${briefs.current[line.text]}</span><time>${stamp(line.t_s)}</time></p>`)}
      </div>
      ${(demo.script === "running" || demo.script === "paused") && html`<button class="button" onClick=${() => act.script(demo.script === "running" ? "pause" : "resume")}>${demo.script === "running" ? "Pause" : "Go on"}</button>`}
      ${demo.script === "done" && html`<button class="button" onClick=${() => act.script("restart")}>Play again</button>`}
      <button class="button" aria-expanded=${shown} onClick=${() => setOpen(!shown)}>${active > 0 ? `${active} plug${active === 1 ? "" : "s"} pulled` : "Pull a plug"}</button>
    </div>
    ${shown && html`<div class="plugs">
      <div class="groups">${[...groups].map(([name, faults]) => html`<fieldset><legend>${name}</legend>${faults.map((fault) => html`<button class="plug" aria-pressed=${fault.active} onClick=${() => act.fault(fault.id, !fault.active)}>
        <span class="switch" aria-hidden="true"></span>${fault.label}</button>`)}</fieldset>`)}</div>
      ${demo.log.length > 0 && html`<ol class="log" aria-label="What happened so far">${demo.log.slice(-LINES_MAX).reverse().map((line) => html`<li class=${line.who}><time>${stamp(line.t_s)}</time><b>${line.who === "demo" ? "We" : "Andon"}</b><span>${line.text}</span></li>`)}</ol>`}
    </div>`}
  </section>`;
}

/** @param {number} seconds */
function stamp(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
