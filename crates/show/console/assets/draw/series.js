// @ts-check
// Curves over time by uPlot, which is read only where somebody looks at some.

/** @typedef {import("../state/answer.js").Chart} Chart */

/** Strokes of curves that come after the first four, so that colour is not all that tells. */
const DASHES = [[], [], [], [], [7, 4], [2, 3], [9, 3, 2, 3], [4, 4]];

/** @param {number} at */
export const dashOf = (at) => DASHES[at % DASHES.length];

/** A tick of the time axis: the day where one begins, else the time of day. @param {number} second @param {number} at @param {number[]} all */
function tickText(second, at, all) {
  const time = new Date(second * 1000);
  const midnight = time.getHours() === 0 && time.getMinutes() === 0;
  if (midnight) return time.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const fine = all.length > 1 && all[1] - all[0] < 60;
  return time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(fine ? { second: "2-digit" } : {}) });
}

/** @type {Promise<any>|null} */
let library = null;

/**
 * Draws into a box until the returned function is called.
 * @param {HTMLElement} box @param {number[]} moments epoch ms @param {Chart} chart
 * @param {{say: (value: number) => string, hover: (at: number|null) => void, choose: (from: number, to: number) => void, sync: string}} on
 */
export function drawSeries(box, moments, chart, on) {
  let over = false;
  /** @type {any} */
  let plot = null;
  const size = () => ({ width: Math.max(120, box.clientWidth), height: box.clientHeight || 200 });
  const resized = new ResizeObserver(() => plot?.setSize(size()));
  library ??= import("../vendor/uPlot.esm.js").then((module) => /** @type {any} */ (module).default);
  library.then((uPlot) => {
    if (over) return;
    const style = getComputedStyle(document.documentElement);
    const read = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    const axis = { stroke: read("--ink-soft"), font: `11px ${read("--font")}`, grid: { stroke: read("--line-soft"), width: 1 }, ticks: { stroke: read("--line"), width: 1, size: 4 } };
    const single = moments.length === 1;
    plot = new uPlot({
      ...size(),
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, sync: { key: on.sync }, points: { size: 7 } },
      scales: { y: { range: (/** @type {any} */ _, /** @type {number} */ low, /** @type {number} */ high) => [Math.min(0, low), high > 0 ? high * 1.06 : 1] } },
      axes: [{ ...axis, size: 30, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(tickText) }, { ...axis, size: 58, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(on.say) }],
      series: [{}, ...chart.groups.map((group) => ({
        label: group.words, stroke: read(`--curve-${group.curve + 1}`), width: 1.8, dash: dashOf(group.curve), spanGaps: false, points: { show: single || moments.length < 3 },
        fill: chart.groups.length === 1 ? `${read("--curve-1")}1c` : undefined,
      }))],
      hooks: {
        setCursor: [(/** @type {any} */ now) => on.hover(now.cursor.idx ?? null)],
        setSelect: [(/** @type {any} */ now) => {
          if (now.select.width < 4) return;
          const from = now.posToVal(now.select.left, "x") * 1000;
          const to = now.posToVal(now.select.left + now.select.width, "x") * 1000;
          now.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          on.choose(from, to);
        }],
      },
    }, [moments.map((moment) => moment / 1000), ...chart.groups.map((group) => group.values)], box);
    resized.observe(box);
  });
  return () => {
    over = true;
    resized.disconnect();
    plot?.destroy();
  };
}
