// Time travel: a slider over the positions and a moment to choose, and the calendar as it stood then.
import { go, zoneOf } from "../address.js";
import { classes, html, useEffect, useRef, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { sentence } from "../sentences.js";
import { isPosition, iso, momentOf, sayMoment, wallClock } from "../time.js";

const SETTLE_MS = 120;

/** Above the view while the past is looked at, and always in the history. */
export function AsOf({ address }) {
  const past = Boolean(address.as_of);
  return html`<section class=${classes("as-of", past && "past")} aria-label=${past ? "The past is shown" : "Look back in time"}>
    <${AsOfSlider} address=${address} />
    ${past && html`<button type="button" onClick=${() => go({ as_of: "" })}>Back to now</button>`}</section>`;
}

function AsOfSlider({ address }) {
  const zone = zoneOf(address);
  const asOf = address.as_of;
  const head = useAnswer("/health").data?.head ?? 0;
  const then = useAnswer(asOf && !isPosition(asOf) && "/events", { as_of: asOf, limit: 1 });
  const at = isPosition(asOf) ? Number(asOf) : asOf ? then.data?.position : head;
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
  const moment = dragged == null && asOf && !isPosition(asOf) ? asOf : data?.event.at;
  if (!head || position == null) return null;
  const said = data && `${sayMoment(data.event.at, zone)}: ${sentence(data.event, zone)}`;
  const words = said ?? (position ? `Position ${position}` : "Before the first event");
  return html`
    <div class="slider">
      <label><span>${asOf ? "As it stood at" : "Now, at"} position <b>${position.toLocaleString("en")}</b> of ${head.toLocaleString("en")}</span>
        <input type="range" min="0" max=${head} value=${position} aria-valuetext=${words} onInput=${(event) => setDragged(Number(event.target.value))} /></label>
      <p class="hint" aria-live="polite">${words}</p>
    </div>
    <${Moment} moment=${moment} zone=${zone} />`;
}

/** A moment of the wall clock, to the second, until now. What is being typed is left alone, and followed once it is one. */
function Moment({ moment, zone }) {
  const input = useRef(null);
  useEffect(() => {
    if (moment && input.current !== document.activeElement) input.current.value = wallClock(Date.parse(moment), zone);
  }, [moment, zone]);
  const choose = ({ target }) =>
    target.value && target.validity.valid && go({ as_of: iso(momentOf(target.value, zone)) }, { replace: true });
  return html`<label class="moment"><span>At a moment</span>
    <input ref=${input} type="datetime-local" step="1" min="1970-01-02T00:00:00" max=${wallClock(Date.now(), zone)} onChange=${choose} /></label>`;
}
