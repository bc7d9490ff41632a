// A cluster: what it is made of, how its size changes, and whose it is if it was made for one booking.
import { follow } from "../address.js";
import { edgesOf, hoursOf, outline, uprights } from "../bands.js";
import { NAMES, sayAmount, sayCapacity } from "../capacity.js";
import { html, many } from "../lib.js";
import { useAnswer } from "../live.js";
import { can } from "../me.js";
import { named } from "../sentences.js";
import { sayInstant, sayPeriod } from "../time.js";

const STATES = { requested: "asked for", applied: "done", failed: "failed" };

export function ClusterCard({ pool, dimension, then, zone }) {
  const path = `/magcluster/${encodeURIComponent(pool)}`;
  const cluster = useAnswer(path, then);
  const made = cluster.data ?? cluster.old;
  const sizes = useAnswer(`/clusters/${encodeURIComponent(pool)}/sizes`,
    { grain: "day", tz: zone, dimensions: dimension, shape: "columns", ...then });
  const resizes = useAnswer(can("names", pool) && `${path}/resizes`, then).data?.resizes ?? [];
  if (!made || made.id !== pool) return null;
  const layout = layoutOf(made);
  return html`
    <section class="card cluster" aria-label="The cluster">
      <header class="card-head"><h2>${made.name}${" "}
        <span class="hint">${made.kind}, ${sayPeriod(Date.parse(made.startdate), Date.parse(made.enddate), zone)}</span></h2>
        ${made.state === "tentative" && html`<span class="tag warn">tentative</span>`}</header>
      ${made.kind === "exclusive" && html`<${Exclusive} made=${made} then=${then} />`}
      <dl class="facts"><dt>Size now</dt><dd>${sayCapacity(made)}</dd>
        ${layout.map(({ name, nodes }) => html`<dt key=${name}>${name}</dt><dd>${sayNodes(nodes)}
          ${resizes.length > 0 && html` <span class="hint">as last decided</span>`}</dd>`)}</dl>
      ${sizes.data && changes(sizes.data.columns, dimension) && html`<${Sizes} columns=${sizes.data.columns} dimension=${dimension}
        resizes=${resizes} zone=${zone} />`}
      ${resizes.length > 0 && html`<${Resizes} resizes=${resizes} zone=${zone} />`}
    </section>`;
}

/** Whether the size is not the same all the time. */
function changes({ start, size }, dimension) {
  const { min, max = min } = size[dimension];
  return start.length > 0 && Math.min(...min) < Math.max(...max);
}

/** The groups of nodes: [{name, nodes: {count, template, …}}], from the layout, or from the four fields of Magnum. */
function layoutOf({ layout, masterflavor, mastercount, workerflavor, workercount }) {
  const plain = (count, template) => (count ? { count, template } : null);
  const { masters, workers, groups = [] } = layout
    ?? { masters: plain(mastercount, masterflavor), workers: plain(workercount, workerflavor) };
  return [["Masters", masters], ["Workers", workers], ...groups.map((one) => [one.name, one])]
    .filter(([, nodes]) => nodes).map(([name, nodes]) => ({ name, nodes }));
}

/** "4 × m1.large (each 8 cores), 2 to 8 by a scaler". */
function sayNodes({ count, template, min, max, role, ...size }) {
  const each = NAMES.some((name) => size[name]) ? sayCapacity(size) : "";
  const bounds = min != null || max != null ? `, ${min ?? 0} to ${max ?? "any number"} by a scaler` : "";
  const part = role && role !== "worker" ? `, ${role}` : "";
  return `${count} × ${template ?? each}${template && each ? ` (each ${each})` : ""}${part}${bounds}`;
}

function Exclusive({ made, then }) {
  const asked = can("names", made.id);
  const { data } = useAnswer(asked && "/bookings/select",
    { clusterid: made.id, range: `${made.startdate},${made.enddate}`, grain: "month", limit: 1, ...then });
  const [holder] = data?.items ?? [];
  return html`<p class="said note">It was made for one booking, which holds all of it. Nobody else can book in it
    while that booking stands.${holder && html` It is for <b>${holder.account}</b>:${" "}
    <a ...${follow({ view: "bookings", pool: made.id, booking: holder.id, date: holder.start.slice(0, 10) })}>the booking</a>.`}</p>`;
}

/** The size over time, with a line where a resize begins. */
function Sizes({ columns, dimension, resizes, zone }) {
  const edges = edgesOf(columns);
  const { min, max = min } = columns.size[dimension];
  const top = Math.max(1, ...max);
  const applied = resizes.filter(({ state }) => state === "applied").map(({ startdate }) => Date.parse(startdate));
  const [first, last] = [edges[0].start, edges.at(-1).end];
  return html`
    <figure class="sizes"><figcaption class="hint">Size over time, up to ${sayAmount(top, dimension)}</figcaption>
      <svg viewBox=${`0 0 ${hoursOf(edges)} ${top}`} preserveAspectRatio="none" role="img"
        aria-label=${`The size of the cluster: ${sayAmount(Math.min(...min), dimension)} at least, ${sayAmount(top, dimension)} at most`}>
        <path class="most" d=${outline(edges, max, top)} /><path class="least" d=${outline(edges, min, top)} />
        <path class="rules resize" d=${uprights(edges, applied, top)} />
        <path class="rules now" d=${uprights(edges, [Date.now()], top)} /></svg>
      <p class="hint ends"><span>${sayInstant(first, zone)}</span><span>${sayInstant(last, zone)}</span></p></figure>`;
}

function Resizes({ resizes, zone }) {
  const nodes = resizes.some((one) => layoutOf(one).length);
  const said = (one, wanted) => layoutOf(one).filter(({ name }) => wanted(name)).map(({ name, nodes }) =>
    (name === "Masters" || name === "Workers" ? sayNodes(nodes) : `${name}: ${sayNodes(nodes)}`)).join("; ");
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="The resizes of the cluster">
      <table class="list"><caption class="hint">${many(resizes.length, "resize")}</caption>
        <thead><tr><th scope="col">When</th>${nodes && html`<th scope="col">Masters</th><th scope="col">Workers</th>`}
          <th scope="col">Size</th><th scope="col">State</th><th scope="col">By</th></tr></thead>
        <tbody>${resizes.map((one) => html`<tr key=${one.position}>
          <th scope="row">${sayPeriod(Date.parse(one.startdate), Date.parse(one.enddate), zone)}</th>
          ${nodes && html`<td>${said(one, (name) => name === "Masters")}</td><td>${said(one, (name) => name !== "Masters")}</td>`}
          <td>${sayCapacity(one)}</td>
          <td>${one.state === "failed" ? html`<span class="tag bad">failed</span> ${one.error}`
            : one.lapsed ? "cut back" : STATES[one.state]}</td>
          <td title=${one.actor}>${named(one.actor)}</td></tr>`)}</tbody></table>
    </div>`;
}
