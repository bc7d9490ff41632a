// The accounts of a project: what each uses in a month, and how much of its limits that is.
import { dateOf, follow, go, zoneOf } from "../address.js";
import { asName, projectOf } from "../api.js";
import { templateOf } from "../blocks.js";
import { classes, html, many, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { UTC, addDays, addMonths, sayDate, startOfMonth, today } from "../time.js";
import { AccountCard } from "./account-card.js";
import { Dimension, Empty, Said } from "./parts.js";
import { Meter } from "./meter.js";

const SHOWN = 100;
const FIND_FROM = 9;

/** A month of UTC, for which a limit of resource-hours holds: the parameter `range`. */
const monthOf = (date) => `${startOfMonth(date)},${addDays(addMonths(startOfMonth(date), 1), -1)}`;

export function Accounts({ address }) {
  const project = projectOf(address.pool);
  const date = dateOf(address);
  const dimension = templateOf(address.measure) ? "cores" : address.measure;
  const then = address.as_of ? { as_of: address.as_of } : {};
  const listed = useAnswer("/accounts", { project, ...then });
  const load = useAnswer("/bookings/load", { project, range: monthOf(date), grain: "month", dimension, limit: 1000, ...then });
  const problem = listed.problem ?? load.problem;
  const [known, figures] = [listed.data ?? listed.old, load.data ?? load.old];
  const rows = known && figures ? rowsOf(known.accounts, figures) : [];
  const { account } = address;
  return html`
    <div class=${classes("split", !account && "alone")}>
      <section class="stack" aria-label="Accounts">
        <${MonthBar} date=${date} dimension=${dimension} />
        ${problem ? html`<${Said} problem=${problem} />` : !known || !figures ? html`<div class="waiting" aria-busy="true"></div>`
          : !rows.length ? html`<${Empty} title="No account has booked in this month.">
            <p>${project} lists no accounts, so any name may book.</p><//>`
          : html`<${Table} rows=${rows} dimension=${dimension} others=${figures.others} chosen=${account} project=${project} />`}
      </section>
      ${account && html`<aside class="panel"><${AccountCard} key=${account} account=${account} project=${project}
        range=${monthOf(date)} then=${then} limits=${rows.find((one) => asName(one.account) === asName(account))?.limits ?? {}}
        zone=${zoneOf(address)} onClose=${() => go({ account: "" }, { replace: true })} /></aside>`}
    </div>`;
}

function MonthBar({ date, dimension }) {
  const to = (months) => go({ date: addMonths(startOfMonth(date), months) });
  return html`
    <header class="bar">
      <div class="bar-when"><h1>${sayDate(date, { month: "long", year: "numeric" })}</h1>
        <div class="group" role="group" aria-label="Move in time">
          <button type="button" class="quiet" aria-label="The month before" onClick=${() => to(-1)}>‹</button>
          <button type="button" class="quiet" onClick=${() => go({ date: "" })}>This month</button>
          <button type="button" class="quiet" aria-label="The month after" onClick=${() => to(1)}>›</button>
        </div></div>
      <div class="bar-what"><${Dimension} value=${dimension} /></div>
    </header>`;
}

/** The accounts that the project lists, and those that have booked: [{account, limits, closed, bookings, most, used}]. */
function rowsOf(listed, { rows }) {
  const found = new Map(listed.map((one) => [asName(one.account), { ...one, bookings: 0, most: 0, used: 0 }]));
  for (const { name, bookings, max, used } of rows) {
    const known = found.get(asName(name)) ?? { account: name, limits: {}, closed: false };
    found.set(asName(name), { ...known, bookings, most: max[0], used: used[0] });
  }
  return [...found.values()].sort((one, other) => other.used - one.used || one.account.localeCompare(other.account));
}

function Table({ rows, dimension, others, chosen, project }) {
  const [wanted, setWanted] = useState("");
  const matching = rows.filter(({ account }) => account.toLowerCase().includes(wanted.toLowerCase()));
  const [most, used] = [Math.max(...rows.map((row) => row.most)), Math.max(...rows.map((row) => row.used))];
  const left = matching.length - SHOWN;
  return html`
    <section class="card" aria-label="Accounts and their limits">
      <header class="card-head"><h2>${many(rows.length, "account")} <span class="hint">of ${project}</span></h2>
        ${rows.length >= FIND_FROM && html`<input type="search" class="find" placeholder="Find" aria-label="Find an account" value=${wanted}
          onInput=${(event) => setWanted(event.target.value)} />`}</header>
      <div class="scroll" tabindex="0" role="region" aria-label="Accounts as a table">
        <table class="list accounts">
          <thead><tr><th scope="col">Account</th><th scope="col">Most at once</th><th scope="col">In the month</th>
            <th scope="col">Bookings</th></tr></thead>
          <tbody>${matching.slice(0, SHOWN).map((row) => html`
            <tr key=${row.account} class=${row.account === chosen ? "current" : ""}>
              <th scope="row"><button type="button" class="link"
                onClick=${() => go({ account: row.account }, { replace: true })}>${row.account}</button>
                ${row.closed && html`<span class="tag">closed</span>`}</th>
              <td><${Meter} what=${`${row.account}: most at once`} used=${row.most} limit=${row.limits.capacity?.[dimension]} most=${most}
                dimension=${dimension} /></td>
              <td><${Meter} what=${`${row.account}: in the month`} used=${row.used} limit=${row.limits.monthly_hours?.[dimension]}
                most=${used} dimension=${dimension} hours /></td>
              <td>${row.bookings ? html`<a ...${follow({ view: "bookings", account: row.account, scale: "month", booking: "" })}
                aria-label=${`${many(row.bookings, "booking")} of ${row.account}`}>${row.bookings.toLocaleString("en")}</a>` : "none"}</td>
            </tr>`)}</tbody>
        </table>
      </div>
      ${left > 0 && html`<p class="hint">and ${many(left, "more account")}: find them by name</p>`}
      ${others && html`<p class="hint">and ${many(others.names, "account")} with fewer hours</p>`}
      <p class="hint after">A limit of a month counts the hours of the month in UTC.</p>
    </section>`;
}
