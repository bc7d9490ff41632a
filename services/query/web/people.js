// Names of people. The history has only their ids; a directory beside it knows who is behind them.
import { once, urlOf } from "./api.js";
import { useEffect, useState } from "./lib.js";
import { canSomewhere, isOpen, me } from "./me.js";

const SETTLE_MS = 30; // the ids of one picture are asked for together
const AT_ONCE = 100;
const SHOWN = 22; // characters of an id

const known = new Map(); // the names by their ids, null where there is none
const wanted = new Set();
const listeners = new Set();
let timer = null;

/** A person's id, `<issuer>:<subject>`. Tokens, groups and the ledger itself are no people. */
const isPerson = (id) => /^[a-z0-9-]+:/.test(id) && !/^(token|group):/.test(id);

async function ask() {
  timer = null;
  const ids = [...wanted].slice(0, AT_ONCE);
  if (!ids.length) return;
  for (const id of ids) {
    wanted.delete(id);
    known.set(id, null);
  }
  const found = await once(urlOf("/people", { ids: ids.join(",") })).catch(() => ({ people: [] }));
  for (const { id, name } of found.people) known.set(id, name);
  if (wanted.size) timer ??= setTimeout(ask, SETTLE_MS);
  for (const listener of listeners) listener(known.size);
}

/** The name of a person, null if nobody knows it. It is asked for, and then all is shown again. */
export function nameOf(id) {
  if (id === me()?.id && me().name) return me().name;
  if (isOpen() || !id || !isPerson(id) || id.includes(",") || !canSomewhere("names")) return null;
  if (!known.has(id)) {
    wanted.add(id);
    timer ??= setTimeout(ask, SETTLE_MS);
  }
  return known.get(id) ?? null;
}

/** Has the whole page shown again when names have come. */
export function useNames() {
  const [, setCount] = useState(0);
  useEffect(() => {
    listeners.add(setCount);
    return () => listeners.delete(setCount);
  }, []);
}

/** The names that are known by now, for a field in which somebody is named. */
export const knownNames = () => [...new Set([...known.values()].filter(Boolean))];

/** The id of whoever has this name; what was typed, if it is no name that is known. */
export const idOf = (typed) => [...known].find(([, name]) => name && name.toLowerCase() === typed.toLowerCase())?.[0] ?? typed;

export const shortId = (id) => (id.length > SHOWN ? `${id.slice(0, SHOWN - 1)}…` : id);

/** A member of a role or an account in words: a person's name, a group, a token. */
export function sayMember(member) {
  if (member == null) return "Everyone who signs in";
  if (member.startsWith("token:")) return `the token …${member.slice(-6)}`;
  if (!member.startsWith("group:")) return nameOf(member) ?? shortId(member);
  const [, issuer, ...group] = member.split(":");
  return `the group ${group.join(":")} of ${issuer}`;
}
