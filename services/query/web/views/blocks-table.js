// The calendar's blocks in words and numbers: the table beside the picture.
import { labelOf, sayCount } from "../capacity.js";
import { html } from "../lib.js";
import { sayPeriod } from "../time.js";

const FIGURES = [["granted", "Granted"], ["booked", "Booked"], ["shared", "In shares"]];

export function BlocksTable({ blocks, measure, zone }) {
  const figures = FIGURES.filter(([name]) => blocks.some((block) => block[name]));
  const say = ({ min, max }) => (min === max ? sayCount(min, measure) : `${sayCount(min, measure)} – ${sayCount(max, measure)}`);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Blocks as a table">
      <table class="list numbers">
        <caption class="hidden">${labelOf(measure)}, block by block</caption>
        <thead><tr><th scope="col">When</th><th scope="col">Free throughout</th><th scope="col">Free in the best hour</th>
          ${figures.map(([name, label]) => html`<th key=${name} scope="col">${label}</th>`)}<th scope="col">Hours</th></tr></thead>
        <tbody>${blocks.map((block) => html`
          <tr key=${block.start} class=${block.low < 0 ? "bad" : ""}>
            <th scope="row">${sayPeriod(block.start, block.end, zone)}</th>
            <td>${sayCount(block.low, measure)}${block.low < 0 ? " (over-committed)" : ""}</td><td>${sayCount(block.high, measure)}</td>
            ${figures.map(([name]) => html`<td key=${name}>${say(block[name])}</td>`)}<td>${block.hours}</td>
          </tr>`)}</tbody>
      </table>
    </div>`;
}
