// The tree of pools: projects, the clusters in them, and what is in those.
import { follow, go } from "../address.js";
import { html, useState } from "../lib.js";

export function Tree({ pools, address }) {
  const [wanted, setWanted] = useState("");
  const children = new Map();
  for (const pool of pools) {
    if (!children.has(pool.parent)) children.set(pool.parent, []);
    children.get(pool.parent).push(pool);
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
      <button type="button" class="quiet add" onClick=${() => go({ view: "setup", form: "project" })}>+ New project</button>
    </nav>
    <label class="pool-picker"><span class="hidden">Project or cluster</span>
      <select value=${address.pool} onChange=${(event) => go({ pool: event.target.value, select: "", booking: "" })}>
        ${flattened(children, null, 0).map(([pool, depth]) => html`
          <option key=${pool.id} value=${pool.id}>${"\u2003".repeat(depth)}${lastName(pool)}</option>`)}
      </select></label>`;
}

const lastName = (pool) => (pool.parent ? pool.id.slice(pool.parent.length + 1) : pool.name || pool.id);

const flattened = (children, parent, depth) =>
  (children.get(parent) ?? []).flatMap((pool) => [[pool, depth], ...flattened(children, pool.id, depth + 1)]);

function Branch({ pools, children, matches, address }) {
  if (!pools.length) return null;
  return html`
    <ul>${pools.map((pool) => html`
      <li key=${pool.id}>
        <a ...${follow({ pool: pool.id, select: "", booking: "" })} aria-current=${pool.id === address.pool ? "page" : undefined}
          title=${`${pool.id}, ${pool.kind}`}>
          <span class=${`kind kind-${pool.parent ? "cluster" : "project"}`} aria-hidden="true"></span>
          <span class="name">${lastName(pool)}</span>
        </a>
        <${Branch} pools=${(children.get(pool.id) ?? []).filter(matches)} children=${children} matches=${matches} address=${address} />
      </li>`)}
    </ul>`;
}
