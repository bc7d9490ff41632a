// The HTTP interface, and nothing else. What goes wrong becomes a Problem, whose words are for people.

const TRIES = 4;
const TRY_AGAIN_MS = 400;

// What a service says to whoever runs it, in words for the people who book.
const FOR_PEOPLE = {
  history_unsettled: {
    title: "Nothing can be booked for now",
    detail: "The ledger was moved to another server, and checks first that nothing was lost. Nothing was booked. Whoever runs it sees why.",
  },
};

/** RFC 9457: `title`, `detail`, `code`, and the facts of the error. */
export class Problem extends Error {
  constructor(status, answered) {
    const body = { ...answered, ...FOR_PEOPLE[answered.code] };
    super(body.detail || body.title || `The answer was ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.title = body.title ?? "That did not work";
    this.errors = body.errors ?? [];
    this.body = body;
  }
}

const unreachable = () =>
  new Problem(0, { title: "Hourbook cannot be reached", detail: "There is no answer. Is it running? The page tries again by itself." });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const transient = (status) => status === 0 || status === 502 || status === 503;

export function urlOf(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value != null && value !== "");
  const query = new URLSearchParams(given).toString();
  return `.${path}${query ? `?${query}` : ""}`;
}

/** One request. Raises a Problem. `heard` is called with the headers of a good answer. */
export async function once(url, options, heard) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  const text = await response.text();
  if (response.ok) heard?.(response.headers);
  if (response.ok) return response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = { detail: text.slice(0, 200) };
  }
  throw new Problem(response.status, body);
}

/**
 * What me.js knows: `ended` returns when the person has signed in again, after an answer 401; `forbidden` hears of an
 * answer 403; `isOpen` says whether people only say who they are.
 */
const identity = { ended: null, forbidden: null, isOpen: null };
export const setIdentity = (callbacks) => Object.assign(identity, callbacks);

/** Asks until there is an answer. A service that is starting is asked again; after 401, when somebody has signed in. */
async function untilAnswered(ask, signal) {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await ask();
    } catch (problem) {
      if (problem.status === 401 && identity.ended) {
        await identity.ended(signal);
        left = TRIES + 1;
        continue;
      }
      if (problem.status === 403) identity.forbidden?.();
      if (!transient(problem.status) || left <= 1) throw problem;
      await pause(TRY_AGAIN_MS);
    }
  }
}

/** Reads. */
export const get = (path, params, signal) => untilAnswered(() => once(urlOf(path, params), { signal }), signal);

/** Reads a list as a table, page after page: its texts, of which the first begins with the names of the columns. */
export async function getTables(path, params) {
  const tables = [];
  let after = null;
  do {
    const url = urlOf(path, { ...params, after });
    const table = await untilAnswered(() => once(url, { headers: { Accept: "text/csv" } },
      (headers) => { after = headers.get("Hourbook-Next"); }));
    tables.push(tables.length ? table.slice(table.indexOf("\n") + 1) : table);
  } while (after);
  return tables;
}

// A header is bytes, and fetch takes one letter for each: those of UTF-8, whatever the name is written in.
const asHeader = (text) => String.fromCharCode(...new TextEncoder().encode(text));

/** A name as the ledger spells it: one letter for an é, however it was typed. */
export const asName = (text) => text.trim().normalize("NFC");

export const actor = () => asName(localStorage.getItem("hourbook.actor") ?? "");
export const setActor = (name) => localStorage.setItem("hourbook.actor", name);

/** A key that makes sending a command again safe. crypto.randomUUID is for secure origins only. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Sends a command until its outcome is known: it has a key, so it is carried out once. */
export async function send(method, path, body, params = {}) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey() };
  if (actor() && identity.isOpen?.()) headers["X-Hourbook-Actor"] = asHeader(actor());
  return untilAnswered(() => once(urlOf(path, params), { method, headers, body: JSON.stringify(body) }));
}

/** What a pool is called in a query: a project by `project`, what is in it by `clusterid`. */
export const poolParams = (pool) => (pool.includes(".") ? { clusterid: pool } : { project: pool });
export const projectOf = (pool) => pool.split(".", 1)[0];
/** The pool around a cluster; empty for a project. */
export const parentOf = (pool) => pool.slice(0, Math.max(0, pool.lastIndexOf(".")));
