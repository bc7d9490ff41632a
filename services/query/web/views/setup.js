import { html } from "../lib.js";

export function Setup() {
  return html`<p class="hint padded">Setup</p>`;
}
