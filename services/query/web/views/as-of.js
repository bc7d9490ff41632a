// Time travel: a slider over the positions, and the calendar as it stood at any of them.
import { go, zoneOf } from "../address.js";
import { get } from "../api.js";
import { html, useEffect, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { sentence } from "../sentences.js";
import { sayMoment } from "../time.js";

const SETTLE_MS = 120;
const LATER_MS = 800; // what the page needs first goes first

let offered = null; // whether the interface takes `as_of`, by its own description: asked once

async function asksOf() {
  const { paths } = await get("/schema/openapi.json");
  return paths["/available/select"].get.parameters.some(({ name }) => name === "as_of");
}

/** Whether any read can be had as it stood at a moment. */
export function useTimeTravel() {
  const [can, setCan] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => {
      offered ??= asksOf().catch(() => false);
      offered.then(setCan);
    }, LATER_MS);
    return () => clearTimeout(timer);
  }, []);
  return can;
}

/** Above every view while the past is looked at. */
export function AsOf({ address }) {
  return html`<section class="as-of" aria-label="The past is shown"><${AsOfSlider} address=${address} />
    <button type="button" onClick=${() => go({ as_of: "" })}>Back to now</button></section>`;
}

export function AsOfSlider({ address }) {
  const zone = zoneOf(address);
  const head = useAnswer("/health").data?.head ?? 0;
  const at = /^\d+$/.test(address.as_of) ? Number(address.as_of) : head;
  const [dragged, setDragged] = useState(null);
  const position = dragged ?? at;
  const { data } = useAnswer(position > 0 && `/events/${position}`);
  useEffect(() => {
    if (dragged == null) return undefined;
    const timer = setTimeout(() => {
      go({ as_of: dragged >= head ? "" : String(dragged) }, { replace: true });
      setDragged(null);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [dragged]);
  if (!head) return null;
  const words = data ? `${sayMoment(data.event.at, zone)}: ${sentence(data.event, zone)}` : `Position ${position}`;
  return html`
    <div class="slider">
      <label><span>${address.as_of ? "As it stood at" : "Now, at"} position <b>${position.toLocaleString("en")}</b> of ${head.toLocaleString("en")}</span>
        <input type="range" min="1" max=${head} value=${position} aria-valuetext=${words} onInput=${(event) => setDragged(Number(event.target.value))} /></label>
      <p class="hint" aria-live="polite">${words}</p>
    </div>`;
}
