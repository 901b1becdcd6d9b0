import assert from "node:assert/strict";
import { test } from "node:test";
import { changesBetween, CHANGES_MAX, withNews } from "../../assets/state/changes.js";
import { freshness } from "../../assets/state/connection.js";
import { linkRows, nodeRows } from "../../assets/state/lists.js";
import { mapModel } from "../../assets/state/map.js";
import { nodeMatrix, siteMatrix } from "../../assets/state/matrix.js";
import { flowMarks, historyOf, linkPanel, nodePanel, pairPanel, sitePanel } from "../../assets/state/panel.js";
import { applyDelta, readLink, readPicture } from "../../assets/state/picture.js";
import { HOME, readRoute, writeRoute } from "../../assets/state/route.js";
import { search } from "../../assets/state/search.js";
import { document, link, node, verdict } from "./sample.js";

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
  assert.deepEqual(historyOf({ history: [{ rtt_us_p50: null, loss: null }, { rtt_us_p50: 5, loss: 0, loss_forward: 0.5 }] }), { rtt: [null, 5], loss: [null, 0.5], stepS: 1 });
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
  const many = Array.from({ length: 2 * CHANGES_MAX }, () => ({ at: 0, key: null }));
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
