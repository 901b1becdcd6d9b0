import assert from "node:assert/strict";
import { test } from "node:test";
import { bareAddresses, bundleOf, flowLoss, flowRows, guiltyHops, hopRows, pathsOf, readFlows } from "../../assets/state/paths.js";
import { verdict } from "./sample.js";

const hop = (ttl, ...addresses) => ({ ttl, addresses, kind: addresses.length === 0 ? "silent" : addresses.length > 1 ? "several" : "answered", rtt_us: addresses.length > 0 ? 1000 * ttl : null, sent: 3, answered: addresses.length > 0 ? 3 : 0, mpls: [] });
const flow = (port, state, hops, more = {}) => ({ port, state, sent: 100, answered: state === "dead" ? 2 : 100, reached: state === "alive", hops, ...more });
const FAR = "10.9.0.1";
const about = (more = {}) => ({ from: "web", to: "ship", far: new Set([FAR]), ...more });

/** Two ways of three hops; those on the upper one die after it. */
const split = (upper = 7, lower = 9) => readFlows([
  ...Array.from({ length: upper }, (_, at) => flow(40_000 + at, "dead", [hop(1, "10.0.1.1"), hop(2, "10.0.2.1"), hop(3), hop(4)])),
  ...Array.from({ length: lower }, (_, at) => flow(41_000 + at, "alive", [hop(1, "10.0.1.1"), hop(2, "10.0.3.1"), hop(3, "10.0.9.1"), hop(4, FAR)])),
], null);

test("flows on one way that fare alike are one strand as thick as they are many", () => {
  const bundle = bundleOf(split(), about());
  assert.deepEqual(bundle.ways.map((way) => [way.name, way.ports.length, way.state]), [["A", 7, "dead"], ["B", 9, "alive"]]);
  assert.ok(Math.abs(bundle.ways[1].thick / bundle.ways[0].thick - 9 / 7) < 1e-9);
  assert.equal(bundle.columns, 5);
  assert.equal(bundle.words, "16 flows from web to ship take 2 ways; 7 flows end after 10.0.2.1");
});

test("a dead flow ends after the last hop that answered, one that passes at the far end", () => {
  const bundle = bundleOf(split(), about());
  const [dead, alive] = bundle.ways;
  const name = (stop) => bundle.knots[stop.knot].label;
  assert.deepEqual(dead.stops.map(name), ["web", "10.0.1.1", "10.0.2.1"]);
  assert.ok(dead.end.column > 2 && dead.end.column < 3.5);
  assert.deepEqual(alive.stops.map(name), ["web", "10.0.1.1", "10.0.3.1", "10.0.9.1", "ship"]);
  assert.equal(alive.end, null);
  assert.equal(dead.words, "Way A, 7 flows from web by 10.0.1.1, 10.0.2.1: 7 flows end after 10.0.2.1");
});

test("ways that meet lie on each other, and no hop stands on another", () => {
  const bundle = bundleOf(split(), about());
  const shared = bundle.knots.find((knot) => knot.label === "10.0.1.1");
  assert.ok(Math.abs(shared.tall - bundle.ways[0].thick - bundle.ways[1].thick) < 1e-9);
  assert.ok(Math.abs(bundle.ways[1].stops[1].y - bundle.ways[0].stops[1].y - shared.tall / 2) < 1e-9);
  const [upper, lower] = bundle.knots.filter((knot) => knot.column === 2).toSorted((a, b) => a.y - b.y);
  assert.ok(upper.y + upper.tall / 2 + 20 < lower.y - lower.tall / 2);
  assert.ok(bundle.knots.every((knot) => knot.y - knot.tall / 2 >= -1e-9 && knot.y + knot.tall / 2 <= bundle.tall + 1e-9));
});

test("each way's name stands on it, clear of the others where there is room", () => {
  const bundle = bundleOf(split(), about());
  const [a, b] = bundle.ways.map((way) => way.tag);
  assert.ok(Math.hypot(60 * (a.column - b.column), a.y - b.y) > 20, JSON.stringify([a, b]));
});

test("the far end under another address is still the far end, where the trace came through", () => {
  const bundle = bundleOf(readFlows([flow(1, "alive", [hop(1, "10.0.1.1"), hop(2, "203.0.113.7")])], null), about());
  assert.deepEqual(bundle.knots.map((knot) => knot.label), ["web", "10.0.1.1", "ship"]);
});

test("a flow that died since its trace came through is not drawn to the far end", () => {
  const bundle = bundleOf(readFlows([flow(1, "alive", [hop(1, "10.0.1.1"), hop(2, FAR)])], [{ port: 1, alive: false, sent: 9, answered: 1 }]), about());
  assert.equal(bundle.ways[0].ending, "1 flow ends after 10.0.1.1");
  assert.ok(bundle.ways[0].end);
});

test("hops that stay silent are kept as such, dashed, and TTLs that nobody asked about too", () => {
  const bundle = bundleOf(readFlows([flow(1, "alive", [hop(1, "10.0.1.1"), hop(3), hop(4, "10.0.4.1"), hop(5, FAR)])], null), about({ fold: false }));
  assert.deepEqual(bundle.knots.map((knot) => knot.kind), ["end", "answered", "silent", "silent", "answered", "end"]);
  assert.deepEqual(bundle.ways[0].gaps, [false, true, true, true, false]);
  assert.deepEqual(bundle.knots.slice(2, 4).map((knot) => knot.label), ["not asked", "silent"]);
});

test("a flow that answers while its routers do not is drawn to the far end, dashed", () => {
  const bundle = bundleOf(readFlows([flow(1, "alive", [hop(1, "10.0.1.1"), hop(2), hop(3)], { reached: false })], null), about());
  assert.deepEqual(bundle.ways[0].gaps, [false, true]);
  assert.equal(bundle.ways[0].ending, "reaches ship");
});

test("per-packet balancing, unreachable and MPLS are said as what they are", () => {
  const flows = readFlows([
    flow(1, "alive", [{ ...hop(1, "10.0.2.1", "10.0.3.1"), mpls: [{ label: 16_004 }] }, hop(2, FAR)]),
    flow(2, "dead", [{ ...hop(1, "10.0.7.1"), kind: "unreachable" }]),
  ], null);
  const bundle = bundleOf(flows, about());
  const several = bundle.knots.find((knot) => knot.kind === "several");
  assert.equal(several.label, "10.0.2.1 +1");
  assert.match(several.title, /several answer in turn: 10.0.2.1, 10.0.3.1, MPLS 16004/);
  assert.ok(bundle.words.endsWith("1 flow ends: 10.0.7.1 says unreachable"));
});

test("hops that a verdict names are marked, on either direction of its links", () => {
  const fault = verdict("path_fault", "10.0.2.1", { hops: ["10.0.2.1", "10.0.9.1"], links: ["web→ship"], from: "db", to: "ship" });
  const { hops, verdicts } = guiltyHops([fault, verdict("link_partial", "web→ship", { from: "web", to: "ship" })], "ship", "web");
  assert.equal(verdicts.length, 1);
  const bundle = bundleOf(split(), about({ guilty: hops }));
  assert.deepEqual(bundle.knots.filter((knot) => knot.guilty).map((knot) => knot.label), ["10.0.2.1", "10.0.9.1"]);
  assert.equal(guiltyHops([fault], "web", "elsewhere").hops.size, 0);
});

test("loss within a way is its own colour and word", () => {
  const bundle = bundleOf(readFlows([flow(1, "alive", [hop(1, "10.0.1.1"), hop(2, FAR)], { answered: 88 })], null), about());
  assert.equal(bundle.ways[0].state, "lossy");
  assert.equal(bundle.ways[0].ending, "12 % of the probes are lost");
});

test("long stretches that all flows share are folded, but never a hop that is blamed", () => {
  const far = [11, 12, 13, 14, 15].map((ttl, at) => hop(ttl - 10, `10.1.${at}.1`));
  const flows = readFlows([flow(1, "alive", [...far, hop(6, "10.0.2.1"), hop(7, FAR)]), flow(2, "alive", [...far, hop(6, "10.0.3.1"), hop(7, FAR)])], null);
  const folded = bundleOf(flows, about());
  assert.deepEqual(folded.knots.map((knot) => knot.label), ["web", "5 hops", "10.0.2.1", "ship", "10.0.3.1"]);
  assert.equal(folded.columns, 4);
  const blamed = bundleOf(flows, about({ guilty: new Set(["10.1.2.1"]) }));
  assert.ok(blamed.knots.some((knot) => knot.label === "10.1.2.1" && knot.guilty));
  assert.equal(bundleOf(flows, about({ fold: false })).columns, 8);
});

test("what the observer knows of a port goes before what the trace counted", () => {
  const [one] = readFlows([flow(7, "alive", [hop(1, FAR)])], [{ port: 7, alive: false, sent: 40, answered: 10, lost_forward: 30, rtt_us_last: 900 }]);
  assert.equal(one.state, "dead");
  assert.equal(one.lossThere, 0.75);
  assert.equal(flowLoss(one), "75 %");
  assert.equal(flowLoss(readFlows([flow(7, "alive", [], { sent: 3, answered: 2 })], null)[0]), "1 of 3");
});

test("ways are drawn in the order in which they cross least; what was not traced is counted", () => {
  // By name b would stand first; its second hop is the lower one.
  const flows = readFlows([
    flow(1, "dead", [hop(1), hop(2, "10.0.5.2")]), flow(2, "alive", [hop(1, "10.0.1.2"), hop(2, "10.0.3.2"), hop(3, FAR)]), flow(3, "dead", [hop(1, "10.0.1.2"), hop(2, "10.0.5.2")]),
    { port: 4, state: "alive", hops: [], reached: false },
  ], null);
  const bundle = bundleOf(flows, about());
  const shared = bundle.knots.findIndex((knot) => knot.label === "10.0.5.2");
  const at = bundle.ways.flatMap((way, place) => (way.stops.some((stop) => stop.knot === shared) ? [place] : []));
  assert.equal(at[1] - at[0], 1);
  assert.match(bundle.words, /; 1 more flow, of which 1 answers, was not traced$/);
  assert.match(bundle.words, /2 flows end after 10\.0\.5\.2/);
  const known = readFlows([flow(1, "alive", [hop(1, FAR)])], [{ port: 1, alive: true, sent: 1, answered: 1 }, { port: 2, alive: false, sent: 1, answered: 0 }]);
  assert.deepEqual(known.map((one) => [one.port, one.state]), [[1, "alive"], [2, "dead"]]);
});

test("rubbish in a trace draws nothing wrong: odd types, gaps, floods", () => {
  assert.deepEqual(readFlows("<b>", null), []);
  assert.deepEqual(readFlows([null, { port: "x" }, 5], null), []);
  const flood = readFlows(Array.from({ length: 5000 }, (_, port) => flow(port, "alive", Array.from({ length: 500 }, (_, ttl) => hop(ttl + 1, `10.0.${ttl}.1`)))), null);
  assert.equal(flood.length, 64);
  assert.ok(flood.every((one) => one.hops.length <= 32));
  assert.ok(bundleOf(flood, about()).tall < 400);
  const odd = readFlows([{ port: 1, state: "??", hops: [{ ttl: -3, addresses: ["x"] }, { ttl: 2, addresses: [{}], rtt_us: "soon" }, null] }], [null]);
  assert.equal(odd[0].state, "unknown");
  assert.equal(bundleOf(odd, about()).ways[0].state, "unknown");
  assert.equal(bundleOf([], about()), null);
});

test("where there is nothing to draw, the reason is said", () => {
  const detail = (data, problem = null) => ({ from: "web", to: "ship", data, problem });
  const why = (data, problem) => pathsOf(detail(data, problem), null, "web", "ship").why;
  assert.equal(pathsOf(null, null, "web", "ship").why, "waiting");
  assert.match(why({ paths: [] }), /has not traced its way to ship yet/);
  assert.match(why({ transport: "tcp" }), /run over TCP/);
  assert.match(why(null, "timed out"), /cannot be asked .* timed out/);
  assert.match(why({ paths: [flow(1, "alive", [hop(1, FAR)])] }), /first hop from web/);
  assert.match(why({ paths: [flow(1, "alive", [hop(1), hop(2), hop(3, FAR)]), flow(2, "dead", [hop(1), hop(2)])] }), /answer no traces.* 1 of 2 flows come through/);
  assert.match(why({ paths: [flow(1, "alive", [{ ...hop(1), sent: 0 }, hop(2, FAR)])] }), /found no time to ask/);
  assert.equal(why({ paths: [flow(1, "alive", [hop(1, "10.0.1.1"), hop(2, FAR)])] }), null);
});

test("a trace asked for here goes before what the observer traced by itself", () => {
  const own = { from: "web", to: "ship", busy: false, problem: null, data: { started_at: "2026-11-20T03:20:00Z", flows: [flow(9, "alive", [hop(1, "10.0.1.1"), hop(2, FAR)])] } };
  const found = pathsOf({ from: "web", to: "ship", data: { paths: [] }, problem: null }, own, "web", "ship");
  assert.deepEqual([found.flows[0].port, found.asked, found.why], [9, true, null]);
  assert.equal(pathsOf(null, own, "ship", "web").why, "waiting");
});

test("the tables hold the same: flows with the dead first, hops by distance, the far end named", () => {
  const flows = split(1, 2);
  const rows = flowRows(flows, bundleOf(flows, about()));
  assert.deepEqual(rows.map((row) => [row.flow.port, row.way.name]), [[40_000, "A"], [41_000, "B"], [41_001, "B"]]);
  const hops = hopRows(flows, new Set(["10.0.2.1"]), new Set([FAR]));
  assert.deepEqual(hops.filter((row) => row.addresses !== "").map((row) => [row.ttl, row.addresses, row.flows, row.guilty, row.end]), [
    [1, "10.0.1.1", 3, false, false], [2, "10.0.3.1", 2, false, false], [2, "10.0.2.1", 1, true, false], [3, "10.0.9.1", 2, false, false], [4, FAR, 2, false, true],
  ]);
});

test("addresses are told from their ports", () => {
  assert.deepEqual([...bareAddresses(["10.0.0.1:8777", "[2001:db8::1]:8777", "2001:db8::2", "host:80"])], ["10.0.0.1", "2001:db8::1", "2001:db8::2", "host"]);
});
