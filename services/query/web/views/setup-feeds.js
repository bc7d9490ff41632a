// Secret addresses of calendar feeds, for calendar programs, which cannot sign in.
import { useCredential } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can, me, ownAccounts } from "../me.js";
import { sayMember } from "../people.js";
import { sayMoment } from "../time.js";
import { Field, Said } from "./parts.js";
import { Secret } from "./secret.js";

const pathOf = (pool) => (pool.includes(".") ? `/clusters/${pool}.ics` : `/projects/${pool}.ics`);

/** "/accounts/spark.ics" is "the account spark". */
function sayPath(path) {
  const [, kind, name] = path.match(/^\/(project|cluster|account)s\/(.+)\.ics$/) ?? [];
  return kind ? `the ${kind} ${name}` : path;
}

export function FeedSetup({ address, zone, pools, project }) {
  const [made, setMade] = useState(null);
  const { busy, problem, run } = useCredential();
  const { data } = useAnswer("/feeds", { limit: 1000 });
  const feeds = data?.feeds ?? [];
  const make = async (path) => {
    const answer = await run("/feeds/create", { path }, "address");
    if (answer) setMade({ path, address: answer.address });
  };
  const revoke = (id) => run(`/feeds/${id}/revoke`, {});
  return html`
    ${problem && html`<${Said} problem=${problem} />`}
    ${made ? html`<${Secret} label=${`The address of ${sayPath(made.path)}`} value=${made.address} onDone=${() => setMade(null)}>
        Whoever has it reads this feed. Give it to your calendar program, and to nobody else.<//>`
      : html`<${NewFeed} address=${address} pools=${pools} project=${project} feeds=${feeds} busy=${busy} onMake=${make} />`}
    ${feeds.length > 0 && html`<${Feeds} feeds=${feeds} zone=${zone} busy=${busy} onMake=${make} onRevoke=${revoke} />`}`;
}

function NewFeed({ address, pools, project, feeds, busy, onMake }) {
  const paths = [...pools.filter(({ id }) => can("names", id)).map(({ id }) => pathOf(id)),
    ...ownAccounts(project).map((account) => `/accounts/${account}.ics`)];
  const [path, setPath] = useState(paths.includes(pathOf(address.pool)) ? pathOf(address.pool) : paths[0]);
  const again = feeds.some((one) => one.path === path && one.maker === me().id);
  return html`
    <form class="card form" aria-label="New feed address" onSubmit=${(event) => { event.preventDefault(); onMake(path); }}>
      <h2>New feed address</h2>
      <p class="hint">A calendar program reads the bookings at it, as you may see them at that moment.</p>
      <${Field} label="Of" hint=${again ? "You have an address for it. A new one ends the old one." : ""}>
        ${(field) => html`<select ...${field} value=${path} onChange=${(event) => setPath(event.target.value)}>
          ${paths.map((one) => html`<option key=${one} value=${one}>${sayPath(one)}</option>`)}</select>`}<//>
      <div class="buttons"><button class="primary" disabled=${busy || !path}>
        ${again ? "Make a new address" : "Make the address"}</button></div>
    </form>`;
}

function Feeds({ feeds, zone, busy, onMake, onRevoke }) {
  const others = feeds.some(({ maker }) => maker !== me().id); // an admin of the ledger sees everybody's
  return html`
    <section class="card" aria-label="Feed addresses"><h2>Feed addresses</h2>
      <div class="scroll" tabindex="0" role="region" aria-label="The addresses as a table"><table class="list">
        <thead><tr><th scope="col">Of</th>${others && html`<th scope="col">Made by</th>`}<th scope="col">Since</th>
          <th><span class="hidden">Make anew or revoke</span></th></tr></thead>
        <tbody>${feeds.map(({ id, path, maker, created }) => html`<tr key=${id}><th scope="row">${sayPath(path)}</th>
          ${others && html`<td>${sayMember(maker)}</td>`}<td class="time">${sayMoment(created, zone)}</td>
          <td class="row-buttons">${maker === me().id && html`<button type="button" class="small" disabled=${busy}
              aria-label=${`Make anew the address of ${sayPath(path)}`} onClick=${() => onMake(path)}>Make anew</button>`}
            <button type="button" class="small danger" disabled=${busy} aria-label=${`Revoke the address of ${sayPath(path)}`}
              onClick=${() => onRevoke(id)}>Revoke</button></td></tr>`)}</tbody></table></div>
    </section>`;
}
