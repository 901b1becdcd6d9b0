// @ts-check
// The map: sites, nodes and links on a canvas. It draws what `state/map.js` worked out and
// tells what was pointed at; it decides nothing. It moves only when something changed.

import { drawShape, fit } from "./palette.js";
import { DOWN, linkWords, nodeWords, STATES, UP } from "../state/words.js";

/** @typedef {import("./palette.js").Palette} Palette */
/** @typedef {import("../state/map.js").MapModel} MapModel */
/** @typedef {import("../state/map.js").Line} Line */
/** @typedef {import("../state/map.js").Spot} Spot */
/** @typedef {import("../state/types.js").Picture} Picture */
/** @typedef {{kind:"node",id:string}|{kind:"link",from:string,to:string}|{kind:"site",id:string}} Hit */
/** @typedef {{nodes:Set<string>, sites:Set<string>, links:[string,string][]}} About */
/** @typedef {{x:number,y:number}} Point */
/** @typedef {{from:Point, bend:Point, to:Point}} Curve */
/** @typedef {{line:Line, at:number, from:string, to:string, curve:Curve, state:number, lone:boolean}} Lane */

const ZOOM_MAX = 8;
/** Milliseconds that a ring spreads where something changed. */
const PULSE_MS = 1100;
/** Pixels within which a pointer means a link. */
const NEAR_LINK = 7;

/** Dash pattern and width per state: told apart without colour. */
const STROKES = /** @type {Record<string, {dash:number[], width:number, alpha:number}>} */ ({
  up: { dash: [], width: 1.4, alpha: 0.5 },
  partial: { dash: [11, 4], width: 2, alpha: 1 },
  degraded: { dash: [], width: 2.2, alpha: 1 },
  down: { dash: [3, 4], width: 2.2, alpha: 1 },
  unknown: { dash: [4, 5], width: 1.2, alpha: 0.55 },
  not_probed: { dash: [1, 6], width: 1, alpha: 0.35 },
  left: { dash: [1, 6], width: 1, alpha: 0.35 },
});

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{hover: (hit: Hit|null, x: number, y: number) => void, choose: (hit: Hit|null) => void}} on
 */
export function createTopology(canvas, on) {
  /** @type {MapModel|null} */
  let model = null;
  /** @type {Picture|null} */
  let picture = null;
  /** @type {Palette|null} */
  let palette = null;
  /** @type {About} */
  let about = { nodes: new Set(), sites: new Set(), links: [] };
  let large = false;
  let [width, height] = [0, 0];
  let view = { zoom: 1, x: 0, y: 0 };
  /** @type {Hit|null} */
  let hovered = null;
  /** @type {{x:() => Point|null, since:number, colour:string}[]} */
  let pulses = [];
  /** @type {Point[]} */
  let points = [];
  /** @type {{x:number,y:number,w:number,h:number,site:string,loose:boolean}[]} */
  let boxes = [];
  /** @type {Lane[]} */
  let lanes = [];
  let frame = 0;
  const layer = document.createElement("canvas");
  let stale = true;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  // ---- geometry -------------------------------------------------------------------------

  const inset = () => {
    const pad = sitePad() + 8;
    const name = large ? 34 : 22;
    return { x: Math.max(pad, Math.min(110, width * 0.08)), top: pad + name, bottom: pad + under() };
  };

  /** @param {number} x @param {number} y @returns {Point} */
  const place = (x, y) => {
    const edge = inset();
    const flat = { x: edge.x + x * (width - 2 * edge.x), y: edge.top + y * (height - edge.top - edge.bottom) };
    return { x: flat.x * view.zoom + view.x, y: flat.y * view.zoom + view.y };
  };

  /** Room around the nodes of a site, and what their names need below. */
  const sitePad = () => nodeRadius() + (model?.crowded ? 10 : large ? 42 : width < 480 ? 20 : 27);
  const under = () => (model?.crowded ? 0 : large ? 16 : 14);

  const nodeRadius = () => {
    if (!model) return 0;
    const grow = Math.sqrt(view.zoom);
    if (model.crowded) return Math.max(1.8, Math.min(6, Math.sqrt((width * height) / model.spots.length) / 9)) * grow;
    return (large ? 24 : model.spots.length > 16 || width < 480 ? 10 : 14) * Math.min(1.4, grow);
  };

  /** The part of the map that the nodes fill, drawn to fill the canvas. */
  const measure = () => {
    if (!model || !picture) return;
    const xs = model.spots.map((spot) => spot.x);
    const ys = model.spots.map((spot) => spot.y);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    // A line of nodes stays a line: no axis is stretched more than this.
    const [w, h] = [Math.max(right - left, 0.25), Math.max(bottom - top, 0.25)];
    const [cx, cy] = [(left + right) / 2, (top + bottom) / 2];
    points = model.spots.map((spot) => place(0.5 + (spot.x - cx) / w, 0.5 + (spot.y - cy) / h));
    boxes = model.places.map((spotted) => siteBox(spotted.site));
    lanes = [];
    for (const line of model.lines) pushLanes(line);
  };

  /** @param {string} site */
  const siteBox = (site) => {
    const pad = sitePad();
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    model?.spots.forEach((spot, at) => {
      if (spot.site !== site) return;
      x0 = Math.min(x0, points[at].x);
      x1 = Math.max(x1, points[at].x);
      y0 = Math.min(y0, points[at].y);
      y1 = Math.max(y1, points[at].y);
    });
    const loose = model?.places.find((one) => one.site === site)?.loose === true;
    return { site, loose, x: x0 - pad, y: y0 - pad, w: x1 - x0 + 2 * pad, h: y1 - y0 + 2 * pad + under() };
  };

  /** @param {Line} line */
  const pushLanes = (line) => {
    if (!picture || !model) return;
    const { links } = picture;
    const there = line.there < 0 ? -1 : links.state[line.there];
    const back = line.back < 0 ? -1 : links.state[line.back];
    const [a, b] = [model.spots[line.a].id, model.spots[line.b].id];
    const apart = there !== back && there >= 0 && back >= 0;
    if (!apart) {
      const at = line.there >= 0 ? line.there : line.back;
      const flip = line.there < 0;
      lanes.push({
        line, at, from: flip ? b : a, to: flip ? a : b, lone: there < 0 || back < 0,
        state: links.state[at], curve: curve(points[line.a], points[line.b], 0, flip),
      });
      return;
    }
    const gap = large ? 7 : 4.5;
    lanes.push({ line, at: line.there, from: a, to: b, lone: true, state: there, curve: curve(points[line.a], points[line.b], gap, false) });
    lanes.push({ line, at: line.back, from: b, to: a, lone: true, state: back, curve: curve(points[line.a], points[line.b], -gap, true) });
  };

  /** @param {Point} a @param {Point} b @param {number} offset @param {boolean} flip @returns {Curve} */
  const curve = (a, b, offset, flip) => {
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const far = Math.hypot(dx, dy) || 1;
    const [nx, ny] = [-dy / far, dx / far];
    const arch = model?.crowded ? 0 : Math.min(46, far * 0.07);
    const trim = nodeRadius() + (model?.crowded ? 1 : 4);
    const cut = Math.min(trim / far, 0.45);
    const from = { x: a.x + dx * cut + nx * offset, y: a.y + dy * cut + ny * offset };
    const to = { x: b.x - dx * cut + nx * offset, y: b.y - dy * cut + ny * offset };
    const bend = { x: (a.x + b.x) / 2 + nx * (arch + offset), y: (a.y + b.y) / 2 + ny * (arch + offset) };
    return flip ? { from: to, bend, to: from } : { from, bend, to };
  };

  /** @param {Curve} c @param {number} t @returns {Point} */
  const along = (c, t) => {
    const u = 1 - t;
    return {
      x: u * u * c.from.x + 2 * u * t * c.bend.x + t * t * c.to.x,
      y: u * u * c.from.y + 2 * u * t * c.bend.y + t * t * c.to.y,
    };
  };

  // ---- what is pointed at ---------------------------------------------------------------

  /** @param {number} x @param {number} y @returns {Hit|null} */
  const hitAt = (x, y) => {
    if (!model) return null;
    const reach = Math.max(nodeRadius() + 4, 9);
    let near = -1;
    let nearest = reach;
    points.forEach((point, at) => {
      const far = Math.hypot(point.x - x, point.y - y);
      if (far < nearest) [near, nearest] = [at, far];
    });
    if (near >= 0) return { kind: "node", id: model.spots[near].id };
    /** @type {Lane|null} */
    let lane = null;
    let best = NEAR_LINK;
    for (const candidate of lanes) {
      const far = distance(candidate.curve, x, y, best);
      if (far < best || (far === best && candidate.state !== UP)) [lane, best] = [candidate, far];
    }
    if (lane) return { kind: "link", from: lane.from, to: lane.to };
    const box = boxes.find((b) => !b.loose && x > b.x && x < b.x + b.w && y > b.y && y < b.y + b.h);
    return box ? { kind: "site", id: box.site } : null;
  };

  /** @param {Curve} c @param {number} x @param {number} y @param {number} limit */
  const distance = (c, x, y, limit) => {
    const [x0, x1] = [Math.min(c.from.x, c.bend.x, c.to.x), Math.max(c.from.x, c.bend.x, c.to.x)];
    const [y0, y1] = [Math.min(c.from.y, c.bend.y, c.to.y), Math.max(c.from.y, c.bend.y, c.to.y)];
    if (x < x0 - limit || x > x1 + limit || y < y0 - limit || y > y1 + limit) return Infinity;
    let least = Infinity;
    for (let step = 0; step <= 24; step += 1) {
      const point = along(c, step / 24);
      const next = along(c, Math.min(1, (step + 1) / 24));
      least = Math.min(least, toSegment(x, y, point, next));
    }
    return least;
  };

  /** @param {number} x @param {number} y @param {Point} a @param {Point} b */
  const toSegment = (x, y, a, b) => {
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const t = Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy || 1)));
    return Math.hypot(x - a.x - t * dx, y - a.y - t * dy);
  };

  // ---- painting -------------------------------------------------------------------------

  const paint = () => {
    frame = 0;
    if (!model || !palette || width === 0) return;
    if (stale) paintLayer(model, palette);
    stale = false;
    const to = fit(canvas, width, height);
    to.clearRect(0, 0, width, height);
    to.drawImage(layer, 0, 0, width, height);
    paintPulses(to);
  };

  /** All that stands still, so that a spreading ring costs one copy and not a thousand lines.
   * @param {MapModel} model @param {Palette} palette */
  const paintLayer = (model, palette) => {
    const to = fit(layer, width, height);
    to.clearRect(0, 0, width, height);
    const focus = pointed();
    const real = boxes.filter((box) => !box.loose);
    for (const box of real) paintSite(to, palette, box, focus);
    if (model.crowded) for (const bundle of model.bundles) paintBundle(to, palette, bundle, focus);
    for (const lane of lanes) paintLane(to, palette, lane, isPointed(lane, focus));
    model.spots.forEach((spot, at) => paintNode(to, palette, spot, points[at], focus));
    const names = siteNames(to, palette, real);
    real.forEach((box) => paintSiteName(to, palette, box, focus, names));
  };

  /** What stands out: what the pointer is on, or else what is chosen. `null`: all alike. @returns {About|null} */
  const pointed = () => {
    if (hovered?.kind === "node") return { nodes: new Set([hovered.id]), sites: new Set(), links: [] };
    if (hovered?.kind === "link") return { nodes: new Set(), sites: new Set(), links: [[hovered.from, hovered.to]] };
    return about.nodes.size + about.sites.size + about.links.length === 0 ? null : about;
  };

  /** @param {Lane} lane @param {About|null} focus @returns {"plain"|"on"|"dim"} */
  const isPointed = (lane, focus) => {
    if (!focus) return "plain";
    const both = !lane.lone;
    const named = focus.links.some(([from, to]) =>
      (from === lane.from && to === lane.to) || (both && from === lane.to && to === lane.from) ||
      (siteOfSpot(lane.line.a) === from && siteOfSpot(lane.line.b) === to) || (siteOfSpot(lane.line.a) === to && siteOfSpot(lane.line.b) === from));
    if (named) return "on";
    if (focus.links.length === 0 && (focus.nodes.has(lane.from) || focus.nodes.has(lane.to))) return "on";
    const [a, b] = [focus.sites.has(siteOfSpot(lane.line.a)), focus.sites.has(siteOfSpot(lane.line.b))];
    return focus.sites.size > 0 && (a || b) ? "on" : "dim";
  };

  /** @param {number} at */
  const siteOfSpot = (at) => model?.spots[at].site ?? "";

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {typeof boxes[0]} box @param {About|null} focus */
  const paintSite = (to, colours, box, focus) => {
    const on = focus?.sites.has(box.site) || (hovered?.kind === "site" && hovered.id === box.site);
    to.save();
    to.beginPath();
    to.roundRect(box.x, box.y, box.w, box.h, Math.min(26, box.h / 2));
    to.fillStyle = colours.site;
    to.fill();
    to.lineWidth = on ? 2 : 1;
    to.strokeStyle = on ? colours.focus : colours.line;
    to.stroke();
    to.restore();
  };

  /** The largest size at which no site's name lies on another's, and whether there is room to
   * say that all is up. @param {CanvasRenderingContext2D} to @param {Palette} colours @param {typeof boxes} real */
  const siteNames = (to, colours, real) => {
    const sizes = large ? [22, 19, 16, 13] : [12, 11, 10];
    for (const counts of [true, false]) {
      for (const size of sizes) {
        to.font = `650 ${size}px ${colours.font}`;
        const rects = real.map((box) => {
          const words = model?.places.find((one) => one.site === box.site);
          const well = !words || words.up === words.count;
          const wide = to.measureText(box.site + (well && !counts ? "" : siteWords(words))).width + 12;
          const x = box.x + Math.min(14, box.w / 8);
          return { x0: x, x1: x + wide, y0: box.y - 5 - size, y1: box.y - 3 };
        });
        const clear = rects.every((a, at) => rects.every((b, other) => other <= at || a.x1 < b.x0 || b.x1 < a.x0 || a.y1 < b.y0 || b.y1 < a.y0));
        if (clear) return { size, counts };
      }
    }
    return { size: sizes[sizes.length - 1], counts: false };
  };

  /** @param {{up:number, count:number}|undefined} place */
  const siteWords = (place) => (!place ? "" : place.up === place.count ? `${place.count} up` : `${place.up} of ${place.count} up`);

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {typeof boxes[0]} box @param {About|null} focus @param {{size:number, counts:boolean}} how */
  const paintSiteName = (to, colours, box, focus, { size, counts }) => {
    const placed = model?.places.find((one) => one.site === box.site);
    if (!placed) return;
    to.save();
    to.globalAlpha = focus && focus.sites.size > 0 && !focus.sites.has(box.site) ? 0.5 : 1;
    to.textBaseline = "bottom";
    to.textAlign = "left";
    const [x, y] = [box.x + Math.min(14, box.w / 8), box.y - 5];
    const words = placed.up === placed.count && !counts ? "" : siteWords(placed);
    to.font = `450 ${size - 1}px ${colours.font}`;
    const more = words === "" ? 0 : to.measureText(words).width + 7;
    to.font = `650 ${size}px ${colours.font}`;
    const after = x + to.measureText(box.site).width + 7;
    // Lines pass behind the name, not through it.
    to.fillStyle = colours.card;
    to.beginPath();
    to.roundRect(x - 4, y - size - 3, after - x + more + 1, size + 6, 5);
    to.fill();
    to.fillStyle = colours.ink;
    to.fillText(box.site, x, y);
    to.font = `450 ${size - 1}px ${colours.font}`;
    to.fillStyle = placed.anyDown ? colours.bad : colours.soft;
    to.fillText(words, after, y);
    to.restore();
  };

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {MapModel["bundles"][0]} bundle @param {About|null} focus */
  const paintBundle = (to, colours, bundle, focus) => {
    const [a, b] = [boxes[bundle.a], boxes[bundle.b]];
    const words = linkWords(STATES[bundle.state]);
    to.save();
    to.globalAlpha = focus ? 0.16 : bundle.state === UP ? 0.3 : 0.42;
    to.strokeStyle = bundle.state === UP ? colours.good : bundle.up > 0 ? colours.good : colours[words.tone];
    to.lineWidth = 1 + Math.min(2, Math.log2(1 + bundle.total) / 5);
    if (bundle.up === 0) to.setLineDash(STROKES[STATES[bundle.state]].dash);
    to.beginPath();
    to.moveTo(a.x + a.w / 2, a.y + a.h / 2);
    to.lineTo(b.x + b.w / 2, b.y + b.h / 2);
    to.stroke();
    to.restore();
  };

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {Lane} lane @param {"plain"|"on"|"dim"} how */
  const paintLane = (to, colours, lane, how) => {
    const name = STATES[lane.state];
    const stroke = STROKES[name];
    const words = linkWords(name);
    const bold = large ? 1.8 : 1;
    to.save();
    // In a crowd many links that are a little ill must not hide the one that is dead.
    const plain = model?.crowded && lane.state !== DOWN ? stroke.alpha * 0.5 : stroke.alpha;
    to.globalAlpha = how === "dim" ? plain * 0.24 : how === "on" ? 1 : plain;
    to.strokeStyle = colours[words.tone];
    to.lineWidth = (stroke.width + (how === "on" ? 1 : 0)) * (model?.crowded ? 0.65 : bold);
    to.setLineDash(stroke.dash.map((length) => length * bold));
    to.lineCap = name === "not_probed" || name === "left" ? "round" : "butt";
    to.beginPath();
    to.moveTo(lane.curve.from.x, lane.curve.from.y);
    to.quadraticCurveTo(lane.curve.bend.x, lane.curve.bend.y, lane.curve.to.x, lane.curve.to.y);
    to.stroke();
    if (lane.lone && !model?.crowded && lane.state !== 5) arrow(to, colours[words.tone], lane.curve, bold);
    const marked = lane.state === 1 || lane.state === 2 || lane.state === 3;
    if (marked && !(model?.crowded && how !== "on")) {
      const middle = along(lane.curve, lane.lone ? 0.42 : 0.5);
      drawShape(to, words.shape, middle.x, middle.y, (large ? 11 : 7) * (model?.crowded ? 0.8 : 1), colours[words.tone], colours.card);
    }
    to.restore();
  };

  /** @param {CanvasRenderingContext2D} to @param {string} colour @param {Curve} c @param {number} bold */
  const arrow = (to, colour, c, bold) => {
    const before = along(c, 0.94);
    const angle = Math.atan2(c.to.y - before.y, c.to.x - before.x);
    const size = 8 * bold;
    to.setLineDash([]);
    to.fillStyle = colour;
    to.beginPath();
    to.moveTo(c.to.x, c.to.y);
    to.lineTo(c.to.x - size * Math.cos(angle - 0.42), c.to.y - size * Math.sin(angle - 0.42));
    to.lineTo(c.to.x - size * Math.cos(angle + 0.42), c.to.y - size * Math.sin(angle + 0.42));
    to.closePath();
    to.fill();
  };

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {Spot} spot @param {Point} at @param {About|null} focus */
  const paintNode = (to, colours, spot, at, focus) => {
    const words = nodeWords(spot.state);
    const r = nodeRadius();
    const colour = colours[words.tone];
    const chosen = about.nodes.has(spot.id) || (hovered?.kind === "node" && hovered.id === spot.id);
    const inFocus = !focus || chosen || focus.sites.has(spot.site) || focus.nodes.size === 0 ||
      focus.links.some(([a, b]) => a === spot.id || b === spot.id);
    to.save();
    to.globalAlpha = inFocus ? 1 : 0.55;
    if (model?.crowded) {
      if (spot.state === "up") {
        to.fillStyle = colour;
        to.beginPath();
        to.arc(at.x, at.y, chosen ? r * 1.7 : r, 0, 7);
        to.fill();
      } else {
        drawShape(to, words.shape, at.x, at.y, Math.max(5, r * 1.7), colour, colours.card);
      }
      if (chosen) label(to, colours, spot, at, r + 4);
      to.restore();
      return;
    }
    outline(to, spot.kind, at, r);
    to.fillStyle = spot.state === "down" ? colour : colours.card;
    to.fill();
    to.lineWidth = large ? 4 : 2.5;
    to.strokeStyle = colour;
    if (spot.state === "left") to.setLineDash([4, 4]);
    to.stroke();
    to.setLineDash([]);
    if (chosen) {
      outline(to, spot.kind, at, r + (large ? 7 : 4.5));
      to.lineWidth = 2;
      to.strokeStyle = colours.focus;
      to.stroke();
    }
    inside(to, colours, spot, at, r);
    label(to, colours, spot, at, r);
    to.restore();
  };

  /** @param {CanvasRenderingContext2D} to @param {string} kind @param {Point} at @param {number} r */
  const outline = (to, kind, at, r) => {
    to.beginPath();
    if (kind === "target") to.roundRect(at.x - r * 0.92, at.y - r * 0.92, r * 1.84, r * 1.84, r * 0.35);
    else if (kind === "gridbug") {
      for (let corner = 0; corner < 6; corner += 1) {
        const angle = (Math.PI / 3) * corner;
        to.lineTo(at.x + r * 1.08 * Math.cos(angle), at.y + r * 1.08 * Math.sin(angle));
      }
      to.closePath();
    } else to.arc(at.x, at.y, r, 0, 7);
  };

  /** The mark within: a tick, a cross, an exclamation mark. @param {CanvasRenderingContext2D} to @param {Palette} colours @param {Spot} spot @param {Point} at @param {number} r */
  const inside = (to, colours, spot, at, r) => {
    const s = r * 0.42;
    to.lineCap = "round";
    to.lineJoin = "round";
    to.lineWidth = Math.max(1.8, r * 0.17);
    to.strokeStyle = spot.state === "down" ? colours.card : colours[nodeWords(spot.state).tone];
    to.beginPath();
    if (spot.state === "down") {
      to.moveTo(at.x - s, at.y - s);
      to.lineTo(at.x + s, at.y + s);
      to.moveTo(at.x + s, at.y - s);
      to.lineTo(at.x - s, at.y + s);
    } else if (spot.state === "suspect") {
      to.moveTo(at.x, at.y - s * 1.1);
      to.lineTo(at.x, at.y + s * 0.25);
      to.moveTo(at.x, at.y + s * 1.1);
      to.lineTo(at.x, at.y + s * 1.12);
    } else if (spot.state === "up") {
      to.moveTo(at.x - s, at.y + s * 0.1);
      to.lineTo(at.x - s * 0.25, at.y + s * 0.8);
      to.lineTo(at.x + s * 1.05, at.y - s * 0.75);
    } else {
      to.moveTo(at.x - s, at.y);
      to.lineTo(at.x + s, at.y);
    }
    to.stroke();
  };

  /** @param {CanvasRenderingContext2D} to @param {Palette} colours @param {Spot} spot @param {Point} at @param {number} r */
  const label = (to, colours, spot, at, r) => {
    const size = large ? 22 : 12.5;
    to.textAlign = "center";
    to.textBaseline = "top";
    to.font = `600 ${size}px ${colours.font}`;
    to.lineWidth = 4;
    to.lineJoin = "round";
    to.strokeStyle = colours.site;
    const text = spot.id.length > 22 ? `${spot.id.slice(0, 21)}…` : spot.id;
    const y = at.y + r + (large ? 9 : 6);
    // A long name at the edge moves inwards rather than out of sight.
    const half = to.measureText(text).width / 2 + 4;
    const x = view.zoom > 1 ? at.x : Math.max(half, Math.min(width - half, at.x));
    to.strokeText(text, x, y);
    to.fillStyle = spot.state === "down" ? colours.bad : colours.ink;
    to.fillText(text, x, y);
    if (spot.me && !large) {
      to.font = `500 10.5px ${colours.font}`;
      to.strokeText("this node", at.x, y + 15);
      to.fillStyle = colours.soft;
      to.fillText("this node", at.x, y + 15);
    }
  };

  // ---- motion: only where something changed ----------------------------------------------

  /** @param {CanvasRenderingContext2D} to */
  const paintPulses = (to) => {
    const now = performance.now();
    pulses = pulses.filter((pulse) => now - pulse.since < PULSE_MS);
    for (const pulse of pulses) {
      const at = pulse.x();
      if (!at) continue;
      const t = (now - pulse.since) / PULSE_MS;
      to.save();
      to.globalAlpha = 0.8 * (1 - t);
      to.strokeStyle = pulse.colour;
      to.lineWidth = 3 * (1 - t) + 0.5;
      to.beginPath();
      to.arc(at.x, at.y, 8 + 34 * (1 - (1 - t) * (1 - t)), 0, 7);
      to.stroke();
      to.restore();
    }
    if (pulses.length > 0 && !frame) frame = requestAnimationFrame(paint);
  };

  /** @param {Picture} before @param {Picture} after */
  const notePulses = (before, after) => {
    if (still.matches || document.hidden || !palette) return;
    for (let at = 0; at < after.nodes.length && pulses.length < 24; at += 1) {
      const was = before.index.get(after.nodes[at].id);
      if (was !== undefined && before.nodes[was].state !== after.nodes[at].state) {
        const colour = palette[nodeWords(after.nodes[at].state).tone];
        pulses.push({ x: () => points[at] ?? null, since: performance.now(), colour });
      }
    }
    if (before.links.from !== after.links.from) return;
    for (let at = 0; at < after.links.count && pulses.length < 24; at += 1) {
      const state = after.links.state[at];
      if (state === before.links.state[at] || state > DOWN || (model?.crowded && state !== DOWN)) continue;
      const colour = palette[linkWords(STATES[state]).tone];
      pulses.push({
        x: () => {
          const lane = lanes.find((one) => one.at === at || (!one.lone && one.line.back === at));
          return lane ? along(lane.curve, lane.lone ? 0.42 : 0.5) : null;
        },
        since: performance.now(), colour,
      });
    }
  };

  const ask = () => {
    stale = true;
    if (!frame) frame = requestAnimationFrame(paint);
  };

  // ---- pan and zoom ---------------------------------------------------------------------

  /** @param {number} factor @param {number} x @param {number} y */
  const zoomAt = (factor, x, y) => {
    const zoom = Math.max(1, Math.min(ZOOM_MAX, view.zoom * factor));
    const real = zoom / view.zoom;
    view = { zoom, x: x - (x - view.x) * real, y: y - (y - view.y) * real };
    clamp();
    measure();
    ask();
  };

  const clamp = () => {
    view.x = Math.min(0, Math.max(width * (1 - view.zoom), view.x));
    view.y = Math.min(0, Math.max(height * (1 - view.zoom), view.y));
  };

  /** @type {{x:number,y:number,viewX:number,viewY:number,moved:boolean}|null} */
  let drag = null;
  const position = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  /** @type {Record<string, (event: any) => void>} */
  const listeners = {
    pointermove: (event) => {
      const at = position(event);
      if (drag && event.buttons === 1 && view.zoom > 1) {
        drag.moved ||= Math.hypot(at.x - drag.x, at.y - drag.y) > 4;
        view.x = drag.viewX + at.x - drag.x;
        view.y = drag.viewY + at.y - drag.y;
        clamp();
        measure();
        ask();
        return;
      }
      const hit = hitAt(at.x, at.y);
      const changed = JSON.stringify(hit) !== JSON.stringify(hovered);
      hovered = hit;
      canvas.classList.toggle("pointing", hit !== null);
      if (changed || hit) on.hover(hit, at.x, at.y);
      if (changed) ask();
    },
    pointerleave: () => {
      hovered = null;
      on.hover(null, 0, 0);
      ask();
    },
    pointerdown: (event) => {
      const at = position(event);
      drag = { ...at, viewX: view.x, viewY: view.y, moved: false };
    },
    click: (event) => {
      const moved = drag?.moved;
      drag = null;
      if (moved) return;
      const at = position(event);
      on.choose(hitAt(at.x, at.y));
    },
    dblclick: (event) => {
      const at = position(event);
      if (hitAt(at.x, at.y)?.kind !== "node") zoomAt(1.8, at.x, at.y);
    },
    wheel: (event) => {
      // Plain scrolling belongs to the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const at = position(event);
      zoomAt(Math.exp(-event.deltaY / 300), at.x, at.y);
    },
  };
  for (const [name, listener] of Object.entries(listeners)) canvas.addEventListener(name, listener, { passive: false });

  return {
    /** @param {MapModel} newModel @param {Picture} newPicture @param {Palette} newPalette @param {About} newAbout @param {boolean} newLarge */
    show(newModel, newPicture, newPalette, newAbout, newLarge) {
      if (picture && picture !== newPicture) notePulses(picture, newPicture);
      [model, picture, palette, about, large] = [newModel, newPicture, newPalette, newAbout, newLarge];
      measure();
      ask();
    },
    /** @param {number} newWidth @param {number} newHeight */
    resize(newWidth, newHeight) {
      [width, height] = [newWidth, newHeight];
      clamp();
      measure();
      if (frame) cancelAnimationFrame(frame);
      stale = true;
      paint();
    },
    /** @param {number} factor */
    zoom(factor) {
      if (factor === 0) view = { zoom: 1, x: 0, y: 0 };
      zoomAt(factor || 1, width / 2, height / 2);
    },
    destroy() {
      if (frame) cancelAnimationFrame(frame);
      for (const [name, listener] of Object.entries(listeners)) canvas.removeEventListener(name, listener);
    },
  };
}
