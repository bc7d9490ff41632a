// One booking: what it is, and the way to amend or cancel it in place.
import { go } from "../address.js";
import { useCommand, useDryRun } from "../command.js";
import { html, many, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can, mayChange } from "../me.js";
import { named } from "../sentences.js";
import { sayRule } from "../series.js";
import { HOUR, dateIn, isWholeHours, iso, sayDuration, sayPeriod, sayZone } from "../time.js";
import { AmountFields, amountOf, bodyOf, newestOf, wrongFields } from "./amount.js";
import { Needs } from "./needs.js";
import { Field, Said } from "./parts.js";
import { PeriodFields, datesOf, periodOf } from "./period.js";
import { Verdict, heldBy } from "./verdict.js";

export function BookingCard({ item, zone, onClose }) {
  const [doing, setDoing] = useState("");
  const [start, end] = [Date.parse(item.start), Date.parse(item.end)];
  const over = end <= Date.now();
  return html`
    <section class="card form" aria-label="Booking">
      <header class="card-head"><h2>Booking</h2><button type="button" class="quiet" aria-label="Close the booking"
        onClick=${onClose}>✕</button></header>
      <dl class="facts">
        <dt>Account</dt><dd>${item.account}</dd>
        <dt>Holds</dt><dd>${heldBy(item)}</dd>
        <dt>When</dt><dd>${sayPeriod(start, end, zone)} <span class="hint">${sayDuration((end - start) / HOUR)}</span></dd>
        <dt>In</dt><dd>${item.pool}</dd>
        ${item.state && html`<dt>State</dt>
          <dd>${item.state === "tentative" ? html`<span class="tag warn">tentative</span> until its hours have what it holds`
            : "confirmed"}</dd>`}
        ${item.series && html`<${Recurs} item=${item} zone=${zone} />`}
        <dt>Booked by</dt><dd title=${item.actor}>${named(item.actor)}</dd>
        <dt>Number</dt><dd><code>${item.id}</code></dd>
      </dl>
      ${over ? html`<p class="hint">It is over, and stays as it was.</p>` : !mayChange(item) ? html`<${NotYours} item=${item} />`
        : doing === "" ? html`
        <div class="buttons"><button type="button" onClick=${() => setDoing("amend")}>Amend</button>
          <button type="button" class="danger" onClick=${() => setDoing("cancel")}>Cancel booking</button></div>`
        : doing === "cancel" ? html`<${Cancel} item=${item} started=${start < Date.now()} onBack=${() => setDoing("")} onDone=${onClose} />`
        : html`<${Amend} item=${item} zone=${zone} started=${start < Date.now()} onBack=${() => setDoing("")}
          onDone=${() => setDoing("")} />`}
    </section>`;
}

/** The series as one thing: its rule, and each of its times. */
function Recurs({ item, zone }) {
  const { data } = useAnswer(`/bookings/series/${item.series}`);
  if (!data) return html`<dt>Recurs</dt><dd>as one of several</dd>`;
  const within = isWholeHours(data.timezone) ? data.timezone : zone;
  const { occurrences } = data;
  return html`<dt>Recurs</dt><dd>${sayRule(data.rrule, Date.parse(occurrences[0]?.start ?? data.first), within)}${" "}
    (${sayZone(data.timezone)}), ${many(occurrences.length, "time")}
    <details><summary>Show the times</summary><ol class="occurrences">${occurrences.map((one) => html`
      <${Occurrence} key=${one.start} one=${one} here=${one.booking === item.id} zone=${zone} />`)}</ol></details></dd>`;
}

function Occurrence({ one, here, zone }) {
  const when = sayPeriod(Date.parse(one.start), Date.parse(one.end), zone);
  return html`
    <li aria-current=${here ? "true" : undefined}>${one.booking && !here ? html`<button type="button" class="link"
      onClick=${() => go({ booking: one.booking, date: dateIn(Date.parse(one.start), zone) })}>${when}</button>` : when}
      ${one.state !== "confirmed" && html`<span class="tag" title=${one.refused}>${one.state}</span>`}</li>`;
}

/** Of which times of a recurring booking a command is. `last` says what "all" are. */
function Scope({ value, onPick, last }) {
  return html`<${Field} label="It is one of several">${(field) => html`
    <select ...${field} value=${value} onChange=${(event) => onPick(event.target.value)}>
      <option value="one">this one</option><option value="rest">this one and all after it</option>
      <option value="all">${last}</option></select>`}<//>`;
}

function NotYours({ item }) {
  if (!can("book", item.pool)) return html`<${Needs} right="book" pool=${item.pool} what="Changing a booking" />`;
  return html`<${Needs} right="manage" pool=${item.pool} what="Changing a booking of others"
    also=${`, or being a member of the account ${item.account}`} />`;
}

function Cancel({ item, started, onBack, onDone }) {
  const [reason, setReason] = useState("");
  const [scope, setScope] = useState("one");
  const { busy, problem, run } = useCommand(onDone);
  const path = scope === "one" ? `/bookings/${item.id}/cancel` : `/bookings/series/${item.series}/cancel`;
  const body = { ...(scope === "rest" && { from: item.start }), ...(reason.trim() && { reason: reason.trim() }) };
  return html`
    <form onSubmit=${(event) => { event.preventDefault(); run(path, body, { tryFirst: true }); }}>
      ${item.series && html`<${Scope} value=${scope} onPick=${setScope} last="all that are not over" />`}
      <p>${scope !== "one" ? "All of each is given back; of one that has begun, what comes after the next whole hour."
        : started ? "It has begun: it ends at the next whole hour, and what has been used stays on record."
          : "All of it is given back."}</p>
      <${Field} label="Reason, if you like">
        ${(field) => html`<input ...${field} maxlength="200" value=${reason} onInput=${(event) => setReason(event.target.value)} />`}<//>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="buttons"><button class="danger" disabled=${busy}>Cancel the booking${scope === "one" ? "" : "s"}</button>
        <button type="button" onClick=${onBack}>Keep it</button></div>
    </form>`;
}

function Amend({ item, zone, started, onBack, onDone }) {
  const [start, end] = [Date.parse(item.start), Date.parse(item.end)];
  const [dates, setDates] = useState(() => datesOf({ start, end }, zone));
  const [amount, setAmount] = useState(() => amountOf(item));
  const [scope, setScope] = useState("one");
  const templates = newestOf(useAnswer("/templates", { project: item.pool.split(".")[0], limit: 1000 }).data?.templates ?? []);
  const asked = periodOf(dates, zone);
  const same = JSON.stringify(bodyOf(amount)) === JSON.stringify(bodyOf(amountOf(item)));
  const moves = scope === "one" && asked ? {
    ...(asked.start !== start ? { startdate: iso(asked.start) } : {}), ...(asked.end !== end ? { enddate: iso(asked.end) } : {}),
  } : {};
  const changes = { ...moves, ...(same ? {} : bodyOf(amount)) };
  const path = scope === "one" ? `/bookings/${item.id}/amend` : `/bookings/series/${item.series}/amend`;
  const body = asked && Object.keys(changes).length ? { ...changes, ...(scope === "rest" && { from: item.start }) } : null;
  const { verdict, checking } = useDryRun(path, body);
  const { busy, problem, run } = useCommand(onDone);
  const wrong = wrongFields(problem ?? (verdict?.accepted === false ? verdict.problem : null));
  const ways = item.pool.includes(".") ? ["counts", "template", "share"] : ["counts", "template"];
  return html`
    <form onSubmit=${(event) => { event.preventDefault(); if (body) run(path, body); }}>
      ${item.series && html`<${Scope} value=${scope} onPick=${setScope} last="all that have not begun" />`}
      ${started && html`<p class="hint">It has begun: what changes, changes from the next whole hour on.</p>`}
      ${scope === "one" ? html`<${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} wrong=${wrong} fixedStart=${started} />`
        : html`<p class="hint">The times stay as they are. How much each holds changes.</p>`}
      <${AmountFields} amount=${amount} onChange=${setAmount} ways=${ways} templates=${templates} wrong=${wrong} />
      <${Verdict} verdict=${verdict} checking=${checking && body} zone=${zone} fits="The change fits." />
      ${problem && !verdict && html`<${Said} problem=${problem} />`}
      <div class="buttons"><button class="primary" disabled=${busy || !body || (verdict && !verdict.accepted)}>Amend</button>
        <button type="button" onClick=${onBack}>Leave it</button></div>
    </form>`;
}
