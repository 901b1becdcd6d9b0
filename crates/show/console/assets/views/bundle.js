// @ts-check
// A link's flows as a bundle over the paths they take, drawn as elements: the observer on the
// left, the far end on the right, a column per hop, and the same below as tables.

import { html, useLayoutEffect, useMemo, useRef, useState } from "../ui.js";
import { bareAddresses, bundleOf, flowLoss, flowRows, flowWords, guiltyHops, hopRows, pathsOf } from "../state/paths.js";
import { mayAct } from "../state/incidents.js";
import { clock, counted, effectWords, rtt, rttShort } from "../state/words.js";
import { epoch } from "../state/picture.js";
import { Glyph } from "./glyph.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../state/paths.js").Bundle} BundleModel */
/** @typedef {import("../state/paths.js").Knot} Knot */
/** @typedef {import("../state/paths.js").Way} Way */
/** @typedef {import("../main.js").Actions} Actions */

/** Pixels between columns at least, and per letter, so that an address fits; what is wider
 * scrolls in its box. */
const COLUMN_MIN = 62;
const LETTER = 6.7;

/** Guilty hops named in the line above the drawing; all are marked in it. */
const HOPS_NAMED = 4;

/** Pixels around the drawing: the names of its ends, and what stands above and below. */
const SIDE = 44;
const TOP = 30;
const BOTTOM = 36;
const BAR = 9;

/** Both directions of a link. @param {{state:State, picture:Picture, act:Actions, from:string, to:string, wide?:boolean}} props */
export function Paths({ state, picture, act, from, to, wide = false }) {
  if (state.past) {
    return html`<p class="aside">Traces are not kept hop by hop: go back to live to see the ways of this link's flows. What a verdict said of them stands in its sentence.</p>`;
  }
  const { verdicts, hops } = guiltyHops(picture.verdicts, from, to);
  const back = picture.index.has(to) && state.backDetail?.from === to && state.backDetail.to === from;
  return html`<div class=${`paths${wide ? " wide" : ""}`}>
    ${verdicts.map((verdict) => html`<p class="guilt" key=${verdict.id}><${Glyph} shape="cross" tone="bad" /><span>${guiltWords(verdict)}</span></p>`)}
    <${OneWay} state=${state} picture=${picture} act=${act} from=${from} to=${to} detail=${state.detail} guilty=${hops} wide=${wide} />
    ${back && html`<${OneWay} state=${state} picture=${picture} act=${act} from=${to} to=${from} detail=${state.backDetail} guilty=${hops} wide=${wide} />`}
  </div>`;
}

/** @param {import("../state/types.js").Verdict} verdict */
function guiltWords(verdict) {
  const hops = verdict.hops ?? [];
  const who = hops.length === 0 ? "A hop on the way is at fault" : hops.length === 1 ? `${hops[0]} is at fault` : `The fault is at or between ${hops.slice(0, HOPS_NAMED).join(", ")}${hops.length > HOPS_NAMED ? ` and ${hops.length - HOPS_NAMED} more` : ""}`;
  const what = [effectWords(verdict.effect), verdict.flows ? `${verdict.flows.failed} of ${verdict.flows.total} flows fail` : ""].filter(Boolean);
  return what.length === 0 ? `${who}.` : `${who}: ${what.join(", ")}.`;
}

/** @param {{state:State, picture:Picture, act:Actions, from:string, to:string, detail:import("../state/types.js").Detail|null, guilty:Set<string>, wide:boolean}} props */
function OneWay({ state, picture, act, from, to, detail, guilty, wide }) {
  const addresses = picture.nodes[picture.index.get(to) ?? -1]?.addresses.join(" ");
  const named = [...guilty].join(" ");
  // The page is rendered every second, traces come every few.
  const { found, far, bundle } = useMemo(() => {
    const found = pathsOf(detail, state.trace, from, to);
    const far = bareAddresses(addresses?.split(" "));
    return { found, far, bundle: bundleOf(found.flows, { from, to, guilty, far, fold: !wide }) };
  }, [detail, state.trace, from, to, addresses, named, wide]);
  const mine = state.trace?.from === from && state.trace.to === to ? state.trace : null;
  const may = mayAct(state.me);
  return html`<section class="one-way" aria-label=${`Paths from ${from} to ${to}`}>
    <header><h4>${from}<i aria-hidden="true">→</i>${to}</h4>
      <button class="button" disabled=${!may || state.trace?.busy} aria-busy=${mine?.busy ?? false} title=${may ? "Follow 16 flows hop by hop now" : "This needs the role operator"} onClick=${() => act.trace(from, to)}>
        ${mine?.busy ? html`<span class="spin" aria-hidden="true"></span>Tracing` : "Trace now"}</button></header>
    ${mine?.problem && html`<p class="problem" role="alert">The trace failed: ${mine.problem}</p>`}
    ${found.why === "waiting" ? html`<div class="skeleton strands" aria-busy="true"></div>` : found.why && html`<p class="aside">${found.why}</p>`}
    ${bundle && !found.why && html`<${Fan} bundle=${bundle} act=${act} flow=${state.route.flow} wide=${wide} guilty=${guilty} />`}
    ${found.flows.length > 0 && html`<${Tables} bundle=${bundle} flows=${found.flows} guilty=${guilty} far=${far} act=${act} flow=${state.route.flow} open=${wide} />`}
    ${found.asked && found.at && html`<p class="fine">Traced on demand at ${clock(epoch(found.at), state.wall)}.</p>`}
  </section>`;
}

/** @param {{bundle:BundleModel, act:Actions, flow:number|null, wide:boolean, guilty:Set<string>}} props */
function Fan({ bundle, act, flow, wide, guilty }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [width, setWidth] = useState(wide ? 900 : 480);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const element = box.current;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const longest = Math.max(...bundle.knots.map((knot) => (knot.kind === "end" ? 0 : knot.label.length)));
  const least = Math.max(COLUMN_MIN, longest * LETTER + 12) * (bundle.columns - 1) + 2 * SIDE;
  const across = Math.max(width, least);
  const step = (across - 2 * SIDE) / (bundle.columns - 1);
  const x = (/** @type {number} */ column) => SIDE + column * step;
  const y = (/** @type {number} */ value) => TOP + value;
  const tall = TOP + Math.max(bundle.tall, 20) + BOTTOM;
  const chosen = bundle.ways.find((way) => flow !== null && way.ports.includes(flow)) ?? null;
  const pick = (/** @type {Way} */ way) => act.go({ flow: chosen === way ? null : way.ports[0] });
  return html`<div class="fan" ref=${box}>
    <svg width=${across} height=${tall} viewBox=${`0 0 ${across} ${tall}`} role="group" aria-label=${bundle.words}>
      ${bundle.ways.map((way) => html`<${Strand} key=${way.ports.join()} way=${way} bundle=${bundle} x=${x} y=${y} how=${!chosen ? "" : chosen === way ? "on" : "dim"} pick=${pick} />`)}
      ${bundle.knots.map((knot) => html`<${Stop} key=${knot.key} knot=${knot} x=${x(knot.column)} y=${y(knot.y)} last=${knot.column === bundle.columns - 1} lone=${guilty.size === 1} />`)}
      ${bundle.ways.map((way) => html`<${Tag} key=${way.name} way=${way} x=${x} y=${y} dim=${chosen !== null && chosen !== way} />`)}
      ${bundle.ways.map((way) => way.end && html`<${DeadEnd} key=${way.name} way=${way} x=${x(way.end.column)} y=${y(way.end.y)} room=${x(bundle.columns - 1) - x(way.end.column)} />`)}
    </svg>
  </div>`;
}

/** @param {{way:Way, bundle:BundleModel, x:(column:number)=>number, y:(value:number)=>number, how:string, pick:(way:Way)=>void}} props */
function Strand({ way, bundle, x, y, how, pick }) {
  const legs = way.stops.slice(1).map((stop, at) => ({
    from: { x: x(bundle.knots[way.stops[at].knot].column), y: y(way.stops[at].y) },
    to: { x: x(bundle.knots[stop.knot].column), y: y(stop.y) },
    dashed: way.gaps[at],
  }));
  const last = way.stops[way.stops.length - 1];
  if (way.end) legs.push({ from: { x: x(bundle.knots[last.knot].column), y: y(last.y) }, to: { x: x(way.end.column), y: y(way.end.y) }, dashed: false });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    pick(way);
  };
  return html`<g class=${`strand ${way.tone} ${how}`} role="button" tabindex="0" aria-pressed=${how === "on"} aria-label=${way.words} onClick=${() => pick(way)} onKeyDown=${keys}>
    <title>${way.words}</title>
    ${legs.map((leg) => html`<path d=${curve(leg.from, leg.to)} stroke-width=${way.thick} class=${leg.dashed ? "gap" : ""} />`)}
  </g>`;
}

/** @param {{x:number,y:number}} from @param {{x:number,y:number}} to */
function curve(from, to) {
  const half = (from.x + to.x) / 2;
  return `M${from.x.toFixed(1)} ${from.y.toFixed(1)}C${half.toFixed(1)} ${from.y.toFixed(1)} ${half.toFixed(1)} ${to.y.toFixed(1)} ${to.x.toFixed(1)} ${to.y.toFixed(1)}`;
}

/** A hop with its name. @param {{knot:Knot, x:number, y:number, last:boolean, lone:boolean}} props */
function Stop({ knot, x, y, last, lone }) {
  const tall = Math.max(knot.tall + 6, 16);
  const end = knot.kind === "end";
  const anchor = end ? (last ? "end" : "start") : "middle";
  const at = end ? (last ? x + SIDE - 6 : x - SIDE + 6) : x;
  return html`<g class=${`stop ${knot.kind}${knot.guilty ? " guilty" : ""}`}>
    <title>${knot.title}${knot.rttUs === null ? "" : `, ${rtt(knot.rttUs)}`}</title>
    <rect x=${x - BAR / 2} y=${y - tall / 2} width=${BAR} height=${tall} rx="4" />
    ${knot.guilty && html`<rect class="halo" x=${x - BAR / 2 - 4} y=${y - tall / 2 - 4} width=${BAR + 8} height=${tall + 8} rx="7" />
      <g class="flag" transform=${`translate(${x} ${y - tall / 2 - 14})`}><path d="M-4 -4l8 8M4 -4l-8 8" transform="translate(-27 -1)" /><text x="5" y="3" text-anchor="middle">${lone ? "at fault" : "suspect"}</text></g>`}
    <text class="name" x=${at} y=${y + tall / 2 + (knot.guilty ? 17 : 13)} text-anchor=${anchor}>${knot.label}</text>
    ${knot.rttUs !== null && html`<text class="more" x=${at} y=${y + tall / 2 + (knot.guilty ? 29 : 25)} text-anchor=${anchor}>${rttShort(knot.rttUs)}</text>`}
  </g>`;
}

/** Letter and size of a way. @param {{way:Way, x:(column:number)=>number, y:(value:number)=>number, dim:boolean}} props */
function Tag({ way, x, y, dim }) {
  const wide = 30 + 6 * String(way.ports.length).length;
  return html`<g class=${`tag ${way.tone}${dim ? " dim" : ""}`} transform=${`translate(${x(way.tag.column).toFixed(1)} ${y(way.tag.y).toFixed(1)})`} aria-hidden="true">
    <rect x=${-wide / 2} y="-9" width=${wide} height="18" rx="9" /><text y="4" text-anchor="middle">${way.name}<tspan dx="4">×${way.ports.length}</tspan></text></g>`;
}

/** @param {{way:Way, x:number, y:number, room:number}} props */
function DeadEnd({ way, x, y, room }) {
  const beside = room > 96;
  const count = counted(way.ports.length, "flow");
  return html`<g class="dead-end" transform=${`translate(${x.toFixed(1)} ${y.toFixed(1)})`}><title>${way.ending}</title>
    <circle r="9" /><path d="M-3.4 -3.4l6.8 6.8M3.4 -3.4l-6.8 6.8" />
    ${beside
      ? html`<text x="14" y="-1">${count}</text><text x="14" y="11">${way.ports.length === 1 ? "ends" : "end"} here</text>`
      : html`<text y="22" text-anchor="middle">${count} ${way.ports.length === 1 ? "ends" : "end"}</text>`}
  </g>`;
}

/** The same in words and figures. @param {{bundle:BundleModel|null, flows:import("../state/paths.js").Flow[], guilty:Set<string>, far:Set<string>, act:Actions, flow:number|null, open:boolean}} props */
function Tables({ bundle, flows, guilty, far, act, flow, open }) {
  const rows = flowRows(flows, bundle);
  const hops = hopRows(flows, guilty, far);
  return html`<div class="flow-tables">
    ${bundle && html`<p class="words">${bundle.words}.</p>`}
    <div class="scroll"><table class="flow-rows"><caption class="unseen">Flows, the dead ones first</caption>
      <thead><tr><th scope="col">Port</th><th scope="col">Way</th><th scope="col">State</th><th scope="col" class="number">Loss</th><th scope="col" class="number">RTT</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.flow.port} class=${flow !== null && row.way?.ports.includes(flow) ? "chosen" : ""}>
        <th scope="row"><button class="link" aria-pressed=${flow === row.flow.port} onClick=${() => act.go({ flow: flow === row.flow.port ? null : row.flow.port })}>${row.flow.port}</button></th>
        <td title=${row.way?.words ?? ""}>${row.way ? html`<span class="letter">${row.way.name}</span>` : html`<span class="none">not traced</span>`}</td>
        <td><span class=${`state ${flowWords(row.flow.state).tone}`}><${Glyph} ...${flowWords(row.flow.state)} />${flowWords(row.flow.state).text}</span></td>
        <td class="number">${flowLoss(row.flow)}</td><td class="number">${row.flow.state === "dead" ? "–" : rttShort(row.flow.rttUs)}</td></tr>`)}</tbody></table></div>
    ${hops.length > 0 && html`<details open=${open}><summary>Hop by hop</summary><div class="scroll"><table class="flow-rows">
      <thead><tr><th scope="col" class="number">Hop</th><th scope="col">Address</th><th scope="col" class="number">Flows</th><th scope="col" class="number">Best RTT</th><th scope="col" class="number">Answers</th></tr></thead>
      <tbody>${hops.map((hop) => html`<tr key=${`${hop.ttl} ${hop.addresses}`} class=${hop.guilty ? "guilty" : ""}><td class="number">${hop.ttl}</td>
        <td class="mono">${hop.addresses || html`<span class="none">${hop.sent > 0 ? "answers no trace" : "not asked"}</span>`}${hop.guilty && html` <strong class="bad">✕ suspect</strong>`}${hop.end && html` <small>far end</small>`}${hop.kind === "several" && html` <small>in turn</small>`}${hop.kind === "unreachable" && html` <small>says unreachable</small>`}${hop.more && html` <small>${hop.more}</small>`}</td>
        <td class="number">${hop.flows}</td><td class="number">${rttShort(hop.rttUs)}</td><td class="number">${hop.sent > 0 ? `${hop.answered} of ${hop.sent}` : "–"}</td></tr>`)}</tbody></table></div></details>`}
  </div>`;
}
