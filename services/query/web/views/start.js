import { html } from "../lib.js";

export function Start() {
  return html`<p class="hint padded">Start</p>`;
}
