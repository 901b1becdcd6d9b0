import assert from "node:assert/strict";
import { test } from "node:test";
import { changesBetween, CHANGES_MAX, withNews } from "../../assets/state/changes.js";
import { freshness } from "../../assets/state/connection.js";
import { linkRows, nodeRows } from "../../assets/state/lists.js";
import { mapModel } from "../../assets/state/map.js";
import { nodeMatrix, siteMatrix } from "../../assets/state/matrix.js";
import { flowMarks, historyOf, linkPanel, nodePanel, pairPanel, sitePanel, targetFacts } from "../../assets/state/panel.js";
import { applyDelta, readLink, readPicture } from "../../assets/state/picture.js";
import { HOME, readRoute, writeRoute } from "../../assets/state/route.js";
import { search } from "../../assets/state/search.js";
import { columns, document, link, node, verdict } from "./sample.js";

test("every view is a link: a route survives its URL", () => {
  const selections = [
    null, { kind: "node", id: "a&b=c" }, { kind: "site", id: "ü <b>" },
    { kind: "link", from: "a", to: "b" }, { kind: "pair", from: "x", to: "y" },
  ];
  for (const selection of selections) {
    const route = { ...HOME, selection, view: "matrix", scope: ["p", "q"], verdict: "link_down:a→b", troubled: true, list: "nodes" };
    const url = new URL(writeRoute(route), "http://node");
    assert.deepEqual(readRoute(url.pathname, url.search), route);
  }
  assert.equal(writeRoute(HOME), "/");
  assert.equal(readRoute("/board", "").page, "board");
  assert.equal(readRoute("/", "?view=nonsense").view, null);
});

test("the matrix of sites shows the worst link; unknown does not hide what is up", () => {
  const found = readPicture(document((made) => {
    made.links.find((one) => one.from === "a-1" && one.to === "b-1").state = "down";
    made.links.find((one) => one.from === "a-1" && one.to === "a-2").state = "unknown";
  }));
  const { sites, cells } = siteMatrix(found);
  assert.deepEqual(sites, ["a", "b"]);
  assert.deepEqual(cells.map((cell) => cell && [cell.state, cell.up, cell.total]), [[0, 1, 2], [3, 1, 2], [0, 2, 2], null]);
  assert.equal(cells[1].rttP50, 1500);
});

test("the matrix of nodes: rows observe, columns are observed; a target observes nothing", () => {
  const found = readPicture(document((made) => {
    made.nodes.push(node("shop", null, { kind: "target" }));
    made.links.push(link("a-1", "shop"));
  }));
  const { rows, columns, links } = nodeMatrix(found, null);
  assert.deepEqual(rows.map((at) => found.nodes[at].id), ["a-1", "a-2", "b-1"]);
  assert.deepEqual(columns.map((at) => found.nodes[at].id), ["a-1", "a-2", "b-1", "shop"]);
  assert.equal(links[0], -1);
  assert.equal(readLink(found, links[3]).to, "shop");
  assert.equal(nodeMatrix(found, ["a", "b"]).links.length, 2);
});

test("lists begin with the worst", () => {
  const found = readPicture(document((made) => {
    made.links[3].state = "down";
    made.links[4].state = "degraded";
    made.nodes[2].state = "down";
  }));
  assert.deepEqual(linkRows(found, null, false).slice(0, 2), [3, 4]);
  assert.deepEqual(linkRows(found, null, true), [3, 4]);
  assert.equal(nodeRows(found, false)[0].node.id, "b-1");
  assert.equal(linkRows(found, ["b", "a"], false).length, 2);
});

test("the map draws both ways of a link as one line, what is wrong on top, and crowds as bundles", () => {
  const small = mapModel(readPicture(document((made) => { made.links[0].state = "down"; })), null);
  assert.equal(small.lines.length, 3);
  assert.ok(small.lines.every((line) => line.there >= 0 && line.back >= 0));
  const found = readPicture(document((made) => {
    for (let at = 0; at < 60; at += 1) made.nodes.push(node(`c-${at}`, "c"));
    made.links.push(link("a-1", "c-0"), link("a-1", "c-1", { state: "down" }));
  }));
  const crowd = mapModel(found, null);
  assert.ok(crowd.crowded);
  assert.equal(crowd.lines.length, 1);
  assert.equal(mapModel(found, { kind: "node", id: "a-1" }).lines.length, 4);
  assert.ok(crowd.spots.every((spot) => spot.x >= 0 && spot.x <= 1 && spot.y >= 0 && spot.y <= 1));
});

test("a link's panel: the way back, and who else sees the far end", () => {
  const found = readPicture(document((made) => { made.links.find((one) => one.from === "a-1" && one.to === "b-1").state = "down"; }));
  const panel = linkPanel(found, "a-1", "b-1");
  assert.equal(panel.back.state, "up");
  assert.deepEqual(panel.others.map((one) => one.from), ["a-2"]);
  assert.equal(panel.othersUp, 1);
  assert.equal(linkPanel(found, "a-1", "gone"), null);
  assert.equal(nodePanel(found, "b-1").peers[0].id, "a-1");
  assert.equal(nodePanel(found, "gone"), null);
  assert.equal(sitePanel(found, "a").nodes.length, 2);
  assert.equal(pairPanel(found, "a", "b").worst[0].state, "down");
});

test("flows and history are told where the observer answered, counted or left out where not", () => {
  const shown = readLink(readPicture(document((made) => { made.links[0].flows = { ok: 5, total: 8 }; })), 0);
  assert.equal(flowMarks(shown, null).filter((mark) => mark.alive).length, 5);
  const told = flowMarks(shown, { flows: [{ port: 4000, alive: false, sent: 9, answered: 4, lost_forward: 5, lost_return: 0 }] });
  assert.deepEqual(told, [{ alive: false, title: "port 4000: no answer, 9 sent, 4 answered, 5 lost on the way there" }]);
  assert.equal(historyOf(null), null);
  assert.equal(historyOf({ history: "rubbish" }), null);
  assert.deepEqual(historyOf({ history: [{ rtt_us_p50: null, loss: null }, { rtt_us_p50: 5, loss: 0, loss_forward: 0.5 }] }), { rtt: [null, 5], loss: [null, 0.5], spanMs: 2000 });
});

test("a target's answers are its history, and its facts are in words", () => {
  const now = Date.parse("2026-11-20T00:00:10Z");
  const data = {
    detail: "200 OK", phases: { name_us: 1200, connect_us: 900, tls_us: null, first_byte_us: 3000, body_us: 40, total_us: 5140 },
    certificate: { subject: "shop", issuer: "Some CA", not_after: "2026-12-01T00:00:00Z", problem: null },
    samples: [
      { at: "2026-11-20T00:00:00Z", ok: true, rtt_us: 5000, detail: null },
      { at: "2026-11-20T00:00:04Z", ok: false, rtt_us: null, detail: "no answer within 2 s" },
      { at: "2026-11-20T00:00:06Z", ok: null, rtt_us: null, detail: "not permitted" },
      { at: "2026-11-20T00:00:08Z", ok: true, rtt_us: 5140, detail: null },
    ],
  };
  assert.deepEqual(historyOf(data), { rtt: [5000, null, null, 5140], loss: [0, 1, null, 0], spanMs: 8000 });
  const facts = targetFacts(data, now);
  assert.deepEqual(facts.phases.map(({ name, us }) => [name, us]), [["Name lookup", 1200], ["Connect", 900], ["First byte", 3000], ["Body", 40], ["In all", 5140]]);
  assert.equal(facts.certificate.until, "until 2026-12-01 (10 days)");
  assert.deepEqual([facts.last.text, facts.last.ok], ["answered in 5.14 ms: 200 OK", true]);
  const failed = targetFacts({ ...data, samples: data.samples.slice(0, 2) }, Date.parse("2027-01-01"));
  assert.equal(failed.last.text, "failed: no answer within 2 s");
  assert.equal(failed.certificate.until, "expired on 2026-12-01");
  assert.equal(targetFacts({ flows: [], history: [] }, now), null);
});

test("news of one thing in one moment is one line, the one that says most", () => {
  const cut = verdict("link_down", "a-1→b-1", { from: "a-1", to: "b-1", sentence: "one direction is cut" });
  const down = (made) => { made.links.find((one) => one.from === "a-1" && one.to === "b-1").state = "down"; };
  const at = (change, moment, verdicts = []) => ({ ...applyDelta(base, { ...document(change), gone: { nodes: [], links: [] } }), generatedAt: moment, verdicts });
  const base = { ...readPicture(document()), generatedAt: 0 };
  const texts = (lines) => lines.map((line) => line.text);
  // The link first, its verdict moments later.
  let lines = withNews([], changesBetween(base, at(down, 1000)));
  assert.deepEqual(texts(lines), ["a-1 → b-1 down"]);
  lines = withNews(lines, changesBetween(at(down, 1000), at(down, 2000, [cut])));
  assert.deepEqual(texts(lines), ["one direction is cut"]);
  // Mended: the verdict and the link at once.
  lines = withNews(lines, changesBetween(at(down, 2000, [cut]), at(() => {}, 60_000)));
  assert.deepEqual(texts(lines), ["Over: link down, a-1→b-1", "one direction is cut"]);
  // A node, its verdict and its links.
  const dead = (made) => { made.nodes[2].state = "down"; made.links.filter((one) => one.to === "b-1").forEach((one) => { one.state = "down"; }); };
  lines = withNews([], changesBetween(base, at(dead, 1000, [verdict("node_down", "b-1")])));
  assert.deepEqual(texts(lines), ["b-1 is ill."]);
  // A remark comes and goes: only its newest line stays.
  const busy = verdict("host_busy", "b-1");
  lines = withNews([], changesBetween(base, at(() => {}, 1000, [busy])));
  lines = withNews(lines, changesBetween(at(() => {}, 1000, [busy]), at(() => {}, 20_000)));
  assert.deepEqual(texts(lines), ["Over: host is busy, b-1"]);
  // Two things that are not the same stay two, also in one second.
  lines = withNews([], changesBetween(base, at((made) => { made.nodes[2].state = made.nodes[1].state = "down"; }, 1000)));
  assert.equal(lines.length, 2);
});

test("news: many links that change alike are one line, and a verdict said better replaces itself", () => {
  const before = readPicture(document());
  const down = (made) => made.links.forEach((one) => { one.state = "down"; });
  const after = applyDelta(before, { ...document(down), gone: { nodes: [], links: [] } });
  assert.deepEqual(changesBetween(before, after).map((change) => change.text), ["6 links are now down"]);
  assert.deepEqual(changesBetween(null, after), []);
  const said = (sentence, at) => ({ ...before, generatedAt: at, verdicts: [verdict("node_down", "b-1", { sentence })] });
  let lines = withNews([], changesBetween({ ...before }, said("first words", 1000)));
  lines = withNews(lines, changesBetween(said("first words", 1000), said("better words", 2000)));
  assert.deepEqual(lines.map((line) => line.text), ["better words"]);
  lines = withNews(lines, changesBetween(said("better words", 2000), said("31 %", 60_000)));
  assert.deepEqual(lines.map((line) => line.text), ["better words"]);
  const many = Array.from({ length: 2 * CHANGES_MAX }, () => ({ at: 0, key: null, weight: 0, topics: [], within: [] }));
  assert.equal(withNews(many, many).length, CHANGES_MAX);
});

test("search finds links by two words, nodes by label and address, sites and verdicts", () => {
  const found = readPicture(document((made) => {
    made.nodes[2].labels = { role: "database" };
    made.verdicts.push(verdict("node_down", "b-1"));
  }));
  const kinds = (query) => search(found, query).map((item) => `${item.kind} ${item.text}`);
  assert.deepEqual(kinds("a-1 b-1").slice(0, 1), ["link a-1 → b-1"]);
  assert.deepEqual(kinds("database"), ["node b-1"]);
  assert.ok(kinds("b").includes("verdict Node down"));
  assert.ok(kinds("site a").includes("site a"));
  assert.deepEqual(kinds("B-1").slice(0, 2), ["node b-1", "verdict Node down"]);
  assert.deepEqual(kinds("zzz"), []);
});

test("a picture that nobody refreshes says how old it is", () => {
  const at = (state, heardAt, now) => freshness({ state, heardAt, problem: null }, now).text;
  assert.equal(at("live", 1000, 2000), "live");
  assert.equal(at("lost", 1000, 13_000), "the picture is 12 s old, reconnecting");
  assert.equal(at("live", 1000, 21_000), "the picture is 20 s old");
  assert.equal(at("connecting", null, 0), "connecting");
  assert.equal(at("refused", null, 0), "not let in");
});
