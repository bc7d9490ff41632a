// What somebody may not do: which role it needs, and who can give it.
import { projectOf } from "../api.js";
import { html } from "../lib.js";
import { useAnswer } from "../live.js";
import { ROLE_FOR, can, isOpen } from "../me.js";
import { sayMember } from "../people.js";

const TOLD = 4;
const CHANGES = { RoleGranted: true, RoleRevoked: false };

/** "Booking in gaia needs the role member. It can be given by Ada Lovelace." */
export function Needs({ right, pool, what, also = "" }) {
  return html`<p class="needs">${what} needs the role <b>${ROLE_FOR[right]}</b> on ${pool
    ? html`<b>${pool}</b>` : "the whole ledger"}${also}. <${Givers} pool=${pool} /></p>`;
}

/** A whole view that is not for this person. */
export function NeedsPanel(props) {
  return html`<section class="empty" aria-label="Not for you yet"><h1>That is not for you yet.</h1><${Needs} ...${props} /></section>`;
}

/** Who can give a role on a pool. The history names the admins, to those who may read it. */
function Givers({ pool }) {
  const project = pool ? projectOf(pool) : "";
  const asked = project && !isOpen() && can("names", project);
  const { data } = useAnswer(asked && "/events", { project, type: Object.keys(CHANGES).join(","), limit: 10_000 });
  const admins = adminsOf(data?.events ?? [], project);
  if (!admins.length) return html`<span class="hint">An admin ${pool ? `of ${project}` : "of the ledger"} can give it.</span>`;
  const more = admins.length > TOLD ? ` or ${admins.length - TOLD} more` : "";
  return html`<span class="hint">It can be given by ${admins.slice(0, TOLD).map(sayMember).join(", ")}${more}.</span>`;
}

/** The members with the role admin on a project, after these events. */
function adminsOf(events, project) {
  const admins = new Set();
  for (const { event } of events) {
    if (event.pool !== project || event.role !== "admin") continue;
    if (CHANGES[event.type]) admins.add(event.member);
    else admins.delete(event.member);
  }
  return [...admins];
}
