import { html } from "../lib.js";

export function Conflicts() {
  return html`<p class="hint padded">Conflicts</p>`;
}
