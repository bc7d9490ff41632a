// Time travel: a slider over the positions and a moment to choose, and the calendar as it stood then.
import { go, zoneOf } from "../address.js";
import { classes, html, useEffect, useRef, useState } from "../lib.js";
import { useAnswer } from "../live.js";
import { canEverywhere, canSomewhere } from "../me.js";
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
  const instant = asOf && !isPosition(asOf) ? asOf : "";
  const head = useAnswer("/health").data?.head ?? 0;
  const names = canSomewhere("names");
  const then = useAnswer(instant && names && "/events", { as_of: instant, limit: 1 });
  const asked = instant ? then.data?.position : asOf ? Number(asOf) : head;
  const known = useRef(null); // stays while another is asked for, so that nobody loses what they hold
  known.current = asked ?? known.current;
  const [dragged, setDragged] = useState(null);
  const position = dragged ?? known.current ?? head;
  const data = useEventAt(names && position);
  useEffect(() => {
    if (dragged == null) return undefined;
    const timer = setTimeout(() => {
      go({ as_of: dragged >= head ? "" : String(dragged) }, { replace: true });
      setDragged(null);
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [dragged]);
  if (!head) return null;
  const said = data && `${sayMoment(data.event.at, zone)}: ${sentence(data.event, zone)}`;
  const words = then.problem?.message ?? said ?? (position ? `Position ${position}` : "Before the first event");
  const moment = (dragged == null && instant) || (position ? data?.event.at : "");
  return html`
    <div class="slider">
      <label><span>${asOf ? "As it stood at" : "Now, at"} position
        ${" "}<b>${position.toLocaleString("en")}</b> of ${head.toLocaleString("en")}</span>
        <input type="range" min="0" max=${head} value=${position} aria-valuetext=${words}
          onInput=${(event) => setDragged(Number(event.target.value))} /></label>
      <p class="hint" aria-live="polite">${words}</p>
    </div>
    ${names && html`<${Moment} moment=${moment} zone=${zone} />`}`;
}

/** The event at a position, {position, event}; null if there is none, or none that the person may read. */
function useEventAt(position) {
  const all = canEverywhere("names");
  const one = useAnswer(position > 0 && all && `/events/${position}`);
  const some = useAnswer(position > 0 && !all && "/events", { after: position - 1, before: position + 1, limit: 1 });
  return one.data ?? some.data?.events[0] ?? null;
}

/**
 * A second of the wall clock, all of it, until now; `moment` null is not known yet, "" is none. What is being typed is
 * left alone, and followed as soon as it is a moment.
 */
function Moment({ moment, zone }) {
  const input = useRef(null);
  useEffect(() => {
    if (moment == null || input.current === document.activeElement) return;
    input.current.setCustomValidity("");
    input.current.value = moment && wallClock(Date.parse(moment), zone);
  }, [moment, zone]);
  const choose = ({ target }) => {
    const at = target.value ? momentOf(target.value, zone) : 0;
    target.setCustomValidity(at > Date.now() ? "That is yet to come." : "");
    if (target.value && target.validity.valid) go({ as_of: iso(Math.min(at + 999, Date.now())) }, { replace: true });
  };
  return html`<label class="moment"><span>At a moment</span>
    <input ref=${input} type="datetime-local" step="1" min="1970-01-02T00:00:00" onChange=${choose} /></label>`;
}
