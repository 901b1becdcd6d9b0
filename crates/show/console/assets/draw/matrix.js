// @ts-check
// Cells of a matrix on a canvas, for grids where a table would be thousands of elements.

import { drawShape, fit } from "./palette.js";
import { linkWords, STATES, UP } from "../state/words.js";

/** @typedef {import("./palette.js").Palette} Palette */
/** @typedef {{rows:{label:string,group:string}[], columns:{label:string,group:string}[], states:Int8Array}} Cells
 * `states`: code per cell, row by row; -1 where there is no link. */

/** Pixels of a cell; below the least nobody can point at one, above the most it wastes room. */
const CELL_MIN = 3;
const CELL_MAX = 26;
/** Pixels of a cell from which names and marks are readable. */
const CELL_NAMED = 10;
const NAME_WIDTH = 104;

/** @param {Cells} cells @param {number} room Pixels across. */
export function matrixLayout(cells, room) {
  const free = room - 30;
  const roughly = Math.floor((free - NAME_WIDTH) / Math.max(1, cells.columns.length));
  const cell = Math.max(CELL_MIN, Math.min(CELL_MAX, roughly));
  const named = cell >= CELL_NAMED;
  const left = named ? NAME_WIDTH : 26;
  const top = named ? NAME_WIDTH : 26;
  return { cell, named, left, top, width: left + cells.columns.length * cell + 4, height: top + cells.rows.length * cell + 4 };
}

/** @typedef {ReturnType<typeof matrixLayout>} Layout */

/**
 * @param {HTMLCanvasElement} canvas @param {Cells} cells @param {Layout} layout @param {Palette} palette
 * @param {{row:number,column:number}|null} hover
 */
export function paintMatrix(canvas, cells, layout, palette, hover) {
  const to = fit(canvas, layout.width, layout.height);
  to.clearRect(0, 0, layout.width, layout.height);
  const { cell, left, top } = layout;
  const across = cells.columns.length;
  const gap = cell >= 6 ? 1 : 0;
  to.fillStyle = palette.site;
  to.fillRect(left, top, across * cell, cells.rows.length * cell);
  // One colour after the other: a change of fill costs more than a rectangle.
  for (let state = 0; state < STATES.length; state += 1) {
    const words = linkWords(STATES[state]);
    to.fillStyle = palette[words.tone];
    to.globalAlpha = state === UP ? 0.62 : words.tone === "mute" ? 0.28 : 1;
    for (let at = 0; at < cells.states.length; at += 1) {
      if (cells.states[at] !== state) continue;
      const [x, y] = [left + (at % across) * cell, top + Math.floor(at / across) * cell];
      to.fillRect(x, y, cell - gap, cell - gap);
      if (cell >= CELL_NAMED && state !== UP) {
        to.globalAlpha = 1;
        drawShape(to, words.shape, x + (cell - gap) / 2, y + (cell - gap) / 2, cell * 0.27, palette.card, palette[words.tone]);
        to.fillStyle = palette[words.tone];
        to.globalAlpha = words.tone === "mute" ? 0.28 : 1;
      }
    }
  }
  to.globalAlpha = 1;
  groups(to, cells, layout, palette);
  if (layout.named) names(to, cells, layout, palette, hover);
  else axes(to, cells, layout, palette);
  if (hover) {
    to.strokeStyle = palette.focus;
    to.lineWidth = 2;
    to.strokeRect(left + hover.column * cell - 1, top + hover.row * cell - 1, cell + 1, cell + 1);
  }
}

/** @param {CanvasRenderingContext2D} to @param {Cells} cells @param {Layout} layout @param {Palette} palette */
function groups(to, cells, layout, palette) {
  const { cell, left, top } = layout;
  to.strokeStyle = palette.soft;
  to.globalAlpha = 0.5;
  to.lineWidth = 1;
  to.beginPath();
  cells.columns.forEach((column, at) => {
    if (at === 0 || column.group === cells.columns[at - 1].group) return;
    to.moveTo(left + at * cell - 0.5, top);
    to.lineTo(left + at * cell - 0.5, top + cells.rows.length * cell);
  });
  cells.rows.forEach((row, at) => {
    if (at === 0 || row.group === cells.rows[at - 1].group) return;
    to.moveTo(left, top + at * cell - 0.5);
    to.lineTo(left + cells.columns.length * cell, top + at * cell - 0.5);
  });
  to.stroke();
  to.globalAlpha = 1;
}

/** Where names have no room, the sites along each side. @param {CanvasRenderingContext2D} to @param {Cells} cells @param {Layout} layout @param {Palette} palette */
function axes(to, cells, layout, palette) {
  const sites = (/** @type {{group:string}[]} */ list) => [...new Set(list.map((one) => one.group))].slice(0, 6).join(", ");
  to.font = `550 12px ${palette.font}`;
  to.fillStyle = palette.soft;
  to.textAlign = "left";
  to.textBaseline = "alphabetic";
  to.fillText(`to ${sites(cells.columns)} →`, layout.left, layout.top - 9);
  to.save();
  to.translate(layout.left - 10, layout.top);
  to.rotate(-Math.PI / 2);
  to.textAlign = "right";
  to.fillText(`← from ${sites(cells.rows)}`, 0, 0);
  to.restore();
}

/** @param {CanvasRenderingContext2D} to @param {Cells} cells @param {Layout} layout @param {Palette} palette @param {{row:number,column:number}|null} hover */
function names(to, cells, layout, palette, hover) {
  const { cell, left, top } = layout;
  to.textBaseline = "middle";
  to.font = `500 ${Math.min(12, cell)}px ${palette.font}`;
  cells.rows.forEach((row, at) => {
    to.fillStyle = hover?.row === at ? palette.ink : palette.soft;
    to.textAlign = "right";
    to.fillText(short(row.label), left - 8, top + at * cell + cell / 2);
  });
  cells.columns.forEach((column, at) => {
    to.save();
    to.translate(left + at * cell + cell / 2, top - 8);
    to.rotate(-Math.PI / 2);
    to.fillStyle = hover?.column === at ? palette.ink : palette.soft;
    to.textAlign = "left";
    to.fillText(short(column.label), 0, 0);
    to.restore();
  });
}

/** @param {string} label */
function short(label) {
  return label.length > 15 ? `${label.slice(0, 14)}…` : label;
}

/** @param {Layout} layout @param {Cells} cells @param {number} x @param {number} y */
export function cellAt(layout, cells, x, y) {
  const column = Math.floor((x - layout.left) / layout.cell);
  const row = Math.floor((y - layout.top) / layout.cell);
  const inside = column >= 0 && row >= 0 && column < cells.columns.length && row < cells.rows.length;
  return inside && cells.states[row * cells.columns.length + column] >= 0 ? { row, column } : null;
}
