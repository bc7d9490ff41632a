// Who is at the page, and what they may do. The page offers nothing that the services would refuse.
import { actor, get, once, parentOf, setIdentity, urlOf } from "./api.js";
import { useEffect, useState } from "./lib.js";
import { askAgain } from "./live.js";

const LOOK_MS = 5000; // how often the page looks whether roles have changed
const TRY_AGAIN_MS = 2000;

/** The role that is enough for a right. */
export const ROLE_FOR = {
  see: "viewer", names: "reader", book: "member", manage: "manager", administer: "admin", audit: "auditor",
};
export const ROLES = Object.values(ROLE_FOR);
const RIGHT_OF = Object.fromEntries(Object.entries(ROLE_FOR).map(([right, role]) => [role, right]));

/**
 * `stage` is "asking"; "stranger", who has not signed in; "in"; "ended", when the session ended at an open page; "out",
 * when the person has signed out here and is still signed in at the issuer, where `atIssuer` leads.
 * `me` is the answer of /me, `ways` are the ways to sign in, `problem` says why neither is known.
 */
const state = { stage: "asking", me: null, ways: [], problem: null, atIssuer: null };
const listeners = new Set();

function set(changes) {
  Object.assign(state, changes);
  for (const listener of listeners) listener({ ...state });
}

export function useIdentity() {
  const [shown, setShown] = useState({ ...state });
  useEffect(() => {
    listeners.add(setShown);
    setShown({ ...state });
    return () => listeners.delete(setShown);
  }, []);
  return shown;
}

export const me = () => state.me;
/** Where nobody signs in, everybody may do everything. */
export const isOpen = () => state.me?.signed_in === false;
/** The name under which one's own events are in the history. */
export const ownActor = () => (isOpen() ? actor() : state.me?.id);

/** What the person may do on a pool: the rights of the nearest pool around it that /me lists, or those everywhere. */
function rightsOn(pool) {
  for (let at = pool ?? ""; at; at = parentOf(at)) {
    const found = state.me?.pools.find((one) => one.pool === at);
    if (found) return found.rights;
  }
  return state.me?.ledger.rights ?? [];
}

export const can = (right, pool) => rightsOn(pool).includes(right);
export const canEverywhere = (right) => can(right, null);
export const canSomewhere = (right) => canEverywhere(right) || (state.me?.pools ?? []).some(({ rights }) => rights.includes(right));

/** Whether the person may do on a pool what a role may, so that a token of theirs may. */
export const has = (role, pool) => can(RIGHT_OF[role], pool);

/** The accounts of a project to which the person belongs, beside the one that has their id as its name. */
export const ownAccounts = (project) =>
  (state.me?.accounts ?? []).filter((one) => one.project === project).map(({ account }) => account);

/** Whether the person may change a booking. */
export const mayChange = ({ pool, account }) => can("manage", pool) || (can("book", pool)
  && (isOpen() || account === state.me.id || ownAccounts(pool.split(".", 1)[0]).includes(account)));

const channel = new BroadcastChannel("hourbook"); // the other windows of this browser
channel.onmessage = ({ data }) => {
  if (data === "out" && !isOpen()) location.reload();
  if (data === "in" && ["stranger", "ended"].includes(state.stage)) look();
};

let waiting = null; // what resolves when the person has signed in again

/** Asks who is there. Whoever has become somebody else sees a new page, with nothing of the one before. */
export async function look() {
  let found;
  try {
    found = await once(urlOf("/me"));
  } catch (problem) {
    if (state.stage === "out") return undefined;
    if (problem.status === 401) return strangers();
    if (state.stage === "asking") set({ problem });
    if (state.stage === "asking" || waiting) setTimeout(look, TRY_AGAIN_MS);
    return undefined;
  }
  const [before, was] = [state.me, state.stage];
  if (was === "out") return undefined;
  if (before && before.id !== found.id) return location.reload();
  const changed = before && JSON.stringify(before) !== JSON.stringify(found);
  set({ stage: "in", me: found, problem: null });
  if (was !== "in") channel.postMessage("in");
  waiting?.resolve();
  waiting = null;
  if (changed || was === "ended") askAgain({ forget: changed });
  return undefined;
}

async function strangers() {
  const stage = state.me ? "ended" : "stranger";
  if (state.stage === stage) return;
  if (state.stage !== "asking") set({ stage });
  try {
    const { ways } = await once(urlOf("/sign-in/ways"));
    set({ stage, ways, problem: null });
  } catch (problem) {
    set({ stage, problem });
  }
}

/** Returns when the person has signed in again. What was asked or sent then goes on. */
function ended(signal) {
  if (!waiting) {
    let resolve;
    const promise = new Promise((done) => { resolve = done; });
    waiting = { promise, resolve };
    look();
  }
  const left = new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(new DOMException("nobody waits for it", "AbortError")));
  });
  return Promise.race([waiting.promise, left]);
}

setIdentity({ ended, isOpen, forbidden: () => state.stage === "in" && look() });

/** Signs in with a token. Raises a Problem. */
export async function signInWith(token) {
  const headers = { "Content-Type": "application/json" };
  await once("./sign-in/token", { method: "POST", headers, body: JSON.stringify({ token }) });
  await look();
}

/** Signs out, here and in the other windows of this browser. Nothing that was shown stays. Raises a Problem. */
export async function signOut() {
  const { at_issuer: atIssuer } = await once("./sign-out", { method: "POST" });
  channel.postMessage("out");
  if (!atIssuer) return location.reload();
  set({ stage: "out", me: null, atIssuer });
  return askAgain({ forget: true });
}

let head = 0; // the newest position that there was at the last look

/** Roles are events: when something has happened, the page asks again what the person may do. */
async function watch() {
  if (document.hidden || isOpen() || state.stage !== "in") return;
  const health = await get("/health").catch(() => null);
  if (!health || health.head === head) return;
  head = health.head;
  await look();
  if (!canSomewhere("names")) askAgain();
}

setInterval(watch, LOOK_MS);
addEventListener("focus", () => ["stranger", "ended"].includes(state.stage) && look());
look();
