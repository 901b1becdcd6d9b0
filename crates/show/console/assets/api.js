// @ts-check
// The only file that fetches. Follows the picture as it changes, and asks the few questions
// that the picture does not answer.

/** @typedef {import("./state/types.js").Me} Me */
/** @typedef {import("./state/types.js").Demo} Demo */

/** Milliseconds without any event (the node sends one every 5 s) after which the stream is
 * taken for dead, whatever the browser says. */
const SILENCE_MS_MAX = 12_000;

/** Milliseconds before the first and the last step of trying again. */
const RETRY_MS_MIN = 400;
const RETRY_MS_MAX = 5_000;

/** Milliseconds after which any other question counts as failed. */
const ANSWER_MS_MAX = 8_000;

/** Milliseconds for a trace: TTLs are asked in rounds, and another node may have to be asked. */
const TRACE_MS_MAX = 40_000;

/** A question that was not answered well. */
export class ApiError extends Error {
  /** @param {number} status 0 where nothing was answered @param {string} message @param {any} [said] What the node said of it. */
  constructor(status, message, said = null) {
    super(message);
    this.status = status;
    this.said = said;
  }
}

/**
 * @param {string} path @param {RequestInit} [init] @param {number} [patience] Milliseconds. @param {AbortSignal|null} [off] Calls it off.
 * @returns {Promise<any>}
 */
async function ask(path, init = {}, patience = ANSWER_MS_MAX, off = null) {
  let response;
  const limit = AbortSignal.timeout(patience);
  try {
    response = await fetch(path, { ...init, cache: "no-store", signal: off ? AbortSignal.any([off, limit]) : limit });
  } catch {
    throw new ApiError(0, "the node does not answer");
  }
  if (!response.ok) throw new ApiError(response.status, await problem(response));
  if (response.status === 204) return null;
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

/** @param {Response} response */
async function problem(response) {
  const said = await response.text().catch(() => "");
  try {
    const document = JSON.parse(said);
    return String(document.message ?? document.error?.message ?? document.error ?? document.title ?? response.statusText);
  } catch {
    return said.slice(0, 200) || response.statusText;
  }
}

/** @param {string} method @param {object} [body] @returns {RequestInit} */
function sending(method, body) {
  return { method, headers: { "content-type": "application/json" }, body: body && JSON.stringify(body) };
}

/** @returns {Promise<Me>} */
export const me = () => ask("/api/v1/me");

/** @param {string} token */
export const login = (token) => ask("/api/v1/session", sending("POST", { token }));

export const logout = () => ask("/api/v1/session", sending("DELETE"));

/** @returns {Promise<Demo>} */
export const demo = () => ask("/api/v1/demo");

/** @param {string} id @param {boolean} active @returns {Promise<any>} */
export const setFault = (id, active) => ask("/api/v1/demo/fault", sending("POST", { id, active }));

/** @param {"pause"|"resume"|"restart"} action @returns {Promise<any>} */
export const steer = (action) => ask("/api/v1/demo/script", sending("POST", { action }));

/** All that the observing node knows of its link. @param {string} from @param {string} to */
export const link = (from, to) => ask(`/api/v1/links/${encodeURIComponent(from)}/${encodeURIComponent(to)}`);

/** @returns {Promise<any>} */
export const incidents = () => ask("/api/v1/incidents");

/** @param {string} id @returns {Promise<any>} */
export const incident = (id) => ask(`/api/v1/incidents/${encodeURIComponent(id)}`);

/** @param {string} id @param {"ack"|"own"|"note"|"mitigate"|"resolve"} verb @param {{text?:string, owner?:string}} said @returns {Promise<any>} */
export const remark = (id, verb, said) => ask(`/api/v1/incidents/${encodeURIComponent(id)}/${verb}`, sending("POST", said));

/** @param {string} from @param {string} to @param {number} flows @returns {Promise<any>} */
export const trace = (from, to, flows) => ask("/api/v1/trace", sending("POST", { from, to, flows }), TRACE_MS_MAX);

/** @param {number} at epoch ms @returns {string} */
const moment = (at) => encodeURIComponent(new Date(at).toISOString());

/** The stretch of time that the node has kept. @returns {Promise<any>} */
export const historySpan = () => ask("/api/v1/history/span");

/** The picture as it was. @param {number} at epoch ms @returns {Promise<any>} */
export const pictureAt = (at) => ask(`/api/v1/history/picture?at=${moment(at)}&form=columns`);

/** @param {number} since epoch ms @param {number} until @param {number} limit @returns {Promise<any>} */
export const historyChanges = (since, until, limit) => ask(`/api/v1/history/changes?since=${moment(since)}&until=${moment(until)}&limit=${limit}`);

/** @param {string} from @param {string} to @param {number} since epoch ms @param {number} until @returns {Promise<any>} */
export const historyLink = (from, to, since, until) =>
  ask(`/api/v1/history/link?from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}&since=${moment(since)}&until=${moment(until)}`);

/** Milliseconds for a question about events: the node itself gives up after ten seconds. */
const QUERY_MS_MAX = 30_000;

/** What the grid's stores hold. @returns {Promise<any>} */
export const datasets = () => ask("/api/v1/datasets");

/** @param {string} dataset @returns {Promise<any>} */
export const keys = (dataset) => ask(`/api/v1/datasets/${encodeURIComponent(dataset)}/keys`);

/** What could be typed next. @param {string} text @param {number} cursor Bytes before it. @param {AbortSignal} signal
 * @returns {Promise<{completions: {text:string, from:number, to:number, kind:string, about:string}[]}>} */
export const complete = (text, cursor, signal) => ask(`/api/v1/query/complete?text=${encodeURIComponent(text)}&cursor=${cursor}`, {}, ANSWER_MS_MAX, signal);

/** A trace as a waterfall. @param {string} id @param {string[]} datasets @param {number|null} from epoch ms @param {number|null} to @param {AbortSignal} signal @returns {Promise<any>} */
export const waterfall = (id, datasets, from, to, signal) =>
  ask(`/api/v1/traces/${encodeURIComponent(id)}?dataset=${datasets.map(encodeURIComponent).join(",")}${from === null ? "" : `&from=${moment(from)}`}${to === null ? "" : `&to=${moment(to)}`}`, {}, QUERY_MS_MAX, signal);

/**
 * Watches events as they are kept, until whoever asked aborts or the stream ends.
 * @param {string} dataset @param {string} conditions As in a question, or empty. @param {AbortSignal} signal
 * @param {(name: string, data: any) => void} take
 */
export async function tail(dataset, conditions, signal, take) {
  let response;
  try {
    response = await fetch(`/api/v1/tail?dataset=${encodeURIComponent(dataset)}${conditions ? `&q=${encodeURIComponent(conditions)}` : ""}`, { cache: "no-store", signal });
  } catch {
    throw new ApiError(0, "the node does not answer");
  }
  if (!response.ok) throw new ApiError(response.status, await problem(response));
  try {
    for await (const { name, data } of eventsOf(response)) take(name, data);
  } catch {
    throw new ApiError(0, "the stream broke");
  }
}

/**
 * Asks about events. What is known so far comes early; whoever aborts calls the question off.
 * @param {string} text @param {AbortSignal} signal
 * @param {(early: {share: number, answer: any}) => void} early
 * @returns {Promise<any>}
 */
export async function query(text, signal, early) {
  let response;
  const patience = AbortSignal.any([signal, AbortSignal.timeout(QUERY_MS_MAX)]);
  try {
    const init = sending("POST", { text });
    response = await fetch("/api/v1/query", { ...init, headers: { ...init.headers, accept: "text/event-stream" }, cache: "no-store", signal: patience });
  } catch {
    throw new ApiError(0, "the node does not answer");
  }
  if (!response.ok) {
    const said = await response.json().catch(() => null);
    throw new ApiError(response.status, String(said?.error?.message ?? response.statusText), said?.error ?? null);
  }
  try {
    for await (const { name, data } of eventsOf(response)) {
      if (name === "early") early(data);
      else if (name === "answer") return data;
      else if (name === "error") throw new ApiError(503, String(data?.message ?? "the question broke off"), data);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
  }
  throw new ApiError(0, "the answer broke off");
}

/** Server-sent events of an answer to a POST, which `EventSource` cannot send. @param {Response} response */
async function* eventsOf(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  /** @type {string[]} */
  let pieces = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const piece = decoder.decode(value, { stream: true });
      // A large answer comes in many pieces; they are put together once.
      if (!piece.includes("\n")) {
        pieces.push(piece);
        continue;
      }
      const blocks = (pieces.join("") + piece).split("\n\n");
      pieces = [/** @type {string} */ (blocks.pop())];
      for (const block of blocks) {
        const name = /^event: (.*)$/m.exec(block)?.[1];
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (name && data) yield { name, data: JSON.parse(data) };
      }
    }
  } finally {
    reader.cancel().catch(() => null);
  }
}

/**
 * Follows the picture until the returned function is called.
 * @param {object} on
 * @param {(document: any) => void} on.picture
 * @param {(delta: any) => void} on.delta
 * @param {(generatedAt: string) => void} on.heartbeat
 * @param {(list: any) => void} on.incidents
 * @param {(problem: {status: number, message: string}) => void} on.lost Tries again by itself.
 */
export function follow(on) {
  /** @type {EventSource|null} */
  let source = null;
  let retryMs = RETRY_MS_MIN;
  let over = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  let heardAt = performance.now();

  const open = () => {
    if (over) return;
    heardAt = performance.now();
    source = new EventSource("/api/v1/picture/stream?form=columns");
    source.addEventListener("picture", hear((data) => on.picture(data)));
    source.addEventListener("delta", hear((data) => on.delta(data)));
    source.addEventListener("incidents", hear((data) => on.incidents(data)));
    source.addEventListener("heartbeat", hear((data) => on.heartbeat(data?.generated_at)));
    source.onerror = () => fail("the stream broke");
  };

  /** @param {(data: any) => void} take @returns {(event: MessageEvent) => void} */
  const hear = (take) => (event) => {
    heardAt = performance.now();
    retryMs = RETRY_MS_MIN;
    performance.mark(`${event.type}-received`);
    take(JSON.parse(event.data));
  };

  /** @param {string} why */
  const fail = async (why) => {
    source?.close();
    source = null;
    if (over) return;
    // The browser hides why; a question that needs the same right tells.
    const found = await me().then(() => ({ status: 0, message: why }), (error) => error);
    if (over) return;
    on.lost({ status: found.status ?? 0, message: found.message ?? why });
    if (found.status === 401 || found.status === 403) return;
    clearTimeout(timer);
    timer = setTimeout(open, retryMs * (0.75 + 0.5 * Math.random()));
    retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
  };

  const watchdog = setInterval(() => {
    if (source && performance.now() - heardAt > SILENCE_MS_MAX) fail("the stream fell silent");
  }, 1000);

  open();
  return () => {
    over = true;
    clearInterval(watchdog);
    clearTimeout(timer);
    source?.close();
  };
}
