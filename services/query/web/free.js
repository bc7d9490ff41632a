// Where is it free: which time is looked at, and the matrix of pools and blocks that comes back.
import { periodText, templateOf } from "./blocks.js";
import {
  HOUR, addDays, addMonths, dateIn, iso, nextHour, sayClock, sayDate, sayPeriod, startOfMonth, startOfWeek, weekNumber,
} from "./time.js";

export const AHEAD = ["day", "fortnight", "month", "year"];
export const AHEAD_LABELS = { day: "Day", fortnight: "2 weeks", month: "5 weeks", year: "Year" };
export const AHEAD_GRAINS = { day: ["hour"], fortnight: ["day", "hour"], month: ["day", "week"], year: ["week", "month"] };
const DAYS = { day: 1, fortnight: 14, month: 35, year: 364 };
const LEVELS = 8;

export const aheadOf = ({ ahead }) => (AHEAD.includes(ahead) ? ahead : AHEAD[1]);
export const aheadGrainOf = (address) => {
  const grains = AHEAD_GRAINS[aheadOf(address)];
  return grains.includes(address.grain) ? address.grain : grains[0];
};

/** The first date of the time that lies so far before (-1) or after (1) a date. */
export const stepAhead = (ahead, date, count) => addDays(date, count * DAYS[ahead]);

/**
 * The `range` of the question. Without a date it begins with the next whole hour, because nobody books the hours before.
 * Weeks and months are whole, but for the first one then.
 */
export function rangeAhead(address, zone) {
  const [ahead, grain] = [aheadOf(address), aheadGrainOf(address)];
  const start = nextHour();
  if (!address.date && ahead === "day") return periodText(start, start + 24 * HOUR);
  const date = address.date || dateIn(start, zone);
  const first = grain === "week" ? startOfWeek(date) : grain === "month" ? startOfMonth(date) : date;
  const last = grain === "month" ? addDays(addMonths(first, 12), -1) : addDays(first, DAYS[ahead] - 1);
  return `${address.date ? first : iso(start)},${last}`;
}

/** The parameters of /available/matrix, without the pool. */
export function matrixQuestion(address, zone) {
  const template = templateOf(address.measure);
  return {
    range: rangeAhead(address, zone), grain: aheadGrainOf(address), tz: zone,
    ...(template ? { template } : { dimension: address.measure }),
    ...(address.as_of ? { as_of: address.as_of } : {}),
  };
}

/**
 * The answer as {columns, rows, top}: columns [{start, end, hours, date, when, above, opens}], instants in milliseconds,
 * `above` is the month or day around it, and `opens` says whether it is the first of that; rows
 * [{pool, label, kind, depth, min, max}], min and max as the answer has them; `top` is the most that is free in any hour.
 */
export function matrixOf({ columns, rows, grain }, zone) {
  let above = null;
  const shown = columns.start.map((text, index) => {
    const [start, end] = [Date.parse(text), Date.parse(columns.end[index])];
    const date = dateIn(start, zone);
    const group = grain === "hour" ? date : grain === "month" ? date.slice(0, 4) : date.slice(0, 7);
    const opens = group !== above;
    above = group;
    return { start, end, hours: columns.hours[index], date, when: sayPeriod(start, end, zone), opens, above: sayGroup(date, grain) };
  });
  const seen = new Set(rows.map(({ pool }) => pool));
  return {
    columns: shown,
    rows: rows.map((row) => ({ ...row, ...placeOf(row, seen) })),
    top: rows.reduce((top, { max }) => max.reduce((one, other) => Math.max(one, other), top), 0),
  };
}

const sayGroup = (date, grain) => (grain === "hour" ? sayDate(date, { weekday: "short", day: "numeric", month: "short" })
  : grain === "month" ? date.slice(0, 4) : sayDate(date, { month: "short", year: "numeric" }));

/** Inside of what is around it, a pool is called by its own part of the name. */
function placeOf({ pool, name, kind }, seen) {
  const parts = pool.split(".");
  let depth = 0;
  for (let length = parts.length - 1; length > 0; length -= 1) if (seen.has(parts.slice(0, length).join("."))) depth += 1;
  const inside = depth > 0 && seen.has(parts.slice(0, -1).join("."));
  return { depth, label: kind === "project" ? name || pool : inside ? parts.at(-1) : pool };
}

/** What stands at the head of a column, short and long: ["26", "Thu 26"]. */
export function headsOf({ date, start }, grain, zone) {
  if (grain === "hour") return [sayClock(start, zone).slice(0, 2), sayClock(start, zone)];
  if (grain === "week") return [`${weekNumber(date)}`, `W${weekNumber(date)}`];
  if (grain === "month") return [sayDate(date, { month: "narrow" }), sayDate(date, { month: "short" })];
  return [String(Number(date.slice(8))), `${sayDate(date, { weekday: "short" })} ${Number(date.slice(8))}`];
}

/**
 * How full the fill of a cell is, from 0, nothing free, to 8. Pools are of very different sizes, so a level is a number of
 * times more than the one before, and not so much more.
 */
export const levelOn = (value, top) =>
  (value <= 0 || top <= 0 ? 0 : Math.max(1, Math.round((LEVELS * Math.log1p(value)) / Math.log1p(top))));

/** The smallest value of a level. */
export const leastOf = (level, top) => Math.max(level ? 1 : 0, Math.ceil(Math.expm1(((level - 0.5) / LEVELS) * Math.log1p(top))));
