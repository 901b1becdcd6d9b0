// @ts-check
// For whoever is not let in: how to get a token, and where to put it.

import { html } from "../ui.js";
import { Logo } from "./glyph.js";

/** @param {{state:import("../state/types.js").State, act:import("../main.js").Actions}} props */
export function Login({ state, act }) {
  const send = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    act.login(String(form.get("token") ?? "").trim());
  };
  return html`<main class="login"><div class="card">
    <${Logo} />
    <h1>This node asks who you are</h1>
    <p>On the machine itself, make a token for looking (or <code>operator</code>, <code>admin</code>):</p>
    <pre><code>andon token create --role viewer</code></pre>
    <form onSubmit=${send}>
      <label for="token">Token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" spellcheck=${false} required autofocus />
      <button class="button primary" type="submit">Let me in</button>
    </form>
    ${state.loginProblem && html`<p class="problem" role="alert">${state.loginProblem}</p>`}
    <p class="fine">A node that starts for the first time prints a link that lets you in once.</p>
  </div></main>`;
}
