// Bookings as a table, in pages. A recurring booking is one row, which opens.
import { follow, go } from "../address.js";
import { getTables, poolParams } from "../api.js";
import { classes, html, useMemo, useState } from "../lib.js";
import { isOpen } from "../me.js";
import { named } from "../sentences.js";
import { endsLater, entriesOf, sayRhythm, times } from "../series.js";
import { sayInstant } from "../time.js";
import { heldBy } from "./verdict.js";

const ROWS = 50;

/** `count` is how many bookings there are. `items` are a chunk of them; `before` and `after` lead to the chunks beside it. */
export function BookingList({ items, count, pool, params, zone, open, before, after }) {
  const [page, setPage] = useState(0);
  const entries = useMemo(() => entriesOf(items), [items]);
  const pages = Math.max(1, Math.ceil(entries.length / ROWS));
  const at = Math.min(page, pages - 1);
  const shown = entries.slice(at * ROWS, (at + 1) * ROWS);
  const to = (next, otherwise) => (next >= 0 && next < pages ? () => setPage(next)
    : otherwise && (() => { setPage(0); otherwise(); }));
  const subscribable = pool.includes(".") ? `clusters/${pool}.ics` : `projects/${pool}.ics`;
  return html`
    <section class="card" aria-label="Bookings as a list">
      <header class="card-head"><h2>${count}</h2>
        <span class="links"><button type="button" class="quiet small" onClick=${() => download(pool, params)}>CSV</button>
          ${isOpen() ? html`<a href=${subscribable}>Calendar feed (.ics)</a>`
            : html`<a ...${follow({ view: "setup", form: "feeds" })}>Calendar feed (.ics)</a>`}</span></header>
      <div class="scroll" tabindex="0" role="region" aria-label="The bookings as a table">
        <table class="list wide">
          <thead><tr><th scope="col">Account</th><th scope="col">Holds</th><th scope="col">In</th><th scope="col">From</th>
            <th scope="col">Until</th><th scope="col">State</th><th scope="col">Booked by</th></tr></thead>
          ${useMemo(() => html`<${Rows} entries=${shown} zone=${zone} open=${open} />`, [entries, at, zone, open])}
        </table>
      </div>
      <${Pages} shown=${shown} zone=${zone} before=${to(at - 1, before)} after=${to(at + 1, after)} />
    </section>`;
}

function Pages({ shown, zone, before, after }) {
  if (!before && !after) return null;
  const say = ({ items }) => sayInstant(Date.parse(items[0].start), zone);
  return html`
    <nav class="pages" aria-label="Pages of the list">
      <button type="button" class="small" disabled=${!before} onClick=${before}>Before</button>
      <span class="hint">${shown.length ? `Begins ${say(shown[0])} to ${say(shown.at(-1))}` : ""}</span>
      <button type="button" class="small" disabled=${!after} onClick=${after}>After</button>
    </nav>`;
}

const Rows = ({ entries, zone, open }) => html`
  <tbody>${entries.map(({ key, series, items }) => (items.length > 1
    ? html`<${Series} key=${key} series=${series} items=${items} zone=${zone} open=${open} />`
    : html`<${Row} key=${key} item=${items[0]} zone=${zone} open=${open} />`))}</tbody>`;

const choose = (item) => go({ booking: item.id }, { replace: true });

function Row({ item, zone, open, inSeries = false }) {
  return html`
    <tr class=${classes(item.id === open && "current", inSeries && "occurrence")}>
      <th scope="row"><button type="button" class="link" onClick=${() => choose(item)}>${item.account}</button></th>
      <td>${heldBy(item)}</td><td>${item.pool}</td><td class="time">${sayInstant(Date.parse(item.start), zone)}</td>
      <td class="time">${sayInstant(Date.parse(item.end), zone)}</td>
      <td>${item.state === "tentative" ? html`<span class="tag warn">tentative</span>` : item.state ?? ""}</td>
      <td title=${item.actor}>${named(item.actor)}</td>
    </tr>`;
}

/** A recurring booking: its first row says all of it, and opens to the times one by one. */
function Series({ series, items, zone, open }) {
  const [opened, setOpened] = useState(false);
  const [first, last] = [items[0], items.at(-1)];
  const holds = new Set(items.map(heldBy));
  const tentative = items.filter(({ state }) => state === "tentative").length;
  const rhythm = `${sayRhythm(items.map(({ start }) => Date.parse(start)), zone)}, ${times(items)}`;
  const next = items.find(endsLater) ?? last;
  return html`
    <tr class=${classes("series", items.some(({ id }) => id === open) && "current")}>
      <th scope="row"><button type="button" class="quiet small opener" aria-expanded=${opened ? "true" : "false"}
        aria-label=${`${first.account}, ${rhythm}: ${opened ? "hide" : "show"} the times`} onClick=${() => setOpened(!opened)}>
          ${opened ? "▾" : "▸"}</button>
        <button type="button" class="link" onClick=${() => choose(next)}>${first.account}</button>
        <span class="rhythm">${rhythm}</span></th>
      <td>${holds.size === 1 ? heldBy(first) : "not always the same"}</td><td>${first.pool}</td>
      <td class="time">${sayInstant(Date.parse(first.start), zone)}</td><td class="time">${sayInstant(Date.parse(last.end), zone)}</td>
      <td>${tentative ? html`<span class="tag warn">${tentative < items.length && `${tentative} `}tentative</span>`
        : first.state ?? ""}</td>
      <td title=${first.actor}>${named(first.actor)}</td>
    </tr>
    ${opened && items.map((item) => html`<${Row} key=${`${series} ${item.start}`} item=${item} zone=${zone} open=${open} inSeries />`)}`;
}

/** The same question, answered as a table: a link could not ask for it. */
async function download(pool, params) {
  const table = await getTables("/bookings/select", { ...poolParams(pool), ...params, limit: 10_000 });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(table, { type: "text/csv" }));
  link.download = `${pool} bookings ${params.range.replace(",", " to ")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
