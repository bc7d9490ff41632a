// For operators: projects, grants, clusters and their sizes, templates, accounts; roles; and everybody's own credentials.
import { go, zoneOf } from "../address.js";
import { parentOf, projectOf } from "../api.js";
import { html } from "../lib.js";
import { can, canEverywhere, canSomewhere, isOpen, me } from "../me.js";
import { NeedsPanel } from "./needs.js";
import { Segmented } from "./parts.js";
import { AccountSetup } from "./setup-account.js";
import { ClusterSetup, ResizeSetup } from "./setup-cluster.js";
import { FeedSetup } from "./setup-feeds.js";
import { GrantSetup } from "./setup-grant.js";
import { ProjectSetup } from "./setup-project.js";
import { RoleSetup } from "./setup-roles.js";
import { TemplateSetup } from "./setup-template.js";
import { TokenSetup } from "./setup-tokens.js";

const isPerson = () => !isOpen() && me().auth !== "token";
const managesIn = (pools, project) => pools.some(({ id }) => projectOf(id) === project && can("manage", id));
/** What a cluster takes comes from what is around it, so that is where the right is needed. */
const resizesIn = (pools, project) =>
  pools.some(({ id, parent }) => parent && projectOf(id) === project && can("manage", parentOf(id)));

/** Each form, and when it is offered: `may({project, pool, pools})`. `needs` is the right without which it is not. */
const FORMS = [
  { name: "project", label: "Project", Form: ProjectSetup, needs: "administer", may: () => canEverywhere("administer") },
  { name: "grant", label: "Grant", Form: GrantSetup, needs: "manage", may: ({ project }) => can("manage", project) },
  { name: "cluster", label: "Cluster", Form: ClusterSetup, needs: "manage",
    may: ({ project, pools }) => managesIn(pools, project) },
  { name: "resize", label: "Resize", Form: ResizeSetup, needs: "manage",
    may: ({ project, pools }) => can("manage", project) || resizesIn(pools, project) },
  { name: "template", label: "Template", Form: TemplateSetup, needs: "manage", may: ({ project }) => can("manage", project) },
  { name: "account", label: "Account", Form: AccountSetup, needs: "manage", may: ({ project }) => can("manage", project) },
  { name: "roles", label: "Roles", Form: RoleSetup, needs: "administer",
    may: ({ pool }) => !isOpen() && (can("administer", pool) || can("audit", pool)) },
  { name: "tokens", label: "My tokens", Form: TokenSetup, may: isPerson },
  { name: "feeds", label: "Feed addresses", Form: FeedSetup, needs: "names", may: () => isPerson() && canSomewhere("names") },
];
const SIGNED_IN_ONLY = ["roles", "tokens", "feeds"];

export function Setup({ address, pools }) {
  const { pool } = address;
  const project = pool && projectOf(pool);
  const offered = FORMS.filter(({ name, may }) => may({ project, pool, pools })
    && (pools.length || ["project", "tokens"].includes(name)));
  const wanted = FORMS.find(({ name }) => name === address.form && !(isOpen() && SIGNED_IN_ONLY.includes(name)));
  const usual = offered.find(({ name }) => name === "grant") ?? offered[0];
  const chosen = wanted && (offered.includes(wanted) || pools.length) ? wanted : usual;
  const zone = zoneOf(address);
  return html`
    <section class="stack narrow" aria-label="Set up">
      <header class="bar"><h1>Set up</h1>
        ${offered.length > 1 && html`<${Segmented} label="What to set up" value=${chosen?.name}
          options=${offered.map(({ name, label }) => [name, label])} onPick=${(form) => go({ form })} />`}</header>
      ${!chosen ? html`<p class="hint">There is nothing here that you may set up.</p>`
        : !offered.includes(chosen) ? html`<${NeedsPanel} right=${chosen.needs ?? "see"} pool=${chosen.name === "project" ? "" : project}
          what="Setting this up" />`
        : html`<${chosen.Form} key=${`${chosen.name} ${pool}`} address=${address} zone=${zone} pools=${pools} project=${project} />`}
    </section>`;
}
