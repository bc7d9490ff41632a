// What is in sight of the grid of pools and blocks, and how one moves and drags in it.
import { useEffect, useLayoutEffect, useRef, useState } from "../lib.js";

export const ROW = 30;
export const HEAD = 46;
const BESIDE = { rows: 6, columns: 4 }; // how many more than what is in sight
const UNMEASURED = { width: 0, height: 600, top: 0, left: 0 };

/** What is in sight of rows and of columns, each [from, to). */
export function windowOf(sight, { rows, columns, names, width }) {
  const cut = (start, length, size, beside, count) => [
    Math.max(0, Math.min(count, Math.floor(start / size) - beside)), Math.min(count, Math.ceil((start + length) / size) + beside),
  ];
  return {
    rows: cut(sight.top, sight.height, ROW, BESIDE.rows, rows),
    columns: cut(sight.left, Math.max(0, sight.width - names), width, BESIDE.columns, columns),
  };
}

/** The indices of a window, and one more that must be there because it has the focus. */
export function indices([from, to], more) {
  const found = Array.from({ length: to - from }, (_, at) => from + at);
  return more < from ? [more, ...found] : more >= to ? [...found, more] : found;
}

/** How large the grid is, and how far it is scrolled, in steps of a row. */
export function useSight(root) {
  const [sight, setSight] = useState(UNMEASURED);
  useLayoutEffect(() => {
    const element = root.current;
    const measure = () => {
      const next = { width: element.clientWidth, height: element.clientHeight,
        top: Math.floor(element.scrollTop / ROW) * ROW, left: Math.floor(element.scrollLeft / ROW) * ROW };
      setSight((old) => (Object.keys(next).every((name) => old[name] === next[name]) ? old : next));
    };
    const watch = new ResizeObserver(measure);
    watch.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => { watch.disconnect(); element.removeEventListener("scroll", measure); };
  }, []);
  return sight;
}

/** The row and the column of what an event is about; null outside of the cells and names. */
export const placeOf = (target) => {
  const cell = target.closest?.("[data-column]");
  return cell && { row: Number(cell.dataset.row), column: Number(cell.dataset.column) };
};

/** Where a key leads; null if it leads nowhere. The name of a pool is column -1. */
export function keyed({ key, ctrlKey, metaKey }, { row, column }, { rows, columns }, page) {
  const far = ctrlKey || metaKey;
  const to = {
    ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
    PageUp: [row - page, column], PageDown: [row + page, column],
    Home: [far ? 0 : row, column < 0 ? -1 : 0], End: [far ? rows - 1 : row, columns - 1],
  }[key];
  return to && { row: Math.max(0, Math.min(rows - 1, to[0])), column: Math.max(-1, Math.min(columns - 1, to[1])) };
}

/** The cell that has the focus or would get it. `moveTo` brings a cell into sight and gives it the focus. */
export function useFocus(root, { rows, columns, names, width }) {
  const [place, setPlace] = useState({ row: 0, column: 0 });
  const wanted = useRef(false);
  const focus = { row: Math.min(place.row, rows - 1), column: Math.min(place.column, columns - 1) };
  useLayoutEffect(() => {
    if (!wanted.current) return;
    wanted.current = false;
    const grid = root.current;
    const [up, left] = [focus.row * ROW, Math.max(0, focus.column) * width];
    grid.scrollTop = Math.max(up + HEAD + ROW - grid.clientHeight, Math.min(up, grid.scrollTop));
    grid.scrollLeft = Math.max(left + names + width - grid.clientWidth, Math.min(left, grid.scrollLeft));
    grid.querySelector(`[data-row="${focus.row}"][data-column="${focus.column}"]`)?.focus({ preventScroll: true });
  });
  const set = (to) => setPlace((old) => (old.row === to.row && old.column === to.column ? old : to));
  return { focus, setFocus: set, moveTo: (to) => { wanted.current = true; setPlace({ ...to }); } };
}

/** With the mouse one drags along a row, and what is chosen is told at the end. A finger taps a cell. */
export function useDrag(root, onChoose, rows) {
  const [drag, setDrag] = useState(null);
  const latest = useRef(null);
  const anchor = useRef(null);
  latest.current = { drag, onChoose, rows };
  useEffect(() => {
    const end = (event) => {
      const { drag: now, onChoose: tell, rows: those } = latest.current;
      if (!now) return;
      setDrag(null);
      if (event.type === "pointerup") tell(those[now.row].pool, Math.min(now.from, now.to), Math.max(now.from, now.to));
    };
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
    return () => { removeEventListener("pointerup", end); removeEventListener("pointercancel", end); };
  }, []);
  const begin = (event, at) => {
    const along = event.shiftKey && anchor.current?.row === at.row;
    if (!along) anchor.current = at;
    return { row: at.row, from: anchor.current.column, to: at.column };
  };
  const cellOf = (event) => {
    const at = placeOf(event.target);
    return at && at.column >= 0 && root.current.contains(event.target) ? at : null;
  };
  return {
    drag, anchor,
    down: (event) => {
      const at = cellOf(event);
      if (at && !event.button && event.pointerType === "mouse") setDrag(begin(event, at));
    },
    over: (event) => {
      const at = cellOf(event);
      const now = latest.current.drag;
      if (at && now && at.column !== now.to) setDrag({ ...now, to: at.column });
    },
    click: (event) => {
      const at = cellOf(event);
      if (!at || event.pointerType === "mouse") return;
      const { row, from, to } = begin(event, at);
      onChoose(rows[row].pool, Math.min(from, to), Math.max(from, to));
    },
  };
}
