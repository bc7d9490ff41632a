// One booking: what it is, and the way to amend or cancel it in place.
import { useCommand, useDryRun } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can, mayChange } from "../me.js";
import { named } from "../sentences.js";
import { HOUR, iso, sayDuration, sayPeriod } from "../time.js";
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
      ${item.series && html`<${Field} label="It is one of several">${(field) => html`
        <select ...${field} value=${scope} onChange=${(event) => setScope(event.target.value)}>
          <option value="one">this one</option><option value="rest">this one and all after it</option>
          <option value="all">all that are not over</option></select>`}<//>`}
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
  const templates = newestOf(useAnswer("/templates", { project: item.pool.split(".")[0] }).data?.templates ?? []);
  const asked = periodOf(dates, zone);
  const same = JSON.stringify(bodyOf(amount)) === JSON.stringify(bodyOf(amountOf(item)));
  const changes = {
    ...(asked && asked.start !== start ? { startdate: iso(asked.start) } : {}),
    ...(asked && asked.end !== end ? { enddate: iso(asked.end) } : {}), ...(same ? {} : bodyOf(amount)),
  };
  const body = asked && Object.keys(changes).length ? changes : null;
  const { verdict, checking } = useDryRun(`/bookings/${item.id}/amend`, body);
  const { busy, problem, run } = useCommand(onDone);
  const wrong = wrongFields(problem ?? (verdict?.accepted === false ? verdict.problem : null));
  const ways = item.pool.includes(".") ? ["counts", "template", "share"] : ["counts", "template"];
  return html`
    <form onSubmit=${(event) => { event.preventDefault(); if (body) run(`/bookings/${item.id}/amend`, body); }}>
      ${started && html`<p class="hint">It has begun: what changes, changes from the next whole hour on.</p>`}
      <${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} wrong=${wrong} fixedStart=${started} />
      <${AmountFields} amount=${amount} onChange=${setAmount} ways=${ways} templates=${templates} wrong=${wrong} />
      <${Verdict} verdict=${verdict} checking=${checking && body} zone=${zone} fits="The change fits." />
      ${problem && !verdict && html`<${Said} problem=${problem} />`}
      <div class="buttons"><button class="primary" disabled=${busy || !body || (verdict && !verdict.accepted)}>Amend</button>
        <button type="button" onClick=${onBack}>Leave it</button></div>
    </form>`;
}
