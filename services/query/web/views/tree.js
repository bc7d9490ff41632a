// The tree of pools: projects, the clusters in them, and what is in those.
import { follow, go } from "../address.js";
import { html, useState } from "../lib.js";
import { canEverywhere } from "../me.js";

export function Tree({ pools, address }) {
  const [wanted, setWanted] = useState("");
  const children = new Map();
  const seen = new Set(pools.map(({ id }) => id));
  for (const pool of pools) { // a cluster stands alone for whoever does not see what is around it
    const parent = seen.has(pool.parent) ? pool.parent : null;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(pool);
  }
  const matches = (pool) => `${pool.id} ${pool.name}`.toLowerCase().includes(wanted.toLowerCase())
    || (children.get(pool.id) ?? []).some(matches);
  const roots = (children.get(null) ?? []).filter(matches);
  return html`
    <nav class="tree" aria-label="Projects and clusters">
      <h2>Pools</h2>
      ${pools.length > 8 && html`<input type="search" placeholder="Find" aria-label="Find a project or cluster" value=${wanted}
        onInput=${(event) => setWanted(event.target.value)} />`}
      <${Branch} pools=${roots} children=${children} matches=${matches} address=${address} />
      ${!roots.length && html`<p class="hint">Nothing is called that.</p>`}
      ${canEverywhere("administer") && html`<button type="button" class="quiet add"
        onClick=${() => go({ view: "setup", form: "project" })}>+ New project</button>`}
    </nav>
    <label class="pool-picker"><span class="hidden">Project or cluster</span>
      <select value=${address.pool} onChange=${(event) => go({ pool: event.target.value, select: "", booking: "", account: "" })}>
        ${flattened(children, null, 0).map(([pool, depth]) => html`
          <option key=${pool.id} value=${pool.id}>${"\u2003".repeat(depth)}${lastName(pool, depth)}</option>`)}
      </select></label>`;
}

/** Inside of what is around it, a cluster needs no more than its own part of the name. */
function lastName(pool, depth) {
  if (!pool.parent) return pool.name || pool.id;
  return depth ? pool.id.slice(pool.parent.length + 1) : pool.id;
}

const flattened = (children, parent, depth) =>
  (children.get(parent) ?? []).flatMap((pool) => [[pool, depth], ...flattened(children, pool.id, depth + 1)]);

function Branch({ pools, children, matches, address, depth = 0 }) {
  if (!pools.length) return null;
  return html`
    <ul>${pools.map((pool) => html`
      <li key=${pool.id}>
        <a ...${follow({ pool: pool.id, select: "", booking: "", account: "" })}
          aria-current=${pool.id === address.pool ? "page" : undefined} title=${`${pool.id}, ${pool.kind}`}>
          <span class=${`kind kind-${pool.parent ? "cluster" : "project"}`} aria-hidden="true"></span>
          <span class="name">${lastName(pool, depth)}</span>
          ${pool.kind === "exclusive" && html`<span class="tag"
            title="Made for one booking, which holds all of it">exclusive</span>`}
        </a>
        <${Branch} pools=${(children.get(pool.id) ?? []).filter(matches)} children=${children} matches=${matches} address=${address}
          depth=${depth + 1} />
      </li>`)}
    </ul>`;
}
