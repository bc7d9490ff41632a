// What is shown once and never again: a token, or the secret address of a feed.
import { html, useEffect, useRef, useState } from "../lib.js";

/** `onDone` takes it out of the page. */
export function Secret({ label, value, children, onDone }) {
  const field = useRef(null);
  const [said, setSaid] = useState("");
  useEffect(() => { field.current.focus(); }, []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setSaid("Copied.");
    } catch { // the browser does not allow it, or the page came without HTTPS
      field.current.focus();
      setSaid("It is selected: copy it by keyboard.");
    }
  };
  return html`
    <section class="card secret" aria-label=${label}>
      <h2>${label}</h2>
      <p class="hint">It is shown now and never again. ${children}</p>
      <input ref=${field} class="code" readonly aria-label=${label} value=${value} autocomplete="off" spellcheck=${false}
        onFocus=${(event) => event.target.select()} />
      <div class="buttons"><button type="button" class="primary" onClick=${copy}>Copy</button>
        <button type="button" onClick=${onDone}>I have kept it</button>
        <span class="hint" role="status">${said}</span></div>
    </section>`;
}
