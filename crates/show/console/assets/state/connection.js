// @ts-check
// Whether what is on the screen is still true.

import { span } from "./words.js";

/** @typedef {import("./types.js").Connection} Connection */
/** @typedef {import("./types.js").Tone} Tone */

/** Milliseconds without an event from which the picture is called stale. The node sends one
 * at least every 5 s. */
export const STALE_MS = 8_000;

/**
 * @param {Connection} connection @param {number} now Monotonic milliseconds.
 * @returns {{state:"connecting"|"live"|"stale"|"refused", text:string, tone:Tone}}
 */
export function freshness(connection, now) {
  if (connection.state === "refused") return { state: "refused", text: "not let in", tone: "bad" };
  if (connection.heardAt === null) {
    return connection.state === "lost"
      ? { state: "connecting", text: "the node does not answer, trying again", tone: "warn" }
      : { state: "connecting", text: "connecting", tone: "mute" };
  }
  const age = Math.max(0, now - connection.heardAt);
  if (connection.state === "lost") {
    return { state: "stale", text: `the picture is ${span(age)} old, reconnecting`, tone: "warn" };
  }
  if (age > STALE_MS) return { state: "stale", text: `the picture is ${span(age)} old`, tone: "warn" };
  return { state: "live", text: "live", tone: "good" };
}
