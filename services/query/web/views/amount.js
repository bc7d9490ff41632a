// How much: counts, a template, or a share of a cluster. The same fields serve booking, amending, granting and resizing.
import { DIMENSIONS, NAMES, sayCapacity } from "../capacity.js";
import { html } from "../lib.js";
import { Field, Segmented } from "./parts.js";

const MAIN = ["servers", "cores", "memory"];
const GIB = 1024;

/** A form's amount: {way, servers, cores, memory, …, template, count, share}; memory is typed in GiB. */
export const emptyAmount = () => ({ way: "counts", template: "", count: "1", share: "",
  ...Object.fromEntries(NAMES.map((name) => [name, ""])) });

/** The amount that an item holds, to begin an amendment with. */
export function amountOf(item) {
  const amount = emptyAmount();
  for (const name of NAMES) if (item[name]) amount[name] = String(name === "memory" ? item[name] / GIB : item[name]);
  if (item.share) return { ...emptyAmount(), way: "share", share: String(item.share / 100) };
  if (item.template) return { ...amount, way: "template", template: item.template.name, count: String(item.template.count) };
  return amount;
}

/** The newest version of each; the interface lists all, the newest first. */
export const newestOf = (templates) => [...new Map([...templates].reverse().map((one) => [one.name, one])).values()].reverse();

/** The members of a command's body; null while something is missing. */
export function bodyOf(amount) {
  if (amount.way === "template") return amount.template ? { template: amount.template, count: Number(amount.count) || 1 } : null;
  if (amount.way === "share") {
    const points = Math.round(Number(amount.share) * 100);
    return points > 0 ? { share: points } : null;
  }
  const counts = NAMES.filter((name) => Number(amount[name]) > 0)
    .map((name) => [name, Math.round(Number(amount[name]) * (name === "memory" ? GIB : 1))]);
  return counts.length ? Object.fromEntries(counts) : null;
}

export function AmountFields({ amount, onChange, ways = ["counts"], templates = [], wrong = {} }) {
  const set = (changes) => onChange({ ...amount, ...changes });
  const options = [["counts", "Counts"], ["template", "Template"], ["share", "Share"]].filter(
    ([way]) => ways.includes(way) && (way !== "template" || templates.length));
  return html`
    <fieldset class="amount">
      <legend>How much</legend>
      ${options.length > 1 && html`<${Segmented} label="How much, by" value=${amount.way} options=${options}
        onPick=${(way) => set({ way, template: amount.template || templates[0]?.name || "" })} />`}
      ${amount.way === "template" ? html`<${TemplateFields} amount=${amount} set=${set} templates=${templates} wrong=${wrong} />`
        : amount.way === "share" ? html`
          <${Field} label="Share of the cluster, in %" wrong=${wrong.share} hint="It follows the cluster's size when that changes.">
            ${(field) => html`<input ...${field} type="number" min="0.01" max="100" step="0.01" inputmode="decimal" value=${amount.share}
              onInput=${(event) => set({ share: event.target.value })} />`}<//>`
        : html`<${CountFields} amount=${amount} set=${set} wrong=${wrong} />`}
    </fieldset>`;
}

function CountFields({ amount, set, wrong }) {
  const field = ({ name, label, unit }) => html`
    <${Field} key=${name} label=${name === "memory" ? "Memory, GiB" : unit ? `${label}, ${unit}` : label} wrong=${wrong[name]}>
      ${(attributes) => html`<input ...${attributes} name=${name} type="number" min="0" step=${name === "memory" ? "any" : "1"}
        inputmode="numeric" placeholder="0"
        value=${amount[name]} onInput=${(event) => set({ [name]: event.target.value })} />`}<//>`;
  const rest = DIMENSIONS.filter(({ name }) => !MAIN.includes(name));
  return html`
    <div class="counts">${DIMENSIONS.filter(({ name }) => MAIN.includes(name)).map(field)}</div>
    <details open=${rest.some(({ name }) => Number(amount[name]) > 0)}><summary>Disc</summary>
      <div class="counts">${rest.map(field)}</div></details>`;
}

function TemplateFields({ amount, set, templates, wrong }) {
  const chosen = templates.find(({ name }) => name === amount.template);
  return html`
    <div class="counts">
      <${Field} label="Template" wrong=${wrong.template} class="wide" hint=${chosen && `${sayCapacity(chosen.capacity)} each`}>
        ${(field) => html`<select ...${field} value=${amount.template} onChange=${(event) => set({ template: event.target.value })}>
          ${templates.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}</select>`}<//>
      <${Field} label="How many" wrong=${wrong.count}>
        ${(field) => html`<input ...${field} type="number" min="1" step="1" inputmode="numeric" value=${amount.count}
          onInput=${(event) => set({ count: event.target.value })} />`}<//>
    </div>`;
}

/** What is wrong with which field, from a problem: {field: words}. */
export const wrongFields = (problem) => Object.fromEntries((problem?.errors ?? []).map(({ field, detail }) => [field, detail]));
