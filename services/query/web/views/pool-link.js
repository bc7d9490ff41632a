// A link to a project or a cluster, in the tree of pools.
import { follow } from "../address.js";
import { html } from "../lib.js";

export const PoolLink = ({ pool, name, address }) => html`
  <a ...${follow({ pool: pool.id, select: "", booking: "", account: "" })}
    aria-current=${pool.id === address.pool ? "page" : undefined} title=${`${pool.id}, ${pool.kind}`}>
    <span class=${`kind kind-${pool.parent ? "cluster" : "project"}`} aria-hidden="true"></span>
    <span class="name">${name}</span>
    ${pool.kind === "exclusive" && html`<span class="tag" title="Made for one booking, which holds all of it">exclusive</span>`}
  </a>`;
