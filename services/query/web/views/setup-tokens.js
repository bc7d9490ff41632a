// One's own tokens, for programs. A token may do no more than its limits say, and no more than its maker.
import { asName } from "../api.js";
import { useCredential } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { ROLES, has, me } from "../me.js";
import { sayMember } from "../people.js";
import { sayMoment } from "../time.js";
import { Field, Said } from "./parts.js";
import { Secret } from "./secret.js";
import { wrongFields } from "./amount.js";
import { sayLimit } from "./who.js";

const LEDGER = ""; // the value of "the whole ledger" in the list of pools
const DAYS = [7, 30, 90, 365];

export function TokenSetup({ address, zone, pools }) {
  const [made, setMade] = useState(null);
  return html`
    ${made ? html`<${Secret} label=${`The token ${made.name}`} value=${made.secret} onDone=${() => setMade(null)}>
        A program sends it as <code>Authorization: Bearer …</code>.<//>`
      : html`<${NewToken} address=${address} pools=${pools} onMade=${(token) => { setMade(token); }} />`}
    <${Tokens} zone=${zone} />`;
}

function NewToken({ address, pools, onMade }) {
  const places = [...(ROLES.some((role) => has(role, null)) ? [LEDGER] : []), ...pools.map(({ id }) => id)];
  const [name, setName] = useState("");
  const [pool, setPool] = useState(places.includes(address.pool) ? address.pool : places[0] ?? LEDGER);
  const roles = ROLES.filter((one) => has(one, pool));
  const [wanted, setRole] = useState("reader");
  const [days, setDays] = useState(90);
  const { busy, problem, run } = useCredential();
  const role = roles.includes(wanted) ? wanted : roles[0] ?? "";
  const wrong = wrongFields(problem);
  const submit = async (event) => {
    event.preventDefault();
    const limit = pool === LEDGER ? { role } : { role, pool };
    const answer = await run("/tokens/create", { name: asName(name), limits: [limit], days }, "secret");
    if (answer) onMade({ name: asName(name), secret: answer.secret });
  };
  return html`
    <form class="card form" aria-label="New token" onSubmit=${submit}>
      <h2>New token</h2>
      <p class="hint">For a program that acts for you. It never may do more than you may, and ends by itself.</p>
      <${Field} label="What it is for" wrong=${wrong.name}>
        ${(field) => html`<input ...${field} name="token-name" required maxlength="200" value=${name}
          onInput=${(event) => setName(event.target.value)} />`}<//>
      <div class="counts">
        <${Field} label="Role" wrong=${wrong.limits}>
          ${(field) => html`<select ...${field} value=${role} onChange=${(event) => setRole(event.target.value)}>
            ${roles.map((one) => html`<option key=${one}>${one}</option>`)}</select>`}<//>
        <${Field} label="On">
          ${(field) => html`<select ...${field} value=${pool} onChange=${(event) => setPool(event.target.value)}>
            ${places.map((id) => html`<option key=${id} value=${id}>${id || "the whole ledger"}</option>`)}</select>`}<//>
        <${Field} label="Ends in" wrong=${wrong.days ?? wrong.expires}>
          ${(field) => html`<select ...${field} value=${days} onChange=${(event) => setDays(Number(event.target.value))}>
            ${DAYS.map((each) => html`<option key=${each} value=${each}>${each} days</option>`)}</select>`}<//>
      </div>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="buttons"><button class="primary" disabled=${busy || !name.trim() || !role}>Make the token</button></div>
    </form>`;
}

function Tokens({ zone }) {
  const { data } = useAnswer("/tokens", { limit: 1000 });
  const { busy, problem, run } = useCredential();
  const tokens = (data?.tokens ?? []).filter(({ revoked }) => !revoked);
  if (!tokens.length) return null;
  const others = tokens.some(({ maker }) => maker !== me().id); // an admin of the ledger sees everybody's
  return html`
    <section class="card" aria-label="Tokens"><h2>Tokens</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="scroll" tabindex="0" role="region" aria-label="The tokens as a table"><table class="list">
        <thead><tr><th scope="col">For</th>${others && html`<th scope="col">Made by</th>`}<th scope="col">May</th>
          <th scope="col">Until</th><th><span class="hidden">Revoke</span></th></tr></thead>
        <tbody>${tokens.map((one) => html`<tr key=${one.id}><th scope="row" title=${one.id}>${one.name}</th>
          ${others && html`<td>${one.maker ? sayMember(one.maker) : "the operator"}</td>`}
          <td>${one.limits.map(sayLimit).join("; ")}</td>
          <td class="time">${sayMoment(one.expires, zone)}
            ${Date.parse(one.expires) < Date.now() && html`<span class="tag">over</span>`}</td>
          <td><button type="button" class="small danger" disabled=${busy} aria-label=${`Revoke the token ${one.name}`}
            onClick=${() => run(`/tokens/${one.id}/revoke`, {})}>Revoke</button></td>
          </tr>`)}</tbody></table></div>
    </section>`;
}
