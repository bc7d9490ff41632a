// Who holds what when: the bookings of a pool and of what is in it, as a Gantt chart and as a list. Where they are many,
// the chart shows how much of them there is, and the list is fetched page by page.
import { dateOf, follow, go, zoneOf } from "../address.js";
import { poolParams } from "../api.js";
import { spanOf, templateOf } from "../blocks.js";
import { classes, html, many, useEffect, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
import { addDays, instant } from "../time.js";
import { BookingCard } from "./booking-card.js";
import { BookingList } from "./booking-list.js";
import { Gantt } from "./gantt.js";
import { GRAIN_OF, Load } from "./load.js";
import { Dimension, Empty, Said, Segmented } from "./parts.js";
import { SpanBar } from "./span-bar.js";

const ONE_BY_ONE_MAX = 400; // bookings that are drawn one by one; a chunk of the list, too

export function Bookings({ address }) {
  const zone = zoneOf(address);
  const { pool, scale, account, group } = address;
  const date = dateOf(address);
  const span = spanOf(scale, date);
  const dimension = templateOf(address.measure) ? "cores" : address.measure;
  const range = { range: `${span.first},${span.last}`, tz: zone, account, ...(address.as_of ? { as_of: address.as_of } : {}) };
  const params = { ...range, tree: true };
  const list = useChunks({ ...poolParams(pool), ...params });
  const dense = list.first?.next != null;
  const load = useAnswer(dense && "/bookings/load",
    { ...poolParams(pool), ...range, by: group, dimension, grain: GRAIN_OF[scale], limit: 500 });
  const figures = load.data ?? load.old;
  const problem = list.problem ?? load.problem;
  const open = list.items.findLast(({ id }) => id === address.booking);
  const shown = { start: instant(span.first, 0, zone), end: instant(addDays(span.last, 1), 0, zone) };
  const ready = list.first && (!dense || figures);
  return html`
    <div class=${classes("split", !open && "alone")}>
      <section class="stack" aria-label="Bookings">
        <${SpanBar} scale=${scale} date=${date} span=${span} zone=${zone}>
          <${Segmented} label="Group by" value=${group} options=${[["account", "By account"], ["cluster", "By cluster"]]}
            onPick=${(picked) => go({ group: picked })} />
          ${dense && html`<${Dimension} value=${dimension} />`}<//>
        ${account && html`<p class="chip">Only <b>${account}</b>
          <button type="button" class="quiet small" onClick=${() => go({ account: "", booking: "" })}>Show all accounts</button></p>`}
        ${problem ? html`<${Said} problem=${problem} />` : !ready ? html`<div class="waiting" aria-busy="true"></div>`
          : !list.first.items.length ? html`<${Nothing} pool=${pool} />` : html`
            <div class="card">${dense ? html`<${Load} load=${figures} scale=${scale} zone=${zone} />`
              : html`<${Gantt} items=${list.items} group=${group} shown=${shown} zone=${zone} open=${address.booking} />`}</div>
            <${BookingList} key=${list.key} items=${list.items} count=${many(dense ? counted(figures) : distinct(list.items), "booking")}
              pool=${pool} params=${params} zone=${zone} open=${address.booking} before=${list.before} after=${list.after} />`}
      </section>
      ${open && html`<aside class="panel"><${BookingCard} key=${open.id} item=${open} zone=${zone}
        onClose=${() => go({ booking: "" }, { replace: true })} /></aside>`}
    </div>`;
}

const distinct = (items) => new Set(items.map(({ id }) => id)).size;
const counted = ({ rows, others }) => [...rows, ...(others ? [others] : [])].reduce((sum, { bookings }) => sum + bookings, 0);

/**
 * The list in chunks: {first, items, key, problem, before, after}. `first` is the answer of the first chunk, `items` are
 * those of the chunk that is shown, `before` and `after` go to another one where there is one.
 */
function useChunks(params) {
  const key = JSON.stringify(params);
  const [state, setState] = useState({ key, cursors: [] });
  useEffect(() => { if (state.key !== key) setState({ key, cursors: [] }); }, [key]);
  const cursors = state.key === key ? state.cursors : [];
  const ask = { ...params, limit: ONE_BY_ONE_MAX };
  const head = useAnswer("/bookings/select", ask);
  const later = useAnswer(cursors.length > 0 && "/bookings/select", { ...ask, after: cursors.at(-1) });
  const first = head.data ?? head.old;
  const here = cursors.length ? later.data ?? later.old ?? first : first;
  const go = (next) => () => setState({ key, cursors: next });
  return {
    first, items: here?.items ?? [], key: `${key} ${cursors.at(-1) ?? ""}`, problem: head.problem ?? later.problem,
    before: cursors.length ? go(cursors.slice(0, -1)) : null,
    after: here?.next ? go([...cursors, here.next]) : null,
  };
}

function Nothing({ pool }) {
  return html`<${Empty} title="Nothing is booked here in this time.">
    ${can("book", pool) && html`<p>In the calendar, drag over the hours that you want of <b>${pool}</b>, and book them.</p>`}
    <p><a ...${follow({ view: "calendar" })}>Open the calendar</a></p><//>`;
}
