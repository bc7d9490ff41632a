// Where bookings are many: how much of them there is over time, a row for each account or cluster.
import { follow, go } from "../address.js";
import { blockAt, edgesOf, hoursOf, outline, uprights } from "../bands.js";
import { sayAmount, sayCount } from "../capacity.js";
import { html, many, useMemo, useRef, useState } from "../lib.js";
import { dateIn, sayPeriod } from "../time.js";
import { ticksOf, useNowInSight } from "./gantt.js";

const CLOSER = { year: "month", month: "week", week: "day", day: "day" };
/** How long a block is at each scale: a row has a few hundred at most. */
export const GRAIN_OF = { year: "day", month: "6h", week: "hour", day: "hour" };

/** `load` is the answer of /bookings/load. Rows have one scale, so that they can be compared. They are made once for each
    answer: a page with hundreds of them is drawn again for many reasons. */
export function Load({ load, scale, zone }) {
  const said = useRef(() => {});
  return useMemo(() => html`<${Chart} load=${load} scale=${scale} zone=${zone} said=${said} />`, [load, scale, zone, location.search]);
}

function Chart({ load, scale, zone, said }) {
  const shown = { start: Date.parse(load.range.start), end: Date.parse(load.range.end) };
  const edges = edgesOf(load.columns);
  const rows = load.others ? [...load.rows, { ...load.others, name: "" }] : load.rows;
  const top = Math.max(1, ...load.rows.map((row) => Math.max(...row.max)));
  const ticks = ticksOf(shown, zone);
  const part = (at) => `${(100 * (at - shown.start)) / (shown.end - shown.start)}%`;
  const point = (row, at) => said.current(row && { row, at });
  const lines = uprights(edges, ticks.map(({ at }) => at), top);
  const now = uprights(edges, [Date.now()], top);
  const root = useNowInSight(shown);
  return html`
    <${Pointed} said=${said} edges=${edges} load=${load} zone=${zone} top=${top} />
    <div class="gantt load" role="group" ref=${root} aria-label="How much is booked over time">
      <div class="gantt-axis" aria-hidden="true"><span class="hint">bookings</span><div class="track">
        ${ticks.map(({ at, text }) => html`<span key=${at} class="tick" style=${{ left: part(at) }}>${text}</span>`)}</div></div>
      ${rows.map((row) => html`<${Row} key=${row.name} row=${row} edges=${edges} load=${load} top=${top} lines=${lines} now=${now}
        scale=${scale} zone=${zone} point=${point} />`)}
    </div>`;
}

function Row({ row, edges, load, top, lines, now, scale, zone, point }) {
  const name = row.name || `${row.names} others`;
  const peak = row.max.indexOf(Math.max(...row.max));
  const closer = load.by === "cluster" ? { pool: row.name, booking: "" } : { account: row.name, booking: "" };
  const place = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    return blockAt(edges, (event.clientX - left) / width);
  };
  const look = (event) => go({ scale: CLOSER[scale], date: dateIn(edges[event.detail ? place(event) : peak].start, zone) });
  const words = `${name}: ${many(row.bookings, "booking")}, at most ${sayAmount(row.max[peak], load.dimension)} at once, `
    + `${sayPeriod(edges[peak].start, edges[peak].end, zone)}`;
  return html`
    <section class="gantt-group" aria-label=${name}>
      <h2>${row.name ? html`<a ...${follow(closer)}>${name}</a>` : name}
        <span class="hint">${row.bookings.toLocaleString("en")}</span></h2>
      <button type="button" class="track band" aria-label=${`${words}. Look closer`} onClick=${look}
        onPointerMove=${(event) => point(row, place(event))} onPointerLeave=${() => point(null)}
        onFocus=${() => point(row, peak)} onBlur=${() => point(null)}>
        <svg viewBox=${`0 0 ${hoursOf(edges)} ${top}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="rules" d=${lines} />
          <path class="most" d=${outline(edges, row.max, top)} />
          <path class="least" d=${outline(edges, row.min, top)} />
          <path class="rules now" d=${now} />
        </svg></button>
    </section>`;
}

/** What is under the pointer, or has the focus: a part of its own, so that pointing draws no row again. */
function Pointed({ said, edges, load, zone, top }) {
  const [shown, setShown] = useState(null);
  said.current = setShown;
  const say = ({ row, at }) => {
    const [low, high] = [row.min[at], row.max[at]];
    const held = low === high ? sayAmount(high, load.dimension) : `${sayCount(low, load.dimension)} – ${sayAmount(high, load.dimension)}`;
    return html`<b>${row.name || `${row.names} others`}</b>, ${sayPeriod(edges[at].start, edges[at].end, zone)}: <b>${held}</b> booked`;
  };
  return html`
    <div class="readout"><p aria-hidden="true">${shown ? say(shown) : html`<span class="hint">These bookings are too many to draw
      one by one. The height is how much is booked, up to ${sayAmount(top, load.dimension)}. Choose a time
      or a name to look closer.</span>`}</p>
      <p class="load-key"><span class="key-item"><i class="swatch least"></i>all the time</span>
        <span class="key-item"><i class="swatch most"></i>at most</span></p></div>`;
}
