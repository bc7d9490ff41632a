// The timeline under the calendar: what is granted, and who holds what of it, stacked, hour by hour.
import { go } from "../address.js";
import { poolParams } from "../api.js";
import { blocksOf, periodText } from "../blocks.js";
import { sayCount } from "../capacity.js";
import { layersOf, runsOf } from "../layers.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
import { useTheme } from "../theming.js";
import { HOUR, sayInstant, sayPeriod } from "../time.js";
import uPlot from "../vendor/uplot.js";

const HEIGHT = 220;
const ITEMS_MAX = 5000;
const RUNS_MAX = 400;

export function Timeline({ address, pool, measure: asked, span, zone, scale }) {
  const measure = asked.startsWith("template:") ? "cores" : asked;
  const then = address.as_of ? { as_of: address.as_of } : {};
  const range = `${span.first},${span.last}`;
  const hours = useAnswer("/available/select", { ...poolParams(pool), range, tz: zone, grain: "hour", shape: "columns",
    dimensions: measure, ...then });
  const withNames = can("names", pool);
  const booked = useAnswer(withNames && "/bookings/select", { ...poolParams(pool), range, tz: zone, grain: "month", dimensions: measure,
    limit: ITEMS_MAX, ...then });
  const data = hours.data ?? hours.old;
  const picture = useMemo(() => {
    if (!data) return null;
    const blocks = blocksOf(data, measure);
    const whole = booked.data && booked.data.next == null;
    return { blocks, layers: layersOf(blocks, whole ? booked.data.items : null, measure) };
  }, [data, booked.data, measure]);
  const inTable = address.table === "timeline";
  const [at, setAt] = useState(null);
  if (!picture) return html`<div class="card waiting short" aria-busy="true"></div>`;
  const { blocks, layers } = picture;
  const size = pool.includes(".") ? "Size" : "Granted";
  if (!blocks.some((block) => block.granted.max > 0)) return null;
  return html`
    <section class="card timeline" aria-label="Timeline">
      <header class="card-head">
        <h2>${withNames ? "Who holds what" : "What is held"}
          ${" "}<span class="hint">${measure}${asked !== measure ? ", of which the template is made" : ""}</span></h2>
        <button type="button" class="quiet small" aria-pressed=${inTable ? "true" : "false"}
          onClick=${() => go({ table: inTable ? "" : "timeline" }, { replace: true })}>Table</button></header>
      ${inTable ? html`<${LayersTable} blocks=${blocks} layers=${layers} measure=${measure} zone=${zone} size=${size} />`
        : html`<${Plot} blocks=${blocks} layers=${layers} measure=${measure} zone=${zone} size=${size} scale=${scale} onAt=${setAt} />
          <${Key} blocks=${blocks} layers=${layers} at=${at} measure=${measure} zone=${zone} size=${size} />`}
    </section>`;
}

function Key({ blocks, layers, at, measure, zone, size }) {
  const block = at == null ? null : blocks[Math.min(at, blocks.length - 1)];
  return html`
    <div class="key">
      <span class="key-when">${block ? sayInstant(block.start, zone) : ""}</span>
      <span class="key-item"><i class="swatch line"></i>${size} ${block && html`<b>${sayCount(block.granted.max, measure)}</b>`}</span>
      ${[...layers].reverse().map(({ key, label, values, kind, rank }) => html`
        <span key=${key} class="key-item"><i class=${`swatch ${kind === "account" ? `account-${rank}` : kind}`}></i>
          ${label} ${block && html`<b>${sayCount(values[Math.min(at, blocks.length - 1)], measure)}</b>`}</span>`)}
    </div>`;
}

function Plot({ blocks, layers, measure, zone, size, onAt }) {
  const root = useRef(null);
  const theme = useTheme();
  const summary = `${size} and who holds it, ${sayPeriod(blocks[0].start, blocks.at(-1).end,
    zone)}. Layers from the bottom: ${layers.map(({ label }) => label).join(", ")}. The table holds the figures.`;
  useEffect(() => {
    const element = root.current;
    const plot = new uPlot(optionsOf(element, blocks, layers, measure, zone, onAt), columnsOf(blocks, layers), element);
    const watch = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => { watch.disconnect(); plot.destroy(); };
  }, [blocks, layers, measure, zone, theme]);
  return html`<div class="plot" ref=${root} role="img" aria-label=${summary}></div>`;
}

/** uPlot's columns: the times, the sums from the highest layer down (each drawn over the one before), the size, and
 * what is promised beyond it. A last point ends the last hour. */
function columnsOf(blocks, layers) {
  const times = [...blocks.map(({ start }) => start / 1000), blocks.at(-1).end / 1000];
  const sums = [];
  let below = new Float64Array(blocks.length);
  for (const { values } of layers) {
    below = below.map((sum, at) => sum + values[at]);
    sums.unshift(below);
  }
  const closed = (values) => [...values, values.at(-1)];
  const beyond = blocks.map(({ granted, low }) => (low < 0 ? granted.max - low : null));
  return [times, ...sums.map(closed), closed(blocks.map(({ granted }) => granted.max)), closed(beyond)];
}

function optionsOf(element, blocks, layers, measure, zone, onAt) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const steps = uPlot.paths.stepped({ align: 1 });
  const fills = layers.map(({ kind, rank }) => () =>
    kind === "shared" ? stripes(colour("--share"), colour("--surface")) : colour(kind === "account" ? `--account-${rank}` : `--${kind}`));
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font };
  return {
    width: element.clientWidth, height: HEIGHT, tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    legend: { show: false }, padding: [8, 26, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: true, range: (_, low, high) => [low, high] },
      y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high * 1.05)] } },
    axes: [
      { ...axis, size: 28, grid: { show: false }, values: axisTimes(zone) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? sayCount(tick, measure) : "")) },
    ],
    series: [
      {},
      ...[...layers.keys()].reverse()
        .map((index) => ({ paths: steps, fill: fills[index], stroke: colour("--surface"), width: 1, points: { show: false } })),
      { paths: steps, stroke: colour("--ink"), width: 2, points: { show: false } },
      { paths: steps, stroke: colour("--over"), width: 3, points: { show: false } },
    ],
    hooks: {
      setCursor: [(plot) => onAt(plot.cursor.idx)],
      setSelect: [(plot) => {
        const hour = (left) => Math.round((plot.posToVal(left, "x") * 1000) / HOUR) * HOUR;
        const [start, end] = [hour(plot.select.left), hour(plot.select.left + plot.select.width)];
        if (end > start) go({ select: periodText(start, end), booking: "" }, { replace: true });
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      }],
      draw: [(plot) => drawNow(plot, colour("--accent"))],
    },
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Labels in the zone that is shown. */
const axisTimes = (zone) => (_plot, ticks, _axis, _space, step) =>
  ticks.map((tick) => {
    const date = uPlot.tzDate(new Date(tick * 1000), zone);
    if (step >= 28 * 86_400) return MONTHS[date.getMonth()];
    if (step >= 86_400) return `${date.getDate()} ${MONTHS[date.getMonth()]}`;
    return date.getHours() === 0 ? `${date.getDate()} ${MONTHS[date.getMonth()]}` : `${String(date.getHours()).padStart(2, "0")}:00`;
  });

function drawNow(plot, colour) {
  const now = Date.now() / 1000;
  if (now < plot.scales.x.min || now > plot.scales.x.max) return;
  const x = Math.round(plot.valToPos(now, "x", true));
  plot.ctx.save();
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(x - 1, plot.bbox.top, 2, plot.bbox.height);
  plot.ctx.restore();
}

/** Diagonal stripes, so that shares are told apart without their colour. */
function stripes(colour, ground) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.fillStyle = ground;
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = colour;
  pen.lineWidth = 3;
  pen.beginPath();
  for (const from of [-8, 0, 8]) { pen.moveTo(from, 8); pen.lineTo(from + 8, 0); }
  pen.stroke();
  return pen.createPattern(tile, "repeat");
}

function LayersTable({ blocks, layers, measure, zone, size }) {
  const granted = blocks.map((block) => block.granted.max);
  const runs = runsOf([granted, ...layers.map(({ values }) => values)], blocks.length);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="The timeline as a table">
      <table class="list numbers">
        <thead><tr><th scope="col">When</th><th scope="col">${size}</th>
          ${layers.map(({ key, label }) => html`<th key=${key} scope="col">${label}</th>`)}</tr></thead>
        <tbody>${runs.slice(0, RUNS_MAX).map(({ from, to }) => html`
          <tr key=${from} class=${blocks[from].low < 0 ? "bad" : ""}>
            <th scope="row">${sayPeriod(blocks[from].start, blocks[to - 1].end, zone)}</th>
            <td>${sayCount(granted[from], measure)}</td>
            ${layers.map(({ key, values }) => html`<td key=${key}>${sayCount(values[from], measure)}</td>`)}</tr>`)}</tbody>
      </table>
      ${runs.length > RUNS_MAX && html`<p class="hint">The first ${RUNS_MAX} of ${runs.length} changes; a shorter span shows all.</p>`}
    </div>`;
}
