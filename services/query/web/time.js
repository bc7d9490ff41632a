// Dates are "2026-11-24" and belong to a zone; instants are milliseconds, always on a whole UTC hour.

export const HOUR = 3_600_000;
const DAY = 24 * HOUR;
export const UTC = "UTC";
export const VIEWER_ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || UTC;

const formats = new Map();

function format(zone, options) {
  const key = `${zone}|${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }));
  return formats.get(key);
}

// Dates -----------------------------------------------------------------------------------------------------------

const days = (date) => Date.parse(`${date}T00:00Z`) / DAY;
const dateOfDays = (count) => new Date(count * DAY).toISOString().slice(0, 10);

export const addDays = (date, count) => dateOfDays(days(date) + count);
export const daysBetween = (from, to) => days(to) - days(from);
export const weekday = (date) => (days(date) + 3) % 7; // Monday is 0; 1970-01-01 was a Thursday
export const startOfWeek = (date) => addDays(date, -weekday(date));
export const startOfMonth = (date) => `${date.slice(0, 7)}-01`;
export const startOfYear = (date) => `${date.slice(0, 4)}-01-01`;
export const isDate = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(days(text)) && dateOfDays(days(text)) === text;

export function addMonths(date, count) {
  const month = Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7)) - 1 + count;
  const first = `${String(Math.floor(month / 12)).padStart(4, "0")}-${String((month % 12) + 1).padStart(2, "0")}-01`;
  const length = daysBetween(first, startOfMonth(addDays(first, 31)));
  return addDays(first, Math.min(Number(date.slice(8)), length) - 1);
}

/** The ISO week's number: that of the year in which its Thursday lies. */
export function weekNumber(date) {
  const thursday = addDays(startOfWeek(date), 3);
  return Math.floor(daysBetween(startOfYear(thursday), thursday) / 7) + 1;
}

export const sayDate = (date, options = { weekday: "short", day: "numeric", month: "short", year: "numeric" }) =>
  format(UTC, options).format(new Date(`${date}T00:00Z`)).replace(",", "");

// Instants --------------------------------------------------------------------------------------------------------

const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function parts(at, zone) {
  const found = {};
  for (const { type, value } of format(zone, PARTS).formatToParts(at)) found[type] = value;
  return found;
}

export const iso = (at) => new Date(at).toISOString().replace(".000Z", "Z");

export function dateIn(at, zone) {
  const { year, month, day } = parts(at, zone);
  return `${year.padStart(4, "0")}-${month}-${day}`;
}

/** Whether a day begins then: at 00:00, or later where the clocks skip that; only at the first 00:00 of two. */
export const opensDay = (at, zone) => dateIn(at - HOUR, zone) !== dateIn(at, zone);

export const hourIn = (at, zone) => Number(parts(at, zone).hour);
export const today = (zone) => dateIn(Date.now(), zone);
export const nextHour = () => Math.ceil(Date.now() / HOUR) * HOUR;

/** How far the zone's clocks are ahead of UTC at an instant, in milliseconds. */
function offset(at, zone) {
  const { year, month, day, hour, minute } = parts(at, zone);
  return Date.UTC(year, month - 1, day, hour, minute) - Math.floor(at / 60_000) * 60_000;
}

/** The instant at which the zone's clocks show this; the first, where they show it twice. */
export function instant(date, hour, zone) {
  const wall = days(date) * DAY + hour * HOUR;
  const candidates = [wall - offset(wall - DAY, zone), wall - offset(wall + DAY, zone)];
  return candidates.find((at) => at + offset(at, zone) === wall) ?? candidates[0];
}

/** "2026-11-24T18:17:47" by the zone's clocks, and back: to the first, where they show it twice. */
export const wallClock = (at, zone) => new Date(Math.floor(at / 1000) * 1000 + offset(at, zone)).toISOString().slice(0, 19);
export function momentOf(wall, zone) {
  const [date, clock] = wall.split("T");
  const [hour, minute, second = 0] = clock.split(":").map(Number);
  return instant(date, hour, zone) + minute * 60_000 + second * 1000;
}

/** Whether what the past is asked as of is a position, and not an instant. */
export const isPosition = (asOf) => /^\d+$/.test(asOf);

/** Whether the zone's hours are UTC's hours, this year at least: only then can its days be read. */
export const isWholeHours = (zone) =>
  [0, 3, 6, 9].every((month) => offset(Date.UTC(new Date().getUTCFullYear(), month, 1), zone) % HOUR === 0);

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const SHORT = { weekday: "short", day: "numeric", month: "short" };

export const sayClock = (at, zone) => format(zone, CLOCK).format(at);
export const sayDay = (at, zone, options = SHORT) => {
  const years = dateIn(at, zone).slice(0, 4) === today(zone).slice(0, 4) ? {} : { year: "numeric" };
  return format(zone, { ...options, ...years }).format(at).replace(",", "");
};
export const sayInstant = (at, zone) => `${sayDay(at, zone)}, ${sayClock(at, zone)}`;
export const sayMoment = (text, zone) =>
  format(zone, { day: "numeric", month: "short", year: "numeric", ...CLOCK, second: "2-digit" }).format(Date.parse(text));

/** "Tue 24 Nov", "Mon 2 – Fri 6 Nov", "Tue 24 Nov, 09:00 – 17:00": whole days as days, the last one named. */
export function sayPeriod(start, end, zone) {
  if (opensDay(start, zone) && opensDay(end, zone)) {
    const last = end - HOUR;
    return dateIn(start, zone) === dateIn(last, zone) ? sayDay(start, zone) : `${sayDay(start, zone)} – ${sayDay(last, zone)}`;
  }
  const sameDay = dateIn(start, zone) === dateIn(end - 1, zone);
  const ending = opensDay(end, zone) ? `${sameDay ? "" : `${sayDay(end - 1, zone)}, `}24:00` : sameDay ? sayClock(end, zone)
    : sayInstant(end, zone);
  return `${sayInstant(start, zone)} – ${ending}`;
}

/** "3 days", "36 hours", "2 days 5 hours". */
export function sayDuration(hours) {
  const whole = Math.floor(hours / 24);
  const rest = hours % 24;
  const say = (count, noun) => (count ? `${count} ${noun}${count === 1 ? "" : "s"}` : "");
  return hours < 48 && rest ? say(hours, "hour") : [say(whole, "day"), say(rest, "hour")].filter(Boolean).join(" ");
}

/** The zone in few letters, for beside a time. */
export const sayZone = (zone) => (zone === UTC ? "UTC" : zone.split("/").pop().replaceAll("_", " "));
