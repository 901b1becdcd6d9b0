// Paths, incidents and the past in a real browser, against a made grid (`made/`), where every
// moment and every answer is known: `node made.test.mjs [folder for screenshots]`. That a real
// node sends the same is checked by `browser.test.mjs` and by the API's own tests.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { makeWorld } from "./made/world.mjs";
import { serveMade } from "./made/server.mjs";

const folder = process.argv[2] ?? "screenshots";
const PATIENCE_MS = 15_000;
const problems = [];
const steps = [];
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const made = await serveMade();

async function open(path, options = {}, url = made.url) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`page error: ${error.stack}`));
  await page.goto(url + path);
  return page;
}
const shot = (page, name) => page.screenshot({ path: join(folder, `made-${name}.png`) });
const at = (msFromBegin) => new Date(made.world.began + msFromBegin).toISOString();

/** What the browser itself logs of answers that a step provoked on purpose. */
async function provoking(check) {
  const before = problems.length;
  await check();
  problems.splice(before, problems.length, ...problems.slice(before).filter((problem) => !/Failed to load resource/.test(problem)));
}

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

await step("nothing of the past and no incident is asked for before the first picture is shown", async () => {
  page = await open("/");
  await page.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  const shown = await page.evaluate(() => performance.getEntriesByName("first-data")[0].startTime + performance.timeOrigin);
  await page.getByText("Go back in time").waitFor();
  const early = await page.evaluate((moment) => performance.getEntriesByType("resource").filter((one) => /history|incidents$/.test(one.name) && one.startTime + performance.timeOrigin < moment).map((one) => one.name), shown);
  assert.deepEqual(early, []);
});

await step("a path fault names its hops, flows and effect, and leads to the link that it hits most", async () => {
  const card = page.getByRole("list", { name: "Verdicts" }).getByRole("button", { name: /Path fault/ });
  for (const words of ["10.0.2.1", "10.0.9.1", "nothing passes it", /\d+ of 128/]) await card.getByText(words).first().waitFor();
  await card.click();
  const panel = page.getByRole("complementary", { name: /^Details of / });
  await panel.waitFor();
  await panel.getByText("The fault is at or between 10.0.2.1, 10.0.9.1").waitFor();
  const chosen = new URL(page.url()).searchParams;
  const failed = await page.evaluate(async () => {
    const picture = await fetch("/api/v1/picture").then((answer) => answer.json());
    return picture.links.map((link) => [link.flows.total - link.flows.ok, link.from, link.to]).sort((a, b) => b[0] - a[0])[0];
  });
  assert.deepEqual([chosen.get("from"), chosen.get("to")], failed.slice(1));
});

await step("the bundle: both directions, dead ends in words, the guilty hops marked, a row per flow", async () => {
  await page.goto(`${made.url}/?from=fra-web&to=sgp-ship&view=paths`);
  const there = page.getByRole("region", { name: "Paths from fra-web to sgp-ship" });
  const back = page.getByRole("region", { name: "Paths from sgp-ship to fra-web" });
  await there.getByRole("button", { name: /^Way A, \d+ flows from fra-web by 10\.0\.1\.1, 10\.0\.2\.1: \d+ flows end after 10\.0\.2\.1/ }).waitFor();
  await there.getByRole("button", { name: /^Way B, .*reaches sgp-ship/ }).waitFor();
  await back.getByRole("button", { name: /flows end after 10\.0\.9\.1$/ }).waitFor();
  assert.equal(await there.getByText("suspect", { exact: true }).count(), 2);
  assert.ok((await there.boundingBox()).y < (await back.boundingBox()).y);
  const rows = there.getByRole("table").first().getByRole("row");
  assert.equal(await rows.count(), 17);
  await rows.nth(1).getByText("dead").waitFor();
  await page.waitForTimeout(300);
  await shot(page, "paths");
});

await step("a strand is as thick as its flows are many", async () => {
  const widths = await page.locator(".paths-stage .one-way").first().locator(".strand").evaluateAll((strands) =>
    strands.map((strand) => [Number(strand.querySelector("path").getAttribute("stroke-width")), Number(strand.getAttribute("aria-label").match(/, (\d+) flow/)[1])]));
  const [a, b] = widths;
  assert.ok(Math.abs(a[0] / a[1] - b[0] / b[1]) < 1e-6, JSON.stringify(widths));
});

await step("a way is chosen by keyboard, stands in the address, and marks its flows' rows", async () => {
  const way = page.getByRole("region", { name: "Paths from fra-web to sgp-ship" }).getByRole("button", { name: /^Way B/ });
  await way.focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => /flow=\d+/.test(location.search));
  assert.equal(await way.getAttribute("aria-pressed"), "true");
  await page.reload();
  await page.locator("tr.chosen").first().waitFor();
});

await step("a trace on demand is asked for by name and says when it was", async () => {
  const there = page.getByRole("region", { name: "Paths from fra-web to sgp-ship" });
  await there.getByRole("button", { name: "Trace now" }).click();
  await there.getByRole("button", { name: "Tracing" }).waitFor();
  await there.getByText(/Traced on demand at \d\d:\d\d:\d\d/).waitFor();
  assert.ok(made.asked.includes("POST /api/v1/trace"));
});

await step("a link next door says that nothing stands between", async () => {
  await page.goto(`${made.url}/?from=fra-web&to=fra-db`);
  await page.getByText("Nothing stands between: fra-db is the first hop from fra-web.").waitFor();
});

await step("a link's history has spans, words, and a table", async () => {
  await page.goto(`${made.url}/?from=fra-web&to=sgp-ship`);
  await page.getByRole("img", { name: /^The last hour: round trip .*partly cut for about/ }).waitFor();
  await page.getByRole("button", { name: "Day", exact: true }).click();
  await page.getByRole("img", { name: /^The last day: / }).waitFor();
  assert.match(page.url(), /trend=day/);
});

await step("i leads to the incidents, open first, and j and Enter into one", async () => {
  await page.goto(`${made.url}/`);
  await page.getByRole("link", { name: "1 open incident" }).waitFor();
  await page.keyboard.press("i");
  await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
  await page.getByRole("region", { name: "Open incidents" }).getByRole("link", { name: /major.*Half of the flows.*nobody has it yet.*open/ }).waitFor();
  await page.getByRole("region", { name: "Resolved incidents" }).getByRole("link", { name: /critical.*nyc-api is down.*owned by ada.*lasted/ }).waitFor();
  await shot(page, "incidents");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /Half of the flows/ }).waitFor();
  assert.match(page.url(), /\/incidents\/inc-b04d$/);
});

await step("an incident's page: what it hits, timeline, evidence for and against, draft", async () => {
  const hits = page.getByRole("region", { name: "What it hits" });
  for (const [name, value] of [["Nodes", "4"], ["Links", "8"], ["Services", "1"]]) await hits.locator("div", { has: page.getByText(name, { exact: true }) }).getByText(value, { exact: true }).first().waitFor();
  await hits.getByRole("img", { name: /^Map of 6 nodes/ }).waitFor();
  const lines = page.getByRole("region", { name: "Timeline" }).getByRole("listitem");
  await lines.first().getByText("First symptom").waitFor();
  await lines.nth(1).getByText("+0.7 s").waitFor();
  const evidence = page.getByRole("region", { name: "Evidence" });
  await evidence.getByText("4 for it, 1 against").waitFor();
  await evidence.getByText("Speaks against it").waitFor();
  await page.getByRole("region", { name: "Draft for the status page" }).getByText(/Orders may need a second attempt/).waitFor();
  await page.waitForTimeout(400);
  await shot(page, "incident");
});

await step("acknowledged, owned and noted here, it says so; what was typed stays text", async () => {
  const actions = page.getByRole("group", { name: "What can be done" });
  await actions.getByRole("button", { name: "Acknowledge" }).click();
  await actions.getByRole("button", { name: "Acknowledged" }).waitFor();
  await actions.getByRole("button", { name: "Own it" }).click();
  await page.getByText("owned by grace").waitFor();
  await page.keyboard.press("n");
  await page.keyboard.type("drained <b>10.0.2.1</b>");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("region", { name: "Timeline" }).getByText("drained <b>10.0.2.1</b>").waitFor();
  assert.equal(await page.getByRole("textbox", { name: /Note/ }).inputValue(), "");
});

await step("an action that fails says why and loses nothing that was typed", () => provoking(async () => {
  made.broken.add("/api/v1/incidents/");
  await page.getByRole("textbox", { name: /Note/ }).fill("do not lose me");
  await page.getByRole("button", { name: "Add note" }).click();
  await page.getByRole("alert").getByText("That did not work: the disk is full").waitFor();
  assert.equal(await page.getByRole("textbox", { name: /Note/ }).inputValue(), "do not lose me");
  made.broken.clear();
}));

await step("the draft is copied as it stands", async () => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByText("Copied.").waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^We see that a part of the connections/);
});

await step("replay begins before the first symptom, says that it is the past, and reaches the fault", async () => {
  await page.getByRole("heading", { level: 1 }).focus();
  await page.keyboard.press("r");
  await page.getByRole("status").getByText(/^As it was at/).waitFor();
  await page.getByRole("heading", { level: 1, name: "All well" }).waitFor();
  assert.match(page.url(), /at=.*&play=10/);
  await page.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  await page.getByRole("complementary", { name: "What changed" }).getByText("Path fault: 10.0.2.1 towards 10.0.9.1").waitFor();
  assert.match(await page.title(), /^as it was: /);
  await page.keyboard.press("Space");
  await page.waitForFunction(() => !/play=/.test(location.search));
  await page.getByRole("link", { name: "To the incident" }).waitFor();
  await shot(page, "replay");
});

await step("arrows step through the changes, and Esc leads back to live", async () => {
  await page.goto(`${made.url}/`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.keyboard.press("t");
  const slider = page.getByRole("slider", { name: "Moment" });
  await slider.waitFor();
  assert.equal(await slider.getAttribute("aria-valuetext"), "live");
  await page.waitForFunction(() => document.querySelectorAll(".track .mark").length >= 3);
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("status").getByText(/^As it was at/).waitFor();
  await page.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  const last = new URL(page.url()).searchParams.get("at");
  assert.equal(last, at(900));
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction((before) => new URLSearchParams(location.search).get("at") !== before, last);
  await page.getByRole("heading", { level: 1, name: "All well" }).waitFor();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((moment) => new URLSearchParams(location.search).get("at") === moment, last);
  await page.keyboard.press("Escape");
  await page.getByRole("status").waitFor({ state: "detached" });
  await page.getByText("live", { exact: true }).waitFor();
});

await step("beyond the stretch in sight the change before is still found", async () => {
  await page.goto(`${made.url}/?at=${at(-40 * 60_000)}&time&reach=15m`);
  await page.getByRole("slider").waitFor();
  await page.waitForFunction(() => document.querySelector("#strip-words")?.textContent.startsWith("nothing changed"));
  await page.keyboard.press("ArrowLeft");
  await page.getByText(/Incident resolved: nyc-api is down/).first().waitFor();
});

await step("dragging goes to the moment under the pointer", async () => {
  await page.goto(`${made.url}/?time`);
  const slider = page.getByRole("slider");
  await slider.waitFor();
  const box = await slider.boundingBox();
  await page.mouse.move(box.x + box.width - 2, box.y + 20);
  await page.mouse.down();
  for (const share of [0.9, 0.7, 0.5]) await page.mouse.move(box.x + box.width * share, box.y + 20);
  await page.mouse.up();
  await page.getByRole("status").getByText(/30 min ago/).waitFor();
  const back = Date.now() - Date.parse(new URL(page.url()).searchParams.get("at"));
  assert.ok(Math.abs(back - 30 * 60_000) < 60_000, `${back} ms ago`);
  await page.getByRole("heading", { level: 1, name: "All well" }).waitFor();
});

await step("a moment in the address is shown at once; the node that was down then is down", async () => {
  await page.goto(`${made.url}/?at=${at(-85 * 60_000)}`);
  await page.getByText("nyc-api in nyc is down").first().waitFor();
  await page.getByRole("img", { name: /1 nodes and 5 links are not up/ }).waitFor();
});

await step("a past that cannot be read says so and leaves a way back", () => provoking(async () => {
  made.broken.add("/api/v1/history");
  await page.goto(`${made.url}/?at=${at(0)}`);
  await page.getByText("The picture as it was cannot be read: the disk is full.").waitFor();
  await page.getByRole("button", { name: /^Back to live/ }).first().click();
  await page.getByRole("heading", { level: 1, name: "One thing is wrong" }).waitFor();
  made.broken.clear();
}));

await step("the board shows open incidents large", async () => {
  const board = await open("/board", { viewport: { width: 1920, height: 1080 } });
  const told = board.getByRole("list", { name: "Open incidents" }).getByRole("listitem");
  await told.getByText("Half of the flows between fra and sgp die behind 10.0.2.1").waitFor();
  await told.getByText("owned by grace").waitFor();
  const size = await told.locator(".sentence").evaluate((text) => Number.parseFloat(getComputedStyle(text).fontSize));
  assert.ok(size >= 40, `${size} pixels are not readable from five metres`);
  assert.equal(await board.getByRole("list", { name: "Verdicts" }).count(), 0);
  await board.waitForTimeout(400);
  await shot(board, "board");
  await board.context().close();
});

await step("who may only look is told so, and may not act", async () => {
  const other = await serveMade({ role: "viewer", world: makeWorld({ role: "viewer" }) });
  const viewer = await open("/incidents/inc-b04d", {}, other.url);
  await viewer.getByText("You look as viewer; acting needs the role operator.").waitFor();
  assert.equal(await viewer.getByRole("button", { name: "Acknowledge" }).isDisabled(), true);
  assert.equal(await viewer.getByRole("textbox", { name: /Note/ }).isDisabled(), true);
  await viewer.goto(`${other.url}/?from=fra-web&to=sgp-ship`);
  await viewer.getByRole("button", { name: "Trace now" }).first().waitFor();
  assert.equal(await viewer.getByRole("button", { name: "Trace now" }).first().isDisabled(), true);
  await viewer.context().close();
  other.close();
});

await step("the map of an incident that is over shows the grid as it was then", async () => {
  await page.goto(`${made.url}/incidents/inc-7c21`);
  const hits = page.getByRole("region", { name: "What it hits" });
  await hits.getByText(/^The grid as it was at .*what the incident hit stands out/).waitFor();
  await hits.getByRole("img", { name: /^Map of 6 nodes in 3 sites; 1 nodes and 5 links are not up/ }).waitFor();
  await page.getByText("Console shows <b>not syncing</b>.").waitFor();
  await page.waitForTimeout(300);
  await shot(page, "resolved");
});

await step("an incident that nobody knows says so", async () => {
  await page.goto(`${made.url}/incidents/inc-none`);
  await page.getByRole("heading", { name: "No such incident here" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { level: 1, name: "Incidents" }).waitFor();
});

await step("390 pixels are enough for all of it, light and dark", async () => {
  const narrow = await open("/", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: "dark" });
  const views = { incidents: "/incidents", incident: "/incidents/inc-b04d", link: "/?from=fra-web&to=sgp-ship", paths: "/?from=fra-web&to=sgp-ship&view=paths", past: `/?at=${at(900)}&time` };
  for (const [name, path] of Object.entries(views)) {
    await narrow.goto(made.url + path);
    await narrow.getByRole("heading").first().waitFor();
    await narrow.waitForTimeout(900);
    const wide = await narrow.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 390, `${path} is ${wide} pixels wide`);
    await shot(narrow, `narrow-${name}`);
  }
  await narrow.context().close();
});

await browser.close();
made.close();
for (const line of steps) console.log(line);
for (const problem of problems) console.log(`PROBLEM ${problem}`);
console.log(`screenshots: ${folder}`);
process.exit(problems.length === 0 ? 0 : 1);
