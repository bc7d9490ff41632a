// A recurring booking in words.
import { many } from "./lib.js";
import { HOUR, dateIn, daysBetween, sayClock, sayDate, weekday } from "./time.js";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const CODES = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
const NOUNS = { HOURLY: "hour", DAILY: "day", WEEKLY: "week", MONTHLY: "month", YEARLY: "year" };
const SAID = ["FREQ", "INTERVAL", "BYDAY", "COUNT", "UNTIL", "WKST"];

const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]);

/** "every Monday 09:00" of a rule that begins then; the rule itself where it says more than that. */
export function sayRule(rrule, first, zone) {
  const parts = Object.fromEntries(rrule.replace(/^RRULE:/, "").split(";").map((part) => part.toUpperCase().split("=")));
  const days = (parts.BYDAY ?? "").split(",").filter(Boolean);
  const plain = Object.keys(parts).every((name) => SAID.includes(name)) && NOUNS[parts.FREQ]
    && days.every((day) => CODES.includes(day)) && (!days.length || parts.FREQ === "WEEKLY");
  if (!plain) return rrule;
  const interval = Number(parts.INTERVAL ?? 1);
  const date = dateIn(first, zone);
  const each = interval === 1 ? `every ${NOUNS[parts.FREQ]}` : `every ${interval} ${NOUNS[parts.FREQ]}s`;
  const on = days.length ? CODES.filter((code) => days.includes(code)).map((code) => DAYS[CODES.indexOf(code)]) : [DAYS[weekday(date)]];
  const said = {
    HOURLY: each, DAILY: each,
    WEEKLY: interval === 1 ? `every ${listed(on)}` : `${each} on ${listed(on)}`,
    MONTHLY: `${each} on day ${Number(date.slice(8))}`,
    YEARLY: `${each} on ${sayDate(date, { day: "numeric", month: "short" })}`,
  }[parts.FREQ];
  return parts.FREQ === "HOURLY" ? said : `${said} ${sayClock(first, zone)}`;
}

/** The same of the times themselves, where the rule is not at hand: "every Monday 09:00", "every 2 days", "again and again". */
export function sayRhythm(starts, zone) {
  const dates = starts.map((at) => dateIn(at, zone));
  const gaps = new Set(dates.slice(1).map((date, at) => daysBetween(dates[at], date)));
  const clocks = new Set(starts.map((at) => sayClock(at, zone)));
  const clock = clocks.size === 1 ? ` ${[...clocks][0]}` : "";
  const on = [...new Set(dates.map(weekday))].sort((one, other) => one - other);
  const [gap] = gaps;
  if (gaps.size === 1 && gap % 7 === 0 && gap) return `every ${gap === 7 ? "" : `${gap / 7} weeks on `}${DAYS[on[0]]}${clock}`;
  if (gaps.size === 1 && gap) return `every ${gap === 1 ? "day" : `${gap} days`}${clock}`;
  if (on.length <= 3 && [...gaps].every((days) => days < 8)) return `every ${listed(on.map((day) => DAYS[day]))}${clock}`;
  return `again and again${clock}`;
}

/** Bookings that occur more than once in a list become one entry: [{items, series}], in the order of their first times. */
export function entriesOf(items) {
  const entries = new Map();
  for (const item of items) {
    const key = item.series ? `${item.series} ${item.account} ${item.pool}` : item.id + item.start;
    if (entries.has(key)) entries.get(key).items.push(item);
    else entries.set(key, { key, series: item.series, items: [item] });
  }
  return [...entries.values()];
}

/** "12 times" of the bookings; a booking that was changed while it ran is one. */
export const times = (items) => many(new Set(items.map(({ id }) => id)).size, "time");

export const endsLater = (item) => Date.parse(item.end) > Date.now();
export const startsLater = (item) => Date.parse(item.start) >= Date.now() - HOUR;
