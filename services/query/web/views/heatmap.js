// The heat map: a grid of controls, because each cell can be focused, chosen, dragged over and opened. The fill is what
// can be held for the whole block, the mark is the best hour.
import { labelOf, sayAmount, sayCount } from "../capacity.js";
import { classes, html, useEffect, useRef, useState } from "../lib.js";
import { HOUR, dateIn, hourIn, sayClock, sayDate, sayDay, sayPeriod, today, weekNumber, weekday } from "../time.js";

const LEVELS = 8;
const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** How full the fill is: 0 is nothing free, 8 all of `top`. */
export const levelOf = (value, top) => (value <= 0 || top <= 0 ? 0 : Math.max(1, Math.min(LEVELS, Math.round((value / top) * LEVELS))));

/** What a block says of itself, in words. */
export function describe(block, measure, zone) {
  return `${sayPeriod(block.start, block.end, zone)}: ${describeFree(block, measure)}`;
}

/** The same without the time: "4 cores free throughout, 12 in the best hour". */
export function describeFree(block, measure) {
  if (block.granted && block.granted.max === 0 && block.low >= 0) return "nothing granted";
  const held = block.low < 0 ? `over-committed by ${sayAmount(-block.low, measure)}` : `${sayAmount(block.low, measure)} free`;
  const throughout = block.hours > 1 && block.low >= 0 ? `${held} throughout` : held;
  const best = block.high > block.low ? `, ${sayCount(block.high, measure)} in the best hour` : "";
  return `${throughout}${best}`;
}

/** Rows of cells; a cell is the index of a block, or null where the grid has none. */
export function arrange(blocks, scale, grain, zone) {
  if (scale === "week" && grain === "hour") return byHour(blocks, zone);
  if (grain === "day" && scale !== "day") return byWeek(blocks, zone, scale === "week");
  const columns = scale === "day" ? 6 : grain === "month" ? 4 : scale === "month" ? 1 : 6;
  const rows = [];
  for (let at = 0; at < blocks.length; at += columns) {
    rows.push({ cells: Array.from({ length: columns }, (_, column) => (at + column < blocks.length ? at + column : null)) });
  }
  return { columns: null, rows, flow: columns };
}

function byWeek(blocks, zone, single) {
  const rows = [];
  blocks.forEach((block, index) => {
    const date = dateIn(block.start, zone);
    const column = weekday(date);
    if (!rows.length || column === 0) rows.push({ date, cells: Array(7).fill(null) });
    rows.at(-1).cells[column] = index;
  });
  const dateOf = (column) => (single ? dateOfCell(rows[0]?.cells[column], blocks, zone) : null);
  return { columns: WEEKDAYS.map((name, column) => ({ name, date: dateOf(column) })), rows };
}

const dateOfCell = (index, blocks, zone) => (index == null ? null : dateIn(blocks[index].start, zone));

function byHour(blocks, zone) {
  const dates = [...new Set(blocks.map((block) => dateIn(block.start, zone)))];
  const rows = Array.from({ length: 24 }, (_, hour) => ({ hour, cells: Array(dates.length).fill(null) }));
  blocks.forEach((block, index) => {
    const column = dates.indexOf(dateIn(block.start, zone));
    rows[hourIn(block.start, zone)].cells[column] ??= index; // where the clocks show an hour twice: the first
  });
  return { columns: dates.map((date) => ({ name: sayDate(date, { weekday: "short" }), date })), rows, hours: true };
}

/**
 * `onChoose(first, last)` is called with indices while cells are dragged over or chosen with shift; `onOpen(block)` by a
 * double click or Enter; `onPoint(block | null)` with what is hovered or focused.
 */
export function HeatMap({ blocks, scale, grain, measure, zone, top, month, chosen, compact, label, onChoose, onOpen, onPoint, onHeading }) {
  const grid = arrange(blocks, scale, grain, zone);
  const order = grid.rows.flatMap((row) => row.cells);
  const [focus, setFocus] = useState(null);
  const anchor = useRef(null);
  const root = useRef(null);
  const dragging = useRef(false);
  const width = grid.rows[0]?.cells.length ?? 0;
  const now = Date.now();
  const nowIndex = blocks.findIndex((block) => block.start <= now && now < block.end);
  const stop = focus != null && focus < blocks.length ? focus : nowIndex >= 0 ? nowIndex : order.find((index) => index != null);

  useEffect(() => {
    const end = () => { dragging.current = false; };
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
    return () => { removeEventListener("pointerup", end); removeEventListener("pointercancel", end); };
  }, []);

  const indexOf = (event) => {
    const cell = event.target.closest?.("[data-index]");
    return cell && root.current.contains(cell) ? Number(cell.dataset.index) : null;
  };
  const extend = (index) => onChoose?.(Math.min(anchor.current, index), Math.max(anchor.current, index));
  const begin = (index, event) => {
    if (event.shiftKey && anchor.current != null) return extend(index);
    anchor.current = index;
    return extend(index);
  };
  const down = (event) => {
    const index = indexOf(event);
    if (index == null || event.button) return;
    dragging.current = event.pointerType === "mouse";
    if (dragging.current) begin(index, event);
  };
  const over = (event) => {
    const index = indexOf(event);
    if (index == null) return;
    onPoint?.(blocks[index]);
    if (dragging.current && index !== anchor.current) extend(index);
    else if (dragging.current) extend(anchor.current);
  };
  const click = (event) => {
    const index = indexOf(event);
    if (index != null && event.pointerType !== "mouse") begin(index, event); // touch, pen and keyboard; the mouse has dragged
  };
  const move = (event) => {
    const from = order.indexOf(indexOf(event));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width };
    let to = from;
    if (event.key in steps) {
      do to += steps[event.key]; while (to >= 0 && to < order.length && order[to] == null);
    } else if (event.key === "Home") to = from - (from % width);
    else if (event.key === "End") to = from - (from % width) + width - 1;
    else if (event.key === "Enter") { event.preventDefault(); onOpen?.(blocks[order[from]]); return; }
    else return;
    event.preventDefault();
    if (order[to] == null) return;
    setFocus(order[to]);
    root.current.querySelector(`[data-index="${order[to]}"]`)?.focus();
    if (event.shiftKey) { anchor.current ??= order[from]; extend(order[to]); } else anchor.current = null;
  };

  const cell = (index, key) => {
    if (index == null) return html`<td key=${key} class="none"></td>`;
    const block = blocks[index];
    const date = dateIn(block.start, zone);
    const empty = block.granted?.max === 0 && block.low >= 0;
    const picked = chosen && block.start >= chosen.start && block.end <= chosen.end;
    const names = classes(
      "cell", block.low < 0 ? "over" : empty ? "ungranted" : `f${levelOf(block.low, top)}`, picked && "picked",
      index === nowIndex && "now", block.end <= now && "past", month && date.slice(0, 7) !== month && "beside",
    );
    const short = scale === "day" ? sayClock(block.start, zone) : captionOf(block, grain, zone, grid, compact);
    return html`
      <td key=${key}>
        <button type="button" class=${names} data-index=${index} tabindex=${index === stop ? 0 : -1}
          aria-pressed=${picked ? "true" : "false"}
          onFocus=${() => { setFocus(index); onPoint?.(block); }} onDblClick=${() => onOpen?.(block)}>
          <span class="hidden">${index === nowIndex ? "Now. " : ""}${describe(block, measure, zone)}</span>
          ${short && html`<span class="caption" aria-hidden="true">${short}</span>`}
          ${!compact && html`<span class="figure" aria-hidden="true">${empty ? "" : sayCount(block.low, measure)}</span>`}
          ${block.high > block.low && block.low >= 0 && html`<${Best} block=${block} top=${top} measure=${measure} compact=${compact} />`}
        </button>
      </td>`;
  };

  const heading = (text, date, to) =>
    date && onHeading ? html`<button type="button" class="heading" onClick=${() => onHeading(to, date)}
      aria-label=${to === "week" ? `W${weekNumber(date)}, the week from ${sayDate(date)}` : sayDate(date)}>${text}</button>` : text;

  return html`
    <table class=${classes("heat", compact && "compact", grid.flow && `flow flow-${grid.flow}`, grid.hours && "hours", `scale-${scale}`)}
      ref=${root} aria-label=${`${label}: ${labelOf(measure)}`} onPointerDown=${down} onPointerOver=${over} onClick=${click}
      onPointerLeave=${() => onPoint?.(null)} onKeyDown=${move}>
      ${grid.columns && html`<thead><tr>
        ${(grid.hours || !compact) && html`<th class="side"><span class="hidden">${grid.hours ? "Hour" : "Week"}</span></th>`}
        ${grid.columns.map(({ name, date }) => html`<th key=${name} scope="col" class=${date === today(zone) ? "today" : ""}>
          ${heading(date ? html`${name} <b>${Number(date.slice(8))}</b>` : compact
            ? html`<span aria-hidden="true">${name[0]}</span><span class="hidden">${name}</span>` : name, date, "day")}</th>`)}
      </tr></thead>`}
      <tbody>
        ${grid.rows.map((row, at) => html`<tr key=${at}>
          ${grid.columns && (grid.hours || !compact) && html`<th class="side" scope="row">
            ${grid.hours ? `${String(row.hour).padStart(2, "0")}:00` : scale === "week" ? ""
              : heading(`W${weekNumber(row.date)}`, row.date, "week")}</th>`}
          ${row.cells.map(cell)}
        </tr>`)}
      </tbody>
    </table>`;
}

/** The mark of the best hour: how far it is along the cell, of all that is granted. */
function Best({ block, top, measure, compact }) {
  const part = top > 0 ? Math.max(0, Math.min(1, block.high / top)) : 0;
  const held = top > 0 ? Math.max(0, Math.min(1, block.low / top)) : 0;
  if (compact) return html`<span class=${`best-dot f${levelOf(block.high, top)}`}></span>`;
  return html`
    <span class="best" aria-hidden="true"><span class="best-text">to ${sayCount(block.high, measure)}</span>
      <span class="gauge"><i class="held" style=${{ width: `${held * 100}%` }}></i>
        <i class="mark" style=${{ left: `${part * 100}%` }}></i></span></span>`;
}

function captionOf(block, grain, zone, grid, compact) {
  if (grid.hours) return null;
  const date = dateIn(block.start, zone);
  if (grain === "month") return sayDate(date, { month: "long" });
  if (grain === "week") {
    const [from, to] = [block.start, block.end - HOUR].map((at) => sayDay(at, zone, { day: "numeric", month: "short" }));
    return html`W${weekNumber(date)}<span class="from"> ${from} – ${to}</span>`;
  }
  const day = Number(date.slice(8));
  return day === 1 && !compact ? sayDate(date, { day: "numeric", month: "short" }) : day;
}
