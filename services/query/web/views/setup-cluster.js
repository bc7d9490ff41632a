import { go } from "../address.js";
import { parentOf } from "../api.js";
import { parsePeriod } from "../blocks.js";
import { html, useState } from "../lib.js";
import { can } from "../me.js";
import { HOUR, iso, nextHour } from "../time.js";
import { AmountFields, bodyOf, emptyAmount } from "./amount.js";
import { CommandForm } from "./command-form.js";
import { Empty, Field } from "./parts.js";
import { PeriodFields, datesOf, periodOf } from "./period.js";

const MONTH_HOURS = 28 * 24;
const KINDS = ["cluster", "magnum", "kubernetes", "deployment"];

export function ClusterSetup({ address, zone, pools }) {
  const parents = pools.filter(({ id }) => can("manage", id));
  const [parent, setParent] = useState(can("manage", address.pool) ? address.pool : parents[0].id);
  const [name, setName] = useState("");
  const [kind, setKind] = useState(KINDS[0]);
  const [amount, setAmount] = useState(emptyAmount);
  const [dates, setDates] = useState(
    () => datesOf(parsePeriod(address.select) ?? { start: nextHour(), end: nextHour() + MONTH_HOURS * HOUR }, zone));
  const period = periodOf(dates, zone);
  const held = bodyOf(amount);
  const body = held && period && name
    ? { parent, name, kind, startdate: iso(period.start), enddate: iso(period.end), ...held } : null;
  return html`
    <${CommandForm} title="New cluster"
      hint="A cluster takes its size from the project or cluster that it is in, and is booked on its own."
      path="/clusters/create" body=${body} zone=${zone}
      action="Create the cluster" done="The cluster is there." onDone=${({ id }) => go({ pool: id, view: "calendar" })}>
      ${(wrong) => html`
        <${Field} label="In" wrong=${wrong.parent}>
          ${(field) => html`<select ...${field} value=${parent} onChange=${(event) => setParent(event.target.value)}>
          ${parents.map(({ id }) => html`<option key=${id} value=${id}>${id}</option>`)}</select>`}<//>
        <div class="counts">
          <${Field} label="Name" wrong=${wrong.name} class="wide">
            ${(field) => html`<input ...${field} name="cluster" required pattern="[a-z0-9][a-z0-9\\-]{0,62}"
            value=${name} onInput=${(event) => setName(event.target.value)} />`}<//>
          <${Field} label="Kind" wrong=${wrong.kind}>
            ${(field) => html`<select ...${field} value=${kind} onChange=${(event) => setKind(event.target.value)}>
              ${KINDS.map((each) => html`<option key=${each}>${each}</option>`)}</select>`}<//>
        </div>
        <${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} wrong=${wrong} />
        <${AmountFields} amount=${amount} onChange=${setAmount} wrong=${wrong} />`}
    <//>`;
}

export function ResizeSetup({ address, zone, pools }) {
  const clusters = pools.filter(({ id, parent }) => parent && can("manage", parentOf(id)));
  const [id, setId] = useState(clusters.some((one) => one.id === address.pool) ? address.pool : clusters[0]?.id);
  if (!clusters.length) return html`<${Empty} title="There is no cluster to resize."><p>Make one first.</p><//>`;
  return html`
    <div class="card"><${Field} label="Cluster">
      ${(field) => html`<select ...${field} value=${id} onChange=${(event) => setId(event.target.value)}>
${clusters.map((cluster) => html`<option key=${cluster.id} value=${cluster.id}>${cluster.id}</option>`)}</select>`}<//></div>
    <${Resize} key=${id} cluster=${clusters.find((cluster) => cluster.id === id) ?? clusters[0]} address=${address} zone=${zone} />`;
}

function Resize({ cluster, address, zone }) {
  const [amount, setAmount] = useState(emptyAmount);
  const [ending, setEnding] = useState(false);
  const own = { start: Math.max(nextHour(), Date.parse(cluster.start)), end: Date.parse(cluster.end) };
  const [dates, setDates] = useState(() => datesOf(parsePeriod(address.select) ?? own, zone));
  const period = periodOf(dates, zone);
  const held = ending ? {} : bodyOf(amount);
  const body = held && period ? { startdate: iso(period.start), enddate: iso(period.end), ...held } : null;
  return html`
    <${CommandForm} title=${`Resize ${cluster.id}`} hint="Afterwards, the sizes that were planned before stand again."
      path=${`/clusters/${cluster.id}/resize`} body=${body} zone=${zone}
      action="Resize it" done="It is resized.">
      ${(wrong) => html`
        <${PeriodFields} dates=${dates} zone=${zone} onChange=${setDates} wrong=${wrong} />
        <label class="check"><input type="checkbox" checked=${ending}
          onChange=${(event) => setEnding(event.target.checked)} /> to nothing, which ends it</label>
        ${!ending && html`<${AmountFields} amount=${amount} onChange=${setAmount} wrong=${wrong} />`}`}
    <//>`;
}
