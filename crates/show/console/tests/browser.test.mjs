// The console in a real browser against a real demo: `ANDON_URL=http://127.0.0.1:8777 node
// browser.test.mjs [folder for screenshots]`. Finds everything by role and text, as people do.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const url = (process.env.ANDON_URL ?? "http://127.0.0.1:8777").replace(/\/$/, "");
const folder = process.argv[2] ?? "screenshots";
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Milliseconds for a fault to be seen and shown; the promise is 2.5 s, a loaded machine gets more. */
const SEEN_MS = 15_000;

const problems = [];
const steps = [];
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: browserPath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A page that reports whatever goes wrong on it. */
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(SEEN_MS);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`page error: ${error.stack}`));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== "data:" && asked.origin !== new URL(url).origin) problems.push(`asked another host: ${request.url()}`);
  });
  await page.goto(url + path);
  return page;
}

const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });
const fault = (page, id, active) =>
  page.evaluate(
    ([name, on]) => fetch("/api/v1/demo/fault", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: name, active: on }) }).then((answer) => answer.status),
    [id, active],
  );

async function step(name, check) {
  const began = performance.now();
  try {
    await check();
    steps.push(`ok      ${name} (${Math.round(performance.now() - began)} ms)`);
  } catch (error) {
    steps.push(`FAILED  ${name}`);
    problems.push(`${name}: ${error.message}`);
  }
}

let page;

await step("events are asked about, narrowed by a click, undone, and drawn", async () => {
  page = await open("/");
  await page.getByText("live", { exact: true }).waitFor();
  await page.keyboard.press("e");
  const question = page.getByRole("combobox", { name: "Question" });
  await question.fill("metr");
  await page.getByRole("option", { name: "metrics" }).waitFor();
  await question.press("Tab");
  assert.equal(await question.inputValue(), "metrics");
  await question.pressSequentially(" | by name | count");
  await question.press("Enter");
  await page.getByRole("button", { name: "process.thread.count", exact: true }).click();
  await page.waitForURL(/where\+name/);
  await page.getByRole("status").getByText(/^1 row from/).waitFor();
  await page.goBack();
  await page.getByRole("button", { name: "system.pressure", exact: true }).waitFor();
  assert.equal(await question.inputValue(), "metrics | by name | count");
  await question.fill("metrics | by name, 1s | count");
  await question.press("Enter");
  await page.getByRole("img", { name: /^count over time: .*process.thread.count/ }).locator("canvas").waitFor();
  await shot(page, "explore");
  const before = problems.length;
  await question.fill("metrics | wher name = 1");
  await question.press("Enter");
  await page.getByRole("alert").getByText("No stage begins with `wher`.").waitFor();
  // The browser itself reports the refusal that was provoked.
  problems.splice(before, problems.length, ...problems.slice(before).filter((problem) => !/status of 400/.test(problem)));
  await page.context().close();
});

// ---- events ------------------------------------------------------------------------------------

/** Milliseconds for what waits for stores: another node's events travel, and machines are busy. */
const KEPT_MS = 60_000;

/** Sends events to a node as whoever is on its machine may. */
async function send(node, dataset, events) {
  const answer = await fetch(`${node}/api/v1/events?dataset=${dataset}`, { method: "POST", body: events.map((event) => JSON.stringify(event)).join("\n") });
  const told = await answer.text();
  assert.equal(answer.status, 200, told);
  assert.equal(JSON.parse(told).accepted, events.length, told);
}

/** Other nodes of the demo, as their own machine reaches them. */
async function others() {
  const picture = await fetch(`${url}/api/v1/picture`).then((answer) => answer.json());
  const found = [];
  for (const node of picture.nodes.filter((one) => one.id !== picture.me)) {
    for (const address of node.addresses ?? []) {
      const ready = await fetch(`http://${address}/readyz`, { signal: AbortSignal.timeout(3000) }).then((answer) => answer.ok, () => false);
      if (ready) {
        found.push(`http://${address}`);
        break;
      }
    }
  }
  return found;
}

async function explore(question, more = "", options = {}) {
  const opened = await open(`/explore?q=${encodeURIComponent(question)}${more}`, options);
  opened.setDefaultTimeout(KEPT_MS);
  return opened;
}

const begun = Date.now();
const iso = (before) => new Date(begun - before).toISOString();
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

/** Requests of half an hour; in its last third those to one endpoint are slow in one zone with one kernel. */
function incident() {
  return Array.from({ length: 6_000 }, (_, n) => {
    const [kernel, zone, endpoint] = [`6.${n % 4}`, `${["eu", "us"][n % 2]}-${"abc"[Math.floor(n / 4) % 3]}`, ["/", "/cart", "/checkout"][Math.floor(n / 12) % 3]];
    const planted = n > 4_000 && kernel === "6.2" && zone === "eu-b" && endpoint === "/checkout";
    return { ts: iso(1_800_000 - n * 290), region: zone.slice(0, 2), zone, "host.name": `h${Math.floor(n / 36) % 20}`, endpoint, kernel, status: planted && Math.floor(n / 36) % 3 === 0 ? 504 : 200, duration_ms: planted ? 800 + (n % 90) : 5 + (n % 37), trace_id: `t${n}` };
  }).concat({ ts: iso(300_000), region: "eu", zone: "eu-b", "host.name": "h1", endpoint: "/checkout", kernel: "6.2", status: 504, duration_ms: 900, trace_id: TRACE });
}

await step("events of an incident, of a trace on two nodes, and a long log are sent", async () => {
  await send(url, "requests", incident());
  const [other] = await others();
  assert.ok(other, "no other node of the demo takes events");
  const span = (id, parent, service, name, after, ms, more = {}) => ({ ts: new Date(begun - 300_000 + after).toISOString(), kind: "span", trace_id: TRACE, span_id: id, ...(parent ? { parent_span_id: parent } : {}), "service.name": service, name, duration_ms: ms, ...more });
  await send(url, "traces", [span("a", null, "web", "POST /checkout", 0, 800), span("b", "a", "cart", "cart.load", 5, 40)]);
  await send(other, "traces", [span("c", "a", "payment", "charge", 60, 700, { status: "error" }), span("d", "c", "bank", "POST /charge <img src=x>", 80, 640)]);
  const lines = Array.from({ length: 12_000 }, (_, n) => ({ ts: iso(1_700_000 - n * 140), severity_text: n % 50 === 0 ? "error" : "info", body: n === 0 ? "the very first" : `${n % 2 === 0 ? "connection Reset by peer" : "<b>bold</b> request"} ${n}`, line: n }));
  for (let at = 0; at < lines.length; at += 4_000) await send(url, "longlog", lines.slice(at, at + 4_000));
});

await step("the bar completes keys and values that are stored, and points at what is wrong", async () => {
  page = await explore("requests | last 1h");
  const question = page.getByRole("combobox", { name: "Question" });
  const offers = page.getByRole("listbox", { name: "What could come next" });
  await question.fill("requests | where ker");
  await offers.getByRole("option", { name: /^kernel/ }).waitFor();
  await question.press("Tab");
  assert.equal(await question.inputValue(), "requests | where kernel");
  await question.pressSequentially(" = ");
  await offers.getByRole("option", { name: '"6.2"' }).waitFor();
  await question.press("Escape");
  await offers.waitFor({ state: "detached" });
  await question.press("ArrowDown");
  await offers.getByRole("option", { name: '"6.0"' }).waitFor();
  await question.press("ArrowDown");
  await question.press("Enter");
  assert.equal(await question.inputValue(), 'requests | where kernel = "6.0"');
  const before = problems.length;
  await question.fill("requests | where kernel = 6.2 | wher zone = a");
  await question.press("Enter");
  await page.getByRole("alert").getByText("No stage begins with `wher`.").waitFor();
  assert.equal(await page.locator(".echo u").textContent(), "wher");
  assert.equal(await page.evaluate(() => document.getSelection().toString()), "wher");
  problems.splice(before, problems.length, ...problems.slice(before).filter((problem) => !/status of 400/.test(problem)));
  await page.context().close();
});

await step("a planted cause is found: a box on the heatmap, and what is different about it", async () => {
  page = await explore("requests | by auto | heatmap(duration_ms) | last 1h");
  const map = page.getByRole("img", { name: /^heatmap\(duration_ms\)/ });
  await map.waitFor();
  await page.waitForTimeout(300);
  await shot(page, "explore-heatmap");
  const { x, y, width, height } = await map.boundingBox();
  await page.mouse.move(x + width * 0.5, y + 4);
  await page.mouse.down();
  await page.mouse.move(x + width - 3, y + height * 0.08, { steps: 6 });
  await page.mouse.up();
  await page.getByRole("button", { name: "What is different about these?" }).click();
  for (const cause of ["kernel = 6.2", "zone = eu-b", "endpoint = /checkout"]) await page.locator("strong", { hasText: cause }).first().waitFor();
  await page.waitForTimeout(300);
  await shot(page, "explore-differ");
  await page.getByRole("button", { name: "Look at these together" }).click();
  await page.waitForURL((now) => /kernel.*6\.2/.test(now.searchParams.get("q") ?? "") && !/differ/.test(now.searchParams.get("q") ?? ""));
  await page.getByRole("img", { name: /^heatmap/ }).waitFor();
  // Each click was a step; Esc takes them back.
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Look at these together" }).waitFor();
  await page.keyboard.press("Backspace");
  await page.getByRole("img", { name: /^heatmap/ }).waitFor();
  await page.context().close();
});

await step("from an exemplar to its trace, kept on two nodes, walked through by keyboard, and a link to send", async () => {
  page = await explore("requests | p99(duration_ms) | exemplars 2 | last 1h");
  await page.getByRole("complementary", { name: "Exemplars" }).getByRole("button").first().click();
  await page.getByRole("button", { name: "Its trace as a waterfall" }).click();
  const trace = page.getByRole("complementary", { name: "Trace" });
  await trace.getByRole("treeitem", { name: /^payment: charge, 700 ms, after 60 ms, failed/ }).waitFor();
  await trace.getByRole("treeitem", { name: /^bank: POST \/charge <img src=x>, 640 ms/ }).waitFor();
  assert.equal(await trace.getByRole("treeitem", { name: /^bank/ }).getAttribute("aria-level"), "3");
  await trace.getByRole("tree").focus();
  for (const key of ["ArrowDown", "ArrowDown"]) await page.keyboard.press(key);
  const chosen = trace.locator('[aria-selected="true"]');
  await chosen.waitFor();
  const first = await trace.getByRole("treeitem").count();
  // To the span that all others are below; events beside the trace stand there too.
  await page.keyboard.press("Home");
  const top = trace.locator('[aria-selected="true"][aria-label^="web: POST"]');
  for (let step = 0; step < first && (await top.count()) === 0; step += 1) await page.keyboard.press("ArrowDown");
  await top.waitFor();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((count) => document.querySelectorAll('[role="treeitem"]').length < count, first);
  await page.keyboard.press("ArrowRight");
  await page.waitForTimeout(200);
  await shot(page, "explore-waterfall");
  assert.match(page.url(), new RegExp(`trace=${TRACE}`));
  await page.goto(`${url}/explore?trace=${TRACE}`);
  await trace.getByRole("treeitem", { name: /^payment/ }).waitFor();
  await page.context().close();
});

await step("from the fleet down to an endpoint by single clicks, and back", async () => {
  page = await explore("requests | count | last 1h");
  const ladder = page.getByRole("group", { name: "Peel by" });
  await ladder.getByRole("button", { name: "Site" }).click();
  await page.getByRole("button", { name: "eu", exact: true }).click();
  await page.getByRole("button", { name: "eu-b", exact: true }).click();
  await page.getByRole("columnheader", { name: "host.name" }).waitFor();
  const path = page.getByRole("navigation", { name: "The question in parts" });
  for (const part of ['region = "eu"', 'zone = "eu-b"', "by host.name"]) await path.getByText(part).waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("Backspace");
  await page.getByRole("columnheader", { name: "zone" }).waitFor();
  await ladder.getByRole("button", { name: "Fleet" }).click();
  await page.getByRole("columnheader", { name: "region" }).waitFor();
  assert.equal(await path.getByText('region = "eu"').count(), 0);
  await page.context().close();
});

await step("a long log is scrolled to its end, what is looked for is marked, and markup is text", async () => {
  page = await explore("longlog | last 1h");
  const list = page.getByRole("listbox", { name: "Events, newest first" });
  await page.getByRole("status").getByText(/^12,000 events/).waitFor();
  await page.getByText("<b>bold</b> request 11999").waitFor();
  await list.focus();
  await page.keyboard.press("End");
  await page.getByRole("option").getByText("the very first").waitFor();
  assert.ok((await list.getByRole("option").count()) < 100, "lines out of sight are on the page");
  await page.getByRole("complementary", { name: "Event" }).getByText("the very first").waitFor();
  assert.match(page.url(), /pick=r11999/);
  await page.waitForTimeout(300);
  await shot(page, "explore-logs");
  const question = page.getByRole("combobox", { name: "Question" });
  await question.fill('longlog | "reset" | last 1h');
  await question.press("Enter");
  // Every other line but the first; shown from the top.
  await page.getByRole("status").getByText(/^5,999 events, 1 to/).waitFor();
  assert.equal(await page.locator("mark").first().textContent(), "Reset");
  await page.context().close();
});

await step("what another node takes in is followed as it comes, stands still, and is filtered", async () => {
  const [other] = await others();
  page = await explore("tailed", "&live");
  await page.getByRole("status").getByText(/^Following: what /).waitFor();
  const says = (body) => ({ ts: new Date().toISOString(), body });
  // Whoever begins to listen is heard a moment later on a busy machine: sent until it is seen.
  const sent = async (words) => {
    for (;;) {
      await send(other, "tailed", [says(words)]);
      if (await page.getByRole("option").getByText(words).first().waitFor({ timeout: 3000 }).then(() => true, () => false)) return;
    }
  };
  await Promise.race([sent("it came from afar"), new Promise((_, fail) => setTimeout(() => fail(new Error("nothing from the other node")), KEPT_MS))]);
  await send(url, "tailed", [says("it came from here")]);
  await page.getByRole("option").getByText("it came from here").waitFor();
  await shot(page, "explore-tail");
  await page.getByRole("button", { name: /^Pause/ }).click();
  await send(url, "tailed", [says("later")]);
  await page.getByRole("button", { name: /^Go on \(1 waiting\)/ }).waitFor();
  assert.equal(await page.getByRole("option").getByText("later", { exact: true }).count(), 0);
  await page.getByRole("button", { name: /^Go on/ }).click();
  await page.getByRole("option").getByText("later", { exact: true }).waitFor();
  await page.getByRole("searchbox", { name: "Filter what is shown" }).fill("from here");
  await page.getByRole("option").getByText("later", { exact: true }).waitFor({ state: "detached" });
  assert.equal(await page.getByRole("option").filter({ hasText: "it came from" }).count(), 1);
  await page.context().close();
});

await step("a question that takes long is called off, and 390 pixels are enough for all of Explore", async () => {
  page = await explore("requests | count | last 1h", "", { viewport: { width: 390, height: 844 } });
  await page.getByRole("status").getByText(/^1 row from/).waitFor();
  for (const path of ["requests | by auto | heatmap(duration_ms) | last 1h", "longlog | last 1h", "requests | by region, auto | count, p99(duration_ms) | last 1h", "requests | differ duration_ms >= 500 | last 1h", "tailed&live", `requests | count&trace=${TRACE}`]) {
    const [asked, more] = path.split("&");
    await page.goto(`${url}/explore?q=${encodeURIComponent(asked)}${more ? `&${more}` : ""}`);
    await page.locator("#result, .tail, .spans").first().waitFor();
    await page.waitForTimeout(300);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${path} is ${wide} pixels wide`);
  }
  const before = problems.length;
  await page.route("**/api/v1/query", () => null);
  const question = page.getByRole("combobox", { name: "Question" });
  await question.fill("requests | count");
  await question.press("Enter");
  await page.getByRole("button", { name: /^Stop/ }).click();
  await page.getByText(/^Called off/).waitFor();
  problems.splice(before, problems.length, ...problems.slice(before).filter((problem) => !/ERR_ABORTED|ERR_FAILED/.test(problem)));
  await page.context().close();
});

// ---- the grid ----------------------------------------------------------------------------------

await step("a real node serves incidents, history and types as the console reads them", async () => {
  page = await open("/");
  await page.getByText("Go back in time").waitFor();
  // Until something was kept there is nothing to go back to; a quiet grid keeps something each minute.
  for (let tries = 0; ; tries += 1) {
    const kept = await (await page.request.get(`${url}/api/v1/history/span`)).json();
    if (Date.parse(kept.until) - Date.parse(kept.from) > 3000) break;
    assert.ok(tries < 90, "no history within 90 s");
    await new Promise((done) => setTimeout(done, 1000));
  }
  await page.keyboard.press("i");
  await page.getByRole("heading", { name: "Nothing is open" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("t");
  await page.getByRole("slider", { name: "Moment" }).waitFor();
  await page.keyboard.press("Home");
  await page.getByRole("status").getByText(/^As it was at/).waitFor();
  await page.getByText(/nodes? in \d sites?, \d+ links?/).waitFor();
  await page.keyboard.press("End");
  await page.getByText("live", { exact: true }).waitFor();
  await page.context().close();
});

await step("a healthy grid says so in words, in the title and in figures", async () => {
  page = await open("/");
  await page.getByRole("heading", { level: 1, name: "All well" }).waitFor();
  await page.getByText("5 nodes in 3 sites, 20 links").waitFor();
  await page.getByRole("img", { name: /^Map of 5 nodes in 3 sites; 0 nodes and 0 links are not up/ }).waitFor();
  assert.match(await page.title(), /all well/);
  await page.waitForTimeout(400);
  await shot(page, "grid");
});

await step("the map is painted", async () => {
  const colours = await page.locator(".map canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 0) seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    return seen.size;
  });
  assert.ok(colours > 20, `the map shows ${colours} colours`);
});

await step("the matrix is a table of links by name", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("x");
  const table = page.getByRole("table");
  await table.waitFor();
  assert.equal(await table.getByRole("button", { name: /flows, round trip/ }).count(), 20);
  assert.equal(await table.getByRole("rowheader").count(), 5);
  await shot(page, "matrix");
  assert.match(page.url(), /view=matrix/);
});

await step("the list holds every link as a row, nodes too", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await page.getByRole("columnheader", { name: "Loss there" }).waitFor();
  assert.equal(await page.getByRole("row").count(), 21);
  await page.getByRole("button", { name: "Nodes", exact: true }).click();
  await page.getByRole("columnheader", { name: "Reached by" }).waitFor();
  assert.equal(await page.getByRole("row").count(), 6);
  await shot(page, "list");
});

await step("a plug pulled on the page becomes a verdict and a changed headline", async () => {
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await page.getByRole("button", { name: /^Cut \S+ → \S+$/ }).first().click();
  await page.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  await page.getByRole("list", { name: "Verdicts" }).getByRole("button", { name: /Link down/ }).waitFor();
  await page.waitForFunction(() => /1 wrong/.test(document.title));
  await page.getByRole("complementary", { name: "What changed" }).getByRole("listitem").first().waitFor();
  await page.waitForTimeout(1500);
  // The link and its verdict are one piece of news, and the ribbon says it in brief.
  const news = page.getByRole("complementary", { name: "What changed" });
  assert.equal(await news.getByText(/ → .* down$/).count(), 0);
  await page.getByRole("region", { name: "Demo" }).getByText(/^Link down: \S+ → \S+ \(\d of 5 nodes/).waitFor();
  await shot(page, "verdict");
});

await step("the verdict opens by keyboard, then the link it is about", async () => {
  await page.keyboard.press("j");
  await page.getByRole("button", { name: /Link down/, expanded: true }).waitFor();
  await page.getByText(/told from \d+ observations?/).waitFor();
  await page.keyboard.press("Enter");
  const panel = page.getByRole("complementary", { name: /^Details of \S+ → \S+/ });
  await panel.waitFor();
  await panel.getByText("0 of 8 answer").waitFor();
  assert.equal(await panel.getByRole("group", { name: "Both directions" }).getByRole("button").count(), 2);
  await panel.getByRole("img", { name: /^Round trip over the last/ }).waitFor();
  await panel.getByText("arrive at").waitFor();
  await panel.getByText("UDP (STAMP)").waitFor();
  assert.match(page.url(), /from=.*to=.*verdict=/);
  await shot(page, "link");
  await page.reload();
  await panel.waitFor();
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
});

await step("search finds a node, and its panel opens", async () => {
  await page.keyboard.press("/");
  const field = page.getByRole("combobox", { name: "Search the grid" });
  await field.waitFor();
  const id = await page.evaluate(() => fetch("/api/v1/picture").then((answer) => answer.json()).then((picture) => picture.nodes[0].id));
  await field.fill(id);
  await page.getByRole("option").first().waitFor();
  await shot(page, "search");
  await page.keyboard.press("Enter");
  await page.getByRole("complementary", { name: `Details of ${id}` }).waitFor();
  await page.waitForTimeout(300);
  await shot(page, "node");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await page.keyboard.press("Escape");
});

await step("dark as the system asks, light as the person chooses", async () => {
  const dark = await open("/", { colorScheme: "dark" });
  await dark.getByRole("heading", { level: 1 }).waitFor();
  const ground = () => dark.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const before = await ground();
  await dark.waitForTimeout(500);
  await shot(dark, "dark");
  await dark.keyboard.press("d");
  await dark.waitForTimeout(200);
  assert.notEqual(await ground(), before);
  await dark.context().close();
});

await step("390 pixels are enough: nothing scrolls sideways", async () => {
  const narrow = await open("/", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 });
  await narrow.getByRole("heading", { level: 1 }).waitFor();
  for (const path of ["/", "/?view=matrix", "/?view=list"]) {
    await narrow.goto(url + path);
    await narrow.getByRole("heading", { level: 1 }).waitFor();
    await narrow.waitForTimeout(300);
    const wide = await narrow.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${path} is ${wide} pixels wide`);
  }
  await narrow.goto(`${url}/`);
  await narrow.waitForTimeout(600);
  await narrow.screenshot({ path: join(folder, "narrow.png"), fullPage: true });
  await narrow.context().close();
});

await step("the focus goes into a panel and back to what opened it; the map has a twin in words", async () => {
  await page.goto(`${url}/`);
  const opener = page.getByRole("button", { name: /^Link down/ });
  await opener.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: /Look closer/ }).click();
  const panel = page.getByRole("complementary", { name: /^Details of/ });
  await panel.getByRole("heading", { level: 2 }).waitFor();
  await page.waitForFunction(() => document.querySelector('[aria-label^="Details of"]')?.contains(document.activeElement));
  await page.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement !== document.body);
  const twin = page.getByRole("button", { name: "Show the map as a list" });
  await twin.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("columnheader", { name: "Loss there" }).waitFor();
  await page.goto(`${url}/`);
  await page.getByRole("heading", { level: 1 }).waitFor();
});

await step("the board shows state, verdicts, map and clock, and no controls", async () => {
  const board = await open("/board", { viewport: { width: 1920, height: 1080 } });
  await board.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  // A verdict stands there by itself until an incident holds it.
  const told = board.getByRole("list", { name: /^(Open incidents|Verdicts)$/ }).getByRole("listitem");
  await told.first().waitFor();
  await board.getByText(/^\d\d:\d\d:\d\d$/).waitFor();
  assert.equal(await board.getByRole("button").count(), 0);
  await board.setViewportSize({ width: 1600, height: 900 });
  for (const id of ["loss", "freeze", "flows"]) assert.equal(await fault(board, id, true), 200);
  await told.nth(2).waitFor({ timeout: 2 * SEEN_MS });
  await board.waitForTimeout(1500);
  const cut = await board.locator(".told").evaluate((box) => box.scrollHeight - box.clientHeight);
  assert.ok(cut <= 0, `${cut} pixels of what is wrong are cut off`);
  await board.waitForTimeout(500);
  await shot(board, "board");
  await board.context().close();
});

await step("mended, the page says so by itself", async () => {
  for (const active of await page.evaluate(() => fetch("/api/v1/demo").then((answer) => answer.json()).then((demo) => demo.faults.filter((one) => one.active).map((one) => one.id)))) {
    assert.equal(await fault(page, active, false), 200);
  }
  await page.getByRole("heading", { level: 1, name: "All well" }).waitFor({ timeout: 3 * SEEN_MS });
});

await step("a page whose node is out of reach says how old its picture is", async () => {
  const alone = await open("/");
  await alone.addInitScript(() => {
    const Real = window.EventSource;
    window.EventSource = class extends Real {
      constructor(...options) {
        super(...options);
        window.lastStream = this;
      }
    };
  });
  await alone.reload();
  await alone.getByText("live", { exact: true }).waitFor();
  const before = problems.length;
  await alone.route("**/api/v1/**", (route) => route.abort());
  await alone.evaluate(() => window.lastStream.dispatchEvent(new Event("error")));
  await alone.getByRole("alert").getByText(/The picture is .* old, reconnecting/).waitFor();
  await alone.waitForFunction(() => /^stale/.test(document.title));
  await alone.waitForTimeout(2500);
  await shot(alone, "stale");
  await alone.unroute("**/api/v1/**");
  await alone.getByText("live", { exact: true }).waitFor();
  // The browser itself reports each refused attempt; that is what was provoked.
  problems.splice(before, problems.length, ...problems.slice(before).filter((problem) => !/ERR_FAILED/.test(problem)));
  await alone.context().close();
});

await browser.close();
for (const line of steps) console.log(line);
for (const problem of problems) console.log(`PROBLEM ${problem}`);
console.log(`screenshots: ${folder}`);
// What no healthy demo shows at a known moment: paths, incidents, the past.
const made = spawnSync(process.execPath, [join(import.meta.dirname, "made.test.mjs"), folder], { stdio: "inherit" });
process.exit(problems.length === 0 ? made.status ?? 1 : 1);
