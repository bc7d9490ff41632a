import { html } from "../lib.js";

export function AsOf() {
  return html`<p class="hint padded">AsOf</p>`;
}
