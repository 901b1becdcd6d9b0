// The page with 1,000 nodes and 64,000 links: time to the first real data and per update.
// Serves the console's files and a generated picture itself, so that only the page is
// measured: `node thousand.bench.mjs`. Wall time is what a person waits; main-thread time
// is what the page costs, also while other work keeps the cores busy.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { columns, document as sample, link, node, verdict } from "./unit/sample.js";

const SITES = ["ams", "bom", "dub", "fra", "gru", "iad", "nrt", "pdx", "sin", "syd"];
const NODES_PER_SITE = 100;
const LINKS_PER_NODE = 64;
const CHANGED_PER_UPDATE = 400;
const UPDATES = 20;
const assets = join(fileURLToPath(new URL(".", import.meta.url)), "../assets");
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml" };

let seed = 7;
const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
const below = (limit) => Math.floor(random() * limit);

function picture() {
  const nodes = SITES.flatMap((site, at) => Array.from({ length: NODES_PER_SITE }, (_, number) => {
    const [turn, angle, far] = [(at / SITES.length) * 2 * Math.PI, number * 2.39996, 0.09 * Math.sqrt(number / NODES_PER_SITE)];
    const position = { x: 0.5 + 0.38 * Math.cos(turn) + far * Math.cos(angle), y: 0.5 + 0.38 * Math.sin(turn) + far * Math.sin(angle) };
    return node(`${site}-${number}`, site, { position });
  }));
  const links = nodes.flatMap((from, at) => {
    const home = Math.floor(at / NODES_PER_SITE) * NODES_PER_SITE;
    const ends = new Set();
    while (ends.size < LINKS_PER_NODE) {
      const end = random() < 0.5 ? home + below(NODES_PER_SITE) : below(nodes.length);
      if (end !== at) ends.add(end);
    }
    return [...ends].sort((a, b) => a - b).map((end) => link(from.id, nodes[end].id, { state: random() < 0.002 ? "degraded" : "up", rtt_us: { p50: 300 + below(90_000), p99: 100_000 } }));
  });
  const dead = nodes[205];
  dead.state = "down";
  for (const one of links) {
    if (one.to === dead.id) Object.assign(one, { state: "down", flows: { ok: 0, total: 8 } });
    if (one.from === dead.id) one.state = "unknown";
  }
  const asking = links.filter((one) => one.to === dead.id).length;
  const said = `${dead.id} in ${dead.site} is down: all ${asking} nodes that probe it get no answer, and its own probes stopped too.`;
  return { ...sample(), generated_at: new Date().toISOString(), me: nodes[0].id, nodes, links, verdicts: [verdict("node_down", dead.id, { sentence: said })] };
}

const held = picture();
const whole = `event: picture\ndata: ${JSON.stringify(columns(held))}\n\n`;
const streams = new Set();

function update() {
  const links = Array.from({ length: CHANGED_PER_UPDATE }, () => {
    const one = held.links[below(held.links.length)];
    return { ...one, state: one.state === "up" && random() < 0.02 ? "degraded" : one.state, rtt_us: { p50: 300 + below(90_000), p99: 100_000 } };
  });
  const delta = { digest: "2", generated_at: new Date().toISOString(), nodes: [], links, gone: { nodes: [], links: [] }, verdicts: held.verdicts };
  for (const stream of streams) stream.write(`event: delta\ndata: ${JSON.stringify(delta)}\n\n`);
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://node");
  if (pathname === "/api/v1/picture/stream") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(whole);
    streams.add(response);
    request.on("close", () => streams.delete(response));
    return;
  }
  if (pathname === "/api/v1/me") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ id: held.me, site: "ams", version: "0.1.0", uptime_s: 1 }));
    return;
  }
  if (pathname.startsWith("/api/")) {
    // What is asked for beside the picture; the page has to wait for none of it.
    const body = pathname === "/api/v1/history/span" ? { from: new Date(Date.now() - 3_600_000).toISOString(), until: new Date().toISOString() } : [];
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
    return;
  }
  const name = pathname === "/" ? "index.html" : normalize(pathname).replace(/^[/.]+/, "");
  response.writeHead(200, { "content-type": types[extname(name)] ?? "text/plain" });
  response.end(readFileSync(join(assets, name)));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const url = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

const median = (values) => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1]);
console.log(`${held.nodes.length} nodes, ${held.links.length} links, ${CHANGED_PER_UPDATE} links changed per update; picture ${(whole.length / 1e6).toFixed(1)} MB`);
for (const [name, path] of [["matrix", "/"], ["map", "/?view=map"], ["map, a node chosen", "/?view=map&node=ams-3"], ["list", "/?view=list"]]) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => (await session.send("Performance.getMetrics")).metrics.find((metric) => metric.name === "TaskDuration").value * 1000;
  await page.goto(url + path);
  await page.waitForFunction(() => performance.getEntriesByName("first-data").length > 0);
  const first = await page.evaluate(() => performance.getEntriesByName("first-data")[0].startTime);
  const loading = await busy();
  await page.waitForTimeout(2000);
  const before = await busy();
  for (let round = 0; round < UPDATES; round += 1) {
    update();
    await page.waitForTimeout(400);
  }
  const spent = ((await busy()) - before) / UPDATES;
  const walls = await page.evaluate(() => performance.getEntriesByName("delta-rendered").map((measure) => measure.duration));
  console.log(`${name.padEnd(20)} first data ${Math.round(first)} ms (main thread ${Math.round(loading)} ms); update: median ${median(walls)} ms, worst ${Math.round(Math.max(...walls))} ms, main thread ${spent.toFixed(1)} ms`);
  await context.close();
}
await browser.close();
server.closeAllConnections();
server.close();
