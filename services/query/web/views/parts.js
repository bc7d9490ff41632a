// Small parts that several views are made of.
import { go } from "../address.js";
import { DIMENSIONS } from "../capacity.js";
import { classes, grouped, html, useId } from "../lib.js";
import { dateIn, sayClock, sayDate, sayMoment } from "../time.js";

/** One of a few. */
export function Segmented({ label, value, options, onPick }) {
  return html`
    <div class="segmented" role="group" aria-label=${label}>
      ${options.map(([name, text]) => html`
        <button key=${name} type="button" aria-pressed=${name === value ? "true" : "false"}
          onClick=${() => onPick(name)}>${text}</button>`)}
    </div>`;
}

/** What went wrong, in words. */
export function Said({ problem }) {
  return html`
    <div class="said bad" role="alert">
      <b>${problem.title}.</b> ${problem.message}
    </div>`;
}

/** A field with its label, a hint, and what is wrong with it. */
export function Field({ label, hint, wrong, children, class: name }) {
  const id = useId();
  return html`
    <div class=${classes("field", wrong && "wrong", name)}>
      <label for=${id}>${label}</label>
      ${children({ id, "aria-describedby": hint || wrong ? `${id}-hint` : undefined, "aria-invalid": wrong ? "true" : undefined })}
      ${(hint || wrong) && html`<p class="hint" id=${`${id}-hint`}>${wrong || hint}</p>`}
    </div>`;
}

/** What was told, [{key, at, ...}], by days; `say` makes the rest of a line. */
export function Days({ told, zone, say, children }) {
  const days = grouped(told, ({ at }) => dateIn(Date.parse(at), zone));
  return html`<div class="card">${[...days].map(([date, lines]) => html`
    <section key=${date} class="day"><h2>${sayDate(date)}</h2>
      <ol class="events">${lines.map((line) => html`
        <li key=${line.key}><span class="at" title=${sayMoment(line.at, zone)}>${sayClock(Date.parse(line.at), zone)}</span>
          ${say(line)}</li>`)}</ol></section>`)}
    ${children}</div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

/** Which dimension is added up. */
export function Dimension({ value }) {
  return html`
    <label class="inline"><span class="hidden">What is added up</span>
      <select value=${value} onChange=${(event) => go({ measure: event.target.value })}>
        ${DIMENSIONS.map(({ name, label }) => html`<option key=${name} value=${name}>${label}</option>`)}
      </select></label>`;
}

/** A date and an hour of it, in the zone that is shown. */
export function DateHour({ id, label, date, hour, onChange, ...rest }) {
  return html`
    <span class="date-hour">
      <input id=${id} type="date" required value=${date} onInput=${(event) => onChange(event.target.value, hour)} ...${rest} />
      <select aria-label=${`${label}, hour`} value=${hour} onChange=${(event) => onChange(date, Number(event.target.value))}>
        ${Array.from({ length: 24 }, (_, at) => html`<option key=${at} value=${at}>${String(at).padStart(2, "0")}:00</option>`)}
      </select>
    </span>`;
}
