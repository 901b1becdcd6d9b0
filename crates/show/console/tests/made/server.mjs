// Serves the console's files beside a made grid: `node made/server.mjs [port] [role]` to look at
// it, `serveMade()` for the browser test. It exists in tests only; no part of the product.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { columns } from "../unit/sample.js";
import { makeWorld } from "./world.mjs";

const assets = join(fileURLToPath(new URL(".", import.meta.url)), "../../assets");
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml" };

/** @returns {Promise<{url:string, world:any, asked:string[], broken:Set<string>, tell:() => void, close:() => void}>} */
export async function serveMade({ port = 0, role = "operator", world = makeWorld({ role }) } = {}) {
  const streams = new Set();
  /** Paths asked for, in order; and beginnings of paths that answer 500. */
  const asked = [];
  const broken = new Set();
  const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const tell = () => streams.forEach((stream) => stream.write(event("incidents", world.incidents())));

  const server = createServer(async (request, response) => {
    const { pathname, searchParams: query } = new URL(request.url, "http://node");
    const send = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    if (pathname.startsWith("/api/")) asked.push(`${request.method} ${pathname}`);
    if ([...broken].some((start) => pathname.startsWith(start))) return send(500, { error: { code: "broken", message: "the disk is full", help: "make room" } });
    if (pathname === "/api/v1/picture/stream") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(event("picture", columns(world.picture())) + event("incidents", world.incidents()));
      streams.add(response);
      request.on("close", () => streams.delete(response));
      return undefined;
    }
    const body = request.method === "POST" ? JSON.parse((await text(request)) || "{}") : {};
    const moment = (name) => Date.parse(query.get(name));
    const [, , , what, a, b] = pathname.split("/").map(decodeURIComponent);
    if (request.method === "POST" && role === "viewer") return send(403, { error: { code: "role", message: "this needs the role operator" } });
    if (pathname === "/api/v1/me") return send(200, world.me);
    if (pathname === "/api/v1/picture") return send(200, world.picture());
    if (what === "incidents" && !a) return send(200, world.incidents());
    if (what === "incidents" && b) {
      const done = world.remark(a, b, body);
      tell();
      return done ? send(200, done) : send(404, { error: { message: "no such incident" } });
    }
    if (what === "links") return send(200, world.detail(a, b));
    if (what === "trace") return setTimeout(() => send(200, { from: body.from, to: body.to, address: "10.6.0.10", started_at: new Date(world.now()).toISOString(), flows: world.flows(body.from, body.to, body.flows) }), 600);
    if (pathname === "/api/v1/history/span") return send(200, world.span());
    if (pathname === "/api/v1/history/picture") return send(200, columns(world.picture(moment("at"))));
    if (pathname === "/api/v1/history/changes") return send(200, world.changes().filter((one) => Date.parse(one.at) >= moment("since") && Date.parse(one.at) <= moment("until")).slice(-Number(query.get("limit"))));
    if (pathname === "/api/v1/history/link") return send(200, world.history(query.get("from"), query.get("to"), moment("since"), moment("until")));
    if (pathname.startsWith("/api/")) return send(404, { error: { message: `nothing is at ${pathname}` } });
    const file = pathname === "/" || pathname.startsWith("/incidents") || pathname === "/board" ? "index.html" : normalize(pathname).replace(/^[/.]+/, "");
    try {
      const bytes = readFileSync(join(assets, file));
      response.writeHead(200, { "content-type": types[extname(file)] ?? "text/plain", "cache-control": "no-cache", "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'" });
      response.end(bytes);
    } catch {
      send(404, { error: { message: "no such file" } });
    }
    return undefined;
  });
  let before = "";
  const beat = setInterval(() => {
    const full = world.picture();
    const state = JSON.stringify(full.verdicts.map((verdict) => verdict.id));
    const links = state === before ? full.links.slice(0, 4) : full.links;
    before = state;
    for (const stream of streams) stream.write(event("delta", { digest: full.digest, generated_at: full.generated_at, nodes: [], links, gone: { nodes: [], links: [] }, verdicts: full.verdicts }));
  }, 1000);
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`, world, asked, broken, tell,
    close() {
      clearInterval(beat);
      server.closeAllConnections();
      server.close();
    },
  };
}

function text(request) {
  return new Promise((done) => {
    let all = "";
    request.on("data", (piece) => (all += piece));
    request.on("end", () => done(all));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const made = await serveMade({ port: Number(process.argv[2] ?? 8790), role: process.argv[3] ?? "operator" });
  console.log(made.url);
}
