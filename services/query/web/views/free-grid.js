// The grid of pools and blocks. Only what is in sight is in the page, with a few rows and columns around it: a hundred
// pools by the hour are tens of thousands of cells.
import { follow } from "../address.js";
import { shorterAndShorter } from "../capacity.js";
import { headsOf, levelOn } from "../free.js";
import { classes, html, useMemo, useRef } from "../lib.js";
import { HEAD, ROW, indices, keyed, placeOf, useDrag, useFocus, useSight, windowOf } from "./free-moves.js";
import { describeFree } from "./heatmap.js";

const LEAST = { hour: 32, day: 32, week: 34, month: 34 }; // the least width of a column
const NAMES = { wide: 196, narrow: 116, until: 560 };
const LETTER = 7.2; // of a figure, and what stays free beside it
const MARGIN = 8;

/** The width of the names: narrow on a phone, and where the columns are then all in sight, which need `least`. */
const namesOf = (width, least) =>
  width < NAMES.until || (width - NAMES.wide < least && least <= width - NAMES.narrow) ? NAMES.narrow : NAMES.wide;

/**
 * `rows` are those of the matrix that are shown, `chosen` is {pool, start, end} or null. `onChoose(pool, from, to)` is
 * called with indices of columns, `onPoint({row, column, block} | null)` with what is hovered or focused.
 */
export function FreeGrid({ matrix, rows, grain, measure, zone, chosen, label, onChoose, onPoint }) {
  const root = useRef(null);
  const { columns, top } = matrix;
  const sight = useSight(root);
  const names = namesOf(sight.width, LEAST[grain] * columns.length);
  const width = Math.max(LEAST[grain], Math.floor((sight.width - names) / columns.length));
  const shape = { rows: rows.length, columns: columns.length, names, width };
  const { focus, setFocus, moveTo } = useFocus(root, shape);
  const { drag, ...pointing } = useDrag(root, onChoose, rows);
  const shown = windowOf(sight, shape);
  const heads = useMemo(() => columns.map((column) => headsOf(column, grain, zone)), [columns, grain, zone]);

  const choose = (row, from, to) => onChoose(rows[row].pool, Math.min(from, to), Math.max(from, to));
  const onKeyDown = (event) => {
    const at = placeOf(event.target);
    if (!at) return;
    const to = keyed(event, at, shape, Math.max(1, Math.floor(sight.height / ROW) - 2));
    if (to) {
      event.preventDefault();
      const along = event.shiftKey && to.row === at.row && at.column >= 0;
      pointing.anchor.current = along ? pointing.anchor.current ?? at : null;
      moveTo(along ? { ...to, column: Math.max(0, to.column) } : to);
      if (along) choose(at.row, pointing.anchor.current.column, Math.max(0, to.column));
    } else if ((event.key === " " || event.key === "Enter") && at.column >= 0) {
      event.preventDefault();
      const { first, last } = pickedOf(rows[at.row], at.row, null, chosen, columns);
      if (event.key === " " || at.column < first || last < at.column) choose(at.row, at.column, at.column);
      if (event.key === "Enter") requestAnimationFrame(() => document.querySelector("#book [name=account]")?.focus());
    }
  };
  const tell = (event) => {
    const at = placeOf(event.target);
    const row = at && at.column >= 0 && rows[at.row];
    onPoint(row ? { row, column: columns[at.column], block: blockOf(row, columns, at.column) } : null);
  };
  const onFocusIn = (event) => {
    const at = placeOf(event.target);
    if (at) setFocus(at);
    tell(event);
  };
  const all = { height: `${HEAD + rows.length * ROW}px`, width: `${names + columns.length * width}px` };
  return html`
    <div class="free-grid" role="grid" ref=${root} aria-label=${label} aria-rowcount=${rows.length + 1}
      aria-colcount=${columns.length + 1} aria-multiselectable="true"
      onKeyDown=${onKeyDown} onfocusin=${onFocusIn} onPointerDown=${pointing.down} onClick=${pointing.click}
      onPointerOver=${(event) => { pointing.over(event); tell(event); }} onPointerLeave=${() => onPoint(null)}>
      <div class="free-all" role="rowgroup" style=${all}>
        <${Heads} columns=${columns} heads=${heads} shown=${shown} names=${names} width=${width}
          seen=${Math.ceil(sight.left / width)} />
        ${indices(shown.rows, focus.row).map((index) => html`
          <${Row} key=${rows[index].pool} index=${index} row=${rows[index]} columns=${columns} from=${shown.columns[0]}
            to=${shown.columns[1]} names=${names} width=${width} top=${top} measure=${measure}
            stop=${index === focus.row ? focus.column : null} ...${pickedOf(rows[index], index, drag, chosen, columns)} />`)}
      </div>
    </div>`;
}

const blockOf = ({ min, max }, columns, at) => ({ low: min[at], high: max[at], hours: columns[at].hours });

/** The picked columns of a row as {first, last}; -1 where there are none. */
function pickedOf({ pool }, index, drag, chosen, columns) {
  if (drag?.row === index) return { first: Math.min(drag.from, drag.to), last: Math.max(drag.from, drag.to) };
  if (drag || chosen?.pool !== pool) return { first: -1, last: -1 };
  const touches = ({ start, end }) => start < chosen.end && chosen.start < end;
  return { first: columns.findIndex(touches), last: columns.findLastIndex(touches) };
}

/** `seen` is the first column that is not below the names: it says the month or day around it too. */
function Heads({ columns, heads, shown, names, width, seen }) {
  const [from, to] = shown.columns;
  const long = heads.every(([, text]) => text.length * LETTER <= width) ? 1 : 0;
  return useMemo(() => html`
    <div class="free-head" role="row" aria-rowindex="1">
      <div class="free-name" role="columnheader" aria-colindex="1" style=${{ width: `${names}px` }}>Pool</div>
      ${indices([from, to], from).map((at) => {
        const { above, opens, when } = columns[at];
        const named = opens || (at === seen && !columns.slice(at + 1, at + 4).some((one) => one.opens));
        return html`<div key=${at} role="columnheader" class=${classes("free-column", opens && "opens")}
          aria-colindex=${at + 2} aria-label=${when} style=${{ left: `${names + at * width}px`, width: `${width}px` }}>
          ${named && html`<b aria-hidden="true">${above}</b>`}
          <span aria-hidden="true">${heads[at][long]}</span></div>`;
      })}
    </div>`, [columns, heads, from, to, names, width, seen]);
}

/** A row is made again only when something of it has changed. `stop` is the column that the Tab key reaches, or null. */
function Row({ index, row, columns, from, to, names, width, top, measure, stop, first, last }) {
  return useMemo(() => html`
    <div class="free-row" role="row" aria-rowindex=${index + 2} style=${{ top: `${HEAD + index * ROW}px` }}>
      <div class="free-name" role="rowheader" aria-colindex="1" style=${{ width: `${names}px` }}>
        <a ...${follow({ view: "calendar", pool: row.pool, row: "", select: "", booking: "" })} data-row=${index} data-column="-1"
          tabindex=${stop === -1 ? 0 : -1} title=${`${row.pool}, ${row.kind}`} style=${{ paddingLeft: `${8 + row.depth * 12}px` }}>
          ${row.label}</a></div>
      ${indices([from, to], stop >= 0 && stop != null ? stop : from).map((at) => {
        const block = blockOf(row, columns, at);
        const figure = figureOf(block.low, measure, width);
        const picked = first <= at && at <= last && first >= 0;
        const fill = block.low < 0 ? "over" : `f${levelOn(block.low, top)}`;
        return html`<div key=${at} role="gridcell" data-row=${index} data-column=${at} aria-colindex=${at + 2}
          tabindex=${at === stop ? 0 : -1} class=${classes("free-cell", fill, picked && "picked")}
          aria-selected=${picked ? "true" : "false"} aria-label=${`${row.pool}, ${columns[at].when}: ${describeFree(block, measure)}`}
          style=${{ left: `${names + at * width}px`, width: `${width}px` }}>${figure}
          ${block.high > block.low && block.high > 0 && html`<i class=${`f${levelOn(block.high, top)}`}></i>`}</div>`;
      })}
    </div>`, [index, row, columns, from, to, names, width, top, measure, stop, first, last]);
}

/** The figure as it fits into a cell; empty where there is no room. */
const figureOf = (value, measure, width) =>
  shorterAndShorter(value, measure).find((text) => text.length * LETTER + MARGIN <= width) ?? "";
