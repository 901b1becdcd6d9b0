// @ts-check
// A curve over the last minutes. A gap in what was measured is a gap in the curve.

import { fit } from "./palette.js";

/** @typedef {import("./palette.js").Palette} Palette */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{values:(number|null)[], bars?:(number|null)[], baseline?:number|null}} series
 *   `values`: oldest first; `bars`: 0..1 each, drawn from below (loss).
 * @param {Palette} palette @param {number} width @param {number} height
 */
export function paintSparkline(canvas, series, palette, width, height) {
  const to = fit(canvas, width, height);
  to.clearRect(0, 0, width, height);
  const { values, bars = [], baseline = null } = series;
  const known = values.filter((value) => value !== null);
  const step = width / Math.max(1, values.length - 1);
  to.fillStyle = palette.bad;
  bars.forEach((bar, at) => {
    if (!bar) return;
    to.globalAlpha = 0.28 + 0.5 * bar;
    const tall = Math.max(3, bar * (height - 2));
    to.fillRect(at * step - step / 2, height - tall, Math.max(1.5, step - 0.5), tall);
  });
  to.globalAlpha = 1;
  if (known.length === 0) return;
  // One outlier must not flatten the rest: what lies far above is cut at the upper edge.
  const sorted = known.toSorted((a, b) => a - b);
  const most = Math.max(sorted[Math.floor((sorted.length - 1) * 0.95)] * 1.4, (baseline ?? 0) * 1.15);
  const least = Math.min(sorted[0], baseline ?? Infinity) * 0.85;
  const y = (/** @type {number} */ value) => height - 4 - (Math.min(value - least, most - least) / (most - least || 1)) * (height - 10);
  if (baseline !== null) {
    to.strokeStyle = palette.mute;
    to.setLineDash([2, 4]);
    to.beginPath();
    to.moveTo(0, y(baseline));
    to.lineTo(width, y(baseline));
    to.stroke();
    to.setLineDash([]);
  }
  to.strokeStyle = palette.focus;
  to.lineWidth = 1.6;
  to.lineJoin = "round";
  to.beginPath();
  let pen = false;
  values.forEach((value, at) => {
    if (value === null) {
      pen = false;
      return;
    }
    if (pen) to.lineTo(at * step, y(value));
    else to.moveTo(at * step, y(value));
    pen = true;
  });
  to.stroke();
  const last = values.length - 1;
  const newest = values[last];
  if (newest !== null && newest !== undefined) {
    to.fillStyle = palette.focus;
    to.beginPath();
    to.arc(Math.min(width - 3, last * step), y(newest), 2.6, 0, 7);
    to.fill();
  }
}
