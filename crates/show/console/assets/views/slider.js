// @ts-check
// The strip of time along the bottom: thin while live, open to go to a moment and to play.

import { html, useEffect, useRef, useState } from "../ui.js";
import { incidentOf } from "../state/incidents.js";
import { ago, bandsOf, marksOf, momentAt, placeOf, REACH_WORDS, stops, stretchOf, stripWords, ticksOf } from "../state/past.js";
import { REACHES, SPEEDS } from "../state/route.js";
import { counted, moment, severityWords, span } from "../state/words.js";

/** @typedef {import("../state/types.js").State} State */
/** @typedef {import("../state/past.js").Stretch} Stretch */
/** @typedef {import("../main.js").Actions} Actions */

/** Pixels between the lines of the time axis. */
const TICK_PX = 96;

/** Milliseconds from now that count as now when the handle is let go. */
const NOW_MS = 1500;

/** @param {{state:State, act:Actions}} props */
export function Slider({ state, act }) {
  const { route, history } = state;
  if (!Number.isFinite(state.wall) || (!history.kept && !route.time && route.at === null)) return null;
  return route.time || route.at !== null ? html`<${Open} state=${state} act=${act}/>` : html`<${Thin} state=${state} act=${act} moments=${history.moments} />`;
}

/** @param {{state:State, act:Actions, moments:import("../state/types.js").Moment[]}} props */
function Thin({ state, act, moments }) {
  const stretch = stretchOf(state.route.reach, null, state.wall, state.history.span);
  const words = state.history.problem ?? (state.history.known ? stripWords(moments, stretch) : "reading what was kept");
  return html`<footer class="time thin"><button aria-expanded="false" onClick=${() => act.go({ time: true })} title="Time slider (t)">
    <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" /><path d="M8 4.6V8l2.4 1.6" /></svg><span class="words">Go back in time: <span>${words}</span></span>
    <${Strip} state=${state} stretch=${stretch} /><span class="now">now</span><kbd>t</kbd></button></footer>`;
}

/** Marks and bands, without a handle. @param {{state:State, stretch:Stretch}} props */
function Strip({ state, stretch }) {
  const marks = marksOf(state.history.moments, stretch);
  return html`<span class="strip" aria-hidden="true">
    ${bandsOf(state.incidents.list, stretch, state.wall).map((band) => html`<i class=${`band ${severityWords(band.severity).tone}`} key=${band.id} style=${{ left: `${band.left * 100}%`, width: `${Math.max(0.3, (band.right - band.left) * 100)}%` }}></i>`)}
    ${marks.map((mark) => html`<i class=${`mark ${mark.tone} w${mark.weight}`} key=${mark.at} style=${{ left: `${mark.place * 100}%` }}></i>`)}</span>`;
}

/** @param {{state:State, act:Actions}} props */
function Open({ state, act }) {
  const { route, history, wall } = state;
  const [dragged, setDragged] = useState(/** @type {Stretch|null} */ (null));
  const at = route.at ?? wall;
  const stretch = dragged ?? stretchOf(route.reach, route.at, wall, history.span);
  const live = route.at === null;
  const incident = incidentOf(state.incidents.list, route.incident);
  const near = stops(history.moments).findLast((stop) => stop.at <= at + 1 && at - stop.until < 60_000);
  return html`<footer class=${`time open${live ? "" : " past"}`} aria-label="Time slider" role="region">
    <div class="controls">
      <div class="steps" role="group" aria-label="Move in time">
        <button class="plain" aria-label="The change before" title="The change before (←)" onClick=${() => act.change(-1)}><${Icon} d="M11 3.5L5.5 8l5.5 4.5zM4 3.5v9" /></button>
        <button class="plain play" disabled=${live} aria-label=${route.play ? "Pause" : "Play"} title=${live ? "Go to a moment first" : `${route.play ? "Pause" : "Play"} (Space)`} onClick=${() => act.go({ play: route.play ? 0 : 10 })}><${Icon} d=${route.play ? "M5 3h2v10H5zM9 3h2v10H9z" : "M4.5 2.8v10.4L13 8z"} /></button>
        <button class="plain" aria-label="The change after" title="The change after (→)" onClick=${() => act.change(1)}><${Icon} d="M5 3.5L10.5 8 5 12.5zM12 3.5v9" /></button>
      </div>
      <div class="segments" role="group" aria-label="Speed">${SPEEDS.map((speed) => html`<button disabled=${live} aria-pressed=${route.play === speed} onClick=${() => act.go({ play: speed })}>${speed}×</button>`)}</div>
      <p class="moment" aria-live=${route.play ? "off" : "polite"}>${live ? html`<strong>Live</strong><span>drag the handle, or ← to the change before</span>` : html`<strong>${moment(at)}</strong><span>${ago(at, wall)}${near ? ` · ${near.text}${near.count > 1 ? ` and ${counted(near.count - 1, "more change")}` : ""}` : ""}</span>`}</p>
      ${incident && html`<a class="button" href=${`/incidents/${encodeURIComponent(incident.id)}`} onClick=${act.follow(`/incidents/${encodeURIComponent(incident.id)}`)}>To the incident</a>`}
      <div class="segments reach" role="group" aria-label="How much time the strip spans">${REACHES.map((reach) => html`<button aria-pressed=${route.reach === reach} onClick=${() => act.go({ reach })}>${REACH_WORDS[reach]}</button>`)}</div>
      ${live ? html`<button class="plain" aria-label="Close the time slider" title="Close (Esc)" onClick=${() => act.go({ time: false })}>✕</button>` : html`<button class="button primary" onClick=${() => act.live()}>Back to live<kbd>Esc</kbd></button>`}
    </div>
    ${history.problem && html`<p class="problem" role="alert">The past cannot be read: ${history.problem}.</p>`}
    <${Track} state=${state} act=${act} stretch=${stretch} at=${at} drag=${setDragged} dragging=${dragged !== null} />
  </footer>`;
}

/** @param {{state:State, act:Actions, stretch:Stretch, at:number, drag:(stretch:Stretch|null)=>void, dragging:boolean}} props */
function Track({ state, act, stretch, at, drag, dragging }) {
  const track = useRef(/** @type {HTMLElement|null} */ (null));
  const [width, setWidth] = useState(1000);
  const [hover, setHover] = useState(/** @type {number|null} */ (null));
  useEffect(() => {
    const element = track.current;
    if (!element) return undefined;
    const watch = new ResizeObserver(() => setWidth(element.clientWidth));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  const { history, wall, route } = state;
  const under = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (track.current).getBoundingClientRect();
    return momentAt(stretch, (event.clientX - box.left) / box.width);
  };
  const to = (/** @type {number} */ wanted) => {
    const oldest = history.span && Number.isFinite(history.span.from) ? history.span.from : -Infinity;
    if (wanted >= wall - NOW_MS) act.go({ at: null, play: 0, time: true });
    else act.go({ at: Math.max(oldest, wanted), play: 0, time: true });
  };
  const place = placeOf(stretch, at);
  const kept = history.span && Number.isFinite(history.span.from) ? placeOf(stretch, history.span.from) : 1;
  const marks = marksOf(history.moments, stretch);
  return html`<div class=${`track${dragging ? " dragging" : ""}`} ref=${track} role="slider" tabindex="0" aria-label="Moment"
      aria-valuemin=${Math.round(stretch.from)} aria-valuemax=${Math.round(stretch.until)} aria-valuenow=${Math.round(at)}
      aria-valuetext=${route.at === null ? "live" : `${moment(at)}, ${ago(at, wall)}`} aria-describedby="strip-words"
      onPointerDown=${(/** @type {PointerEvent} */ event) => {
        if (event.button !== 0) return;
        /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
        drag(stretch);
        to(under(event));
      }}
      onPointerMove=${(/** @type {PointerEvent} */ event) => {
        setHover(under(event));
        if (dragging) to(under(event));
      }}
      onPointerUp=${() => drag(null)} onPointerCancel=${() => drag(null)} onPointerLeave=${() => setHover(null)}>
    <span class="unkept" style=${{ width: `${kept * 100}%` }}></span>
    ${ticksOf(stretch, Math.max(2, Math.floor(width / TICK_PX))).map((tick) => html`<span class="tick" key=${tick.at} style=${{ left: `${tick.place * 100}%` }}><i>${tick.text}</i></span>`)}
    ${bandsOf(state.incidents.list, stretch, wall).map((band) => html`<span class=${`band ${severityWords(band.severity).tone}`} key=${band.id} title=${band.title} style=${{ left: `${band.left * 100}%`, width: `${Math.max(0.3, (band.right - band.left) * 100)}%` }}></span>`)}
    ${marks.map((mark) => html`<span class=${`mark ${mark.tone} ${mark.shape} w${mark.weight}`} key=${mark.at} title=${`${moment(mark.at)}: ${mark.text}${mark.count > 1 ? ` and ${mark.count - 1} more` : ""}`} style=${{ left: `${mark.place * 100}%` }}></span>`)}
    ${hover !== null && html`<span class="ghost" style=${{ left: `${placeOf(stretch, hover) * 100}%` }}><i class=${placeOf(stretch, hover) > 0.9 ? "left" : ""}>${moment(hover)}</i></span>`}
    <span class="handle" style=${{ left: `${place * 100}%` }}></span>
    <p id="strip-words" class="unseen">${history.known ? stripWords(history.moments, stretch) : "reading what was kept"}. Left and right go to the change before and after. ${history.span && Number.isFinite(history.span.from) ? `Kept: ${span(history.span.until - history.span.from)}.` : ""}</p>
  </div>`;
}

/** @param {{d:string}} props */
function Icon({ d }) {
  return html`<svg viewBox="0 0 16 16" aria-hidden="true"><path d=${d} fill="currentColor" /></svg>`;
}
