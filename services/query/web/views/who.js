// At the top right: who is at the page. Where nobody signs in, a name that nobody proves.
import { actor, setActor } from "../api.js";
import { html, many, useEffect, useId, useRef, useState } from "../lib.js";
import { isOpen, me, signOut } from "../me.js";
import { shortId } from "../people.js";
import { PROOFS } from "../sentences.js";
import { Said } from "./parts.js";

const TOLD = 12;

export const Who = () => (!me() ? null : isOpen() ? html`<${YourName} />` : html`<${Person} />`);

function YourName() {
  const [name, setName] = useState(actor);
  return html`<label class="who"><span class="hidden">Your name, kept in the history. Nobody proves it.</span>
    <input value=${name} placeholder="Your name" maxlength="200" autocomplete="off"
      title="Anybody may give any name here: nobody proves it."
      onInput=${(event) => { setName(event.target.value); setActor(event.target.value); }} />
    <span class="hint unproven" aria-hidden="true">not proven</span></label>`;
}

export const ownName = () => me().name ?? me().token?.name ?? shortId(me().id);

/** A button with the person's name, which opens and closes what is known of them. */
function Person() {
  const [open, setOpen] = useState(false);
  const [root, button, id] = [useRef(null), useRef(null), useId()];
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => root.current?.contains(event.target) || setOpen(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const close = (event) => {
    if (event.key !== "Escape" || !open) return;
    setOpen(false);
    button.current.focus();
  };
  const left = (event) => event.relatedTarget && !root.current.contains(event.relatedTarget) && setOpen(false);
  return html`
    <div class="person" ref=${root} onKeyDown=${close} onFocusOut=${left}>
      <button type="button" ref=${button} class="quiet" aria-expanded=${open ? "true" : "false"} aria-controls=${id}
        aria-label=${`You are ${ownName()}`} onClick=${() => setOpen(!open)}><span class="own-name">${ownName()}</span> ▾</button>
      <div id=${id} class="card person-card" role="region" aria-label="You" hidden=${!open}>${open && html`<${About} />`}</div>
    </div>`;
}

function About() {
  const { id, auth, groups, token, accounts, pools, ledger } = me();
  const [problem, setProblem] = useState(null);
  return html`
    <h2>${ownName()}</h2>
    <dl class="facts">
      <dt>Your id</dt><dd><code>${id}</code></dd>
      <dt>Proven by</dt><dd>${PROOFS[auth] ?? auth}</dd>
      ${token && html`<dt>Limits</dt><dd>${token.limits.map(sayLimit).join("; ")}</dd>`}
      ${token?.expires && html`<dt>Until</dt><dd>${token.expires.slice(0, 10)}</dd>`}
      ${groups.length > 0 && html`<dt>Groups</dt><dd>${groups.slice(0, TOLD).map((group) => html`<code key=${group}>${group}</code> `)}
        ${groups.length > TOLD && `and ${groups.length - TOLD} more`}</dd>`}
      ${accounts.length > 0 && html`<dt>Accounts</dt><dd>${accounts.slice(0, TOLD)
        .map(({ project, account }) => `${account} (${project})`).join(", ")}</dd>`}
    </dl>
    <h2>What you may do</h2>
    <ul class="plain">
      ${ledger.rights.length > 0 && html`<li><b>Everywhere:</b> ${sayRoles(ledger)}</li>`}
      ${pools.slice(0, TOLD).map((one) => html`<li key=${one.pool}><b>${one.pool}:</b> ${sayRoles(one)}</li>`)}
      ${pools.length > TOLD && html`<li class="hint">and on ${many(pools.length - TOLD, "more pool")}</li>`}
      ${!ledger.rights.length && !pools.length && html`<li class="hint">Nothing yet: nobody has given you a role.</li>`}
    </ul>
    ${problem && html`<${Said} problem=${problem} />`}
    <div class="buttons"><button type="button" onClick=${() => signOut().catch(setProblem)}>Sign out</button></div>`;
}

/** What a token may do at most: "reader on gaia". */
export const sayLimit = ({ role, pool }) => `${role} on ${pool ?? "the whole ledger"}`;

const WORDS = {
  see: "see numbers", names: "read who holds what", book: "book", manage: "manage", administer: "give roles", audit: "audit",
};

/** "manager (by the group ops): see numbers, …". */
function sayRoles({ roles, rights }) {
  const given = roles.map(({ role, from, member }) =>
    (from === "group" ? `${role} by ${member.replace(/^group:/, "the group ")}` : from === "everyone" ? `${role}, as everyone` : role));
  return `${given.join("; ") || "within the limits of the token"} – ${rights.map((right) => WORDS[right] ?? right).join(", ")}`;
}
