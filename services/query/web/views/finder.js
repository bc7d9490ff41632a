// Where pools are many: those that a text finds, and all projects page by page.
import { html, useEffect, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { PoolLink } from "./pool-link.js";

const FOUND = 50;
const PAGE = 100;
const SETTLE_MS = 200; // one types on

function useSettled(text) {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/** The pools whose id or name contains a text. */
export function Finder({ wanted, address }) {
  const { data, old } = useAnswer("/pools", { find: useSettled(wanted), limit: FOUND });
  const found = data ?? old;
  return html`
    <div aria-busy=${data ? undefined : "true"}>
      ${found && html`<ul>${found.pools.map((pool) => html`<li key=${pool.id}><${PoolLink} pool=${pool}
        name=${pool.parent || !pool.name ? pool.id : pool.name} address=${address} /></li>`)}</ul>`}
      <p class="hint" role="status">${!data ? "" : !data.pools.length ? "Nothing is called that."
        : data.next ? `The first ${FOUND}. Write more of the name.` : ""}</p>
    </div>`;
}

/** All projects, PAGE at a time. */
export function Projects({ address }) {
  const [pages, setPages] = useState([null]); // where each page up to this one begins
  const { data, old } = useAnswer("/projects", { limit: PAGE, after: pages.at(-1) });
  const shown = data ?? old;
  if (!shown) return null;
  const paged = pages.length > 1 || shown.next;
  return html`
    <section class="rest" aria-label="All projects">
      <h2>All projects</h2>
      <ul>${shown.projects.map((pool) => html`<li key=${pool.id}><${PoolLink} pool=${pool} name=${pool.name || pool.id}
        address=${address} /></li>`)}</ul>
      ${paged && html`<nav class="pages" aria-label="Pages of the projects">
        <button type="button" class="small" disabled=${pages.length === 1}
          onClick=${() => setPages(pages.slice(0, -1))}>Before</button>
        <button type="button" class="small" disabled=${!shown.next || !data}
          onClick=${() => setPages([...pages, shown.next])}>After</button></nav>`}
    </section>`;
}
