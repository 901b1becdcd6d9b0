// @ts-check
// Counts by moment and value as shades. Both axes go by index: bins are log-scaled already.

import { fit } from "./palette.js";

/** @typedef {import("../state/answer.js").Heatmap} Heatmap */

/** Pixels for the numbers on the left, and the moments below. */
export const LEFT = 58;
export const BELOW = 22;

/** @param {HTMLCanvasElement} canvas @param {Heatmap} map @param {import("./palette.js").Palette} palette @param {number} width @param {number} height
 * @param {{say: (value: number) => string, label: (at: number) => string, box: [number,number,number,number]|null}} on `box`: columns and bins that are marked, from and up to. */
export function paintHeatmap(canvas, map, palette, width, height, on) {
  const to = fit(canvas, width, height);
  to.clearRect(0, 0, width, height);
  const [columns, bins] = [map.labels.length, map.bins.length];
  if (columns === 0 || bins === 0) return;
  const [w, h] = [(width - LEFT) / columns, (height - BELOW) / bins];
  const scale = Math.log1p(map.most) || 1;
  to.fillStyle = palette.focus;
  for (let column = 0; column < columns; column += 1) {
    for (let bin = 0; bin < bins; bin += 1) {
      const count = map.cells[column * bins + bin];
      if (count === 0) continue;
      // By the logarithm: the few that are slow are what one looks for.
      to.globalAlpha = 0.1 + 0.9 * (Math.log1p(count) / scale);
      to.fillRect(LEFT + column * w, height - BELOW - (bin + 1) * h, Math.max(1, w - (w > 4 ? 1 : 0)), Math.max(1, h - (h > 4 ? 1 : 0)));
    }
  }
  to.globalAlpha = 1;
  to.fillStyle = palette.soft;
  to.font = `11px ${palette.font}`;
  to.textBaseline = "middle";
  to.textAlign = "right";
  const every = Math.ceil(18 / h);
  for (let bin = 0; bin < bins; bin += every) to.fillText(on.say(map.bins[bin]), LEFT - 8, height - BELOW - (bin + 0.5) * h);
  to.textBaseline = "bottom";
  to.textAlign = "center";
  const step = Math.max(1, Math.ceil(90 / w));
  for (let column = Math.floor(step / 2); column < columns; column += step) to.fillText(on.label(column), LEFT + (column + 0.5) * w, height - 3);
  if (!on.box) return;
  const [left, right, low, high] = on.box;
  const frame = /** @type {const} */ ([LEFT + left * w, height - BELOW - (high + 1) * h, (right - left + 1) * w, (high - low + 1) * h]);
  to.strokeStyle = palette.ink;
  to.lineWidth = 1.5;
  to.strokeRect(...frame);
  to.globalAlpha = 0.12;
  to.fillStyle = palette.ink;
  to.fillRect(...frame);
  to.globalAlpha = 1;
}

/** The cell below a place on the canvas. @param {Heatmap} map @param {number} width @param {number} height @param {number} x @param {number} y @returns {[number, number]} */
export function cellAt(map, width, height, x, y) {
  const column = Math.floor(((x - LEFT) / (width - LEFT)) * map.labels.length);
  const bin = Math.floor(((height - BELOW - y) / (height - BELOW)) * map.bins.length);
  return [Math.max(0, Math.min(map.labels.length - 1, column)), Math.max(0, Math.min(map.bins.length - 1, bin))];
}
