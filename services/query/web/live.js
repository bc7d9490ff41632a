// What has happened since: our own commands and everybody's events move one position on, and every answer on the page
// that is older is asked for again.
import { get } from "./api.js";
import { useEffect, useRef, useState } from "./lib.js";

const SETTLE_MS = 60; // a burst of events is read once
const KEPT = 120;
const RECONNECT_MS = 3000;

const OF_THE_STORE = /^\/(events|health|refusals|tokens|feeds)/; // these show what is stored, and wait for nothing

let moved = 0; // counts what makes answers old
let written = 0; // the position of our own last command, or of the ledger when the stream began
let seen = 0; // the newest position that an answer or an event has shown
let oldest = Infinity; // the position of the oldest answer on the page
let timer = null;
const listeners = new Set();
const tellers = new Set();
const connection = { state: "connecting" };

function tell() {
  timer = null;
  oldest = Infinity;
  moved += 1;
  for (const listener of listeners) listener(moved);
}

/** Our own command was decided at this position: read it back. */
export function wrote(position) {
  written = Math.max(written, position);
  clearTimeout(timer);
  tell();
}

function heard(message) {
  const told = JSON.parse(message.data);
  if (told.position > seen) timer ??= setTimeout(tell, SETTLE_MS);
  seen = Math.max(seen, told.position);
  for (const teller of tellers) teller(told);
}

/** When an answer on the page is older than what we know was written, all is asked for again. */
function mendOld() {
  if (oldest < written) timer ??= setTimeout(tell, SETTLE_MS);
}

/** An answer on the page shows the ledger at this position, or later. */
function shows(position) {
  oldest = Math.min(oldest, position);
  mendOld();
}

/** What happened before the stream began, it does not tell. */
async function catchUp() {
  const health = await get("/health").catch(() => null);
  written = Math.max(written, health?.head ?? 0);
  mendOld();
}

/** Everything is asked again. With `forget`, nothing is shown meanwhile that was answered before. */
export function askAgain({ forget = false } = {}) {
  if (forget) answers.clear();
  clearTimeout(timer);
  tell();
}

function say(state) {
  connection.state = state;
  for (const listener of listeners) listener(moved);
}

/**
 * Follows the events until the function that it returns is called. The browser connects again by itself, where it left
 * off. `refused` is called when the answer is no stream.
 */
export function connect(refused) {
  let wanted = true;
  let source = null;
  const open = () => {
    if (!wanted) return;
    source = new EventSource("./events/stream");
    source.onmessage = heard;
    source.onopen = () => {
      const again = connection.state === "lost";
      say("live");
      if (again) tell();
      else catchUp();
    };
    source.onerror = () => {
      say("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      refused();
      setTimeout(open, RECONNECT_MS);
    };
  };
  open();
  return () => {
    wanted = false;
    source.close();
  };
}

/** Where nobody tells of events: "polling", when the page looks by itself whether something has happened, or "ended". */
export const withoutStream = (state) => say(state);

/** Calls back with every event as it happens: {position, version, event}. */
export function useTold(callback) {
  const latest = useRef(callback);
  latest.current = callback;
  useEffect(() => {
    const teller = (told) => latest.current(told);
    tellers.add(teller);
    return () => tellers.delete(teller);
  }, []);
}

export function useMoved() {
  const [state, setState] = useState({ moved, connection: connection.state });
  useEffect(() => {
    const listener = () => setState({ moved, connection: connection.state });
    listeners.add(listener);
    listener();
    return () => listeners.delete(listener);
  }, []);
  return state;
}

const underWay = new Map(); // by question: a read without an answer yet, and how many parts of the page wait for it

/**
 * Sends a read. Parts of the page that ask the same while it is under way, and since the same news, wait for its answer
 * too. It is given up when none of them waits any more.
 */
function readOnce(path, params, signal) {
  const key = `${moved} ${path}?${JSON.stringify(params)}`;
  let read = underWay.get(key);
  if (!read) {
    const abort = new AbortController();
    const end = () => underWay.get(key) === read && underWay.delete(key);
    read = { waiting: 0, abort, end, answer: get(path, params, abort.signal).finally(() => end()) };
    underWay.set(key, read);
  }
  read.waiting += 1;
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason);
      read.waiting -= 1;
      if (read.waiting > 0) return;
      read.end();
      read.abort.abort();
    });
    read.answer.then(resolve, reject);
  });
}

/** Asks the read model. After an own command, the answer waits until it shows it. */
async function ask(path, params, signal) {
  if (params.as_of || OF_THE_STORE.test(path)) return readOnce(path, params, signal); // the store may be ahead
  const known = written;
  try {
    const data = await readOnce(path, known <= seen ? params : { ...params, min_position: known }, signal);
    seen = Math.max(seen, data.position ?? 0);
    shows(Math.max(known, data.position ?? Infinity));
    return data;
  } catch (problem) {
    if (problem.status === 404) shows(known); // it may not be there yet
    throw problem;
  }
}

const answers = new Map(); // the last ones, so that the way back is at once

function keep(key, data) {
  answers.delete(key);
  answers.set(key, data);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}

/**
 * Asks for a path, and again whenever something has happened; `path` null asks nothing.
 * {data, problem, loading}; `data` stays while it is asked for again, so that nothing flickers.
 */
export function useAnswer(path, params = {}) {
  const { moved: now } = useMoved();
  const key = path && `${path}?${JSON.stringify(params)}`;
  const [state, setState] = useState({ key: null, data: null, problem: null });
  useEffect(() => {
    if (!path) return undefined;
    const abort = new AbortController();
    ask(path, params, abort.signal).then(
      (data) => {
        keep(key, data);
        setState({ key, data, problem: null });
      },
      (problem) => problem.name === "AbortError" || setState({ key, data: null, problem }),
    );
    return () => abort.abort();
  }, [key, now]);
  if (!path) return { data: null, problem: null, loading: false };
  if (state.key === key) return { ...state, loading: false };
  return { data: answers.get(key) ?? null, problem: null, loading: true, old: state.data };
}

/** The same for several questions at once, [[path, params], …]: {data: [answer, …], problem}. */
export function useAnswers(questions) {
  const { moved: now } = useMoved();
  const key = JSON.stringify(questions);
  const [state, setState] = useState({ key: null, data: null, problem: null });
  useEffect(() => {
    const abort = new AbortController();
    Promise.all(questions.map(([path, params]) => ask(path, params, abort.signal))).then(
      (data) => setState({ key, data, problem: null }),
      (problem) => problem.name === "AbortError" || setState({ key, data: null, problem }),
    );
    return () => abort.abort();
  }, [key, now]);
  return state.key === key ? state : { data: null, problem: null, old: state.data };
}
