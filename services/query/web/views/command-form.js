// A form that is one command: it says in advance what would happen, and afterwards what did.
import { useCommand, useDryRun } from "../command.js";
import { html, useState } from "../lib.js";
import { Said } from "./parts.js";
import { wrongFields } from "./amount.js";
import { Verdict } from "./verdict.js";

/** `body` null while something is missing; `children(wrong)` are the fields, told what is wrong with each. */
export function CommandForm({ title, hint, path, body, zone, action, done, onDone, children }) {
  const [said, setSaid] = useState(null);
  const { verdict, checking } = useDryRun(path, said ? null : body);
  const { busy, problem, run } = useCommand((answer) => { setSaid(done); onDone?.(answer); });
  const refused = problem ?? (verdict?.accepted === false ? verdict.problem : null);
  return html`
    <form class="card form" aria-label=${title} onInput=${() => said && setSaid(null)}
      onSubmit=${(event) => { event.preventDefault(); if (body) { setSaid(null); run(path, body); } }}>
      <h2>${title}</h2>
      ${hint && html`<p class="hint">${hint}</p>`}
      ${children(wrongFields(refused))}
      ${said ? html`<p class="said good" role="status">${said}</p>`
        : html`<${Verdict} verdict=${verdict} checking=${checking && body} zone=${zone} fits="This can be done." />`}
      ${problem && !verdict && html`<${Said} problem=${problem} />`}
      <div class="buttons"><button class="primary" disabled=${busy || !body || Boolean(said) || (verdict && !verdict.accepted)}>
        ${action}</button></div>
    </form>`;
}
