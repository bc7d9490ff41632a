// One account: what it holds now, and how much of each of its limits it uses.
import { follow } from "../address.js";
import { DIMENSIONS, labelOf, sayCapacity } from "../capacity.js";
import { html, many, useEffect } from "../lib.js";
import { askAgain, useAnswer } from "../live.js";
import { can } from "../me.js";
import { UTC, sayDuration, sayInstant } from "../time.js";
import { Meter } from "./meter.js";
import { Said } from "./parts.js";

const TIMER_MAX_MS = 2 ** 31 - 1;

export function AccountCard({ account, project, range, then, limits, zone, onClose }) {
  return html`
    <section class="card form" aria-label="Account">
      <header class="card-head"><h2>${account}</h2><button type="button" class="quiet" aria-label="Close the account"
        onClick=${onClose}>✕</button></header>
      ${!then.as_of && html`<${HoldsNow} account=${account} project=${project} zone=${zone} />`}
      <${Limits} account=${account} project=${project} range=${range} then=${then} limits=${limits} />
      <p class="links"><a ...${follow({ view: "bookings", account, booking: "" })}>Its bookings</a>
        ${can("manage", project) && html`<a ...${follow({ view: "setup", form: "account" })}>Set its limits</a>`}</p>
    </section>`;
}

/** What the ledger says that the account may use in this hour, by pool. It is asked again when that changes. */
function HoldsNow({ account, project, zone }) {
  const { data, problem, old } = useAnswer("/entitlements", { account, project });
  const answer = data ?? old;
  const until = answer?.until;
  useEffect(() => {
    if (!until) return undefined;
    const timer = setTimeout(askAgain, Math.min(TIMER_MAX_MS, Math.max(1000, Date.parse(until) - Date.now() + 1000)));
    return () => clearTimeout(timer);
  }, [until]);
  if (problem) return html`<${Said} problem=${problem} />`;
  if (!answer) return html`<div class="waiting" aria-busy="true"></div>`;
  const held = answer.entitlements;
  return html`
    <section aria-label="What it holds now"><h3>Holds now</h3>
      ${!held.length ? html`<p>Nothing${until ? `, until ${sayInstant(Date.parse(until), zone)}` : ""}.</p>` : html`
        <ul class="plain holds">${held.map((one) => html`<li key=${one.pool}>
          <b>${sayCapacity(one)}</b> of <a ...${follow({ view: "bookings", pool: one.pool, account, date: "", scale: "day",
            booking: one.bookings[0]?.id ?? "" })}>${one.pool}</a>${" "}
          <span class="hint">until ${sayInstant(Date.parse(one.until), zone)}${one.bookings.length > 1
            ? `, by ${many(one.bookings.length, "booking")}` : ""}</span></li>`)}</ul>`}
    </section>`;
}

/** The limits of one month, and what is used of them, by dimension. */
function Limits({ account, project, range, then, limits }) {
  const { data, problem, old } = useAnswer(`/accounts/${encodeURIComponent(account)}/usage`,
    { project, range, grain: "hour", tz: UTC, ...then });
  const usage = data ?? old;
  if (problem) return html`<${Said} problem=${problem} />`;
  if (!usage) return html`<div class="waiting" aria-busy="true"></div>`;
  const shown = DIMENSIONS.map(({ name }) => {
    const by = usage.blocks.map(({ used }) => used[name]);
    return { name, most: Math.max(0, ...by), sum: by.reduce((sum, hour) => sum + hour, 0),
      capacity: limits.capacity?.[name], monthly: limits.monthly_hours?.[name] };
  }).filter(({ sum, capacity, monthly }) => sum || capacity != null || monthly != null);
  return html`
    <section aria-label="What it uses in the month"><h3>Uses in the month</h3>
      ${!shown.length && html`<p>Nothing.</p>`}
      <dl class="meters">${shown.map(({ name, most, sum, capacity, monthly }) => html`
        <dt key=${name}>${labelOf(name)}</dt><dd>
          <${Meter} what=${`${labelOf(name)}: most at once`} used=${most} limit=${capacity} dimension=${name} />
          <${Meter} what=${`${labelOf(name)}: in the month`} used=${sum} limit=${monthly} dimension=${name} hours />
        </dd>`)}</dl>
      ${limits.ahead_hours && html`<p>It may book at most ${sayDuration(limits.ahead_hours)} ahead.</p>`}
      ${limits.duration_hours && html`<p>A booking of it may last at most ${sayDuration(limits.duration_hours)}.</p>`}
    </section>`;
}
