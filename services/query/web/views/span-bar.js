// Which time is looked at: a heading, the way back and forth, and the scale. The calendar and the bookings share it.
import { go } from "../address.js";
import { SCALES, step } from "../blocks.js";
import { html } from "../lib.js";
import { sayDate, today, weekNumber } from "../time.js";
import { Segmented } from "./parts.js";

const LABELS = { year: "Year", month: "Month", week: "Week", day: "Day" };

export function SpanBar({ scale, date, span, zone, children }) {
  const goTo = (to) => go({ date: to === today(zone) ? "" : to });
  return html`
    <header class="bar">
      <div class="bar-when">
        <h1>${titleOf(scale, date, span)}</h1>
        <div class="group" role="group" aria-label="Move in time">
          <button type="button" class="quiet" aria-label=${`The ${scale} before`} onClick=${() => goTo(step(scale, date, -1))}>‹</button>
          <button type="button" class="quiet" onClick=${() => go({ date: "" })}>Today</button>
          <button type="button" class="quiet" aria-label=${`The ${scale} after`} onClick=${() => goTo(step(scale, date, 1))}>›</button>
        </div>
      </div>
      <div class="bar-what">
        <${Segmented} label="Scale" value=${scale} options=${SCALES.map((name) => [name, LABELS[name]])}
          onPick=${(picked) => go({ scale: picked, grain: "", date })} />
        ${children}
      </div>
    </header>`;
}

const short = { day: "numeric", month: "short" };

function titleOf(scale, date, span) {
  if (scale === "year") return date.slice(0, 4);
  if (scale === "month") return sayDate(date, { month: "long", year: "numeric" });
  if (scale === "day") return sayDate(date, { weekday: "long", ...short, month: "long", year: "numeric" });
  const last = sayDate(span.last, { ...short, year: "numeric" });
  return html`Week ${weekNumber(date)} <small>${sayDate(span.first, short)} – ${last}</small>`;
}
