// Hours that are promised more than they have, until when that must be settled, and what would settle it.
import { follow, zoneOf } from "../address.js";
import { poolParams } from "../api.js";
import { periodText } from "../blocks.js";
import { sayAmount } from "../capacity.js";
import { html, many } from "../lib.js";
import { useAnswer } from "../live.js";
import { HOUR, dateIn, iso, nextHour, sayDuration, sayInstant, sayPeriod } from "../time.js";
import { Empty, Said } from "./parts.js";

const AHEAD_DAYS = 730;

export function Conflicts({ address }) {
  const zone = zoneOf(address);
  const from = nextHour() - HOUR;
  const range = `${iso(from)},${iso(from + AHEAD_DAYS * 24 * HOUR)}`;
  const then = address.as_of ? { as_of: address.as_of } : {};
  const { data, problem, old } = useAnswer("/conflicts/select", { ...poolParams(address.pool), range, ...then });
  const answer = data ?? old;
  return html`
    <section class="stack narrow" aria-label="Conflicts">
      <header class="bar"><div><h1>Conflicts</h1>
        <p class="hint">Hours of ${address.pool} and what is in it that are promised more than they have. By the deadline, the ledger settles what is left: tentative bookings lapse, the newest first.</p></div></header>
      ${problem ? html`<${Said} problem=${problem} />` : !answer ? html`<div class="waiting" aria-busy="true"></div>`
        : !answer.conflicts.length ? html`<${Empty} title="Every hour has what it is promised."><p>Nothing is over-committed in the next two years.</p><//>`
        : answer.conflicts.map((conflict) => html`<${Conflict} key=${`${conflict.pool}${conflict.start}${conflict.dimension}`} conflict=${conflict} zone=${zone} />`)}
    </section>`;
}

function Conflict({ conflict, zone }) {
  const { pool, dimension, deficit, claims } = conflict;
  const [start, end] = [Date.parse(conflict.start), Date.parse(conflict.end)];
  const deadline = conflict.deadline && Date.parse(conflict.deadline);
  return html`
    <article class="card conflict">
      <header class="card-head"><h2>${sayPeriod(start, end, zone)} <span class="hint">${pool}</span></h2>
        <span class="short">${sayAmount(deficit, dimension)} short</span></header>
      ${deadline && html`<p><b>To be settled by ${sayInstant(deadline, zone)}</b> <span class="hint">${remaining(deadline)}</span></p>`}
      <h3>What would resolve it</h3>
      <ul class="ways">
        ${waysOf(conflict).map((way) => html`<li key=${way.map(({ key }) => key).join()}>${way.map((claim, at) => html`${at > 0 ? " and " : ""}<${Way} claim=${claim} dimension=${dimension} zone=${zone} pool=${pool} />`)}</li>`)}
        <li>${pool.includes(".")
          ? html`<a ...${follow({ view: "setup", form: "resize", pool, select: periodText(start, end) })}>Enlarge ${pool}</a> by ${sayAmount(deficit, dimension)}`
          : html`<a ...${follow({ view: "setup", form: "grant", pool, select: periodText(start, end) })}>Grant ${sayAmount(deficit, dimension)} more</a>`} for these hours</li>
      </ul>
      <details><summary>${many(conflict.claims_total ?? claims.length, "claim")} on these hours</summary>
        <table class="list"><thead><tr><th scope="col">Who</th><th scope="col">Holds</th><th scope="col">When</th><th scope="col">State</th></tr></thead>
          <tbody>${claims.map((claim) => html`<tr key=${claim.booking ?? claim.cluster}><th scope="row">${claim.account ?? claim.cluster}</th>
            <td>${sayAmount(claim.amount, dimension)}</td><td>${sayPeriod(Date.parse(claim.start), Date.parse(claim.end), zone)}</td><td>${claim.state}</td></tr>`)}</tbody></table></details>
    </article>`;
}

function Way({ claim, dimension, zone, pool }) {
  const to = claim.booking
    ? { view: "bookings", pool, booking: claim.booking, date: dateIn(Date.parse(claim.start), zone), scale: "month" }
    : { view: "setup", form: "resize", pool: claim.cluster };
  return html`<a ...${follow(to)}>${claim.booking ? `shorten, move or cancel ${claim.account}’s booking` : `resize ${claim.cluster}`}</a> (${sayAmount(claim.amount, dimension)}${claim.state === "tentative" ? ", tentative" : ""})`;
}

const WAYS_MAX = 4;

/** Single claims that hold the whole deficit, the newest first; else the newest that do together. */
export function waysOf({ claims, deficit }) {
  const newest = [...claims].map((claim) => ({ ...claim, key: claim.booking ?? claim.cluster })).sort((one, other) => other.position - one.position);
  const single = newest.filter(({ amount }) => amount >= deficit).slice(0, WAYS_MAX).map((claim) => [claim]);
  if (single.length) return single;
  const together = [];
  for (let left = deficit; left > 0 && newest.length > together.length;) left -= together[together.push(newest[together.length]) - 1].amount;
  return together.length ? [together] : [];
}

function remaining(deadline) {
  const hours = Math.floor((deadline - Date.now()) / HOUR);
  return hours >= 1 ? `in ${sayDuration(hours > 48 ? hours - (hours % 24) : hours)}` : hours >= 0 ? "within the hour" : "that is past";
}
