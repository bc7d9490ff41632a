// How much, over time, as the outline of an area: for the load of accounts and clusters, and for the size of a cluster.
import { HOUR } from "./time.js";

/** The blocks of an answer's columns: [{start, end}], instants in milliseconds. */
export const edgesOf = ({ start, end }) => start.map((from, at) => ({ start: Date.parse(from), end: Date.parse(end[at]) }));

/** The outline of a row of figures, one for each block, in hours across and with `top` up. Blocks of the same height are one step. */
export function outline(edges, values, top) {
  if (!edges.length) return "";
  const origin = edges[0].start;
  const across = (at) => (at - origin) / HOUR;
  const steps = [];
  values.forEach((value, at) => {
    if (at + 1 < values.length && values[at + 1] === value) return;
    steps.push(`V${top - Math.min(top, Math.max(0, value))}H${across(edges[at].end)}`);
  });
  return `M0,${top}${steps.join("")}V${top}Z`;
}

/** A line from bottom to top at each of the instants. */
export const uprights = (edges, instants, top) =>
  instants.filter((at) => at > edges[0].start && at < edges.at(-1).end).map((at) => `M${(at - edges[0].start) / HOUR},0V${top}`).join("");

export const hoursOf = (edges) => (edges.length ? (edges.at(-1).end - edges[0].start) / HOUR : 1);

/** The place of the block at a part (0 to 1) of the whole time. */
export function blockAt(edges, part) {
  const at = edges[0].start + part * (edges.at(-1).end - edges[0].start);
  const found = edges.findIndex(({ end }) => end > at);
  return found < 0 ? edges.length - 1 : found;
}
