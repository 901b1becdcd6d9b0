// A log of a million lines in Explore, from a real node that keeps them: time until the first lines
// are on the page, until the last after End, until those in between after a leap, and until the first
// hits of a search. Starts its own node: `ANDON=../../../../target/release/andon node million.bench.mjs`.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const LINES = 1_000_000;
const SENT_AT_ONCE = 50_000;
const LEAPS = 15;
const PORT = 17_877;

/** Milliseconds from a key to its lines; what people take for at once, and what they wait for without a word. */
const LEAP_MS_MAX = 500;
const OPEN_MS_MAX = 1_500;

const andon = process.env.ANDON ?? "../../../../target/release/andon";
const folder = mkdtempSync(join(tmpdir(), "andon-million-"));
const url = `http://127.0.0.1:${PORT}`;
writeFileSync(join(folder, "grid.key"), spawnSync(andon, ["keygen"]).stdout, { mode: 0o600 });
const node = spawn(andon, ["node", "--id", "keeper", "--site", "fra", "--listen", `127.0.0.1:${PORT}`, "--key-file", join(folder, "grid.key"), "--data-dir", join(folder, "data")], { stdio: "ignore" });

try {
  while (!(await fetch(`${url}/readyz`).then((answer) => answer.ok, () => false))) await new Promise((done) => setTimeout(done, 100));
  const end = Date.now();
  const line = (n) => JSON.stringify({ ts: end - Math.round(((LINES - n) * 3_000_000) / LINES), severity_text: n % 997 === 0 ? "error" : "info", body: `GET /api/orders/${(n * 7919) % 100_000} ${n % 997 === 0 ? "upstream reset by peer" : "served"} in ${n % 313} ms`, n });
  const sent = performance.now();
  for (let at = 0; at < LINES; at += SENT_AT_ONCE) {
    const body = Array.from({ length: SENT_AT_ONCE }, (_, n) => line(at + n)).join("\n");
    const answer = await fetch(`${url}/api/v1/events?dataset=million`, { method: "POST", body });
    if (!answer.ok) throw new Error(await answer.text());
  }
  console.log(`${LINES.toLocaleString("en")} lines sent and kept in ${((performance.now() - sent) / 1000).toFixed(1)} s`);

  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  const timed = async (act) => {
    const from = performance.now();
    await act();
    return performance.now() - from;
  };
  const list = page.getByRole("listbox", { name: "Events, newest first" });
  const shows = (n) => list.locator(`[aria-posinset="${n}"]`).waitFor();
  const report = (what, times, limit) => {
    times.sort((a, b) => a - b);
    const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
    console.log(`${what.padEnd(52)} median ${at(0.5).toFixed(0).padStart(5)} ms  worst ${at(1).toFixed(0).padStart(5)} ms  n ${times.length}  limit ${limit} ms  ${at(0.5) <= limit ? "ok" : "MISSED"}`);
  };

  const opened = [];
  for (let run = 0; run < 5; run += 1) {
    opened.push(await timed(async () => {
      await page.goto(`${url}/explore?q=${encodeURIComponent("million | last 1h")}`);
      await shows(1);
    }));
  }
  report("page opened until its first lines", opened, OPEN_MS_MAX);
  await page.getByRole("status").getByText(/^1,000,000 events/).waitFor();

  await list.focus();
  report("End until the last line", [await timed(async () => (await page.keyboard.press("End"), shows(LINES)))], LEAP_MS_MAX);
  const leaps = [];
  const height = await list.evaluate((box) => box.scrollHeight);
  for (let leap = 0; leap < LEAPS; leap += 1) {
    const share = ((leap * 7 + 3) % LEAPS) / LEAPS;
    leaps.push(await timed(async () => {
      await list.evaluate((box, top) => (box.scrollTop = top), height * share);
      // All lines in sight are read, none is a placeholder.
      await page.waitForFunction(([share, count]) => {
        const lines = [...document.querySelectorAll(".lines .one")];
        const isThere = Math.abs(Number(lines[0]?.getAttribute("aria-posinset")) / count - share) < 0.01;
        return isThere && lines.every((one) => !one.classList.contains("away"));
      }, [share, LINES]);
    }));
  }
  report("a leap to anywhere until its lines", leaps, LEAP_MS_MAX);
  const question = page.getByRole("combobox", { name: "Question" });
  const searched = [];
  for (const words of ["upstream reset", "orders/4242", "upstream reset"]) {
    await question.fill(`million | "${words}" | last 1h`);
    searched.push(await timed(async () => {
      await question.press("Enter");
      await page.locator("mark").first().waitFor();
    }));
  }
  report("a search until its first hit is marked", searched, OPEN_MS_MAX);
  await browser.close();
} finally {
  node.kill("SIGINT");
  await new Promise((done) => node.once("exit", done));
  rmSync(folder, { recursive: true, force: true });
}
