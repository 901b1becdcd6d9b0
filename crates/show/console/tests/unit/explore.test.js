import assert from "node:assert/strict";
import { test } from "node:test";
import { binEnd, chartsOf, costWords, formsOf, heatmapOf, lineOf, numberText, picked, windowOf } from "../../assets/state/answer.js";
import { differences, isDiffer, recordLine, rowAt } from "../../assets/state/answer.js";
import { below, fleet, ladderOf, onRung, peeled } from "../../assets/state/ladder.js";
import { lineAt, linesOf, marked, pageAt, pagesBetween, scrollFor, sightOf, stretchesOf, stretchWidth } from "../../assets/state/logs.js";
import { fitting, taken } from "../../assets/state/offers.js";
import { barOf, rowsOf, servicesOf, spanWords, stepTo } from "../../assets/state/waterfall.js";
import { breakdown, conditionFor, conditions, countsOf, datasetOf, differing, differOf, elsewhere, firstTime, fixed, heatmapAgain, isEndless, isRaw, pageOf, placeOf, rawOf, searched, stages, tailed, timeOf, withBy, withOrder, without, withTime, withWhere } from "../../assets/state/question.js";
import { HOME, readRoute, writeRoute } from "../../assets/state/route.js";

const ASKED = 'requests | where status >= 500 and path = "a | b and c" | "reset" | by region, 1m | p99(duration_ms), count | last 1h';
const answer = (columns, rows, more = {}) => ({
  columns: columns.map((column) => { const [kind, name] = column.split(":"); return { kind, name: name ?? kind }; }),
  rows, partial: false, stats: { rows_scanned: 5, bytes_scanned: 80, elapsed_ms: 1.25 }, ...more,
});
const at = (minute) => new Date(Date.UTC(2026, 10, 20, 3, minute)).toISOString();

test("a question is its address", () => {
  const route = { ...HOME, page: "explore", question: ASKED, form: "table", pick: "x2", trace: "4bf9/2?&", span: 3, live: true };
  const url = new URL(writeRoute(route), "http://node");
  assert.equal(url.pathname, "/explore");
  assert.deepEqual(readRoute(url.pathname, url.search), route);
  assert.equal(readRoute("/explore", `?trace=${"x".repeat(200)}`).trace, null);
  assert.equal(writeRoute({ ...HOME, page: "explore", live: true }), "/explore");
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

test("what was offered is narrowed by what is typed since, and taken with the blanks it needs", () => {
  const offer = (text, kind, from, to) => ({ text, kind, from, to, about: "" });
  const told = { text: "logs | wh", caret: 9, list: [offer("where", "word", 7, 9)] };
  assert.deepEqual(fitting(told, "logs | wh", 9), told.list);
  assert.deepEqual(fitting(told, "logs | whe", 10), [offer("where", "word", 7, 10)]);
  assert.deepEqual(fitting(told, "logs | whx", 10), []);
  assert.deepEqual(fitting(told, "log", 3), []);
  assert.deepEqual(fitting(null, "log", 3), []);
  const values = { text: 'logs | where zone = "a', caret: 22, list: [offer('"a b"', "value", 20, 22)] };
  assert.equal(fitting(values, 'logs | where zone = "a ', 23).length, 1);
  assert.deepEqual(taken("logs | wh", told.list[0]), { text: "logs | where ", caret: 13 });
  assert.deepEqual(taken("logs", offer("|", "word", 4, 4)), { text: "logs | ", caret: 7 });
  assert.deepEqual(taken("logs | where zo = 1", offer("zone", "key", 13, 15)), { text: "logs | where zone = 1", caret: 17 });
  assert.deepEqual(taken("logs | p9", offer("p99(", "calc", 7, 9)), { text: "logs | p99(", caret: 11 });
});

test("a box is held against the rest, and the way back is known", () => {
  const asked = differing("r | where a = 1 | by auto | heatmap(ms) | last 1h | top 5", "ms >= 5 and ms < 9", [at(0), at(1)]);
  assert.equal(asked, `r | where a = 1 | last 1h | differ ms >= 5 and ms < 9 from ${at(0)} to ${at(1)}`);
  assert.equal(differOf(asked), `ms >= 5 and ms < 9 from ${at(0)} to ${at(1)}`);
  assert.equal(heatmapAgain(asked), "r | where a = 1 | last 1h | by auto | heatmap(ms)");
  assert.equal(heatmapAgain("r | differ zone = \"a\""), "r | by auto | count");
  const answered = answer(["key", "key:value", "number:inside", "number:outside", "number:difference"], [["zone", "b", 100, 7, 93], ["zone", null, 3, 1, 2], ["n", 1, 50, 20, 30]]);
  answered.columns[0].name = "key";
  assert.ok(isDiffer(answered));
  assert.deepEqual(formsOf(answered), ["differ", "table"]);
  assert.deepEqual(differences(answered).map(({ key, values }) => [key, values.length, values[0].inside]), [["zone", 2, 100], ["n", 1, 50]]);
});

test("a question gives its events, its pages and what it looks for", () => {
  assert.deepEqual([isRaw(ASKED), isRaw("logs | last 1h"), isRaw("logs | differ a = 1"), isEndless("logs"), isEndless("logs | top 5"), isEndless("logs | order time")], [false, true, false, true, false, false]);
  assert.equal(rawOf(ASKED), 'requests | where status >= 500 and path = "a | b and c" | "reset" | last 1h');
  assert.equal(pageOf("logs | where a = 1 | last 1h", "A", "B", 500, 0), "logs | where a = 1 | from A to B | top 500");
  assert.equal(pageOf("logs", "A", "B", 500, 1000), "logs | from A to B | top 500 | skip 1000");
  assert.equal(countsOf("logs | last 1d", "A", "B", 2000), "logs | by 2000ms | count | from A to B | top 100000");
  assert.equal(tailed('logs | where a = 1 and b = 2 | "reset" | last 1h'), 'a = 1 and b = 2 and body contains "reset"');
  assert.deepEqual(searched('logs | "say \\"hi\\"" | where body contains reset and a = b'), ['say "hi"', "reset"]);
  assert.equal(fixed("logs | last 1h", { from: "A", to: "B" }), "logs | from A to B");
  assert.equal(fixed("logs | last 1h", null), "logs | last 1h");
});

test("a click on a rung keeps the value and goes one down; the fleet is one click away", () => {
  const ladder = ladderOf([{ name: "host.name" }, { name: "region" }, { name: "x" }, { name: "endpoint" }]);
  assert.deepEqual(ladder.map((rung) => [rung.word, rung.key]), [["Site", "region"], ["Node", "host.name"], ["Process", "endpoint"]]);
  assert.equal(below(ladder, "endpoint"), null);
  const site = onRung("r | by x, 1m | count", ladder, ladder[0]);
  assert.equal(site, "r | by region, x, 1m | count");
  const node = peeled("r | by region | count", ladder, [["region", "eu"]]);
  assert.equal(node, 'r | where region = "eu" | by host.name | count');
  const last = peeled(peeled(node, ladder, [["host.name", "h1"]]), ladder, [["endpoint", "/a"]]);
  assert.equal(last, 'r | where region = "eu" and host.name = "h1" and endpoint = "/a" | by endpoint | count');
  assert.equal(fleet(last, ladder), "r | by region | count");
});

test("any line of a long log is found by its stretch and page", () => {
  const [from, to] = [Date.parse(at(0)), Date.parse(at(10))];
  assert.equal(stretchWidth(3_600_000), 30_000);
  const all = stretchesOf([[at(2), 1200], [at(8), 3], [at(4), 0]], 60_000, from, to);
  assert.deepEqual(all.map((one) => [one.count, one.start]), [[3, 0], [1200, 3]]);
  assert.equal(linesOf(all), 1203);
  assert.deepEqual(pageAt(all, 2), { name: `${all[0].from}.0`, stretch: 0, skipped: 0, first: 0 });
  assert.deepEqual(pageAt(all, 1202), { name: `${all[1].from}.1000`, stretch: 1, skipped: 1000, first: 1003 });
  assert.equal(pageAt(all, 1203), null);
  assert.deepEqual(pagesBetween(all, 0, 600).map((page) => page.first), [0, 3, 503]);
  assert.equal(lineAt(all, Date.parse(at(2)) + 30_000), 603);
  const log = { stretches: all, pages: new Map([[`${all[1].from}.500`, answer(["key:n"], [[7], [8]])]]) };
  const first = answer(["key:n"], [[1]]);
  assert.deepEqual([rowAt(first, log, 0)?.row, rowAt(first, log, 504)?.row, rowAt(first, log, 600), rowAt(first, null, 5)], [[1], [8], null, null]);
  assert.equal(picked(first, "r504", log)?.entries[0][1], 8);
});

test("of ten million lines each can be scrolled to, though no element is so tall", () => {
  for (const count of [0, 3, 1000, 1_000_000, 10_000_000]) {
    const room = 600;
    const { height } = sightOf(count, 26, 0, room);
    assert.ok(height <= 12_000_000);
    for (const line of [0, 1, Math.floor(count / 3), count - 1].filter((one) => one >= 0 && one < count)) {
      const top = scrollFor(line, count, 26, 0, room);
      const seen = sightOf(count, 26, top, room);
      assert.ok(seen.from <= line && line < seen.to, `${line} of ${count}: ${seen.from} to ${seen.to}`);
      assert.ok(seen.to - seen.from < 60 && top <= Math.max(0, height - room) + 1);
    }
  }
});

test("finds are marked as text, whatever the case, and signs mean themselves", () => {
  assert.deepEqual(marked("A reset, a RESET (b", ["reset", "("]), ["A ", "reset", ", a ", "RESET", " ", "(", "b"]);
  assert.deepEqual(marked("<b>", []), ["<b>"]);
});

test("a trace is walked through, folded, and told in words", () => {
  const span = (depth, offset_us, duration_us, service, more = {}) => ({ depth, offset_us, duration_us, own_us: duration_us / 2, name: `n${offset_us}`, service, failed: false, place: "child", at: at(0), attributes: {}, ...more });
  const trace = { start: at(0), duration_us: 1000, left_out: 0, partial: false, notes: [], spans: [span(0, 0, 1000, "web"), span(1, 100, 500, "cart", { failed: true }), span(2, 200, 100, "db"), span(1, 700, 100, "web")] };
  assert.deepEqual(rowsOf(trace, new Set()).map((row) => [row.at, row.parent]), [[0, true], [1, true], [2, false], [3, false]]);
  const folded = rowsOf(trace, new Set([1]));
  assert.deepEqual(folded.map((row) => row.at), [0, 1, 3]);
  assert.deepEqual([stepTo(folded, 1, "ArrowDown"), stepTo(folded, 3, "parent"), stepTo(folded, null, "ArrowDown"), stepTo(folded, 0, "ArrowUp"), stepTo(folded, 0, "End")], [3, 0, 0, 0, 3]);
  assert.deepEqual(servicesOf(trace).map((one) => [one.name, one.spans, one.curve]), [["web", 2, 1], ["cart", 1, 2], ["db", 1, 3]]);
  assert.equal(new Set(servicesOf(trace).map((one) => one.shape)).size, 3);
  assert.deepEqual(barOf(trace, trace.spans[3]), { left: 70, width: 10 });
  assert.equal(spanWords(trace, trace.spans[1]), "cart: n100, 500 µs, after 100 µs, failed");
});

test("an event as it comes is a line", () => {
  assert.deepEqual(recordLine({ ts: at(0), severity_text: "warn", body: "slow", host: "a", "andon.node": "n", gone: null }), { at: at(0), severity: "warn", body: "slow", rest: "host=a", tone: "warn" });
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

test("who asks about another time is led to where the events are", () => {
  const old = { from: "2015-07-29T17:42:06.878Z", to: "2015-07-31T11:46:08.017Z" };
  const now = Date.parse(at(30));
  const all = "from 2015-07-29T17:42:06.878Z to 2015-07-31T11:46:08.018Z";
  assert.equal(firstTime(old, now), all);
  assert.equal(firstTime({ from: old.from, to: at(0) }, now), "last 1h");
  assert.equal(firstTime({}, now), "last 1h");
  const asked = answer(["key:a"], [], { from: at(0), to: at(30) });
  assert.equal(elsewhere(old, asked)?.time, all);
  assert.equal(elsewhere({ from: at(30), to: at(40) }, asked)?.from, now);
  assert.equal(elsewhere({ from: old.from, to: at(1) }, asked), null);
  assert.equal(elsewhere(undefined, asked), null);
});
