// @ts-check
// The panel beside the grid: one node, link, site or pair of sites, in full.

import { html, useEffect, useRef } from "../ui.js";
import { flowMarks, historyOf, linkPanel, nodePanel, pairPanel, sitePanel, targetFacts } from "../state/panel.js";
import { epoch } from "../state/picture.js";
import { clock, counted, flows, held, linkWords, loss, nodeWords, reachWords, reason, rtt, span, STATES, transport, NOT_MEASURED } from "../state/words.js";
import { paintSparkline } from "../draw/sparkline.js";
import { readPalette } from "../draw/palette.js";
import { Paths } from "./bundle.js";
import { Chip, Glyph } from "./glyph.js";
import { LinkTrend } from "./trend.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {import("../state/types.js").Link} Link */
/** @typedef {import("../state/types.js").Selection} Selection */
/** @typedef {import("../main.js").Actions} Actions */
/** @typedef {{state:State, picture:Picture, act:Actions}} Props */

/** @param {Props & {selection:Selection}} props */
export function Panel({ state, picture, act, selection }) {
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  const title = titleOf(selection);
  useEffect(() => {
    // Closed, the panel hands the focus back to what opened it.
    const opener = /** @type {HTMLElement|null} */ (document.activeElement);
    return () => setTimeout(() => document.activeElement === document.body && opener?.isConnected && opener.focus());
  }, []);
  useEffect(() => heading.current?.focus({ preventScroll: false }), [title]);
  return html`<aside class=${`panel of-${selection.kind}`} aria-label=${`Details of ${title}`}>
    <header>
      <p class="what">${{ node: "Node", link: "Link", site: "Site", pair: "Sites" }[selection.kind]}</p>
      <h2 tabindex="-1" ref=${heading}>${title}</h2>
      <button class="plain close" aria-label="Close panel" title="Close (Esc)" onClick=${() => act.select(null)}>✕</button>
    </header>
    <div class="body">
      ${selection.kind === "node" && html`<${NodePanel} state=${state} picture=${picture} act=${act} id=${selection.id} />`}
      ${selection.kind === "link" && html`<${LinkPanel} state=${state} picture=${picture} act=${act} from=${selection.from} to=${selection.to} />`}
      ${selection.kind === "site" && html`<${SitePanel} state=${state} picture=${picture} act=${act} id=${selection.id} />`}
      ${selection.kind === "pair" && html`<${PairPanel} state=${state} picture=${picture} act=${act} from=${selection.from} to=${selection.to} />`}
    </div>
  </aside>`;
}

/** @param {Selection} selection */
function titleOf(selection) {
  return selection.kind === "link" || selection.kind === "pair" ? `${selection.from} → ${selection.to}` : selection.id;
}

/** @param {{what:string}} props */
function Gone({ what }) {
  return html`<p class="nothing">The picture holds no such ${what} (any more).</p>`;
}

/** A fact; absent ones say so. @param {{name:string, children?:any, wide?:boolean}} props */
function Fact({ name, children, wide = false }) {
  return html`<div class=${wide ? "wide" : ""}><dt>${name}</dt><dd class=${children === NOT_MEASURED ? "none" : ""}>${children}</dd></div>`;
}

/** @param {Props & {id:string}} props */
function NodePanel({ state, picture, act, id }) {
  const found = nodePanel(picture, id);
  if (!found) return html`<${Gone} what="node" />`;
  const { node, peers, hidden } = found;
  const words = nodeWords(node.state);
  const delay = node.host ? rtt(node.host.scheduling_delay_us_p99) : NOT_MEASURED;
  const kind = { andon: "node of this grid", gridbug: "GridBug neighbour", target: "probed target" }[node.kind] ?? node.kind;
  return html`
    <p class="status"><${Chip} words=${words} note=${held(epoch(node.since), state.wall)} /></p>
    <dl class="facts">
      <${Fact} name="Site">${node.site ? html`<button class="link" onClick=${() => act.select({ kind: "site", id: node.site ?? "" })}>${node.site}</button>` : "none"}</${Fact}>
      <${Fact} name="Kind">${kind}</${Fact}>
      <${Fact} name="Version">${node.version ?? NOT_MEASURED}</${Fact}>
      <${Fact} name="Running">${node.started_at && node.state === "up" ? held(epoch(node.started_at), state.wall) : NOT_MEASURED}</${Fact}>
      <${Fact} name="Reached over">${reachWords(node.reach)}</${Fact}>
      <${Fact} name="Host wakes late by">${delay}${node.host?.busy && html`<em class="warn"> busy</em>`}</${Fact}>
      ${node.clock_offset_us !== null && node.clock_offset_us !== undefined && html`<${Fact} name="Clock is off by">${rtt(Math.abs(node.clock_offset_us))}</${Fact}>`}
      <${Fact} name="Addresses" wide>${node.addresses?.length ? node.addresses.map((address) => html`<code>${address}</code>`) : "none known"}</${Fact}>
      ${Object.keys(node.labels ?? {}).length > 0 && html`<${Fact} name="Labels" wide>${Object.entries(node.labels).map(([key, value]) => html`<span class="label">${key}<b>${value}</b></span>`)}</${Fact}>`}
      ${node.fingerprint && html`<${Fact} name="Certificate" wide><code class="fine" title=${node.fingerprint}>${node.fingerprint.slice(0, 32)}…</code></${Fact}>`}
    </dl>
    <h3>Links<span>there and back</span></h3>
    ${peers.length === 0 ? html`<p class="nothing">No links yet.</p>` : html`<table class="peers">
      <thead><tr><th scope="col">Peer</th><th scope="col">${node.id} →</th><th scope="col">→ ${node.id}</th></tr></thead>
      <tbody>${peers.map((peer) => html`<tr key=${peer.id}>
        <th scope="row"><button class="link" onClick=${() => act.select({ kind: "node", id: peer.id })}>${peer.id}</button><small>${peer.site}</small></th>
        <td><${Way} link=${peer.out} act=${act} /></td><td><${Way} link=${peer.into} act=${act} /></td></tr>`)}</tbody></table>`}
    ${hidden > 0 && html`<p class="nothing">and ${counted(hidden, "more peer")}, all at least as well as these</p>`}`;
}

/** @param {{link:Link|null, act:Actions}} props */
function Way({ link, act }) {
  if (!link) return html`<span class="none">not probed</span>`;
  const words = linkWords(link.state);
  return html`<button class="way" aria-label=${`${link.from} to ${link.to}: ${words.text}`} onClick=${() => act.select({ kind: "link", from: link.from, to: link.to })}>
    <${Glyph} ...${words} /><span>${link.rttP50 === null || link.state === "down" ? words.text : rtt(link.rttP50)}</span></button>`;
}

/** @param {Props & {from:string, to:string}} props */
function LinkPanel({ state, picture, act, from, to }) {
  const found = linkPanel(picture, from, to);
  if (!found) return html`<${Gone} what="link" />`;
  const { link, back, others, othersUp, far } = found;
  const { more } = link;
  const detail = state.detail?.from === from && state.detail?.to === to ? state.detail : null;
  const data = detail?.data ?? null;
  const why = reason(more?.reason ?? data?.reason);
  const marks = flowMarks(link, data);
  const carried = more?.transport ?? data?.transport;
  const said = more?.detail ?? data?.detail;
  const heard = more?.heard ?? data?.heard ?? null;
  const via = more?.via === true || data?.via === true;
  const target = targetFacts(data, state.wall);
  const asked = far.kind === "target";
  const usual = more?.baselineUs ?? data?.rtt_baseline_us ?? null;
  return html`
    <p class="status"><${Chip} words=${linkWords(link.state)} note=${held(link.since, state.wall)} />${why && html`<span class="why">${why}</span>`}</p>
    ${said && html`<p class="said">“${said}”</p>`}
    <div class="ways" role="group" aria-label="Both directions">
      <${Direction} link=${link} here asked=${asked} act=${act} />
      ${back ? html`<${Direction} link=${back} act=${act} />` : !asked && html`<p class="none">${to} does not probe ${from}.</p>`}
    </div>
    ${!asked && html`<h3>Flows<span>${flows(link.ok, link.total)}${link.total > 0 ? " answer" : ""}</span></h3>
    <p class="flows" role="img" aria-label=${`${flows(link.ok, link.total)} flows answer`}>${marks.map((mark) => html`<span class=${mark.alive ? "ok" : "cut"} title=${mark.title}>${mark.alive ? "" : "✕"}</span>`)}</p>`}
    ${far.kind === "andon" && html`<div class=${`panel-paths${state.route.view === "paths" ? " elsewhere" : ""}`}><h3>Paths<button class="button" onClick=${() => act.go({ view: "paths" })}>Large<kbd>g p</kbd></button></h3>
    <${Paths} state=${state} picture=${picture} act=${act} from=${from} to=${to} /></div>`}
    <h3>Round trip<span>${rtt(link.rttP50)}${usual !== null && link.rttP50 !== null ? `, usually ${rtt(usual)}` : ""}</span></h3>
    <${History} data=${data} baseline=${usual} theme=${state.theme} />
    <${LinkTrend} state=${state} act=${act} from=${from} to=${to} />
    ${detail?.problem && html`<p class="aside">${from} cannot be asked right now (${detail.problem}); this is what it last published.</p>`}
    <dl class="facts">
      <${Fact} name="RTT p50">${rtt(link.rttP50)}</${Fact}>
      <${Fact} name="RTT p99">${rtt(link.rttP99)}</${Fact}>
      ${!asked && html`<${Fact} name="Loss there">${loss(link.lossForward)}</${Fact}>
      <${Fact} name="Loss back">${loss(link.lossReturn)}</${Fact}>`}
      <${Fact} name="Carried by">${carried ? transport(carried) : NOT_MEASURED}</${Fact}>
      <${Fact} name="Since">${clock(link.since, state.wall)}</${Fact}>
      ${heard && heard !== "not_expected" && html`<${Fact} name=${`Probes of ${to}`} wide>${heardWords(heard, from)}</${Fact}>`}
      ${via && html`<${Fact} name="Via" wide>a configured address (NAT, port-forward or tunnel)</${Fact}>`}
    </dl>
    ${target && html`<${TargetFacts} found=${target} now=${state.wall} />`}
    <h3>Who else sees ${to}<span>${others.length === 0 ? "nobody" : `${othersUp} of ${others.length} reach it`}</span></h3>
    ${others.length > 0 && html`<ul class="others">${others.slice(0, 24).map((other) => html`<li><button class="way" onClick=${() => act.select({ kind: "link", from: other.from, to: other.to })} aria-label=${`${other.from} to ${other.to}: ${linkWords(other.state).text}`}>
      <${Glyph} ...${linkWords(other.state)} /><span>${other.from}</span></button></li>`)}</ul>`}
    <p class="ends"><button class="button" onClick=${() => act.select({ kind: "node", id: from })}>Open ${from}</button><button class="button" onClick=${() => act.select({ kind: "node", id: far.id })}>Open ${to}</button></p>`;
}

/** @param {string} heard @param {string} at */
function heardWords(heard, at) {
  return heard === "arriving" ? `arrive at ${at}` : heard === "silent" ? `stopped arriving at ${at}` : "not known yet";
}

/** @param {{found:NonNullable<ReturnType<typeof targetFacts>>, now:number}} props */
function TargetFacts({ found, now }) {
  const { phases, certificate, last } = found;
  return html`<h3>Last answer<span>${last ? clock(last.at, now) : ""}</span></h3>
    <dl class="facts">
      ${last && html`<${Fact} name="In words" wide>${last.ok === false ? html`<em class="bad">${last.text}</em>` : last.text}</${Fact}>`}
      ${phases.map((phase) => html`<${Fact} name=${phase.name}>${rtt(phase.us)}</${Fact}>`)}
      ${certificate && html`<${Fact} name="Certificate" wide>${certificate.until}${certificate.problem && html`<em class="warn"> ${certificate.problem}</em>`}</${Fact}>
        <${Fact} name="Shown for" wide>${certificate.subject}</${Fact}><${Fact} name="Issued by" wide>${certificate.issuer}</${Fact}>`}
    </dl>`;
}

/** @param {{link:Link, here?:boolean, asked?:boolean, act:Actions}} props */
function Direction({ link, here = false, asked = false, act }) {
  const words = linkWords(link.state);
  return html`<button class=${`direction ${words.tone}`} aria-current=${here ? "true" : "false"} onClick=${() => act.select({ kind: "link", from: link.from, to: link.to })}>
    <span class="ends">${link.from}<i aria-hidden="true">→</i>${link.to}</span><${Chip} words=${words} />
    ${!asked && html`<span class="lost">loss ${loss(link.lossForward)}</span>`}</button>`;
}

/** @param {{data:any, baseline:number|null, theme:string}} props */
function History({ data, baseline, theme }) {
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const history = historyOf(data);
  useEffect(() => {
    if (!canvas.current || !history) return;
    const series = { values: history.rtt, bars: history.loss, baseline };
    paintSparkline(canvas.current, series, readPalette(), canvas.current.clientWidth, canvas.current.clientHeight);
  }, [data, theme]);
  if (!history) return null;
  const known = history.rtt.filter((value) => value !== null);
  const failed = history.loss.filter((share) => share !== null && share > 0).length;
  const words = known.length === 0 ? NOT_MEASURED : `${rtt(Math.min(...known))} to ${rtt(Math.max(...known))}`;
  return html`<figure class="history"><canvas ref=${canvas} role="img" aria-label=${`Round trip over the last ${span(history.spanMs)}: ${words}${failed > 0 ? `, ${failed} with failures` : ""}`}></canvas>
    <figcaption><span>last ${span(history.spanMs)}</span><span>${words}</span></figcaption></figure>`;
}

/** @param {Props & {id:string}} props */
function SitePanel({ picture, act, id }) {
  const found = sitePanel(picture, id);
  if (!found) return html`<${Gone} what="site" />`;
  const up = found.nodes.filter((node) => node.state === "up").length;
  return html`
    <p class="status">${up} of ${counted(found.nodes.length, "node")} up</p>
    <h3>Nodes</h3>
    <ul class="others">${found.nodes.slice(0, 120).map((node) => html`<li key=${node.id}><button class="way" onClick=${() => act.select({ kind: "node", id: node.id })} aria-label=${`${node.id}: ${nodeWords(node.state).text}`}><${Glyph} ...${nodeWords(node.state)} /><span>${node.id}</span></button></li>`)}</ul>
    <h3>To and from other sites<span>links up</span></h3>
    <table class="peers"><thead><tr><th scope="col">Site</th><th scope="col">${id} →</th><th scope="col">→ ${id}</th></tr></thead>
      <tbody>${found.others.map((row) => html`<tr key=${row.site}><th scope="row">${row.site === id ? html`within` : row.site}</th>
        <td><${PairWay} cell=${row.there} from=${id} to=${row.site} act=${act} /></td><td><${PairWay} cell=${row.back} from=${row.site} to=${id} act=${act} /></td></tr>`)}</tbody></table>`;
}

/** @param {{cell:import("../state/matrix.js").SiteCell|null, from:string, to:string, act:Actions}} props */
function PairWay({ cell, from, to, act }) {
  if (!cell) return html`<span class="none">not probed</span>`;
  const words = linkWords(STATES[cell.state]);
  return html`<button class="way" aria-label=${`${from} to ${to}: worst ${words.text}`} onClick=${() => act.select({ kind: "pair", from, to })}><${Glyph} ...${words} /><span>${cell.up}/${cell.total}</span></button>`;
}

/** @param {Props & {from:string, to:string}} props */
function PairPanel({ picture, act, from, to }) {
  const found = pairPanel(picture, from, to);
  if (!found) return html`<${Gone} what="pair of sites" />`;
  const { there, back, worst, count } = found;
  return html`
    ${there ? html`<p class="status"><${Chip} words=${linkWords(STATES[there.state])} note="the worst of them" /></p>
    <ul class="tally">${STATES.map((state, code) => there.byState[code] > 0 && html`<li><${Glyph} ...${linkWords(state)} /><b>${there.byState[code]}</b>${linkWords(state).text}</li>`)}</ul>
    <dl class="facts"><${Fact} name="Usual round trip">${rtt(there.rttP50)}</${Fact}><${Fact} name="The other way">${back ? `${back.up} of ${back.total} up` : "not probed"}</${Fact}></dl>`
      : html`<p class="nothing">Nobody in ${from} probes ${to}.</p>`}
    <p class="ends"><button class="button primary" onClick=${() => act.go({ view: "matrix", scope: [from, to] })}>Node by node</button><button class="button" onClick=${() => act.go({ view: "list", list: "links", scope: [from, to] })}>As a list</button></p>
    <h3>Worst links<span>of ${count}</span></h3>
    <table class="peers"><tbody>${worst.map((link) => html`<tr key=${`${link.from}→${link.to}`}><th scope="row"><button class="link" onClick=${() => act.select({ kind: "link", from: link.from, to: link.to })}>${link.from} → ${link.to}</button></th><td><${Way} link=${link} act=${act} /></td></tr>`)}</tbody></table>`;
}
