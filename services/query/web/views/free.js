// Where is it free: a row for each pool, a column for each day, week or hour. From a cell one books in its pool.
import { follow, go, zoneOf } from "../address.js";
import { parentOf, poolParams } from "../api.js";
import { parsePeriod, periodText } from "../blocks.js";
import { labelOf, sayCount } from "../capacity.js";
import {
  AHEAD, AHEAD_GRAINS, AHEAD_LABELS, aheadGrainOf, aheadOf, leastOf, matrixOf, matrixQuestion, stepAhead,
} from "../free.js";
import { classes, html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
import { dateIn, nextHour, sayPeriod, today } from "../time.js";
import { BookingPanel } from "./booking-panel.js";
import { MeasureField, NothingThere } from "./calendar.js";
import { FreeGrid } from "./free-grid.js";
import { describeFree } from "./heatmap.js";
import { Said, Segmented } from "./parts.js";

const GRAIN_LABELS = { hour: "By hour", day: "By day", week: "By week", month: "By month" };
const FIND_FROM = 8;

export function Free({ address, templates }) {
  const zone = zoneOf(address);
  const { pool, measure } = address;
  const { data, problem, old } = useAnswer(pool && "/available/matrix", { ...poolParams(pool), ...matrixQuestion(address, zone) });
  const shown = data ?? (old?.pool === pool && measureOf(old) === measure ? old : null);
  const matrix = useMemo(() => shown && matrixOf(shown, zone), [shown, zone]);
  const chosen = parsePeriod(address.select);
  const row = chosen && `${address.row}.`.startsWith(`${pool}.`) ? address.row : "";
  return html`
    <div class="split">
      <section class="stack" aria-label="Where is it free">
        <${Bar} address=${address} zone=${zone} matrix=${matrix}>
          <${MeasureField} measure=${measure} templates=${templates} /><//>
        ${problem ? html`<${Said} problem=${problem} />`
          : !matrix ? html`<div class="waiting" aria-busy="true"></div>`
          : html`<${Picture} address=${address} matrix=${matrix} grain=${shown.grain} zone=${zone}
              chosen=${chosen && { ...chosen, pool: row || pool }} stale=${!data} />`}
      </section>
      <${BookingPanel} address=${{ ...address, pool: row || pool }} zone=${zone} chosen=${chosen} templates=${templates} />
    </div>`;
}

const measureOf = ({ dimension, template }) => dimension ?? `template:${template.name}`;

function Bar({ address, zone, matrix, children }) {
  const [ahead, grain] = [aheadOf(address), aheadGrainOf(address)];
  const step = (count) => {
    const to = stepAhead(ahead, address.date || dateIn(nextHour(), zone), count);
    go({ date: to === today(zone) ? "" : to });
  };
  const columns = matrix?.columns;
  return html`
    <header class="bar">
      <div class="bar-when">
        <h1>Where is it free? ${columns?.length > 0 && html`<small>${sayPeriod(columns[0].start, columns.at(-1).end, zone)}</small>`}</h1>
        <div class="group" role="group" aria-label="Move in time">
          <button type="button" class="quiet" aria-label="Earlier" onClick=${() => step(-1)}>‹</button>
          <button type="button" class="quiet" onClick=${() => go({ date: "" })}>From now</button>
          <button type="button" class="quiet" aria-label="Later" onClick=${() => step(1)}>›</button>
        </div>
      </div>
      <div class="bar-what">
        <${Segmented} label="How far ahead" value=${ahead} options=${AHEAD.map((name) => [name, AHEAD_LABELS[name]])}
          onPick=${(picked) => go({ ahead: picked, grain: "" })} />
        ${AHEAD_GRAINS[ahead].length > 1 && html`
          <label class="inline"><span class="hidden">Grain</span>
            <select value=${grain} onChange=${(event) => go({ grain: event.target.value })}>
              ${AHEAD_GRAINS[ahead].map((name) => html`<option key=${name} value=${name}>${GRAIN_LABELS[name]}</option>`)}
            </select></label>`}
        ${children}
      </div>
    </header>`;
}

function Picture({ address, matrix, grain, zone, chosen, stale }) {
  const { pool, measure } = address;
  const [wanted, setWanted] = useState("");
  const point = useRef(null);
  const rows = useMemo(() => matrix.rows.filter(({ pool: id, name }) =>
    `${id} ${name}`.toLowerCase().includes(wanted.toLowerCase())), [matrix, wanted]);
  if (!matrix.rows.length) return html`<${NoPools} pool=${pool} />`;
  const least = matrix.rows.reduce((one, { min }) => min.reduce((low, value) => Math.min(low, value), one), 0);
  const choose = (id, from, to) => go({ row: id === pool ? "" : id, booking: "",
    select: periodText(matrix.columns[from].start, matrix.columns[to].end) }, { replace: true });
  return html`
    <div class=${classes("card picture", stale && "stale")}>
      <div class="readout one-line">
        <${Readout} point=${point} measure=${measure} />
        <${Legend} top=${matrix.top} measure=${measure} over=${least < 0} />
        ${matrix.rows.length > FIND_FROM && html`<input type="search" class="find" placeholder="Find a pool" aria-label="Find a pool"
          value=${wanted} onInput=${(event) => setWanted(event.target.value)} />`}
      </div>
      ${matrix.top <= 0 && least >= 0 && html`<${NothingThere} pool=${pool} measure=${measure} />`}
      ${rows.length ? html`<${FreeGrid} matrix=${matrix} rows=${rows} grain=${grain} measure=${measure} zone=${zone} chosen=${chosen}
          label=${`${pool} and what is inside it: ${labelOf(measure)}`} onChoose=${choose} onPoint=${(cell) => point.current?.(cell)} />`
        : html`<p class="hint" role="status">No pool here is called that.</p>`}
    </div>`;
}

function NoPools({ pool }) {
  const makes = can("manage", parentOf(pool) || pool);
  return html`<div class="empty"><h2>No pool is there in this time</h2><p>Look at another time.
    ${makes && html` Or <a ...${follow({ view: "setup", form: "cluster", row: "" })}>make a cluster</a>.`}</p></div>`;
}

/** What is pointed at, in words. It has its own state, so that the grid is not drawn again for each cell. */
function Readout({ point, measure }) {
  const [cell, setCell] = useState(null);
  useEffect(() => { point.current = setCell; return () => { point.current = null; }; }, []);
  return html`<p aria-hidden="true">${cell
    ? html`<b>${cell.row.pool}</b> <span>${cell.column.when}: ${describeFree(cell.block, measure)}</span>`
    : html`<span class="hint">Click a cell, or drag along a row, to choose where and when.</span>`}</p>`;
}

function Legend({ top, measure, over }) {
  if (top <= 0) return null;
  const middle = leastOf(4, top);
  return html`
    <div class="legend" role="img" aria-label=${`Darker fill is more free, from nothing to ${sayCount(top, measure)}. Each step is some
      times more than the one before: the middle is ${sayCount(middle, measure)}. A line below is the best hour.${
      over ? " Stripes are over-committed hours." : ""}`}>
      <span>0</span>${[0, 1, 2, 3].map((level) => html`<i key=${level} class=${`f${level}`}></i>`)}
      ${top > 4 && html`<i class="f4 named"><b>${sayCount(middle, measure)}</b></i>`}
      ${[5, 6, 7, 8].map((level) => html`<i key=${level} class=${`f${level}`}></i>`)}<span>${sayCount(top, measure)}</span>
      ${over && html`<i class="over"></i><span>over-committed</span>`}
    </div>`;
}
