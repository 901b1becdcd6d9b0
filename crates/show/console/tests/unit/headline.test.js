import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutOf, caveat, firstView, headline, inBrief, selectionOf, summary } from "../../assets/state/headline.js";
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

test("links that nobody asks, or asked of a node that left, are not counted", () => {
  const found = readPicture(document((made) => {
    made.nodes[2].state = "left";
    made.links.forEach((one) => { if (one.to === "b-1" || one.from === "b-1") one.state = "left"; });
    made.links[0].state = "not_probed";
  }));
  assert.equal(headline(found).detail, "2 nodes in 1 site, 1 link, 1 left on purpose");
});

test("links over TCP are told beside the headline", () => {
  const said = (change) => caveat(readPicture(document(change)));
  assert.equal(said(() => {}), null);
  assert.equal(said((made) => made.links.forEach((one) => { one.transport = "tcp"; })), "6 of 6 links run over TCP: UDP does not pass");
  assert.equal(said((made) => { made.links[1].transport = "tcp"; }), "1 of 6 links run over TCP: UDP does not pass");
  assert.equal(said((made) => { made.links[0].state = "down"; made.links[1].transport = "tcp"; made.links[2].transport = null; }), "At least 1 of 5 links run over TCP: UDP does not pass");
  assert.equal(said((made) => { made.nodes[2].kind = "target"; made.links.forEach((one) => { if (one.to === "b-1") one.transport = "tcp"; }); }), null);
});

test("the demo's ribbon says in brief what the verdict says in full", () => {
  const cut = verdict("link_down", "a-1→b-1", { sentence: "Nothing gets from a-1 to b-1, while b-1 still arrives: one direction is cut." });
  const line = `${cut.sentence} (5 of 5 nodes, first 1.9 s after the last change)`;
  assert.equal(inBrief(line, [cut]), "Link down: a-1 → b-1 (5 of 5 nodes, first 1.9 s after the last change)");
  assert.match(inBrief(cut.sentence, [{ ...cut, subject: "a-1↔b-1" }]), /^Link down: a-1 ↔ b-1$/);
  assert.equal(inBrief(line, []), "Nothing gets from a-1 to b-1 (5 of 5 nodes, first 1.9 s after the last change)");
  assert.equal(inBrief("All is well again. (5 of 5 nodes)", []), "All is well again. (5 of 5 nodes)");
  assert.equal(inBrief("by hand: Cut a → b", []), "by hand: Cut a → b");
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
