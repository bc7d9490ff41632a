// The six dimensions, in the words that people use for them.

export const DIMENSIONS = [
  { name: "servers", label: "Servers", unit: "", noun: ["server", "servers"] },
  { name: "cores", label: "Cores", unit: "", noun: ["core", "cores"] },
  { name: "memory", label: "Memory", unit: "MiB", noun: ["of memory", "of memory"] },
  { name: "tempdisc", label: "Temporary disc", unit: "GiB", noun: ["of temporary disc", "of temporary disc"] },
  { name: "userdisc", label: "User disc", unit: "GiB", noun: ["of user disc", "of user disc"] },
  { name: "datadisc", label: "Data disc", unit: "GiB", noun: ["of data disc", "of data disc"] },
];
export const NAMES = DIMENSIONS.map((dimension) => dimension.name);
const by = Object.fromEntries(DIMENSIONS.map((dimension) => [dimension.name, dimension]));

const figures = new Intl.NumberFormat("en", { maximumFractionDigits: 1 }); // made once: it takes longer than a hundred uses
const number = (value) => figures.format(value).replace("-", "−");
const scaled = (value, units, step) => {
  let unit = 0;
  let left = value;
  while (Math.abs(left) >= step && unit < units.length - 1) [left, unit] = [left / step, unit + 1];
  return `${number(left)} ${units[unit]}`;
};

/** A count with its unit, as short as can be: "12", "48 GiB", "1.5 TiB". A template's fits are plain counts. */
export function sayCount(value, measure) {
  const unit = by[measure]?.unit;
  if (unit === "MiB") return scaled(value, ["MiB", "GiB", "TiB", "PiB"], 1024);
  if (unit === "GiB") return scaled(value, ["GiB", "TiB", "PiB"], 1024);
  return number(value);
}

const compact = [1, 0].map((digits) =>
  new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: digits, roundingMode: "floor" }));

/** The same in fewer and fewer letters, for where there is little room: ["8,608", "8.6K", "8K"]. No count is rounded up. */
export const shorterAndShorter = (value, measure) => (by[measure]?.unit
  ? [sayCount(value, measure), sayCount(value, measure).replace(/ (.)iB/, "$1")]
  : [number(value), ...compact.map((each) => each.format(value).replace("-", "−"))]);

/** "12 cores", "48 GiB of memory", "3 × small". */
export function sayAmount(value, measure) {
  if (!by[measure]) return `${number(value)} × ${measure.replace(/^template:/, "")}`;
  return `${sayCount(value, measure)} ${by[measure].noun[Math.abs(value) === 1 ? 0 : 1]}`;
}

/** "4 cores, 16 GiB of memory"; what is nought is left out. */
export const sayCapacity = (capacity) =>
  NAMES.filter((name) => capacity?.[name]).map((name) => sayAmount(capacity[name], name)).join(", ") || "nothing";

export const labelOf = (measure) => by[measure]?.label ?? `How many “${measure.replace(/^template:/, "")}” fit`;
export const unitOf = (name) => by[name].unit;

/** The capacity that an item's or a form's fields give; empty is left out. */
export const pickCapacity = (fields) =>
  Object.fromEntries(NAMES.filter((name) => fields[name] !== "" && fields[name] != null).map((name) => [name, Number(fields[name])]));
