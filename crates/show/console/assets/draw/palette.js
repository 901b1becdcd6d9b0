// @ts-check
// Colours for canvases, read from the same custom properties as the style sheets use, and the
// shapes that stand for states. A shape is drawn here and in `views/glyph.js` alike.

/** @typedef {import("../state/types.js").Tone} Tone */
/** @typedef {import("../state/types.js").Shape} Shape */
/** @typedef {Record<Tone, string> & {ink:string, soft:string, ground:string, card:string, line:string, site:string, focus:string, font:string}} Palette */

/** @returns {Palette} */
export function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const read = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    good: read("--good"), warn: read("--warn"), bad: read("--bad"), mute: read("--mute"),
    ink: read("--ink"), soft: read("--ink-soft"), ground: read("--ground"), card: read("--card"),
    line: read("--line"), site: read("--site"), focus: read("--focus"), font: read("--font"),
  };
}

/** Fits a canvas to its box at the screen's own resolution. @param {HTMLCanvasElement} canvas @param {number} width @param {number} height */
export function fit(canvas, width, height) {
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/**
 * @param {CanvasRenderingContext2D} to @param {Shape} shape
 * @param {number} x @param {number} y @param {number} r @param {string} colour @param {string} ground
 */
export function drawShape(to, shape, x, y, r, colour, ground) {
  to.save();
  to.setLineDash([]);
  to.lineCap = "round";
  to.lineJoin = "round";
  to.fillStyle = colour;
  to.strokeStyle = colour;
  to.lineWidth = Math.max(1.2, r * 0.28);
  to.beginPath();
  switch (shape) {
    case "cross":
      to.arc(x, y, r, 0, 7);
      to.fill();
      to.beginPath();
      to.strokeStyle = ground;
      to.lineWidth = Math.max(1.4, r * 0.32);
      to.moveTo(x - r * 0.42, y - r * 0.42);
      to.lineTo(x + r * 0.42, y + r * 0.42);
      to.moveTo(x + r * 0.42, y - r * 0.42);
      to.lineTo(x - r * 0.42, y + r * 0.42);
      to.stroke();
      break;
    case "triangle":
      to.moveTo(x, y - r * 1.05);
      to.lineTo(x + r * 1.05, y + r * 0.85);
      to.lineTo(x - r * 1.05, y + r * 0.85);
      to.closePath();
      to.fill();
      to.stroke();
      break;
    case "half":
      to.arc(x, y, r * 0.9, 0, 7);
      to.fillStyle = ground;
      to.fill();
      to.stroke();
      to.beginPath();
      to.arc(x, y, r * 0.9, Math.PI / 2, (3 * Math.PI) / 2);
      to.fillStyle = colour;
      to.fill();
      break;
    case "ring":
    case "dashed":
    case "dotted":
      to.arc(x, y, r * 0.85, 0, 7);
      to.fillStyle = ground;
      to.fill();
      if (shape !== "ring") to.setLineDash(shape === "dashed" ? [r * 0.7, r * 0.5] : [1, r * 0.55]);
      to.stroke();
      break;
    case "square":
      to.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
      to.fill();
      break;
    default:
      to.arc(x, y, r * 0.85, 0, 7);
      to.fill();
  }
  to.restore();
}
