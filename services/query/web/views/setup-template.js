import { sayCapacity } from "../capacity.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { AmountFields, bodyOf, emptyAmount } from "./amount.js";
import { CommandForm } from "./command-form.js";
import { Field } from "./parts.js";

export function TemplateSetup({ zone, project }) {
  const [name, setName] = useState("");
  const [amount, setAmount] = useState(emptyAmount);
  const { data } = useAnswer("/templates", { project, limit: 1000 });
  const held = bodyOf(amount);
  const body = held && name.trim() ? { project, name: name.trim(), ...held } : null;
  return html`
    <${CommandForm} title=${`Template of ${project}`}
      hint="A named capacity to book by. A new one of the same name is its next version; bookings made before keep theirs."
      path="/templates/create" body=${body} zone=${zone}
      action="Save the template" done="The template is there." onDone=${() => { setName(""); setAmount(emptyAmount()); }}>
      ${(wrong) => html`
        <${Field} label="Name" wrong=${wrong.name}>
          ${(field) => html`<input ...${field} name="template" required maxlength="100" placeholder="small" value=${name}
            onInput=${(event) => setName(event.target.value)} />`}<//>
        <${AmountFields} amount=${amount} onChange=${setAmount} wrong=${wrong} />`}
    <//>
    ${data?.templates.length > 0 && html`
      <section class="card" aria-label="Templates"><h2>Templates</h2>
        <table class="list"><thead><tr><th scope="col">Name</th><th scope="col">Version</th><th scope="col">Capacity</th></tr></thead>
          <tbody>${data.templates.map((one) => html`<tr key=${`${one.name}@${one.version}`}><th scope="row">${one.name}</th>
            <td>${one.version}</td><td>${sayCapacity(one.capacity)}</td></tr>`)}</tbody></table>
      </section>`}`;
}
