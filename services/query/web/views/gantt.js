// Bars over time. They are buttons rather than a drawing, so that each can be reached by keyboard and read aloud.
import { go } from "../address.js";
import { sayAmount } from "../capacity.js";
import { classes, grouped, html, useEffect, useRef } from "../lib.js";
import { HOUR, addDays, dateIn, daysBetween, instant, sayDate, sayPeriod } from "../time.js";
import { heldBy } from "./verdict.js";

const COLOURS = 8;
const BEFORE_NOW = 0.6; // of a screen that is narrower than the time that is shown

export function Gantt({ items, group, shown, zone, open }) {
  const colours = new Map(rankedAccounts(items).map((account, rank) => [account, rank % COLOURS]));
  const groups = [...grouped(items, (item) => (group === "cluster" ? item.pool : item.account))]
    .sort(([one], [other]) => one.localeCompare(other));
  const part = (at) => `${(100 * (Math.max(shown.start, Math.min(shown.end, at)) - shown.start)) / (shown.end - shown.start)}%`;
  const now = Date.now();
  const root = useNowInSight(shown);
  return html`
    <div class="gantt" role="group" ref=${root} aria-label="Bookings over time">
      <div class="gantt-axis" aria-hidden="true"><span></span><div class="track">
        ${ticksOf(shown, zone).map(({ at, text }) => html`<span key=${at} class="tick" style=${{ left: part(at) }}>${text}</span>`)}
        </div></div>
      ${groups.map(([name, members]) => html`
        <section key=${name} class="gantt-group" aria-label=${name}>
          <h2>${name}</h2>
          <div class="track">
            ${ticksOf(shown, zone).map(({ at }) => html`<i key=${at} class="rule" style=${{ left: part(at) }}></i>`)}
            ${shown.start < now && now < shown.end && html`<i class="rule now" style=${{ left: part(now) }}></i>`}
            ${lanesOf(members).map((lane, at) => html`<div key=${at} class="lane">${lane.map((item) => html`
              <${Bar} key=${item.id + item.start} item=${item} part=${part} zone=${zone} group=${group}
                colour=${colours.get(item.account)} open=${item.id === open} />`)}</div>`)}
          </div>
        </section>`)}
      ${group === "cluster" && html`<div class="key">
        ${[...colours].map(([account, colour]) =>
          html`<span key=${account} class="key-item"><i class=${`swatch account-${colour}`}></i>${account}</span>`)}</div>`}
    </div>`;
}

/** A ref for a chart of the time that is shown. On a narrow screen the chart begins where the present hour is in sight. */
export function useNowInSight({ start, end }) {
  const root = useRef(null);
  useEffect(() => {
    const track = root.current.querySelector(".track");
    const now = (Date.now() - start) / (end - start);
    const left = track.offsetLeft - root.current.offsetLeft + track.offsetWidth * now;
    root.current.scrollLeft = now > 0 && now < 1 ? left - root.current.clientWidth * BEFORE_NOW : 0;
  }, [start, end]);
  return root;
}

function Bar({ item, part, zone, group, colour, open }) {
  const [start, end] = [Date.parse(item.start), Date.parse(item.end)];
  const state = item.state === "tentative" ? "tentative" : "confirmed";
  const words = `${item.account}: ${heldBy(item)} of ${item.pool}, ${sayPeriod(start, end, zone)}, ${state}`;
  const left = part(start);
  return html`
    <button type="button" class=${classes("gantt-bar", `bar-${colour}`, state, open && "picked", end < Date.now() && "past")}
      style=${{ left, width: `calc(${part(end)} - ${left})` }} title=${words} aria-label=${words} aria-pressed=${open ? "true" : "false"}
      onClick=${() => go({ booking: item.id }, { replace: true })}>
        <span>${group === "cluster" ? item.account : shortly(item)}</span></button>`;
}

/** What is held in two words, for a bar is short. */
function shortly(item) {
  if (item.share) return `${item.share / 100}%`;
  const name = ["cores", "servers", "memory"].find((dimension) => item[dimension]);
  return name ? sayAmount(item[name], name) : heldBy(item);
}

/** Bookings in as few lanes as it takes for none to cover another. */
function lanesOf(items) {
  const lanes = [];
  for (const item of [...items].sort((one, other) => one.start.localeCompare(other.start))) {
    const lane = lanes.find((taken) => taken.at(-1).end <= item.start);
    if (lane) lane.push(item);
    else lanes.push([item]);
  }
  return lanes;
}

function rankedAccounts(items) {
  const hours = new Map();
  for (const item of items) hours.set(item.account, (hours.get(item.account) ?? 0)
    + (Date.parse(item.end) - Date.parse(item.start)) / HOUR);
  return [...hours].sort(([, one], [, other]) => other - one).map(([account]) => account);
}

/** Where the axis says a time: hours of a day, days of a month, months of a year. */
export function ticksOf({ start, end }, zone) {
  const [first, last] = [dateIn(start, zone), dateIn(end - 1, zone)];
  const days = daysBetween(first, last) + 1;
  if (days === 1) return [0, 3, 6, 9, 12, 15, 18, 21]
    .map((hour) => ({ at: instant(first, hour, zone), text: `${String(hour).padStart(2, "0")}:00` }));
  const dates = Array.from({ length: days }, (_, day) => addDays(first, day));
  const at = (date) => instant(date, 0, zone);
  if (days > 62) return dates.filter((date) => date.endsWith("-01"))
    .map((date) => ({ at: at(date), text: sayDate(date, { month: "short" }) }));
  if (days > 7) return dates.filter((_, day) => day % 7 === 0)
    .map((date) => ({ at: at(date), text: sayDate(date, { day: "numeric", month: "short" }) }));
  return dates.map((date) => ({ at: at(date), text: sayDate(date, { weekday: "short", day: "numeric" }) }));
}
