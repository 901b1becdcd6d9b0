import assert from "node:assert/strict";
import { test } from "node:test";
import { binEnd, chartsOf, costWords, formsOf, heatmapOf, lineOf, numberText, picked, windowOf } from "../../assets/state/answer.js";
import { offers, placeAt, taken } from "../../assets/state/completion.js";
import { breakdown, conditionFor, conditions, datasetOf, placeOf, stages, timeOf, withBy, withOrder, without, withTime, withWhere } from "../../assets/state/question.js";
import { HOME, readRoute, writeRoute } from "../../assets/state/route.js";

const ASKED = 'requests | where status >= 500 and path = "a | b and c" | "reset" | by region, 1m | p99(duration_ms), count | last 1h';
const answer = (columns, rows, more = {}) => ({
  columns: columns.map((column) => { const [kind, name] = column.split(":"); return { kind, name: name ?? kind }; }),
  rows, partial: false, stats: { rows_scanned: 5, bytes_scanned: 80, elapsed_ms: 1.25 }, ...more,
});
const at = (minute) => new Date(Date.UTC(2026, 10, 20, 3, minute)).toISOString();

test("a question is its address", () => {
  const route = { ...HOME, page: "explore", question: ASKED, form: "table", pick: "x2" };
  const url = new URL(writeRoute(route), "http://node");
  assert.equal(url.pathname, "/explore");
  assert.deepEqual(readRoute(url.pathname, url.search), route);
  assert.equal(writeRoute({ ...HOME, page: "explore" }), "/explore");
  assert.equal(readRoute("/", "?q=requests&as=table&pick=r1").question, null);
  assert.equal(readRoute("/explore", "?pick=../x&as=pie").pick, null);
  assert.equal(readRoute("/explore", `?q=${"x".repeat(20_000)}`).question, null);
});

test("bars and words inside of quotes part nothing", () => {
  assert.deepEqual(stages(ASKED).map((stage) => stage.text), ["requests", 'where status >= 500 and path = "a | b and c"', '"reset"', "by region, 1m", "p99(duration_ms), count", "last 1h"]);
  assert.deepEqual(conditions(ASKED).map((one) => one.text), ["status >= 500", 'path = "a | b and c"', '"reset"']);
  assert.equal(stages('x | where a = "open | by b').length, 2);
  assert.equal(datasetOf("`odd name` | count"), "odd name");
});

test("a condition more, a condition less", () => {
  assert.equal(withWhere("requests", 'a = "b"'), 'requests | where a = "b"');
  assert.equal(withWhere("requests | by region | count", "a = 1"), "requests | where a = 1 | by region | count");
  assert.equal(withWhere("requests | where b = 2 | count", "a = 1"), "requests | where b = 2 and a = 1 | count");
  assert.equal(withWhere("requests | where a = 1", "a = 1"), "requests | where a = 1");
  const all = conditions(ASKED);
  assert.equal(without(ASKED, all[0]), ASKED.replace("status >= 500 and ", ""));
  assert.equal(without(ASKED, all[2]), ASKED.replace('"reset" | ', ""));
  assert.equal(without("x | where a = 1 | count", conditions("x | where a = 1 | count")[0]), "x | count");
  assert.equal(without(withWhere(ASKED, "a = 1"), conditions(withWhere(ASKED, "a = 1"))[2]), ASKED);
});

test("values and keys are written so that they are read back", () => {
  const cases = [
    [["status", 500, "keep"], "status = 500"], [["status", "500", "drop"], 'status != "500"'], [["ok", true, "keep"], "ok = true"],
    [["my key", 'say "hi" \\ bye\n', "keep"], '`my key` = "say \\"hi\\" \\\\ bye\\n"'], [["by", "x", "keep"], '`by` = "x"'], [["1m", "x", "keep"], '`1m` = "x"'],
    [["a", null, "drop"], "a exists"], [["a", null, "keep"], null],
  ];
  for (const [said, expected] of cases) assert.equal(conditionFor(...said), expected);
});

test("by, time and order change, the rest stays", () => {
  assert.deepEqual(breakdown(ASKED), { keys: ["region"], width: "1m" });
  assert.equal(withBy(ASKED, ["zone", "my key"]), ASKED.replace("by region, 1m", "by zone, `my key`, 1m"));
  assert.equal(withBy("logs | where a = 1 | last 1h", ["host.name"]), "logs | where a = 1 | by host.name | last 1h");
  assert.equal(withBy("logs | by a | count", []), "logs | count");
  assert.equal(withTime(ASKED, "last 6h"), ASKED.replace("last 1h", "last 6h"));
  assert.equal(withTime("logs | from -2h to now | count", "last 1d"), "logs | count | last 1d");
  assert.equal(timeOf("logs | from -2h to now"), "from -2h to now");
  assert.equal(timeOf("logs"), "last 1h");
  assert.equal(withOrder("a | count", "p99(x)"), "a | count | order -p99(x)");
  assert.equal(withOrder("a | count | order -p99(x)", "p99(x)"), "a | count | order p99(x)");
});

test("a place in bytes is a place in the text", () => {
  assert.equal(placeOf("a | wher", 4), 4);
  assert.equal(placeOf('a | "ü€𝄞" x', 4 + 1 + 2 + 3 + 4 + 1), 'a | "ü€𝄞"'.length);
});

test("what could be typed follows from what stands before the caret", () => {
  const known = {
    datasets: [{ name: "logs", rows: 3 }, { name: "requests", rows: 0 }], values: { "logs\nzone": ["a b", 7] },
    keys: { logs: [{ name: "zone", types: ["text"] }, { name: "took", types: ["number"] }, { name: "my key", types: ["text"] }] },
  };
  const check = (text, want, first) => {
    const place = placeAt(text, text.length);
    assert.equal(place.want, want, text);
    if (first !== undefined) assert.equal(offers(place, known)[0]?.text, first, text);
  };
  check("", "dataset", "logs");
  check("re", "dataset", "requests");
  check("logs |", "stage", "where ");
  check("logs | hea", "stage", "heatmap(");
  check("logs | where ", "key", "zone");
  check("logs | where my", "key", "`my key`");
  check("logs | where zone ", "operator", "= ");
  check("logs | where zone = ", "value", '"a b"');
  check('logs | where zone = "a', "value", '"a b"');
  check('logs | where zone = "a b"', "none");
  check("logs | where zone in (", "value");
  check("logs | where zone exists and ", "key");
  check("logs | by ", "by", "zone");
  check("logs | by zone, ", "by");
  check("logs | p99(", "number-key", "took");
  check("logs | count, ", "stage");
  check("logs | last ", "span", "15m");
  check("logs | top 5 ", "none");
  const place = placeAt("logs | where zo = 1", 15);
  assert.deepEqual(taken("logs | where zo = 1", place, { text: "zone", note: "" }), { text: "logs | where zone = 1", caret: 17 });
  assert.deepEqual(offers(placeAt("logs | last 1h", 14), known), []);
});

test("the form follows from the columns", () => {
  assert.deepEqual(formsOf(answer(["time", "key:a"], [])), ["log", "table"]);
  assert.deepEqual(formsOf(answer(["key:a", "number:count"], [])), ["table"]);
  assert.deepEqual(formsOf(answer(["time", "number:count"], [])), ["series", "table"]);
  assert.deepEqual(formsOf(answer(["time", "heatmap:heatmap(x)"], [])), ["heatmap", "table"]);
});

test("curves have gaps where nothing was, and one number in all charts", () => {
  const { moments, charts } = chartsOf(answer(["time", "key:zone", "number:count", "number:p99(x)"], [
    [at(1), "a", 5, 1], [at(0), "a", 5, 2], [at(1), "b", 30, 0.5], [at(2), null, 1, 90],
  ]));
  assert.deepEqual(moments, [at(0), at(1), at(2)].map(Date.parse));
  assert.deepEqual(charts[0].groups.map((group) => [group.words, group.values, group.curve]), [["–", [null, null, 1], 0], ["a", [5, 5, null], 1], ["b", [null, 30, null], 2]]);
  assert.deepEqual(charts[1].groups.map((group) => [group.words, group.curve]), [["–", 0], ["a", 1], ["b", 2]]);
  assert.deepEqual(charts[0].groups[2].keys, [["zone", "b"]]);
  const gap = chartsOf(answer(["time", "number:count"], [[at(0), 1], [at(1), 2], [at(4), 3]]));
  assert.deepEqual(gap.charts[0].groups[0].values, [1, 2, null, null, 3]);
  const many = chartsOf(answer(["time", "key:host", "number:count", "number:sum(x)"], Array.from({ length: 20 }, (_, host) => [at(0), `h${host}`, host, 20 - host])));
  assert.equal(many.charts[0].left, 12);
  for (const chart of many.charts) assert.equal(new Set(chart.groups.map((group) => group.curve)).size, 8);
});

test("a heatmap counts by moment and bin, empty bins left out", () => {
  const map = heatmapOf(answer(["time", "heatmap:heatmap(took)"], [[at(1), [[2, 3], [8, 1]]], [at(0), [[4, 2]]], [at(2), null]]));
  assert.deepEqual([map.key, map.labels, map.bins, map.most], ["took", [at(0), at(1), at(2)], [2, 4, 8], 3]);
  assert.deepEqual([...map.cells], [0, 2, 0, 3, 0, 1, 0, 0, 0]);
  assert.deepEqual([binEnd([2, 4, 8], 0), binEnd([2, 4, 8], 2), binEnd([0], 0)], [4, 16, 1]);
});

test("a raw event is a line, and all of it beside", () => {
  const logs = answer(["time", "key:severity_text", "key:body", "key:host", "key:andon.node", "key:gone"], [[at(0), "ERROR", "it broke", "web-1", "t", null]], { exemplars: [{ why: "slowest", at: at(3), attributes: { a: 1 } }] });
  assert.deepEqual(lineOf(logs, logs.rows[0]), { at: at(0), severity: "ERROR", body: "it broke", rest: "host=web-1", tone: "bad" });
  assert.deepEqual(picked(logs, "r0")?.entries.map(([name]) => name), ["severity_text", "body", "host", "andon.node"]);
  assert.deepEqual(picked(logs, "x0"), { title: "slowest", at: at(3), entries: [["a", 1]] });
  assert.deepEqual([picked(logs, "r1"), picked(logs, "x9"), picked(logs, null)], [null, null, null]);
});

test("of a million rows those in sight are made", () => {
  const seen = windowOf(1_000_000, 26, 13_000_000, 600);
  assert.ok(seen.to - seen.from < 60 && seen.from < 500_000 && seen.to > 500_023);
  assert.equal(seen.before + (seen.to - seen.from) * 26 + seen.after, 26_000_000);
  assert.deepEqual(windowOf(0, 26, 900, 600), { from: 0, to: 0, before: 0, after: 0 });
  assert.deepEqual(windowOf(3, 26, 900, 600), { from: 3, to: 3, before: 78, after: 0 });
});

test("numbers are read at a glance", () => {
  assert.deepEqual([1234567, 0.123456, 123.456, 0.00123456, NaN, 12345.6].map(numberText), ["1,234,567", "0.1235", "123.5", "0.0012", "–", "12,346"]);
  assert.equal(costWords(answer([], [[]])), "1 row from 5 events (1 kB) in 1.3 ms");
});
