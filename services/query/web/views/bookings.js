import { html } from "../lib.js";

export function Bookings() {
  return html`<p class="hint padded">Bookings</p>`;
}
