// @ts-check
// A question as text, taken apart into stages and put together again: each click on the page is
// an edit of the text, so that the address says all of it and the browser's "back" undoes it.
// The node alone decides what a question means; this knows words, quotes and bars, no more.

/** @typedef {{text:string, from:number, to:number, kind:"word"|"quoted"|"sign"|"bar"}} Token */
/** @typedef {{text:string, from:number, to:number, tokens:Token[]}} Stage */
/** @typedef {{text:string, stage:number, at:number}} Condition `at`: which one of its stage. */

/** What cannot be in a word. */
const ENDS_WORD = /[\s|,()=<>~!"'`]/;

/** Words that begin a stage or join conditions: a key of that name stands in backticks. */
const RESERVED = new Set(["where", "by", "last", "from", "to", "top", "limit", "order", "join", "exemplars", "compare", "and", "in", "on", "take", "exists", "contains", "matches", "true", "false", "count", "rate", "percent", "auto", "time", "skip", "differ"]);

/** Words and signs with their places; an open quote reaches to the end. @param {string} text @returns {Token[]} */
export function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  let at = 0;
  while (at < text.length) {
    const sign = text[at];
    if (/\s/.test(sign)) {
      at += 1;
      continue;
    }
    const from = at;
    /** @type {Token["kind"]} */
    let kind = "sign";
    if (sign === '"' || sign === "'" || sign === "`") {
      kind = "quoted";
      at += 1;
      while (at < text.length && text[at] !== sign) at += text[at] === "\\" ? 2 : 1;
      at = Math.min(text.length, at + 1);
    } else if (ENDS_WORD.test(sign)) {
      if (sign === "|") kind = "bar";
      at += /^(==|!=|<=|>=|!~)/.test(text.slice(at, at + 2)) ? 2 : 1;
    } else {
      kind = "word";
      while (at < text.length && !ENDS_WORD.test(text[at])) at += 1;
    }
    found.push({ text: text.slice(from, at), from, to: at, kind });
  }
  return found;
}

/** What stands between the bars, the dataset first. @param {string} text @returns {Stage[]} */
export function stages(text) {
  /** @type {Stage[]} */
  const found = [];
  let from = 0;
  /** @type {Token[]} */
  let held = [];
  const close = (/** @type {number} */ to) => {
    found.push({ text: text.slice(from, to).trim(), from, to, tokens: held });
    held = [];
    from = to + 1;
  };
  for (const token of tokens(text)) {
    if (token.kind === "bar") close(token.from);
    else held.push(token);
  }
  close(text.length);
  return found;
}

/** The word that says what a stage is. @param {Stage} stage */
const verb = (stage) => (stage.tokens[0]?.kind === "word" ? stage.tokens[0].text.toLowerCase() : "");

/** @param {string[]} parts */
const joined = (parts) => parts.filter((part) => part !== "").join(" | ");

/** @param {string} text */
export function datasetOf(text) {
  return stages(text)[0].text.replace(/^[`"'](.*)[`"']$/s, "$1");
}

/** A stretch of a text between two tokens of a stage. @param {string} text @param {Token[]} part */
const slice = (text, part) => (part.length === 0 ? "" : text.slice(part[0].from, part[part.length - 1].to));

/** Parts of a list of tokens between those that separate. @param {Token[]} list @param {(token: Token, depth: number) => boolean} separates */
function parted(list, separates) {
  /** @type {Token[][]} */
  const parts = [[]];
  let depth = 0;
  for (const token of list) {
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    if (separates(token, depth)) parts.push([]);
    else parts[parts.length - 1].push(token);
  }
  return parts.filter((part) => part.length > 0);
}

const isAnd = (/** @type {Token} */ token) => token.kind === "word" && token.text.toLowerCase() === "and";
const isComma = (/** @type {Token} */ token, /** @type {number} */ depth) => token.text === "," && depth === 0;

/** All that narrows the question, in order. @param {string} text @returns {Condition[]} */
export function conditions(text) {
  return stages(text).flatMap((stage, index) => {
    if (index === 0) return [];
    if (stage.tokens[0]?.kind === "quoted" && stage.tokens.length === 1 && !stage.text.startsWith("`")) return [{ text: stage.text, stage: index, at: 0 }];
    if (verb(stage) !== "where") return [];
    return parted(stage.tokens.slice(1), isAnd).map((part, at) => ({ text: slice(text, part), stage: index, at }));
  });
}

/** Without one of its conditions. @param {string} text @param {Condition} condition */
export function without(text, condition) {
  return joined(stages(text).map((stage, index) => {
    if (index !== condition.stage) return stage.text;
    if (verb(stage) !== "where") return "";
    const rest = parted(stage.tokens.slice(1), isAnd).filter((_, at) => at !== condition.at).map((part) => slice(text, part));
    return rest.length > 0 ? `where ${rest.join(" and ")}` : "";
  }));
}

/** With one more condition, beside those that are there; unchanged if it is one of them.
 * @param {string} text @param {string} condition */
export function withWhere(text, condition) {
  const known = conditions(text);
  if (known.some((one) => one.text === condition)) return text;
  const all = stages(text);
  const last = all.findLastIndex((stage) => verb(stage) === "where");
  if (last > 0) return joined(all.map((stage, index) => (index === last ? `${stage.text} and ${condition}` : stage.text)));
  const [dataset, ...rest] = all.map((stage) => stage.text);
  return joined([dataset, `where ${condition}`, ...rest]);
}

/** A key as a question writes it. @param {string} name */
export function keyText(name) {
  return /^[A-Za-z_][\w.]*$/.test(name) && !RESERVED.has(name.toLowerCase()) ? name : quoted(name, "`");
}

/** A value as a question writes it. @param {unknown} value */
export function valueText(value) {
  return typeof value === "string" ? quoted(value, '"') : String(value);
}

/** @param {string} text @param {string} mark */
function quoted(text, mark) {
  const inside = text.replaceAll("\\", "\\\\").replaceAll(mark, `\\${mark}`).replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r")
    .replace(/[\u0000-\u001f\u007f]/g, (control) => `\\u{${control.charCodeAt(0).toString(16)}}`);
  return mark + inside + mark;
}

/** Keep, or drop, the events with this value; `null` where there is no way to say it.
 * @param {string} key @param {unknown} value @param {"keep"|"drop"} which */
export function conditionFor(key, value, which) {
  if (value === null || value === undefined) return which === "drop" ? `${keyText(key)} exists` : null;
  return `${keyText(key)} ${which === "keep" ? "=" : "!="} ${valueText(value)}`;
}

const CALCS = new Set(["count", "rate", "sum", "avg", "min", "max", "p50", "p90", "p95", "p99", "p999", "error_share", "distinct", "percent", "heatmap"]);

/** Stages that say which rows of what is found are shown, and in which form. */
const SHAPES = ["by", "order", "top", "limit", "skip", "exemplars", "compare", "differ"];

/** @param {Stage} stage */
const isCalc = (stage) => CALCS.has(verb(stage));

/** Without the stages that begin so. @param {string} text @param {string[]} verbs @param {boolean} [calcs] Without calculations too. */
function bare(text, verbs, calcs = true) {
  return joined(stages(text).filter((stage, index) => index === 0 || !(verbs.includes(verb(stage)) || (calcs && isCalc(stage)))).map((stage) => stage.text));
}

/** Whether it asks for events themselves. @param {string} text */
export function isRaw(text) {
  return !stages(text).some((stage, index) => index > 0 && (isCalc(stage) || verb(stage) === "by" || verb(stage) === "differ"));
}

/** Whether its events come newest first, as many as there are: what can be paged through. @param {string} text */
export function isEndless(text) {
  return isRaw(text) && !stages(text).some((stage, index) => index > 0 && ["top", "limit", "skip", "order"].includes(verb(stage)));
}

/** The events themselves that it is about. @param {string} text */
export const rawOf = (text) => bare(text, SHAPES);

/** So many of its events from one moment to another, some left out. @param {string} text @param {string} from @param {string} to @param {number} count @param {number} skipped */
export function pageOf(text, from, to, count, skipped) {
  return joined([bare(text, [...SHAPES, "last", "from", "to"]), `from ${from} to ${to}`, `top ${count}`, skipped > 0 ? `skip ${skipped}` : ""]);
}

/** How many of its events there are in each stretch of so many milliseconds. @param {string} text @param {string} from @param {string} to @param {number} width */
export function countsOf(text, from, to, width) {
  return joined([bare(text, [...SHAPES, "last", "from", "to"]), `by ${width}ms`, "count", `from ${from} to ${to}`, "top 100000"]);
}

/** What sets the events of a box apart from the others of the question.
 * @param {string} text @param {string} where @param {[string, string]|null} within Moments that the box spans. */
export function differing(text, where, within) {
  return joined([bare(text, SHAPES), `differ ${where}${within ? ` from ${within[0]} to ${within[1]}` : ""}`]);
}

/** The conditions after `differ`, as they are written. @param {string} text @returns {string|null} */
export function differOf(text) {
  return stages(text).find((stage, index) => index > 0 && verb(stage) === "differ")?.text.slice(6).trim() ?? null;
}

/** The key whose values `differ` looks at, and the question for their heatmap. @param {string} text */
export function heatmapAgain(text) {
  const [first] = stages(text).filter((stage) => verb(stage) === "differ");
  const key = first?.tokens[1];
  const ranged = key && first.tokens[2]?.kind === "sign" && ["<", "<=", ">", ">="].includes(first.tokens[2].text);
  return joined([bare(text, SHAPES), "by auto", ranged ? `heatmap(${key.text})` : "count"]);
}

/** Conditions alone, as a live tail takes them. @param {string} text */
export function tailed(text) {
  return conditions(text).map((one) => (/^["']/.test(one.text) ? `body contains ${one.text}` : one.text)).join(" and ");
}

/** A text in quotes as it is meant. @param {string} text */
const unquoted = (text) => text.replace(/^(["'])(.*)\1$/s, "$2").replace(/\\(["'\\])/g, "$1");

/** What is looked for in texts, to mark it where it stands; the longest first. @param {string} text @returns {string[]} */
export function searched(text) {
  const found = stages(text).flatMap((stage, index) => {
    if (index === 0) return [];
    if (stage.tokens.length === 1 && /^["']/.test(stage.text)) return [unquoted(stage.text)];
    if (verb(stage) !== "where") return [];
    return parted(stage.tokens.slice(1), isAnd).flatMap((part) => (part.length === 3 && part[1].text.toLowerCase() === "contains" ? [unquoted(part[2].text)] : []));
  });
  return found.filter((one) => one !== "").sort((a, b) => b.length - a.length);
}

const isWidth = (/** @type {string} */ text) => text === "auto" || /^(\d+(ms|s|m|h|d|w))+$/.test(text);

/** The keys and the width that it is broken down by. @param {string} text @returns {{keys:string[], width:string|null}} */
export function breakdown(text) {
  const found = stages(text).slice(1).filter((stage) => verb(stage) === "by").flatMap((stage) => parted(stage.tokens.slice(1), isComma).map((part) => slice(text, part)));
  return { keys: found.filter((one) => !isWidth(one)).map((one) => (one.startsWith("`") ? one.slice(1, -1) : one)), width: found.find(isWidth) ?? null };
}

/** Broken down by other keys; the width of time stays. @param {string} text @param {string[]} keys @param {string|null} [width] */
export function withBy(text, keys, width = breakdown(text).width) {
  const list = [...keys.map(keyText), ...(width ? [width] : [])];
  const by = list.length > 0 ? `by ${list.join(", ")}` : "";
  const all = stages(text);
  const first = all.findIndex((stage, index) => index > 0 && verb(stage) === "by");
  if (first > 0) return joined(all.map((stage, index) => (index === first ? by : index > 0 && verb(stage) === "by" ? "" : stage.text)));
  const place = all.findLastIndex((stage, index) => index === 0 || verb(stage) === "where") + 1;
  return joined([...all.slice(0, place).map((stage) => stage.text), by, ...all.slice(place).map((stage) => stage.text)]);
}

/** Sorted by a column; a second time the other way round. @param {string} text @param {string} column */
export function withOrder(text, column) {
  const all = stages(text);
  const before = all.find((stage, index) => index > 0 && verb(stage) === "order")?.text ?? "";
  const rest = all.filter((stage, index) => index === 0 || verb(stage) !== "order").map((stage) => stage.text);
  const name = /^[\w.()]+$/.test(column) ? column : keyText(column);
  const down = `order -${name}`;
  return joined([...rest, before === down ? `order ${name}` : down]);
}

/** How it is sorted: by which column, and which way. @param {string} text */
export function orderOf(text) {
  const order = stages(text).find((stage, index) => index > 0 && verb(stage) === "order")?.text.slice(5).trim() ?? "";
  return { column: order.replace(/^-/, ""), down: order.startsWith("-") };
}

/** About another stretch of time. @param {string} text @param {string} time `last 1h`, or `from … to …` */
export function withTime(text, time) {
  const rest = stages(text).filter((stage, index) => index === 0 || !["last", "from", "to"].includes(verb(stage)));
  return joined([...rest.map((stage) => stage.text), time]);
}

/** Fixed in time, so that who opens it tomorrow sees the same. @param {string} text @param {import("./types.js").Answer|null} answer */
export function fixed(text, answer) {
  return answer?.from && answer.to ? withTime(text, `from ${answer.from} to ${answer.to}`) : text;
}

/** @param {number} from epoch ms @param {number} to */
export const stretch = (from, to) => `from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;

const HOUR_MS = 3_600_000;

/** What to ask of a dataset first: its last hour, or all of it where that was longer ago.
 * @param {{from?: string|null, to?: string|null}} dataset @param {number} now epoch ms */
export function firstTime(dataset, now) {
  const [from, to] = [Date.parse(dataset.from ?? ""), Date.parse(dataset.to ?? "")];
  return to < now - HOUR_MS ? stretch(from, to + 1) : "last 1h";
}

/** All the time that a dataset has events of, where an answer is of another time altogether.
 * @param {{from?: string|null, to?: string|null}|undefined} dataset @param {import("./types.js").Answer} answer */
export function elsewhere(dataset, answer) {
  const [from, to] = [Date.parse(dataset?.from ?? ""), Date.parse(dataset?.to ?? "")];
  const [asked, until] = [Date.parse(answer.from ?? ""), Date.parse(answer.to ?? "")];
  return to < asked || from >= until ? { from, to, time: stretch(from, to + 1) } : null;
}

/** What the question says of time, as it is written. @param {string} text */
export function timeOf(text) {
  return stages(text).filter((stage, index) => index > 0 && ["last", "from", "to"].includes(verb(stage))).map((stage) => stage.text).join(" ") || "last 1h";
}

/** Place in a string of a byte of its UTF-8. @param {string} text @param {number} byte */
export function placeOf(text, byte) {
  const bytes = new TextEncoder().encode(text);
  return new TextDecoder().decode(bytes.subarray(0, Math.max(0, byte))).length;
}
