// @ts-check
// A log of any length as stretches of time, newest first: how many events each has says at which
// line it begins, so that any line is found without reading those before it. Pure.

/** @typedef {{from:number, to:number, count:number, start:number}} Stretch Epoch ms; `start`: lines before it. */

/** Lines that are fetched at once. */
export const PAGE = 500;

/** Stretches that a log is cut into at first. */
const STRETCHES = 200;

/** Events in a stretch from which on it is cut again: a page deep inside costs all before it. */
export const STRETCH_MAX = 20_000;

/** Widths in milliseconds: those that people count in. */
const WIDTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000, 2_592_000_000];

/** How wide stretches of so long a time are. @param {number} ms */
export function stretchWidth(ms) {
  return WIDTHS.find((width) => ms / width <= STRETCHES) ?? Math.ceil(ms / STRETCHES);
}

/** Stretches from counts by time, newest first; those that end outside of the time are cut there.
 * @param {[string, number][]} counts Begin of each, RFC 3339. @param {number} width @param {number} from @param {number} to @returns {Stretch[]} */
export function stretchesOf(counts, width, from, to) {
  const all = counts.filter(([, count]) => count > 0).map(([at, count]) => ({ begin: Date.parse(at), count }));
  all.sort((a, b) => b.begin - a.begin);
  return lined(all.map(({ begin, count }) => ({ from: Math.max(from, begin), to: Math.min(to, begin + width), count, start: 0 })));
}

/** With the line at which each begins. @param {Stretch[]} stretches */
export function lined(stretches) {
  let start = 0;
  return stretches.map((one) => {
    const placed = { ...one, start };
    start += one.count;
    return placed;
  });
}

/** @param {Stretch[]} stretches */
export function linesOf(stretches) {
  const last = stretches[stretches.length - 1];
  return last ? last.start + last.count : 0;
}

/** The stretch that has a line. @param {Stretch[]} stretches @param {number} line @returns {number} -1 where none has. */
export function stretchAt(stretches, line) {
  let [low, high] = [0, stretches.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const one = stretches[middle];
    if (line < one.start) high = middle - 1;
    else if (line >= one.start + one.count) low = middle + 1;
    else return middle;
  }
  return -1;
}

/** The page of a line: its stretch, and how many events of that come before. @param {Stretch[]} stretches @param {number} line
 * @returns {{name:string, stretch:number, skipped:number, first:number}|null} */
export function pageAt(stretches, line) {
  const at = stretchAt(stretches, line);
  if (at < 0) return null;
  const skipped = Math.floor((line - stretches[at].start) / PAGE) * PAGE;
  return { name: `${stretches[at].from}.${skipped}`, stretch: at, skipped, first: stretches[at].start + skipped };
}

/** The pages between two lines. @param {Stretch[]} stretches @param {number} from @param {number} to */
export function pagesBetween(stretches, from, to) {
  /** @type {NonNullable<ReturnType<typeof pageAt>>[]} */
  const pages = [];
  for (let line = from; line < to;) {
    const page = pageAt(stretches, line);
    if (!page) break;
    pages.push(page);
    const { start, count } = stretches[page.stretch];
    line = Math.min(page.first + PAGE, start + count);
  }
  return pages;
}

/** The line at which a moment is. @param {Stretch[]} stretches @param {number} at epoch ms */
export function lineAt(stretches, at) {
  const found = stretches.find((one) => one.from <= at);
  if (!found) return Math.max(0, linesOf(stretches) - 1);
  const share = Math.max(0, Math.min(1, (found.to - at) / Math.max(1, found.to - found.from)));
  return found.start + Math.min(found.count - 1, Math.floor(share * found.count));
}

/** Tallest element that all browsers draw; beyond it a pixel of the bar is more than one of the list. */
const HEIGHT_MAX = 12_000_000;

/** Which lines are in sight, and where the first of them is drawn.
 * @param {number} count @param {number} line Pixels of a line. @param {number} top Pixels scrolled. @param {number} room Pixels in sight. */
export function sightOf(count, line, top, room) {
  const tall = count * line;
  const height = Math.min(tall, HEIGHT_MAX);
  const ratio = height > room ? (tall - room) / (height - room) : 1;
  const pixel = Math.max(0, Math.min(top * ratio, Math.max(0, tall - room)));
  const from = Math.max(0, Math.floor(pixel / line) - 8);
  const to = Math.min(count, Math.ceil((pixel + room) / line) + 8);
  return { height, ratio, from, to: Math.max(from, to), shift: top - (pixel - from * line), first: Math.floor(pixel / line) };
}

/** Where to scroll to see a line, with as little movement as can be.
 * @param {number} at The line. @param {number} count @param {number} line @param {number} top @param {number} room */
export function scrollFor(at, count, line, top, room) {
  const { ratio } = sightOf(count, line, top, room);
  const pixel = top * ratio;
  if (at * line < pixel) return (at * line) / ratio;
  if ((at + 1) * line > pixel + room) return ((at + 1) * line - room) / ratio;
  return top;
}

/** A text cut where something that is looked for stands, whatever the case of its letters: every second part is a find.
 * @param {string} text @param {string[]} words @returns {string[]} */
export function marked(text, words) {
  if (words.length === 0) return [text];
  const pattern = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "giu");
  /** @type {string[]} */
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(pattern)) {
    parts.push(text.slice(from, found.index), found[0]);
    from = found.index + found[0].length;
  }
  return [...parts, text.slice(from)];
}
