import assert from "node:assert/strict";
import { test } from "node:test";
import { applyDelta, findLink, linksOf, readLink, readPicture } from "../../assets/state/picture.js";
import { summary } from "../../assets/state/headline.js";
import { columns, document, link, node } from "./sample.js";

test("both forms of the document give the same links", () => {
  const full = document((made) => {
    Object.assign(made.links[0], { state: "down", flows: { ok: 0, total: 8 }, loss: { forward: 1, return: null }, rtt_us: { p50: null, p99: null }, reason: "silent", round_trip: "up", transport: "tcp", via: true, detail: "no route", heard: "silent" });
  });
  const [one, other] = [readPicture(full), readPicture(columns(full))];
  for (let at = 0; at < one.links.count; at += 1) {
    assert.deepEqual(readLink(other, at), readLink(one, at));
  }
});

test("what is seldom looked at stays with its link when others come and go; a delta's goes before", () => {
  const full = document((made) => made.links.forEach((one, at) => Object.assign(one, { transport: "tcp", detail: `link ${at}` })));
  const before = readPicture(columns(full));
  const after = applyDelta(before, { nodes: [node("c-1", "c")], links: [link("a-1", "c-1"), link("a-2", "b-1", { detail: "anew" })], gone: { nodes: [], links: [["a-1", "a-2"]] } });
  const told = (from, to) => [findLink(after, from, to).more.transport, findLink(after, from, to).more.detail];
  assert.deepEqual(told("b-1", "a-2"), ["tcp", `link ${full.links.findIndex((one) => one.from === "b-1" && one.to === "a-2")}`]);
  assert.deepEqual(told("a-2", "b-1"), ["udp", "anew"]);
  assert.deepEqual(told("a-1", "c-1"), ["udp", null]);
  assert.equal(summary(after).carried.tcp, 4);
});

test("what was not measured is null and never 0", () => {
  const found = readPicture(columns(document((made) => {
    Object.assign(made.links[0], { loss: { forward: null, return: null }, rtt_us: { p50: null, p99: null }, since: null });
  })));
  const { lossForward, lossReturn, rttP50, rttP99 } = readLink(found, 0);
  assert.deepEqual([lossForward, lossReturn, rttP50, rttP99], [null, null, null, null]);
});

test("a delta changes what it names, leaves the earlier picture alone and keeps its columns of ends", () => {
  const before = readPicture(columns(document()));
  const after = applyDelta(before, { digest: "2", links: [link("a-1", "b-1", { state: "down", reason: "silent" })], nodes: [], gone: { nodes: [], links: [] }, verdicts: [] });
  assert.equal(findLink(before, "a-1", "b-1")?.state, "up");
  assert.equal(findLink(after, "a-1", "b-1")?.state, "down");
  assert.equal(findLink(after, "a-1", "b-1")?.more?.reason, "silent");
  assert.equal(findLink(after, "b-1", "a-1")?.state, "up");
  assert.equal(after.links.from, before.links.from);
});

test("nodes and links come and go", () => {
  const before = readPicture(document());
  const grown = applyDelta(before, { nodes: [node("c-1", "c")], links: [link("a-1", "c-1"), link("c-1", "a-1", { state: "unknown" })], gone: { nodes: [], links: [] } });
  assert.equal(grown.links.count, 8);
  assert.equal(findLink(grown, "c-1", "a-1")?.state, "unknown");
  const shrunk = applyDelta(grown, { nodes: [], links: [], gone: { nodes: ["a-2"], links: [["a-1", "b-1"]] } });
  assert.deepEqual(shrunk.nodes.map((one) => one.id), ["a-1", "b-1", "c-1"]);
  assert.equal(findLink(shrunk, "a-1", "b-1"), null);
  assert.equal(findLink(shrunk, "b-1", "a-1")?.state, "up");
  assert.equal(findLink(shrunk, "c-1", "a-1")?.state, "unknown");
  assert.equal(shrunk.links.count, 3);
});

test("rubbish from a newer or broken node does not break the page", () => {
  const odd = readPicture(document((made) => {
    made.links[0].state = "wobbly";
    made.links.push(link("a-1", "nobody"));
  }));
  assert.equal(readLink(odd, 0).state, "unknown");
  assert.equal(odd.links.count, 6);
  assert.equal(readPicture({}).links.count, 0);
});

test("links of a node, out and in", () => {
  const found = readPicture(document());
  const { out, into } = linksOf(found, 0);
  assert.deepEqual([...out].map((at) => readLink(found, at).to).sort(), ["a-2", "b-1"]);
  assert.deepEqual([...into].map((at) => readLink(found, at).from).sort(), ["a-2", "b-1"]);
  assert.equal(linksOf(found, 99).out.length, 0);
});
