import assert from "node:assert/strict";
import { test } from "node:test";
import { bandsOf, changeFrom, changesUpTo, marksOf, MOMENTS_MAX, momentAt, placeOf, played, readMoments, readSpan, stops, stretchOf, stripWords, ticksOf } from "../../assets/state/past.js";
import { trendOf } from "../../assets/state/trend.js";

const NOW = Date.UTC(2026, 10, 20, 12, 0, 0);
const HOUR = 3_600_000;
const kept = { from: NOW - 48 * HOUR, until: NOW };
const change = (at, kind, more = {}) => ({ at: new Date(at).toISOString(), kind, subject: "a→b", text: `${kind} then`, ...more });

test("the strip shows the newest stretch while the moment lies in it", () => {
  assert.deepEqual(stretchOf("1h", null, NOW, kept), { from: NOW - HOUR, until: NOW });
  assert.deepEqual(stretchOf("1h", NOW - 0.9 * HOUR, NOW, kept), { from: NOW - HOUR, until: NOW });
  assert.deepEqual(stretchOf("all", null, NOW, kept), kept);
  assert.deepEqual(stretchOf("24h", null, NOW, { from: NOW - 2 * HOUR, until: NOW }), { from: NOW - 2 * HOUR, until: NOW });
});

test("further back it stays while the moment moves within it, and always holds the moment", () => {
  for (const reach of ["15m", "1h", "6h", "24h", "all"]) {
    for (let back = 0.1; back < 48; back += 0.37) {
      const at = NOW - back * HOUR;
      const stretch = stretchOf(reach, at, NOW, kept);
      assert.ok(stretch.from <= at && at <= stretch.until, `${reach} ${back}`);
      assert.ok(stretch.until <= NOW && stretch.from >= kept.from);
    }
  }
  const one = stretchOf("1h", NOW - 10 * HOUR, NOW, kept);
  assert.deepEqual(stretchOf("1h", NOW - 10 * HOUR + 60_000, NOW, kept), one);
  assert.equal(momentAt(one, placeOf(one, NOW - 10 * HOUR)), NOW - 10 * HOUR);
});

test("changes are marks: on one place the weightiest, with how many there are", () => {
  const moments = readMoments([
    change(NOW - 1000, "link_state", { state: "down" }), change(NOW - 900, "verdict_opened", { state: "path_fault", subject: "10.0.2.1" }),
    change(NOW - HOUR / 2, "verdict_cleared"), change(NOW - 2 * HOUR, "incident"), { at: "never", kind: "incident" }, null,
  ]);
  const marks = marksOf(moments, stretchOf("1h", null, NOW, kept));
  assert.deepEqual(marks.map((mark) => [mark.count, mark.tone, mark.shape]), [[1, "good", "disc"], [2, "bad", "half"]]);
  assert.equal(stripWords(moments, stretchOf("1h", null, NOW, kept)), "3 changes in 1 h");
});

test("a remark's verdict weighs no more than a link, a resolved incident is good news", () => {
  const [busy, over] = readMoments([change(NOW - 5, "verdict_opened", { state: "host_busy" }), change(NOW, "incident", { state: "resolved" })]);
  assert.deepEqual([busy.weight, busy.tone], [0, "mute"]);
  assert.deepEqual([over.weight, over.tone], [4, "good"]);
  assert.deepEqual(readMoments([change(NOW, "link_state", { state: "down" })])[0].selection, { kind: "link", from: "a", to: "b" });
});

test("an incident that says itself anew in the same state is no change", () => {
  const said = (second, state, subject = "inc-1") => change(NOW + second * 1000, "incident", { subject, state });
  const moments = readMoments([said(0, "open"), said(1, "open"), said(2, "open", "inc-2"), said(3, "resolved"), said(4, "resolved"), said(5, "open")]);
  assert.deepEqual(moments.map((one) => (one.at - NOW) / 1000), [0, 2, 3, 5]);
});

test("a flood of changes is bounded, the newest stay", () => {
  const flood = readMoments(Array.from({ length: 3 * MOMENTS_MAX }, (_, at) => change(NOW + at, "link_state")));
  assert.equal(flood.length, MOMENTS_MAX);
  assert.equal(flood.at(-1).at, NOW + 3 * MOMENTS_MAX - 1);
});

test("a fault that reaches its links one by one is one stop", () => {
  const moments = readMoments([0, 300, 900, 2100, 60_000].map((at) => change(NOW + at, at === 900 ? "verdict_opened" : "link_state")));
  assert.deepEqual(stops(moments).map((stop) => [stop.at - NOW, stop.until - NOW, stop.count, stop.text]), [[0, 2100, 4, "verdict_opened then"], [60_000, 60_000, 1, "link_state then"]]);
  assert.equal(changeFrom(moments, NOW - 5000, 1), NOW + 2100);
  assert.equal(changeFrom(moments, NOW + 2100, 1), NOW + 60_000);
  assert.equal(changeFrom(moments, NOW + 2100, -1), null);
  assert.equal(changeFrom(moments, NOW + 60_000, -1), NOW + 2100);
  assert.equal(changeFrom(moments, NOW + 60_000, 1), null);
});

test("playing goes as fast as asked, stops at each change, and ends at now", () => {
  const moments = readMoments([change(NOW - 50_000, "node_state")]);
  assert.equal(played(NOW - 100_000, 250, 10, moments, NOW), NOW - 97_500);
  assert.equal(played(NOW - 60_000, 250, 60, moments, NOW), NOW - 50_000);
  assert.equal(played(NOW - 50_000, 250, 60, moments, NOW), NOW - 35_000);
  assert.equal(played(NOW - 100, 250, 60, moments, NOW), NOW);
});

test("what had changed, newest first, up to the moment that is looked at", () => {
  const moments = readMoments([10, 20, 30].map((at) => change(NOW + at, "node_state", { text: `at ${at}` })));
  assert.deepEqual(changesUpTo(moments, NOW + 20, 5).map((line) => line.text), ["at 20", "at 10"]);
  const apart = readMoments([0, 5000, 10_000].map((at) => change(NOW + at, "link_state", { text: `at ${at}` })));
  assert.deepEqual(changesUpTo(apart, NOW + 10_000, 1).map((line) => line.text), ["at 10000"]);
  const many = readMoments([...[1, 2, 3].map((at) => change(NOW + at, "link_state", { state: "down" })), change(NOW + 4, "link_state", { state: "partial" }), change(NOW + 5, "verdict_opened", { text: "it is b" })]);
  assert.deepEqual(changesUpTo(many, NOW + 9, 9).map((line) => line.text), ["it is b", "link_state then", "3 links are down"]);
});

test("incidents are bands from their first symptom to their end", () => {
  const incident = (from, until) => ({ id: "x", title: "x", severity: "major", opened_at: new Date(from).toISOString(), resolved_at: until && new Date(until).toISOString() });
  const stretch = stretchOf("1h", null, NOW, kept);
  const bands = bandsOf([incident(NOW - HOUR / 2, NOW - HOUR / 4), incident(NOW - HOUR / 4, null), incident(NOW - 9 * HOUR, NOW - 8 * HOUR)], stretch, NOW);
  assert.deepEqual(bands.map((band) => [band.left, band.right]), [[0.5, 0.75], [0.75, 1]]);
});

test("the axis has round times, no more than fit", () => {
  for (const wide of [5 * 60_000, HOUR, 6 * HOUR, 24 * HOUR, 30 * 24 * HOUR]) {
    const ticks = ticksOf({ from: NOW - wide, until: NOW }, 12);
    assert.ok(ticks.length >= 2 && ticks.length <= 13, `${wide}: ${ticks.length}`);
    assert.ok(ticks.every((tick) => tick.place >= 0 && tick.place <= 1));
  }
});

test("a span that a node does not tell is empty, not the epoch", () => {
  assert.ok(Number.isNaN(readSpan(null).from));
  assert.ok(Number.isNaN(readSpan({ from: null, until: null }).from));
  // The first second may hold no whole picture yet.
  const kept = readSpan({ from: "2026-11-20T00:00:00Z", until: "2026-11-20T01:00:00Z" });
  assert.equal(kept.until - kept.from, HOUR - 1000);
});

test("a link's history: worst state, worst loss and middle round trip of each column; gaps stay", () => {
  const minute = (at, more) => ({ at: new Date(NOW - at * 60_000).toISOString(), state: "up", loss_forward: 0, loss_return: 0, rtt_us_p50: 1000, rtt_us_p99: 2000, ...more });
  const data = { step_s: 60, points: [minute(59.5), minute(30.5, { state: "partial", loss_forward: 0.4 }), minute(30.4, { rtt_us_p50: 3000, rtt_us_p99: 9000 }), minute(0.5, { rtt_us_p50: null, state: "down", loss_forward: 1 }), { at: "?" }, null] };
  const trend = trendOf(data, "hour", NOW);
  assert.equal(trend.columns.length, 60);
  assert.equal(trend.known, 3);
  const both = trend.columns[29];
  assert.deepEqual([both.state, both.there, both.rtt, both.high], [1, 0.4, 3000, 9000]);
  assert.equal(trend.columns[10].seen, false);
  assert.equal(trend.words, "round trip 1.00 ms to 3.00 ms; loss up to 100 %; down for about 1 min 0 s; partly cut for about 1 min 0 s".replaceAll("1 min 0 s", "1 min"));
  assert.equal(trendOf({}, "week", NOW).words, "nothing was kept of this stretch");
  assert.ok(trendOf({ step_s: 60, points: [] }, "week", NOW).columns.length <= 240);
});
