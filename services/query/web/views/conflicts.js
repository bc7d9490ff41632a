// Hours that are promised more than they have, until when that must be settled, and what would settle it.
import { follow, zoneOf } from "../address.js";
import { parentOf, poolParams } from "../api.js";
import { periodText } from "../blocks.js";
import { sayCapacity } from "../capacity.js";
import { episodesOf, waysOf } from "../episodes.js";
import { html, many } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
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
        <p class="hint">Hours of ${address.pool} and what is in it that are promised more than they have.
          ${" "}By the deadline, the ledger settles what is left: tentative bookings lapse, the newest first.</p></div></header>
      ${problem ? html`<${Said} problem=${problem} />` : !answer ? html`<div class="waiting" aria-busy="true"></div>`
        : !answer.conflicts.length ? html`<${Empty} title="Every hour has what it is promised.">
          <p>Nothing is over-committed in the next two years.</p><//>`
        : episodesOf(answer.conflicts)
          .map((episode) => html`<${Episode} key=${`${episode.pool} ${episode.start}`} episode=${episode} zone=${zone} />`)}
    </section>`;
}

function Episode({ episode, zone }) {
  const { pool, lacks, claims } = episode;
  const [start, end, deadline] = [episode.start, episode.end, episode.deadline].map((text) => Date.parse(text));
  const missing = sayCapacity(lacks);
  const select = periodText(start, end);
  return html`
    <article class="card conflict">
      <header class="card-head"><h2>${sayPeriod(start, end, zone)} <span class="hint">${pool}</span></h2>
        <span class="short">up to ${missing} short</span></header>
      <p><b>To be settled by ${sayInstant(deadline, zone)}</b> <span class="hint">${remaining(deadline)}</span></p>
      <h3>What would resolve it</h3>
      <ul class="ways">
        ${waysOf(episode).map((way) =>
          html`<li key=${way.map(({ key }) => key).join()}>
            ${way.map((claim, at) => html`${at === 0 ? "" : at === way.length - 1 ? " and " : ", "}
              <${Way} claim=${claim} zone=${zone} first=${at === 0} />`)}</li>`)}
        <li>${pool.includes(".") ? html`<${Link} may=${can("manage", parentOf(pool))}
            to=${{ view: "setup", form: "resize", pool, select }}>Enlarge ${pool}<//> by ${missing}`
          : html`<${Link} may=${can("manage", pool)} to=${{ view: "setup", form: "grant", pool, select }}>Grant more<//>: ${missing}`}
          ${" "}for these hours</li>
      </ul>
      <details><summary>${many(claims.length, "claim")} on these hours</summary>
        <div class="scroll"><table class="list">
          <thead><tr><th scope="col">Who</th><th scope="col">Holds</th><th scope="col">When</th><th scope="col">State</th></tr></thead>
          <tbody>${claims.map((claim) => html`<tr key=${claim.key}><th scope="row">${claim.account ?? claim.cluster}</th>
            <td>${sayCapacity(claim.holds)}</td><td>${sayPeriod(Date.parse(claim.start), Date.parse(claim.end), zone)}</td>
            <td>${claim.state}</td></tr>`)}</tbody></table></div></details>
    </article>`;
}

/** A link for those who may do it, words for others. */
const Link = ({ may, to, children }) => (may ? html`<a ...${follow(to)}>${children}</a>` : html`<span>${children}</span>`);

function Way({ claim, zone, first }) {
  const to = claim.booking
    ? { view: "bookings", booking: claim.booking, date: dateIn(Date.parse(claim.start), zone), scale: "month" }
    : { view: "setup", form: "resize", pool: claim.cluster };
  const may = Boolean(claim.booking) || can("manage", parentOf(claim.cluster));
  return html`<${Link} may=${may} to=${to}>${claim.booking ? `${first ? "Shorten" : "shorten"}, move or cancel ${claim.account}’s booking`
    : `${first ? "Resize" : "resize"} ${claim.cluster}`}<//> (${sayCapacity(claim.holds)}${claim.state === "tentative"
      ? ", tentative" : ""})`;
}

function remaining(deadline) {
  const hours = Math.floor((deadline - Date.now()) / HOUR);
  return hours >= 1 ? `in ${sayDuration(hours > 48 ? hours - (hours % 24) : hours)}` : hours >= 0 ? "within the hour" : "that is past";
}
