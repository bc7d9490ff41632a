// The calendar: what is free of a pool, by year, month, week or day, and beside it the way to book it.
import { dateOf, follow, go, zoneOf } from "../address.js";
import { parentOf, poolParams } from "../api.js";
import { GRAINS, blocksOf, grainOf, parsePeriod, periodText, question, spanOf, templateOf } from "../blocks.js";
import { DIMENSIONS, labelOf, sayCount } from "../capacity.js";
import { classes, html, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
import { dateIn, sayDate, startOfMonth } from "../time.js";
import { BookingPanel } from "./booking-panel.js";
import { BlocksTable } from "./blocks-table.js";
import { ClusterCard } from "./cluster-card.js";
import { HeatMap, describe } from "./heatmap.js";
import { Said } from "./parts.js";
import { SpanBar } from "./span-bar.js";
import { Timeline } from "./timeline.js";

const CLOSER = { year: "month", month: "week", week: "day", day: "day" };
const GRAIN_LABELS = { hour: "By hour", day: "By day", week: "By week", month: "By month" };

export function Calendar({ address, templates, pools }) {
  const zone = zoneOf(address);
  const { scale, measure, pool } = address;
  const grain = grainOf(address);
  const date = dateOf(address);
  const span = spanOf(scale, date);
  const { data, problem, old } = useAnswer(pool && "/available/select", { ...poolParams(pool), ...question(address, zone, span, grain) });
  const chosen = parsePeriod(address.select);
  const blocks = data ? blocksOf(data, measure) : null;
  const exclusive = pools.find(({ id }) => id === pool)?.kind === "exclusive"; // why little is free is said first
  const card = parentOf(pool) && html`<${ClusterCard} key=${pool} pool=${pool} zone=${zone}
    dimension=${templateOf(measure) ? "cores" : measure} then=${address.as_of ? { as_of: address.as_of } : {}} />`;
  const shown = { data, blocks, grain, scale, zone, span, date, chosen, measure, pool, stale: !data && old };
  return html`
    <div class="split">
      <section class="stack" aria-label="Calendar">
        <${SpanBar} scale=${scale} date=${date} span=${span} zone=${zone}>
          <${Controls} scale=${scale} measure=${measure} grain=${grain} templates=${templates} /><//>
        ${exclusive && card}
        ${problem ? html`<${Said} problem=${problem} />` : html`<${Picture} ...${shown} address=${address} />`}
        ${!exclusive && card}
      </section>
      <${BookingPanel} address=${address} zone=${zone} chosen=${chosen} templates=${templates} />
    </div>`;
}

function Controls({ scale, measure, grain, templates }) {
  return html`
    ${GRAINS[scale].length > 1 && html`
      <label class="inline"><span class="hidden">Grain</span>
        <select value=${grain} onChange=${(event) => go({ grain: event.target.value })}>
          ${GRAINS[scale].map((name) => html`<option key=${name} value=${name}>${GRAIN_LABELS[name]}</option>`)}
        </select></label>`}
    <${MeasureField} measure=${measure} templates=${templates} />`;
}

/** What is shown: a dimension, or how many of a template fit. */
export function MeasureField({ measure, templates }) {
  const unknown = measure.startsWith("template:") && !templates.includes(measure.slice("template:".length));
  return html`
    <label class="inline"><span class="hidden">What is shown</span>
      <select value=${measure} onChange=${(event) => go({ measure: event.target.value })}>
        <optgroup label="Free">${DIMENSIONS.map(({ name, label }) => html`<option key=${name} value=${name}>${label}</option>`)}</optgroup>
        ${templates.length > 0 && html`<optgroup label="How many fit">
          ${templates.map((name) => html`<option key=${name} value=${`template:${name}`}>${name}</option>`)}</optgroup>`}
        ${unknown && html`<option value=${measure}>${labelOf(measure)}</option>`}
      </select></label>`;
}

function Picture({ address, data, blocks, grain, scale, zone, span, date, chosen, measure, pool, stale }) {
  const [pointed, setPointed] = useState(null);
  if (!blocks) return html`<div class=${classes("waiting", stale && "still")} aria-busy="true"></div>`;
  const template = measure.startsWith("template:");
  const top = Math.max(0, ...blocks.map((block) => (template ? block.high : Math.max(block.granted.max, block.high))));
  const over = blocks.filter((block) => block.low < 0);
  const choose = (from, to) =>
    go({ select: periodText(blocks[from].start, blocks[to].end), booking: "" }, { replace: true });
  const open = (block) => go({ scale: CLOSER[scale], grain: "", date: dateIn(block.start, zone) });
  const heading = (to, on) => go({ scale: to, grain: "", date: on });
  const shared = { scale, grain, measure, zone, top, chosen, onOpen: open, onPoint: setPointed, onHeading: heading };
  const inTable = address.table === "calendar";
  return html`
    <div class="card picture">
      <div class="readout">
        <p aria-hidden="true">${pointed ? html`<${Pointed} block=${pointed} measure=${measure} zone=${zone} />`
          : html`<span class="hint">Drag over ${grain}s to ${can("book", pool) ? "book" : "choose"} them${scale === "day" ? ""
            : ", double-click to look closer"}.</span>`}</p>
        <${Legend} top=${top} measure=${measure} over=${over.length > 0} />
        <button type="button" class="quiet small" aria-pressed=${inTable ? "true" : "false"}
          onClick=${() => go({ table: inTable ? "" : "calendar" }, { replace: true })}>Table</button>
      </div>
      ${over.length > 0 && html`<p class="warning" role="status">
        <b>Over-committed</b> in ${over.length} ${over.length === 1 ? "block" : "blocks"} of these. ${" "}
        ${can("names", pool) && html`<a href="?view=conflicts"
          onClick=${(event) => { event.preventDefault(); go({ view: "conflicts" }); }}>See the conflicts</a>`}</p>`}
      ${top <= 0 && !over.length && html`<${NothingThere} pool=${pool} measure=${measure} />`}
      ${inTable ? html`<${BlocksTable} blocks=${blocks} measure=${measure} zone=${zone} />`
        : scale === "year" && grain === "day" ? html`<${Year} blocks=${blocks} shared=${shared} onChoose=${choose} />`
        : html`<${HeatMap} blocks=${blocks} ...${shared} label=${pool} month=${scale === "month" ? date.slice(0, 7) : null}
          onChoose=${choose} />`}
    </div>
    <${Timeline} address=${address} pool=${pool} measure=${measure} span=${span} zone=${zone} scale=${scale} />`;
}

/** What to do first, where there is nothing to book. */
export function NothingThere({ pool, measure }) {
  const what = measure.startsWith("template:") ? `None of ${measure.slice("template:".length)} fit`
    : `There are no ${labelOf(measure).toLowerCase()}`;
  const [form, way] = pool.includes(".") ? ["resize", "give the cluster a size"] : ["grant", "grant the project some"];
  if (!can("manage", parentOf(pool) || pool)) return html`<p class="said note">${what} in this time.</p>`;
  return html`<p class="said note">${what} in this time. To book, first <a ...${follow({ view: "setup", form })}>${way}</a>.</p>`;
}

function Pointed({ block, measure, zone }) {
  const text = describe(block, measure, zone);
  const [when, ...rest] = text.split(": ");
  return html`<b>${when}</b> ${rest.join(": ")}${block.granted && block.granted.max > 0
    && html` <span class="hint">of ${range(block.granted, measure)} granted, ${range(block.booked, measure)} booked${
      block.shared?.max ? html`, ${range(block.shared, measure)} in shares` : ""}</span>`}`;
}

const range = ({ min, max }, measure) => (min === max ? sayCount(min, measure) : `${sayCount(min, measure)} – ${sayCount(max, measure)}`);

function Legend({ top, measure, over }) {
  if (top <= 0) return null;
  return html`
    <div class="legend" role="img"
      aria-label=${`Darker fill is more free, from nothing to ${sayCount(top, measure)}. A mark shows the best hour.${over
        ? " Stripes show over-committed hours." : ""}`}>
      <span>0</span>${Array.from({ length: 9 }, (_, level) => html`<i key=${level} class=${`f${level}`}></i>`)}
      <span>${sayCount(top, measure)}</span>
    </div>`;
}

/** Twelve months; a month's name leads to it. */
function Year({ blocks, shared, onChoose }) {
  const { zone } = shared;
  const months = new Map();
  blocks.forEach((block, index) => {
    const month = startOfMonth(dateIn(block.start, zone));
    if (!months.has(month)) months.set(month, { first: index, blocks: [] });
    months.get(month).blocks.push(block);
  });
  return html`<div class="months">${[...months].map(([month, { first, blocks: days }]) => html`
    <section key=${month} aria-label=${sayDate(month, { month: "long" })}>
      <h2><button type="button" class="heading" onClick=${() => shared.onHeading("month", month)}>
        ${sayDate(month, { month: "long" })}</button></h2>
      <${HeatMap} blocks=${days} ...${shared} compact label=${sayDate(month, { month: "long", year: "numeric" })}
        onChoose=${(from, to) => onChoose(first + from, first + to)} />
    </section>`)}</div>`;
}
