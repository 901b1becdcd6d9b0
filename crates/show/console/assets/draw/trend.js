// @ts-check
// A link's kept history: round trip as a curve with its tail above, loss as bars from below,
// and how the link was as a ribbon on top. A gap in what was kept is a gap.

import { fit } from "./palette.js";
import { linkWords, STATES, UP, NOT_PROBED } from "../state/words.js";

/** @typedef {import("./palette.js").Palette} Palette */
/** @typedef {import("../state/trend.js").Column} Column */

/** Pixels of the ribbon. */
const RIBBON = 7;

/** @param {HTMLCanvasElement} canvas @param {Column[]} columns @param {Palette} palette @param {number} width @param {number} height */
export function paintTrend(canvas, columns, palette, width, height) {
  const to = fit(canvas, width, height);
  to.clearRect(0, 0, width, height);
  const step = width / columns.length;
  const x = (/** @type {number} */ at) => (at + 0.5) * step;
  columns.forEach((column, at) => {
    if (!column.seen || column.state === NOT_PROBED) return;
    const words = linkWords(STATES[column.state]);
    to.globalAlpha = column.state === UP ? 0.45 : 1;
    to.fillStyle = palette[words.tone];
    // Told apart without colour: what is wrong is taller.
    to.fillRect(at * step, 0, step + 0.5, column.state === UP ? RIBBON - 4 : RIBBON);
  });
  const room = height - RIBBON - 4;
  to.fillStyle = palette.bad;
  columns.forEach((column, at) => {
    const share = Math.max(column.there ?? 0, column.back ?? 0);
    if (share <= 0) return;
    to.globalAlpha = 0.3 + 0.45 * share;
    const tall = Math.max(3, share * (room - 4));
    to.fillRect(at * step, height - tall, Math.max(1.5, step - 0.4), tall);
  });
  to.globalAlpha = 1;
  const times = columns.flatMap((column) => (column.rtt === null ? [] : [column.rtt])).sort((a, b) => a - b);
  if (times.length === 0) return;
  // One outlier must not flatten the rest: what lies far above is cut at the upper edge.
  const top = times[Math.floor((times.length - 1) * 0.97)] * 1.5;
  const low = times[0] * 0.8;
  const y = (/** @type {number} */ value) => height - 4 - (Math.min(value - low, top - low) / (top - low || 1)) * (room - 8);
  to.fillStyle = palette.focus;
  to.globalAlpha = 0.16;
  columns.forEach((column, at) => {
    if (column.rtt === null || column.high === null || column.high <= column.rtt) return;
    to.fillRect(at * step, y(column.high), step + 0.5, y(column.rtt) - y(column.high));
  });
  to.globalAlpha = 1;
  to.strokeStyle = palette.focus;
  to.lineWidth = 1.6;
  to.lineJoin = "round";
  to.beginPath();
  let pen = false;
  columns.forEach((column, at) => {
    if (column.rtt === null) {
      pen = false;
      return;
    }
    if (pen) to.lineTo(x(at), y(column.rtt));
    else {
      to.moveTo(x(at), y(column.rtt));
      to.lineTo(x(at) + 0.6, y(column.rtt));
    }
    pen = true;
  });
  to.stroke();
}
