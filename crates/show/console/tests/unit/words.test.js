import assert from "node:assert/strict";
import { test } from "node:test";
import { flows, held, linkWords, loss, rtt, span, STATES, transport } from "../../assets/state/words.js";

test("round trips in their natural unit", () => {
  const check = (us, expected) => assert.equal(rtt(us), expected);
  check(null, "not measured");
  check(NaN, "not measured");
  check(0, "0 µs");
  check(310, "310 µs");
  check(9123, "9.12 ms");
  check(82_440, "82.4 ms");
  check(862_000, "862 ms");
  check(12_000_000, "12 s");
});

test("loss that is there is never none", () => {
  const check = (share, expected) => assert.equal(loss(share), expected);
  check(null, "not measured");
  check(0, "none");
  check(0.004, "0.4 %");
  check(0.31, "31 %");
  check(1, "100 %");
});

test("spans in their weightiest units", () => {
  const check = (ms, expected) => assert.equal(span(ms), expected);
  check(-5, "0 s");
  check(12_400, "12 s");
  check(62_000, "1 min 2 s");
  check(3_660_000, "1 h 1 min");
  check(300_000_000, "3 days");
});

test("a state that just began, or of unknown age, is said so", () => {
  assert.equal(held(1000, 2000), "just now");
  assert.equal(held(null, 2000), "");
  assert.equal(held(1000, 14_000), "for 13 s");
});

test("every state has words, a tone and a shape; what is not probed or unknown is never alarming", () => {
  const shapes = new Set(STATES.map((state) => linkWords(state).shape));
  assert.equal(shapes.size, STATES.length);
  for (const state of ["unknown", "not_probed", "left"]) assert.equal(linkWords(state).tone, "mute");
  assert.equal(linkWords("something new").text, "unknown");
  assert.equal(transport("something_new"), "something_new");
  assert.equal(flows(0, 0), "not measured");
});
