import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutOf, mostHit, selectionOf } from "../../assets/state/headline.js";
import { actionsOf, blastAbout, blastFigures, evidenceOf, incidentOf, incidentView, loneVerdicts, openWords, ordered, readIncidents, shortTitle, timelineRows, titleOf, worstMoment } from "../../assets/state/incidents.js";
import { readPicture } from "../../assets/state/picture.js";
import { HOME, readRoute, writeRoute } from "../../assets/state/route.js";
import { document, verdict } from "./sample.js";

const at = (second) => new Date(Date.UTC(2026, 10, 20, 3, 20, second)).toISOString();
const incident = (id, more = {}) => readIncidents([{
  id, state: "open", severity: "major", title: `${id} happened`, opened_at: at(0), resolved_at: null, acknowledged_by: null, owner: null, reopened: 0,
  verdicts: [], timeline: [], blast_radius: { nodes: ["a-1", "b-1", "gone"], links: ["a-1→b-1", "a-1→gone", "rubbish"], links_total: 3, services: [] }, ...more,
}])[0];
const operator = { id: "n", site: "s", version: "", uptime_s: 1, role: "operator", user: "ada" };

test("open ones come first, the worst and then the newest of each", () => {
  const list = [
    incident("old", { state: "resolved", opened_at: at(1) }), incident("newer", { state: "resolved", opened_at: at(9) }), incident("mild", { severity: "minor", opened_at: at(8) }),
    incident("bad", { severity: "critical", opened_at: at(1) }), incident("watched", { state: "mitigated", severity: "critical" }), incident("bad-new", { severity: "critical", opened_at: at(5) }),
  ];
  assert.deepEqual(ordered(list).map((one) => one.id), ["bad-new", "bad", "mild", "watched", "newer", "old"]);
  assert.deepEqual(openWords(list), { count: 3, text: "3 open incidents", tone: "bad", shape: "cross" });
  assert.equal(openWords([]).text, "Incidents");
  assert.equal(openWords(null).count, 0);
});

test("how long it lasts, who has it", () => {
  const now = Date.parse(at(30));
  assert.equal(incidentView(incident("a"), now).lastedWords, "for 30 s");
  const over = incidentView(incident("a", { state: "resolved", resolved_at: at(12), owner: "ada", acknowledged_by: "bo" }), now);
  assert.equal(over.lastedWords, "lasted 12 s");
  assert.equal(over.care, "owned by ada");
  assert.equal(incidentView(incident("a", { acknowledged_by: "bo" }), now).care, "acknowledged by bo");
  assert.equal(incidentView(incident("a"), now).care, "nobody has it yet");
});

test("found by an id that it had before", () => {
  const list = [incident("a", { aliases: ["b"] })];
  assert.equal(incidentOf(list, "b").id, "a");
  assert.equal(incidentOf(list, "c"), null);
  assert.equal(incidentOf(null, null), null);
});

test("what stands out on the map is what the grid still holds", () => {
  const picture = readPicture(document());
  const about = blastAbout(picture, incident("a"));
  assert.deepEqual([...about.nodes], ["a-1", "b-1"]);
  assert.deepEqual(about.links, [["a-1", "b-1"]]);
  const bare = incident("a", { blast_radius: {}, verdicts: [verdict("node_down", "a-2")] });
  assert.deepEqual([...blastAbout(picture, bare).nodes], ["a-2"]);
});

test("figures of the blast radius: what was not counted is left out", () => {
  const named = (more) => blastFigures(incident("a", { blast_radius: { nodes: ["x"], links: [], services: ["shop", "pay"], ...more } })).map((one) => `${one.name}: ${one.value}`);
  assert.deepEqual(named({}), ["Nodes: 1", "Links: 0", "Services: 2"]);
  assert.deepEqual(named({ links_total: 1234, flows: { failed: 7, total: 16 }, share: 0.0004 }), ["Nodes: 1", "Links: 1,234", "Services: 2", "Flows that fail: 7 of 16", "Of the whole grid: < 0.1 %"]);
});

test("the timeline counts from the first symptom, in tenths while it is young", () => {
  const rows = timelineRows(incident("a", { timeline: [
    { at: at(0), kind: "first_symptom", text: "x" }, { at: "2026-11-20T03:20:00.700Z", kind: "verdict", text: "y", by: "n1" }, { at: at(95), kind: "invented_later", text: "z" },
  ] }));
  assert.deepEqual(rows.map((row) => row.offset), ["0 s", "+0.7 s", "+1 min 35 s"]);
  assert.deepEqual(rows.map((row) => row.words.text), ["First symptom", "Verdict", "invented later"]);
});

test("the map of what is over shows the moment at which it was last said to be wrong", () => {
  const over = (timeline) => incident("a", { state: "resolved", resolved_at: at(50), timeline });
  assert.equal(worstMoment(incident("a")), null);
  assert.equal(worstMoment(over([])), Date.parse(at(1)));
  assert.equal(worstMoment(over([{ at: at(2), kind: "verdict" }, { at: at(9), kind: "changed" }, { at: at(30), kind: "cleared" }])), Date.parse(at(10)));
  assert.equal(worstMoment(over([{ at: at(2), kind: "verdict" }, { at: "2026-11-20T03:20:02.400Z", kind: "cleared" }])), Date.parse(at(2)) + 399);
});

test("a title that was cut for lists is said in full on its page", () => {
  const verdicts = [verdict("path_fault", "x", { sentence: "Half of the flows die there, the others pass." })];
  assert.equal(titleOf(incident("a", { title: "Half of the flows die the…", verdicts })), verdicts[0].sentence);
  const short = (title) => shortTitle(incident("a", { title }));
  assert.equal(short("7 of 16 flows on 2 links die at 10.0.4.1 (also seen as 10.0.5.2), most from web; the others pa…"), "7 of 16 flows on 2 links die at 10.0.4.1 (also seen as 10.0.5.2), most from web");
  assert.equal(short("No marks anywhere in this long title of an inci…"), "No marks anywhere in this long title of an inci…");
  assert.equal(short("Whole; as it is."), "Whole; as it is.");
  assert.equal(titleOf(incident("a", { title: "Something else…", verdicts })), "Something else…");
});

test("evidence for and against, each observation once", () => {
  const item = (observer, supports) => ({ observer, observation: "sees it", supports, since: null });
  const found = evidenceOf(incident("a", { verdicts: [verdict("path_fault", "x", { evidence: [item("n1", true), item("n2", false)] }), verdict("node_down", "y", { evidence: [item("n1", true), item("n3", true)] })] }));
  assert.deepEqual(found.supports.map((one) => one.observer), ["n1", "n3"]);
  assert.deepEqual(found.against.map((one) => one.observer), ["n2"]);
});

test("who may do what, and why not", () => {
  const can = (one, me) => actionsOf(one, me).filter((action) => action.why === null).map((action) => action.verb);
  assert.deepEqual(can(incident("a"), operator), ["ack", "own", "mitigate", "resolve"]);
  assert.deepEqual(can(incident("a"), { ...operator, role: "viewer" }), []);
  assert.deepEqual(can(incident("a"), null), []);
  assert.deepEqual(can(incident("a", { acknowledged_by: "bo", owner: "ada" }), operator), ["mitigate", "resolve"]);
  assert.deepEqual(can(incident("a", { state: "mitigated" }), operator), ["ack", "own", "resolve"]);
  assert.deepEqual(can(incident("a", { state: "resolved" }), operator), []);
  assert.match(actionsOf(incident("a"), { ...operator, role: "viewer" })[0].why, /viewer; this needs operator/);
});

test("a verdict that an open incident holds is told by the incident alone", () => {
  const picture = readPicture(document((made) => made.verdicts.push(verdict("node_down", "a-1"), verdict("node_down", "a-2"))));
  const holds = (state) => [incident("a", { state, verdicts: [verdict("node_down", "a-1")] })];
  assert.deepEqual(loneVerdicts(picture, holds("open")).map((one) => one.subject), ["a-2"]);
  assert.equal(loneVerdicts(picture, holds("resolved")).length, 2);
  assert.equal(loneVerdicts(picture, null).length, 2);
});

test("a path fault leads to the link that it hits most", () => {
  const picture = readPicture(document((made) => {
    made.links.find((one) => one.from === "a-1" && one.to === "b-1").flows = { ok: 6, total: 8 };
    made.links.find((one) => one.from === "b-1" && one.to === "a-2").flows = { ok: 3, total: 8 };
  }));
  const fault = verdict("path_fault", "10.0.2.1", { from: "a-1", to: "b-1", links: ["a-1→b-1", "b-1→a-2", "no→where"] });
  assert.deepEqual(selectionOf(picture, fault), { kind: "link", from: "b-1", to: "a-2" });
  assert.deepEqual(aboutOf(picture, fault).links, [["a-1", "b-1"], ["b-1", "a-2"]]);
  assert.equal(mostHit(picture, ["no→where", "a", "a→b→c"]), null);
  assert.deepEqual(selectionOf(picture, { ...fault, links: [] }), { kind: "link", from: "a-1", to: "b-1" });
});

test("what is no incident is left out, and missing fields do not break the page", () => {
  assert.deepEqual(readIncidents({ incidents: [{ id: "a" }, { id: 5 }, null] }).map((one) => one.id), ["a"]);
  const [bare] = readIncidents([{ id: "a", title: 5 }]);
  assert.equal(bare.title, "5");
  assert.deepEqual(timelineRows(bare), []);
  assert.equal(incidentView(bare, 0).lasted, "");
  assert.deepEqual(readIncidents("rubbish"), []);
});

test("an incident's page and its replay are links to send", () => {
  for (const route of [{ ...HOME, page: "incidents" }, { ...HOME, page: "incidents", incident: "inc/ü 1" }, { ...HOME, at: Date.parse(at(3)), play: 10, time: true, reach: "15m", incident: "x", trend: "week", flow: 40_001 }]) {
    const url = new URL(writeRoute(route), "http://node");
    assert.deepEqual(readRoute(url.pathname, url.search), route);
  }
  const odd = readRoute("/incidents/%E0%A4%A", "?at=yesterday&play=7&reach=century&flow=99999999");
  assert.deepEqual([odd.incident, odd.at, odd.play, odd.reach, odd.flow], ["%E0%A4%A", null, 0, "1h", null]);
  assert.equal(readRoute("/", "?play=10").play, 0);
});
