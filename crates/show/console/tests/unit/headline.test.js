import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutOf, firstView, headline, selectionOf, summary } from "../../assets/state/headline.js";
import { readPicture } from "../../assets/state/picture.js";
import { document, node, verdict } from "./sample.js";

function check(change, expected) {
  const { text, detail, tone } = headline(readPicture(document(change)));
  assert.deepEqual({ text, detail, tone }, expected);
}

test("the headline says in words how the grid is", () => {
  check(() => {}, { text: "All well", detail: "3 nodes in 2 sites, 6 links", tone: "good" });
  check((made) => made.verdicts.push(verdict("node_down", "b-1")), { text: "One thing is wrong", detail: "3 nodes in 2 sites, 6 links", tone: "bad" });
  check((made) => made.verdicts.push(verdict("degraded", "a-1→b-1"), verdict("link_partial", "a-2→b-1")), { text: "2 things are wrong", detail: "3 nodes in 2 sites, 6 links", tone: "warn" });
  check((made) => made.verdicts.push(verdict("host_busy", "a-1")), { text: "All well", detail: "3 nodes in 2 sites, 6 links, 1 remark", tone: "good" });
  check((made) => { made.nodes.length = 1; made.links.length = 0; }, { text: "One node, nobody else yet", detail: "The grid starts here. Bring the next machine in.", tone: "mute" });
  check((made) => made.links.forEach((link) => { link.state = "unknown"; }), { text: "Getting to know the grid", detail: "3 nodes in 2 sites, 6 links; none measured so far", tone: "mute" });
  check((made) => made.verdicts.push(verdict("isolated", "a-1")), { text: "a-1 is cut off from the grid", detail: "This node reaches nobody; what it says of the others is what it knew last.", tone: "bad" });
});

test("nodes that left are not missing", () => {
  const sum = summary(readPicture(document((made) => { made.nodes[2].state = "left"; })));
  assert.deepEqual([sum.nodesUp, sum.present, sum.left], [2, 2, 1]);
});

test("a verdict points at its link, node or site", () => {
  const found = readPicture(document());
  const selection = (one) => selectionOf(found, one);
  assert.deepEqual(selection(verdict("link_down", "a-1→b-1", { from: "a-1", to: "b-1" })), { kind: "link", from: "a-1", to: "b-1" });
  assert.deepEqual(selection(verdict("node_down", "b-1")), { kind: "node", id: "b-1" });
  assert.deepEqual(selection(verdict("site_cut_off", "b")), { kind: "site", id: "b" });
  assert.equal(selection(verdict("node_down", "gone")), null);
  assert.equal(aboutOf(found, undefined).nodes.size, 0);
});

test("a large grid begins with the matrix", () => {
  assert.equal(firstView(readPicture(document())), "map");
  assert.equal(firstView(readPicture(document((made) => {
    for (let at = 0; at < 30; at += 1) made.nodes.push(node(`c-${at}`, "c"));
  }))), "matrix");
});
