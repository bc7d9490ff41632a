// From and until, as dates and hours of the zone that is shown.
import { html } from "../lib.js";
import { HOUR, dateIn, hourIn, instant, iso, opensDay, sayDuration, sayZone } from "../time.js";
import { DateHour, Field } from "./parts.js";

/** What the fields hold, of instants. */
export const datesOf = ({ start, end }, zone) =>
  ({ from: dateIn(start, zone), fromHour: hourIn(start, zone), to: dateIn(end, zone), toHour: hourIn(end, zone) });

/** The instants of what the fields hold; null while they make no period. */
export function periodOf(dates, zone) {
  if (!dates.from || !dates.to) return null;
  const [start, end] = [instant(dates.from, dates.fromHour, zone), instant(dates.to, dates.toHour, zone)];
  return end > start ? { start, end } : null;
}

/** The same for a booking that repeats: whole days as days, which the zone's clocks may make longer or shorter. */
export const datesToRepeat = ({ start, end }, zone) => (opensDay(start, zone) && opensDay(end, zone)
  ? { startdate: dateIn(start, zone), enddate: dateIn(end - HOUR, zone) } : { startdate: iso(start), enddate: iso(end) });

export function PeriodFields({ dates, zone, onChange, wrong = {}, fixedStart = false }) {
  const period = periodOf(dates, zone);
  return html`
    <div class="pair">
      ${!fixedStart && html`<${Field} label=${`From (${sayZone(zone)})`} wrong=${wrong.startdate}>
        ${(field) => html`<${DateHour} ...${field} label="From" date=${dates.from} hour=${dates.fromHour}
          onChange=${(from, fromHour) => onChange({ ...dates, from, fromHour })} />`}<//>`}
      <${Field} label=${fixedStart ? `Until (${sayZone(zone)})` : "Until"}
        wrong=${period ? wrong.enddate : "The end is not after the start."}
        hint=${period && sayDuration((period.end - period.start) / HOUR)}>
        ${(field) => html`<${DateHour} ...${field} label="Until" date=${dates.to} hour=${dates.toHour}
          onChange=${(to, toHour) => onChange({ ...dates, to, toHour })} />`}<//>
    </div>`;
}
