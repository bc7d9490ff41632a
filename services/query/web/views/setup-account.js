import { asName } from "../api.js";
import { sayCapacity } from "../capacity.js";
import { useCommand } from "../command.js";
import { html, many, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { isOpen } from "../me.js";
import { AmountFields, bodyOf, emptyAmount } from "./amount.js";
import { CommandForm } from "./command-form.js";
import { Field, Said } from "./parts.js";
import { Members } from "./setup-members.js";

export function AccountSetup({ zone, project }) {
  const [account, setAccount] = useState("");
  const [amount, setAmount] = useState(emptyAmount);
  const [days, setDays] = useState({ ahead: "", duration: "" });
  const known = useAnswer("/accounts", { project }).data?.accounts ?? [];
  const capacity = bodyOf(amount);
  const limits = {
    ...(capacity ? { capacity } : {}), ...(Number(days.ahead) > 0 ? { ahead_hours: Number(days.ahead) * 24 } : {}),
    ...(Number(days.duration) > 0 ? { duration_hours: Number(days.duration) * 24 } : {}),
  };
  const name = asName(account);
  const isKnown = known.some((one) => asName(one.account) === name);
  const path = isKnown ? `/accounts/${encodeURIComponent(name)}/limits` : "/accounts/create";
  const body = name ? { project, limits, ...(isKnown ? {} : { account: name }) } : null;
  const number = (name, label) => html`<${Field} label=${label}>
    ${(field) => html`<input ...${field} type="number" min="0" placeholder="any" value=${days[name]}
      onInput=${(event) => setDays({ ...days, [name]: event.target.value })} />`}<//>`;
  return html`
    <${CommandForm} title=${`Account in ${project}`}
      hint="While a project lists no accounts, any name may book. Once it lists one, only those it lists may."
      path=${path} body=${body} zone=${zone}
      action=${isKnown ? "Set its limits" : "Open the account"} done=${isKnown ? "Its limits are set." : "The account is open."}>
      ${(wrong) => html`
        <${Field} label="Account" wrong=${wrong.account}>
          ${(field) => html`<input ...${field} name="account" required maxlength="200" value=${account}
            onInput=${(event) => setAccount(event.target.value)} />`}<//>
        <p class="hint">What it may hold at once, where that is limited:</p>
        <${AmountFields} amount=${amount} onChange=${setAmount} wrong=${wrong} />
        <div class="counts">${number("ahead", "Booked ahead, days")}${number("duration", "Longest, days")}</div>`}
    <//>
    <${Accounts} known=${known} project=${project} />
    ${!isOpen() && html`<${Members} accounts=${known} project=${project} zone=${zone} />`}`;
}

function Accounts({ known, project }) {
  const { busy, problem, run } = useCommand();
  if (!known.length) return null;
  return html`
    <section class="card" aria-label="Accounts"><h2>Accounts</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <table class="list"><thead><tr><th scope="col">Account</th><th scope="col">Limits</th>
        <th><span class="hidden">Close</span></th></tr></thead>
        <tbody>${known.map((one) => html`<tr key=${one.account}><th scope="row">${one.account}</th><td>${sayLimits(one.limits)}</td>
          <td>${one.closed ? html`<span class="tag">closed</span>` : html`<button type="button" class="small danger"
            disabled=${busy} aria-label=${`Close ${one.account}`}
            onClick=${() => run(`/accounts/${encodeURIComponent(one.account)}/close`, { project }, { tryFirst: true })}>Close</button>`}
            </td></tr>`)}</tbody></table>
    </section>`;
}

function sayLimits(limits) {
  const said = [
    limits?.capacity && `${sayCapacity(limits.capacity)} at once`,
    limits?.monthly_hours && `${sayCapacity(limits.monthly_hours)} × hours a month`,
    limits?.ahead_hours && `${many(limits.ahead_hours, "hour")} ahead`,
    limits?.duration_hours && `${many(limits.duration_hours, "hour")} long`,
  ].filter(Boolean);
  return said.join("; ") || "none";
}
