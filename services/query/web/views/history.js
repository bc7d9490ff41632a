import { html } from "../lib.js";

export function History() {
  return html`<p class="hint padded">History</p>`;
}
