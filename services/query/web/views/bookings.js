// Who holds what when: the bookings of a pool and of what is in it, as a Gantt chart and as a list.
import { dateOf, follow, go, zoneOf } from "../address.js";
import { getAs, poolParams } from "../api.js";
import { spanOf } from "../blocks.js";
import { classes, html, many } from "../lib.js";
import { useAnswers } from "../live.js";
import { can, isOpen } from "../me.js";
import { named } from "../sentences.js";
import { addDays, instant, sayInstant } from "../time.js";
import { BookingCard } from "./booking-card.js";
import { Gantt } from "./gantt.js";
import { Empty, Said, Segmented } from "./parts.js";
import { SpanBar } from "./span-bar.js";
import { heldBy } from "./verdict.js";

const POOLS_MAX = 40;
const LIMIT = 2000;

export function Bookings({ address, pools }) {
  const zone = zoneOf(address);
  const { pool, scale } = address;
  const date = dateOf(address);
  const span = spanOf(scale, date);
  const within = pools.filter(({ id }) => (id === pool || id.startsWith(`${pool}.`)) && can("names", id)).slice(0, POOLS_MAX);
  const then = address.as_of ? { as_of: address.as_of } : {};
  const range = { range: `${span.first},${span.last}`, tz: zone, ...then };
  const { data, problem, old } = useAnswers(within.map(({ id }) => ["/bookings/select",
    { ...poolParams(id), ...range, grain: "month", limit: LIMIT }]));
  const answers = data ?? old;
  const items = (answers ?? []).flatMap((answer) => answer.items);
  const open = items.findLast(({ id }) => id === address.booking);
  const shown = { start: instant(span.first, 0, zone), end: instant(addDays(span.last, 1), 0, zone) };
  return html`
    <div class=${classes("split", !open && "alone")}>
      <section class="stack" aria-label="Bookings">
        <${SpanBar} scale=${scale} date=${date} span=${span} zone=${zone}>
          <${Segmented} label="Group by" value=${address.group} options=${[["account", "By account"], ["cluster", "By cluster"]]}
            onPick=${(group) => go({ group })} /><//>
        ${problem ? html`<${Said} problem=${problem} />` : !answers ? html`<div class="waiting" aria-busy="true"></div>`
          : !items.length ? html`<${Nothing} pool=${pool} />`
          : html`<div class="card"><${Gantt} items=${items} group=${address.group} shown=${shown} zone=${zone}
            open=${address.booking} /></div>
            <${List} items=${items} pool=${pool} range=${range} zone=${zone} more=${answers.some((answer) => answer.next)}
              open=${address.booking} />`}
      </section>
      ${open && html`<aside class="panel"><${BookingCard} key=${open.id} item=${open} zone=${zone}
        onClose=${() => go({ booking: "" }, { replace: true })} /></aside>`}
    </div>`;
}

function Nothing({ pool }) {
  return html`<${Empty} title="Nothing is booked here in this time.">
    ${can("book", pool) && html`<p>In the calendar, drag over the hours that you want of <b>${pool}</b>, and book them.</p>`}
    <p><a ...${follow({ view: "calendar" })}>Open the calendar</a></p><//>`;
}

function List({ items, pool, range, zone, more, open }) {
  const rows = [...items].sort((one, other) => one.start.localeCompare(other.start) || one.id.localeCompare(other.id));
  const subscribable = pool.includes(".") ? `clusters/${pool}.ics` : `projects/${pool}.ics`;
  return html`
    <section class="card" aria-label="Bookings as a list">
      <header class="card-head"><h2>${many(new Set(items.map(({ id }) => id)).size, "booking")}${more ? ", the first of them" : ""}</h2>
        <span class="links"><button type="button" class="quiet small" onClick=${() => download(pool, range)}>CSV</button>
          ${isOpen() ? html`<a href=${subscribable}>Calendar feed (.ics)</a>`
            : html`<a ...${follow({ view: "setup", form: "feeds" })}>Calendar feed (.ics)</a>`}</span></header>
      <div class="scroll" tabindex="0" role="region" aria-label="The bookings as a table">
        <table class="list wide">
          <thead><tr><th scope="col">Account</th><th scope="col">Holds</th><th scope="col">In</th><th scope="col">From</th>
            <th scope="col">Until</th><th scope="col">State</th><th scope="col">Booked by</th></tr></thead>
          <tbody>${rows.map((item) => html`
            <tr key=${item.id + item.start} class=${item.id === open ? "current" : ""}>
              <th scope="row"><button type="button" class="link"
                onClick=${() => go({ booking: item.id }, { replace: true })}>${item.account}</button></th>
              <td>${heldBy(item)}</td><td>${item.pool}</td><td class="time">${sayInstant(Date.parse(item.start), zone)}</td>
              <td class="time">${sayInstant(Date.parse(item.end), zone)}</td>
              <td>${item.state === "tentative" ? html`<span class="tag warn">tentative</span>` : item.state ?? ""}</td>
              <td title=${item.actor}>${named(item.actor)}</td>
            </tr>`)}</tbody>
        </table>
      </div>
    </section>`;
}

/** The same question, answered as a table: a link could not ask for it. */
async function download(pool, range) {
  const table = await getAs("text/csv", "/bookings/select", { ...poolParams(pool), ...range, limit: 10_000 });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.download = `${pool} bookings ${range.range.replace(",", " to ")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
