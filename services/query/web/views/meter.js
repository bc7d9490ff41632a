// How much of a limit is used, as a bar with words.
import { sayCount, sayAmount } from "../capacity.js";
import { classes, html } from "../lib.js";

const NEAR = 0.9;

/**
 * `used` of `limit`, null where nothing limits it; then the bar shows the part of `most`, what the largest has, and without
 * `most` there is none. `what` names the amount for those who do not see the bar; `hours` says that it is in resource-hours.
 */
export function Meter({ what, used, limit = null, most = 0, dimension, hours = false }) {
  const of = limit ?? most;
  const part = of > 0 ? used / of : used > 0 ? 1 : 0;
  const say = (value) => `${sayAmount(value, dimension)}${hours ? " × hours" : ""}`;
  const words = limit == null ? say(used) : `${sayCount(used, dimension)} of ${say(limit)}`;
  if (limit == null && !most) return html`<p class="meter-words">${words} <span class="hint">no limit</span></p>`;
  const level = limit == null ? "unlimited" : used > limit ? "beyond" : part >= NEAR ? "near" : "";
  return html`
    <div class=${classes("meter", level)}>
      <span class="meter-words">${words}${level === "beyond" ? html`<span class="tag bad">beyond</span>` : ""}
        ${limit != null && html`<span class="hint">${Math.round(part * 100)}%</span>`}</span>
      <span class="meter-bar" role="meter" aria-label=${what} aria-valuemin="0" aria-valuenow=${used}
        aria-valuemax=${limit ?? Math.max(used, most)} aria-valuetext=${limit == null ? `${words}, no limit` : words}>
        <i style=${{ width: `${Math.min(100, part * 100)}%` }}></i></span>
    </div>`;
}
