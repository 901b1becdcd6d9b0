// @ts-check
// From the fleet down: site, zone, node, service, process. Each click keeps one value and goes a
// rung lower; which keys stand for the rungs depends on the dataset.

import { breakdown, conditionFor, conditions, keyText, withBy, withWhere, without } from "./question.js";

/** @typedef {{word:string, key:string}} Rung */

/** The keys of each rung, the better known first. @type {[string, string[]][]} */
const RUNGS = [
  ["Site", ["site", "region", "cloud.region", "datacenter", "andon.site"]],
  ["Zone", ["zone", "cloud.availability_zone", "rack"]],
  ["Node", ["host.name", "andon.node", "host", "instance", "node"]],
  ["Service", ["service.name", "service", "job"]],
  ["Process", ["process.executable.name", "process.name", "process.command", "process.pid", "endpoint", "name"]],
];

/** The rungs that a dataset has. @param {{name:string}[]} keys @returns {Rung[]} */
export function ladderOf(keys) {
  const known = new Set(keys.map((key) => key.name));
  return RUNGS.flatMap(([word, names]) => {
    const key = names.find((name) => known.has(name));
    return key ? [{ word, key }] : [];
  });
}

/** The rung below a key's; nothing below the last, and nothing for other keys. @param {Rung[]} ladder @param {string} key */
export function below(ladder, key) {
  const at = ladder.findIndex((rung) => rung.key === key);
  return at < 0 ? null : ladder[at + 1] ?? null;
}

/** One value kept, and broken down by the rung below: a single click down.
 * @param {string} question @param {Rung[]} ladder @param {[string, unknown][]} values */
export function peeled(question, ladder, values) {
  let text = question;
  for (const [key, value] of values) {
    const condition = conditionFor(key, value, "keep");
    if (!condition) continue;
    text = withWhere(text, condition);
    const by = breakdown(text).keys;
    const next = below(ladder, key);
    if (!next || !by.includes(key)) continue;
    const list = by.flatMap((one) => (one !== key ? [one] : by.includes(next.key) ? [] : [next.key]));
    text = withBy(text, list);
  }
  return text;
}

/** The whole fleet again: nothing of the ladder is kept, and the topmost rung breaks down. @param {string} question @param {Rung[]} ladder */
export function fleet(question, ladder) {
  let text = question;
  for (;;) {
    const held = conditions(text).find((one) => ladder.some((rung) => one.text.startsWith(`${keyText(rung.key)} `)));
    if (!held) break;
    text = without(text, held);
  }
  return ladder.length > 0 ? onRung(text, ladder, ladder[0]) : text;
}

/** Broken down by one rung, and no other. @param {string} question @param {Rung[]} ladder @param {Rung} rung */
export function onRung(question, ladder, rung) {
  const others = breakdown(question).keys.filter((key) => !ladder.some((one) => one.key === key));
  return withBy(question, [rung.key, ...others]);
}
