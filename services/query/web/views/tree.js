// The tree of pools: projects, the clusters in them, and what is in those.
import { go } from "../address.js";
import { html, many as sayMany, useState } from "../lib.js";
import { canEverywhere } from "../me.js";
import { Finder, Projects } from "./finder.js";
import { PoolLink } from "./pool-link.js";

const FIND_FROM = 9;
const DRAWN = 150; // of the pools of one project, where projects are many

/** With `many`, `pools` are those of the project that is shown; the others are found by name, or page by page. */
export function Tree({ pools, many, address }) {
  const [wanted, setWanted] = useState("");
  const children = childrenOf(pools);
  const matches = (pool) => `${pool.id} ${pool.name}`.toLowerCase().includes(wanted.toLowerCase())
    || (children.get(pool.id) ?? []).some(matches);
  const roots = many ? [] : (children.get(null) ?? []).filter(matches);
  return html`
    <nav class=${many ? "tree many" : "tree"} aria-label="Projects and clusters">
      <h2>Pools</h2>
      ${(many || pools.length >= FIND_FROM) && html`<input type="search" placeholder="Find" aria-label="Find a project or cluster"
        value=${wanted} onInput=${(event) => setWanted(event.target.value)} />`}
      ${!many ? html`<${Branch} pools=${roots} children=${children} matches=${matches} address=${address} />
          ${!roots.length && html`<p class="hint">Nothing is called that.</p>`}`
        : wanted.trim() ? html`<${Finder} wanted=${wanted.trim()} address=${address} />`
        : html`<${Own} pools=${pools} children=${childrenOf(pools.slice(0, DRAWN))} address=${address} />
          <${Projects} address=${address} />`}
      ${canEverywhere("administer") && html`<button type="button" class="quiet add"
        onClick=${() => go({ view: "setup", form: "project" })}>+ New project</button>`}
    </nav>
    <label class="pool-picker"><span class="hidden">Project or cluster</span>
      <select value=${address.pool} onChange=${(event) => go({ pool: event.target.value, select: "", booking: "", account: "" })}>
        ${flattened(children, null, 0).map(([pool, depth]) => html`
          <option key=${pool.id} value=${pool.id}>${"\u2003".repeat(depth)}${lastName(pool, depth)}</option>`)}
      </select></label>`;
}

/** The pools by what is around them; null for the outermost. A cluster stands alone for whoever does not see that. */
function childrenOf(pools) {
  const children = new Map();
  const seen = new Set(pools.map(({ id }) => id));
  for (const pool of pools) {
    const parent = seen.has(pool.parent) ? pool.parent : null;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(pool);
  }
  return children;
}

/** The project that is shown, and what is in it. */
function Own({ pools, children, address }) {
  const chosen = pools.slice(DRAWN).find(({ id }) => id === address.pool);
  return html`
    <div class="rest">
      <${Branch} pools=${children.get(null) ?? []} children=${children} matches=${() => true} address=${address} />
      ${chosen && html`<${Branch} pools=${[chosen]} children=${children} matches=${() => true} address=${address} />`}
      ${pools.length > DRAWN && html`<p class="hint">${sayMany(DRAWN, "pool")} of it. Find the others by name.</p>`}
    </div>`;
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
        <${PoolLink} pool=${pool} name=${lastName(pool, depth)} address=${address} />
        <${Branch} pools=${(children.get(pool.id) ?? []).filter(matches)} children=${children} matches=${matches} address=${address}
          depth=${depth + 1} />
      </li>`)}
    </ul>`;
}
