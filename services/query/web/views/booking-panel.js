// Beside the calendar: book the hours that are chosen, and see, amend or cancel what is booked in them.
import { go } from "../address.js";
import { actor, asName, poolParams, projectOf, setActor } from "../api.js";
import { periodText } from "../blocks.js";
import { useCommand, useDryRun } from "../command.js";
import { html, useEffect, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can, isOpen } from "../me.js";
import { HOUR, iso, nextHour, sayPeriod } from "../time.js";
import { AmountFields, bodyOf, emptyAmount, newestOf, wrongFields } from "./amount.js";
import { AccountField, firstAccount, useAccounts } from "./account-field.js";
import { BookingCard } from "./booking-card.js";
import { Fits } from "./fits.js";
import { Needs } from "./needs.js";
import { Field, Said } from "./parts.js";
import { PeriodFields, datesOf, datesToRepeat, periodOf } from "./period.js";
import { Slots } from "./slots.js";
import { Verdict, heldBy } from "./verdict.js";

const SHOWN = 12;

export function BookingPanel({ address, zone, chosen, templates }) {
  const { pool } = address;
  const period = chosen ?? { start: nextHour(), end: nextHour() + 24 * HOUR };
  const params = { ...poolParams(pool), range: periodText(period.start, period.end), grain: "month",
    ...(address.as_of ? { as_of: address.as_of } : {}) };
  const { data } = useAnswer(pool && can("names", pool) && "/bookings/select", params);
  const books = can("book", pool);
  const open = data?.items.findLast(({ id }) => id === address.booking);
  return html`
    <aside class="panel" id="book" aria-label=${books ? "Book" : "These hours"}>
      ${chosen && !address.as_of && books
        && html`<a class="jump" href="#book" onClick=${jump}>Book ${sayPeriod(chosen.start, chosen.end, zone)}</a>`}
      ${open && !address.as_of ? html`<${BookingCard} key=${open.id} item=${open} zone=${zone}
        onClose=${() => go({ booking: "" }, { replace: true })} />`
        : address.as_of ? html`<div class="card"><h2>As it stood then</h2>
          <p class="hint">The past can be looked at, not booked. Come back to now to book.</p></div>`
        : !books ? html`<${Fits} key=${pool} pool=${pool} zone=${zone} period=${period} chosen=${chosen} />
          <div class="card"><${Needs} right="book" pool=${pool} what="Booking" /></div>`
        : html`<${BookingForm} key=${pool} pool=${pool} zone=${zone} period=${period} chosen=${chosen} templates=${templates} />`}
      ${data && html`<${Held} items=${data.items} chosen=${chosen} zone=${zone} period=${period} open=${address.booking} />`}
    </aside>`;
}

/** Where the panel is below the calendar, a chosen time leads to it. */
function jump(event) {
  event.preventDefault();
  document.getElementById("book").scrollIntoView({ behavior: "smooth" });
  document.querySelector("#book [name=account]")?.focus({ preventScroll: true });
}

function Held({ items, chosen, zone, period, open }) {
  if (!items.length) return chosen
    ? html`<p class="hint padded">Nobody has booked ${sayPeriod(period.start, period.end, zone)}.</p>` : null;
  return html`
    <section class="card" aria-label="Booked in these hours">
      <h2>Booked ${chosen ? "in these hours" : "in the next day"}</h2>
      <ul class="held">${items.slice(0, SHOWN).map((item) => html`
        <li key=${item.id + item.start}><button type="button" class="row" aria-pressed=${item.id === open ? "true" : "false"}
          onClick=${() => go({ booking: item.id }, { replace: true })}>
          <b>${item.account}</b>${item.state === "tentative" && html`<span class="tag warn">tentative</span>`}
          <span>${heldBy(item)}</span><span class="hint">${sayPeriod(Date.parse(item.start), Date.parse(item.end), zone)}</span>
          </button></li>`)}
      </ul>
      ${items.length > SHOWN && html`<p class="hint">and ${items.length - SHOWN} more: <a href="?view=bookings"
        onClick=${(event) => { event.preventDefault(); go({ view: "bookings" }); }}>all bookings</a></p>`}
    </section>`;
}

function BookingForm({ pool, zone, period, chosen, templates }) {
  const project = projectOf(pool);
  const accounts = useAccounts(pool);
  const [typed, setAccount] = useState(() => (isOpen() ? actor() : null));
  const account = typed ?? firstAccount(accounts);
  const [amount, setAmount] = useState(emptyAmount);
  const [repeats, setRepeats] = useState({ freq: "", times: "4", skip: false });
  const [done, setDone] = useState(null);
  const [dates, setDates] = useState(() => datesOf(period, zone));
  useEffect(() => { setDates(datesOf(period, zone)); }, [chosen?.start, chosen?.end, zone]);
  const details = newestOf(useAnswer("/templates", { project, limit: 1000 }).data?.templates ?? []);

  const asked = periodOf(dates, zone);
  const held = bodyOf(amount);
  const rrule = repeats.freq && asked && { ...datesToRepeat(asked, zone),
    rrule: `FREQ=${repeats.freq};COUNT=${Math.max(2, Number(repeats.times) || 2)}`, tz: zone, skip: repeats.skip };
  const body = held && asked && asName(account)
    ? { ...poolParams(pool), account: asName(account), startdate: iso(asked.start), enddate: iso(asked.end), ...held, ...rrule } : null;
  const { verdict, checking } = useDryRun("/bookings/create", body);
  const { busy, problem, run } = useCommand((answer) => {
    if (isOpen() && !actor()) setActor(asName(account));
    setDone(answer);
    go({ select: periodText(asked.start, asked.end) }, { replace: true });
  });
  const change = (next) => {
    setDates(next);
    setDone(null);
    const period = periodOf(next, zone);
    if (period) go({ select: periodText(period.start, period.end) }, { replace: true });
  };
  const take = (slot) => { setDone(null); go({ select: periodText(Date.parse(slot.start), Date.parse(slot.end)) }, { replace: true }); };
  const wrong = wrongFields(problem ?? (verdict?.accepted === false ? verdict.problem : null));
  const short = verdict && !verdict.accepted && verdict.problem.body?.shortages;

  return html`
    <form class="card form" onSubmit=${(event) => { event.preventDefault(); if (body) { setDone(null); run("/bookings/create", body); } }}>
      <h2>Book <span class="hint">${pool}</span></h2>
      ${done && html`<p class="said good" role="status"><b>Booked.</b> ${done.occurrences
        ? `${done.occurrences.filter((one) => one.booking).length} of ${done.occurrences.length} times.`
          : sayPeriod(asked.start, asked.end, zone)}
        ${" "}<button type="button" class="link"
          onClick=${() => { go({ booking: done.id }, { replace: true }); setDone(null); }}>Show it</button></p>`}
      <${PeriodFields} dates=${dates} zone=${zone} onChange=${change} wrong=${wrong} />
      <${AccountField} pool=${pool} accounts=${accounts} value=${account} wrong=${wrong.account}
        onChange=${(name) => { setAccount(name); setDone(null); }} />
      <${AmountFields} amount=${amount} onChange=${(next) => { setAmount(next); setDone(null); }} templates=${details} wrong=${wrong}
        ways=${pool.includes(".") ? ["counts", "template", "share"] : ["counts", "template"]} />
      <${Repeats} repeats=${repeats} onChange=${setRepeats} wrong=${wrong.rrule} />
      ${!done && html`<${Verdict} verdict=${verdict} checking=${checking && body} zone=${zone}
        fits=${repeats.freq ? "Every time fits." : "It fits."} />`}
      ${short && html`<${Slots} pool=${pool} amount=${held} start=${asked.start} hours=${(asked.end - asked.start) / HOUR}
        nearest=${verdict.nearest} zone=${zone} onTake=${take} />`}
      ${problem && !problem.body?.shortages && html`<${Said} problem=${problem} />`}
      <button class="primary" disabled=${busy || !body || (verdict && !verdict.accepted)}>${busy ? "Booking…" : "Book"}</button>
    </form>`;
}

function Repeats({ repeats, onChange, wrong }) {
  const set = (changes) => onChange({ ...repeats, ...changes });
  return html`
    <div class="repeats">
      <${Field} label="Repeats" wrong=${wrong}>
        ${(field) => html`<select ...${field} value=${repeats.freq} onChange=${(event) => set({ freq: event.target.value })}>
          <option value="">once</option><option value="DAILY">every day</option><option value="WEEKLY">every week</option>
          <option value="MONTHLY">every month</option></select>`}<//>
      ${repeats.freq && html`
        <${Field} label="Times">${(field) => html`<input ...${field} type="number" min="2" max="500" value=${repeats.times}
          onInput=${(event) => set({ times: event.target.value })} />`}<//>
        <label class="check"><input type="checkbox" checked=${repeats.skip}
          onChange=${(event) => set({ skip: event.target.checked })} /> leave out the times that do not fit</label>`}
    </div>`;
}
