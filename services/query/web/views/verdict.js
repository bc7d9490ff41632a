// What a dry run says, in the page: it fits, or which hours fail and by how much, and what to do instead.
import { sayCapacity, sayCount, sayAmount } from "../capacity.js";
import { grouped, html, many } from "../lib.js";
import { HOUR, sayPeriod } from "../time.js";

const SHOWN = 4;

export function Verdict({ verdict, checking, zone, fits = "It fits." }) {
  return html`
    <div class="verdict" aria-live="polite">
      ${checking ? html`<p class="hint">Checking…</p>` : verdict && (verdict.accepted
        ? html`<p class="said good"><b>${tentative(verdict) ? "It can be held tentatively." : fits}</b> ${tentative(verdict)
          ? "Some of these hours are promised more than they have; it is confirmed when they have it." : ""}</p>`
        : html`<${Refusal} problem=${verdict.problem} zone=${zone} />`)}
    </div>`;
}

const tentative = ({ decided }) => decided.some((event) => event.tentative);

export function Refusal({ problem, zone }) {
  const shortages = problem.body?.shortages;
  if (!shortages?.length) return html`<p class="said bad"><b>${problem.title}.</b> ${problem.message}</p>`;
  const runs = merged(shortages);
  const hours = runs.reduce((sum, run) => sum + run.hours, 0);
  return html`
    <div class="said bad">
      <b>It does not fit: ${many(hours, "hour")} ${hours === 1 ? "lacks" : "lack"} capacity.</b>
      <ul class="plain">${runs.slice(0, SHOWN).map((run) => html`
        <li key=${run.start}>${sayPeriod(run.start, run.end, zone)}: ${run.lacks.map(lack).join("; ")}</li>`)}
        ${runs.length > SHOWN && html`<li>and ${many(runs.length - SHOWN, "more period")}</li>`}</ul>
    </div>`;
}

/** One line for each run of hours, whatever dimensions are short in it: [{start, end, hours, lacks}]. */
function merged(shortages) {
  return [...grouped(shortages, ({ start, end }) => `${start},${end}`).values()].map((lacks) => {
    const start = Date.parse(lacks[0].start);
    const end = Date.parse(lacks[0].end);
    return { start, end, hours: (end - start) / HOUR, lacks };
  });
}

function lack({ dimension, asked, available }) {
  if (dimension === "share") return `${(asked - available) / 100}% too much, ${available / 100}% is free`;
  return `${sayAmount(asked - available, dimension)} short (${sayCount(Math.max(0, available),
    dimension)} free of ${sayCount(asked, dimension)} asked)`;
}

/** What was decided, as the amount that somebody holds. */
export const heldBy = (item) =>
  item.share ? `${item.share / 100}% of the cluster` : item.template
    ? `${item.template.count} × ${item.template.name} (${sayCapacity(item)})` : sayCapacity(item);
