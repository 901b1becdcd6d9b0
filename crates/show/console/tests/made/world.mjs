// A made grid with a past, for looking at the console and testing it without nodes: six nodes
// in three sites, an incident that is over, and one that is on. Every document is in the form
// of the API; `unit/sample.js` has the same for single functions.

import { link, node, verdict } from "../unit/sample.js";

const MINUTE = 60_000;
const SITES = { fra: ["fra-db", "fra-web"], nyc: ["nyc-api", "nyc-web"], sgp: ["sgp-api", "sgp-ship"] };
const PLACES = { "fra-db": [0.06, 0.3], "fra-web": [0.26, 0.3], "nyc-api": [0.7, 0.04], "nyc-web": [0.92, 0.04], "sgp-api": [0.62, 0.94], "sgp-ship": [0.84, 0.94] };
const FAR = { "fra nyc": 81_000, "fra sgp": 158_000, "nyc sgp": 231_000 };

/** Minutes of the past that are kept. */
const KEPT_MIN = 150;

const iso = (at) => new Date(at).toISOString();
const siteOf = (id) => id.split("-")[0];

/** A number that stays the same for the same words. */
function noise(...words) {
  let hash = 2166136261;
  for (const letter of words.join(" ")) hash = Math.imul(hash ^ letter.charCodeAt(0), 16777619);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 2246822519);
  hash ^= hash >>> 13;
  return (hash >>> 0) / 2 ** 32;
}

export function makeWorld({ now = () => Date.now(), role = "operator" } = {}) {
  const start = Math.floor(now() / 1000) * 1000;
  const node1 = { from: start - 96 * MINUTE, until: start - 87.4 * MINUTE };
  const path = { from: start - 7 * MINUTE, until: Infinity };
  const remarks = [];

  const nodesDown = (at) => (at >= node1.from && at < node1.until ? ["nyc-api"] : []);
  const cut = (at) => at >= path.from && at < path.until;
  const crosses = (from, to) => ["fra", "sgp"].includes(siteOf(from)) && ["fra", "sgp"].includes(siteOf(to)) && siteOf(from) !== siteOf(to);

  function linkAt(from, to, at) {
    const [a, b] = [siteOf(from), siteOf(to)].sort();
    const base = a === b ? 240 + 60 * noise(from, to) : FAR[`${a} ${b}`];
    const p50 = Math.round(base * (1 + 0.02 * noise(from, to, Math.floor(at / 5000))));
    const down = nodesDown(at);
    const since = (moment) => ({ since: iso(moment) });
    if (down.includes(to)) return link(from, to, { state: "down", reason: "silent", flows: { ok: 0, total: 8 }, loss: { forward: 1, return: null }, rtt_us: { p50: null, p99: null }, heard: "silent", ...since(node1.from + 900) });
    if (down.includes(from)) return link(from, to, { state: "unknown", flows: { ok: 0, total: 0 }, loss: { forward: null, return: null }, rtt_us: { p50: null, p99: null }, ...since(node1.from + 900) });
    if (cut(at) && crosses(from, to)) {
      const failed = deadPorts(from, to).length;
      return link(from, to, { state: "partial", reason: "silent", flows: { ok: 16 - failed, total: 16 }, loss: { forward: failed / 16, return: 0 }, rtt_us: { p50, p99: p50 + 2100 }, rtt_baseline_us: base, ...since(path.from + 400) });
    }
    return link(from, to, { flows: { ok: 8, total: 8 }, rtt_us: { p50, p99: p50 + 900 }, rtt_baseline_us: base, ...since(start - 140 * MINUTE) });
  }

  const ids = Object.values(SITES).flat();
  const ports = Array.from({ length: 16 }, (_, at) => 49_160 + at * 3);
  function deadPorts(from, to) {
    return ports.filter((port) => noise("way", from, to, port) < 0.45);
  }
  const fault = () => {
    const hit = ids.flatMap((from) => ids.filter((to) => crosses(from, to)).map((to) => [from, to]));
    const failed = hit.reduce((sum, [from, to]) => sum + deadPorts(from, to).length, 0);
    return {
      ...verdict("path_fault", "10.0.2.1"),
      sentence: `Nothing passes 10.0.2.1 towards 10.0.9.1 between fra and sgp: ${failed} of ${hit.length * 16} flows die there, on ${hit.length} links. The others go by 10.0.3.1 and come through.`,
      confidence: 0.97, since: iso(path.from), from: "fra-web", to: "sgp-ship",
      hops: ["10.0.2.1", "10.0.9.1"], effect: "blackhole", flows: { failed, total: hit.length * 16 },
      links: hit.map(([from, to]) => `${from}→${to}`).sort(), services: ["shop"],
      evidence: [
        { observer: "fra-web", observation: `${deadPorts("fra-web", "sgp-ship").length} of 16 flows to sgp-ship end after 10.0.2.1`, supports: true, since: iso(path.from) },
        { observer: "fra-db", observation: `${deadPorts("fra-db", "sgp-ship").length} of 16 flows to sgp-ship end after 10.0.2.1`, supports: true, since: iso(path.from + 300) },
        { observer: "sgp-ship", observation: "probes from those ports of fra-web stopped arriving", supports: true, since: iso(path.from + 200) },
        { observer: "sgp-api", observation: "probes from those ports of fra-db stopped arriving", supports: true, since: iso(path.from + 500) },
        { observer: "nyc-web", observation: "2 flows to sgp-api pass 10.0.9.1 from another side and come through", supports: false, since: null },
      ],
    };
  };
  const dead = () => ({
    ...verdict("node_down", "nyc-api"), sentence: "nyc-api in nyc is down: all 5 nodes that probe it get no answer, and its own probes stopped too.",
    confidence: 1, since: iso(node1.from), evidence: ["fra-db", "fra-web", "nyc-web", "sgp-api", "sgp-ship"].map((observer) => ({ observer, observation: "no flow is answered, and its probes stopped", supports: true, since: iso(node1.from) })),
  });

  function picture(at = now()) {
    const down = nodesDown(at);
    return {
      digest: `${Math.floor(at / 1000).toString(16)}`.padEnd(32, "0"), generated_at: iso(at), me: "fra-web",
      nodes: ids.map((id) => node(id, siteOf(id), {
        position: { x: PLACES[id][0], y: PLACES[id][1] }, state: down.includes(id) ? "down" : "up",
        since: iso(down.includes(id) ? node1.from : start - 140 * MINUTE), addresses: [`10.${ids.indexOf(id) + 1}.0.10:8777`], labels: { role: id.split("-")[1] },
      })),
      links: ids.flatMap((from) => ids.filter((to) => to !== from).map((to) => linkAt(from, to, at))),
      verdicts: [...(cut(at - 700) ? [fault()] : []), ...(down.length > 0 && at > node1.from + 1200 ? [dead()] : [])],
    };
  }

  function changes() {
    const list = [
      { at: iso(node1.from + 900), kind: "node_state", subject: "nyc-api", state: "down", text: "nyc-api: up → down" },
      ...ids.filter((id) => id !== "nyc-api").map((id, at) => ({ at: iso(node1.from + 800 + 40 * at), kind: "link_state", subject: `${id}→nyc-api`, from: id, to: "nyc-api", state: "down", text: `${id} → nyc-api is down` })),
      { at: iso(node1.from + 1300), kind: "verdict_opened", subject: "nyc-api", text: "Node down: nyc-api" },
      { at: iso(node1.from + 1400), kind: "incident", subject: "inc-7c21", state: "open", text: "Incident opened: nyc-api is down" },
      { at: iso(node1.until), kind: "node_state", subject: "nyc-api", state: "up", text: "nyc-api: down → up" },
      { at: iso(node1.until + 700), kind: "verdict_cleared", subject: "nyc-api", text: "Over: node down, nyc-api" },
      { at: iso(node1.until + 60_000), kind: "incident", subject: "inc-7c21", state: "resolved", text: "Incident resolved: nyc-api is down" },
      { at: iso(start - 31 * MINUTE), kind: "link_state", subject: "nyc-web→sgp-api", from: "nyc-web", to: "sgp-api", state: "degraded", text: "nyc-web → sgp-api is degraded" },
      { at: iso(start - 29.5 * MINUTE), kind: "link_state", subject: "nyc-web→sgp-api", from: "nyc-web", to: "sgp-api", state: "up", text: "nyc-web → sgp-api is up" },
      ...ids.flatMap((from) => ids.filter((to) => crosses(from, to)).map((to, at) => ({ at: iso(path.from + 400 + 60 * at), kind: "link_state", subject: `${from}→${to}`, from, to, state: "partial", text: `${from} → ${to} is partly cut` }))),
      { at: iso(path.from + 700), kind: "verdict_opened", subject: "10.0.2.1", text: "Path fault: 10.0.2.1 towards 10.0.9.1" },
      { at: iso(path.from + 900), kind: "incident", subject: "inc-b04d", state: "open", text: "Incident opened: nothing passes 10.0.2.1" },
    ];
    return list.filter((one) => Date.parse(one.at) <= now()).sort((a, b) => a.at.localeCompare(b.at));
  }

  function incidents() {
    const open = fault();
    const entry = (at, kind, text, by) => ({ at: iso(at), kind, text, ...(by ? { by } : {}) });
    const list = [
      {
        id: "inc-b04d", state: "open", severity: "major", cause: open.id, title: "Half of the flows between fra and sgp die behind 10.0.2.1",
        opened_at: iso(path.from), resolved_at: null, acknowledged_by: null, owner: null, reopened: 0, verdicts: [open],
        blast_radius: { nodes: ids.filter((id) => siteOf(id) !== "nyc"), sites: ["fra", "sgp"], links: open.links, links_total: open.links.length, services: ["shop"], flows: open.flows, share: open.flows.failed / 352 },
        timeline: [
          entry(path.from, "first_symptom", "7 of 16 flows fra-web → sgp-ship stopped answering"),
          entry(path.from + 700, "verdict", open.sentence, "fra-web"),
          entry(path.from + 1900, "changed", "4 nodes agree; confidence 97 %", "fra-web"),
          entry(path.from + 2600, "notified", "route on-call: opened", "fra-db"),
          entry(path.from + 3100, "notify_failed", "route chat: the endpoint answered 500, trying again", "fra-db"),
        ],
        status_page: "We see that a part of the connections between two of our locations fail. Orders may need a second attempt. We are working on it and will report again within 30 minutes.",
      },
      {
        id: "inc-7c21", state: "resolved", severity: "critical", cause: "node_down:nyc-api", title: "nyc-api is down", opened_at: iso(node1.from), resolved_at: iso(node1.until + 60_000),
        acknowledged_by: "ada", owner: "ada", reopened: 1, verdicts: [dead()],
        blast_radius: { nodes: ["nyc-api"], sites: ["nyc"], links: ids.filter((id) => id !== "nyc-api").map((id) => `${id}→nyc-api`), links_total: 10, services: [], flows: { failed: 40, total: 40 }, share: 0.16 },
        timeline: [
          entry(node1.from, "first_symptom", "no flow of fra-db → nyc-api is answered"),
          entry(node1.from + 1200, "verdict", dead().sentence, "fra-web"),
          entry(node1.from + 2300, "notified", "route on-call: opened", "fra-db"),
          entry(node1.from + 48_000, "acknowledged", "", "ada"),
          entry(node1.from + 130_000, "note", "Kernel panic after the update of this morning; rolling back.\nConsole shows <b>not syncing</b>.", "ada"),
          entry(node1.until + 700, "cleared", "nyc-api answers again", "fra-web"),
          entry(node1.until + 60_000, "resolved", "no symptom for 60 s", "fra-web"),
        ],
        status_page: "",
      },
    ];
    for (const { id, verb, body, at } of remarks) {
      const one = list.find((incident) => incident.id === id);
      const kind = { ack: "acknowledged", own: "owned", note: "note", mitigate: "mitigated", resolve: "resolved" }[verb];
      one.timeline.push(entry(at, kind, body.text ?? (verb === "own" ? `to ${body.owner ?? "grace"}` : ""), "grace"));
      if (verb === "ack") one.acknowledged_by = "grace";
      if (verb === "own") one.owner = body.owner ?? "grace";
      if (verb === "mitigate") one.state = "mitigated";
      if (verb === "resolve") Object.assign(one, { state: "resolved", resolved_at: iso(at) });
    }
    return list;
  }

  /** By two routers side by side; the upper one passes nothing on while the fault is on. */
  function flows(from, to, count = 16) {
    const lost = new Set(cut(now()) && crosses(from, to) ? deadPorts(from, to) : []);
    const end = `10.${ids.indexOf(to) + 1}.0.10`;
    const turned = siteOf(from) === "sgp";
    const hop = (ttl, address, rtt) => ({ ttl, addresses: address ? [address] : [], kind: address ? "answered" : "silent", rtt_us: address ? rtt : null, sent: 3, answered: address ? 3 : 0, mpls: [] });
    return ports.slice(0, count).map((port) => {
      const upper = noise("way", from, to, port) < 0.45;
      const dies = lost.has(port);
      const [near, far] = turned ? ["10.0.9.1", "10.0.1.1"] : ["10.0.1.1", "10.0.9.1"];
      const by = upper ? "10.0.2.1" : "10.0.3.1";
      const deeper = siteOf(from) === siteOf(to) ? [hop(1, end, 250)] : dies ? [hop(1, near, 310), ...(turned ? [] : [hop(2, by, 1240)])]
        : [hop(1, near, 310), hop(2, by, 1240 + 30 * noise(port)), upper ? hop(3, null) : hop(3, "10.0.4.7", 79_000), hop(4, far, 157_000), hop(5, end, 158_000)];
      return { port, state: dies ? "dead" : "alive", sent: 120, answered: dies ? 4 : 120, reached: !dies, hops: deeper, rtt_us: dies ? null : 158_000 + Math.round(400 * noise(port, "rtt")) };
    });
  }

  function detail(from, to) {
    const found = linkAt(from, to, now());
    const paths = flows(from, to, found.flows.total);
    return {
      from, to, transport: "udp", reason: found.reason, heard: found.heard, rtt_baseline_us: found.rtt_baseline_us,
      flows: paths.map((flow) => ({ port: flow.port, alive: flow.state === "alive", rtt_us_last: flow.rtt_us, sent: flow.sent, answered: flow.answered, lost_forward: flow.sent - flow.answered, lost_return: 0 })),
      history: Array.from({ length: 300 }, (_, at) => ({ rtt_us_p50: found.rtt_us.p50 * (1 + 0.02 * noise(at)), loss_forward: cut(now() - (300 - at) * 1000) && crosses(from, to) ? found.loss.forward : 0 })), history_step_s: 1,
      paths,
    };
  }

  function history(from, to, since, until) {
    const points = [];
    const first = Math.max(since, start - KEPT_MIN * MINUTE);
    for (let at = Math.ceil(first / MINUTE) * MINUTE; at < until; at += MINUTE) {
      const one = linkAt(from, to, at);
      points.push({ at: iso(at), state: one.state, loss_forward: one.loss.forward, loss_return: one.loss.return, rtt_us_p50: one.rtt_us.p50, rtt_us_p99: one.rtt_us.p99 && one.rtt_us.p99 + Math.round(9000 * noise(from, to, at) ** 6) });
    }
    return { from, to, step_s: 60, points };
  }

  return {
    picture, changes, incidents, flows, detail, history, now,
    me: { id: "fra-web", site: "fra", version: "0.2.0", uptime_s: 8400, role, user: "grace", proof: "session", demo: false },
    span: () => ({ from: iso(start - KEPT_MIN * MINUTE), until: iso(now()), bytes: 1_400_000, bytes_max: 1_000_000_000 }),
    remark(id, verb, body) {
      if (!incidents().some((one) => one.id === id)) return null;
      remarks.push({ id, verb, body, at: now() });
      return incidents().find((one) => one.id === id);
    },
    heal() {
      path.until = now();
    },
    began: path.from,
  };
}
