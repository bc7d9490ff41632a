// What the timeline stacks: who holds how much, hour by hour.
import { HOUR } from "./time.js";

const ACCOUNTS_MAX = 8;

/**
 * The layers from the bottom up: [{key, label, kind, values}], kind "clusters", "account" (with its rank), "others",
 * "shared" or "free". Together they reach what is granted, or more where it is over-committed.
 */
export function layersOf(blocks, items, measure) {
  const count = blocks.length;
  const origin = count ? blocks[0].start : 0;
  const by = new Map();
  for (const item of items ?? []) {
    if (!item[measure] || item.share) continue;
    if (!by.has(item.account)) by.set(item.account, new Float64Array(count));
    const values = by.get(item.account);
    const from = Math.max(0, (Date.parse(item.start) - origin) / HOUR);
    const to = Math.min(count, (Date.parse(item.end) - origin) / HOUR);
    for (let hour = from; hour < to; hour += 1) values[hour] += item[measure];
  }
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const ranked = [...by].sort(([, one], [, other]) => total(other) - total(one));
  const named = ranked.length > ACCOUNTS_MAX ? ACCOUNTS_MAX - 1 : ACCOUNTS_MAX;
  const own = ranked.slice(0, named).map(([label, values], rank) => ({ key: `account:${label}`, label, kind: "account", rank, values }));
  const rest = ranked.slice(named);
  if (rest.length) own.push({ key: "others", label: `${rest.length} other accounts`, kind: "others",
    values: summed(rest.map(([, values]) => values), count) });
  const held = summed(own.map(({ values }) => values), count);
  const pick = (of) => Float64Array.from(blocks, of);
  const layers = [
    { key: "clusters", label: items ? "Clusters in it" : "Booked", kind: "clusters",
      values: pick((block, at) => Math.max(0, block.booked.max - held[at])) },
    ...own,
    { key: "shared", label: "Reserved by shares", kind: "shared", values: pick((block) => block.shared?.max ?? 0) },
    { key: "free", label: "Free", kind: "free", values: pick((block) => Math.max(0, block.low)) },
  ];
  return layers.filter(({ kind, values }) => kind === "free" || values.some((value) => value > 0));
}

function summed(columns, count) {
  const sums = new Float64Array(count);
  for (const column of columns) for (let at = 0; at < count; at += 1) sums[at] += column[at];
  return sums;
}

/** Runs of hours in which nothing changes: [{from, to}] of indices, the end left out. */
export function runsOf(columns, count) {
  const runs = [];
  for (let at = 0; at < count; at += 1) {
    const same = at > 0 && columns.every((column) => column[at] === column[at - 1]);
    if (same) runs.at(-1).to = at + 1;
    else runs.push({ from: at, to: at + 1 });
  }
  return runs;
}
