// The calendar's blocks: which range and grain a view asks for, and the answer as a list of blocks.
import { HOUR, addDays, addMonths, iso, startOfMonth, startOfWeek, startOfYear } from "./time.js";

export const SCALES = ["year", "month", "week", "day"];
export const GRAINS = { year: ["day", "week", "month"], month: ["day", "week"], week: ["hour", "day"], day: ["hour"] };

export const grainOf = ({ scale, grain }) => (GRAINS[scale].includes(grain) ? grain : GRAINS[scale][0]);

/** The dates that a scale shows around a date: {first, last}, both included. A month is shown in whole weeks. */
export function spanOf(scale, date) {
  if (scale === "year") return { first: startOfYear(date), last: addDays(addMonths(startOfYear(date), 12), -1) };
  if (scale === "week") return { first: startOfWeek(date), last: addDays(startOfWeek(date), 6) };
  if (scale === "day") return { first: date, last: date };
  const first = startOfWeek(startOfMonth(date));
  return { first, last: addDays(startOfWeek(addDays(addMonths(startOfMonth(date), 1), -1)), 6) };
}

export function step(scale, date, count) {
  if (scale === "year") return addMonths(date, 12 * count);
  if (scale === "month") return addMonths(startOfMonth(date), count);
  return addDays(date, scale === "week" ? 7 * count : count);
}

/** `template:small` is a measure too: how many of it fit. */
export const templateOf = (measure) => (measure.startsWith("template:") ? measure.slice("template:".length) : null);

/** The parameters of /available/select for these. */
export function question(address, zone, span, grain) {
  const template = templateOf(address.measure);
  return {
    range: `${span.first},${span.last}`, grain, tz: zone, shape: "columns",
    ...(template ? { template } : { dimensions: address.measure }),
    ...(address.as_of ? { as_of: address.as_of } : {}),
  };
}

/**
 * The answer's columns as blocks: [{start, end, hours, low, high, granted, booked, shared}], instants in milliseconds.
 * `low` is what can be held throughout, `high` what the best hour has; the others are {min, max}.
 */
export function blocksOf({ columns }, measure) {
  const hourly = columns.step_hours === 1;
  const count = hourly ? columns.count : columns.start.length;
  const origin = hourly ? Date.parse(columns.start) : 0;
  const template = templateOf(measure);
  const pair = (figures, index) =>
    figures && { min: figures.min[index], max: figures.max ? figures.max[index] : figures.min[index] };
  return Array.from({ length: count }, (_, index) => {
    const start = hourly ? origin + index * HOUR : Date.parse(columns.start[index]);
    const end = hourly ? start + HOUR : Date.parse(columns.end[index]);
    const of = (value) => pair(columns[value]?.[measure], index);
    const asked = template ? pair(columns.fits, index) : of("available");
    return {
      start, end, hours: (end - start) / HOUR, low: asked?.min ?? 0, high: asked?.max ?? 0,
      granted: of("granted"), booked: of("booked"), shared: of("shared"),
    };
  });
}

/** `A,B` as instants, the way that periods are kept in the address. */
export const periodText = (start, end) => `${iso(start)},${iso(end)}`;

export function parsePeriod(text) {
  const [start, end] = (text || "").split(",").map((part) => Date.parse(part));
  return end > start ? { start, end } : null;
}
