// The earliest times at which the same would fit, as buttons.
import { poolParams } from "../api.js";
import { html } from "../lib.js";
import { useAnswer } from "../live.js";
import { iso, sayPeriod } from "../time.js";

const HORIZON_DAYS = 90;
const OFFERED = 4;

export function Slots({ pool, amount, start, hours, nearest, zone, onTake }) {
  const from = Math.max(start, Math.ceil(Date.now() / 3_600_000) * 3_600_000);
  const { data } = useAnswer("/available/slots", {
    ...poolParams(pool), ...amount, duration: `${hours}h`, limit: OFFERED,
    range: `${iso(from)},${iso(from + (HORIZON_DAYS * 24 + hours) * 3_600_000)}`,
  });
  const offered = [...(nearest ? [nearest] : []), ...(data?.slots ?? [])];
  const slots = [...new Map(offered.map((slot) => [slot.start, slot])).values()].slice(0, OFFERED);
  if (!slots.length) return data ? html`<p class="hint">It fits nowhere in the ${HORIZON_DAYS} days after that.</p>` : null;
  return html`
    <div class="slots" role="group" aria-label="The earliest times at which it fits">
      <p class="hint">It would fit:</p>
      ${slots.map((slot) => html`<button key=${slot.start} type="button" onClick=${() => onTake(slot)}>${sayPeriod(Date.parse(slot.start), Date.parse(slot.end), zone)}</button>`)}
    </div>`;
}
