// Every event, as a sentence: who decided what, when, and in which place of the one order.
import { follow, go, zoneOf } from "../address.js";
import { classes, html, useEffect, useState } from "../lib.js";
import { get, projectOf } from "../api.js";
import { useMoved } from "../live.js";
import { canSomewhere, isOpen } from "../me.js";
import { idOf, knownNames } from "../people.js";
import { EVENT_TYPES, named, sayProof, sentence } from "../sentences.js";
import { isPosition } from "../time.js";
import { AsOf } from "./as-of.js";
import { Needs } from "./needs.js";
import { Days, Empty, Said } from "./parts.js";
import { Refusals } from "./refusals.js";

const PAGE = 60;
const WINDOW = 500; // positions looked at at once; it doubles while little is found
const REFUSED = "refused";
const ROLES = "Role,AccountMember";
const GROUPS = [
  ["", "Everything"], ["Booking,Series", "Bookings"], ["Grant,Project", "Projects and grants"],
  ["Cluster", "Clusters"], ["Template,Account", "Templates and accounts"],
  [ROLES, "Roles and members"], [REFUSED, "What was refused"],
];

const typesOf = (kind) => EVENT_TYPES.filter((type) => kind.split(",").some((start) => type.startsWith(start)));

export function History({ address }) {
  const zone = zoneOf(address);
  const [filter, setFilter] = useState({ actor: "", account: "", pool: "" });
  const refused = address.kind === REFUSED;
  const groups = GROUPS.filter(([kind]) => (kind !== REFUSED || canSomewhere("audit")) && (kind !== ROLES || !isOpen()));
  const { events, more, problem, older } = useHistory(address, filter, refused);
  const set = (name) => (event) => setFilter({ ...filter, [name]: event.target.value.trim() });
  const setActor = (event) => setFilter({ ...filter, actor: idOf(event.target.value.trim()) });
  return html`
    <section class="stack narrow" aria-label="History">
      <header class="bar"><h1>History</h1>
        <span class="links">${address.pool
          && (!refused || canSomewhere("audit"))
          && html`<a href=${`${refused ? "refusals" : "events"}?project=${projectOf(address.pool)}`}>As data</a>`}</span></header>
      <${AsOf} address=${address} />
      <form class="filters" role="search" aria-label="Filter the history" onSubmit=${(event) => event.preventDefault()}>
        <label>What <select value=${address.kind} onChange=${(event) => go({ kind: event.target.value }, { replace: true })}>
          ${groups.map(([kind, label]) => html`<option key=${kind} value=${kind}>${label}</option>`)}</select></label>
        <label>Where <select value=${filter.pool} onChange=${set("pool")}><option value="">Everywhere</option>
          ${address.pool && html`<option value=${`in ${projectOf(address.pool)}`}>In ${projectOf(address.pool)}</option>`}
          ${address.pool.includes(".") && html`<option value=${address.pool}>${address.pool} alone</option>`}</select></label>
        <label>Who <input type="search" placeholder="Anybody" list="people" onChange=${setActor} /></label>
        <datalist id="people">${knownNames().map((name) => html`<option key=${name} value=${name} />`)}</datalist>
        ${!refused && html`<label>Account <input type="search" placeholder="Any" onChange=${set("account")} /></label>`}
      </form>
      ${refused && !canSomewhere("audit") ? html`<${Needs} right="audit" pool=${projectOf(address.pool)} what="Reading what was refused" />`
        : refused ? html`<${Refusals} address=${address} project=${filter.pool && projectOf(filter.pool.replace(/^in /, ""))}
        actor=${filter.actor} />`
        : problem ? html`<${Said} problem=${problem} />` : !events ? html`<div class="waiting" aria-busy="true"></div>`
        : !events.length ? html`<${Empty} title="Nothing that fits has happened.">
          <p>Whatever is decided is written here, and stays.</p><//>`
        : html`<${Days} told=${events.map(({ position, event }) => ({ key: position, at: event.at, event }))} zone=${zone}
            say=${({ key, event }) => html`
              <span class=${classes("what", event.lapsed && "bad")}>
                <b title=${event.actor}>${named(event.actor)}</b> ${sentence(event, zone, { withActor: false })}
                ${!isOpen() && html` <span class="proof hint">${sayProof(event)}</span>`}</span>
              <${Position} position=${key} event=${event} />`}>
            ${more && html`<button type="button" onClick=${older}>Earlier</button>`}<//>`}
    </section>`;
}

/** Where an event stands; it leads to the calendar as it stood then. */
function Position({ position, event }) {
  return html`<a class="position" ...${follow({ view: "calendar", as_of: String(position), pool: poolOf(event) })}
    title="The calendar as it stood after this" aria-label=${`The calendar at position ${position}`}>${position}</a>`;
}

const poolOf = (event) => event.pool ?? event.cluster ?? event.project;

/** The newest events that fit, newest first; `older()` reads on. */
function useHistory(address, filter, idle) {
  const { moved } = useMoved();
  const project = filter.pool.startsWith("in ") ? filter.pool.slice(3) : null;
  const sought = {
    type: address.kind ? typesOf(address.kind).join(",") : null, actor: filter.actor, account: filter.account, project,
    pool: project ? null : filter.pool,
  };
  const [pages, setPages] = useState(1);
  const [state, setState] = useState({ events: null, more: false, problem: null });
  const key = JSON.stringify([sought, address.as_of, pages, moved, idle]);
  useEffect(() => { setPages(1); }, [JSON.stringify(sought), address.as_of]);
  useEffect(() => {
    if (idle) return undefined;
    const abort = new AbortController();
    newest(sought, address.as_of, pages * PAGE, abort.signal).then(
      (found) => setState({ ...found, problem: null }),
      (problem) => problem.name === "AbortError" || setState({ events: null, more: false, problem }),
    );
    return () => abort.abort();
  }, [key]);
  return { ...state, older: () => setPages(pages + 1) };
}

/** The interface reads forwards; so look at ever more of the newest positions until there are enough. */
async function newest(sought, asOf, wanted, signal) {
  const last = isPosition(asOf) ? Number(asOf) : (await get("/events", { as_of: asOf, limit: 1 }, signal)).position;
  for (let window = Math.max(WINDOW, 2 * wanted); ; window *= 4) {
    const after = Math.max(0, last - window);
    const found = await all(sought, after, last + 1, signal);
    if (found.length >= wanted || after === 0) return { events: found.reverse().slice(0, wanted),
      more: found.length > wanted || after > 0 };
  }
}

async function all(sought, after, before, signal) {
  const found = [];
  for (let from = after; from != null;) {
    const page = await get("/events", { ...sought, after: from, before, limit: 10_000 }, signal);
    found.push(...page.events);
    from = page.next;
  }
  return found;
}
