// The earliest times at which the same would fit, as buttons.
import { poolParams } from "../api.js";
import { html } from "../lib.js";
import { useAnswer } from "../live.js";
import { HOUR, iso, nextHour, sayPeriod } from "../time.js";

const HORIZON_DAYS = 90;
const OFFERED = 4;
const ASKED = 400; // every whole hour is a start; those offered lie apart
const APART_H = 24;

/** Of starts an hour after another, those that are `apart` hours from the one before. */
function spread(slots, apart) {
  const chosen = [];
  for (const slot of slots.sort((one, other) => one.start.localeCompare(other.start))) {
    if (!chosen.length || Date.parse(slot.start) - Date.parse(chosen.at(-1).start) >= apart * HOUR) chosen.push(slot);
  }
  return chosen;
}

export function Slots({ pool, amount, start, hours, nearest, zone, onTake }) {
  const from = Math.max(start, nextHour());
  const { data } = useAnswer("/available/slots", {
    ...poolParams(pool), ...amount, duration: `${hours}h`, limit: ASKED,
    range: `${iso(from)},${iso(from + (HORIZON_DAYS * 24 + hours) * HOUR)}`,
  });
  const offered = [...(nearest ? [nearest] : []), ...(data?.slots ?? [])];
  const slots = spread(offered, Math.min(hours, APART_H)).slice(0, OFFERED);
  if (!slots.length) return data ? html`<p class="hint">It fits nowhere in the ${HORIZON_DAYS} days after that.</p>` : null;
  return html`
    <div class="slots" role="group" aria-label="The earliest times at which it fits">
      <p class="hint">It would fit:</p>
      ${slots.map((slot) => html`<button key=${slot.start} type="button"
        onClick=${() => onTake(slot)}>${sayPeriod(Date.parse(slot.start), Date.parse(slot.end), zone)}</button>`)}
    </div>`;
}
