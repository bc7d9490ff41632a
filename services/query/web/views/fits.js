// For whoever does not book here: when an amount would fit.
import { projectOf } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { HOUR } from "../time.js";
import { go } from "../address.js";
import { periodText } from "../blocks.js";
import { AmountFields, bodyOf, emptyAmount, newestOf } from "./amount.js";
import { PeriodFields, datesOf, periodOf } from "./period.js";
import { Slots } from "./slots.js";

export function Fits({ pool, zone, period, chosen }) {
  const [amount, setAmount] = useState(emptyAmount);
  const [dates, setDates] = useState(() => datesOf(period, zone));
  useEffect(() => { setDates(datesOf(period, zone)); }, [chosen?.start, chosen?.end, zone]);
  const details = newestOf(useAnswer("/templates", { project: projectOf(pool), limit: 1000 }).data?.templates ?? []);
  const asked = periodOf(dates, zone);
  const held = bodyOf(amount);
  const take = (slot) => go({ select: periodText(Date.parse(slot.start), Date.parse(slot.end)) }, { replace: true });
  return html`
    <form class="card form" aria-label="When it would fit" onSubmit=${(event) => event.preventDefault()}>
      <h2>When would it fit? <span class="hint">${pool}</span></h2>
      <${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} />
      <${AmountFields} amount=${amount} onChange=${setAmount} templates=${details} ways=${["counts", "template"]} />
      <div aria-live="polite">${held && asked && html`<${Slots} pool=${pool} amount=${held} start=${asked.start}
        hours=${(asked.end - asked.start) / HOUR} zone=${zone} onTake=${take} />`}</div>
    </form>`;
}
