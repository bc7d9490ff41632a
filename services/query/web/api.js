// The HTTP interface, and nothing else. What goes wrong becomes a Problem, whose words are for people.

const TRIES = 4;
const TRY_AGAIN_MS = 400;

/** RFC 9457: `title`, `detail`, `code`, and the facts of the error. */
export class Problem extends Error {
  constructor(status, body) {
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

async function answer(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  const text = await response.text();
  if (response.ok) return response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text;
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = { detail: text.slice(0, 200) };
  }
  throw new Problem(response.status, body);
}

/** Reads; a service that is starting is asked again. */
export async function get(path, params, signal) {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await answer(urlOf(path, params), { signal });
    } catch (problem) {
      if (!transient(problem.status) || left <= 1) throw problem;
      await pause(TRY_AGAIN_MS);
    }
  }
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
  if (actor()) headers["X-Hourbook-Actor"] = asHeader(actor());
  for (let left = TRIES; ; left -= 1) {
    try {
      return await answer(urlOf(path, params), { method, headers, body: JSON.stringify(body) });
    } catch (problem) {
      if (!transient(problem.status) || left <= 1) throw problem;
      await pause(TRY_AGAIN_MS);
    }
  }
}

export const post = (path, body) => send("POST", path, body);

/** What a pool is called in a query: a project by `project`, what is in it by `clusterid`. */
export const poolParams = (pool) => (pool.includes(".") ? { clusterid: pool } : { project: pool });
export const projectOf = (pool) => pool.split(".", 1)[0];
