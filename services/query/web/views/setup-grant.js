import { poolParams } from "../api.js";
import { parsePeriod, periodText } from "../blocks.js";
import { sayCapacity } from "../capacity.js";
import { useCommand } from "../command.js";
import { html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { HOUR, addMonths, instant, iso, nextHour, sayPeriod, startOfMonth, today } from "../time.js";
import { AmountFields, bodyOf, emptyAmount } from "./amount.js";
import { CommandForm } from "./command-form.js";
import { Field, Said } from "./parts.js";
import { PeriodFields, datesOf, periodOf } from "./period.js";

/** From this month on, a year. */
export function longPeriod(zone) {
  const first = startOfMonth(today(zone));
  return { start: instant(first, 0, zone), end: instant(addMonths(first, 12), 0, zone) };
}

export function GrantSetup({ address, zone, project }) {
  const [amount, setAmount] = useState(emptyAmount);
  const [source, setSource] = useState("");
  const [dates, setDates] = useState(() => datesOf(parsePeriod(address.select) ?? longPeriod(zone), zone));
  const period = periodOf(dates, zone);
  const held = bodyOf(amount);
  const body = held && period
    ? { project, startdate: iso(period.start), enddate: iso(period.end), ...held,
      ...(source.trim() ? { source: source.trim() } : {}) } : null;
  return html`
    <${CommandForm} title=${`Grant capacity to ${project}`}
      hint="A Nova quota or a Blazar reservation is a grant: capacity, for a time." path="/resources/create" body=${body} zone=${zone}
      action="Grant it" done="It is granted." onDone=${() => setAmount(emptyAmount())}>
      ${(wrong) => html`
        <${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} wrong=${wrong} />
        <${AmountFields} amount=${amount} onChange=${setAmount} wrong=${wrong} />
        <${Field} label="Source, if you like" wrong=${wrong.source}>
          ${(field) => html`<input ...${field} maxlength="200" placeholder="nova, blazar, …" value=${source}
            onInput=${(event) => setSource(event.target.value)} />`}<//>`}
    <//>
    <${Grants} project=${project} zone=${zone} />`;
}

const AHEAD_DAYS = 3650;

function Grants({ project, zone }) {
  const from = nextHour() - HOUR;
  const { data } = useAnswer("/resources/select",
    { ...poolParams(project), range: periodText(from, from + AHEAD_DAYS * 24 * HOUR), grain: `${AHEAD_DAYS * 24}h` });
  const { busy, problem, run } = useCommand();
  if (!data?.items.length) return null;
  return html`
    <section class="card" aria-label="Grants"><h2>Granted now and later</h2>
      ${problem && html`<${Said} problem=${problem} />`}
      <div class="scroll"><table class="list">
        <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Source</th>
          <th><span class="hidden">Withdraw</span></th></tr></thead>
        <tbody>${data.items.map((item) => html`
          <tr key=${item.id}><th scope="row">${sayPeriod(Date.parse(item.start), Date.parse(item.end), zone)}</th>
          <td>${sayCapacity(item)}</td><td>${item.source ?? ""}</td>
          <td><button type="button" class="small danger" disabled=${busy}
            onClick=${() => run(`/resources/${item.id}/withdraw`, {}, { tryFirst: true })}
            aria-label=${`Withdraw ${sayCapacity(item)}, ${sayPeriod(Date.parse(item.start), Date.parse(item.end),
              zone)}`}>Withdraw</button></td></tr>`)}</tbody></table></div>
    </section>`;
}
