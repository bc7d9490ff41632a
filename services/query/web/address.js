// The address bar holds the view, so that a link shows another person the same thing.
import { useEffect, useState } from "./lib.js";
import { UTC, VIEWER_ZONE, isDate, isWholeHours, today } from "./time.js";

const DEFAULTS = {
  view: "calendar", pool: "", measure: "cores", scale: "month", grain: "", date: "", tz: "", as_of: "",
  ahead: "fortnight", row: "", select: "", booking: "", group: "account", account: "", kind: "", table: "", form: "",
};
const VIEWS = ["calendar", "free", "bookings", "accounts", "conflicts", "history", "setup"];
const SCALES = ["year", "month", "week", "day"];

const listeners = new Set();

let last = { search: null, address: null }; // a page of many links reads the same address for each of them

export function read() {
  if (last.search !== location.search) last = { search: location.search, address: parsed(location.search) };
  return { ...last.address };
}

function parsed(search) {
  const given = Object.fromEntries(new URLSearchParams(search));
  const address = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) if (given[name]) address[name] = given[name];
  if (!VIEWS.includes(address.view)) address.view = DEFAULTS.view;
  if (!SCALES.includes(address.scale)) address.scale = DEFAULTS.scale;
  if (!isDate(address.date)) address.date = "";
  return address;
}

export function linkTo(changes, from = read()) {
  const next = { ...from, ...changes };
  const kept = Object.entries(next).filter(([name, value]) => name in DEFAULTS && value !== DEFAULTS[name] && value != null);
  const query = new URLSearchParams(kept).toString();
  return query ? `?${query}` : location.pathname;
}

/** Goes there; with `replace` the way back leads past the place that was left. */
export function go(changes, { replace = false } = {}) {
  const url = linkTo(changes);
  history[replace ? "replaceState" : "pushState"](null, "", url);
  for (const listener of listeners) listener();
}

addEventListener("popstate", () => listeners.forEach((listener) => listener()));

export function useAddress() {
  const [address, setAddress] = useState(read);
  useEffect(() => {
    const listener = () => setAddress(read());
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return address;
}

const viewable = isWholeHours(VIEWER_ZONE) ? VIEWER_ZONE : UTC;

/** The zone that dates and times are shown in. A link keeps it only when it is not the viewer's own. */
export function zoneOf(address) {
  if (!address.tz) return viewable;
  try {
    return isWholeHours(address.tz) ? address.tz : UTC;
  } catch {
    return UTC;
  }
}

export const zoneCannotBeShown = viewable !== VIEWER_ZONE;
export const dateOf = (address) => address.date || today(zoneOf(address));

/** A link that goes without loading the page again; with a key held, the browser does as it always does. */
export const follow = (changes) => ({
  href: linkTo(changes),
  onClick: (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(changes);
  },
});
