// What every view is written with: Preact's components and hooks, and htm's templates, which need no build.
import { Fragment, createContext, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { Fragment, createContext, render };
export {
  useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useRef, useState,
} from "./vendor/hooks.js";

export const html = htm.bind(h);

/** Class names with the false ones left out. */
export const classes = (...names) => names.filter(Boolean).join(" ");

/** `many(1, "hour")` is "1 hour", `many(2, "hour")` "2 hours". */
export const many = (count, noun, plural = `${noun}s`) => `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;

/** Groups a list by a key, in the order of first appearance. */
export function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    groups.has(key) ? groups.get(key).push(item) : groups.set(key, [item]);
  }
  return groups;
}
