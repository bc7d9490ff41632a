// For operators: projects, grants, clusters and their sizes, templates, accounts.
import { go, zoneOf } from "../address.js";
import { projectOf } from "../api.js";
import { html } from "../lib.js";
import { Segmented } from "./parts.js";
import { AccountSetup } from "./setup-account.js";
import { ClusterSetup, ResizeSetup } from "./setup-cluster.js";
import { GrantSetup } from "./setup-grant.js";
import { ProjectSetup } from "./setup-project.js";
import { TemplateSetup } from "./setup-template.js";

const FORMS = [
  ["project", "Project", ProjectSetup], ["grant", "Grant", GrantSetup], ["cluster", "Cluster", ClusterSetup],
  ["resize", "Resize", ResizeSetup], ["template", "Template", TemplateSetup], ["account", "Account", AccountSetup],
];

export function Setup({ address, pools }) {
  const chosen = pools.length ? FORMS.find(([name]) => name === address.form) ?? FORMS[1] : FORMS[0];
  const [name, , Form] = chosen;
  const zone = zoneOf(address);
  return html`
    <section class="stack narrow" aria-label="Set up">
      <header class="bar"><h1>Set up</h1>
        ${pools.length > 0 && html`<${Segmented} label="What to set up" value=${name} options=${FORMS}
          onPick=${(form) => go({ form })} />`}</header>
      <${Form} key=${`${name} ${address.pool}`} address=${address} zone=${zone} pools=${pools}
        project=${address.pool && projectOf(address.pool)} />
    </section>`;
}
