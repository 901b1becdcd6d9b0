// @ts-check
// What could be typed next: from the text before the caret to a list of words.

import { datasetOf, keyText, stages, valueText } from "./question.js";

/** @typedef {{text:string, note:string}} Offer */
/** @typedef {"dataset"|"stage"|"key"|"number-key"|"by"|"operator"|"value"|"span"|"none"} Want */
/** @typedef {{want:Want, from:number, to:number, prefix:string, dataset:string, key:string}} Place */
/** @typedef {import("./types.js").Explore} Explore */

/** Offers in the list; more are found by typing on. */
const OFFERS_MAX = 9;

/** @type {Offer[]} */
const STAGES = [
  { text: "where ", note: "keep events for which it holds" },
  { text: "by ", note: "one row for each value, or stretch of time" },
  { text: "count", note: "how many" },
  { text: "rate", note: "events a second" },
  { text: "error_share", note: "share that failed" },
  { text: "p50(", note: "median" },
  { text: "p95(", note: "95th percentile" },
  { text: "p99(", note: "99th percentile" },
  { text: "avg(", note: "mean" },
  { text: "sum(", note: "sum" },
  { text: "min(", note: "smallest" },
  { text: "max(", note: "largest" },
  { text: "distinct(", note: "different values" },
  { text: "heatmap(", note: "counts by value" },
  { text: "percent", note: "part of the whole" },
  { text: "last ", note: "until now" },
  { text: "from ", note: "from a moment to another" },
  { text: "top ", note: "so many rows" },
  { text: "order ", note: "sort by a column" },
  { text: "exemplars ", note: "some events themselves" },
  { text: "compare ", note: "an earlier time beside" },
  { text: "join ", note: "values of another dataset" },
];
const OPERATORS = ["=", "!=", ">", ">=", "<", "<=", "contains", "matches", "in", "exists"].map((text) => ({ text: `${text} `, note: "" }));
const WIDTHS = ["auto", "10s", "1m", "5m", "1h"].map((text) => ({ text, note: "stretch of time" }));
const SPANS = ["15m", "1h", "6h", "1d", "7d"].map((text) => ({ text, note: "" }));

/** What is wanted at the caret, and the word that it would replace. @param {string} text @param {number} caret @returns {Place} */
export function placeAt(text, caret) {
  const all = stages(text.slice(0, caret));
  const stage = all[all.length - 1];
  const last = stage.tokens[stage.tokens.length - 1];
  const typing = last && last.to === caret && (last.kind === "word" || last.kind === "quoted") ? last : null;
  const closed = typing?.kind === "quoted" && typing.text.length > 1 && typing.text.endsWith(typing.text[0]);
  const before = typing ? stage.tokens.slice(0, -1) : stage.tokens;
  const place = (/** @type {Want} */ want, key = "") => ({
    want: closed ? /** @type {Want} */ ("none") : want, from: typing?.from ?? caret, to: caret, prefix: (typing?.text ?? "").replace(/^["'`]/, ""), dataset: datasetOf(text), key,
  });
  if (all.length === 1) return place(before.length === 0 ? "dataset" : "none");
  if (before.length === 0) return place(typing?.kind === "quoted" ? "none" : "stage");
  const first = before[0].text.toLowerCase();
  const previous = before[before.length - 1].text;
  if (first === "where") return conditionAt(before, place);
  if (first === "by") return place(previous === "," || before.length === 1 ? "by" : "none");
  if (first === "last") return place(before.length === 1 ? "span" : "none");
  if (first === "join") return place(before.length === 1 ? "dataset" : previous === "on" || previous === "," || previous === "take" ? "key" : "none");
  if (previous === "(") return place("number-key");
  return place(previous === "," ? "stage" : "none");
}

/** @param {import("./question.js").Token[]} before @param {(want: Want, key?: string) => Place} place */
function conditionAt(before, place) {
  const since = before.slice(before.findLastIndex((token, at) => at === 0 || token.text.toLowerCase() === "and") + 1);
  if (since.length === 0) return place("key");
  const key = since[0].text.replace(/^`(.*)`$/s, "$1");
  if (since.length === 1) return place("operator", key);
  const operator = since[1].text.toLowerCase();
  const open = operator === "in" ? ["(", ","].includes(since[since.length - 1].text) : since.length === 2 && operator !== "exists";
  return place(open ? "value" : "none", key);
}

/** The words that fit. @param {Place} place @param {Pick<Explore, "datasets"|"keys"|"values">} known @returns {Offer[]} */
export function offers(place, known) {
  return fitting(all(place, known), place.prefix);
}

/** @param {Place} place @param {Pick<Explore, "datasets"|"keys"|"values">} known @returns {Offer[]} */
function all(place, known) {
  const keys = known.keys[place.dataset] ?? [];
  const offered = (/** @type {typeof keys} */ list) => list.map((key) => ({ text: keyText(key.name), note: key.types.join(", ") }));
  switch (place.want) {
    case "dataset":
      return (known.datasets ?? []).map((one) => ({ text: one.name, note: one.rows > 0 ? `${one.rows.toLocaleString("en")} events` : "" }));
    case "stage":
      return STAGES;
    case "key":
      return offered(keys);
    case "number-key":
      return offered([...keys.filter((key) => !key.types.includes("text")), ...keys.filter((key) => key.types.includes("text"))]);
    case "by":
      return [...offered(keys), ...WIDTHS];
    case "operator":
      return OPERATORS;
    case "value":
      return (known.values[valuesName(place.dataset, place.key)] ?? []).map((value) => ({ text: valueText(value), note: "" }));
    case "span":
      return SPANS;
    default:
      return [];
  }
}

/** @param {string} dataset @param {string} key */
export const valuesName = (dataset, key) => `${dataset}\n${key}`;

/** Those that begin so first, then those that hold it. @param {Offer[]} list @param {string} prefix */
function fitting(list, prefix) {
  const wanted = prefix.toLowerCase();
  const bare = (/** @type {Offer} */ offer) => offer.text.toLowerCase().replace(/^["`]/, "");
  const begins = list.filter((offer) => bare(offer).startsWith(wanted));
  const holds = list.filter((offer) => !bare(offer).startsWith(wanted) && bare(offer).includes(wanted));
  const found = [...begins, ...holds].slice(0, OFFERS_MAX);
  return found.length === 1 && found[0].text.trim().toLowerCase() === wanted ? [] : found;
}

/** The text with an offer taken, and where the caret stands then. @param {string} text @param {Place} place @param {Offer} offer */
export function taken(text, place, offer) {
  return { text: text.slice(0, place.from) + offer.text + text.slice(place.to), caret: place.from + offer.text.length };
}
