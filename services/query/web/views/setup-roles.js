// Who may do what on a project, on its clusters, and on what is inside: roles are given and taken here.
import { projectOf } from "../api.js";
import { useCommand } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { ROLES, can } from "../me.js";
import { sayMember } from "../people.js";
import { named } from "../sentences.js";
import { sayMoment } from "../time.js";
import { CommandForm } from "./command-form.js";
import { MemberFields, emptyMember, memberOf } from "./member-field.js";
import { Field, Said } from "./parts.js";

const MAY = {
  viewer: "see numbers and no names", reader: "see who holds what, and the history",
  member: "book for the accounts of which they are a member", manager: "grant, make clusters, and change anybody’s bookings",
  admin: "everything, and give roles", auditor: "read everything, and change nothing",
};

export function RoleSetup({ address, zone, pools }) {
  const project = projectOf(address.pool);
  const within = pools.filter(({ id }) => projectOf(id) === project && can("administer", id)).map(({ id }) => id);
  const [pool, setPool] = useState(within.includes(address.pool) ? address.pool : within[0] ?? "");
  const [role, setRole] = useState("member");
  const [member, setMember] = useState(emptyMember);
  const listed = useRoles(address.pool);
  const who = memberOf(member);
  return html`
    ${within.length > 0 && html`<${CommandForm} title=${`Give a role in ${project}`}
      hint="A role holds for a pool and for everything inside it. It is in force within seconds."
      path="/roles/grant" body=${who ? { pool, role, member: who } : null} zone=${zone}
      action="Give the role" done="The role is given." onDone=${() => setMember({ ...member, text: "" })}>
      ${(wrong) => html`
        <${MemberFields} member=${member} onChange=${setMember} known=${listed.map((one) => one.member)} wrong=${wrong.member} />
        <div class="pair">
          <${Field} label="Role" wrong=${wrong.role} hint=${`May ${MAY[role]}.`}>
            ${(field) => html`<select ...${field} value=${role} onChange=${(event) => setRole(event.target.value)}>
              ${ROLES.map((name) => html`<option key=${name}>${name}</option>`)}</select>`}<//>
          <${Field} label="On" wrong=${wrong.pool}>
            ${(field) => html`<select ...${field} value=${pool} onChange=${(event) => setPool(event.target.value)}>
              ${within.map((id) => html`<option key=${id}>${id}</option>`)}</select>`}<//>
        </div>`}
    <//>`}
    <${Roles} roles=${listed} pool=${address.pool} zone=${zone} />`;
}

/** The roles on a pool: of a project, with those on its clusters; of a cluster, with those that it inherits. */
function useRoles(pool) {
  const { data, old } = useAnswer("/roles", pool.includes(".") ? { pool } : { project: pool });
  return (data ?? old)?.roles ?? [];
}

function Roles({ roles, pool, zone }) {
  const { busy, problem, run } = useCommand();
  if (!roles.length) return null;
  const take = (one) => run("/roles/revoke", { pool: one.pool, role: one.role, member: one.member }, { tryFirst: true });
  return html`
    <section class="card" aria-label="Roles"><h2>Roles on ${pool}</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="scroll" tabindex="0" role="region" aria-label="The roles as a table"><table class="list">
        <thead><tr><th scope="col">Who</th><th scope="col">Role</th><th scope="col">On</th><th scope="col">Since</th>
          <th scope="col">Given by</th><th><span class="hidden">Take away</span></th></tr></thead>
        <tbody>${roles.map((one) => html`<tr key=${`${one.pool} ${one.member} ${one.role}`}>
          <th scope="row" title=${one.member}>${sayMember(one.member)}</th><td>${one.role}</td>
          <td>${one.pool ?? "the whole ledger"}${(one.inherited || !one.pool) && html`<span class="tag">inherited</span>`}</td>
          <td class="time">${one.at ? sayMoment(one.at, zone) : ""}</td>
          <td title=${one.actor}>${one.actor ? named(one.actor) : "the auth file"}</td>
          <td>${one.pool && can("administer", one.pool) && html`<button type="button" class="small danger" disabled=${busy}
            aria-label=${`Take away the role ${one.role} on ${one.pool} from ${sayMember(one.member)}`}
            onClick=${() => take(one)}>Take away</button>`}</td></tr>`)}</tbody></table></div>
    </section>`;
}
