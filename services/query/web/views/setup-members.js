// Who belongs to which account: they book for it, where they have the role member.
import { useCommand } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { sayMember } from "../people.js";
import { named } from "../sentences.js";
import { sayMoment } from "../time.js";
import { CommandForm } from "./command-form.js";
import { MemberFields, emptyMember, memberOf } from "./member-field.js";
import { Field, Said } from "./parts.js";

const pathOf = (account, what) => `/accounts/${encodeURIComponent(account)}/members/${what}`;

export function Members({ accounts, project, zone }) {
  const { data, old } = useAnswer("/accounts/members", { project });
  const members = (data ?? old)?.members ?? [];
  const names = [...new Set([...accounts.filter(({ closed }) => !closed).map(({ account }) => account),
    ...members.map(({ account }) => account)])];
  const [account, setAccount] = useState("");
  const [member, setMember] = useState(emptyMember);
  const [chosen, who] = [account || names[0] || "", memberOf(member)];
  return html`
    <${CommandForm} title="Add a member to an account" hint="With the role member, they book for the account."
      path=${pathOf(chosen, "add")} body=${chosen && who ? { project, member: who } : null} zone=${zone}
      action="Add the member" done="They belong to the account." onDone=${() => setMember({ ...member, text: "" })}>
      ${(wrong) => html`
        <${Field} label="To the account" wrong=${wrong.account} hint=${names.length ? "" : "Open an account first, above."}>
          ${(field) => html`<select ...${field} disabled=${!names.length} value=${chosen}
            onChange=${(event) => setAccount(event.target.value)}>
            ${names.map((name) => html`<option key=${name}>${name}</option>`)}</select>`}<//>
        <${MemberFields} member=${member} onChange=${setMember} known=${members.map((one) => one.member)} wrong=${wrong.member} />`}
    <//>
    <${List} members=${members} project=${project} zone=${zone} />`;
}

function List({ members, project, zone }) {
  const { busy, problem, run } = useCommand();
  if (!members.length) return null;
  return html`
    <section class="card" aria-label="Members"><h2>Members</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="scroll" tabindex="0" role="region" aria-label="The members as a table"><table class="list">
        <thead><tr><th scope="col">Account</th><th scope="col">Member</th><th scope="col">Since</th><th scope="col">Added by</th>
          <th><span class="hidden">Take out</span></th></tr></thead>
        <tbody>${members.map(({ account, member, at, actor }) => html`<tr key=${`${account} ${member}`}>
          <th scope="row">${account}</th><td title=${member}>${sayMember(member)}</td><td class="time">${sayMoment(at, zone)}</td>
          <td title=${actor}>${named(actor)}</td>
          <td><button type="button" class="small danger" disabled=${busy} aria-label=${`Take out ${sayMember(member)} of ${account}`}
            onClick=${() => run(pathOf(account, "remove"), { project, member }, { tryFirst: true })}>Take out</button></td>
          </tr>`)}</tbody></table></div>
    </section>`;
}
